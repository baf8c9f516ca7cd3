"""What the audit ledger costs an answer: two nodes, one with it and one without, asked in turns in one run.

    python -m loadtest.ledger_cost [--rounds 40] [--seconds 0.15] [--only udp --only http]

For each fast path: processor time of the worker an answer, from the generators of the bench, which ask as much as the
worker can take; and the latency of single questions at a fixed, moderate rate, counted from when each was due.
What it adds to the time is the median over the rounds, each of which asks both nodes one right after the other, in
turns this and that one first.  What it adds at p99 is that of quiet rounds, so short that the host spares many.
Beside both stands the interval in which they lie when the rounds are drawn anew (`loadtest.spread`), and beside the p99
that of a bare echo, and what the rounds without the ledger differ by among themselves.  Answers come from memory.
"""

import argparse
import signal
import sys
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from loadtest.baselines.echo import BODY
from loadtest.exchange import echo_exchange, http_exchange
from loadtest.figures import Scenario
from loadtest.generator_http import prepare_http
from loadtest.generator_paced import prepare_paced
from loadtest.generator_tcp import PIPELINED, prepare_tcp
from loadtest.generator_udp import prepare_udp
from loadtest.ledger_paths import Cost, Path
from loadtest.scenarios import Ask, Extent, Questions, learn
from loadtest.sizes import load_corpus, make_corpus
from loadtest.stand import Node, Stand, Subject, open_stand
from loadtest.streams import Address

KEYS = 2_000
RATE = 5_000  # questions a second: a fifth of what one connection can ask
PIPELINED_RATE = 500  # writes of 32 questions
CONDITIONS = (
    f"Worker µs: medians of the rounds, and what the best rounds differ by, which others on this machine disturbed "
    f"least. Latencies are of single questions at a fixed rate, {RATE:,} a second, from the moment each was due; "
    f"pipelined: {PIPELINED} questions {PIPELINED_RATE:,} times a second."
)
_OFF = {"LEDGER": "false"}


class Comparison:
    """Two nodes, alike but for the ledger, and what they are asked."""

    def __init__(self, stand: Stand, seconds: float, records: int = KEYS) -> None:
        self._stand, self._seconds = stand, seconds
        self._corpus = make_corpus(stand.directory, records)
        self._extent = Extent(
            records, native_keys=KEYS, http_keys=KEYS, answers=0, seconds=seconds, repeats=0
        )
        self._on, self._off = self._start("ledger-on", {}), self._start("ledger-off", _OFF)

    def paths(self) -> list[Path]:
        """Learn and warm, and return the paths."""
        nodes = (self._on, self._off)
        learned = [learn(node, self._corpus, self._extent) for node in nodes]
        asks = [busy_and_calm(*pair) for pair in zip(nodes, learned, strict=True)]
        echoes, found = self._echoes(learned[0]), []
        for place, (name, title) in enumerate(TITLES):
            rows = [
                self._row(node, ask[place][pace], f"{name}-{pace_name}", f"{title}, {pace_name}")
                for pace, pace_name in enumerate(_PACES)
                for node, ask in zip(nodes, asks, strict=True)
            ]
            found.append(Path(name, title, *rows, *echoes[place : place + 1]))
        return found

    def _echoes(self, asked: Questions) -> list[Scenario]:
        """Start the bare echo; return how each path asks it calmly."""
        subject, at = self._stand.start_echo()
        native = [echo_exchange(each.request) for each in asked.native]
        udp = [echo_exchange(each.request) for each in asked.udp]
        http = [http_exchange(each.request, BODY) for each in asked.http]
        doors = Doors(at["udp"], at["tcp"], at["http"])
        asks = calmly(doors, Questions(native, udp, http, ()))
        return [
            self._scenario(subject, ask, f"echo-{name}-calm", f"{title}, calm, bare echo")
            for ask, (name, title) in zip(asks, TITLES, strict=True)
        ]

    def _start(self, name: str, settings: dict[str, str]) -> Node:
        node = self._stand.start_node(name, settings)
        load_corpus(node, self._corpus, self._extent.records)
        return node

    def _row(self, node: Node, ask: Ask, name: str, title: str) -> Scenario:
        which = "on" if node is self._on else "off"
        full_name, full_title = f"ledger-{which}-{name}", f"{title}, ledger {which}"
        return self._scenario(node.subject(), ask, full_name, full_title)

    def _scenario(self, subject: Subject, ask: Ask, name: str, title: str) -> Scenario:
        ask(once=True)()
        prepare, stand = partial(ask, seconds=self._seconds), self._stand
        if "-calm" in name:
            return Scenario(
                name, title, partial(stand.measure_open, subject, prepare, is_first=True)
            )
        return Scenario(name, title, partial(stand.measure, subject, prepare))


_PACES = ("busy", "calm")
TITLES = (
    ("udp", "UDP"),
    ("tcp", "TCP kept open"),
    ("pipelined", f"TCP, {PIPELINED} pipelined"),
    ("http", "HTTP"),
)


class Doors(NamedTuple):
    """Where each transport is asked."""

    udp: Address
    tcp: Address
    http: Address


def busy_and_calm(node: Node, asked: Questions) -> list[tuple[Ask, Ask]]:
    """Return for each path how it is asked busily, and calmly."""
    doors = Doors(node.native, node.native, node.http)
    return list(zip(busily(doors, asked), calmly(doors, asked), strict=True))


def busily(at: Doors, asked: Questions) -> list[Ask]:
    """Return for each path how it is asked as much as the worker can take."""
    return [
        partial(prepare_udp, at.udp, asked.udp),
        partial(prepare_tcp, at.tcp, asked.native),
        partial(prepare_tcp, at.tcp, asked.native, depth=PIPELINED),
        partial(prepare_http, at.http, asked.http),
    ]


def calmly(at: Doors, asked: Questions) -> list[Ask]:
    """Return for each path how it is asked at its rate."""
    single, deep = partial(prepare_paced, rate=RATE), partial(prepare_paced, rate=PIPELINED_RATE)
    return [
        partial(single, at.udp, asked.udp, transport="udp"),
        partial(single, at.tcp, asked.native, transport="tcp"),
        partial(deep, at.tcp, asked.native, transport="tcp", depth=PIPELINED),
        partial(single, at.http, asked.http, transport="http"),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print; return 1 when an answer was wrong."""
    parser = argparse.ArgumentParser(prog="ledger_cost", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=0.15, help="length of one run")
    names = [name for name, _ in TITLES]
    parser.add_argument("--only", action="append", choices=names, help="this path; may be repeated")
    parser.add_argument("--nice", type=int, default=0, metavar="N", help="as of loadtest.bench")
    chosen = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is stopped
    with open_stand(chosen.nice) as stand:
        paths = Comparison(stand, chosen.seconds).paths()
        cost = Cost([each for each in paths if each.name in (chosen.only or names)])
        for turn in range(chosen.rounds):
            for row in cost.scenarios()[:: -1 if turn % 2 else 1]:
                row.runs.append(row.measure())
    print(*cost.lines(), CONDITIONS, *cost.verdicts(), sep="\n")
    wrong = [row for row in cost.scenarios() if row.wrong]
    for row in wrong:
        print(f"FAULT {row.wrong} wrong answers in {row.title}: {row.runs[0].run.faults}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
