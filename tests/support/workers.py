"""Workers in this process, put together as the node does it, on free ports."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import httpx

from node.address import Endpoint
from node.app import Worker
from node.config import Settings
from node.counters import Counters
from node.sockets import open_listeners
from resolver.observe import RESOLUTIONS
from resolver.wire import (
    Envelope,
    Flag,
    FrameBuffer,
    Header,
    Message,
    Opcode,
    ResolutionAnswer,
    ResolutionRequest,
)
from tests.support.tasks import spawning

ANY_PORT = (Endpoint("127.0.0.1", 0),)
ANSWER_SECONDS = 10.0


@dataclass
class Running:
    """A worker that listens, and where."""

    worker: Worker
    settings: Settings

    @asynccontextmanager
    async def native(self) -> AsyncIterator["Native"]:
        """Lend a TCP connection."""
        native = self.settings.native_listen[0]
        reader, writer = await asyncio.open_connection(native.host, native.port)
        try:
            yield Native(reader, writer)
        finally:
            writer.close()
            with suppress(ConnectionError):  # a worker that has ended may have cut it off
                await writer.wait_closed()

    @asynccontextmanager
    async def http(self) -> AsyncIterator[httpx.AsyncClient]:
        """Lend an HTTP client that keeps its connection."""
        http = self.settings.http_listen[0]
        url = f"http://{http.host}:{http.port}"
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            yield client

    def counted(self, tier: str) -> int:
        """Return how many resolutions came from a tier."""
        return sum(
            self.worker.tally.cells[position]
            for position, labels in enumerate(RESOLUTIONS)
            if labels[3].value == tier
        )


@dataclass
class Native:
    """A TCP connection to a worker, asked one question at a time."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(
        self, handle: bytes, *types: bytes, flags: int = int(Flag.PUBLIC_ONLY)
    ) -> Message:
        """Return the answer to a resolution."""
        self.writer.write(question(handle, *types, flags=flags))
        return (await self.answers(1))[0]

    async def answers(self, count: int) -> list[Message]:
        """Return the next answers to what was asked."""
        frames, answers = FrameBuffer(), list[Message]()
        async with asyncio.timeout(ANSWER_SECONDS):
            while len(answers) < count:
                chunk = await self.reader.read(65_536)
                assert chunk, "the worker has closed the connection"
                frames.feed(chunk)
                answers += map(Message.decode, iter(frames.next_message, None))
        return answers

    async def text(self, handle: bytes, *types: bytes, flags: int = int(Flag.PUBLIC_ONLY)) -> bytes:
        """Return the data of a record's first value; empty when there is no answer with values."""
        answer = await self.ask(handle, *types, flags=flags)
        if answer.header.response_code != 1:
            return b""
        return ResolutionAnswer.decode(answer.body).values[0].data


def question(handle: bytes, *types: bytes, flags: int = int(Flag.PUBLIC_ONLY)) -> bytes:
    """Return a resolution request."""
    body = ResolutionRequest(handle, types=types).encode()
    header = Header(Opcode.RESOLUTION, flags=flags)
    return Message(Envelope(2, 11, 2, 11), header, body).encode()


@asynccontextmanager
async def running_worker(settings: Settings, directory: Path) -> AsyncIterator[Running]:
    """Run a worker until the block ends; `directory` is for its key and counters."""
    listeners = open_listeners(
        replace(
            settings,
            http_listen=ANY_PORT,
            native_listen=ANY_PORT,
            admin_listen=ANY_PORT,
            data_dir=directory,
            workers=1,
            ledger=False,  # a worker alone has no keeper to write its log
        )
    )
    counters = Counters.open(directory / "counters")
    try:
        async with spawning() as spawn:
            worker = Worker(listeners.settings, 0, directory, counters, spawn)
            try:
                await worker.prepare(asyncio.Event())
                async with worker.listening(listeners.slots[0]):
                    yield Running(worker, listeners.settings)
            finally:
                await worker.close()
    finally:
        listeners.close()
