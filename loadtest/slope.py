"""Slope: does a series of figures rise, or does it only scatter?

A line by least squares (Gauss 1809) through the means of equal parts of the time.  Neighbouring samples of a process's
memory are alike, so the scatter around the line through all of them would look far too small; the means of the parts
hardly depend on each other.  A rise counts as one when it is beyond the scatter (99.9 % of Student's t for ten parts),
and more than what an allocator takes at once: memory comes in arenas, and one of them is no trend.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from statistics import fmean

PARTS = 10
T_LIMIT = 4.501  # Student's t, 8 degrees of freedom, one-sided 99.9 %
ARENA_BYTES = 1 << 20  # of CPython's obmalloc on 64-bit machines
LEAST_POINTS = 2 * PARTS

Point = tuple[float, float]
"""Seconds, and a figure."""


@dataclass(frozen=True, slots=True)
class Slope:
    """A line: its rise a second with its standard error, the figure in the middle, and for how long it was watched."""

    rise: float
    error: float
    middle: float
    seconds: float

    @property
    def grown(self) -> float:
        """How much the line rises from the first sample to the last."""
        return self.rise * self.seconds

    def is_beyond_noise(self, least: float = ARENA_BYTES) -> bool:
        """True when it rises more than it scatters, and by more than `least` over the whole time."""
        return self.rise > T_LIMIT * self.error and self.grown > least

    def __str__(self) -> str:
        hour = 3_600 / 1e6
        return (
            f"{self.middle / 1e6:8.1f} MB {self.rise * hour:+9.2f} ± {T_LIMIT * self.error * hour:.2f} MB an hour, "
            f"{self.grown / 1e6:+.2f} MB in {self.seconds / 60:.1f} min"
        )


def fit(points: Sequence[Point]) -> Slope:
    """Return the line through points, and how sure its rise is.  Raises ValueError for fewer than three times.

    The error is that of the rise: the root of the residuals' variance over the spread of the times.
    """
    at, figures = [point[0] for point in points], [point[1] for point in points]
    centre, middle = fmean(at), fmean(figures)
    spread = sum((each - centre) ** 2 for each in at)
    if len(set(at)) < 3:
        raise ValueError("a line with an error needs three points")
    rise = sum((x - centre) * (y - middle) for x, y in zip(at, figures, strict=True)) / spread
    left = sum((y - middle - rise * (x - centre)) ** 2 for x, y in zip(at, figures, strict=True))
    error = sqrt(left / (len(points) - 2) / spread)
    return Slope(rise, error, middle, max(at) - min(at))


def parts_of(points: Sequence[Point], parts: int = PARTS) -> list[Point]:
    """Return the means of so many equal parts of a series.  Raises ValueError when it has too few points."""
    if len(points) < 2 * parts:
        raise ValueError(f"{len(points)} points are too few for {parts} parts")
    edges = [len(points) * number // parts for number in range(parts + 1)]
    return [
        (fmean(at for at, _ in points[first:end]), fmean(figure for _, figure in points[first:end]))
        for first, end in pairwise(edges)
    ]


def slope_of(points: Sequence[Point]) -> Slope:
    """Return the slope of a series, its error by parts.  Raises ValueError when there are fewer than LEAST_POINTS."""
    line = fit(parts_of(points))
    return Slope(line.rise, line.error, line.middle, points[-1][0] - points[0][0])
