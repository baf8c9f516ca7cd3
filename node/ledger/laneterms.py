"""The terms of a lane: its clocks, how durable it is, how long an epoch."""

import time
from collections.abc import Callable
from typing import NamedTuple

from node.ledger.lanefile import (
    MAX_CAPACITY,
    MAX_LANE,
    MAX_ORIGIN_BYTES,
    Durability,
    LaneError,
)

CAPACITY = 2**20  # records of an epoch: 64 MiB


class Clocks(NamedTuple):
    """Both clocks, in nanoseconds."""

    monotonic_ns: Callable[[], int] = time.perf_counter_ns
    wall_ns: Callable[[], int] = time.time_ns


class LaneTerms(NamedTuple):
    """How a lane is kept: settings `ledger_durability`, `ledger_fail` (closed), `ledger_origin`; records an epoch."""

    durability: Durability = Durability.GROUP
    fails_closed: bool = False
    origin: str = ""
    capacity: int = CAPACITY

    def check(self, lane: int) -> None:
        """Raise LaneError when there can be no lane of this number on these terms."""
        if not 0 <= lane <= MAX_LANE:
            raise LaneError(f"there is no lane {lane}: they are numbered up to {MAX_LANE}")
        if not 1 <= self.capacity <= MAX_CAPACITY:
            raise LaneError(f"an epoch holds 1 to {MAX_CAPACITY} records, not {self.capacity}")
        if len(self.origin.encode()) > MAX_ORIGIN_BYTES:
            raise LaneError(f"an origin has at most {MAX_ORIGIN_BYTES} bytes: {self.origin[:40]}…")
