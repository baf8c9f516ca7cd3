"""Capacity: what one node does, by workers, tier, answer size, records, TLS, ledger, sync, beside what one would pick.

    python -m loadtest.capacity [--rows memory/udp,tls/https] [--quick] [--out capacity.json]

Rows are groups or single rows: NAMES of `loadtest.cases`, `records/N` for N records (10 000, 1 000 000 by default;
10 000 000 takes 25 GB of disk and a quarter of an hour), and `sync`.  Nodes are alike but for one thing.  All rows of
one run are asked by the same generators, in turns; then each is asked at a fixed rate, which is bisected
(`loadtest.ceiling`), and at half of what was found.  Every answer is compared; a wrong one makes the command fail.
"""

import argparse
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from time import perf_counter

from rich.console import Console

from loadtest import cpu
from loadtest.capacity_table import Row, print_reference, print_rows
from loadtest.cases import NAMES, Case, Cases
from loadtest.ceiling import Ceiling, highest_rate
from loadtest.figures import Measured, Scenario
from loadtest.growth import grow
from loadtest.held import bytes_below
from loadtest.reference import DATE, MACHINE, REFERENCES
from loadtest.report import machine, write_json
from loadtest.scenarios import Extent
from loadtest.stand import Node, Stand, open_stand
from loadtest.sync_cost import Sides
from loadtest.sync_cost import measure as measure_sync
from loadtest.witnessed import ledger_of
from node.ledger.inbox import ask
from node.ledger.logfiles import BODIES, HEADS, LOG

