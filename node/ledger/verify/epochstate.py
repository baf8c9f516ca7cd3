"""Where one epoch of a lane has come to, as the leaves say."""

from dataclasses import dataclass


@dataclass(slots=True)
class EpochState:
    """Opened and ended are times, µs; `block` and `last` the newest block and record; `bound` the sum of its gaps.

    `begun` is the end of its first block with records: its file is made in advance, and may have waited long for them.
    """

    opened: int
    ended: int
    block: int = 0
    last: int = 0
    is_over: bool = False
    bound: int = 0
    begun: int = 0
