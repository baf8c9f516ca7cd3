"""Standing: how long ago a quorum of witnesses has cosigned this log, and what follows from that.

Older than five minutes, what is counted is not vouched for; from fifteen on the log says so itself, in a `gap` leaf.
Answers are given all the while.
"""

from typing import NamedTuple

HEALTHY_SECONDS = 300.0
GAP_SECONDS = 900.0

_MICROSECONDS = 1_000_000


class Standing(NamedTuple):
    """The newest head that a quorum cosigned (0: none yet), when that was, and why witnesses refused, if any did.

    `met_at` is by our clock, POSIX seconds; before the first time it is the start.
    """

    size: int
    met_at: float
    refusals: tuple[str, ...] = ()

    def age(self, now: float) -> float:
        """Return how many seconds ago the quorum was met."""
        return max(now - self.met_at, 0.0)

    def is_healthy(self, now: float) -> bool:
        """True while what is counted is vouched for."""
        return not self.refusals and self.age(now) <= HEALTHY_SECONDS

    def note(self, now: float) -> str:
        """Return a sentence for who operates the node."""
        if self.refusals:
            return f"not vouched for: {'; '.join(self.refusals)}"
        if not self.size:
            return "no head of the log has been cosigned yet"
        told = f"head {self.size} was cosigned {self.age(now):.0f} s ago"
        return told if self.is_healthy(now) else f"{told}; witnesses do not answer"

    def gap_due(self, told_until: float, now: float) -> tuple[int, int] | None:
        """Return the time to be told as a gap, from and to in µs since 1970, when there is one.

        `told_until` is the end of the one before (POSIX seconds, 0 for none): each lasts GAP_SECONDS or more, and the
        next begins where it ended.
        """
        start = max(self.met_at, told_until)
        if now - start < GAP_SECONDS:
            return None
        return int(start * _MICROSECONDS), int(now * _MICROSECONDS)