RECORDS, SYNC = "records", "sync"
SIZES = (10_000, 1_000_000)
TABLE_COLUMNS = 215


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is asked, and how long a step of the search is; with `shares` only these of the closed rate."""

    extent: Extent
    step_seconds: float
    shares: tuple[float, ...] = ()


FULL = Effort(Extent(60_000, 20_000, 10_000, 0, 3.0, 3), 2.0)
QUICK = Effort(Extent(3_000, 1_000, 500, 0, 0.3, 1), 0.3, shares=(0.25, 0.5))
PRECISION = 0.05  # of the search


class Capacity:
    """Measures rows on one stand, and says how far it is."""

    def __init__(self, console: Console, stand: Stand, effort: Effort) -> None:
        self._console, self._stand, self._effort = console, stand, effort
        self._cases = Cases(stand, effort.extent)
        self._began = perf_counter()

    def rows(self, names: Sequence[str]) -> list[Row]:
        """Measure these rows of NAMES."""
        found: list[tuple[Case, Row]] = []
        for name in names:
            self._say(f"{name}: starting, learning, warming")
            case = self._cases.find(name)
            found.append((case, Row(Scenario(case.name, case.title, partial(self._measure, case)))))
            if not case.is_once:
                case.closed(once=True)()
        for turn in range(self._effort.extent.repeats):
            for case, row in found:
                self._run_closed(case, row)
                self._say(f"{turn + 1}/{self._effort.extent.repeats} {case.title}")
        for case, row in found:
            self._finish(case, row)
        return [row for _, row in found]

    def _measure(self, case: Case) -> Measured:
        if case.before:
            case.before()
        seconds = self._effort.extent.seconds
        return self._stand.measure(case.subject, lambda: case.closed(seconds, once=case.is_once))

    def _run_closed(self, case: Case, row: Row) -> None:
        """Take a run; where the ledger is on, everything is sealed before and after, and what it grew by noted."""
        node = case.node if case.node and case.node.settings.ledger else None
        before = _sealed(node) if node else 0
        row.scenario.runs.append(row.scenario.measure())
        if node:
            row.disk_bytes = (row.disk_bytes or 0) + _sealed(node) - before
            row.sealed += row.scenario.runs[-1].run.answers

    def _finish(self, case: Case, row: Row) -> None:
        """Search for the highest rate, ask at half of it, and weigh the workers."""
        if case.has_open_loop:
            if case.before:
                case.before()
            row.ceiling = self._search(case, row)
            if row.ceiling.rate:
                row.half = self._open(case, row.ceiling.rate / 2, is_first=True)
        row.worker_bytes = fmean(cpu.rss_bytes(pid) for pid in case.subject.workers)
        self._say(f"{case.title}: {row.ceiling.rate if row.ceiling else 0:,.0f} a second hold")

    def _search(self, case: Case, row: Row) -> Ceiling:
        start, found = row.scenario.middle(lambda one: one.run.rate), Ceiling()
        if not self._effort.shares:
            return highest_rate(partial(self._open, case), start=start, precision=PRECISION)
        for rate in (share * start for share in self._effort.shares):
            found.note(rate, self._open(case, rate))
        return found

    def _open(self, case: Case, rate: float, *, is_first: bool = False) -> Measured:
        seconds = self._effort.step_seconds
        prepare = partial(case.open, rate, seconds)
        return self._stand.measure_open(case.subject, prepare, is_first=is_first)

    def grown(self, sizes: Sequence[int]) -> list[Row]:
        """Measure look-ups among so many records: rows of `loadtest.growth`."""
        extent = self._effort.extent
        growths = grow(self._stand, sizes, self._say, seconds=extent.seconds, rounds=extent.repeats)
        return [Row(row) for each in growths for row in (each.memory, each.cold)]

    def synced(self) -> list[Row]:
        """Measure a node in step with the top-level node under writes, and one that cannot be, in turns."""
        self._say("sync: starting both nodes")
        sides = Sides(self._stand, self._effort.extent.seconds)
        paths = sides.paths()
        measure_sync(sides, paths, self._effort.extent.repeats)
        for path in paths:
            path.on.title, path.off.title = f"{path.on.title}, in step", f"{path.off.title}, alone"
        return [Row(row) for path in paths for row in (path.on, path.off)]

    def _say(self, text: str) -> None:
        self._console.print(f"[dim]{perf_counter() - self._began:6.1f} s[/dim]  {text}")


def _sealed(node: Node) -> int:
    """Have everything sealed, and return what the ledger has on the disk; lanes, which are used again, left out."""
    ledger = ledger_of(node)
    ask(ledger)
    return bytes_below(*(ledger / name for name in (BODIES, LOG, HEADS)))


def chosen_names(given: str) -> list[str]:
    """Return the rows that a list by commas means: names, or groups of them.  Raises ValueError for what is neither."""
    known = [*NAMES, *(f"{RECORDS}/{size}" for size in SIZES), SYNC]
    if not given:
        return known
    found: list[str] = []
    for word in given.split(","):
        meant = [name for name in known if word in (name, name.partition("/")[0])]
        if word.startswith(f"{RECORDS}/") and word.partition("/")[2].isdecimal():
            meant = [word]
        if not meant:
            raise ValueError(f"{word!r} is no row; rows are {', '.join(known)}")
        found += [name for name in meant if name not in found]
    return found


def shares_of(given: str) -> tuple[float, ...]:
    """Return the shares of a list by commas.  Raises ValueError."""
    return tuple(map(float, given.split(",")))


def measure(console: Console, names: Sequence[str], effort: Effort, niceness: int = 0) -> list[Row]:
    """Measure the rows, the many and the special ones, each kind on a stand of its own."""
    return [row for rows in _measured(console, names, effort, niceness) for row in rows]


def _measured(
    console: Console, names: Sequence[str], effort: Effort, niceness: int
) -> Iterator[list[Row]]:
    usual = [name for name in names if name in NAMES]
    sizes = [int(name.partition("/")[2]) for name in names if name.startswith(f"{RECORDS}/")]
    if usual:
        with open_stand(niceness) as stand:
            yield Capacity(console, stand, effort).rows(usual)
    if sizes:
        with open_stand(niceness) as stand:
            yield Capacity(console, stand, effort).grown(sizes)
    if SYNC in names:
        with open_stand(niceness) as stand:
            yield Capacity(console, stand, effort).synced()


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write capacity.json; return 1 when an answer was wrong."""
    parser = argparse.ArgumentParser(prog="capacity", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--rows", default="", metavar="A,B", help="these rows or groups; default: all"
    )
    parser.add_argument("--quick", action="store_true", help="small and short: does it work?")
    parser.add_argument("--seconds", type=float, help="length of one run")
    parser.add_argument("--repeats", type=int, help="runs of each row")
    parser.add_argument(
        "--shares",
        type=shares_of,
        metavar="S,S",
        help="try only these shares of the closed loop's rate, for a machine that others use",
    )
    parser.add_argument("--nice", type=int, default=0, metavar="N", help="as of loadtest.bench")
    parser.add_argument("--out", type=Path, default=Path("capacity.json"))
    chosen = parser.parse_args(arguments)
    try:
        names = chosen_names(chosen.rows)
    except ValueError as error:
        parser.error(str(error))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is stopped
    console = Console(highlight=False)
    console.width = max(console.width, TABLE_COLUMNS)
    effort = QUICK if chosen.quick else FULL
    extent = replace(
        effort.extent,
        seconds=chosen.seconds or effort.extent.seconds,
        repeats=chosen.repeats or effort.extent.repeats,
    )
    effort = replace(effort, extent=extent, shares=chosen.shares or effort.shares)
    rows = measure(console, names, effort, chosen.nice)
    print_rows(console, rows)
    print_reference(console)
    write_json(chosen.out, as_json(rows))
    return 1 if any(row.wrong for row in rows) else 0


def as_json(rows: Sequence[Row]) -> dict[str, object]:
    """Return everything for capacity.json."""
    return {
        "command": shlex.join(sys.orig_argv),
        "machine": machine(),
        "rows": [row.as_json() for row in rows],
        "reference_not_measured_here": {
            "machine": MACHINE,
            "date": DATE,
            "rows": [{"title": each.title, "rate": each.rate, "p50_us": each.p50_us,
                      "p99_us": each.p99_us, "cpu_seconds_a_million": each.cpu_seconds,
                      "rss_mb": each.rss_mb} for each in REFERENCES],
        },
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
