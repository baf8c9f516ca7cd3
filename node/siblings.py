"""Siblings: what the workers of one node tell each other, over unix sockets in its run directory.

Two things: messages of a session that another worker made are handed to it and answered as it says (a session lives in
one worker); and what one has just written, so that the others give nothing older, before the change feed tells them.
The second is waited for, a moment: whoever writes and then reads through another worker reads what he wrote.  What is
lost of it costs the quarter of a second until the feed is read.

A frame is a length and one kind byte with its content; the next one is sent when the last is answered.  Only processes
of the same account are listened to.
"""

import asyncio
import os
import struct
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import cast

from node.unix import ShortPath, is_ours
from resolver.exchange import Origin, Reply
from resolver.observe import PROTOCOLS
from resolver.wire import ENVELOPE_BYTES, MAX_MESSAGE_BYTES

ANSWER_SECONDS = 15.0
CONNECT_SECONDS = 1.0
MAX_FRAME_BYTES = 4 * (MAX_MESSAGE_BYTES + ENVELOPE_BYTES)
HEARD_SECONDS = 0.05  # a write waits so long for a worker to take it in
DEAF_SECONDS = 1.0  # one that did not is not waited for again for so long
MAX_OPEN = 32  # connections to one sibling; further messages wait for one
BACKLOG = 1_024  # of connections that wait to be accepted, from all siblings

_LENGTH = struct.Struct(">I")
_FORWARD = struct.Struct(">BH")  # protocol, length of the address
_REPLY = struct.Struct(">q?H")  # cell (-1: none), whether more follows, length of the key
_CHANGE = struct.Struct(">QI")  # serial, length of the key
_ASK, _HINT = b"a", b"h"
_NO_CELL = -1
_HEARD = _LENGTH.pack(_REPLY.size) + _REPLY.pack(_NO_CELL, False, 0)  # answers a hint

