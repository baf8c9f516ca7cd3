"""Writes in Postgres: what they need to know, in one statement; what they do, in one more.

Law: a write is one statement, so it is applied whole or not at all: the record in the place of the version it was
decided on, its version, its change and what its idempotency key is told.  Rows are locked in the order of their keys,
and the change counter last (see `changes`), so writers wait for one another and never in a circle.
"""

from collections.abc import Sequence
from types import MappingProxyType
from typing import NamedTuple

from node.store.database import Connection, Row
from node.store.load import RecordRow
from node.store.prefixes import PREFIX_VERSIONS, PrefixState

SESSION = MappingProxyType({"enable_seqscan": "off", "jit": "off"})
"""How Postgres plans here.  It plans a statement once, maybe while the tables are small, and keeps to it while they
grow; so it must not choose to read a table from end to end because that is short today."""

REPLAY_SECONDS = 86_400  # an idempotency key is known for a day

_READ = """
select key, version, gone is not null, handle, coalesce(whole, wire), null::smallint
from record where key = any($1::bytea[])
union all
select prefix, null, null, null, null, state from prefix where prefix = any($2::bytea[])
"""
_REPLAYS = """
select line.caller, line.key, told.digest, told.verdict
from unnest($1::text[], $2::text[]) as line (caller, key), lateral (
    select digest, verdict, at from idempotency
    where caller = line.caller and key = line.key offset 0  -- by its key, never by its time
) as told
where told.at > now() - make_interval(secs => $3)
"""
_COMMIT = """
with line as (
    select * from unnest($1::bytea[], $2::int[], $3::bytea[], $4::bytea[], $5::int[], $6::bigint[],
        $7::bytea[], $8::bytea[], $9::bytea[], $10::bytea[], $11::text[], $12::text[], $13::text[],
        $14::text[], $15::text[], $16::bytea[])
    as line (key, replaces, prefix, handle, ttl, expires, wire, json, whole, gone,
        operation, caller, means, origin, reason, before)
), held as (
    select key from record where key = any($1::bytea[]) order by key for update
), updated as (
    update record set prefix = line.prefix, handle = line.handle, ttl = line.ttl,
        expires = line.expires, wire = line.wire, json = line.json, whole = line.whole,
        gone = line.gone, loaded = null, version = record.version + 1
    from line join held using (key)
    where line.replaces > 0 and record.key = line.key and record.version = line.replaces
    returning record.key, record.version
), inserted as (
    insert into record (key, prefix, handle, ttl, expires, wire, json, whole, gone, version)
    select key, prefix, handle, ttl, expires, wire, json, whole, gone, 1 from line
    where replaces = 0 on conflict (key) do nothing
    returning key, version
), done as (
    select key, version, row_number() over (order by key) as number
    from (select * from updated union all select * from inserted) as both_ways
), promised as (
    insert into idempotency as told (caller, key, digest, verdict)
    select promise.caller, promise.key, promise.digest, promise.verdict
    from unnest($17::bytea[], $18::text[], $19::text[], $20::bytea[], $21::bytea[])
        as promise (record_key, caller, key, digest, verdict)
    where promise.record_key is null or promise.record_key in (select key from done)
    on conflict (caller, key) do update
        set digest = excluded.digest, verdict = excluded.verdict, at = now()
        where told.at <= now() - make_interval(secs => $22)
), taken as (
    update change_counter set serial = serial + (select count(*) from done)
    where exists (select 1 from done) returning serial
), numbered as (
    select done.key, done.version,
        taken.serial - (select count(*) from done) + done.number as serial
    from done, taken
), appended as (
    insert into change (serial, key, kind) select serial, key, 0 from numbered
), versioned as (
    insert into version
        (key, version, serial, operation, caller, means, origin, reason, before)
    select key, numbered.version, numbered.serial, operation, caller, means, origin, reason, before
    from numbered join line using (key)
)
select key, version, serial from numbered
"""
_HOLD = "select from record where key = any($1::bytea[]) order by key for update"
_AT_VERSION = """
select coalesce(
    (select before from version where key = $1 and version.version > $2
     order by version.version limit 1),
    (select coalesce(whole, wire) from record where key = $1 and record.version = $2)
)
"""
_PREFIX_VERSION = """
insert into version (key, version, serial, operation, caller, means, origin, reason)
select $1, coalesce(max(version.version), 0) + 1, $2, $3, $4, $5, $6, $7
from version where key = $1
"""
_SET_PREFIX = """
insert into prefix (prefix, spelling, state) values ($1, $2, $3)
on conflict (prefix) do update set state = excluded.state
"""
_DROP_PREFIX = "delete from prefix where prefix = $1"
_FORGET = """
delete from idempotency where (caller, key) in (
    select caller, key from idempotency where at <= now() - make_interval(secs => $1) limit $2
)
"""


