"""Rows of the tables that the top-level node is sent, as they are now, and their changes.

Laws: a row and its change are written in one transaction, which takes the serial last (ADR 0004).  Bodies are sealed,
each for its place, so that a copy of the database shows nobody's name.  The rows of 表9 are not here: they are made
from the records (see `masters`).
"""

from collections.abc import Sequence
from typing import NamedTuple

from node.store.changes import ChangeKind
from node.store.database import Connection
from resolver.keys.seal import Seal
from sync.change import ChangeError, Place, check_body, check_place

MASTERS = "9"  # the table whose rows are made from the records

_WRITE = """
with line as (
    select number, key, body from unnest($1::text[], $2::text[], $3::bytea[])
        as line (number, key, body)
), held as (
    select number, key from sync_row where (number, key) in (select number, key from line)
    order by number, key for update
), put as (
    insert into sync_row as stored (number, key, body)
    select number, key, body from line
    where body is not null and (select count(*) from held) >= 0  -- locked before it is written
    order by number, key
    on conflict (number, key) do update set body = excluded.body
        where stored.body <> excluded.body
    returning number, key
), removed as (
    delete from sync_row using line join held using (number, key)
    where sync_row.number = line.number and sync_row.key = line.key and line.body is null
    returning sync_row.number, sync_row.key
), done as (
    select number, key, row_number() over (order by number, key) as nth
    from (select * from put union all select * from removed) as both_ways
), taken as (
    update change_counter
    set serial = serial + (select count(*) from done) + cardinality($4::bytea[])
    where cardinality($4::bytea[]) > 0 or exists (select 1 from done)
    returning serial
), appended as (
    insert into change (serial, key, kind, number, body)
    select taken.serial - cardinality($4::bytea[]) - (select count(*) from done) + done.nth,
        convert_to(done.key, 'UTF8'), 2, done.number, line.body
    from taken, done join line using (number, key)
    union all
    select taken.serial - cardinality($4::bytea[]) + also.nth, also.key, also.kind, null, null
    from taken, unnest($4::bytea[], $5::smallint[]) with ordinality as also (key, kind, nth)
)
select coalesce((select serial from taken), (select serial from change_counter))
"""


class RowChange(NamedTuple):
    """A row as it is to be: `body` as its table's channel encodes it; None: it is gone."""

    table: str
    key: str
    body: bytes | None


class SyncedRows:
    """Writes rows and their changes in somebody else's transaction."""

    def __init__(self, seal: Seal) -> None:
        self._seal = seal

    async def write(
        self,
        connection: Connection,
        rows: Sequence[RowChange],
        also: Sequence[tuple[bytes, ChangeKind]] = (),
    ) -> int:
        """Write rows and number their changes, those in `also` behind them; return the newest serial.

        So the serial of `also[n]` is the newest one less `len(also) - 1 - n`.  Rows that are stored just so are passed
        over, and of several of one place all but the last.  It must be the last of its transaction that writes
        anything others write too: it holds up all writers until the end.  Raises ChangeError for what could not be
        sent, and as `Database.connection`.
        """
        places = {_checked(row): row.body for row in rows}
        sealed = [
            None if body is None else seal_row(self._seal, place, body)
            for place, body in places.items()
        ]
        keys, kinds = [key for key, _ in also], [kind for _, kind in also]
        tables, names = [each.table for each in places], [each.key for each in places]
        serial: int = await connection.fetchval(_WRITE, tables, names, sealed, keys, kinds)
        return serial


def _checked(row: RowChange) -> Place:
    if row.table == MASTERS:
        raise ChangeError("the rows of table 9 are made from the records, and not written")
    check_place(row.table, row.key)
    check_body(row.body or b"")
    return Place(row.table, row.key)


def seal_row(seal: Seal, place: Place, data: bytes) -> bytes:
    """Return the sealed form of what is said of a row."""
    return seal.seal(_name(place), 0, data)


def open_row(seal: Seal, place: Place, sealed: bytes) -> bytes:
    """Return what `seal_row` sealed.  Raises SealError."""
    return seal.open(_name(place), 0, sealed)


def _name(place: Place) -> bytes:
    return f"sync {place.table} {place.key}".encode()
