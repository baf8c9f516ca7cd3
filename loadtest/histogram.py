"""Histogram: how often an answer took how long, in buckets whose width is a share of the time itself.

Buckets are log-linear, from 1 µs to 60 s: each doubling is cut into 64 equal parts, so a bucket is at most 1/64 as wide
as it is high, and its middle at most 0.8 % off whatever fell into it.  What is shorter or longer counts in the first or
the last one.  A million answers or a billion: at most 1,660 counts.

The bucket is read off the number itself: a double's exponent and the first six bits of its fraction, which is what
remains of its 64 bits after a shift.  So a batch costs no arithmetic of ours.
"""

import struct
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from math import ceil
from typing import NamedTuple

LEAST_SECONDS, MOST_SECONDS = 1e-6, 60.0
_FRACTION_BITS = 6
_SHIFT = 52 - _FRACTION_BITS


class Bucket(NamedTuple):
    """`number` answers took at least `low` and less than `high` seconds."""

    low: float
    high: float
    number: int


class Histogram:
    """Counts of times, in seconds; empty at first."""

    __slots__ = ("_counts", "_longest", "_sum")

    def __init__(self, seconds: Iterable[float] = ()) -> None:
        self._counts: Counter[int] = Counter()
        self._longest = self._sum = 0.0
        self.add_all(list(seconds))

    def add(self, seconds: float) -> None:
        """Count one time."""
        self.add_all((seconds,))

    def add_all(self, seconds: Sequence[float]) -> None:
        """Count many times: 0.15 µs each in batches of hundreds."""
        if not seconds:
            return
        bits = memoryview(array("d", seconds)).cast("B").cast("Q").tolist()
        for key, count in Counter([each >> _SHIFT for each in bits]).items():
            self._counts[_clamped(key)] += count
        self._longest = max(self._longest, max(seconds))
        self._sum += sum(seconds)

    def merge(self, other: "Histogram") -> None:
        """Count what another one counted, too."""
        self._counts.update(other._counts)
        self._longest = max(self._longest, other._longest)
        self._sum += other._sum

    def __len__(self) -> int:
        return self._counts.total()

    @property
    def longest(self) -> float:
        """The longest time, exactly (0.0: there is none)."""
        return self._longest

    @property
    def mean(self) -> float:
        """The mean, exactly (0.0: there is none)."""
        return self._sum / len(self) if self._counts else 0.0

    def percentile(self, percent: float) -> float:
        """Return the time that this many percent of all did not exceed, at most 0.8 % off; 100 is exact.

        By rank: the least time such that so many are not longer.  0.0 when nothing was counted.
        Raises ValueError when `percent` is not in 0 … 100.
        """
        if not 0 <= percent <= 100:
            raise ValueError(f"a percentile lies in 0 … 100, not at {percent}")
        rank, below = max(1, ceil(percent / 100 * len(self))), 0
        if rank >= len(self):
            return self._longest
        for low, high, count in self.counts():
            below += count
            if below >= rank:
                return min((low + high) / 2, self._longest)
        return self._longest

    def above(self, seconds: float) -> int:
        """Return how many were longer, but for those in the bucket of this time itself."""
        return sum(bucket.number for bucket in self.counts() if bucket.low > seconds)

    def counts(self) -> list[Bucket]:
        """Return the buckets that are not empty, the shortest times first."""
        return [
            Bucket(_edge(key), _edge(key + 1), count) for key, count in sorted(self._counts.items())
        ]

    def as_json(self) -> dict[str, object]:
        """Return count, percentiles in microseconds, and the buckets for a chart: [from µs, to µs, count]."""
        return {
            "count": len(self),
            "mean_us": _us(self.mean),
            **{f"p{percent:g}_us": _us(self.percentile(percent)) for percent in (50, 90, 99, 99.9)},
            "max_us": _us(self._longest),
            "buckets": [[_us(low), _us(high), count] for low, high, count in self.counts()],
        }


def _us(seconds: float) -> float:
    return round(1e6 * seconds, 2)


def _key(seconds: float) -> int:
    bits: int = struct.unpack("<Q", struct.pack("<d", seconds))[0]
    return bits >> _SHIFT


def _edge(key: int) -> float:
    seconds: float = struct.unpack("<d", struct.pack("<Q", key << _SHIFT))[0]
    return seconds


_FIRST, _LAST = _key(LEAST_SECONDS), _key(MOST_SECONDS)
_NEGATIVE = _key(-0.0)  # the sign is the highest bit


def _clamped(key: int) -> int:
    if key >= _NEGATIVE:
        return _FIRST
    return min(max(key, _FIRST), _LAST)
