"""Registrations at a steady rate, in native sessions, and what of them was acknowledged when.

Every identifier is registered once, under a name of its own; with `again` some of them are changed or deleted later, by
whoever registered them.  With `names` a session keeps to so many: what was deleted is registered anew, so that nothing
grows that the node keeps by name.  A session that breaks is begun anew; what was under way then is nobody's to claim.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from random import Random

from loadtest.administrators import ADMIN, HOME
from loadtest.native_session import (
    NativeConnection,
    SessionRefused,
    name_body,
    values_body,
)
from loadtest.streams import Address
from node.model.master import Operation
from resolver.wire import Opcode, ResponseCode

AWAY_SECONDS = 0.1  # before a broken session is begun anew
OPENED_AT_ONCE = 4  # sessions: each costs the node a millisecond or several
BEHIND_SECONDS = 1.0  # what a session makes up for when it was kept off
TEXT = "https://example.org/products/item?lot=20260731&line=4"


class Registrations:
    """Writers; `address` gives where the node answers now.  Times are POSIX seconds."""

    def __init__(
        self,
        address: Callable[[], Address],
        name: str,
        *,
        sessions: int,
        again: float = 0.0,
        names: int = 0,
    ) -> None:
        """`again` is the share of the writes that change or delete what was registered before, while there are names.

        `names` are those of one session; 0: each registration has a new one.
        """
        self._address = address
        self._writers = [
            _Writer(self, f"{name}-{number}", again, names) for number in range(sessions)
        ]
        self._opening = asyncio.Semaphore(OPENED_AT_ONCE)
        self.done: dict[str, float] = {}  # by canonical key, when it was acknowledged
        self.newest: dict[str, int] = {}  # of those that were changed: the operation of 表9
        self.writes = 0  # that were acknowledged
        self.broken = 0  # sessions

    async def run(self, rate: float, stop: asyncio.Event) -> None:
        """Write so often a second, until told to stop."""
        async with asyncio.TaskGroup() as tasks:
            for writer in self._writers:
                tasks.create_task(self._keep_writing(writer, len(self._writers) / rate, stop))

    async def _keep_writing(self, writer: "_Writer", pause: float, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                async with self._opening:
                    connection = await NativeConnection.open(self._address(), ADMIN)
            except (OSError, EOFError, TimeoutError, SessionRefused):
                await asyncio.sleep(AWAY_SECONDS)
                continue
            with suppress(OSError, EOFError, TimeoutError):
                await writer.write(connection, pause, stop)
            connection.close()
            self.broken += not stop.is_set()


class _Writer:
    """What one session writes, and goes on with in the next."""

    def __init__(self, owner: Registrations, name: str, again: float, names: int) -> None:
        self._owner = owner
        self._name = name
        self._again = again
        self._names = names
        self._dice = Random(name)
        self._count = 0
        self._alive: list[str] = []
        self._deleted: list[str] = []  # that may be registered anew

    async def write(self, connection: NativeConnection, pause: float, stop: asyncio.Event) -> None:
        """Write until told to stop.  Raises OSError, EOFError, TimeoutError when the session breaks."""
        loop = asyncio.get_running_loop()
        due = loop.time() + self._dice.uniform(0, pause)
        while not stop.is_set():
            await asyncio.sleep(max(0.0, due - loop.time()))
            due = max(due + pause, loop.time() - BEHIND_SECONDS)
            if self._alive and (self._has_all_names() or self._dice.random() < self._again):
                await self._write_again(connection)
            else:
                await self._register(connection)
            self._owner.writes += 1

    def _has_all_names(self) -> bool:
        return bool(self._names) and not self._deleted and self._count >= self._names

    def _new_name(self) -> str:
        if self._deleted:
            return self._deleted.pop()
        self._count += 1
        return f"{HOME}/{self._name}-{self._count}".upper()

    async def _register(self, connection: NativeConnection) -> None:
        handle = self._new_name()
        body = values_body(handle, [(1, TEXT), (2, handle)])
        code = await connection.ask(Opcode.CREATE_HANDLE, body)
        _expect_success(code)
        self._owner.done[handle] = time.time()
        self._owner.newest.pop(handle, None)
        self._alive.append(handle)

    async def _write_again(self, connection: NativeConnection) -> None:
        handle = self._alive.pop(self._dice.randrange(len(self._alive)))
        is_deleted = self._dice.random() < 0.5
        if is_deleted:
            code = await connection.ask(Opcode.DELETE_HANDLE, name_body(handle))
        else:
            body = values_body(handle, [(2, f"again {self._owner.writes}")])
            code = await connection.ask(Opcode.MODIFY_VALUE, body)
        _expect_success(code)
        self._owner.newest[handle] = Operation.DELETE if is_deleted else Operation.CHANGE
        if self._names:
            (self._deleted if is_deleted else self._alive).append(handle)


def _expect_success(code: int) -> None:
    """Raise ConnectionError for an answer after which the session is begun anew."""
    if code != ResponseCode.SUCCESS:
        raise ConnectionError(f"the node answered {code}")
