"""Figures: what the runs of one scenario came to, and the targets they are held against.

The figure to compare is processor time an answer: on a shared machine answers a second say as much about the
neighbours as about the server.  `1e6 / microseconds` is what one fully used core gives.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

from loadtest.run import Run

BOTTLENECK_SHARE = 0.9  # a worker that used so much of its time on the core was the bottleneck
PER_CPU_SECOND = 1e6


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of a scenario.  Seconds are processor time spent during the run."""

    run: Run
    worker_seconds: float
    tree_seconds: float
    core_seconds: (
        float  # the worker's core, whoever used it, the spinner that keeps it awake taken off
    )

    @property
    def worker_us(self) -> float:
        """Processor time of the worker process an answer, in microseconds."""
        return 1e6 * self.worker_seconds / max(self.run.all_answers, 1)

    @property
    def tree_us(self) -> float:
        """The same with supervisor, keeper, Postgres and Valkey."""
        return 1e6 * self.tree_seconds / max(self.run.all_answers, 1)

    @property
    def generator_us(self) -> float:
        """Processor time of the generator an answer, in microseconds, its busy waiting taken off."""
        run = self.run
        awake = max(run.all_seconds - run.slept, 1e-9)
        busy = max(0.0, 1 - (run.waited - run.slept) / awake)
        return 1e6 * run.generator_seconds * busy / max(run.all_answers, 1)

    @property
    def generator_share(self) -> float:
        """How much of the run the generator had something to do: near 1, it was the bottleneck."""
        return max(0.0, 1 - self.run.waited / self.run.all_seconds) if self.run.all_seconds else 0.0

    @property
    def worker_share(self) -> float:
        """How much of the run the worker computed: near 1, it was the bottleneck."""
        return self.worker_seconds / self.run.all_seconds if self.run.all_seconds else 0.0

    @property
    def stolen_share(self) -> float:
        """How much of the run others computed on the worker's core."""
        return max(0.0, self.core_seconds - self.worker_seconds) / max(self.run.all_seconds, 1e-9)


@dataclass(slots=True)
class Scenario:
    """One row of the table: a name, how it is run once, and the runs so far."""

    name: str
    title: str
    measure: Callable[[], Measured]
    runs: list[Measured] = field(default_factory=list)

    def middle(self, pick: Callable[[Measured], float]) -> float:
        """Return the median of a figure over the runs (0.0 before the first)."""
        return median(pick(measured) for measured in self.runs) if self.runs else 0.0

    def extent(self, pick: Callable[[Measured], float]) -> tuple[float, float]:
        """Return the least and the greatest of a figure over the runs."""
        picked = [pick(measured) for measured in self.runs] or [0.0]
        return min(picked), max(picked)

    @property
    def per_cpu_second(self) -> float:
        """Answers a second of the worker's processor time (median; 0.0 before the first run)."""
        worker_us = self.middle(lambda measured: measured.worker_us)
        return PER_CPU_SECOND / worker_us if worker_us else 0.0

    @property
    def wrong(self) -> int:
        """Wrong answers over all runs."""
        return sum(measured.run.wrong for measured in self.runs)

    def as_json(self) -> dict[str, object]:
        """Return the row and every run for bench.json."""
        return {
            "name": self.name,
            "title": self.title,
            "answers_per_worker_cpu_second": round(self.per_cpu_second),
            "worker_us_median": round(self.middle(lambda one: one.worker_us), 3),
            "tree_us_median": round(self.middle(lambda one: one.tree_us), 3),
            "rate_median": round(self.middle(lambda one: one.run.rate)),
            "runs": [_run_as_json(measured) for measured in self.runs],
        }


def _run_as_json(measured: Measured) -> dict[str, object]:
    run = measured.run
    return {
        "answers": run.answers,
        "seconds": round(run.seconds, 4),
        "rate": round(run.rate),
        "p50_us": round(run.quantile_us(0.5), 1),
        "p99_us": round(run.quantile_us(0.99), 1),
        "worker_us": round(measured.worker_us, 3),
        "tree_us": round(measured.tree_us, 3),
        "generator_us": round(measured.generator_us, 3),
        "worker_share": round(measured.worker_share, 3),
        "generator_share": round(measured.generator_share, 3),
        "stolen_share": round(measured.stolen_share, 3),
        "lost": run.lost,
        "wrong": run.wrong,
        "faults": run.faults,
    }


@dataclass(frozen=True, slots=True)
class Target:
    """A promise and what was measured: `least` or `most` is the bound; a figure of 0 was not measured."""

    text: str
    figure: float
    bound: float
    at_least: bool = True

    @property
    def is_met(self) -> bool | None:
        """Whether the promise is kept; None when nothing was measured."""
        if not self.figure:
            return None
        return self.figure >= self.bound if self.at_least else self.figure <= self.bound

    def as_json(self) -> dict[str, object]:
        """Return the target for bench.json."""
        return {
            "target": self.text,
            "figure": round(self.figure, 3),
            "bound": self.bound,
            "met": self.is_met,
        }


def speed_targets(scenarios: Sequence[Scenario]) -> list[Target]:
    """Return the targets of the warm rows, in answers a second of the worker's processor time."""
    by_name = {scenario.name: scenario.per_cpu_second for scenario in scenarios}
    udp, tcp, http = (by_name.get(name, 0.0) for name in ("udp-warm", "tcp-warm", "http-warm"))
    echo, plain = by_name.get("echo-udp", 0.0), by_name.get("plain-redis", 0.0)
    return [
        Target("UDP warm, answers per worker CPU second", udp, 140_000),
        Target("UDP warm ÷ bare uvloop UDP echo", udp / echo if echo else 0.0, 0.55),
        Target("TCP kept open, answers per worker CPU second", tcp, 100_000),
        Target("HTTP warm, answers per worker CPU second", http, 100_000),
        *(
            Target(f"{name} warm ÷ plain FastAPI route", figure / plain if plain else 0.0, 10)
            for name, figure in (("UDP", udp), ("TCP", tcp), ("HTTP", http))
        ),
    ]
