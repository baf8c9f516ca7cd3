"""What a search for the highest rate found, as a table and as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from loadtest.figures import Measured
from loadtest.highest import Ceiling

PERCENTILES = (50, 99, 99.9, 100)
COLUMNS = 195


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


def print_findings(console: Console, findings: Sequence[Finding]) -> None:
    """Print a row for each transport."""
    table = Table(
        title="Highest rate with no loss and every answer within 250 ms; latency at half of it"
    )
    table.add_column("transport")
    for heading in (
        "highest rate/s", "answers/CPU s", "worker µs", "worker busy", "others", "generator µs", "generator behind",
        *("max µs" if each == 100 else f"p{each:g} µs" for each in PERCENTILES), "behind at half", "wrong",
    ):  # fmt: skip
        table.add_column(heading, justify="right")
    for finding in findings:
        table.add_row(finding.transport, *_cells(finding))
    console.print(table)
    if any(finding.half and not finding.half.run.tells for finding in findings):
        console.print(
            "? The generator asked more than 0.5 % of that late itself: not the node's latency."
        )
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
        f"{best.generator_us:.2f}",
        f"{best.run.behind_share:.1%}",
        *(half.run.told_us(each / 100) for each in PERCENTILES),
        f"{half.run.behind_share:.2%}",
        f"{sum(measured.run.wrong for _, measured in finding.ceiling.steps)}",
    ]
