"""Rows put straight into the store, for tests of what reads them."""

from collections.abc import Sequence

from node.store.changes import ChangeKind, append_changes
from node.store.database import Database

PUT = """
insert into record (key, prefix, handle, ttl, expires, wire, json, whole)
values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (key) do update set handle = excluded.handle, ttl = excluded.ttl,
    expires = excluded.expires, wire = excluded.wire, json = excluded.json, whole = excluded.whole
"""


async def put_record(
    database: Database,
    key: bytes,
    *,
    wire: bytes = b"\0\0\0\0",
    json: bytes = b"[]",
    whole: bytes | None = None,
    ttl: int = 86_400,
    expires: int | None = None,
) -> int:
    """Write one record and its change; return the serial."""
    async with database.transaction() as connection:
        await connection.execute(
            PUT, key, key.partition(b"/")[0], key.lower(), ttl, expires, wire, json, whole
        )
        return await append_changes(connection, [key], [ChangeKind.RECORD])


async def put_changes(database: Database, keys: Sequence[bytes]) -> int:
    """Write changes only; return the newest serial."""
    async with database.transaction() as connection:
        return await append_changes(connection, keys, [ChangeKind.RECORD] * len(keys))
