"""What the audit ledger costs an answer: two nodes, one with it and one without, asked in turns in one run.

    python -m loadtest.ledger_cost [--rounds 8] [--seconds 1.5]

For each fast path: processor time of the worker an answer, from the generators of the bench, which ask as much as the
worker can take; and the latency of single questions at a fixed, moderate rate, counted from when each was due.
What it adds is the median over the rounds, each of which asks both nodes one right after the other, in turns this and
that one first; what the best rounds differ by is printed as well.  Answers come from memory.
"""

import argparse
import signal
import sys
from collections.abc import Sequence
from functools import partial

from loadtest.figures import Measured, Scenario
from loadtest.generator_http import prepare_http
from loadtest.generator_paced import RATE, prepare_paced
from loadtest.generator_tcp import PIPELINED, prepare_tcp
from loadtest.generator_udp import prepare_udp
from loadtest.ledger_paths import Cost, Path
from loadtest.scenarios import Ask, Extent, Questions, learn
from loadtest.sizes import load_corpus, make_corpus
from loadtest.stand import Node, Stand, open_stand

KEYS = 2_000
PIPELINED_RATE = RATE / 8  # writes of 32 questions
CONDITIONS = (
    f"Medians of the rounds, and the best round, which others on this machine disturbed least. Latencies are of single "
    f"questions at a fixed rate, {RATE:,} a second, from the moment each was due; pipelined: {PIPELINED} questions "
    f"{PIPELINED_RATE:,.0f} times a second."
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
        asks = [busy_and_calm(node, learn(node, self._corpus, self._extent)) for node in nodes]
        found = []
        for place, (name, title) in enumerate(TITLES):
            rows = [
                self._row(node, ask[place][pace], f"{name}-{pace_name}", f"{title}, {pace_name}")
                for pace, pace_name in enumerate(_PACES)
                for node, ask in zip(nodes, asks, strict=True)
            ]
            found.append(Path(name, title, *rows))
        return found

    def _start(self, name: str, settings: dict[str, str]) -> Node:
        node = self._stand.start_node(name, settings)
        load_corpus(node, self._corpus, self._extent.records)
        return node

    def _row(self, node: Node, ask: Ask, name: str, title: str) -> Scenario:
        ask(once=True)()
        subject, which = node.subject(), "on" if node is self._on else "off"

        def measure() -> Measured:
            return self._stand.measure(subject, lambda: ask(seconds=self._seconds))

        return Scenario(f"ledger-{which}-{name}", f"{title}, ledger {which}", measure)


_PACES = ("busy", "calm")
TITLES = (
    ("udp", "UDP"),
    ("tcp", "TCP kept open"),
    ("pipelined", f"TCP, {PIPELINED} pipelined"),
    ("http", "HTTP"),
)


def busy_and_calm(node: Node, asked: Questions) -> list[tuple[Ask, Ask]]:
    """Return for each path how it is asked busily, and calmly."""
    native, http = node.native, node.http
    deep = partial(prepare_paced, native, asked.native, transport="tcp", depth=PIPELINED)
    return [
        (
            partial(prepare_udp, native, asked.udp),
            partial(prepare_paced, native, asked.udp, transport="udp"),
        ),
        (
            partial(prepare_tcp, native, asked.native),
            partial(prepare_paced, native, asked.native, transport="tcp"),
        ),
        (
            partial(prepare_tcp, native, asked.native, depth=PIPELINED),
            partial(deep, rate=PIPELINED_RATE),
        ),
        (
            partial(prepare_http, http, asked.http),
            partial(prepare_paced, http, asked.http, transport="http"),
        ),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print; return 1 when an answer was wrong."""
    parser = argparse.ArgumentParser(prog="ledger_cost", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=1.5, help="length of one run")
    parser.add_argument("--nice", type=int, default=0, metavar="N", help="as of loadtest.bench")
    chosen = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is stopped
    with open_stand(chosen.nice) as stand:
        cost = Cost(Comparison(stand, chosen.seconds).paths())
        for turn in range(chosen.rounds):
            for row in cost.scenarios()[:: -1 if turn % 2 else 1]:
                row.runs.append(row.measure())
    print(*cost.lines(), CONDITIONS, sep="\n")
    for target in cost.targets():
        met = "met" if target.is_met else "not met"
        print(f"{target.text}: {target.figure:.2f} (at most {target.bound}: {met})")
    wrong = [row for row in cost.scenarios() if row.wrong]
    for row in wrong:
        print(f"FAULT {row.wrong} wrong answers in {row.title}: {row.runs[0].run.faults}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
