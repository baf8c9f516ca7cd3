"""Meters: the two counts of each worker at one moment, for the `met` leaf: Prometheus' and the ledger's.

They come from two places: the counters of the slot, which the front ends add to, and the lane's own bytes.  A worker
goes on while it is read, so the lane is read before and after: what came in between may be missing in the one count or
the other, and so may the answers that are being given together just then.
"""

from collections.abc import Callable, Mapping, Sequence

from node.counters import Counters
from resolver.observe import LATENCY_BASE
from resolver.recorder import MOST_AT_ONCE

TRIES = 5  # to find a moment in which a worker does nothing
MOST_TRIES = 25  # to find one in which no lane goes on to its next epoch: these are seconds apart, a try is not

Position = tuple[int, int]
"""A lane's epoch and newest record."""

Newest = Callable[[], dict[int, Position]]
"""newest(): where each lane is; a slot's lane has its number."""

Row = tuple[int, int, int, int, int, int]
"""Slot, lane, epoch, Prometheus, ledger, in flight."""


def read_meters(slots: Sequence[Counters], newest: Newest) -> tuple[Row, ...]:
    """Return a row for each worker that has a lane.

    What came in between is known only where the lane's epoch was the same before and after.
    """
    after = newest()
    for tried in range(1, MOST_TRIES + 1):
        before = after
        counts = [sum(each.cells[:LATENCY_BASE]) for each in slots]
        after = newest()
        if after == before or (tried >= TRIES and _epochs(before) == _epochs(after)):
            break
    lanes = [(slot, count) for slot, count in enumerate(counts) if slot in after]
    return tuple(_row(slot, count, before.get(slot), after[slot]) for slot, count in lanes)


def _epochs(positions: Mapping[int, Position]) -> dict[int, int]:
    return {lane: epoch for lane, (epoch, _) in positions.items()}


def _row(slot: int, count: int, before: Position | None, after: Position) -> Row:
    epoch, last = after
    known = before[1] if before is not None and before[0] == epoch else 0
    return slot, slot, epoch, count, last, last - known + MOST_AT_ONCE


class Drift:
    """By how much Prometheus' count of each worker has grown more than the ledger's, minute by minute.

    It is reckoned from the first rows of the lane's present epoch; what was in flight at either end is no difference.
    """

    def __init__(self) -> None:
        self.apart: dict[int, int] = {}  # by slot; replaced as a whole
        self._first: dict[int, Row] = {}

    def note(self, rows: Sequence[Row]) -> None:
        """Take in the rows of a minute."""
        self.apart = {row[0]: self._apart(row) for row in rows}

    def _apart(self, row: Row) -> int:
        slot, _, epoch, counted, recorded, flying = row
        first = self._first.get(slot)
        if first is None or first[2] != epoch:
            self._first[slot] = row
            return 0
        apart = (counted - first[3]) - (recorded - first[4])
        return apart if abs(apart) > flying + first[5] else 0
