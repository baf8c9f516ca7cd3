"""The highest rate at which every question has a right answer within 250 ms of its moment, and none is lost.

    python -m loadtest.ceiling [--transport udp|tcp|http] [--seconds S] [--json FILE]

Starts a node as an operator would, with one worker, and asks it from memory with an open loop (`loadtest.openloop`).
The rate begins near what a closed loop had, rises or falls until one rate holds and one does not, and is then bisected.
A rate that fails is tried once more, because other programs of the machine can fail it, too.  At half the highest rate
latencies are measured.  The definition is that of RFC 8219 §9 for DNS64, with a limit of 250 ms.
"""

import argparse
import json
import shlex
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from loadtest.exchange import Exchange
from loadtest.figures import BOTTLENECK_SHARE, Measured
from loadtest.generator_http import prepare_http
from loadtest.generator_tcp import prepare_tcp
from loadtest.generator_udp import prepare_udp
from loadtest.openloop import TRANSPORTS, prepare_open
from loadtest.report import machine, write_json
from loadtest.scenarios import Ask, Extent, Questions, learn, roomy
from loadtest.sizes import load_corpus, make_corpus
from loadtest.stand import Node, Stand, open_stand
from loadtest.streams import Address

RECORDS, KEYS = 10_000, 5_000
STEP_SECONDS = 2.0
WARM_SECONDS = 0.5
CLOSED_SECONDS = 1.0
PRECISION = 0.03  # between the highest rate that held and the lowest that did not
TRIES = 2
GROWTH, SHRINKAGE = 1.15, 0.8  # a rate that holds is raised more each time
LEAST_RATE = 100.0
CONNECTIONS: Mapping[str, int] = {"udp": 1, "tcp": 16, "http": 64}
PERCENTILES = (50, 99, 99.9, 100)

Attempt = Callable[[float], Measured]
"""Asks at this rate for one step; usually `Stand.measure` with `prepare_open`."""


@dataclass(slots=True)
class Ceiling:
    """The highest rate that held (0.0: none did), the lowest that failed (infinite: none), and every step."""

    rate: float = 0.0
    failed: float = float("inf")
    best: Measured | None = None
    steps: list[tuple[float, Measured]] = field(default_factory=list)

    def note(self, rate: float, measured: Measured) -> bool:
        """Keep a step; return whether it held."""
        self.steps.append((rate, measured))
        if measured.run.holds and rate > self.rate:
            self.rate, self.best = rate, measured
        return measured.run.holds

    @property
    def is_of_generator(self) -> bool:
        """True when what failed was the generator: always at work and yet behind, and nothing lost or wrong."""
        failed = [each for rate, each in self.steps if rate >= self.failed]
        return bool(failed) and all(
            each.generator_share >= BOTTLENECK_SHARE and not each.run.lost and not each.run.wrong
            for each in failed
        )

    @property
    def answers_per_cpu_second(self) -> float:
        """Answers a second of the worker's processor time at the highest rate."""
        return 1e6 / self.best.worker_us if self.best and self.best.worker_us else 0.0


def highest_rate(
    attempt: Attempt, *, start: float, precision: float = PRECISION, tries: int = TRIES
) -> Ceiling:
    """Find the highest rate that holds: every question answered rightly, in time, and none lost.

    `start` is a guess, such as what a closed loop had.  Ends when it is known to `precision` (a share), or when not
    even LEAST_RATE questions a second are answered.
    """
    found, rate, growth = Ceiling(), start, GROWTH
    while found.failed > rate and _holds(found, attempt, rate, tries):
        rate, growth = rate * growth, growth * GROWTH
    while not found.rate and rate >= LEAST_RATE:
        rate *= SHRINKAGE
        _holds(found, attempt, rate, tries)
    while found.rate and found.failed - found.rate > precision * found.failed:
        _holds(found, attempt, (found.rate + found.failed) / 2, tries)
    return found


def _holds(found: Ceiling, attempt: Attempt, rate: float, tries: int) -> bool:
    if any(found.note(rate, attempt(rate)) for _ in range(tries)):
        return True
    found.failed = min(found.failed, rate)
    return False


@dataclass(frozen=True, slots=True)
class Finding:
    """What one transport came to: its ceiling, and a run at half of it."""

    transport: str
    closed_rate: float
    ceiling: Ceiling
    half: Measured | None

    def as_json(self) -> dict[str, object]:
        """Return it for a report."""
        return {
            "transport": self.transport,
            "closed_loop_rate": round(self.closed_rate),
            "highest_rate": round(self.ceiling.rate),
            "limited_by_generator": self.ceiling.is_of_generator,
            "answers_per_worker_cpu_second": round(self.ceiling.answers_per_cpu_second),
            "steps": [_step_as_json(*step) for step in self.ceiling.steps],
            "at_half": self.half and _step_as_json(self.ceiling.rate / 2, self.half),
            "latency_at_half": self.half and self.half.run.histogram.as_json(),
        }


