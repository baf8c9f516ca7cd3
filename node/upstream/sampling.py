"""Sampling: what the counters of all processes of this node have gained since they were last read."""

from collections.abc import Sequence

from node.counters import Counters
from node.upstream.figures import Extreme, Figures, Latencies
from resolver.observe import LATENCY_BASE, PROTOCOLS, latency_row, registration_row

_RESOLUTION = [latency_row(protocol) for protocol in PROTOCOLS]
_END = registration_row()[1] + 1
_Row = tuple[range, int]


class Sampler:
    """Reads the latency rows of every slot; the first reading is where it begins."""

    def __init__(self, slots: Sequence[Counters]) -> None:
        self._slots = slots
        self._before = [_read(each) for each in slots]

    def gain(self, at: int, seconds: float = 1.0) -> Figures:
        """Return what was gained since the last call, as of the POSIX second `at`; it took so many seconds.

        A second that was cut short counts as a whole one, so that it makes no peak.
        """
        found = Figures()
        for place, slot in enumerate(self._slots):
            before, now = self._before[place], _read(slot)
            if now != before:
                self._before[place] = now
                found = found.merge(_gained(before, now, at))
        rate = round(found.resolution.count / max(1.0, seconds))
        peak = Extreme(rate, at) if rate else None
        return Figures(found.resolution, found.registration, peak)


def _read(slot: Counters) -> list[int]:
    return list(slot.cells[LATENCY_BASE:_END])


def _gained(before: list[int], now: list[int], at: int) -> Figures:
    resolution = Latencies()
    for row in _RESOLUTION:
        resolution = resolution.merge(Latencies.gained(_gains(row, before, now), at))
    registration = Latencies.gained(_gains(registration_row(), before, now), at)
    return Figures(resolution, registration)


def _gains(row: _Row, before: list[int], now: list[int]) -> list[int]:
    """Return what each cell of a row gained; one that fell back began anew, and has gained all that it has."""
    start, end = row[0].start - LATENCY_BASE, row[1] + 1 - LATENCY_BASE
    pairs = list(zip(before[start:end], now[start:end], strict=True))
    if any(late < early for early, late in pairs):
        return [late for _, late in pairs]
    return [late - early for early, late in pairs]
