"""Conversations of the fuzzing of ports: each begins or ends with a question whose right answer is known.

A conversation over UDP is a batch of datagrams and then the known question, again until it is answered: the kernel
keeps their order, so the worker has read the batch by then.  One over TCP or HTTP is a connection: the known question,
mutated messages in pieces, and the end of what we send; the server must answer what it can and close.
"""

import asyncio
import re
import socket
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from loadtest.exchange import ID_AT, ID_END, frame_length
from loadtest.generator_http import content_length
from loadtest.streams import Address

BATCH = 32
MAX_DATAGRAM = 60_000
ANSWER_SECONDS = 0.5  # a known question over UDP is asked again after so long
ASKED_TIMES = 40
QUIET_SECONDS = 0.05  # nothing more comes: the server waits for the rest of something
END_SECONDS = 20.0
FAULTS_KEPT = 20
_READ = 1 << 16
_HONEST = (b"501", b"503")  # not offered; busy
_STATUS = re.compile(rb"HTTP/1\.[01] (\d\d\d) ")


class PortFault(Exception):
    """A server did what it must not; the message says what."""


@dataclass(slots=True)
class Counts:
    """What was sent and what came."""

    messages: Counter[str] = field(default_factory=Counter)
    conversations: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    codes: Counter[int] = field(default_factory=Counter)  # what handshakes were told at their end
    resets: int = 0
    faults: list[str] = field(default_factory=list)

    def fault(self, text: str) -> None:
        """Keep a fault for the report."""
        if len(self.faults) < FAULTS_KEPT:
            self.faults.append(text)


@dataclass(frozen=True, slots=True)
class Known:
    """A native question and the tail of its right answer (from byte 40), and the same over HTTP."""

    question: bytes
    tail: bytes
    http_question: bytes
    http_body: bytes

    def numbered(self, number: int) -> bytes:
        """Return the native question under this request id."""
        return self.question[:ID_AT] + number.to_bytes(4, "big") + self.question[ID_END:]


def source(address: Address, number: int) -> Address | None:
    """Return the local address with this number, if the server is on the loopback network, which has millions.

    Many sources keep clear of every limit a source, and of the ports that closed connections hold for a minute.
    """
    if not address[0].startswith("127."):
        return None
    return f"127.77.{number // 250 % 250}.{number % 250 + 1}", 0


def sources(address: Address, count: int) -> Iterator[socket.socket]:
    """Make connected UDP sockets, each with a source of its own."""
    for number in range(count):
        owner = socket.socket(
            socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_DGRAM
        )
        if local := source(address, number):
            owner.bind(local)
        owner.connect(address)
        owner.setblocking(False)
        yield owner


async def talk_udp(
    owner: socket.socket, messages: list[bytes], known: Known, number: int, counts: Counts
) -> None:
    """Send a batch, then the known question until its answer comes.  Raises PortFault when it never does."""
    for message in messages:
        try:
            owner.send(message[:MAX_DATAGRAM])
        except BlockingIOError:
            await asyncio.sleep(0.001)
        except ConnectionRefusedError:
            raise PortFault("UDP: nobody listens any more") from None
        counts.messages["udp"] += 1
    counts.conversations["udp"] += 1
    question = known.numbered(number)
    for _ in range(ASKED_TIMES):
        owner.send(question)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await _heard(owner, question[ID_AT:ID_END], known.tail)
            return
        except TimeoutError:
            continue
    raise PortFault(
        f"UDP: no answer to the known question after {[message.hex() for message in messages]}"
    )


async def _heard(owner: socket.socket, request_id: bytes, tail: bytes) -> None:
    loop = asyncio.get_running_loop()
    while True:
        data = await loop.sock_recv(owner, _READ)
        if data[ID_AT:ID_END] == request_id and data[40:] == tail:
            return


async def talk_tcp(
    address: Address, pieces: list[bytes], messages: int, known: Known, counts: Counts
) -> None:
    """Ask the known question, send the pieces, and read to the end.  Raises PortFault."""
    conversation = Conversation(address, counts, "tcp")
    reader, writer = await conversation.open()
    try:
        writer.write(known.question)
        async with conversation.patience("the known question"):
            head = await reader.readexactly(44)
            first = head + await reader.readexactly(frame_length(head) - len(head))
        if first[40:] != known.tail:
            raise PortFault(f"TCP: wrong answer to the known question: {first.hex()}")
        counts.messages["tcp"] += messages
        _walk_frames(await conversation.finish(pieces))
    except (ConnectionError, asyncio.IncompleteReadError):
        counts.resets += 1
    finally:
        await conversation.close()


def _walk_frames(data: bytes) -> None:
    at = 0
    while at + 20 <= len(data):
        at += frame_length(data, at)
    if at != len(data):
        raise PortFault(
            f"TCP: {len(data)} bytes of answers are no whole frames: {data[-300:].hex()}"
        )


async def talk_http(
    address: Address, pieces: list[bytes], messages: int, known: Known, counts: Counts
) -> None:
    """Ask the known question, send the pieces, and read to the end.  Raises PortFault."""
    conversation = Conversation(address, counts, "http")
    reader, writer = await conversation.open()
    try:
        writer.write(known.http_question)
        async with conversation.patience("the known question"):
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.readexactly(content_length(head))
        if body != known.http_body:
            raise PortFault(f"HTTP: wrong answer to the known question: {body!r}")
        counts.messages["http"] += messages
        rest = await conversation.finish(pieces)
        for status in _STATUS.findall(rest):
            counts.statuses[status.decode()] += 1
            if status.startswith(b"5") and status not in _HONEST:
                sent = b"".join(pieces)[:1500]
                counts.fault(f"HTTP {status.decode()}: {rest[:600]!r} to {sent!r}")
    except (ConnectionError, asyncio.IncompleteReadError):
        counts.resets += 1
    finally:
        await conversation.close()


class Conversation:
    """One connection; its end is ours to ask for, and the server's to grant in END_SECONDS."""

    def __init__(self, address: Address, counts: Counts, name: str) -> None:
        self._address, self._name = address, name
        self._source = source(address, counts.conversations[name] % 5_000)
        counts.conversations[name] += 1

    @asynccontextmanager
    async def patience(self, awaited: str) -> AsyncIterator[None]:
        """Give the server END_SECONDS.  Raises PortFault when they have passed."""
        try:
            async with asyncio.timeout(END_SECONDS):
                yield
        except TimeoutError:
            raise PortFault(
                f"{self._name}: no answer in {END_SECONDS:.0f} s to {awaited}"
            ) from None

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect.  Raises PortFault when nobody accepts."""
        try:
            async with asyncio.timeout(END_SECONDS):
                self._reader, self._writer = await asyncio.open_connection(
                    *self._address, local_addr=self._source
                )
        except OSError as error:
            raise PortFault(f"{self._name}: cannot connect: {error}") from error
        return self._reader, self._writer

    async def finish(self, pieces: list[bytes]) -> bytes:
        """Send the pieces, end our side when the server has become quiet, and return what it says to the end."""
        for piece in pieces:
            if self._writer.is_closing():  # reset by the server
                break
            self._writer.write(piece)
            if len(pieces) < 8:
                await asyncio.sleep(0)
        heard: list[bytes] = []
        ended = False
        while True:
            try:
                async with asyncio.timeout(END_SECONDS if ended else QUIET_SECONDS):
                    data = await self._reader.read(_READ)
            except TimeoutError:
                if ended:
                    sent = b"".join(pieces)[:2000].hex()
                    raise PortFault(
                        f"{self._name}: the server does not close after our end: {sent}"
                    ) from None
                ended = True
                if not self._writer.is_closing():
                    self._writer.write_eof()
                continue
            if not data:
                return b"".join(heard)
            heard.append(data)

    async def close(self) -> None:
        """Reset the connection, so that none of its ends lingers in the kernel."""
        self._writer.transport.abort()
        await asyncio.sleep(0)
