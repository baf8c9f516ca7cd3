"""Resending: rows that the top-level node did not take are sent once more as they are, with serials of their own.

It is for when the reason has gone away at the other end; a row that is corrected is sent again by itself.

Law: the counter is taken first, against the rule for writers.  Who has it takes no other lock, so waits for nobody; and
what is read after it are the newest rows, since whoever writes one numbers it before anybody sees it.
"""

from collections.abc import Sequence

from node.store.database import Connection, Database
from node.store.masters import master_row, operation_of
from node.store.synced import MASTERS, seal_row
from resolver.keys.seal import Seal
from sync.change import Place

RESENT_AT_ONCE = 500  # rows of one transaction: other writers wait for it

_HOLD = "select serial from change_counter for update"
_ASIDE = """
select number, key from sync_rejection
where ($1 = '' or number = $1) and ($2 = '' or key = $2) and (number, key) > ($3, $4)
order by number, key limit $5
"""
_STORED = """
select number, key, body from sync_row
where (number, key) in (select * from unnest($1::text[], $2::text[]))
"""
_RECORDS = """
select record.key, record.version, record.gone is not null,
    coalesce(made.at, (select applied_at from migration where number = 2))
from record left join version as made on made.key = record.key and made.version = 1
where record.key = any($1::bytea[])
"""
_APPEND = """
with taken as (
    update change_counter set serial = serial + cardinality($1::text[]) returning serial
)
insert into change (serial, key, kind, number, body)
select taken.serial - cardinality($1::text[]) + line.nth, convert_to(line.key, 'UTF8'), 2,
    line.number, line.body
from taken, unnest($1::text[], $2::text[], $3::bytea[]) with ordinality
    as line (number, key, body, nth)
"""


async def send_again(database: Database, seal: Seal, *, table: str = "", key: str = "") -> int:
    """Number a change for each row that is set aside (of one table, or with one key, when named); return how many.

    Raises StoreUnavailable, StoreError.
    """
    count, after = 0, Place("", "")
    while True:
        async with database.transaction() as connection:
            await connection.execute(_HOLD)
            rows = await connection.fetch(_ASIDE, table, key, *after, RESENT_AT_ONCE)
            places = [Place(*row) for row in rows]
            await _append(connection, seal, places)
        count += len(places)
        if len(places) < RESENT_AT_ONCE:
            return count
        after = places[-1]


async def _append(connection: Connection, seal: Seal, places: Sequence[Place]) -> None:
    if not places:
        return
    bodies = await _stored(connection, places) | await _masters(connection, seal, places)
    tables, keys = [each.table for each in places], [each.key for each in places]
    await connection.execute(_APPEND, tables, keys, [bodies.get(place) for place in places])


async def _stored(connection: Connection, places: Sequence[Place]) -> dict[Place, bytes]:
    """Return the sealed bodies of the rows that are still there."""
    tables, keys = [each.table for each in places], [each.key for each in places]
    rows = await connection.fetch(_STORED, tables, keys)
    return {Place(row[0], row[1]): row[2] for row in rows}


async def _masters(
    connection: Connection, seal: Seal, places: Sequence[Place]
) -> dict[Place, bytes]:
    """Return the same of 表9, whose rows are made from the records."""
    keys = [place.key.encode() for place in places if place.table == MASTERS]
    found = {}
    for key, version, is_gone, made_at in await connection.fetch(_RECORDS, keys):
        row = master_row(key, made_at, operation_of(version, is_gone=is_gone))
        if row is not None:
            found[row.place] = seal_row(seal, row.place, row.body)
    return found