class StoredRecord(NamedTuple):
    """A record as it is stored; `encoded` is its count and all its values, secret keys sealed."""

    version: int
    is_gone: bool
    handle: bytes
    encoded: bytes


class WriteFacts(NamedTuple):
    """What was read in one snapshot; what there is not, is left out."""

    records: dict[bytes, StoredRecord]
    prefixes: dict[bytes, PrefixState]


class WhoAndWhy(NamedTuple):
    """What a version says besides the values."""

    operation: str
    caller: str
    means: str
    origin: str
    reason: str


class WriteLine(NamedTuple):
    """One record to write in the place of version `replaces` (0: there is none); `before` is what is there now."""

    row: RecordRow
    replaces: int
    gone: bytes | None
    who: WhoAndWhy
    before: bytes | None


class Promise(NamedTuple):
    """What an idempotency key is told from now on, if the record with `record_key` is written (None: in any case)."""

    record_key: bytes | None
    caller: str
    key: str
    digest: bytes
    verdict: bytes


class Written(NamedTuple):
    """A record was written: its version now, and the serial of its change."""

    version: int
    serial: int


async def read_facts(
    connection: Connection, keys: Sequence[bytes], prefixes: Sequence[bytes]
) -> WriteFacts:
    """Return the records with these keys and the prefixes of these names, in one snapshot."""
    records, states = {}, {}
    for key, version, is_gone, handle, encoded, state in await connection.fetch(
        _READ, keys, prefixes
    ):
        if state is None:
            records[key] = StoredRecord(version, is_gone, handle, encoded)
        else:
            states[key] = PrefixState(state)
    return WriteFacts(records, states)


async def read_replays(
    connection: Connection, asked: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], tuple[bytes, bytes]]:
    """Return digest and verdict of what (caller, idempotency key) were told within the day."""
    callers, keys = [each[0] for each in asked], [each[1] for each in asked]
    rows = await connection.fetch(_REPLAYS, callers, keys, float(REPLAY_SECONDS))
    return {(row[0], row[1]): (row[2], row[3]) for row in rows}


async def commit(
    connection: Connection, lines: Sequence[WriteLine], promises: Sequence[Promise]
) -> dict[bytes, Written]:
    """Write records, each key once, and return those that were: the others are not at the version any more.

    One statement: durable when it returns; when it raises nobody knows.
    """
    lines = sorted(lines, key=lambda line: line.row.key)
    rows: list[Row] = await connection.fetch(
        _COMMIT, *_columns(lines), *_promised(promises), float(REPLAY_SECONDS)
    )
    return {row[0]: Written(row[1], row[2]) for row in rows}


async def hold_records(connection: Connection, keys: Sequence[bytes]) -> None:
    """Let nobody else write these records in the open transaction; then it commits no record but these."""
    await connection.execute(_HOLD, keys)


async def values_at(connection: Connection, key: bytes, version: int) -> bytes | None:
    """Return the count and all values that a record had at a version; None: no such version, or deleted then."""
    encoded: bytes | None = await connection.fetchval(_AT_VERSION, key, version)
    return encoded


async def set_prefix(
    connection: Connection, name: bytes, spelling: str, state: PrefixState | None
) -> None:
    """Home a prefix in the open transaction, or let it go (None)."""
    if state is None:
        await connection.execute(_DROP_PREFIX, name)
    else:
        await connection.execute(_SET_PREFIX, name, spelling, state)


async def append_prefix_version(
    connection: Connection, name: bytes, serial: int, who: WhoAndWhy
) -> None:
    """Note who homed a prefix or let it go, in the open transaction, after its change."""
    await connection.execute(_PREFIX_VERSION, PREFIX_VERSIONS + name, serial, *who)


async def forget_replays(connection: Connection, limit: int) -> int:
    """Drop idempotency keys older than a day, so many at most, and return how many."""
    status = await connection.execute(_FORGET, float(REPLAY_SECONDS), limit)
    return int(status.rpartition(" ")[2])


def _columns(lines: Sequence[WriteLine]) -> list[list[object]]:
    table = [
        (
            *(line.row.key, line.replaces, line.row.prefix, line.row.handle, line.row.ttl),
            *(line.row.expires, line.row.wire, line.row.json, line.row.whole, line.gone),
            *line.who,
            line.before,
        )
        for line in lines
    ]
    return [list(column) for column in zip(*table, strict=True)] if table else [[]] * 16


def _promised(promises: Sequence[Promise]) -> list[list[object]]:
    return [list(column) for column in zip(*promises, strict=True)] if promises else [[]] * 5
