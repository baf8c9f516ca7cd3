"""Turn: what one turn of the event loop answers over TCP from ready bytes, on all connections, recorded as one batch.

Recording one answer after the other costs more than answering them: between any two the kernel pushes the ledger's code
and data out of the processor's caches (ADR 0015).  So the answers of a turn wait for its end, a few microseconds, and
are recorded, counted and written together.  That costs a callback more, so where few come in a turn they do not wait,
and every so often one looks again.

Laws: an answer is recorded before it is written; those of one connection keep their order; what is not going to be
written, since the connection was given up meanwhile, is not recorded.
"""

import asyncio
from time import perf_counter_ns

from resolver.observe import Event, Tally
from resolver.recorder import MOST_AT_ONCE, Answered, Recorder
from resolver.responder import Responder

WORTH_IT = 3  # answers of a turn, from which on they wait for one another
_ALONE = 24  # answers that do not wait after a turn that had fewer

_Waiting = tuple[asyncio.Transport, bytes, bytes]
"""Where an answer goes, the answer, and the message that it answers."""


class Turn:
    """The ready answers that wait for the end of this turn; one for all connections of a worker."""

    def __init__(self, responder: Responder, tally: Tally, recorder: Recorder) -> None:
        self.alone = 0  # so many answers more are better given at once
        self._responder = responder
        self._tally = tally
        self._recorder = recorder
        self._answers: list[Answered] = []
        self._waiting: list[_Waiting] = []
        self._began_ns = 0

    def add(self, answer: Answered, waiting: _Waiting, started_ns: int) -> None:
        """Take an answer that is final; it is written when the turn ends."""
        answers = self._answers
        if not answers:
            self._began_ns = started_ns
            asyncio.get_running_loop().call_soon(self.end)
        answers.append(answer)
        self._waiting.append(waiting)
        if len(answers) >= MOST_AT_ONCE:
            self.end()

    def end(self) -> None:
        """Record, count and write what waits."""
        answers, waiting = self._answers, self._waiting
        if not answers:
            return
        self._answers, self._waiting = [], []
        self.alone = 0 if len(answers) >= WORTH_IT else _ALONE
        count = self._recorder.natives(answers, perf_counter_ns())
        self._tally.counted([cell for _, _, _, cell in answers[:count]])
        if count < len(answers):
            waiting[count:] = self._refused(waiting[count:])
        for transport, reply, _ in waiting:
            transport.write(reply)
        self._tally.took(answers[0][-1], perf_counter_ns() - self._began_ns, count)

    def settle(self, transport: asyncio.Transport) -> None:
        """Write what waits for a connection, before anything else is written to it or it is closed."""
        if any(each is transport for each, _, _ in self._waiting):
            self.end()

    def forget(self, transport: asyncio.Transport) -> None:
        """Drop what waits for a connection that is given up."""
        kept = [place for place, each in enumerate(self._waiting) if each[0] is not transport]
        self._answers = [self._answers[place] for place in kept]
        self._waiting = [self._waiting[place] for place in kept]

    def _refused(self, waiting: list[_Waiting]) -> list[_Waiting]:
        """Return what is said in place of answers that cannot be recorded."""
        self._tally.happened(Event.OVERLOADED, len(waiting))
        refuse = self._responder.refuse_as_busy
        return [(transport, refuse(message), message) for transport, _, message in waiting]
