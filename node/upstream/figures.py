"""Figures: how resolution and registration did in a day: the twelve figures of annex 2 (M1), and how they add up.

A worker counts each answer in a bucket of its latency, and the sum of all latencies; the keeper reads that once a
second.  So the mean is exact.  The greatest and the least are exact in a second in which one answer was given in one
way; of more they are the ends of their buckets, which double from 4.1 µs on: what is told is never better than what
was.  Law: figures of parts of a day, from any number of instances and in any order, merge into those of the day.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Self

from node.store.synced import RowChange
from resolver.observe import bucket_bounds
from sync.channels.tables import NODE_PERFORMANCE

_NANOSECONDS = 1_000  # of a microsecond, to which a row is exact


@dataclass(frozen=True, slots=True)
class Extreme:
    """A value, and the POSIX second in which it was first met."""

    value: int
    at: int


@dataclass(frozen=True, slots=True)
class Latencies:
    """Times of one kind, in nanoseconds; the extremes are None while there are none."""

    count: int = 0
    total: int = 0
    least: Extreme | None = None
    most: Extreme | None = None

    @classmethod
    def gained(cls, gains: Sequence[int], at: int) -> Self:
        """Return what a latency row gained: its buckets, then its sum.

        A row that is read between the two additions of an answer lacks its time; the next reading has it.
        """
        *buckets, total = gains
        filled = [place for place, count in enumerate(buckets) if count]
        if not filled:
            return cls(0, total)
        least, most = bucket_bounds(filled[0])[0], bucket_bounds(filled[-1])[1]
        count = sum(buckets)
        if count == 1 and least <= total < most:
            least = most = total
        return cls(count, total, Extreme(least, at), Extreme(most, at))

    def merge(self, other: "Latencies") -> "Latencies":
        """Return those of both."""
        return Latencies(
            self.count + other.count,
            self.total + other.total,
            _either(self.least, other.least, -1),
            _either(self.most, other.most),
        )

    @property
    def mean(self) -> int:
        """The mean, in nanoseconds; 0 without any.  Extremes of whole buckets lie around it, torn readings aside."""
        if self.least is None or self.most is None:
            return 0
        return min(max(self.total // max(1, self.count), self.least.value), self.most.value)


@dataclass(frozen=True, slots=True)
class Figures:
    """What a day, or a part of it, came to.  `peak` is resolutions in its best second."""

    resolution: Latencies = field(default_factory=Latencies)
    registration: Latencies = field(default_factory=Latencies)
    peak: Extreme | None = None

    def merge(self, other: "Figures") -> "Figures":
        """Return those of both.  Of two peaks the higher one stands: instances are not added second by second."""
        return Figures(
            self.resolution.merge(other.resolution),
            self.registration.merge(other.registration),
            _either(self.peak, other.peak),
        )

    def encode(self) -> str:
        """Return them as JSON, to be stored."""
        return json.dumps([_listed(self.resolution), _listed(self.registration), _pair(self.peak)])

    @classmethod
    def decode(cls, text: str) -> Self:
        """Return what `encode` wrote; nothing yet for `null`."""
        stored: Any = json.loads(text)
        if stored is None:
            return cls()
        resolution, registration, peak = stored
        return cls(_latencies(resolution), _latencies(registration), _extreme(peak))


def performance_row(node_prefix: str, day: date, figures: Figures) -> RowChange:
    """Return the row of M1.  Raises Fault when it cannot be said."""
    row: dict[str, object] = {"prefix": node_prefix, "day": day.isoformat()}
    row |= _said("resolution", figures.resolution) | _said("registration", figures.registration)
    if figures.peak is not None and figures.peak.value:
        row["resolution_peak"] = figures.peak.value
        row["resolution_peak_at"] = moment(figures.peak.at)
    table = NODE_PERFORMANCE
    return RowChange(table.number, table.key_of(row), table.encode(row))


def moment(at: float) -> str:
    """Return a POSIX time as tables have it: UTC, to the second."""
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def milliseconds(nanoseconds: int) -> str:
    """Return a length of time as tables have it: milliseconds, rounded to three decimals."""
    whole, rest = divmod((nanoseconds + _NANOSECONDS // 2) // _NANOSECONDS, 1_000)
    return f"{whole}.{rest:03}".rstrip("0").rstrip(".") if rest else str(whole)


def _said(what: str, found: Latencies) -> dict[str, object]:
    if found.least is None or found.most is None:
        return {}
    return {
        f"{what}_mean": milliseconds(found.mean),
        f"{what}_max": milliseconds(found.most.value),
        f"{what}_max_at": moment(found.most.at),
        f"{what}_min": milliseconds(found.least.value),
        f"{what}_min_at": moment(found.least.at),
    }


def _either(one: Extreme | None, other: Extreme | None, sign: int = 1) -> Extreme | None:
    """Return the greater one (with a sign of -1 the lesser), of equals the earlier."""
    there = [each for each in (one, other) if each is not None]
    return max(there, key=lambda each: (sign * each.value, -each.at), default=None)


def _listed(found: Latencies) -> list[Any]:
    return [found.count, found.total, _pair(found.least), _pair(found.most)]


def _latencies(stored: list[Any]) -> Latencies:
    count, total, least, most = stored
    return Latencies(count, total, _extreme(least), _extreme(most))


def _pair(found: Extreme | None) -> list[int] | None:
    return None if found is None else [found.value, found.at]


def _extreme(stored: list[int] | None) -> Extreme | None:
    return None if stored is None else Extreme(*stored)