Answer = Callable[[bytes, Origin], Awaitable[Reply]]
Changes = Iterable[tuple[bytes, int]]
"""(canonical key, serial of its change)."""

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Siblings:
    """The other workers as one process sees them; `slot` is its own (None: the keeper, which nobody asks)."""

    def __init__(self, run_directory: Path, slots: int, slot: int | None = None) -> None:
        self._directory = run_directory
        self._slots = slots
        self._slot = slot
        self._idle: dict[int, list[Streams]] = {}
        self._gates: dict[int, asyncio.Semaphore] = {}
        self._lines: dict[int, _Line] = {}
        self._deaf_until: dict[int, float] = {}
        self._doors: set[_Door] = set()

    @asynccontextmanager
    async def listening(
        self, answer: Answer, learn: Callable[[Changes], None]
    ) -> AsyncIterator[None]:
        """Answer the siblings within the block: forwarded messages, and what they have written."""
        served: set[asyncio.Task[None] | None] = set()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            served.add(task)
            try:
                with suppress(OSError, EOFError, ValueError, struct.error):
                    if _has_our_account(writer):
                        await _serve(reader, writer, answer, learn)
            except asyncio.CancelledError:
                pass  # we end it ourselves, below; asyncio's streams take a cancelled task for an error, and log it
            finally:
                served.discard(task)
                writer.close()

        with self._path(self._slot or 0) as path:
            with suppress(FileNotFoundError):
                os.unlink(path)  # of the worker that was here before
            loop = asyncio.get_running_loop()
            server = await loop.create_unix_server(
                lambda: _Door(asyncio.StreamReader(), serve, learn, self._doors),
                path,
                backlog=BACKLOG,
            )
        try:
            yield
        finally:
            server.close()
            await _end(task for task in served if task is not None)
            await self.close()

    def give_way(self) -> None:
        """A successor has the slot and listens: it hears from now on what the others write, and what this one does."""
        self._slot = None
        for door in tuple(self._doors):
            door.close()

    async def close(self) -> None:
        """Let go of the connections to the others."""
        for line in self._lines.values():
            line.close()
        self._lines.clear()
        idle = [writer for streams in self._idle.values() for _, writer in streams]
        for writer in idle:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
        self._idle.clear()

    async def forward(self, slot: int, data: bytes, origin: Origin) -> Reply:
        """Return what the worker in a slot replies to a whole message.  Raises OSError when there is none."""
        if slot >= self._slots or slot == self._slot:
            raise ConnectionRefusedError(f"there is no other worker in slot {slot}")
        address = origin.address.encode()
        head = _FORWARD.pack(PROTOCOLS.index(origin.protocol), len(address))
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._ask(slot, _ASK + head + address + data)
        except (EOFError, struct.error) as error:
            raise ConnectionResetError(f"the worker in slot {slot} has gone") from error

    async def tell(self, changes: Changes) -> None:
        """Tell all others what has been written, and wait until they have taken it in: then none gives anything older.

        A worker that does not listen is not waited for, and left to the feed for a while.
        """
        hint = b"".join([_CHANGE.pack(serial, len(key)) + key for key, serial in changes])
        now = asyncio.get_running_loop().time()
        others = [slot for slot in range(self._slots) if slot != self._slot]
        hearing = [slot for slot in others if self._deaf_until.get(slot, 0) <= now]
        if hint and len(hearing) == 1:
            await self._tell(hearing[0], _HINT + hint)
        elif hint:
            await asyncio.gather(*(self._tell(slot, _HINT + hint) for slot in hearing))

    async def count_hearing(self, within_seconds: float) -> int:
        """Return how many of the others take in, in that time, that nothing was written: their event loops turn."""
        others = [slot for slot in range(self._slots) if slot != self._slot]
        return sum(await asyncio.gather(*(self._hears(slot, within_seconds) for slot in others)))

    async def _hears(self, slot: int, within_seconds: float) -> bool:
        deadline = asyncio.get_running_loop().time() + within_seconds
        try:
            line = await self._line(slot, within_seconds)
            await line.tell(_HINT, deadline)
        except OSError:  # includes TimeoutError
            return False
        return True

    async def _line(self, slot: int, within_seconds: float) -> "_Line":
        line = self._lines.get(slot)
        if line is None or not line.is_open:
            async with asyncio.timeout(within_seconds):
                line = self._lines[slot] = await self._open_line(slot)
        return line

    async def _tell(self, slot: int, hint: bytes) -> None:
        with suppress(OSError):  # it has gone, and its successor knows nothing old
            try:
                await self._tell_once(slot, hint)
            except ConnectionError:  # or it was replaced: the successor hears already
                await self._tell_once(slot, hint)

    async def _tell_once(self, slot: int, hint: bytes) -> None:
        loop = asyncio.get_running_loop()
        try:
            line = await self._line(slot, HEARD_SECONDS)
            await line.tell(hint, loop.time() + HEARD_SECONDS)
        except TimeoutError:
            self._deaf_until[slot] = loop.time() + DEAF_SECONDS

    async def _ask(self, slot: int, frame: bytes) -> Reply:
        gate = self._gates.setdefault(slot, asyncio.Semaphore(MAX_OPEN))
        await gate.acquire()
        streams = None
        try:
            streams = await self._connect(slot)
            _write(streams[1], frame)
            head = await _read(streams[0])
            cell, has_more, size = _REPLY.unpack_from(head)
        except BaseException:
            self._give_back(slot, streams, is_broken=True)
            raise
        more = _more(streams) if has_more else None
        self._give_back(slot, None if has_more else streams)
        start = _REPLY.size + size
        key = head[_REPLY.size : start]
        return Reply(head[start:], None if cell == _NO_CELL else cell, more, key)

    async def _connect(self, slot: int) -> Streams:
        idle = self._idle.setdefault(slot, [])
        while idle:
            reader, writer = idle.pop()
            if not (writer.is_closing() or reader.at_eof()):
                return reader, writer
            writer.close()
        return await self._open(slot)

    def _give_back(self, slot: int, streams: Streams | None, *, is_broken: bool = False) -> None:
        """Let the next message have this connection, or none in its place."""
        if streams is not None and is_broken:
            streams[1].close()
        elif streams is not None:
            self._idle.setdefault(slot, []).append(streams)
        self._gates[slot].release()

    async def _open(self, slot: int) -> Streams:
        with self._path(slot) as path:
            async with asyncio.timeout(CONNECT_SECONDS):
                return await asyncio.open_unix_connection(path)

    async def _open_line(self, slot: int) -> "_Line":
        loop = asyncio.get_running_loop()
        with self._path(slot) as path:
            return (await loop.create_unix_connection(_Line, path))[1]

    def _path(self, slot: int) -> "ShortPath":
        return ShortPath(self._directory, f"worker-{slot}.socket")


