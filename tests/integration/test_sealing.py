"""Secret keys that an earlier version stored in the clear are sealed once, before anything serves."""

import pytest

from node.store.database import Database
from node.store.keys import RecordKeys
from node.store.sealing import seal_stored
from resolver.registrar import Operation
from resolver.wire import HandleValue, encode_values
from tests.support.registry import SEAL, do, home, registrar_on, url

pytestmark = pytest.mark.db

SECRET = HandleValue(300, b"HS_SECKEY", b"step1plaintext", permissions=12)
PUT = """
insert into record (key, prefix, handle, ttl, wire, json, whole)
values ($1, '88.1', $1, 60, $2, '[]', $3)
"""


async def put(database: Database, key: bytes, *values: HandleValue) -> None:
    public = [value for value in values if value.is_public]
    async with database.connection() as connection:
        await connection.execute(PUT, key, encode_values(public), encode_values(values))


async def holds(database: Database, table: str) -> bool:
    async with database.connection() as connection:
        rows = await connection.fetch(f"select t::text from {table} t")  # noqa: S608
    return any(b"step1plaintext".hex() in row[0] for row in rows)


async def test_a_key_stored_in_the_clear_is_sealed_and_proves_again(
    database: Database, database_url: str
) -> None:
    await home(database, "88.1")
    await put(database, b"88.1/A", url(), SECRET)
    await put(database, b"88.1/B", url(2, permissions=12))
    keys = RecordKeys(database, SEAL)
    assert await keys.keys(b"88.1/A") == (url(),)

    assert await seal_stored(database_url, SEAL) == 1

    assert await keys.keys(b"88.1/A") == (url(), SECRET)
    async with registrar_on(database) as registrar:
        await do(registrar, Operation.ADD, "88.1/a", url(2))
    assert [await holds(database, table) for table in ("record", "version")] == [False, False]


async def test_it_is_done_once(database: Database, database_url: str) -> None:
    await home(database, "88.1")
    assert await seal_stored(database_url, SEAL) == 0
    await put(database, b"88.1/A", SECRET)
    assert await seal_stored(database_url, SEAL) == 0
