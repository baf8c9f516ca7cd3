"""The highest rate at which every question has a right answer within 250 ms of its moment, and none is lost.

    python -m loadtest.ceiling [--transport udp|tcp|http] [--seconds S] [--json FILE] [--echo]

Starts a node as an operator would, with one worker, and asks it from memory with an open loop (`loadtest.openloop`).
The rate begins near what a closed loop had, rises or falls until one rate holds and one does not, and is then bisected.
A rate that fails is tried once more, because other programs of the machine can fail it, too.  At half the highest rate
latencies are measured.  The definition is that of RFC 8219 §9 for DNS64, with a limit of 250 ms.

With --echo it asks the echo baseline instead of a node: what the generator and this machine can do at all.
"""

import argparse
import json
import shlex
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from rich.console import Console

from loadtest.baselines.echo import BODY
from loadtest.ceiling_rows import COLUMNS, Finding, print_findings
from loadtest.exchange import Exchange, echo_exchange, http_exchange, http_request, native_request
from loadtest.figures import Measured
from loadtest.generator_http import prepare_http
from loadtest.generator_tcp import prepare_tcp
from loadtest.generator_udp import prepare_udp
from loadtest.highest import Ceiling, highest_rate
from loadtest.openloop import TRANSPORTS, prepare_open
from loadtest.report import machine, write_json
from loadtest.scenarios import Ask, Extent, learn, roomy
from loadtest.sizes import load_corpus, make_corpus
from loadtest.stand import Stand, Subject, open_stand
from loadtest.streams import Address

RECORDS, KEYS = 10_000, 5_000
STEP_SECONDS = 2.0
WARM_SECONDS = 0.5
CLOSED_SECONDS = 1.0
CONNECTIONS: Mapping[str, int] = {"udp": 1, "tcp": 16, "http": 64}

__all__ = ["CONNECTIONS", "WARM_SECONDS", "Ceiling", "highest_rate", "main"]

Asked = Mapping[str, tuple[Address, list[Exchange]]]
"""What is asked where, by transport."""


class Search:
    """Looks for the ceilings of one server."""

    def __init__(self, stand: Stand, subject: Subject, asked: Asked, seconds: float) -> None:
        self._stand, self._subject, self._asked = stand, subject, asked
        self._seconds = seconds

    def find(self, transport: str, say: Callable[[str], None]) -> Finding:
        """Warm all keys, take the closed loop's rate, and search from there."""
        closed = self._closed(transport)
        closed(once=True)()
        guess = self._stand.measure(self._subject, lambda: closed(seconds=CLOSED_SECONDS)).run.rate
        say(f"{transport}: {guess:,.0f} a second in a closed loop")

        def attempt(rate: float) -> Measured:
            measured = self._open(transport, rate, self._seconds)
            run = measured.run
            say(
                f"{transport}: {rate:,.0f} a second {'holds' if run.holds else 'fails'} "
                f"(lost {run.lost}, late {run.late}, wrong {run.wrong}, behind {run.behind_share:.1%})"
            )
            return measured

        ceiling = highest_rate(attempt, start=guess)
        half = None
        if ceiling.rate:
            half = self._open(transport, ceiling.rate / 2, self._seconds, is_first=True)
        return Finding(transport, guess, ceiling, half)

    def _closed(self, transport: str) -> Ask:
        address, exchanges = self._asked[transport]
        prepare: dict[str, Ask] = {
            "udp": partial(prepare_udp, address, exchanges),
            "tcp": partial(prepare_tcp, address, exchanges),
            "http": partial(prepare_http, address, exchanges),
        }
        return prepare[transport]

    def _open(
        self, transport: str, rate: float, seconds: float, *, is_first: bool = False
    ) -> Measured:
        address, exchanges = self._asked[transport]
        return self._stand.measure_open(
            self._subject,
            lambda: prepare_open(
                address,
                exchanges,
                transport=transport,
                rate=rate,
                seconds=seconds,
                warm_seconds=WARM_SECONDS,
                connections=CONNECTIONS[transport],
            ),
            is_first=is_first,
        )


def start_node(stand: Stand) -> tuple[Subject, Asked]:
    """Start a node with a corpus, and learn what its right answers are."""
    extent = Extent(RECORDS, KEYS, KEYS, answers=0, seconds=STEP_SECONDS, repeats=1)
    node = stand.start_node("node", roomy(2 * KEYS))
    corpus = make_corpus(stand.directory, RECORDS)
    load_corpus(node, corpus, RECORDS)
    asked = learn(node, corpus, extent)
    return node.subject(), {
        "udp": (node.native, asked.udp),
        "tcp": (node.native, asked.native),
        "http": (node.http, asked.http),
    }


def start_echo(stand: Stand) -> tuple[Subject, Asked]:
    """Start the echo baseline; its answers follow from the questions."""
    subject, at = stand.start_echo()
    handles = [b"88.118.8/JXDY21%08d" % number for number in range(KEYS)]
    native = [echo_exchange(native_request(handle)) for handle in handles]
    host = f"{at['http'][0]}:{at['http'][1]}"
    http = [http_exchange(http_request(handle, host), BODY) for handle in handles]
    return subject, {
        "udp": (at["udp"], native),
        "tcp": (at["tcp"], native),
        "http": (at["http"], http),
    }


def run(chosen: argparse.Namespace, console: Console) -> list[Finding]:
    """Start what is asked, and search for each transport."""
    with open_stand(chosen.nice) as stand:
        subject, asked = start_echo(stand) if chosen.echo else start_node(stand)
        search = Search(stand, subject, asked, chosen.seconds)
        return [search.find(each, console.print) for each in chosen.transport or TRANSPORTS]


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line, search, print and write; 1 when an answer was wrong."""
    parser = argparse.ArgumentParser(prog="ceiling", description=__doc__.splitlines()[0])
    parser.add_argument("--transport", action="append", choices=TRANSPORTS, help="all by default")
    parser.add_argument("--seconds", type=float, default=STEP_SECONDS, help="length of one step")
    parser.add_argument("--nice", type=int, default=0, help="of worker and generator (root only)")
    parser.add_argument("--echo", action="store_true", help="ask the echo baseline, not a node")
    parser.add_argument("--json", type=Path, help="write all steps there")
    chosen = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is stopped
    console = Console(highlight=False)
    console.width = max(console.width, COLUMNS)
    findings = run(chosen, console)
    print_findings(console, findings)
    content: dict[str, object] = {
        "command": shlex.join(sys.orig_argv),
        "machine": machine(),
        "findings": [finding.as_json() for finding in findings],
    }
    if chosen.json:
        write_json(chosen.json, content)
    else:
        print(json.dumps(content, ensure_ascii=False))
    return int(any(each.run.wrong for found in findings for _, each in found.ceiling.steps))


if __name__ == "__main__":
    sys.exit(main())