class _Line(asyncio.Protocol):
    """A connection over which one sibling is told what was written; acknowledged in the same order."""

    def __init__(self) -> None:
        self._told: deque[asyncio.Future[None]] = deque()
        self._received = 0
        self.is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self._transport = cast(asyncio.Transport, transport)
        self.is_open = True

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        self.is_open = False
        while self._told:
            _fail(self._told.popleft(), ConnectionResetError("the worker has gone"))

    def data_received(self, data: bytes) -> None:
        """Called by the event loop: acknowledgements are all alike."""
        self._received += len(data)
        while self._received >= len(_HEARD):
            self._received -= len(_HEARD)
            if self._told and not (told := self._told.popleft()).done():
                told.set_result(None)

    async def tell(self, hint: bytes, deadline: float) -> None:
        """Wait until a hint was taken in.  Raises OSError (TimeoutError: not until then); then the line is closed."""
        loop = asyncio.get_running_loop()
        told = loop.create_future()
        self._told.append(told)
        self._transport.write(_LENGTH.pack(len(hint)) + hint)
        timer = loop.call_at(deadline, _fail, told, TimeoutError())
        try:
            await told
        except BaseException:
            self.close()
            raise
        finally:
            timer.cancel()

    def close(self) -> None:
        """Tell no more."""
        self.is_open = False
        self._transport.close()


class _Door(asyncio.StreamReaderProtocol):
    """The other end: a hint that comes in one piece is taken in on the spot, all else goes the way of the streams."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
        learn: Callable[[Changes], None],
        doors: "set[_Door]",
    ) -> None:
        """`doors` are those through which only hints have come."""
        super().__init__(reader, serve)
        self._learn = learn
        self._doors = doors
        self._is_ours = False
        self._only_hints = True  # so far; afterwards a piece may be the middle of something

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        super().connection_made(transport)
        self._own = cast(asyncio.Transport, transport)
        self._is_ours = _has_our_account(self._own)
        self._doors.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        self._doors.discard(self)
        super().connection_lost(exc)

    def close(self) -> None:
        """Hear no more."""
        self._own.close()

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        if self._only_hints and self._is_ours and _is_whole_hint(data):
            with suppress(struct.error):
                self._learn(list(_changes(data[_LENGTH.size + 1 :])))
                self._own.write(_HEARD)
                return
        self._only_hints = False
        self._doors.discard(self)
        super().data_received(data)


def _is_whole_hint(data: bytes) -> bool:
    start = _LENGTH.size
    return data[start : start + 1] == _HINT and _LENGTH.unpack_from(data)[0] == len(data) - start


def _fail(told: asyncio.Future[None], error: Exception) -> None:
    if not told.done():
        told.set_exception(error)


async def _more(streams: Streams) -> AsyncIterator[bytes]:
    """Pass on the further messages of an answer; an empty frame ends them.  The connection is used for nothing else."""
    try:
        while frame := await _read(streams[0]):
            yield frame
    finally:
        streams[1].close()


async def _end(tasks: Iterable[asyncio.Task[None]]) -> None:
    ending = list(tasks)
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)


async def _serve(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    answer: Answer,
    learn: Callable[[Changes], None],
) -> None:
    while True:
        frame = await _read(reader)
        if frame[:1] == _HINT:
            learn(list(_changes(frame[1:])))
            writer.write(_HEARD)
            continue
        number, size = _FORWARD.unpack_from(frame, 1)
        start = 1 + _FORWARD.size
        address = frame[start : start + size].decode()
        reply = await answer(frame[start + size :], Origin(PROTOCOLS[number], address))
        cell = _NO_CELL if reply.cell is None else reply.cell
        head = _REPLY.pack(cell, reply.more is not None, len(reply.key))
        _write(writer, head + reply.key + reply.message)
        if reply.more is not None:
            async for message in reply.more:
                _write(writer, message)
                await writer.drain()
            _write(writer, b"")
        await writer.drain()


def _changes(data: bytes) -> Iterator[tuple[bytes, int]]:
    at = 0
    while at < len(data):
        serial, size = _CHANGE.unpack_from(data, at)
        at += _CHANGE.size
        yield data[at : at + size], serial
        at += size


def _write(writer: asyncio.StreamWriter, frame: bytes) -> None:
    writer.write(_LENGTH.pack(len(frame)) + frame)


async def _read(reader: asyncio.StreamReader) -> bytes:
    """Return the next frame.  Raises EOFError, ValueError when it is too long."""
    (size,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    if size > MAX_FRAME_BYTES:
        raise ValueError(f"a frame of {size} bytes; {MAX_FRAME_BYTES} are allowed")
    return await reader.readexactly(size)


def _has_our_account(end: asyncio.StreamWriter | asyncio.Transport) -> bool:
    return is_ours(end.get_extra_info("socket"))
