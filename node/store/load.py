"""Many records at once: what is stored already, and COPY for what is not as it should be."""

from collections.abc import Sequence
from typing import NamedTuple

import asyncpg

from node.store.database import Connection

COLUMNS = ("key", "prefix", "handle", "ttl", "expires", "wire", "json", "whole", "loaded")

_INCOMING = "create temp table incoming (like record) on commit delete rows"
_STORED = """
select line.key,
    case when stored.loaded = line.digest then null else coalesce(stored.whole, stored.wire) end
from unnest($1::bytea[], $2::bytea[]) as line (key, digest)
join record stored on stored.key = line.key
"""
_UPSERT = """
with written as (
    insert into record as stored
        (key, prefix, handle, ttl, expires, wire, json, whole, loaded)
    select key, prefix, handle, ttl, expires, wire, json, whole, loaded from incoming
    on conflict (key) do update set
        prefix = excluded.prefix, handle = excluded.handle, ttl = excluded.ttl,
        expires = excluded.expires, wire = excluded.wire, json = excluded.json,
        whole = excluded.whole, loaded = excluded.loaded
    where (stored.prefix, stored.handle, stored.ttl, stored.expires,
            stored.wire, stored.json, stored.whole)
        is distinct from (excluded.prefix, excluded.handle, excluded.ttl, excluded.expires,
            excluded.wire, excluded.json, excluded.whole)
    returning key
)
select coalesce(array_agg(key), '{}') from written
"""
_MARK = """
update record as stored set loaded = line.digest
from unnest($1::bytea[], $2::bytea[]) as line (key, digest) where stored.key = line.key
"""


class KeyTaken(Exception):
    """A record that was not stored a moment ago is now; the transaction is lost."""


class RecordRow(NamedTuple):
    """One row of the record table; see the migration that makes it."""

    key: bytes
    prefix: bytes
    handle: bytes
    ttl: int
    expires: int | None
    wire: bytes
    json: bytes
    whole: bytes | None
    loaded: bytes | None


async def prepare_load(connection: Connection) -> None:
    """Make the connection's temporary table.  Once, before `put_records`."""
    await connection.execute(_INCOMING)


async def read_stored(
    connection: Connection, rows: Sequence[RecordRow]
) -> dict[bytes, bytes | None]:
    """Return, for those of the rows that are stored: None when loaded from the same line, else all
    stored values encoded.
    """
    found = await connection.fetch(_STORED, [row.key for row in rows], [row.loaded for row in rows])
    return {row[0]: row[1] for row in found}


async def add_records(connection: Connection, rows: Sequence[RecordRow]) -> list[bytes]:
    """Add records that are not stored, in the open transaction; return their keys.

    Twice as fast as `put_records`.  Raises KeyTaken.
    """
    try:
        await connection.copy_records_to_table("record", records=rows, columns=COLUMNS)
    except asyncpg.UniqueViolationError as error:
        raise KeyTaken from error
    return [row.key for row in rows]


async def put_records(connection: Connection, rows: Sequence[RecordRow]) -> list[bytes]:
    """Add or replace records (each key once) in the open transaction; return the keys of those
    that are not as before.
    """
    if not rows:
        return []
    await connection.copy_records_to_table("incoming", records=rows, columns=COLUMNS)
    changed: list[bytes] = await connection.fetchval(_UPSERT)
    return changed


async def mark_loaded(connection: Connection, rows: Sequence[RecordRow]) -> None:
    """Note which line these records were last loaded from, though it changed nothing."""
    if rows:
        digests = [row.loaded for row in rows]
        await connection.execute(_MARK, [row.key for row in rows], digests)
