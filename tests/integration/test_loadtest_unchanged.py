"""The digests that the fuzzing of ports compares: they show every change that nobody may make."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from loadtest.administrators import NOBODY
from loadtest.unchanged import FOREIGN, differences, take_digests
from node.store.database import Connection, Database
from resolver.registrar import Operation
from tests.support.registry import do, home, registrar_on, url

pytestmark = pytest.mark.db

TOKEN = """
insert into token (hash, name, kind, handle, index) values ($1, 'x', $2, $3, 300)
"""
Change = Callable[[Connection], Awaitable[object]]


async def changed(database: Database, change: Change) -> set[str]:
    before = await asyncio.to_thread(take_digests, database.dsn)
    async with database.connection() as connection:
        await change(connection)
    after = await asyncio.to_thread(take_digests, database.dsn)
    return {fault.rpartition(": ")[2] for fault in differences(before, after)}


async def test_a_write_shows_in_record_version_and_change(database: Database) -> None:
    await home(database, "88.1")

    async def write(_connection: Connection) -> None:
        async with registrar_on(database) as registrar:
            await do(registrar, Operation.CREATE, "88.1/x", url())

    assert await changed(database, write) == {"record", "version", "change", "change_counter"}


async def test_a_token_shows_and_a_session_of_another_than_nobody(database: Database) -> None:
    ours, theirs = NOBODY.handle.upper().encode(), b"88.1/ADMIN"

    assert await changed(database, lambda c: c.execute(TOKEN, b"1", 0, ours)) == {"token"}
    assert await changed(database, lambda c: c.execute(TOKEN, b"2", 1, theirs)) == {FOREIGN}
    assert await changed(database, lambda c: c.execute(TOKEN, b"3", 1, ours)) == set()
