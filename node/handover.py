"""Handover: how a worker that is replaced leaves its sockets and its connections to its successor.

The two speak over a unix socket in the run directory, where each worker waits for who comes after it:

1. the successor, which has read all it needs, connects;
2. the predecessor reads no more from its UDP sockets, accepts no more, and says so: what comes from now on waits in
   the sockets, which both have from the supervisor;
3. the successor reads the change feed once more, so that nothing it says is older than what was said before, and
   begins;
4. the predecessor, told by the supervisor to stop, hands over each TCP connection that stands between two messages;
   until its end the successor tells it how far others have written, since it alone hears that now.

Whoever dies on the way costs what the death of a worker costs.  A successor that is lost after step 2 takes the
predecessor with it, and the supervisor starts another one.  Only processes of the same account are listened to.
"""

import asyncio
import logging
import os
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from node.unix import ShortPath, is_ours

LET_GO_SECONDS = 2.0  # that a predecessor has to let go; one that hangs is not waited for
_LET_GO, _CONNECTION = b"1", b"c"
_SERIAL = struct.Struct(">Q")

Adopt = Callable[[socket.socket], object]
Written = Callable[[int], object]

log = logging.getLogger(__name__)


class Handover:
    """One worker's part in it: it succeeds another one when it begins, and is succeeded in the end."""

    def __init__(self, run_directory: Path, slot: int) -> None:
        self._directory, self._name = run_directory, f"worker-{slot}.handover"
        self._before: socket.socket | None = None
        self._after: socket.socket | None = None

    @property
    def is_succeeded(self) -> bool:
        """True when a successor has the sockets."""
        return self._after is not None

    async def succeed(self) -> bool:
        """Have the worker that is here now let go of its sockets; false when there is none, or it hangs."""
        loop = asyncio.get_running_loop()
        before = socket.socket(socket.AF_UNIX)
        before.setblocking(False)
        try:
            async with asyncio.timeout(LET_GO_SECONDS):
                with ShortPath(self._directory, self._name) as path:
                    await loop.sock_connect(before, path)
                has_let_go = await loop.sock_recv(before, 1) == _LET_GO
        except OSError:  # includes TimeoutError
            has_let_go = False
        if has_let_go:
            self._before = before
        else:
            before.close()
        return has_let_go

    def adopt(self, adopt: Adopt) -> None:
        """Take over the connections of the predecessor as they come, in the background."""
        if self._before is not None:
            loop = asyncio.get_running_loop()
            loop.add_reader(self._before.fileno(), self._receive, self._before, adopt)

    def tell_written(self, serial: int) -> None:
        """Tell the predecessor, while it is there, that something was written with this serial."""
        if self._before is not None:
            with suppress(OSError):  # it hangs, or has just gone
                self._before.send(_SERIAL.pack(serial))

    def _receive(self, before: socket.socket, adopt: Adopt) -> None:
        """Called by the event loop: the predecessor has handed over something, or has ended."""
        try:
            while (received := socket.recv_fds(before, len(_CONNECTION), 1))[0]:
                for descriptor in received[1]:
                    adopt(socket.socket(fileno=descriptor))
        except BlockingIOError:
            return
        except OSError:
            pass  # it was killed
        self._forget_before()

    def _forget_before(self) -> None:
        if self._before is not None:
            asyncio.get_running_loop().remove_reader(self._before.fileno())
            self._before.close()
            self._before = None

    @asynccontextmanager
    async def waiting(
        self,
        let_go: Callable[[], None],
        abandoned: Callable[[], None],
        written: Written = lambda _: None,
    ) -> AsyncIterator[None]:
        """Within the block wait for a successor: `let_go` is called when it comes, `abandoned` if it is lost then.

        `written` is told each serial up to which the successor knows that others have written.
        """
        with ShortPath(self._directory, self._name) as path:
            with suppress(FileNotFoundError):
                os.unlink(path)  # of the worker before
            door = socket.socket(socket.AF_UNIX)
            door.setblocking(False)
            door.bind(path)
        door.listen(1)
        waiting = asyncio.create_task(self._wait(door, let_go, abandoned, written))
        try:
            yield
        finally:
            waiting.cancel()
            with suppress(asyncio.CancelledError):
                await waiting
            door.close()
            self._forget_before()
            if self._after is not None:
                self._after.close()

    def give(self, descriptor: int) -> bool:
        """Hand a connection to the successor; false when there is none, or it does not take any now."""
        if self._after is None:
            return False
        try:
            return socket.send_fds(self._after, [_CONNECTION], [descriptor]) > 0
        except OSError:
            return False

    async def _wait(
        self,
        door: socket.socket,
        let_go: Callable[[], None],
        abandoned: Callable[[], None],
        written: Written,
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            after, _ = await loop.sock_accept(door)
            if is_ours(after):
                break
            after.close()
        after.setblocking(False)
        self._after = after
        let_go()
        with suppress(OSError):
            await loop.sock_sendall(after, _LET_GO)
        await _hear(after, written)
        log.warning("the successor was lost")
        abandoned()


async def _hear(after: socket.socket, written: Written) -> None:
    """Pass on what the successor tells, until its end: at once, since who wrote it may be about to read it."""
    loop = asyncio.get_running_loop()
    ended = loop.create_future()

    def read() -> None:
        try:
            while told := after.recv(_SERIAL.size):
                written(*_SERIAL.unpack(told))
        except BlockingIOError:
            return
        except (OSError, struct.error):
            pass  # it was killed
        loop.remove_reader(after.fileno())
        ended.set_result(None)

    loop.add_reader(after.fileno(), read)
    try:
        await ended
    finally:
        loop.remove_reader(after.fileno())
