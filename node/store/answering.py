"""Answering: the prefix rows and the prefix records (`0.NA/…`) that a step of an object changes, in its transaction.

The order: names of prefixes are held, prefix records locked by key, then written, then prefix rows; the serial is taken
last (see `synced`), and only versions follow.
"""

from collections.abc import Sequence
from typing import NamedTuple

from node.store.database import Connection
from node.store.load import RecordRow
from node.store.prefixes import PREFIX_VERSIONS, PrefixRow, write_prefixes
from node.store.writing import StoredRecord, WhoAndWhy, WriteFacts, read_facts

_LOCK = "select from record where key = any($1::bytea[]) order by key for update"
_PUT = """
insert into record as stored (key, prefix, handle, ttl, expires, wire, json, whole)
select * from unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::int[], $5::bigint[], $6::bytea[],
    $7::bytea[], $8::bytea[])
order by 1
on conflict (key) do update set prefix = excluded.prefix, handle = excluded.handle,
    ttl = excluded.ttl, expires = excluded.expires, wire = excluded.wire, json = excluded.json,
    whole = excluded.whole, loaded = null, gone = null, version = stored.version + 1
returning key, version
"""
_DROP = "delete from prefix where prefix = any($1::bytea[]) returning prefix"
_VERSIONS = """
insert into version (key, version, serial, operation, caller, means, origin, reason, before)
select line.key, coalesce(line.version, (
        select coalesce(max(version.version), 0) + 1 from version where version.key = line.key
    )), line.serial, line.operation, $6, $7, $8, $9, line.before
from unnest($1::bytea[], $2::int[], $3::bigint[], $4::text[], $5::bytea[])
    as line (key, version, serial, operation, before)
"""


class VersionLine(NamedTuple):
    """A version to be written: of a record, or of a prefix itself (see `of_prefix`)."""

    key: bytes
    version: int | None  # None: the next
    serial: int
    operation: str
    before: bytes | None


async def lock_answers(
    connection: Connection, keys: Sequence[bytes], prefixes: Sequence[bytes]
) -> WriteFacts:
    """Hold the records with these keys that there are; return them, and how these prefixes are answered."""
    await connection.fetch(_LOCK, keys)
    return await read_facts(connection, keys, prefixes)


async def put_records(connection: Connection, rows: Sequence[RecordRow]) -> dict[bytes, int]:
    """Write records and return their versions; a new one that another writer has just made gets its second."""
    if not rows:
        return {}
    columns = [list(column) for column in zip(*[row[:8] for row in rows], strict=True)]
    return {row[0]: row[1] for row in await connection.fetch(_PUT, *columns)}


async def answer_prefixes(
    connection: Connection, rows: Sequence[PrefixRow], gone: Sequence[bytes]
) -> list[bytes]:
    """Home or delegate prefixes, let others go, and return the names of those that are not as before."""
    changed = await write_prefixes(connection, sorted(rows))
    if gone:
        changed += [row["prefix"] for row in await connection.fetch(_DROP, list(gone))]
    return changed


async def add_versions(
    connection: Connection, lines: Sequence[VersionLine], who: WhoAndWhy
) -> None:
    """Write the versions of what was written, after their serials are known."""
    if lines:
        columns = [list(column) for column in zip(*lines, strict=True)]
        await connection.execute(_VERSIONS, *columns, *who[1:])


def of_prefix(name: bytes, serial: int, *, is_homed: bool) -> VersionLine:
    """Return the version of a prefix itself."""
    operation = "home" if is_homed else "unhome"
    return VersionLine(PREFIX_VERSIONS + name, None, serial, operation, None)


def of_record(key: bytes, version: int, serial: int, before: StoredRecord | None) -> VersionLine:
    """Return the version of a record that replaces another, a tombstone or nothing."""
    is_there = before is not None and not before.is_gone
    return VersionLine(
        key, version, serial, "create", before.encoded if before and is_there else None
    )
