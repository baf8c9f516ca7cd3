"""An outbox in a database of a test: rows and records written as the node does, and what must be at the peer then."""

from dataclasses import dataclass, field

from node.store.changes import ChangeKind
from node.store.database import Database
from node.store.outbox import PostgresOutbox
from node.store.synced import RowChange, SyncedRows, open_row
from node.store.writing import SESSION
from resolver.keys.seal import Seal
from sync.change import Change, Operation, Place
from tests.support.registry import SEAL

_STORED = "select number, key, body from sync_row"
_RECORDS = """
select convert_from(r.key, 'UTF8'), r.version, r.gone is not null,
    (first.at at time zone 'Asia/Shanghai')::date::text
from record r join version first on first.key = r.key and first.version = 1
where r.key not like '0.NA/%'
"""
MASTER = '{"created":"%s","identifier":"%s","operation":%d}'


@dataclass(frozen=True, slots=True)
class Office:
    """Writes rows, and asks the outbox."""

    database: Database
    outbox: PostgresOutbox
    rows: SyncedRows = field(default_factory=lambda: SyncedRows(SEAL))

    async def write(self, *rows: RowChange, also: tuple[tuple[bytes, ChangeKind], ...] = ()) -> int:
        """Write rows in a transaction of their own; return the serial."""
        async with self.database.transaction() as connection:
            return await self.rows.write(connection, rows, also)

    async def put(self, table: str, key: str, body: bytes | None) -> int:
        """Write one row."""
        return await self.write(RowChange(table, key, body))

    async def run(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        """Carry out any statement."""
        async with self.database.connection() as connection:
            return [tuple(row) for row in await connection.fetch(statement, *values)]

    async def all_changes(self) -> list[Change]:
        """Return all changes that can be read, as the sender would."""
        after = (await self.outbox.standing()).kept_from
        found: list[Change] = []
        while (batch := await self.outbox.pending(after, None)).until > after:
            found += batch.changes
            after = batch.until
        return found

    async def truth(self) -> dict[Place, bytes]:
        """Return all rows, read without the outbox."""
        async with self.database.connection() as connection:
            stored = await connection.fetch(_STORED)
            records = await connection.fetch(_RECORDS)
        rows = {Place(row[0], row[1]): row[2] for row in stored}
        opened = {place: open_row(SEAL, place, body) for place, body in rows.items()}
        for identifier, version, is_gone, day in records:
            operation = 2 if is_gone else 1 if version == 1 else 3
            opened[Place("9", identifier)] = (MASTER % (day, identifier, operation)).encode()
        return opened


def office_on(database: Database, *, most: int = 1_000, seal: Seal = SEAL) -> Office:
    """An outbox with batches of so many items."""
    return Office(database, PostgresOutbox(database, seal, most=most), SyncedRows(seal))


def sender_pool(url: str) -> Database:
    """A pool that plans as the sender's."""
    return Database(url, settings=SESSION)


def said(changes: list[Change] | tuple[Change, ...]) -> list[tuple[str, str, bytes | None]]:
    """Return what changes say, without their serials; None: a deletion."""
    return [
        (each.table, each.key, None if each.operation is Operation.DELETE else each.body)
        for each in changes
    ]
