"""Changes: what every process must hear of, in commit order.

Laws: serials come from the counter row, in the last statement of the writing transaction, so a
reader who resumes after serial N never misses one; they have no gaps, so a reader sees at once that
rows it needed were pruned.  A serial means something only together with its epoch.  The same numbering is the outbox:
`synced` writes the changes of rows of the sync tables into it, and `outbox` sends them.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple
from uuid import UUID

from node.store.database import Connection, Database

PAGE_ROWS = 5_000
READ_SECONDS = 2.0
KEEP_ROWS = 100_000
KEEP_SECONDS = 86_400
PRUNE_ROWS = 20_000  # in one transaction

_APPEND = """
with taken as (
    update change_counter set serial = serial + cardinality($1::bytea[]) returning serial
), appended as (
    insert into change (serial, key, kind)
    select taken.serial - cardinality($1::bytea[]) + line.number, line.key, line.kind
    from taken, unnest($1::bytea[], $2::smallint[]) with ordinality as line (key, kind, number)
)
select serial from taken
"""
_POSITION = "select epoch, serial from change_counter"
_READ = """
select c.epoch, c.serial, line.serial, line.key, line.kind
from change_counter c left join lateral (
    select serial, key, kind from change
    where serial > $1 and serial <= c.serial order by serial limit $2
) line on true
order by line.serial
"""
_PRUNE = """
with oldest as (
    select serial, changed_at from change order by serial limit $3
), last_to_go as (
    select least(
        (select serial from change_counter) - $1,
        (select acknowledged from sync_peer where $4),
        coalesce(
            (select min(serial) - 1 from oldest
             where changed_at >= now() - make_interval(secs => $2)),
            (select max(serial) from oldest)
        )
    ) as serial
)
delete from change using last_to_go where change.serial <= last_to_go.serial
"""


class ChangeKind(IntEnum):
    """What a change's key names."""

    RECORD = 0
    PREFIX = 1
    ROW = 2


class Change(NamedTuple):
    """One change: a record's canonical key, a prefix's canonical name, or the key of a row of a sync table."""

    serial: int
    key: bytes
    kind: int


class Position(NamedTuple):
    """How far the numbering has come, and which numbering it is."""

    epoch: UUID
    serial: int


class Page(NamedTuple):
    """Where the counter stood, and the first changes after the serial asked for."""

    position: Position
    changes: tuple[Change, ...]

    def continues(self, known: Position) -> bool:
        """True when these are the changes after what is known; False when some were missed, or the numbering is new."""
        if self.position.epoch != known.epoch or self.position.serial < known.serial:
            return False
        if self.position.serial == known.serial:
            return True
        return bool(self.changes) and self.changes[0].serial == known.serial + 1


async def append_changes(
    connection: Connection, keys: Sequence[bytes], kinds: Sequence[ChangeKind]
) -> int:
    """Number these changes and return the newest serial.

    It must be the last statement of its transaction: it holds up all other writers until the end.
    """
    serial: int = await connection.fetchval(_APPEND, keys, kinds)
    return serial


async def read_position(database: Database) -> Position:
    """Return where the numbering stands, within READ_SECONDS.  Raises StoreUnavailable, StoreError."""
    async with database.connection_for(READ_SECONDS) as connection:
        rows = await connection.fetch(_POSITION)
    return Position(rows[0]["epoch"], rows[0]["serial"])


async def read_changes(database: Database, after: int, limit: int = PAGE_ROWS) -> Page:
    """Return the first changes after a serial, read in one snapshot with the counter, within READ_SECONDS.

    Raises StoreUnavailable, StoreError.
    """
    async with database.connection_for(READ_SECONDS) as connection:
        rows = await connection.fetch(_READ, after, limit)
    changes = tuple(Change(row[2], row[3], row[4]) for row in rows if row[2] is not None)
    return Page(Position(rows[0][0], rows[0][1]), changes)


async def prune_changes(
    database: Database,
    *,
    keep_rows: int = KEEP_ROWS,
    keep_seconds: float = KEEP_SECONDS,
    is_syncing: bool = False,
) -> int:
    """Drop the oldest changes and return how many: those beyond both limits, in short transactions.

    While the node is in step with a top-level node (`is_syncing`), none that it has not acknowledged.
    Raises StoreUnavailable, StoreError.
    """
    pruned = 0
    while True:
        async with database.connection() as connection:
            status = await connection.execute(
                _PRUNE, keep_rows, keep_seconds, PRUNE_ROWS, is_syncing
            )
        count = int(status.rpartition(" ")[2])
        pruned += count
        if count < PRUNE_ROWS:
            return pruned
