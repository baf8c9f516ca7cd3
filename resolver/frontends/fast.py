"""Hot HTTP reads, answered before any framework; everything else goes to uvicorn's protocol and the application.

A read of `/api/handles/…` whose path has a ready reply, and whose header block was seen before and changes nothing, is
answered inside `data_received`.  Header blocks are remembered by their exact bytes: a client repeats its own.  It leans
on uvicorn's httptools protocol (a tested range of versions is pinned, and `supports_uvicorn` looks before use).

Laws: the fast way is taken only between messages, when nothing is being answered and nothing waits to be written; what
arrives is exactly one whole request (a remembered header block ends with the only blank line); a differential test
holds both ways to the same answers.
"""

import asyncio
import re
import ssl
from collections.abc import Callable, Coroutine
from time import perf_counter_ns
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from resolver.freshness import Freshness
from resolver.frontends.turn import Turn
from resolver.guard import Guard
from resolver.hot.http import HotHttp
from resolver.httplogin import CERTIFICATE
from resolver.observe import CELL_COUNT, Tally
from resolver.plain import PlainAnswer, PlainReads
from resolver.recorder import NoRecorder, Party, Recorder

FAST_PATH = b"GET /api/handles/"
MAX_HEAD_BYTES = 65_536  # request line and headers together
MAX_PIPELINED = 64  # requests of one connection that wait for the answer before them
QUIET_SECONDS = 0.25  # that a client has to close its end of a connection whose other end we closed
NOTHING_HOT = HotHttp(Freshness(), max_entries=1, max_bytes=1)  # nothing is ever in it
_PLAIN_PATH = re.compile(rb"[\w./:~!$&'()*+,;=@-]+")  # nothing to decode, no query
_PATH_BEGINS = len(FAST_PATH)
_LINE_END = b" HTTP/1.1\r\n"
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class OpenTransport:
    """A transport for the ordinary way: what is written after it was closed is dropped.

    The event loop calls that an error, and the application cannot know in time that the client has gone.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def write(self, data: bytes) -> None:
        """Write, unless the connection is closed."""
        if not self._transport.is_closing():
            self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class FastHttp(HttpToolsProtocol):
    """uvicorn's protocol with the fast way in front; one instance a connection."""

    hot: HotHttp
    guard: Guard
    tally: Tally
    recorder: Recorder
    turn: Turn  # of all connections of the worker
    reads: PlainReads | None = None  # answers what is not ready
    spawn: Callable[[Coroutine[Any, Any, None]], object]
    __slots__ = (  # beside the dict of uvicorn's own, which is a slow one from 31 on
        *(
            "_certificate",
            "_ending",
            "_has_ended",
            "_head_bytes",
            "_hot",
            "_is_in_head",
            "_is_reading",
            "_last",
        ),
        *(
            "_later",
            "_party",
            "_path_ends",
            "_peer",
            "_turn",
            "is_last",
            "last_used_ns",
            "request_began_ns",
        ),
        *("unread_since_ns", "write"),
    )

    @classmethod
    def behind(cls, guard: Guard) -> "type[FastHttp]":
        """Return the protocol of a listener that goes the ordinary way only, and whose answers nobody counts."""
        tally, recorder = Tally([0] * CELL_COUNT), NoRecorder()
        members = {
            "hot": NOTHING_HOT,
            "guard": guard,
            "tally": tally,
            "recorder": recorder,
            "turn": Turn(recorder.http_all, tally),
        }
        return type(f"Ordinary{cls.__name__}", (cls,), members)

    def __init__(self, *args: Any, **options: Any) -> None:
        """Called by uvicorn."""
        super().__init__(*args, **options)
        self._hot, self._turn = self.hot, self.turn
        self.last_used_ns = perf_counter_ns()
        self.request_began_ns = 0
        self.unread_since_ns = 0
        self._is_in_head = False
        self._head_bytes = 0
        self._is_reading = False  # a plain read is under way, past uvicorn
        self._later = b""  # what came meanwhile
        self.is_last = False  # the next answer is
        self._last: RequestResponseCycle | None = None
        self._has_ended = False  # we have said that no more will come
        self._peer = ""
        self._ending: (
            bytes | tuple[()]
        ) = ()  # HTTP's version, and the newest block that changes nothing
        self._path_ends = 0  # where that ending begins
        self._party: Party = None  # whose it is
        self._certificate: bytes | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Called by the event loop; too many connections of one source, or in all, are closed at once."""
        super().connection_made(cast(asyncio.Transport, OpenTransport(transport)))
        self.write = transport.write
        secured: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        self._certificate = secured.getpeercert(binary_form=True) if secured else None
        peer = transport.get_extra_info("peername")
        self._peer = peer[0] if peer else ""
        if not peer or not self.guard.admit(self, peer[0]):
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        self.guard.release(self)
        self._turn.forget(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Answer at once if this is a plain read of something hot, else go the ordinary way."""
        turn, cycle = self._turn, self.cycle
        started = self.last_used_ns = turn.began_ns or perf_counter_ns()
        if (
            data.startswith(FAST_PATH)
            and not self.request_began_ns
            and (cycle is None or cycle.response_complete)
            and not self.unread_since_ns
            and (data.endswith(self._ending) or self._learns_ending(data))
        ):
            path = data[_PATH_BEGINS : self._path_ends]
            hot = self._hot
            ready = hot.young.get(path) or hot.promote(path)
            if ready is not None and ready[0] > started:
                if self.timeout_keep_alive_task is not None:
                    self._unset_keepalive_if_required()
                answer = self._party, b"", ready[8], ready[1]
                turn.give(self, answer, hot.start + ready[4], data, started)
                return
            turn.settle(self)
            if self._may_read(path):
                self._begin_reading(path, data, started)
                return
        turn.settle(self)
        if self._is_reading:
            self._later += data
        else:
            self._take(data, started)

    def eof_received(self) -> None:
        """Called by the event loop: the client sends no more."""
        self._turn.settle(self)

    def refuse(self, request: bytes) -> None:
        """See `Asking`: the ordinary way says it."""
        self._take(request, perf_counter_ns())

    def _take(self, data: bytes, started: int) -> None:
        """Go the ordinary way."""
        if self._has_ended:
            return
        if not self.request_began_ns:
            self.request_began_ns = started
            data = escape_target(data)
        super().data_received(data)
        if self.is_last:
            self._mark_last()
        if self._is_in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self.transport.write(_TOO_LARGE)
                self.transport.close()

    def _may_read(self, path: bytes) -> bool:
        """True for a request whose answer is what stands below this path, when none before it waits for its own."""
        is_first = not (self.request_began_ns or self.is_answering() or self.is_last)
        return self.reads is not None and is_first and _PLAIN_PATH.fullmatch(path) is not None

    def _begin_reading(self, path: bytes, data: bytes, started: int) -> None:
        self._is_reading, self.request_began_ns = True, started
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
        self.flow.pause_reading()
        self.spawn(self._read(path, data, started))

    async def _read(self, path: bytes, data: bytes, started: int) -> None:
        """Answer one plain read; what cannot be answered so goes the ordinary way, as it came."""
        try:
            answer = await self.reads.read(path) if self.reads else None
        except BaseException:
            self.transport.abort()
            raise
        self._is_reading, self.request_began_ns = False, 0
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if answer is None or self.is_last or not self._is_recorded(answer):
            self.request_began_ns = started
            self._take(data, started)
        else:
            self.write(answer.response)
            self.last_used_ns = perf_counter_ns()
            self.tally.answered(answer.cell, self.last_used_ns - started)
        if self._later:
            later, self._later = self._later, b""
            self.data_received(later)

    def _is_recorded(self, answer: PlainAnswer) -> bool:
        recorder = self.recorder
        subject, now_ns = recorder.subject(answer.key), perf_counter_ns()
        return recorder.http(self._party, subject, answer.cell, now_ns) >= 0

    def shutdown(self) -> None:
        """Called by uvicorn when the server is to end."""
        self._turn.settle(self)
        if self._is_reading:
            self.is_last = True
        else:
            super().shutdown()

    def _learns_ending(self, data: bytes) -> bool:
        """True for a request whose header block changes nothing; the block is then the connection's newest."""
        end = data.find(_LINE_END, _PATH_BEGINS)
        block, hot = data[end + len(_LINE_END) :], self._hot
        if (
            end < 0
            or self._certificate is not None  # who shows one is known, and may read more
            or self.recorder.is_strict
            or not (block in hot.blocks or hot.accepts(block))
        ):
            return False
        self._ending, self._path_ends = data[end:], end - len(data)
        self._party = self.recorder.party_of_block(self._peer, block)
        return True

    def on_message_begin(self) -> None:
        """Called by the parser: the first bytes of a request have arrived.

        Raises ValueError, which the parser turns into a refusal, when too many requests wait.
        """
        if len(self.pipeline) >= MAX_PIPELINED:
            raise ValueError(f"more than {MAX_PIPELINED} requests wait on one connection")
        self.request_began_ns = self.last_used_ns
        self._is_in_head, self._head_bytes = True, 0
        super().on_message_begin()
        if self._certificate:
            cast("dict[str, object]", self.scope)[CERTIFICATE] = self._certificate

    def on_headers_complete(self) -> None:
        """Called by the parser: the request line and all headers have arrived."""
        self._is_in_head = False
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """Called by uvicorn: the next request that waits is started, and nothing more is read until none does."""
        super().on_response_complete()
        if self.pipeline and not self.transport.is_closing():
            self.flow.pause_reading()

    def pause_writing(self) -> None:
        """Called by the event loop: the client does not read."""
        self.unread_since_ns = perf_counter_ns()
        super().pause_writing()

    def resume_writing(self) -> None:
        """Called by the event loop."""
        self.unread_since_ns = 0
        super().resume_writing()

    def on_message_complete(self) -> None:
        """Called by the parser: a whole request has arrived."""
        self.request_began_ns = 0
        super().on_message_complete()

    def is_answering(self) -> bool:
        """See `Guard`."""
        is_busy = self.cycle is not None and not self.cycle.response_complete
        return is_busy or self._is_reading

    def is_held(self) -> bool:
        """See `Guard`."""
        return self.flow.read_paused

    def close_idle(self) -> None:
        """See `Guard`; what the client has not read until now is thrown away."""
        self._turn.forget(self)
        self.transport.abort()

    def close_soon(self, seconds: float) -> None:
        """Answer one more request and say that it was the last; close, when none came for so long."""
        self._hot, self.is_last = NOTHING_HOT, True
        self._mark_last()
        self.loop.call_later(seconds, self._end_quietly)

    def _mark_last(self) -> None:
        """Have the answer to the newest request say `Connection: close`, and none before it."""
        newest = self.cycle
        if newest is None or newest.response_complete or newest is self._last:
            return
        if self._last is not None:
            self._last.keep_alive = True
        newest.keep_alive = False
        self._last = newest

    def _end_quietly(self) -> None:
        """Say that nothing more will come; what the client had sent by then was not read, and it may ask again.

        Closing at once would tell it of an error instead, where its next request had come in between.
        """
        if self.transport.is_closing() or self.is_answering() or self.request_began_ns:
            return
        self._has_ended = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self.loop.call_later(QUIET_SECONDS, self.transport.close)
        else:
            self.transport.close()


def escape_target(data: bytes) -> bytes:
    """Percent-encode what is not ASCII in the first line: `curl` sends a Chinese handle as it is typed.

    Only what begins a request may be given; a target that comes in several pieces is left alone, and the parser
    refuses it.
    """
    end = data.find(b"\r\n")
    if end < 0 or data.isascii() or data[:end].isascii():
        return data
    return (
        b"".join(b"%%%02X" % byte if byte > 0x7F else _BYTES[byte] for byte in data[:end])
        + data[end:]
    )


_BYTES = tuple(bytes([byte]) for byte in range(128))


def supports_uvicorn() -> bool:
    """True when the uvicorn that is installed has all that the fast way leans on."""
    needed = (
        *("data_received", "on_message_begin", "on_headers_complete", "on_message_complete"),
        *("on_response_complete", "pause_writing", "_unset_keepalive_if_required"),
    )
    return all(callable(getattr(HttpToolsProtocol, name, None)) for name in needed)
