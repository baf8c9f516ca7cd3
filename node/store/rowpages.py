"""Pages of the line of all rows: those stored of the tables before 表9, the masters, those stored of the tables behind.

Both sides order rows by table and key as "C" does, which is the order of the bytes of canonical keys.
"""

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import NamedTuple, TypeAlias

from node.store.database import Connection
from node.store.masters import master_row, operation_of
from node.store.synced import MASTERS, open_row
from resolver.identifier import PREFIX_HANDLE
from resolver.keys.seal import Seal
from sync.change import END, MAX_BATCH_BYTES, Place, Row

# A row that lies behind a megabyte of others is not fetched.
_STORED = f"""
select number, key, body, found from (
    select number, key, body, count(*) over () as found,
        sum(octet_length(body)) over (order by number, key) - octet_length(body) as bytes_before
    from (
        select number, key, body from sync_row
        where (number, key) > ($1, $2) and (number, key) < ($3, $4)
        order by number, key limit $5
    ) as several
) as line
where bytes_before < {MAX_BATCH_BYTES} order by number, key
"""  # noqa: S608  a constant
# The inner `limit` makes Postgres look the first versions up one by one.
_RECORDS = """
select line.key, line.version, line.is_gone,
    coalesce(made.at, (select applied_at from migration where number = 2))
from (
    select key, version, gone is not null as is_gone from record
    where key > $1 and key < $2 order by key limit $3
) as line left join lateral (
    select at from version where version.key = line.key and version.version = 1 limit 1
) as made on true
order by line.key
"""
_BEHIND_MASTERS = Place(MASTERS + "\x01", "")
_LAST_KEY = b"\xff"  # behind every key, since keys are UTF-8

Pieces: TypeAlias = AsyncIterator[list[Row]]


class Found(NamedTuple):
    """Rows in the order of their places, enough for a page if there are; `are_all`: there are no others."""

    rows: list[Row]
    are_all: bool


async def rows_behind(connection: Connection, seal: Seal, after: Place, most: int) -> Found:
    """Return the rows behind a place, more than `most` or a batch's bytes if there are so many.

    In one snapshot only if the open transaction has one.  Raises SealError, and as `Database.connection`.
    """
    rows: list[Row] = []
    size = 0
    for read in _segments(connection, seal, after, most + 1):
        async for piece in read():
            rows += piece
            size += sum(len(row.key) + len(row.body) for row in piece)
            if len(rows) > most or size > MAX_BATCH_BYTES:
                return Found(rows, are_all=False)
    return Found(rows, are_all=True)


def _segments(
    connection: Connection, seal: Seal, after: Place, limit: int
) -> list[Callable[[], Pieces]]:
    """What reads the rows behind a place, in the order of the line; prefixes' records are stepped over."""
    stored, records = partial(_stored, connection, seal), partial(_records, connection)
    master = after.key.encode() if after.table == MASTERS else b""
    before = partial(stored, after, Place(MASTERS, ""), limit)
    low = partial(records, master, PREFIX_HANDLE, limit)
    high = partial(records, max(master, PREFIX_HANDLE + _LAST_KEY), _LAST_KEY, limit)
    behind = partial(stored, max(after, _BEHIND_MASTERS), END, limit)
    if after.table > MASTERS:
        return [behind]
    return [low, high, behind] if after.table == MASTERS else [before, low, high, behind]


async def _stored(
    connection: Connection, seal: Seal, after: Place, upto: Place, limit: int
) -> Pieces:
    while True:
        found = await connection.fetch(_STORED, *after, *upto, limit)
        places = [Place(row[0], row[1]) for row in found]
        yield [
            Row(*place, open_row(seal, place, row[2]))
            for place, row in zip(places, found, strict=True)
        ]
        if not found or len(found) == found[0]["found"] < limit:
            return
        after = places[-1]


async def _records(connection: Connection, after: bytes, upto: bytes, limit: int) -> Pieces:
    while True:
        found = await connection.fetch(_RECORDS, after, upto, limit)
        masters = [
            master_row(key, made_at, operation_of(version, is_gone=is_gone))
            for key, version, is_gone, made_at in found
        ]
        yield [row for row in masters if row is not None]
        if len(found) < limit:
            return
        after = found[-1]["key"]
