"""Spread: a figure of many rounds, and how far it would have been another one had other rounds come up.

The rounds are drawn anew with replacement (bootstrap), whole ones, since what disturbs a machine disturbs a round: the
interval holds what 95 % of such draws come to.  Of few rounds it says little, and of one nothing: it is the figure.
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple, TypeVar

from loadtest.histogram import Histogram

DRAWS = 400
SHARE = 0.95

Round = TypeVar("Round")


class Spread(NamedTuple):
    """A figure, and the interval of it."""

    figure: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.figure:+.2f} ({self.low:+.2f} to {self.high:+.2f})"

    def verdict(self, bound: float) -> str:
        """Say whether the figure is within a bound, and whether other rounds might have said otherwise."""
        word = "met" if self.figure <= bound else "not met"
        is_sure = (self.high <= bound) if self.figure <= bound else (self.low > bound)
        return word if is_sure else f"{word}, by less than the rounds differ"


def spread(rounds: Sequence[Round], figure: Callable[[Sequence[Round]], float]) -> Spread:
    """Return a figure of these rounds with its interval; all 0.0 without rounds.  The draws are always the same."""
    if not rounds:
        return Spread(0.0, 0.0, 0.0)
    random = Random(len(rounds))
    found = sorted(figure(random.choices(rounds, k=len(rounds))) for _ in range(DRAWS))
    beyond = int(DRAWS * (1 - SHARE) / 2)
    return Spread(figure(rounds), found[beyond], found[-1 - beyond])


def pooled(rounds: Sequence[Histogram], percent: float) -> float:
    """Return a percentile of all times of all rounds together, in microseconds (0.0: there is none)."""
    whole = Histogram()
    for each in rounds:
        whole.merge(each)
    return 1e6 * whole.percentile(percent)
