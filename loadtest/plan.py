"""Plan: which question of an open loop is due when; and the account of what became of each.

Question n is due n / rate seconds after the beginning, whatever became of those before it, and its latency is counted
from then: a server that pauses makes all wait that would have come in its pause (no coordinated omission).  Questions
of the warm-up are asked and checked like the others, and not counted, unless their answer is wrong.
"""

from dataclasses import dataclass
from time import perf_counter

from loadtest.run import Run

LATE_SECONDS = 0.25  # RFC 8219 §9: a question counts as answered within this time
LOST_SECONDS = 1.0  # no answer for so long: it does not come any more (unless said otherwise)
BEHIND_SECONDS = (
    0.001  # sent so long after its moment: the generator was too slow, or kept from its core
)
CATCH_UP = 64  # questions under way while it catches up; a burst that the plan does not hold would overflow buffers
IDLE_SECONDS = 0.002  # so far off is the next moment when it may sleep until shortly before
_FOLDED_AT = 512


@dataclass(frozen=True, slots=True)
class Plan:
    """`rate` questions a second for `warm_seconds` and then `seconds`; what has no answer after `patience` is lost."""

    rate: float
    seconds: float
    warm_seconds: float
    patience: float = LOST_SECONDS

    def __post_init__(self) -> None:
        """Raises ValueError when nothing would be asked."""
        if (
            self.rate <= 0
            or self.warm_seconds < 0
            or self.patience <= 0
            or self.rate * self.seconds < 1
        ):
            raise ValueError(f"no question is due in {self}")

    @property
    def warm(self) -> int:
        """How many questions are asked before counting begins."""
        return round(self.rate * self.warm_seconds)

    @property
    def total(self) -> int:
        """How many questions are asked at all."""
        return self.warm + round(self.rate * self.seconds)


class Tally:
    """The account of one run; `begin` is the moment of question 0, on the clock of `perf_counter`."""

    def __init__(self, plan: Plan) -> None:
        self.run = Run(asked=plan.total - plan.warm)
        self.begin = 0.0
        self._plan, self._zero, self._last = plan, 0.0, 0.0
        self._waits: list[float] = []
        self._seconds = [0] * (int(plan.seconds) + 2)

    def start(self) -> float:
        """Begin now; return the moment."""
        self.begin = perf_counter()
        self._zero = self._last = self.begin + self._plan.warm / self._plan.rate
        return self.begin

    @property
    def end(self) -> float:
        """When the generator gives up what it has not asked yet."""
        return self.begin + self._plan.total / self._plan.rate + self._plan.patience

    def is_behind(self, number: int, now: float) -> bool:
        """True when this question was due more than BEHIND_SECONDS ago."""
        return now - self.begin - number / self._plan.rate > BEHIND_SECONDS

    def sent(self, first: int, count: int, now: float) -> None:
        """Note that questions first … first + count were sent now: how many of them too late?"""
        overdue = int((now - self.begin - BEHIND_SECONDS) * self._plan.rate) + 1
        if overdue > first >= self._plan.warm:
            self.run.behind += min(count, overdue - first)

    def right(self, waits: list[float], now: float) -> None:
        """Count right answers that are here now, by their latencies."""
        self._waits += waits
        self._last = now
        self._seconds[min(max(0, int(now - self._zero)), len(self._seconds) - 1)] += len(waits)
        if len(self._waits) >= _FOLDED_AT:
            self._fold()

    def lost(self, count: int) -> None:
        """Count questions without an answer."""
        self.run.lost += count

    def finish(self, sent: int) -> Run:
        """Return the run; `sent` questions were asked, those of the warm-up included."""
        self._fold()
        run, plan = self.run, self._plan
        run.unasked = plan.total - max(sent, plan.warm)
        run.late += run.unasked
        run.behind += run.unasked
        run.answers = len(run.histogram)
        run.seconds = max(plan.seconds, self._last - self._zero)
        run.warm_seconds = plan.warm_seconds
        run.each_second = self._seconds
        return run

    def _fold(self) -> None:
        if self._waits and max(self._waits) > LATE_SECONDS:
            self.run.late += sum(wait > LATE_SECONDS for wait in self._waits)
        self.run.histogram.add_all(self._waits)
        self._waits.clear()
