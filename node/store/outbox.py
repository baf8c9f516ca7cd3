"""The outbox in Postgres, for the sender: see `sync.outbox` for its laws.

The changes are those of `changes`, the rows those of `synced` and of `masters`.  A session is one of an epoch of the
counter: whoever gives a restored database a new epoch (ADR 0004) ends the session too.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson

from node.store.changes import ChangeKind
from node.store.database import Connection, Database, Row
from node.store.masters import master_row, operation_of
from node.store.rowpages import rows_behind
from node.store.synced import open_row, seal_row
from resolver.keys.seal import Seal
from resolver.registrar import Operation as Write
from sync.change import (
    END,
    MAX_BATCH_BYTES,
    MAX_BATCH_ITEMS,
    Change,
    Operation,
    Place,
    Rejection,
    Span,
    fill_batch,
)
from sync.step import Batch, Evidence, OutboxStanding, Page

_STANDING = """
select case when peer.epoch = counter.epoch then peer.session else '' end, counter.serial,
    coalesce((select min(serial) - 1 from change), counter.serial),
    peer.acknowledged, peer.is_complete
from change_counter counter, sync_peer peer
"""
_BEGIN_SESSION = """
update sync_peer set session = gen_random_uuid(), epoch = counter.epoch, is_complete = false,
    acknowledged = least(acknowledged, counter.serial)
from change_counter counter
where sync_peer.epoch is distinct from counter.epoch or sync_peer.session = ''
"""
# One statement, so one snapshot.  Each change brings its record's version then and the first one; the inner `limit`s
# make Postgres look them up one by one.
_PENDING = f"""
with stand as (
    select case when peer.epoch = counter.epoch then peer.session else '' end as session,
        greatest($1, coalesce((select min(serial) - 1 from change), counter.serial)) as first,
        least($2, counter.serial) as last
    from change_counter counter, sync_peer peer
)
select stand.session, stand.first, stand.last, line.found, line.serial, line.kind, line.number,
    line.key, line.body, step.version, step.operation,
    coalesce(made.at, (select applied_at from migration where number = 2)) as made_at
from stand left join lateral (
    select serial, kind, number, key, body, count(*) over () as found,
        sum(size) over (order by serial) - size as bytes_before
    from (
        select serial, kind, number, key, body, coalesce(octet_length(body), 0) as size from change
        where serial > stand.first and serial <= stand.last order by serial limit $3
    ) as several
) line on line.bytes_before < {MAX_BATCH_BYTES}
left join lateral (
    select version, operation from version
    where line.kind = 0 and version.serial = line.serial and version.key = line.key limit 1
) step on true
left join lateral (
    select at from version where version.key = line.key and version.version = 1 limit 1
) made on line.kind = 0
order by line.serial
"""  # noqa: S608  a constant
_ACKNOWLEDGE = """
update sync_peer set acknowledged = $2, acknowledged_at = now() from change_counter counter
where session = $1 and sync_peer.epoch = counter.epoch
"""
_HOLD = """
select from sync_peer peer, change_counter counter
where session = $1 and peer.epoch = counter.epoch for no key update of peer
"""
_ACCEPT = """
delete from sync_rejection using unnest($1::text[], $2::text[]) as line (number, key)
where sync_rejection.number = line.number and sync_rejection.key = line.key
"""
_CLEAR = """
delete from sync_rejection where (number, key) > ($1, $2) and (number, key) <= ($3, $4)
"""
_REJECT = """
insert into sync_rejection (number, key, serial, code, reason)
select * from unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::bytea[])
on conflict (number, key) do update
    set serial = excluded.serial, code = excluded.code, reason = excluded.reason, at = now()
