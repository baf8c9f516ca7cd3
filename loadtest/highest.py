"""The search for the highest rate that holds: a right answer to every question, within 250 ms of its moment."""

from collections.abc import Callable
from dataclasses import dataclass, field

from loadtest.figures import BOTTLENECK_SHARE, Measured

PRECISION = 0.03  # between the highest rate that held and the lowest that did not
TRIES = 2
GROWTH, SHRINKAGE = 1.15, 0.8  # a rate that holds is raised more each time
LEAST_RATE, MOST_RATE = 100.0, 1_000_000.0  # questions a second that are tried at all

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
    even LEAST_RATE questions a second are answered, or MOST_RATE are.
    """
    found, rate, growth = Ceiling(), min(start, MOST_RATE), GROWTH
    while found.failed > rate > found.rate and _holds(found, attempt, rate, tries):
        rate, growth = min(rate * growth, MOST_RATE), growth * GROWTH
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
