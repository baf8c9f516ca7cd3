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
import socket
import ssl
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from time import perf_counter_ns
from typing import Any, Self, cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from resolver.freshness import Freshness
from resolver.guard import Guard
from resolver.hot.http import HotHttp
from resolver.httplogin import CERTIFICATE
from resolver.observe import CELL_COUNT, Tally
from resolver.plain import PlainAnswer, PlainReads
from resolver.recorder import NoRecorder, Party, Recorder

FAST_PATH = b"GET /api/handles/"
MAX_HEAD_BYTES = 65_536  # request line and headers together
MAX_PIPELINED = 64  # requests of one connection that wait for the answer before them
HANDSHAKE_SECONDS = 10.0  # of TLS
QUIET_SECONDS = 0.25  # that a client has to close its end of a connection whose other end we closed
NOTHING_HOT = HotHttp(Freshness(), max_entries=1, max_bytes=1)  # nothing is ever in it
_PLAIN_PATH = re.compile(rb"[\w./:~!$&'()*+,;=@-]+")  # nothing to decode, no query
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
    reads: PlainReads | None = None  # answers what is not ready
    spawn: Callable[[Coroutine[Any, Any, None]], object]

    @classmethod
    def behind(cls, guard: Guard) -> "type[FastHttp]":
        """Return the protocol of a listener that goes the ordinary way only, and whose answers nobody counts."""
        members = {
            "hot": NOTHING_HOT,
            "guard": guard,
            "tally": Tally([0] * CELL_COUNT),
            "recorder": NoRecorder(),
        }
        return type(f"Ordinary{cls.__name__}", (cls,), members)

    def __init__(self, *args: Any, **options: Any) -> None:
        """Called by uvicorn."""
        super().__init__(*args, **options)
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
        self._block: bytes | None = None  # the newest that changes nothing, and whose it is
        self._party: Party = None
        self._certificate: bytes | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Called by the event loop; too many connections of one source, or in all, are closed at once."""
        super().connection_made(cast(asyncio.Transport, OpenTransport(transport)))
        self._write = transport.write
        secured: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        self._certificate = secured.getpeercert(binary_form=True) if secured else None
        peer = transport.get_extra_info("peername")
        self._peer = peer[0] if peer else ""
        if not peer or not self.guard.admit(self, peer[0]):
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        self.guard.release(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Answer at once if this is a plain read of something hot, else go the ordinary way."""
        started = self.last_used_ns = perf_counter_ns()
        cycle = self.cycle
        if (
            data.startswith(FAST_PATH)
            and not self.request_began_ns
            and self._certificate is None  # who shows one is known, and may read more
            and (cycle is None or cycle.response_complete)
            and not self.flow.write_paused
        ):
            end = data.find(_LINE_END, 17)
            path = data[17:end]
            hot = self.hot
            ready = hot.young.get(path) or hot.promote(path)
            if ready is not None and ready[0] > started:
                block = data[end + 11 :]
                if (block == self._block or self._is_usual(block)) and (
                    self.recorder.http(self._party, ready[8], ready[1], started) >= 0
                ):
                    if self.timeout_keep_alive_task is not None:
                        self._unset_keepalive_if_required()
                    self._write(hot.start + ready[4])
                    self.tally.answered(ready[1], perf_counter_ns() - started)
                    return
            elif self.reads is not None and self._may_read(path, data[end + 11 :]):
                self._begin_reading(self.reads, path, data, started)
                return
        if self._is_reading:
            self._later += data
            return
        self._take(data, started)

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

    def _may_read(self, path: bytes, block: bytes) -> bool:
        """True for a request whose answer is what stands below this path."""
        is_usual = block == self._block or self._is_usual(block)
        return is_usual and not self.is_last and _PLAIN_PATH.fullmatch(path) is not None

    def _begin_reading(self, reads: PlainReads, path: bytes, data: bytes, started: int) -> None:
        self._is_reading, self.request_began_ns = True, started
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
        self.flow.pause_reading()
        self.spawn(self._read(reads, path, data, started))

    async def _read(self, reads: PlainReads, path: bytes, data: bytes, started: int) -> None:
        """Answer one plain read; what cannot be answered so goes the ordinary way, as it came."""
        try:
            answer = await reads.read(path)
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
            self._write(answer.response)
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
        if self._is_reading:
            self.is_last = True
        else:
            super().shutdown()

    def _is_usual(self, block: bytes) -> bool:
        """True for a header block that changes nothing; it is then the connection's newest."""
        if self.recorder.is_strict or not (block in self.hot.blocks or self.hot.accepts(block)):
            return False
        self._block, self._party = block, self.recorder.party_of_block(self._peer, block)
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
        self.transport.abort()

    def close_soon(self, seconds: float) -> None:
        """Answer one more request and say that it was the last; close, when none came for so long."""
        self.hot, self.is_last = NOTHING_HOT, True
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


class HttpServer(uvicorn.Server):
    """uvicorn in a loop of ours: signals are the process's business, sockets come from outside."""

    @classmethod
    def of(
        cls,
        app: ASGIApp,
        protocol: type[FastHttp] | str,
        *,
        idle_seconds: int,
        drain_seconds: float,
        tls: ssl.SSLContext | None = None,
    ) -> Self:
        """Make the server of an application; `protocol` is a FastHttp class, or uvicorn's own by name.

        With `tls` it speaks nothing else.
        """
        config = uvicorn.Config(
            app,
            http=protocol,
            loop="none",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=idle_seconds,
            timeout_graceful_shutdown=int(drain_seconds),
            ssl_context_factory=(lambda _config, _usual: tls) if tls else None,
        )
        made = cls(config)
        made.servers = []
        return made

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen on given sockets, as uvicorn does, but with a limit of ours to how long a TLS handshake may take."""
        await self.lifespan.startup()
        loop, config = asyncio.get_running_loop(), self.config
        seconds = HANDSHAKE_SECONDS if config.ssl else None
        self.servers = [
            await loop.create_server(
                self._protocol,
                sock=each,
                ssl=config.ssl,
                ssl_handshake_timeout=seconds,
                backlog=config.backlog,
            )
            for each in sockets or ()
        ]
        self.started = True

    def accept_no_more(self) -> None:
        """Leave new connections to another process that has the sockets."""
        for server in self.servers:
            server.close()

    def _protocol(self) -> asyncio.Protocol:
        protocol = cast("type[HttpToolsProtocol]", self.config.http_protocol_class)
        return protocol(self.config, self.server_state, self.lifespan.state)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield
