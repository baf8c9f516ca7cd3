"""A small HTTPS peer for the transport: it checks signatures as the top-level node would, and goes wrong as told.

Real TLS with certificates on both sides; what it takes is `sync.receiver` over an inbox in memory.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from time import time

import orjson

from resolver.keys.signing import SigningKey, VerifyingKey
from sync.change import canonical
from sync.message import encode, parse_message
from sync.receiver import receive
from sync.signature import Answer, Nonces, Request, SignatureFailed, sign, verify
from sync.testing import MemoryInbox
from sync.transport import HEARTBEAT_PATH, MESSAGES_PATH, TIME_HEADER

MOST_BYTES = 1 << 24  # of a message and its head
ACCEPTING_TURNS = 5  # of the loop, from the accepted socket to its handler


@dataclass(slots=True)
class Mischief:
    """What the peer does wrong until told otherwise."""

    silent: bool = False  # takes the request, and never answers
    drips: bool = False  # answers without an end, a letter at a time
    resets: bool = False  # cuts the connection instead of answering
    garbage: bytes = b""  # as the body of a good answer
    encoding: str = ""  # said of it
    status: int = 0  # answered instead
    skew_seconds: float = 0.0  # of its clock
    signs_with: SigningKey | None = None
    old_answer: bytes = b""  # the whole of it, given again


@dataclass(slots=True)
class HttpsPeer:
    """One peer; `keys` are those of the node, by their ids."""

    keys: dict[str, VerifyingKey]
    key: SigningKey | None = None
    inbox: MemoryInbox = field(default_factory=MemoryInbox)
    mischief: Mischief = field(default_factory=Mischief)
    nonces: Nonces = field(default_factory=Nonces)
    beats: list[dict[str, object]] = field(default_factory=list)
    frames: list[bytes] = field(default_factory=list)
    refusals: list[SignatureFailed] = field(default_factory=list)
    requests: list[tuple[Request, dict[str, str]]] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)
    url: str = ""
    _open: dict[asyncio.Task[None], asyncio.WriteTransport] = field(default_factory=dict)
    _ends: bool = False
    _context: ssl.SSLContext = field(
        default_factory=lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    )

    def show(self, certificate: Path) -> None:
        """Show another certificate from now on."""
        self._context.load_cert_chain(certificate)

    @asynccontextmanager
    async def serving(
        self, certificate: Path, authority: Path, port: int = 0
    ) -> AsyncIterator[None]:
        """Listen while the block runs; clients must have a certificate of the authority."""
        self._context.verify_mode = ssl.CERT_REQUIRED
        self._context.load_verify_locations(authority)
        self.show(certificate)
        self._ends = False
        server = await asyncio.start_server(self._serve, "127.0.0.1", port, limit=MOST_BYTES)
        self.url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield
        finally:
            server.close()
            await self._end()

    async def _end(self) -> None:
        """Break all connections, and return when they are closed; also what is accepted but not served yet."""
        self._ends = True
        for _ in range(ACCEPTING_TURNS):
            await asyncio.sleep(0)
        while self._open:
            for transport in self._open.values():
                transport.abort()
            await asyncio.wait(self._open)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection; TLS begins here, so that a handshake that is not done is known, and ends with us."""
        plain, task = writer.transport, asyncio.current_task()
        assert task is not None  # a handler runs in one
        self._open[task] = plain
        try:
            if not self._ends:
                await writer.start_tls(self._context)
                await self._talk(reader, writer)
        except OSError:
            pass  # the handshake failed, or was broken
        finally:
            plain.abort()
            await asyncio.sleep(0)  # when it is closed
            del self._open[task]

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, OSError):
            while True:
                request, headers = await _read_request(reader)
                self.requests.append((request, headers))
                if self.mischief.resets:
                    writer.transport.abort()
                    return
                if self.mischief.drips:
                    await _drip(writer)
                if self.mischief.silent:
                    await reader.read()  # until the node gives up
                    return
                data = self.mischief.old_answer or await self._answer(request, headers)
                self.answers.append(data)
                writer.write(data)
                await writer.drain()

    async def _answer(self, request: Request, headers: dict[str, str]) -> bytes:
        now = time() + self.mischief.skew_seconds
        try:
            nonce = verify(request, headers, self.keys, now=now, seen=self.nonces).nonce
        except SignatureFailed as error:
            self.refusals.append(error)
            nonce = "of-no-right-request"
            answer = Answer(401, canonical({"detail": str(error), "title": "Unauthorized"}))
        else:
            answer = await self._carry_out(request)
        if self.mischief.status:
            answer = Answer(self.mischief.status, b'{"detail":"as told"}')
        return self._written(answer, nonce, now)

    async def _carry_out(self, request: Request) -> Answer:
        if self.mischief.garbage:
            return Answer(200, self.mischief.garbage)
        match request.path:
            case path if path == MESSAGES_PATH:
                return Answer(200, encode(await receive(parse_message(request.body), self.inbox)))
            case path if path == HEARTBEAT_PATH:
                self.beats.append(orjson.loads(request.body))
                return Answer(204, b"")
        self.frames.append(request.body)
        return Answer(200, b"<epp/>")

    def _written(self, answer: Answer, nonce: str, now: float) -> bytes:
        key = self.mischief.signs_with or self.key
        signed = sign(answer, key, created=int(now), nonce=nonce) if key else {}
        headers = {TIME_HEADER: f"{now:.3f}", **signed}
        if self.mischief.encoding:
            headers["Content-Encoding"] = self.mischief.encoding
        if answer.status != 204:
            headers["Content-Length"] = str(len(answer.body))
        lines = [
            f"HTTP/1.1 {answer.status} Told",
            *(f"{name}: {headers[name]}" for name in headers),
        ]
        return "\r\n".join([*lines, "", ""]).encode() + answer.body


async def _drip(writer: asyncio.StreamWriter) -> None:
    """Answer for ever; raises OSError when the other end has gone."""
    writer.write(b"HTTP/1.1 200 Told\r\nContent-Length: 1000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


@contextmanager
def alerting(certificate: Path, authority: Path) -> Iterator[str]:
    """A server that says why it refuses a certificate, which asyncio's do not; the URL of it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.load_verify_locations(authority)
    context.verify_mode = ssl.CERT_REQUIRED
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = Thread(target=_refuse_all, args=(listening, context), daemon=True)
        thread.start()
        try:
            yield f"https://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def _refuse_all(listening: socket.socket, context: ssl.SSLContext) -> None:
    while True:
        try:
            accepted, _ = listening.accept()
        except OSError:
            return
        with accepted, suppress(OSError):
            context.wrap_socket(accepted, server_side=True).close()


async def _read_request(reader: asyncio.StreamReader) -> tuple[Request, dict[str, str]]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ")
    pairs = [line.partition(":") for line in head[1:] if line]
    headers = {name.lower(): text.strip() for name, _, text in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, path, body), headers
