"""Between transports and messages: cutting and joining datagrams, finding messages in a stream (RFC
3652 §2.3).

Nothing here opens or waits: bytes come in with a time, whole messages come out.  What arrives is
bounded in size, number and age, so strangers cannot fill the memory.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from struct import Struct

from resolver.wire.constants import DATAGRAM_BYTES, ENVELOPE_BYTES, MAX_MESSAGE_BYTES, PIECE_BYTES
from resolver.wire.cursor import Backlog, Reader
from resolver.wire.envelope import Envelope
from resolver.wire.errors import WireError
from resolver.wire.message import unwrap

_ID_AND_LENGTH = Struct(">8xI4xI")  # of an envelope: request id, message length

MAX_PARTIAL_MESSAGES = 256
MAX_PARTIAL_BYTES = 4 * 1024 * 1024
MAX_PARTIAL_AGE_SECONDS = 5.0  # as the reference


def split_datagrams(message: bytes) -> list[bytes]:
    """Return the datagrams of a message: itself, or pieces with an envelope each.

    Every piece but the last carries exactly 492 bytes (receivers count on it), and the truncated
    flag is set on all of them.  Raises WireError for bytes that are not a whole message.
    """
    if len(message) <= DATAGRAM_BYTES:
        return [message]
    envelope, content = unwrap(message)
    reader = Reader(content)
    datagrams: list[bytes] = []
    while reader.remaining:
        head = replace(envelope, sequence=len(datagrams), truncated=True).encode()
        datagrams.append(head + reader.take(min(PIECE_BYTES, reader.remaining)))
    return datagrams


@dataclass(slots=True)
class _Partial:
    """A message of which some datagrams are here.  `pieces` maps sequence numbers to contents."""

    envelope: Envelope
    since: float
    pieces: dict[int, bytes] = field(default_factory=dict)
    size: int = 0


_Key = tuple[Hashable, int, int]


class DatagramJoiner:
    """Joins requests that were split over datagrams, which may come in any order and more than
    once.

    Whether a message is split goes by its length, never by the truncated flag: the reference leaves
    that clear, and a client sets it on whole messages.  Waiting messages are forgotten after
    `max_age` seconds; when there are more than `max_messages` or `max_bytes` of them, the oldest go
    first.
    """

    def __init__(
        self,
        *,
        max_messages: int = MAX_PARTIAL_MESSAGES,
        max_bytes: int = MAX_PARTIAL_BYTES,
        max_age: float = MAX_PARTIAL_AGE_SECONDS,
    ) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._max_age = max_age
        self._partials: dict[_Key, _Partial] = {}  # the oldest first
        self._bytes = 0

    def __len__(self) -> int:
        """Return how many messages wait for the rest of their datagrams."""
        return len(self._partials)

    @property
    def waiting_bytes(self) -> int:
        """How many bytes are held."""
        return self._bytes

    def add(self, source: Hashable, datagram: bytes, now: float) -> bytes | None:
        """Take a datagram; return the message that it completes, if it does.

        `source` is whom it came from, `now` a clock in seconds that does not go back.  Raises
        WireError for a datagram that can belong to no message.
        """
        self._forget_before(now - self._max_age)
        reader = Reader(datagram)
        envelope = Envelope.read(reader)
        if envelope.message_length == reader.remaining and not envelope.sequence:
            return datagram
        content = reader.rest()
        _check_piece(envelope, content)
        key = (source, envelope.session_id, envelope.request_id)
        partial = self._partial(key, envelope, now)
        if envelope.sequence not in partial.pieces:
            partial.pieces[envelope.sequence] = content
            partial.size += len(content)
            self._bytes += len(content)
        if partial.size == envelope.message_length:
            self._drop(key)
            return _join(partial)
        self._make_room()
        return None

    def _partial(self, key: _Key, envelope: Envelope, now: float) -> _Partial:
        """Return the message that a piece belongs to; a client that uses its id for another one starts again."""
        partial = self._partials.get(key)
        if partial and _differ(partial.envelope, envelope):
            self._drop(key)
            partial = None
        if partial is None:
            partial = self._partials[key] = _Partial(envelope, now)
        return partial

    def _drop(self, key: _Key) -> None:
        self._bytes -= self._partials.pop(key).size

    def _forget_before(self, oldest: float) -> None:
        while self._partials:
            key, partial = next(iter(self._partials.items()))
            if partial.since >= oldest:
                return
            self._drop(key)

    def _make_room(self) -> None:
        while len(self._partials) > self._max_messages or self._bytes > self._max_bytes:
            self._drop(next(iter(self._partials)))


class FrameBuffer:
    """Finds whole messages in a stream of bytes.

    Holds what was fed and not yet taken, and needs `limit` and one envelope of it at most to give
    out the next message; a caller that takes all messages after each feed holds no more.  After a
    WireError the stream has lost its step: every later call raises it again, and the connection can
    only be closed.
    """

    def __init__(self, limit: int = MAX_MESSAGE_BYTES) -> None:
        self._limit = limit
        self._backlog = Backlog()
        self._needed = ENVELOPE_BYTES  # until the length of the next message is known
        self._error: WireError | None = None

    def __len__(self) -> int:
        """Return how many bytes wait."""
        return len(self._backlog)

    def feed(self, data: bytes) -> None:
        """Take bytes of the stream."""
        self._backlog.add(data)

    def next_message(self) -> bytes | None:
        """Return the next whole message, or None until more bytes come.

        Raises WireError, with the request id, for a message above the limit (without its envelope).
        """
        if self._error:
            raise self._error
        waiting = len(self._backlog)
        if waiting < self._needed:
            return None
        if self._needed == ENVELOPE_BYTES:
            request_id, length = self._backlog.peek(_ID_AND_LENGTH)
            self._check_length(request_id, length)
            self._needed += length
            if waiting < self._needed:
                return None
        message = self._backlog.take(self._needed)
        self._needed = ENVELOPE_BYTES
        return message

    def _check_length(self, request_id: int, length: int) -> None:
        if length > self._limit:
            self._error = WireError(
                f"a message of {length} bytes; {self._limit} are allowed", request_id=request_id
            )
            raise self._error


def _check_piece(envelope: Envelope, content: bytes) -> None:
    """Insist that a piece is as long as its place in the message says."""
    length = envelope.message_length
    expected = min(PIECE_BYTES, length - envelope.sequence * PIECE_BYTES)
    if not 0 < expected == len(content) or length > MAX_MESSAGE_BYTES:
        raise WireError(
            f"piece {envelope.sequence} of a message of {length} bytes has {len(content)}",
            request_id=envelope.request_id,
        )


def _differ(known: Envelope, new: Envelope) -> bool:
    """Tell the pieces of one message from those of another with the same ids."""
    return (known.message_length, known.version, known.encrypted) != (
        new.message_length,
        new.version,
        new.encrypted,
    )


def _join(partial: _Partial) -> bytes:
    content = b"".join([partial.pieces[number] for number in sorted(partial.pieces)])
    return replace(partial.envelope, sequence=0, truncated=False).wrap(content)
