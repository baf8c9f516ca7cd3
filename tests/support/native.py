"""A server of the native protocol that can be told to misbehave: for tests of those who ask."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast

from resolver.observe import Protocol
from resolver.responder import Origin, Responder
from resolver.wire import DatagramJoiner, FrameBuffer, split_datagrams


@dataclass
class NativeServer:
    """Answers by UDP and TCP on one port; `spoil` changes each reply, `drop` datagrams are not answered."""

    responder: Responder
    spoil: Callable[[bytes], bytes] = bytes
    drop: int = 0
    host: str = "127.0.0.1"
    port: int = 0

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["NativeServer"]:
        """Serve until the block ends."""
        server = await asyncio.start_server(self._answer_stream, self.host, 0)
        self.port = server.sockets[0].getsockname()[1]
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(self), local_addr=(self.host, self.port)
        )
        try:
            yield self
        finally:
            transport.close()
            server.close()
            await server.wait_closed()

    async def respond(self, message: bytes, protocol: Protocol) -> bytes:
        """Return the reply to a message, spoilt as told."""
        return self.spoil(
            (await self.responder.respond(message, Origin(protocol, self.host))).message
        )

    async def _answer_stream(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        frames = FrameBuffer()
        while chunk := await reader.read(65_536):
            frames.feed(chunk)
            while message := frames.next_message():
                writer.write(await self.respond(message, Protocol.TCP))
        writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: NativeServer) -> None:
        self._server = server
        self._joiner = DatagramJoiner()
        self._tasks: set[asyncio.Task[None]] = set()
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        message = self._joiner.add(address, data, asyncio.get_running_loop().time())
        if self._server.drop > 0 or message is None:
            self._server.drop -= message is not None
            return
        task = asyncio.create_task(self._answer(message, address))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, message: bytes, address: tuple[str, int]) -> None:
        reply = await self._server.respond(message, Protocol.UDP)
        for datagram in split_datagrams(reply) if len(reply) > 20 else [reply]:
            if self._transport is not None:
                self._transport.sendto(datagram, address)
