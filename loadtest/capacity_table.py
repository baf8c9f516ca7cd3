"""The capacity table: the figures of one row, as text and as JSON, and the reference's beside them."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from loadtest.ceiling import Ceiling
from loadtest.figures import Measured, Scenario
from loadtest.growth import tree_us, worker_us
from loadtest.reference import DATE, MACHINE, REFERENCES

MILLION = 1_000_000
HEADINGS = (
    "answers/CPU s", "worker µs", "(range)", "tree µs", "closed loop/s", "highest rate/s", "p50 µs", "p99 µs",
    "behind", "MB a worker", "CPU s a million", "disk MB a million", "lost", "wrong",
)  # fmt: skip
CONDITIONS = (
    "answers/CPU s: of the processor time of all workers, in the closed loop. Highest rate: no loss, and every answer "
    "within 250 ms of when it was due (open loop); * the generator fell behind first: a lower bound. p50 and p99: open "
    "loop at half the highest rate, from the due moment; behind: what of it the generator asked more than 1 ms late "
    "itself, and with more than 0.5 % of that (?) they are not the server's. CPU s a million: worker, supervisor, "
    "keeper, Postgres and Valkey, sealing in the run included. disk: what the audit ledger grew by, sealed."
)
NOT_MEASURED = (
    f"Reference figures, NOT measured here: {MACHINE}; {DATE}. Compare processor time, with care."
)


@dataclass(slots=True)
class Row:
    """One row: the closed runs; the search and a run at half of what it found; what a worker holds and the disk took.

    `worker_bytes` is the mean of all workers, `disk_bytes` what `sealed` answers added; None: not measured.
    """

    scenario: Scenario
    ceiling: Ceiling | None = None
    half: Measured | None = None
    worker_bytes: float | None = None
    disk_bytes: int | None = None
    sealed: int = 0

    @property
    def cpu_seconds_a_million(self) -> float:
        """Processor time of everything for a million answers, in seconds."""
        return self.scenario.middle(tree_us)

    @property
    def disk_bytes_a_million(self) -> float | None:
        """What a million answers add to the disk, in bytes."""
        if self.disk_bytes is None or not self.sealed:
            return None
        return self.disk_bytes * MILLION / self.sealed

    @property
    def wrong(self) -> int:
        """Wrong answers of all runs."""
        steps = self.ceiling.steps if self.ceiling else []
        half = self.half.run.wrong if self.half else 0
        return self.scenario.wrong + sum(each.run.wrong for _, each in steps) + half

    @property
    def lost(self) -> int:
        """Lost answers of the closed runs, and at half the highest rate."""
        half = self.half.run.lost if self.half else 0
        return sum(each.run.lost for each in self.scenario.runs) + half

    def as_json(self) -> dict[str, object]:
        """Return it for capacity.json."""
        found = self.ceiling
        return {
            **self.scenario.as_json(),
            "highest_rate": round(found.rate) if found else None,
            "limited_by_generator": found.is_of_generator if found else None,
            "steps": [[round(rate), each.run.holds] for rate, each in found.steps] if found else [],
            "latency_at_half": self.half.run.histogram.as_json() if self.half else None,
            "behind_at_half": round(self.half.run.behind_share, 4) if self.half else None,
            "bytes_a_worker": self.worker_bytes,
            "cpu_seconds_a_million": round(self.cpu_seconds_a_million, 2),
            "disk_bytes_a_million": self.disk_bytes_a_million,
            "lost": self.lost,
            "wrong": self.wrong,
        }

    def cells(self) -> list[str]:
        """Return what stands in its line, behind the title."""
        scenario, half = self.scenario, self.half
        least, most = scenario.extent(worker_us)
        disk = self.disk_bytes_a_million
        return [
            f"{scenario.per_cpu_second:,.0f}",
            f"{scenario.middle(worker_us):.2f}",
            f"{least:.2f}–{most:.2f}",
            f"{scenario.middle(tree_us):.2f}",
            f"{scenario.middle(_rate):,.0f}",
            self._highest(),
            half.run.told_us(0.5) if half else "–",
            half.run.told_us(0.99) if half else "–",
            f"{half.run.behind_share:.2%}" if half else "–",
            "–" if self.worker_bytes is None else f"{self.worker_bytes / 1e6:.0f}",
            f"{self.cpu_seconds_a_million:.1f}",
            "–" if disk is None else f"{disk / 1e6:.1f}",
            str(self.lost),
            str(self.wrong),
        ]

    def _highest(self) -> str:
        if self.ceiling is None:
            return "–"
        return f"{self.ceiling.rate:,.0f}" + ("*" if self.ceiling.is_of_generator else "")


def _rate(measured: Measured) -> float:
    return measured.run.rate


def print_rows(console: Console, rows: Sequence[Row]) -> None:
    """Print our rows."""
    table = _table("Capacity", HEADINGS)
    for row in rows:
        if row.scenario.runs:
            table.add_row(row.scenario.title, *row.cells())
    console.print(table)
    console.print(CONDITIONS)


def print_reference(console: Console) -> None:
    """Print the reference's rows, and that they were not measured here."""
    table = _table(
        "Reference, not measured here",
        ("answers/s", "p50 µs", "p99 µs", "server CPU s a million", "generator CPU s", "RSS MB"),
    )
    for each in REFERENCES:
        table.add_row(
            each.title,
            f"{each.rate:,}",
            f"{each.p50_us:,}",
            f"{each.p99_us:,}",
            f"{each.cpu_seconds:.1f}",
            f"{each.generator_seconds:.1f}",
            f"{each.rss_mb}",
        )
    console.print(table)
    console.print(NOT_MEASURED)


def _table(title: str, headings: Sequence[str]) -> Table:
    table = Table(title=title)
    table.add_column("row", no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right")
    return table