"""
_RESTART = """
update sync_peer set is_complete = false, epoch = counter.epoch, session = coalesce($1::text, session)
from change_counter counter where $1::text is not null or sync_peer.epoch = counter.epoch
"""
_COMPLETE = """
update sync_peer set is_complete = true from change_counter counter
where session = $1 and sync_peer.epoch = counter.epoch
"""
_KEEP = """
insert into sync_evidence (session, serial_from, serial_to, digests, pages, repaired)
values ($1, $2, $3, $4, $5, $6)
"""


class PostgresOutbox:
    """Implements `sync.outbox.Outbox`.  Each method raises StoreUnavailable, StoreError; what opens rows SealError."""

    def __init__(self, database: Database, seal: Seal, *, most: int = MAX_BATCH_ITEMS) -> None:
        """`database` should plan with `node.store.writing.SESSION`; `most` items make a batch."""
        self._database = database
        self._seal = seal
        self._most = most

    async def standing(self) -> OutboxStanding:
        """See Outbox.  A database without a session of its epoch gets one."""
        async with self._database.connection() as connection:
            return await _read_standing(connection)

    async def pending(self, after: int, until: int | None) -> Batch:
        """See Outbox."""
        last = 2**63 - 1 if until is None else until
        async with self._database.connection() as connection:
            rows = await connection.fetch(_PENDING, after, last, self._most)
        session, first, last, found = rows[0][:4]
        if found is None:
            return Batch(session, first, last, ())
        changes = [change for row in rows if (change := self._change(row)) is not None]
        batch = tuple(fill_batch(changes, self._most))
        if len(batch) < len(changes):
            last = batch[-1].serial
        elif len(rows) < found or found == self._most:
            last = rows[-1]["serial"]
        return Batch(session, first, last, batch)

    async def page(self, after: Place) -> Page:
        """See Outbox."""
        async with self._snapshot() as connection:
            standing = await connection.fetchrow(_STANDING)
            assert standing is not None  # noqa: S101  the counter has one row
            found = await rows_behind(connection, self._seal, after, self._most)
        rows = tuple(fill_batch(found.rows, self._most))
        is_all = found.are_all and len(rows) == len(found.rows)
        return Page(standing[0], standing[1], Span(after, END if is_all else rows[-1].place), rows)

    async def acknowledge(self, batch: Batch, rejected: tuple[Rejection, ...]) -> None:
        """See Outbox."""
        places = {change.place for change in batch.changes} - {each.place for each in rejected}
        async with self._database.transaction() as connection:
            if await _updates(connection, _ACKNOWLEDGE, batch.session, batch.until):
                tables, keys = [each.table for each in places], [each.key for each in places]
                await connection.execute(_ACCEPT, tables, keys)
                await self._set_aside(connection, rejected)

    async def settle(self, session: str, span: Span, rejected: tuple[Rejection, ...]) -> None:
        """See Outbox."""
        async with self._database.transaction() as connection:
            if await _updates(connection, _HOLD, session):
                await connection.execute(_CLEAR, *span.after, *span.until)
                await self._set_aside(connection, rejected)

    async def resume(self, session: str, serial: int) -> None:
        """See Outbox."""
        async with self._database.connection() as connection:
            await connection.execute(_ACKNOWLEDGE, session, serial)

    async def restart(self, session: str | None) -> OutboxStanding:
        """See Outbox."""
        async with self._database.transaction() as connection:
            await connection.execute(_RESTART, session)
            return await _read_standing(connection)

    async def finish(self, evidence: Evidence) -> None:
        """See Outbox."""
        digests = orjson.dumps([[each.table, each.rows, each.digest] for each in evidence.digests])
        async with self._database.transaction() as connection:
            if await _updates(connection, _COMPLETE, evidence.session):
                await connection.execute(
                    _KEEP,
                    *(evidence.session, evidence.serial_from, evidence.serial_to),
                    *(digests.decode(), evidence.pages, evidence.repaired),
                )

    @asynccontextmanager
    async def _snapshot(self) -> AsyncIterator[Connection]:
        async with (
            self._database.connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield connection

    def _change(self, row: Row) -> Change | None:
        """Return the change that a numbered one stands for; None: it is not synced."""
        serial, kind = row["serial"], row["kind"]
        if kind == ChangeKind.ROW:
            return self._row_change(serial, Place(row["number"], row["key"].decode()), row["body"])
        if kind == ChangeKind.RECORD and row["version"] is not None:
            step = operation_of(row["version"], is_gone=row["operation"] == Write.DELETE)
            master = master_row(row["key"], row["made_at"], step)
            if master is not None:
                return Change(serial, master.table, Operation.UPSERT, master.key, master.body)
        return None

    def _row_change(self, serial: int, place: Place, sealed: bytes | None) -> Change:
        if sealed is None:
            return Change(serial, place.table, Operation.DELETE, place.key, b"")
        body = open_row(self._seal, place, sealed)
        return Change(serial, place.table, Operation.UPSERT, place.key, body)

    async def _set_aside(self, connection: Connection, rejected: tuple[Rejection, ...]) -> None:
        if not rejected:
            return
        lines = [
            (
                *each.place,
                each.serial,
                each.code.replace("\0", ""),  # which Postgres has in no text
                seal_row(self._seal, each.place, each.reason.encode()),
            )
            for each in {each.place: each for each in rejected}.values()
        ]
        await connection.execute(_REJECT, *map(list, zip(*lines, strict=True)))


async def _read_standing(connection: Connection) -> OutboxStanding:
    while True:
        row = await connection.fetchrow(_STANDING)
        assert row is not None  # noqa: S101  the counter has one row
        if row[0]:
            return OutboxStanding(*row)
        await connection.execute(_BEGIN_SESSION)


async def _updates(connection: Connection, statement: str, *values: object) -> bool:
    """Carry out a statement and return whether it met the row of the peer."""
    return not (await connection.execute(statement, *values)).endswith(" 0")
