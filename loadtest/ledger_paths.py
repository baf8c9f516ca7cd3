"""What the audit ledger adds to each fast path: the figures of two nodes, with and without it, and their targets."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

from loadtest.figures import Measured, Scenario, Target
from loadtest.histogram import Histogram
from loadtest.spread import Spread, pooled, spread

COST_US, WAIT_MS = 1.2, 0.1  # targets: processor time an answer, and p99
HEADS = (
    f"{'':18}{'worker µs an answer':>48}    {'latency of all rounds, p99 of a quiet round, µs':>62}",
    f"{'':18}{'off':>8}{'on':>8}{'adds (95 % interval)':>25}{'best':>7}    {'p50 off':>8}{'on':>6}"
    f"{'p90 off':>9}{'on':>6}{'p99 echo':>10}{'off':>7}{'on':>7}{'adds (95 % interval)':>27}{'off - off':>11}",
)


@dataclass(frozen=True, slots=True)
class Path:
    """One fast path: busy and calm runs of the node with the ledger, and of the one without; calm ones of an echo."""

    name: str
    title: str
    on: Scenario
    off: Scenario
    calm_on: Scenario
    calm_off: Scenario
    echo: Scenario

    @property
    def scenarios(self) -> tuple[Scenario, ...]:
        """All runs, in the order of a round; on and off take turns."""
        return self.off, self.on, self.calm_off, self.calm_on, self.echo

    @property
    def cost(self) -> Spread:
        """Worker µs an answer that the ledger adds: the median of what each round differs by.

        Both runs of a round follow each other, so what slows the machine for longer than that weighs on both.
        """
        pairs = zip(self.on.runs, self.off.runs, strict=False)
        return spread([on.worker_us - off.worker_us for on, off in pairs], median)

    @property
    def best_us(self) -> float:
        """The difference of the best rounds."""
        return self.on.extent(_worker_us)[0] - self.off.extent(_worker_us)[0]

    @property
    def wait(self) -> Spread:
        """What the ledger adds to the latency that 99 % of a quiet round's questions do not exceed, µs.

        The host stops all now and then, for milliseconds, which only ever adds: a round of a tenth of a second that is
        spared tells of the node.  A quiet one is that than which a quarter of all rounds were quieter.  What the ledger
        itself adds now and then, in fewer than three rounds of four, is not in it; its flush is, every 0.1 s.
        """
        return spread(
            list(zip(_histograms(self.calm_on), _histograms(self.calm_off), strict=False)), _added
        )

    @property
    def off_and_off_us(self) -> float:
        """What the same figure is, without sign, of every other round without the ledger against the ones between."""
        off = _histograms(self.calm_off)
        return abs(_quiet_p99(off[::2]) - _quiet_p99(off[1::2])) if len(off) > 1 else 0.0

    def line(self) -> str:
        """Return its line of the table."""
        echo, off, on = (_histograms(row) for row in (self.echo, self.calm_off, self.calm_on))
        return (
            f"{self.title:18}{self.off.middle(_worker_us):8.2f}{self.on.middle(_worker_us):8.2f}"
            f"{self.cost!s:>25}{self.best_us:+7.2f}    {pooled(off, 50):8.0f}{pooled(on, 50):6.0f}"
            f"{pooled(off, 90):9.0f}{pooled(on, 90):6.0f}"
            f"{_quiet_p99(echo):10.0f}{_quiet_p99(off):7.0f}{_quiet_p99(on):7.0f}"
            f"{self.wait!s:>27}{self.off_and_off_us:11.2f}"
        )

    def verdicts(self) -> Iterator[str]:
        """Say of both targets whether they are met, and how surely."""
        cost, wait = self.cost, Spread(*(each / 1_000 for each in self.wait))
        yield f"Ledger, {self.title}: worker µs {cost}, at most {COST_US}: {cost.verdict(COST_US)}"
        verdict, scatter_ms = wait.verdict(WAIT_MS), self.off_and_off_us / 1_000
        if scatter_ms > WAIT_MS:
            verdict = f"not to be told here, where rounds without it differ by {scatter_ms:.2f} ms"
        yield f"Ledger, {self.title}: ms at p99 {wait}, at most {WAIT_MS}: {verdict}"


@dataclass(slots=True)
class Cost:
    """The paths, and how often each is measured."""

    paths: list[Path] = field(default_factory=list)

    def targets(self) -> list[Target]:
        """Return what an answer may cost: the median round, and the p99 of a quiet round."""
        found = []
        for each in self.paths:
            text, wait_ms = f"Ledger, {each.title}", each.wait.figure / 1_000
            found.append(_most(f"{text}: worker µs an answer", each.cost.figure, COST_US))
            found.append(_most(f"{text}: ms at p99 of a quiet round", wait_ms, WAIT_MS))
        return found

    def scenarios(self) -> list[Scenario]:
        """Return all rows, for bench.json."""
        return [row for each in self.paths for row in each.scenarios]

    def lines(self) -> Iterator[str]:
        """Return the table."""
        yield from HEADS
        yield from (each.line() for each in self.paths)

    def verdicts(self) -> Iterator[str]:
        """Return what there is to say of the targets."""
        for each in self.paths:
            yield from each.verdicts()


def _histograms(row: Scenario) -> list[Histogram]:
    return [Histogram(measured.run.latencies) for measured in row.runs]


def _added(rounds: Sequence[tuple[Histogram, Histogram]]) -> float:
    return _quiet_p99([on for on, _ in rounds]) - _quiet_p99([off for _, off in rounds])


def _quiet_p99(rounds: Sequence[Histogram]) -> float:
    found = sorted(pooled([each], 99) for each in rounds)
    return found[len(found) // 4] if found else 0.0


def _worker_us(measured: Measured) -> float:
    return measured.worker_us


def _most(text: str, figure: float, bound: float) -> Target:
    """A figure of 0 would say that nothing was measured."""
    return Target(text, figure or 1e-9, bound, at_least=False)
