"""The terms of a lane: its clocks, how durable it is, how long an epoch."""

import time
from collections.abc import Callable
from typing import NamedTuple

from node.ledger.lanefile import Durability

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
