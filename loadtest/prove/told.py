"""What a person sees while a proof is made: a bar, the stage, and in the end the table of the four counts."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from loadtest.prove.reconciliation import NAMES, FourCounts

_FIRST = "starting"
COLUMNS = ("client", "ledger", "Prometheus", "top-level")


class Told:
    """The bar; it is drawn when something is told, by no thread of its own: generators are forked from here."""

    def __init__(self, progress: Progress, task: TaskID, stage: str) -> None:
        self._progress, self._task = progress, task
        self._stage, self._began = stage, time.monotonic()
        self._took: list[str] = []

    def stage(self, text: str) -> None:
        """Say what is done now."""
        now = time.monotonic()
        self._took.append(f"{self._stage} {now - self._began:.1f} s")
        self._stage, self._began = text, now
        self.waiting(text)

    def waiting(self, text: str) -> None:
        """Say what the stage waits for."""
        self._progress.update(self._task, description=text, refresh=True)

    def timeline(self) -> str:
        """Return how long each stage took, by the clock on the wall."""
        self.stage("")
        return ", ".join(self._took)

    def answered(self, count: int) -> None:
        """Move the bar."""
        self._progress.update(self._task, advance=count, refresh=True)

    def more(self, count: int) -> None:
        """Move the bar by what was not planned beforehand."""
        task = self._progress.tasks[0]
        self._progress.update(
            self._task, total=(task.total or 0) + count, advance=count, refresh=True
        )


@contextmanager
def telling(resolutions: int, console: Console) -> Iterator[Told]:
    """Show a bar while the block runs."""
    columns = (
        TextColumn("{task.description:<34}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, auto_refresh=False) as progress:
        told = Told(progress, progress.add_task(_FIRST, total=resolutions), _FIRST)
        yield told
    console.print(told.timeline(), markup=False, highlight=False, soft_wrap=True)


def print_counts(counts: FourCounts, console: Console) -> None:
    """Print the four counts, by protocol and in sum."""
    table = Table("protocol")
    for name in COLUMNS:
        table.add_column(name, justify="right")
    columns = counts.columns
    for protocol in counts.protocols:
        cells = [columns[name][protocol] if name in columns else None for name in NAMES]
        table.add_row(protocol, *("–" if each is None else f"{each:,}" for each in cells))
    console.print(table)


def print_end(directory: Path, faults: list[str], console: Console) -> None:
    """Say how it ended, and where the report is."""
    for fault in faults:
        console.print(f"✗ {fault}", markup=False, highlight=False)
    end = "FAILED: this is not proven" if faults else "PROVEN: all four counts are one"
    console.print(f"{end}; {directory}/report.html", markup=False, highlight=False, soft_wrap=True)
    console.print(
        "Campaign traffic proves capacity and is not part of the production count.", markup=False
    )
