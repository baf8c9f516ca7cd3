"""Ring: native questions under way, each found again by the request id in its answer.

Slot i holds exchange i modulo their number under the request id i, and is asked again when all the others have been,
the plan's patience later at the earliest; what has no answer by then is lost.  Ids are in the machine's byte order, as
in `generator_udp`.  Law: a slot's mark is 0 while no answer is owed, else WARM or COUNTED, as its question is.
"""

from collections.abc import Sequence
from math import ceil

from loadtest.exchange import BODY_AT, Exchange, numbered
from loadtest.plan import Plan, Tally

WARM, COUNTED = 1, 2
MOST_SLOTS = 1 << 20


class Ring:
    """The questions of a plan, and what of them is under way; `run` of the tally has the faults."""

    def __init__(self, exchanges: Sequence[Exchange], plan: Plan, tally: Tally) -> None:
        """Raises ValueError when there is nothing to ask, or the rate needs more than MOST_SLOTS."""
        rounds = ceil(plan.rate * plan.patience / max(len(exchanges), 1))
        self.size = len(exchanges) * rounds
        if not 0 < self.size <= max(MOST_SLOTS, len(exchanges)):
            raise ValueError(f"{len(exchanges)} exchanges at {plan.rate:g} a second")
        mine = [numbered(exchanges[slot % len(exchanges)], slot) for slot in range(self.size)]
        self.requests = [one.request for one in mine]
        self.heads = [one.head for one in mine]
        self.tails = [one.tail for one in mine]
        self.lengths = [BODY_AT + len(one.tail) for one in mine]
        self.marks = bytearray(self.size)
        self.sent = self.cursor = 0  # questions in all; the slot of the next
        self._plan, self._tally = plan, tally
        self._moments = [slot / plan.rate for slot in range(self.size)]  # of a slot, in its round
        self._round, self._period = 0.0, self.size / plan.rate  # when this one began, its length

    def due(self, now: float, most: int) -> int:
        """Return how many questions from `cursor` on are due and may be sent in one piece."""
        sent, plan = self.sent, self._plan
        count = min(int((now - self._tally.begin) * plan.rate) + 1, plan.total) - sent
        if count <= 0:
            return 0
        if sent < plan.warm:
            count = min(count, plan.warm - sent)
        return min(count, self.size - self.cursor, most)

    def take(self, count: int, now: float) -> None:
        """Note that so many were sent from `cursor` on; what was still under way there is lost."""
        first, end = self.cursor, self.cursor + count
        if self.marks.find(COUNTED, first, end) >= 0:
            self._tally.lost(self.marks.count(COUNTED, first, end))
        mark = COUNTED if self.sent >= self._plan.warm else WARM
        self.marks[first:end] = bytes((mark,)) * count
        self._tally.sent(self.sent, count, now)
        self.sent += count
        self.cursor = end
        if end == self.size:
            self.cursor, self._round = 0, self._round + self._period

    def right(self, slots: list[int], marks: list[int], now: float) -> None:
        """Count right answers, given by slot, with the mark that each had."""
        if WARM in marks:
            self._tally.run.warm_answers += marks.count(WARM)
            slots = [slot for slot, mark in zip(slots, marks, strict=True) if mark == COUNTED]
        here = now - self._tally.begin - self._round
        before, cursor, moments = here + self._period, self.cursor, self._moments
        self._tally.right(
            [(here if slot < cursor else before) - moments[slot] for slot in slots], now
        )

    def odd(self, data: bytes, slot: int) -> None:
        """Tell a wrong answer from a right one that came twice, or too late."""
        known = slot < self.size
        if known and data.startswith(self.heads[slot]) and data[BODY_AT:] == self.tails[slot]:
            self._tally.run.strays += 1
            return
        self._tally.run.fault(f"native request {slot}: answer {data[:1024].hex()}")
        if known:
            self.marks[slot] = 0

    def finish(self) -> None:
        """Count what is still under way as lost."""
        self._tally.lost(self.marks.count(COUNTED))

    @property
    def is_owed(self) -> bool:
        """True while an answer is under way."""
        return self.marks.count(0) != self.size
