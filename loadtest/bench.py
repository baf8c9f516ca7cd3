"""How fast the node is on this machine, beside two baselines that run the same way in the same run.

    python -m loadtest.bench [--quick] [--only PART] [--seconds S] [--repeats N] [--records N] [--out bench.json]

Parts: `table` (the scenarios), `memory` (bytes a cached answer), `writes` (single writes, and bulk work beside them),
`load` (a million records), `growth` (a look-up among a million records against ten thousand; it loads them, too),
`ledger` (what the audit ledger costs an answer, and keeps on the disk).  All by default, in about a quarter of an hour;
`--quick` takes the first three, smaller, in less than two minutes.  Nothing is asserted about
speed: targets are printed as met or not.  A wrong answer makes the command fail.
"""

import argparse
import shlex
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

from rich.console import Console

from loadtest.bulk_beside import Beside, bulk_targets, run_bulk
from loadtest.figures import Scenario, Target, speed_targets
from loadtest.growth import Growth, grow, growth_targets
from loadtest.ledger_cost import CONDITIONS, Comparison
from loadtest.ledger_paths import Cost
from loadtest.ledger_storage import Stored, storage_targets, store_both, stored_lines
from loadtest.report import machine, print_table, print_targets, write_json
from loadtest.scenarios import Extent, Table, learn
from loadtest.sizes import (
    BYTES_AN_ANSWER,
    LARGE,
    LOAD_RATE,
    SMALL,
    Loaded,
    Weight,
    load_corpus,
    make_corpus,
    weigh,
)
from loadtest.stand import open_stand
from loadtest.write_rows import WriteRow, Writes, durability, print_writes, write_targets

TABLE_COLUMNS = 185
PARTS = ("table", "memory", "writes", "load", "growth", "ledger")
QUICK_PARTS = ("table", "memory", "writes")
GROWTH_FACTOR = 1.2
BULK_RECORDS, QUICK_BULK_RECORDS = 200_000, 20_000
SEALED_ANSWERS, QUICK_SEALED_ANSWERS = 1_000_000, 50_000
FULL = Extent(
    records=120_000, native_keys=50_000, http_keys=20_000, answers=100_000, seconds=3.0, repeats=3
)
QUICK = Extent(
    records=20_000, native_keys=10_000, http_keys=5_000, answers=15_000, seconds=1.0, repeats=1
)


@dataclass(slots=True)
class Findings:
    """What the parts found so far."""

    scenarios: list[Scenario] = field(default_factory=list)
    weights: list[Weight] = field(default_factory=list)
    loads: list[Loaded] = field(default_factory=list)
    growths: list[Growth] = field(default_factory=list)
    writes: list[WriteRow] = field(default_factory=list)
    bulk: list[Beside] = field(default_factory=list)
    ledger: Cost = field(default_factory=Cost)
    stored: tuple[Stored, Stored] | None = None
    notes: list[str] = field(default_factory=list)

    def targets(self) -> list[Target]:
        """Return every target, with figures where they were measured."""
        loads = [each.rate for each in self.loads if each.records >= LARGE]
        found = speed_targets(self.scenarios)
        found += [
            Target(
                f"Memory a cached {each.title} of {each.answer_bytes:.0f} bytes, bytes",
                each.bytes_each,
                BYTES_AN_ANSWER,
                at_least=False,
            )
            for each in self.weights
        ]
        found += [*write_targets(self.writes), *bulk_targets(self.bulk)]
        found.append(
            Target("Load of a million records, records/s", max(loads, default=0.0), LOAD_RATE)
        )
        if self.growths:
            found += growth_targets(self.growths, GROWTH_FACTOR)
        found += self.ledger.targets()
        return found + (storage_targets(*self.stored) if self.stored else [])

    def rows(self) -> list[Scenario]:
        """Return all rows of the table."""
        return [
            *self.scenarios,
            *(row for each in self.growths for row in (each.memory, each.cold)),
        ]


