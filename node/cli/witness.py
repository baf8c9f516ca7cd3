"""`idnode witness`: watch logs of others, and cosign what goes on from all that was seen of them.

For the top-level node, an auditor, a university: whoever is to vouch for a count and is not who counts.  It needs no
node, no database and no settings: one process, one directory.
"""

import argparse
import asyncio
import logging
import secrets
import signal
import sys
from contextlib import suppress
from pathlib import Path
from time import perf_counter_ns, time

from node import log as log_lines
from node.address import Endpoint, read_endpoints
from node.errors import Kind, RegistryError
from node.ledger.keys import NoteError, VerifierKey
from node.ledger.memory import Memory, load_key, make_key
from node.ledger.submission import origin_hash
from node.ledger.witnessing import Evidence
from node.sockets import open_listener
from node.web.witness import WitnessApi, build_witness_app
from resolver.frontends.fast import FastHttp
from resolver.frontends.server import HttpServer
from resolver.guard import Guard
from resolver.observe import CELL_COUNT, Tally

MAX_CONNECTIONS = 1_000
MAX_CONNECTIONS_OF_ONE = 50  # of one address
REQUEST_SECONDS = 10  # for a request to arrive
IDLE_SECONDS = 75  # longer than a log's minute, so that it keeps its connection
DRAIN_SECONDS = 5.0
SEED_BYTES = 32

_EPILOG = """\
examples:
  idnode witness key --state /var/lib/witness --name witness.example.cn/1
  idnode witness run --state /var/lib/witness --listen 0.0.0.0:7380 \\
    --log log.example.cn/ledger+1a2b3c4d+AQ…

Give the log the line that `key` prints, and where this witness is reached.  Never put an older
copy of the directory in its place, and never run two of them: it would cosign what it has
forgotten.  See docs/reference/witness.md.

exit codes:
  0  done, or stopped
  2  wrong use, or a file of the directory cannot be believed
  3  there is no key yet
  4  there is a key already
  6  another witness runs on the directory, or the address is taken
"""

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say which arguments the verb takes."""
    parser.epilog = _EPILOG
    words = parser.add_subparsers(dest="word", metavar="WORD", title="words", required=True)
    running = words.add_parser("run", help="answer logs until Ctrl-C")
    running.add_argument(
        "--listen", required=True, metavar="HOST:PORT", help="where logs reach it, over HTTP"
    )
    running.add_argument(
        "--log",
        action="append",
        required=True,
        metavar="VKEY",
        help="the verifier key of a log to watch; repeatable, also for one log with several keys",
    )
    made = words.add_parser("key", help="print the verifier key, made first when --name is given")
    made.add_argument(
        "--name", metavar="NAME", help="make a key: a URL of yours without its scheme, for ever"
    )
    for below in (running, made):
        below.add_argument(
            "--state", type=Path, required=True, metavar="DIR", help="what the witness remembers"
        )


def run(arguments: argparse.Namespace) -> int:
    """Carry out the word.  Raises RegistryError."""
    try:
        if arguments.word == "key":
            _key(arguments)
        else:
            _run(arguments)
    except OSError as error:
        sentence = f"{error.filename or arguments.state}: {error.strerror}."
        raise RegistryError(Kind.FORBIDDEN, sentence) from error
    return 0


def _key(arguments: argparse.Namespace) -> None:
    directory: Path = arguments.state
    if arguments.name:
        print(make_key(directory, arguments.name, secrets.token_bytes(SEED_BYTES)).key)
    else:
        print(load_key(directory).key)


def _run(arguments: argparse.Namespace) -> None:
    try:
        (endpoint,) = read_endpoints(arguments.listen)
    except ValueError as error:
        raise RegistryError(Kind.INVALID, f"--listen {error}.") from error
    memory = Memory.open(arguments.state, [_read_key(text) for text in arguments.log])
    log_lines.configure("witness")
    try:
        asyncio.run(_serve(memory, endpoint))
    finally:
        memory.close()


async def _serve(memory: Memory, endpoint: Endpoint) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, stop.set)
    listener, true = open_listener(endpoint)
    guard = _guard()
    app = build_witness_app(WitnessApi(memory, time))
    server = HttpServer.of(
        app, FastHttp.behind(guard), idle_seconds=IDLE_SECONDS, drain_seconds=DRAIN_SECONDS
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve(sockets=[listener]))
        _announce(memory, true)
        while not stop.is_set():
            guard.tick()
            guard.sweep(perf_counter_ns())
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await stop.wait()
        server.should_exit = True


def _guard() -> Guard:
    return Guard(
        Tally([0] * CELL_COUNT),
        connections_max=MAX_CONNECTIONS,
        connections_per_source=MAX_CONNECTIONS_OF_ONE,
        request_seconds=REQUEST_SECONDS,
        idle_seconds=IDLE_SECONDS,
        udp_answers_per_second=0,
        udp_answers_burst=0,
    )


def _read_key(text: str) -> VerifierKey:
    try:
        return VerifierKey.parse(text)
    except NoteError as error:
        raise RegistryError(
            Kind.INVALID,
            f"--log {text}: {error}; it is what the log's operator gives as verifier key.",
        ) from error


def _announce(memory: Memory, endpoint: Endpoint) -> None:
    lines = [
        f"witness {memory.rules.cosigner.key}",
        f"answers on http://{endpoint}",
        *(f"watches {_state_of(memory, origin)}" for origin in memory.rules.logs),
    ]
    forks = memory.count_evidence(Evidence.FORK)
    if forks:
        lines.append(f"{forks} forks were signed by these logs: see the directory `evidence`")
    print("\n".join([*lines, "Ctrl-C stops it."]), file=sys.stdout, flush=True)


def _state_of(memory: Memory, origin: str) -> str:
    seen = memory.seen.get(origin)
    what = f"{seen.checkpoint.size} leaves cosigned" if seen else "not cosigned yet"
    return f"{origin}: {what}, at /{origin_hash(origin)}/checkpoint"
