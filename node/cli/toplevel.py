"""`idnode toplevel`: run the simulated top-level node, which a secondary node is tried against."""

import argparse
import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path

from node import log as log_lines
from node.address import Endpoint, loopback_if_any, read_endpoints
from node.errors import Kind, RegistryError
from node.reading import secondary_prefix
from node.toplevel.app import Plan, Running, run_toplevel
from node.toplevel.probing import INTERVAL_SECONDS

PARENT_SECONDS = 1.0  # after which it is seen that whoever started this has ended

_EPILOG = """\
examples:
  idnode toplevel --data-dir /tmp/toplevel
  idnode toplevel --data-dir /tmp/toplevel --decide 5 --log log.example.cn/ledger+1a2b3c4d+AQ…

The node is handed the files of `DIR/issue`; it prints the settings that name them.  It is for
trying things: not the real one, and not for the open net.  See docs/reference/toplevel.md.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say which arguments the verb takes."""
    parser.epilog = _EPILOG
    add = parser.add_argument
    add("--data-dir", type=Path, required=True, metavar="DIR", help="its files; made when missing")
    add(
        "--node-prefix",
        default="88.118",
        metavar="PREFIX",
        help="of the secondary node; default: 88.118",
    )
    add(
        "--listen",
        default="127.0.0.1:9650",
        metavar="HOST:PORT",
        help="HTTPS for the node; default: 127.0.0.1:9650",
    )
    add(
        "--page",
        default="127.0.0.1:9660",
        metavar="HOST:PORT",
        help="HTTP for people, and for logs that want a witness; default: 127.0.0.1:9660",
    )
    add(
        "--native",
        default="127.0.0.1:9641",
        metavar="HOST:PORT",
        help="Handle protocol, UDP and TCP; default: 127.0.0.1:9641",
    )
    add(
        "--host",
        action="append",
        default=[],
        metavar="NAME",
        help="another name or address by which it is reached; repeatable",
    )
    add(
        "--decide",
        default="hand",
        metavar="hand|SECONDS",
        help="prefixes are granted by hand, or after so many seconds; default: hand",
    )
    add(
        "--rows-alone",
        action="store_true",
        help="judge each row by itself, not by what EPP has granted",
    )
    add(
        "--log",
        action="append",
        default=[],
        metavar="VKEY",
        help="verifier key of a log that it is the witness of; repeatable",
    )
    add(
        "--probe-seconds",
        type=float,
        default=INTERVAL_SECONDS,
        metavar="SECONDS",
        help="between two questions to the node; default: 10",
    )
    add(
        "--restore",
        default="",
        metavar="NAME",
        help="go back to a copy of the tables first: start, or one of POST /snapshots",
    )
    add(
        "--with-parent",
        action="store_true",
        help="stop when the process that started this one ends",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run until a signal.  Raises RegistryError when it cannot start."""
    plan = _plan(arguments)
    log_lines.configure("toplevel")
    try:
        asyncio.run(_run(plan, with_parent=arguments.with_parent))
    except OSError as error:
        sentence = f"{error.filename or plan.data_dir}: {error.strerror}."
        raise RegistryError(Kind.FORBIDDEN, sentence) from error
    return 0


def _plan(arguments: argparse.Namespace) -> Plan:
    try:
        prefix = secondary_prefix(arguments.node_prefix)
        decide = None if arguments.decide == "hand" else float(arguments.decide)
        if decide is not None and not 0 <= decide < float("inf"):
            raise ValueError("must be hand, or a number of seconds")
    except ValueError as error:
        raise RegistryError(Kind.INVALID, f"--node-prefix, --decide: {error}.") from error
    if arguments.probe_seconds <= 0:
        raise RegistryError(Kind.INVALID, "--probe-seconds must be more than 0.")
    return Plan(
        data_dir=arguments.data_dir,
        listen=_endpoint("--listen", arguments.listen),
        page=_endpoint("--page", arguments.page),
        native=_endpoint("--native", arguments.native),
        node_prefix=prefix,
        hosts=tuple(arguments.host),
        decide_seconds=decide,
        checks_across=not arguments.rows_alone,
        restore=arguments.restore,
        logs=tuple(arguments.log),
        probe_seconds=arguments.probe_seconds,
    )


async def _run(plan: Plan, *, with_parent: bool) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, stop.set)
    watching = asyncio.create_task(_stop_with_parent(os.getppid(), stop)) if with_parent else None
    try:
        await run_toplevel(plan, _announce, stop)
    finally:
        if watching is not None:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching


async def _stop_with_parent(parent: int, stop: asyncio.Event) -> None:
    while os.getppid() == parent:  # noqa: ASYNC110 - the kernel tells nobody
        await asyncio.sleep(PARENT_SECONDS)
    stop.set()


def _announce(found: Running) -> None:
    issue = found.papers.issue
    lines = (
        "The simulated top-level node is ready.",
        "",
        f"  page     http://{_reachable(found.page)}/",
        f"  channel  https://{found.channel}",
        f"  Handle   {found.native}  UDP and TCP",
        f"  witness  {found.witness_key}",
        "",
        "The node's settings:",
        "",
        f"  IDNODE_SYNC_URL=https://{_reachable(found.channel)}",
        f"  IDNODE_SYNC_CERTIFICATE={issue / 'node.pem'}",
        f"  IDNODE_SYNC_AUTHORITY={issue / 'authority.crt'}",
        f"  IDNODE_SYNC_SIGNING_KEY={issue / 'signing.pem'}",
        f"  IDNODE_SYNC_PEER_KEYS={issue / 'toplevel.pub'}",
        "",
        "Ctrl-C stops it.",
    )
    print("\n".join(lines), flush=True)


def _endpoint(name: str, text: str) -> Endpoint:
    try:
        (endpoint,) = read_endpoints(text)
    except ValueError as error:
        raise RegistryError(Kind.INVALID, f"{name} {error}.") from error
    return endpoint


def _reachable(endpoint: Endpoint) -> Endpoint:
    return Endpoint(loopback_if_any(endpoint.host), endpoint.port)
