"""What the audit ledger adds to each fast path: the figures of two nodes, with and without it, and their targets."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median

from loadtest.figures import Measured, Scenario, Target

COST_US, WAIT_MS = 1.2, 0.1  # targets: processor time an answer, and p99


@dataclass(frozen=True, slots=True)
class Path:
    """One fast path: busy and calm runs of the node with the ledger, and of the one without."""

    name: str
    title: str
    on: Scenario
    off: Scenario
    calm_on: Scenario
    calm_off: Scenario

    @property
    def scenarios(self) -> tuple[Scenario, ...]:
        """All runs, in the order of a round; on and off take turns."""
        return self.off, self.on, self.calm_off, self.calm_on

    @property
    def cost_us(self) -> float:
        """Worker µs an answer that the ledger adds: the median of what each round differs by.

        Both runs of a round follow each other, so what slows the machine for longer than that weighs on both.
        """
        pairs = zip(self.on.runs, self.off.runs, strict=False)
        return median([on.worker_us - off.worker_us for on, off in pairs] or [0.0])

    @property
    def best_us(self) -> float:
        """The difference of the best rounds."""
        return self.on.extent(_worker_us)[0] - self.off.extent(_worker_us)[0]

    @property
    def waits_us(self) -> tuple[float, float]:
        """What the ledger adds to the latency that 99 % do not exceed, µs: of the medians, of the best rounds."""
        on, off = self.calm_on, self.calm_off
        return on.middle(_p99) - off.middle(_p99), on.extent(_p99)[0] - off.extent(_p99)[0]

    def line(self) -> str:
        """Return its line of the table."""
        latencies = [
            f"{found:8.0f}"
            for row in (self.calm_off, self.calm_on)
            for found in (row.middle(_p50), row.middle(_p99), row.extent(_p99)[0])
        ]
        return (
            f"{self.title:18}{self.off.middle(_worker_us):8.2f}{self.on.middle(_worker_us):8.2f}"
            f"{self.cost_us:+8.2f}{self.best_us:+8.2f}  {''.join(latencies)}"
            f"{self.waits_us[0]:+8.0f}{self.waits_us[1]:+8.0f}"
        )


@dataclass(slots=True)
class Cost:
    """The paths, and how often each is measured."""

    paths: list[Path] = field(default_factory=list)

    def targets(self) -> list[Target]:
        """Return what an answer may cost, by the best rounds: others on the machine only ever add."""
        found = []
        for each in self.paths:
            text = f"Ledger, {each.title}"
            found.append(_most(f"{text}: worker µs an answer, best rounds", each.best_us, COST_US))
            found.append(
                _most(f"{text}: ms at p99, best rounds", each.waits_us[1] / 1_000, WAIT_MS)
            )
        return found

    def scenarios(self) -> list[Scenario]:
        """Return all rows, for bench.json."""
        return [row for each in self.paths for row in each.scenarios]

    def lines(self) -> Iterator[str]:
        """Return the table."""
        yield f"{'':18}{'worker µs an answer':>32}  {'latency off, µs':>24}{'on':>24}{'adds at p99':>16}"
        heads = [
            "off",
            "on",
            "adds",
            "best",
            "p50",
            "p99",
            "best",
            "p50",
            "p99",
            "best",
            "median",
            "best",
        ]
        yield (
            f"{'':18}"
            + "".join(f"{head:>8}" for head in heads[:4])
            + "  "
            + "".join(f"{head:>8}" for head in heads[4:])
        )
        yield from (each.line() for each in self.paths)


def _worker_us(measured: Measured) -> float:
    return measured.worker_us


def _p50(measured: Measured) -> float:
    return measured.run.quantile_us(0.5)


def _p99(measured: Measured) -> float:
    return measured.run.quantile_us(0.99)


def _most(text: str, figure: float, bound: float) -> Target:
    """A figure of 0 would say that nothing was measured."""
    return Target(text, figure or 1e-9, bound, at_least=False)
