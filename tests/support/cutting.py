"""An HTTP server that is as bad as a network: it loses answers after the request has arrived, or is busy."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx

from resolver.client import Client, Credentials

Script = Callable[["Arrived"], bytes | None]
"""What to answer; None closes the connection without an answer."""


@dataclass(frozen=True)
class Arrived:
    """A request that has arrived whole."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def key(self) -> str:
        """Its Idempotency-Key."""
        return self.headers.get("idempotency-key", "")


@dataclass
class CuttingServer:
    """What arrived, in order; `script` holds what to do with each, the last for all that follow."""

    script: list[Script]
    arrived: list[Arrived] = field(default_factory=list)
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (request := await _read(reader)) is not None:
                self.arrived.append(request)
                answer = self.script[min(len(self.arrived), len(self.script)) - 1](request)
                if answer is None:
                    break
                writer.write(answer)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def cutting(*script: Script) -> AsyncIterator[CuttingServer]:
    """Run a server that does with each request what the script says."""
    found = CuttingServer(list(script))
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield found
    finally:
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def losing_answers(url: str, times: int) -> AsyncIterator[CuttingServer]:
    """Run a server that hands every request on to another, and loses so many answers of writes carried out."""
    found, lost = CuttingServer([]), 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal lost
        async with httpx.AsyncClient(trust_env=False) as behind:
            while (request := await _read(reader)) is not None:
                found.arrived.append(request)
                method, target, _ = request.line.split(" ")
                answer = await behind.request(
                    method, url + target, headers=request.headers, content=request.body
                )
                if method != "GET" and answer.is_success and lost < times:
                    lost += 1
                    break
                head = {"ETag": answer.headers.get("etag", "")}
                told = ("idempotent-replayed", "idempotency-key-honoured")
                head |= {name: answer.headers[name] for name in told if name in answer.headers}
                writer.write(saying(answer.status_code, answer.text, **head)(request) or b"")
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    found.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield found
    finally:
        server.close()
        await server.wait_closed()


async def at_once(_seconds: float) -> None:
    """Pause for no time at all."""


def asking(url: str, credentials: Credentials | None = None, seconds: float = 10.0) -> Client:
    """Return a client that never pauses between attempts."""
    return Client(url, credentials, sleep=at_once, attempt_seconds=seconds)


def cut(_request: Arrived) -> None:
    """Close without an answer."""


def saying(status: int, body: str = "", **headers: str) -> Script:
    """Answer with this status, JSON body, and headers (underscores for hyphens)."""
    head = {"Content-Type": "application/json", "Content-Length": str(len(body.encode()))}
    head |= {name.replace("_", "-"): text for name, text in headers.items()}
    lines = [f"HTTP/1.1 {status} Said", *(f"{name}: {text}" for name, text in head.items())]
    return lambda _request: ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


async def _read(reader: asyncio.StreamReader) -> Arrived | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        line, *rest = head.strip().split("\r\n")
        headers = {name.lower(): text for name, _, text in (each.partition(": ") for each in rest)}
        return Arrived(
            line, headers, await reader.readexactly(int(headers.get("content-length", 0)))
        )
    except asyncio.IncompleteReadError:
        return None
