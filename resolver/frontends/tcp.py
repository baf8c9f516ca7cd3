"""The Handle protocol over TCP: connections are kept open, requests answered in order.

The reference server closes after each answer; the Chinese clients hold one connection and send many requests on it, so
we keep it and close on idle.  Law: nothing is dropped silently here (a client may wait for ever); what cannot be read
is answered with an error, and when the framing itself is lost the connection is closed after it.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from time import perf_counter_ns
from typing import Any

from resolver.frontends.turn import Turn
from resolver.guard import Guard
from resolver.hot.wire import HotWire, WireReply, no_reply
from resolver.observe import Event, Protocol, Tally, shift
from resolver.recorder import MOST_AT_ONCE, Party, Recorder
from resolver.responder import Origin, Reply, Responder
from resolver.wire import MAX_MESSAGE_BYTES, FrameBuffer, WireError

_MAX_QUEUED = 64  # requests of one connection that wait; more are left in the socket
_PUBLIC_ONLY_AT, _PUBLIC_ONLY = 28, 0x01  # where a request says that it wants public values only
_TO_TCP = shift(Protocol.UDP, Protocol.TCP)


class TcpConnection(asyncio.Protocol):
    """One TCP connection of a worker."""

    def __init__(
        self,
        responder: Responder,
        hot: HotWire,
        guard: Guard,
        tally: Tally,
        recorder: Recorder,
        turn: Turn,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        """`turn` is that of all connections of the worker; `spawn` starts a task in its task group."""
        self._responder = responder
        self._ready_reply = no_reply if recorder.is_strict else hot.reply
        self._guard = guard
        self._tally = tally
        self._recorder = recorder
        self._turn = turn
        self._port = b""
        self._sender: Party = None
        self._spawn = spawn
        self._frames = FrameBuffer(MAX_MESSAGE_BYTES)
        self._queue: deque[bytes] = deque()  # an empty message stands for the end
        self._last_word = b""  # said before closing
        self._is_ordinary = (
            False  # a task is answering the queue; ready replies must wait behind it
        )
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._transport: asyncio.Transport
        self.write: Callable[[bytes], object]
        self._origin: Origin
        self.last_used_ns = perf_counter_ns()
        self.request_began_ns = 0
        self.unread_since_ns = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Called by the event loop."""
        self._transport, self.write = transport, transport.write
        peer = transport.get_extra_info("peername")
        self._origin = Origin(Protocol.TCP, peer[0] if peer else "")
        self._port = peer[1].to_bytes(2, "big") if peer else b""
        self._sender = self._recorder.sender(self._origin.address)
        if not peer or not self._guard.admit(self, peer[0]):
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        self._guard.release(self)
        self._turn.forget(self)
        self._queue.clear()
        self._may_write.set()

    def pause_writing(self) -> None:
        """Called by the event loop: the client does not read; stop taking its requests."""
        self._may_write.clear()
        self.unread_since_ns = perf_counter_ns()
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Called by the event loop."""
        self._may_write.set()
        self.unread_since_ns = 0
        self._read_on()

    def data_received(self, data: bytes) -> None:
        """Answer whole requests from ready bytes, queue the others."""
        started = self.last_used_ns = perf_counter_ns()
        if not self._is_ordinary and not self.request_began_ns:
            ready = (self._ready_reply if self._origin.known is None else self._ready)(
                data, started
            )
            if ready is not None:
                cell, reply, subject = ready
                answer = self._sender, self._port + data[8:12], subject, cell + _TO_TCP
                self._turn.give(self, answer, reply, data, started)
                return
        self._turn.settle(self)
        if not self._last_word:
            self._frames.feed(data)
            self._take_messages(started)

    def eof_received(self) -> bool:
        """Called by the event loop: the client sends no more, but may well wait for the answers that are being made."""
        self._turn.settle(self)
        if self._is_ordinary:
            self._queue.append(b"")
        return self._is_ordinary

    def refuse(self, request: bytes) -> None:
        """See `Asking`."""
        self._tally.happened(Event.OVERLOADED)
        self._transport.write(self._responder.refuse_as_busy(request))

    def is_answering(self) -> bool:
        """See `Guard`."""
        return self._is_ordinary

    def is_held(self) -> bool:
        """See `Guard`."""
        return len(self._queue) > _MAX_QUEUED // 2 or not self._may_write.is_set()

    def close_idle(self) -> None:
        """See `Guard`; what the client has not read until now is thrown away."""
        self._turn.forget(self)
        self._transport.abort()

    def give_away(self, give: Callable[[int], bool]) -> None:
        """Have another process hold the connection, if it stands between two messages now.

        `give` is told the descriptor, and returns whether it was taken; who logged in here is a stranger there.
        """
        transport = self._transport
        self._turn.settle(self)
        if (
            self._is_ordinary
            or self.request_began_ns
            or transport.is_closing()
            or transport.get_write_buffer_size()
        ):
            return
        transport.pause_reading()
        if give(transport.get_extra_info("socket").fileno()):
            transport.abort()  # closes this descriptor alone
        else:
            self._read_on()

    def _reply(self, found: list[tuple[WireReply, bytes]], started: int) -> None:
        """Record, count and send the ready replies to messages that came together."""
        sender, port = self._sender, self._port
        answers = [
            (sender, port + message[8:12], subject, cell + _TO_TCP)
            for (cell, _, subject), message in found
        ]
        count = self._recorder.natives(answers, perf_counter_ns())
        replies = [reply for (_, reply, _), _ in found[:count]]
        replies += [self._responder.refuse_as_busy(message) for _, message in found[count:]]
        self._tally.happened(Event.OVERLOADED, len(found) - count)
        self._tally.counted([cell for _, _, _, cell in answers[:count]])
        self._transport.write(b"".join(replies))
        self._tally.took(answers[0][-1], perf_counter_ns() - started, count)

    def _ready(self, message: bytes, now_ns: int) -> WireReply | None:
        """Return a ready reply, with public values; whoever has logged in and asks for all may see others, too."""
        if self._origin.known is not None and not _asks_public_only(message):
            return None
        return self._ready_reply(message, now_ns)

    def _read_on(self) -> None:
        """Take requests again, when few wait and the client reads."""
        if not self.is_held() and not self._transport.is_closing():
            self._transport.resume_reading()

    def _take_messages(self, started: int) -> None:
        replies = []
        try:
            while (message := self._frames.next_message()) is not None:
                self.request_began_ns = 0  # what is left began with these bytes
                ready = None if self._is_ordinary else self._ready(message, started)
                if ready is None:
                    self._enqueue(message)
                else:
                    replies.append((ready, message))
                if len(replies) == MOST_AT_ONCE:
                    self._reply(replies, started)
                    replies = []
        except WireError as error:
            self._tally.happened(Event.TCP_UNREADABLE)
            self._last_word = self._responder.refuse(error)
        self.request_began_ns = (self.request_began_ns or started) if len(self._frames) else 0
        if replies:
            self._reply(replies, started)
        if self._last_word:
            self._finish()

    def _finish(self) -> None:
        """The framing is lost: answer what was asked before, say what is wrong, close."""
        if self._is_ordinary:
            self._queue.append(b"")
        else:
            self._transport.write(self._last_word)
            self._transport.close()

    def _enqueue(self, message: bytes) -> None:
        self._queue.append(message)
        if len(self._queue) >= _MAX_QUEUED:
            self._transport.pause_reading()
        if not self._is_ordinary:
            self._is_ordinary = True
            self._spawn(self._answer_queue())

    async def _answer_queue(self) -> None:
        try:
            while self._queue and not self._transport.is_closing():
                message = self._queue.popleft()
                if not message:
                    self._transport.write(self._last_word)
                    self._transport.close()
                    return
                started = perf_counter_ns()
                reply = await self._responder.respond(message, self._origin)
                if self._transport.is_closing():
                    return
                if reply.cell is not None and not await self._is_recorded(reply, message):
                    reply = Reply(self._responder.refuse_as_busy(message))
                self._transport.write(reply.message)
                self.last_used_ns = perf_counter_ns()
                if reply.cell is not None:
                    self._tally.answered(reply.cell, self.last_used_ns - started)
                await self._may_write.wait()
                await self._write_more(reply)
                self._read_on()
        except Exception:
            self._transport.close()  # what was asked is half answered, and the rest would be waited for
            raise
        finally:
            self._is_ordinary = False

    async def _is_recorded(self, reply: Reply, message: bytes) -> bool:
        """Record an answer that is about to be sent; False: it must not be."""
        recorder, cell = self._recorder, reply.cell or 0
        asked = self._port + message[8:12]
        subject = recorder.subject(reply.key)
        number = recorder.native(self._sender, asked, subject, cell, perf_counter_ns())
        if number >= 0 and await recorder.committed(number):
            return True
        self._tally.happened(Event.OVERLOADED)
        return False

    async def _write_more(self, reply: Reply) -> None:
        """Write the further messages of an answer, no faster than the client reads them."""
        if reply.more is None:
            return
        async for message in reply.more:
            if self._transport.is_closing():
                return
            self._transport.write(message)
            self.last_used_ns = perf_counter_ns()
            await self._may_write.wait()


def _asks_public_only(message: bytes) -> bool:
    return len(message) > _PUBLIC_ONLY_AT and bool(message[_PUBLIC_ONLY_AT] & _PUBLIC_ONLY)