def _step_as_json(rate: float, measured: Measured) -> dict[str, object]:
    run = measured.run
    return {
        "rate": round(rate),
        "holds": run.holds,
        "asked": run.asked,
        "answers": run.answers,
        "lost": run.lost,
        "late": run.late,
        "wrong": run.wrong,
        "unasked": run.unasked,
        "behind_share": round(run.behind_share, 4),
        "p99_us": round(run.quantile_us(0.99), 1),
        "max_us": round(run.quantile_us(1), 1),
        "worker_us": round(measured.worker_us, 3),
        "worker_share": round(measured.worker_share, 3),
        "stolen_share": round(measured.stolen_share, 3),
        "generator_share": round(measured.generator_share, 3),
    }


class Search:
    """Looks for the ceilings of one node."""

    def __init__(self, stand: Stand, node: Node, asked: Questions, seconds: float) -> None:
        self._stand, self._node, self._seconds = stand, node, seconds
        self._subject = node.subject()
        self._asked: dict[str, tuple[Address, list[Exchange]]] = {
            "udp": (node.native, asked.udp),
            "tcp": (node.native, asked.native),
            "http": (node.http, asked.http),
        }

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
        half = self._open(transport, ceiling.rate / 2, self._seconds) if ceiling.rate else None
        return Finding(transport, guess, ceiling, half)

    def _closed(self, transport: str) -> Ask:
        address, exchanges = self._asked[transport]
        prepare: dict[str, Ask] = {
            "udp": partial(prepare_udp, address, exchanges),
            "tcp": partial(prepare_tcp, address, exchanges),
            "http": partial(prepare_http, address, exchanges),
        }
        return prepare[transport]

    def _open(self, transport: str, rate: float, seconds: float) -> Measured:
        address, exchanges = self._asked[transport]
        return self._stand.measure(
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
        )


def print_findings(console: Console, findings: Sequence[Finding]) -> None:
    """Print a row for each transport."""
    table = Table(
        title="Highest rate with no loss and every answer within 250 ms; latency at half of it"
    )
    table.add_column("transport")
    for heading in (
        "highest rate/s", "answers/CPU s", "worker µs", "worker busy", "others", "generator behind",
        *("max µs" if each == 100 else f"p{each:g} µs" for each in PERCENTILES), "wrong",
    ):  # fmt: skip
        table.add_column(heading, justify="right")
    for finding in findings:
        table.add_row(finding.transport, *_cells(finding))
    console.print(table)
    if any(finding.ceiling.is_of_generator for finding in findings):
        console.print(
            "* The generator fell behind and never had to wait for the node: a lower bound."
        )


def _cells(finding: Finding) -> list[str]:
    best, half = finding.ceiling.best, finding.half
    if best is None or half is None:
        return ["none"]
    return [
        f"{finding.ceiling.rate:,.0f}" + ("*" if finding.ceiling.is_of_generator else ""),
        f"{finding.ceiling.answers_per_cpu_second:,.0f}",
        f"{best.worker_us:.2f}",
        f"{best.worker_share:.0%}",
        f"{best.stolen_share:.0%}",
        f"{best.run.behind_share:.1%}",
        *(f"{1e6 * half.run.histogram.percentile(each):,.0f}" for each in PERCENTILES),
        f"{sum(measured.run.wrong for _, measured in finding.ceiling.steps)}",
    ]


def run(
    transports: Sequence[str], seconds: float, niceness: int, console: Console
) -> list[Finding]:
    """Start a node, load and learn, and search for each transport."""
    extent = Extent(RECORDS, KEYS, KEYS, answers=0, seconds=seconds, repeats=1)
    with open_stand(niceness) as stand:
        node = stand.start_node("node", roomy(2 * KEYS))
        corpus = make_corpus(stand.directory, RECORDS)
        load_corpus(node, corpus, RECORDS)
        search = Search(stand, node, learn(node, corpus, extent), seconds)
        return [search.find(transport, console.print) for transport in transports]


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line, search, print and write; 1 when an answer was wrong."""
    parser = argparse.ArgumentParser(prog="ceiling", description=__doc__.splitlines()[0])
    parser.add_argument("--transport", action="append", choices=TRANSPORTS, help="all by default")
    parser.add_argument("--seconds", type=float, default=STEP_SECONDS, help="length of one step")
    parser.add_argument("--nice", type=int, default=0, help="of worker and generator (root only)")
    parser.add_argument("--json", type=Path, help="write all steps there")
    chosen = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is stopped
    console = Console(highlight=False)
    console.width = max(console.width, 160)
    findings = run(chosen.transport or list(TRANSPORTS), chosen.seconds, chosen.nice, console)
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
