"""Open loop over TCP: native messages, pipelined over kept-open connections.

What is due goes to the next connection in one piece.  Answers are found by their request ids, in whatever order they
come.  What was under way on a connection that breaks is lost, and another takes its place.
"""

import struct
from collections.abc import Sequence
from contextlib import suppress
from select import EPOLLIN, EPOLLOUT
from time import perf_counter

from loadtest.exchange import BODY_AT, Exchange, frame_length
from loadtest.openstreams import READ_BYTES, OpenStream, Streams
from loadtest.pace import Pace
from loadtest.plan import Plan, Tally
from loadtest.ring import Ring

MOST_AT_ONCE = 64
LONGEST_ANSWER = 1 << 24
_ENVELOPE = 20
_id_at = struct.Struct("=8xI").unpack_from


class OpenTcp(Pace):
    """Asks one server; made by `prepare_open`, used once."""

    def __init__(
        self, address: tuple[str, int], exchanges: Sequence[Exchange], plan: Plan, connections: int
    ) -> None:
        super().__init__(plan, Tally(plan))
        self._ring = Ring(exchanges, plan, self.tally)
        self._streams = Streams(address, self.epoll, connections)
        self._turn = 0

    def is_owed(self) -> bool:
        """True while answers are under way."""
        return self._ring.is_owed

    def close(self) -> None:
        """Close the connections, and count what is still under way as lost."""
        self._streams.close()
        self._ring.finish()

    def send(self, now: float) -> int:
        """Send what is due over the next connection that has taken all that it was given."""
        ring = self._ring
        count = ring.due(now, MOST_AT_ONCE)
        if not count or not (stream := self._next()):
            return 0
        self._write(stream, b"".join(ring.requests[ring.cursor : ring.cursor + count]))
        ring.take(count, now)
        self.sent = ring.sent
        return count

    def _next(self) -> OpenStream | None:
        streams = self._streams.all
        for _ in streams:
            self._turn += 1
            stream = streams[self._turn % len(streams)]
            if not stream.unsent or self._write(stream, stream.unsent):
                return stream
        return None

    def _write(self, stream: OpenStream, data: bytes) -> bool:
        """Send; what the kernel does not take is kept, and goes on when it takes more.  True when it took all."""
        sent, was_stuck = 0, bool(stream.unsent)
        with suppress(BlockingIOError, ConnectionError):  # a broken one is seen when it is read
            sent = stream.send(data)
        stream.unsent = data[sent:]
        if was_stuck is not bool(stream.unsent):
            self.epoll.modify(stream.fd, EPOLLIN | EPOLLOUT if stream.unsent else EPOLLIN)
        return not stream.unsent

    def receive(self) -> int:
        """Take what came on every connection, and go on with what one did not take; return on how many."""
        ready = self.epoll.poll(0)
        self.tally.run.polls += 1
        if ready:
            now, by_fd = perf_counter(), self._streams.by_fd
            for fd, events in ready:
                if events & EPOLLOUT:
                    self._write(by_fd[fd], by_fd[fd].unsent)
                if events & ~EPOLLOUT:
                    self._take(by_fd[fd], now)
        return len(ready)

    def _take(self, stream: OpenStream, now: float) -> None:
        data = b""
        with suppress(ConnectionError, BlockingIOError):
            data = stream.receive(READ_BYTES)
        if not data:
            self._replace(stream)
            return
        data = stream.partial + data
        used = self._judge(data, now)
        if used < 0:
            self._replace(stream)
        else:
            stream.partial = data[used:]

    def _replace(self, stream: OpenStream) -> None:
        self.tally.run.reconnects += 1
        self._streams.replace(stream)

    def _judge(self, data: bytes, now: float) -> int:
        """Count the whole answers; return how many bytes they are, -1 when what comes is no message."""
        ring, starts_with, end = self._ring, data.startswith, len(data)
        size, owed, lengths, heads, tails = (
            ring.size, ring.marks, ring.lengths, ring.heads, ring.tails,
        )  # fmt: skip
        slots, marks, at = [], [], 0
        while at + _ENVELOPE <= end:
            (slot,) = _id_at(data, at)
            if (
                slot < size
                and starts_with(heads[slot], at)
                and starts_with(tails[slot], at + BODY_AT)
                and owed[slot]
            ):
                slots.append(slot)
                marks.append(owed[slot])
                owed[slot] = 0
                at += lengths[slot]
                continue
            length = frame_length(data, at)
            if length > LONGEST_ANSWER:
                ring.odd(data[at:], slot)
                return -1
            if at + length > end:
                break
            ring.odd(data[at : at + length], slot)
            at += length
        ring.right(slots, marks, now)
        return at
