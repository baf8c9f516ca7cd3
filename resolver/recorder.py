"""Recorder: where front ends record each answered question, just before they send the answer; the node's ledger is one.

It is told in the same breath as `Tally`, and by other code: two counts that are made apart can be compared.  Laws: an
answer is recorded once, when nothing can change it any more; what is not going to be sent is not recorded; an answer
that must not be given unrecorded is not given (`REFUSED`).
"""

from collections.abc import Iterable, Mapping, Sequence
from time import perf_counter_ns
from typing import Any, NamedTuple, Protocol

from resolver.observe import Event, Tally

REFUSED = -1
"""In place of a record's number: the question must not be answered, since the answer cannot be recorded."""

Party = Any
"""Who asks, as the recorder sees it; a front end may keep it as long as peer and, over HTTP, headers are the same."""


Subject = Any
"""What was asked for, as the recorder sees it; a front end may keep it for as long as it likes."""

Prefixes = tuple[bytes, ...]
"""Those of an identifier (`Identifier.prefixes`), where they are known; none says that they are not."""

MOST_AT_ONCE = 64
"""Answers that are recorded together, before they are counted elsewhere: by so many may both counts be apart."""

Answered = tuple[Party, bytes, Subject, int]
"""An answer of a batch: what `Recorder.native` needs but for the time; over HTTP nothing (b"") stands for `asked`."""


class Recorder(Protocol):
    """What front ends are given.

    `cell` is where the answer is counted (`observe.cell`); `now_ns` a reading of `time.perf_counter_ns`, none older
    than the one before.  The number that comes back is for `committed`.
    """

    is_strict: bool
    """Whether answers wait for `committed`; front ends then leave their ready answers alone."""

    def sender(self, address: str) -> Party:
        """Return who asks over the native protocol."""
        ...

    def subject(self, key: bytes, prefixes: Prefixes = ()) -> Subject:
        """Return what is asked for, by its canonical key, or by the bytes that were asked when they name nothing."""
        ...

    def native(self, party: Party, asked: bytes, subject: Subject, cell: int, now_ns: int) -> int:
        """Record the answer to a native message; `asked` is the sender's port and the request's id, as on the wire."""
        ...

    def natives(self, answers: Sequence[Answered], now_ns: int, /) -> int:
        """Record answers that are about to be sent together, at most MOST_AT_ONCE; return how many may be given.

        Those are the first of them.
        """
        ...

    def party(self, peer: str, headers: Iterable[tuple[bytes, bytes]]) -> Party:
        """Return who asks, by the headers as ASGI has them."""
        ...

    def party_of_block(self, peer: str, block: bytes) -> Party:
        """Return who asks, by a block of header lines."""
        ...

    def once(self, party: Party) -> Party:
        """Return the same party, all of whose answers belong to one request."""
        ...

    def http(self, party: Party, subject: Subject, cell: int, now_ns: int, /) -> int:
        """Record the answer to an HTTP request, or to one item of it."""
        ...

    def http_all(self, answers: Sequence[Answered], now_ns: int, /) -> int:
        """Record answers to HTTP requests, as `natives` does."""
        ...

    def receipt(self, party: Party, number: int) -> bytes:
        """Return what the newest record is called, and the newest head of the log; for a party that `once` returned."""
        ...

    async def committed(self, number: int) -> bool:
        """Wait until the disk has the record, if that is what the node promises; False: the answer is refused."""
        ...


class NoRecorder:
    """Records nothing; for a node without a ledger."""

    is_strict = False

    def sender(self, address: str) -> Party:
        """See `Recorder`."""

    def subject(self, key: bytes, prefixes: Prefixes = ()) -> Subject:
        """See `Recorder`."""

    def native(self, party: Party, asked: bytes, subject: Subject, cell: int, now_ns: int) -> int:
        """See `Recorder`."""
        return 0

    def natives(self, answers: Sequence[Answered], now_ns: int) -> int:
        """See `Recorder`."""
        return len(answers)

    def party(self, peer: str, headers: Iterable[tuple[bytes, bytes]]) -> Party:
        """See `Recorder`."""

    def party_of_block(self, peer: str, block: bytes) -> Party:
        """See `Recorder`."""

    def once(self, party: Party) -> Party:
        """See `Recorder`."""

    def http(self, party: Party, subject: Subject, cell: int, now_ns: int) -> int:
        """See `Recorder`."""
        return 0

    def http_all(self, answers: Sequence[Answered], now_ns: int) -> int:
        """See `Recorder`."""
        return len(answers)

    def receipt(self, party: Party, number: int) -> bytes:
        """See `Recorder`."""
        return b""

    async def committed(self, number: int) -> bool:
        """See `Recorder`."""
        return True


RECEIPTS = "idnode.receipts"
"""In the ASGI scope of who asks for a receipt: a list, which gets one before the answer is sent."""


class _Asking(NamedTuple):
    """A party that wants a receipt, and where it goes."""

    party: Party
    receipts: list[bytes]


class HttpCount:
    """Records and counts the answers of the HTTP front ends that are not ready beforehand."""

    def __init__(self, tally: Tally, recorder: Recorder) -> None:
        self._tally = tally
        self._recorder = recorder

    def party(self, scope: Mapping[str, Any]) -> Party:
        """Return who makes the request of an ASGI scope; all its answers belong together."""
        peer = scope.get("client")
        recorder = self._recorder
        party = recorder.once(recorder.party(peer[0] if peer else "", scope["headers"]))
        return _Asking(party, scope[RECEIPTS]) if RECEIPTS in scope else party

    async def answered(self, party: Party, key: bytes, resolution: int, started_ns: int) -> bool:
        """Count an answer that is about to be sent; False: it must not be, since it cannot be recorded."""
        receipts: list[bytes] | None = None
        if type(party) is _Asking:
            party, receipts = party
        number = self._recorder.http(
            party, self._recorder.subject(key), resolution, perf_counter_ns()
        )
        receipt = b""
        if receipts is not None and number > 0:
            # Now, and not when it is sent: an epoch may end while the disk is waited for.
            receipt = self._recorder.receipt(party, number)
        if number < 0 or not await self._recorder.committed(number):
            self._tally.happened(Event.OVERLOADED)
            return False
        if receipts is not None and receipt:
            receipts.append(receipt)
        self._tally.answered(resolution, perf_counter_ns() - started_ns)
        return True
