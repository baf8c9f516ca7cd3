"""Turn: what one turn of the event loop answers from ready bytes, on all connections, recorded as one batch.

Recording one answer after the other costs more than answering them: between any two the kernel pushes the ledger's code
and data out of the processor's caches (ADR 0015).  So the answers of a turn wait for its end, a few microseconds, and
are recorded, counted and written together.  That costs a callback more, so where few come in a turn they do not wait,
and every so often one looks again.  TCP has a turn, and HTTP another.

Laws: an answer is recorded before it is written; those of one connection keep their order; what is not going to be
written, since the connection was given up meanwhile, is not recorded; what cannot be recorded is refused by its
connection, in its place.
"""

import asyncio
from collections.abc import Callable, Sequence
from time import perf_counter_ns
from typing import Protocol

from resolver.observe import Tally
from resolver.recorder import MOST_AT_ONCE, Answered

WORTH_IT = 3  # answers of a turn, from which on they wait for one another
_ALONE = 24  # answers that do not wait after a turn that had fewer


class Asking(Protocol):
    """A connection, as far as its answers go."""

    def write(self, answer: bytes, /) -> object:
        """Write an answer that was recorded."""
        ...

    def refuse(self, request: bytes) -> None:
        """Say in place of an answer that it cannot be recorded, or answer the request in another way."""
        ...


class Turn:
    """The ready answers that wait for the end of this turn; one for all connections of a worker and protocol."""

    def __init__(self, record: Callable[[Sequence[Answered], int], int], tally: Tally) -> None:
        """`record` is what records answers of the protocol together, see `Recorder.natives`."""
        self._record = record
        self._tally = tally
        self.began_ns = 0  # when the first of the answers that wait was asked for; 0 when none does
        self._alone = 0  # so many answers more are better given at once
        self._answers: list[Answered] = []
        self._waiting: list[tuple[Asking, bytes, bytes]] = []

    def give(
        self, asking: Asking, answer: Answered, reply: bytes, request: bytes, started_ns: int
    ) -> None:
        """Take an answer that is final; it is written when the turn ends, at the latest."""
        if self._alone:
            self._alone -= 1
            self._give_alone(asking, answer, reply, request, started_ns)
            return
        answers = self._answers
        if not answers:
            self.began_ns = started_ns
            asyncio.get_running_loop().call_soon(self.end)
        answers.append(answer)
        self._waiting.append((asking, reply, request))
        if len(answers) >= MOST_AT_ONCE:
            self.end()

    def end(self) -> None:
        """Record, count and write what waits."""
        answers, waiting, began_ns = self._answers, self._waiting, self.began_ns
        self.began_ns = 0
        if not answers:
            return
        self._answers, self._waiting = [], []
        if len(answers) < WORTH_IT:
            self._alone = _ALONE
        count = self._record(answers, perf_counter_ns())
        self._tally.counted([answer[-1] for answer in answers[:count]])
        for asking, reply, _ in waiting[:count]:
            asking.write(reply)
        self._tally.took(answers[0][-1], perf_counter_ns() - began_ns, count)
        for asking, _, request in waiting[count:]:
            asking.refuse(request)

    def settle(self, asking: Asking) -> None:
        """Write what waits for a connection, before anything else is written to it or it is closed."""
        if self._waiting and any(each is asking for each, _, _ in self._waiting):
            self.end()

    def forget(self, asking: Asking) -> None:
        """Drop what waits for a connection that is given up."""
        kept = [place for place, each in enumerate(self._waiting) if each[0] is not asking]
        self._answers = [self._answers[place] for place in kept]
        self._waiting = [self._waiting[place] for place in kept]

    def _give_alone(
        self, asking: Asking, answer: Answered, reply: bytes, request: bytes, started_ns: int
    ) -> None:
        if self._record((answer,), started_ns):
            asking.write(reply)
            self._tally.answered(answer[-1], perf_counter_ns() - started_ns)
        else:
            asking.refuse(request)
