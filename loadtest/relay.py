"""Relay: stands between the node and the top-level node, reads what they say, and loses, doubles and delays it.

It has a certificate of the top-level node's authority towards the node, and shows the node's own towards the top-level
node, so both sides speak TLS as ever.  Signatures are not touched: what is said twice is refused as such, and what is
said late is true, only late.  A line that loses packets is told by how long TCP takes to send them again.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from random import Random
from typing import NamedTuple

from loadtest.stand import HOST
from loadtest.streams import Address
from loadtest.toplevels import TopLevel
from resolver.keys.certificates import Authority

MESSAGE = b"POST /sync/v1/messages "
PACKET_BYTES = 1_400
RESEND_SECONDS = 0.2  # TCP's first time-out, doubling
MOST_LOST = 5  # of one packet in a row; then the connection is given up
LATE_BEHIND = 3  # messages, behind which one that is late arrives
APART_SECONDS = 2.0  # for what nobody hears the reply to
VALID_DAYS, EXPIRED_DAYS = 30, -1


Way = tuple[asyncio.StreamReader, asyncio.StreamWriter]
"""A connection to the top-level node."""


class Fate(StrEnum):
    """What becomes of a message."""

    PASSED = "passed"
    DROPPED = "dropped"  # it never arrives
    UNANSWERED = "unanswered"  # it arrives, the reply does not
    DOUBLED = "doubled"
    LATE = "late"  # it arrives behind others that were said later


class Request(NamedTuple):
    """One HTTP request, whole."""

    head: bytes
    body: bytes

    @property
    def is_message(self) -> bool:
        """True for a message of the sync."""
        return self.head.startswith(MESSAGE)

    @property
    def is_batch(self) -> bool:
        """True for one that brings changes or rows."""
        is_empty = b'"changes":[]' in self.body or b'"rows":[]' in self.body
        brings = b'"kind":"delta"' in self.body or b'"kind":"snapshot"' in self.body
        return self.is_message and brings and not is_empty


@dataclass(slots=True)
class Weather:
    """What the relay does: shares of messages by fate, and the share of packets that are lost."""

    fates: dict[Fate, float] = field(default_factory=dict)
    loss: float = 0.0


class Lost(ConnectionError):
    """The line gave up."""


class Relay:
    """Listens at `address` once it is started; `met` counts the fates of messages."""

    def __init__(self, top: TopLevel, address: Address, seed: int) -> None:
        self.address = address
        self.weather = Weather()
        self.met = dict.fromkeys(Fate, 0)
        self._top = top
        self._dice = Random(seed)
        self._held: list[tuple[int, Request]] = []  # late messages, and behind which one they go
        self._count = 0
        self._during: Callable[[], Awaitable[None]] | None = None
        self._happened = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._ours, self._theirs = self._contexts()

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._accept, *self.address, ssl=self._ours)

    async def close(self) -> None:
        """Listen no more, and break what is open."""
        if self._server is not None:
            self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def expire(self, *, is_expired: bool) -> None:
        """Show a certificate that has ended, or a good one again; connections that are open are broken."""
        self._show(self._ours, days=EXPIRED_DAYS if is_expired else VALID_DAYS)
        for task in self._serving:
            task.cancel()

    async def during_batch(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do something while the top-level node has the next batch and the node has no reply yet; wait until then."""
        self._happened.clear()
        self._during = work
        await self._happened.wait()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  a handler runs in one
        self._serving.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, EOFError):
            pass  # either side, or the line
        except asyncio.CancelledError:
            pass  # by us: connections are broken
        finally:
            self._serving.discard(task)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        way: Way | None = None
        try:
            while True:
                request = await _read(reader)
                await self._travel(len(request.head) + len(request.body))
                if way is None or way[1].is_closing():
                    way = await self._connect()
                reply = await self._pass_on(request, way)
                await self._travel(len(reply))
                writer.write(reply)
                await writer.drain()
        finally:
            if way is not None:
                way[1].transport.abort()

    async def _pass_on(self, request: Request, way: Way) -> bytes:
        """Return the reply.  Raises Lost when there is none to be passed on."""
        if not request.is_message:
            return await _ask(way, request)
        await self._deliver_late()
        fate = self._draw()
        self.met[fate] += 1
        if fate is Fate.LATE:
            self._held.append((self._count + LATE_BEHIND, request))
        if fate in (Fate.LATE, Fate.DROPPED):
            raise Lost
        reply = await self._ask_during(way, request)
        if fate is Fate.DOUBLED:
            await self._send_apart(request)
        if fate is Fate.UNANSWERED:
            raise Lost
        return reply

    async def _ask_during(self, way: Way, request: Request) -> bytes:
        if self._during is None or not request.is_batch:
            return await _ask(way, request)
        work, self._during = self._during, None
        asking = asyncio.create_task(_ask(way, request))
        try:
            await work()
        finally:
            self._happened.set()
        return await asking

    async def _deliver_late(self) -> None:
        """Bring what was held, behind what has passed since."""
        self._count += 1
        due = [request for behind, request in self._held if behind <= self._count]
        self._held = [each for each in self._held if each[0] > self._count]
        for request in due:
            await self._send_apart(request)

    async def _send_apart(self, request: Request) -> None:
        """Say something over a connection of its own; nobody hears the reply."""
        with suppress(OSError, EOFError, TimeoutError):
            way = await self._connect()
            try:
                async with asyncio.timeout(APART_SECONDS):
                    await _ask(way, request)
            finally:
                way[1].transport.abort()

    def _draw(self) -> Fate:
        number = self._dice.random()
        for fate, share in self.weather.fates.items():
            if number < share:
                return fate
            number -= share
        return Fate.PASSED

    async def _travel(self, size: int) -> None:
        """Wait as long as TCP takes to bring so much over a line that loses packets.  Raises Lost."""
        waited = 0.0
        for _ in range(-(-size // PACKET_BYTES)):
            lost = 0
            while self._dice.random() < self.weather.loss:
                lost += 1
                if lost > MOST_LOST:
                    raise Lost
            waited = max(waited, RESEND_SECONDS * (2**lost - 1))
        await asyncio.sleep(waited)

    async def _connect(self) -> Way:
        return await asyncio.open_connection(*self._top.channel, ssl=self._theirs)

    def _contexts(self) -> tuple[ssl.SSLContext, ssl.SSLContext]:
        issue = self._top.issue
        ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._show(ours, days=VALID_DAYS)
        ours.verify_mode = ssl.CERT_REQUIRED
        ours.load_verify_locations(issue / "authority.crt")
        theirs = ssl.create_default_context(cafile=str(issue / "authority.crt"))
        theirs.load_cert_chain(issue / "node.pem")
        return ours, theirs

    def _show(self, context: ssl.SSLContext, days: int) -> None:
        """Show a certificate from now on that is good for so long; of negative days one that has ended."""
        now, path = datetime.now(UTC), self._top.directory / "relay.pem"
        authority = Authority.load_or_make(self._top.directory, now)
        path.write_bytes(authority.issue_server({HOST}, now, days))
        context.load_cert_chain(path)


async def _ask(way: Way, request: Request) -> bytes:
    """Return the reply, whole.  Raises OSError, EOFError."""
    reader, writer = way
    writer.write(request.head + request.body)
    return b"".join(await _read(reader))


async def _read(reader: asyncio.StreamReader) -> Request:
    """Return the next request, or the next reply in its form."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0] or 0)
    return Request(head, await reader.readexactly(length))