class Bench:
    """Runs the chosen parts, one after the other, and says how far it is."""

    def __init__(
        self, console: Console, extent: Extent, niceness: int, *, is_quick: bool = False
    ) -> None:
        self._console, self._extent, self._niceness = console, extent, niceness
        self._bulk_records = QUICK_BULK_RECORDS if is_quick else BULK_RECORDS
        self._sealed_answers = QUICK_SEALED_ANSWERS if is_quick else SEALED_ANSWERS
        self._began = perf_counter()
        self.found = Findings()

    def run(self, parts: list[str]) -> None:
        """Run the parts."""
        if "table" in parts or "memory" in parts:
            self._main(parts)
        if "writes" in parts:
            self._writes()
        if "growth" in parts:
            self._growth()
        elif "load" in parts:
            self._load()
        if "ledger" in parts:
            self._ledger()

    def _say(self, text: str) -> None:
        self._console.print(f"[dim]{perf_counter() - self._began:6.1f} s[/dim]  {text}")

    def _main(self, parts: list[str]) -> None:
        extent = self._extent
        with open_stand(self._niceness) as stand:
            self._say(f"making and loading {extent.records:,} records")
            corpus = make_corpus(stand.directory, extent.records)
            first = stand.start_node("node", {})
            self.found.loads.append(load_corpus(first, corpus, extent.records))
            self._say(str(self.found.loads[-1]))
            if "table" in parts:
                self._say("learning what the right answers are")
                asked = learn(first, corpus, extent)
                self.found.notes += asked.notes
                self._say("starting the baselines, warming")
                table = Table(stand, extent, first, asked)
                self.found.scenarios = table.prepare()
                self._measure(self.found.scenarios)
                self.found.notes += table.notes()
            if "memory" in parts:
                self._say("weighing cached answers")
                self.found.weights = weigh(stand, first, corpus, extent.answers)

    def _measure(self, scenarios: list[Scenario]) -> None:
        """Take every scenario in turn, then again: what disturbs one round disturbs all alike."""
        for turn in range(self._extent.repeats):
            for scenario in scenarios:
                measured = scenario.measure()
                scenario.runs.append(measured)
                self._say(
                    f"{turn + 1}/{self._extent.repeats} {scenario.title}: {measured.run.rate:,.0f}/s, "
                    f"{measured.worker_us:.2f} µs of the worker an answer"
                )

    def _writes(self) -> None:
        with open_stand(self._niceness) as stand:
            self._say("starting a node to write to, and the ordinary way")
            writes = Writes.start(stand, self._extent.seconds)
            self.found.writes = writes.rows()
            for turn in range(self._extent.repeats):
                for row in self.found.writes:
                    row.runs.append(row.measure(turn))
                    self._say(
                        f"{turn + 1}/{self._extent.repeats} {row.title}: {row.runs[-1].run.rate:,.0f}/s"
                    )
            corpus = make_corpus(stand.directory, self._bulk_records)
            self.found.bulk.append(
                run_bulk(writes.node, corpus, self._bulk_records, self._niceness)
            )
            self._say(str(self.found.bulk[-1]))
            self.found.notes += durability(writes.node)

    def _load(self) -> None:
        with open_stand(self._niceness) as stand:
            self._say(f"making and loading {LARGE:,} records")
            corpus = make_corpus(stand.directory, LARGE)
            self.found.loads.append(load_corpus(stand.start_node("node", {}), corpus, LARGE))
            self._say(str(self.found.loads[-1]))

    def _growth(self) -> None:
        extent = self._extent
        with open_stand(self._niceness) as stand:
            self.found.growths = grow(
                stand, (SMALL, LARGE), self._say, seconds=extent.seconds, rounds=extent.repeats
            )
        self.found.loads += [each.loaded for each in self.found.growths]

    def _ledger(self) -> None:
        with open_stand(self._niceness) as stand:
            self._say("starting a node with the audit ledger, and one without")
            self.found.ledger = Cost(Comparison(stand, self._extent.seconds).paths())
            self._measure(self.found.ledger.scenarios())
        self._say(f"sealing {self._sealed_answers:,} answers, and an idle day")
        self.found.stored = store_both(self._sealed_answers)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write bench.json; return 1 when an answer was wrong."""
    chosen = _options(arguments)
    usual = QUICK if chosen.quick else FULL
    extent = Extent(
        records=chosen.records or usual.records,
        native_keys=usual.native_keys,
        http_keys=usual.http_keys,
        answers=usual.answers,
        seconds=chosen.seconds or usual.seconds,
        repeats=chosen.repeats or usual.repeats,
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is stopped
    console = Console()
    console.width = max(console.width, TABLE_COLUMNS)
    bench = Bench(console, extent, chosen.nice, is_quick=chosen.quick)
    bench.run(chosen.only or list(QUICK_PARTS if chosen.quick else PARTS))
    _report(console, bench.found, extent, Path(chosen.out))
    found = bench.found
    rows: list[Scenario | WriteRow] = [*found.rows(), *found.ledger.scenarios(), *found.writes]
    wrong = [row for row in rows if row.wrong]
    for row in wrong:
        console.print(
            f"[red]{row.wrong} wrong answers in {row.title}:[/red] {row.runs[0].run.faults}"
        )
    faults = [fault for each in bench.found.bulk for fault in each.faults]
    console.print(*faults[:5], sep="\n", style="red", end="\n" if faults else "")
    return 1 if wrong or faults else 0


def _report(console: Console, found: Findings, extent: Extent, out: Path) -> None:
    if found.rows():
        print_table(console, found.rows())
    if found.writes:
        print_writes(console, found.writes)
    for each in found.bulk:
        console.print(str(each))
    if found.ledger.paths:
        console.print(*found.ledger.lines(), CONDITIONS, sep="\n", highlight=False)
    if found.stored:
        console.print(*stored_lines(*found.stored), sep="\n", highlight=False)
    for note in found.notes:
        console.print(note)
    targets = found.targets()
    print_targets(console, targets)
    write_json(
        out,
        {
            "command": shlex.join(sys.orig_argv),
            "machine": machine(),
            "extent": {name: getattr(extent, name) for name in extent.__slots__},
            "scenarios": [row.as_json() for row in found.rows()],
            "weights": [each.as_json() for each in found.weights],
            "writes": [row.as_json() for row in found.writes],
            "bulk": [each.as_json() for each in found.bulk],
            "ledger": [row.as_json() for row in found.ledger.scenarios()],
            "ledger_stored": [each.as_json() for each in found.stored or ()],
            "loads": [each.as_json() for each in found.loads],
            "targets": [target.as_json() for target in targets],
            "notes": found.notes,
        },
    )
    console.print(f"All figures of all runs, machine and versions: {out}")


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtest.bench", description=main.__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller, about a minute")
    parser.add_argument("--only", action="append", choices=PARTS, help="this part; may be repeated")
    parser.add_argument("--seconds", type=float, help="length of one run")
    parser.add_argument("--repeats", type=int, help="runs of each scenario")
    parser.add_argument("--records", type=int, help="lines of the corpus of the first two parts")
    parser.add_argument(
        "--nice",
        type=int,
        default=0,
        metavar="N",
        help="niceness of worker and generator during runs: -10 on a machine that others use (root only)",
    )
    parser.add_argument("--out", default="bench.json", help="where the figures go")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
