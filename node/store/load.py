"""Many records at once: what is stored already, COPY for what is new, one upsert for what is not as it should be.

The order inside a transaction: lock the records that are there (by key), write, and take the serials
last (`announce`), because the counter row holds up every other writer until the end.
"""

from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import asynccontextmanager
from struct import Struct
from typing import NamedTuple

import asyncpg

from node.store.changes import ChangeKind
from node.store.copying import copy_rows
from node.store.database import Connection
from node.store.prefixes import PREFIX_VERSIONS, PrefixRow

COLUMNS = ("key", "prefix", "handle", "ttl", "expires", "wire", "json", "whole", "loaded")

# A row in the binary form of COPY: a length before each field, -1 for none.
_FIELDS = Struct(">h")  # their number
_LENGTH = Struct(">i")
_TTL = Struct(">ii")  # length, number
_EXPIRES = Struct(">iq")
_NONE = _LENGTH.pack(-1)

_INCOMING = "create temp table incoming (like record including defaults) on commit delete rows"
_SEEN = """
select line.key, stored.version, stored.gone is null, stored.handle,
    coalesce(stored.gone is null and stored.loaded = line.digest, false) as same,
    case when stored.gone is null and (stored.loaded = line.digest) is not true
        then coalesce(stored.whole, stored.wire)
    end
from unnest($1::bytea[], $2::bytea[]) as line (key, digest)
join record stored on stored.key = line.key
"""
_LOCK = "select key, version from record where key = any($1::bytea[]) order by key for update"
_UPSERT = """
insert into record as stored
    (key, prefix, handle, ttl, expires, wire, json, whole, loaded, version)
select key, prefix, handle, ttl, expires, wire, json, whole, loaded, 1 from incoming
on conflict (key) do update set
    prefix = excluded.prefix, handle = excluded.handle, ttl = excluded.ttl,
    expires = excluded.expires, wire = excluded.wire, json = excluded.json,
    whole = excluded.whole, loaded = excluded.loaded,
    version = stored.version + 1, gone = null
where stored.gone is not null or (stored.prefix, stored.handle, stored.ttl, stored.expires,
        stored.wire, stored.json, stored.whole)
    is distinct from (excluded.prefix, excluded.handle, excluded.ttl, excluded.expires,
        excluded.wire, excluded.json, excluded.whole)
returning key, version
"""
_MARK = """
update record as stored set loaded = line.digest
from unnest($1::bytea[], $2::bytea[]) as line (key, digest) where stored.key = line.key
"""
_ANNOUNCE_ADDED = """
with line as (
    select key, number from unnest($1::bytea[]) with ordinality as line (key, number)
), taken as (
    update change_counter set serial = serial + cardinality($1::bytea[])
    returning serial - cardinality($1::bytea[]) as base
), appended as (
    insert into change (serial, key, kind)
    select taken.base + line.number, line.key, 0 from taken, line
)
insert into version (key, version, serial, operation, caller, means, origin, reason)
select line.key, 1, taken.base + line.number, 'create', $2, $3, $4, $5 from taken, line
"""
_ANNOUNCE = """
with line as (
    select key, kind, version, before, number
    from unnest($1::bytea[], $2::smallint[], $3::int[], $4::bytea[])
        with ordinality as line (key, kind, version, before, number)
), taken as (
    update change_counter set serial = serial + cardinality($1::bytea[])
    returning serial - cardinality($1::bytea[]) as base
), appended as (
    insert into change (serial, key, kind)
    select taken.base + line.number, line.key, line.kind from taken, line
)
insert into version (key, version, serial, operation, caller, means, origin, reason, before)
select line.key, line.version, taken.base + line.number, 'create', $5, $6, $7, $8, line.before
from taken, line where line.kind = 0
union all
select $9 || line.key,
    (select coalesce(max(version.version), 0) + 1 from version where version.key = $9 || line.key),
    taken.base + line.number, case line.version when 1 then 'home' else 'unhome' end,
    $5, $6, $7, $8, null
from taken, line where line.kind = 1
"""


class KeyTaken(Exception):
    """Another writer was at one of these records; the transaction is lost, and what was read is out of date."""


class RecordRow(NamedTuple):
    """One row of the record table as an encoder makes it; see the migrations that make the table."""

    key: bytes
    prefix: bytes
    handle: bytes
    ttl: int
    expires: int | None
    wire: bytes
    json: bytes
    whole: bytes | None
    loaded: bytes | None


class PackedRow(NamedTuple):
    """A row in the form in which COPY takes it, and what is asked of it before: which record, from which line."""

    key: bytes
    loaded: bytes | None
    packed: bytes


class RowColumns(NamedTuple):
    """Packed rows as columns."""

    keys: tuple[bytes, ...]
    loaded: tuple[bytes | None, ...]
    packed: tuple[bytes, ...]


def part_rows(rows: Collection[PackedRow]) -> RowColumns:
    """Return rows as columns."""
    return RowColumns(*zip(*rows, strict=True)) if rows else RowColumns((), (), ())


def join_columns(columns: RowColumns) -> Iterator[PackedRow]:
    """Return columns as rows."""
    return map(PackedRow._make, zip(*columns, strict=True))


class _Lengths(dict[int, bytes]):
    """Lengths in the form of COPY; looking one up costs a third of packing it."""

    def __missing__(self, length: int) -> bytes:
        return _LENGTH.pack(length)


_LENGTHS = _Lengths({length: _LENGTH.pack(length) for length in range(4096)})
_COUNT = _FIELDS.pack(len(COLUMNS))


def pack_row(row: RecordRow) -> PackedRow:
    """Return a row as COPY takes it."""
    return join_row(
        row.key,
        row.prefix,
        row.handle,
        pack_times(row.ttl, row.expires),
        row.wire,
        row.json,
        row.whole,
        row.loaded,
    )


def pack_times(ttl: int, expires: int | None) -> bytes:
    """Return these two fields as COPY takes them."""
    return _TTL.pack(4, ttl) + (_NONE if expires is None else _EXPIRES.pack(8, expires))


def join_row(
    key: bytes,
    prefix: bytes,
    handle: bytes,
    times: bytes,
    wire: bytes,
    json: bytes,
    whole: bytes | None,
    loaded: bytes | None,
) -> PackedRow:
    """Return a row as COPY takes it; `times` as `pack_times` returns them."""
    packed = b"".join(
        (
            _COUNT,
            _LENGTHS[len(key)],
            key,
            _LENGTHS[len(prefix)],
            prefix,
            _LENGTHS[len(handle)],
            handle,
            times,
            _LENGTHS[len(wire)],
            wire,
            _LENGTHS[len(json)],
            json,
            _NONE if whole is None else _LENGTHS[len(whole)] + whole,
            _NONE if loaded is None else _LENGTHS[len(loaded)] + loaded,
        )
    )
    return PackedRow(key, loaded, packed)


def spelling_in(row: PackedRow) -> str:
    """Return the handle of a packed row."""
    place = _FIELDS.size + _LENGTH.size + len(row.key)
    for _ in range(2):  # the prefix, and then the handle
        (length,) = _LENGTH.unpack_from(row.packed, place)
        place += _LENGTH.size + length
    return row.packed[place - length : place].decode()


def unpack_row(row: PackedRow) -> RecordRow:
    """Return what was packed."""
    fields: list[bytes | None] = []
    place = _FIELDS.size
    for _ in COLUMNS:
        (length,) = _LENGTH.unpack_from(row.packed, place)
        place += _LENGTH.size
        fields.append(None if length < 0 else row.packed[place : place + length])
        place += max(length, 0)
    key, prefix, handle, ttl, expires, wire, json, whole, loaded = fields
    return RecordRow(
        key or b"",
        prefix or b"",
        handle or b"",
        int.from_bytes(ttl or b"", "big"),
        None if expires is None else int.from_bytes(expires, "big"),
        wire or b"",
        json or b"",
        whole,
        loaded,
    )


class Seen(NamedTuple):
    """How a record was found: its version, whether it is alive, its spelling, and whether the same line made it.

    `values` are all stored values encoded, secret keys sealed; None when there is no need of them (`same`) or there are
    none (a tombstone).
    """

    version: int
    alive: bool
    handle: bytes
    same: bool
    values: bytes | None


class Author(NamedTuple):
    """What the versions say of a load: who, how it was proven, from where, and why."""

    caller: str
    means: str
    origin: str
    reason: str


class Step(NamedTuple):
    """One record's step for `announce`: its version now, and all its values before (None: there was no record)."""

    key: bytes
    version: int
    before: bytes | None


async def prepare_load(connection: Connection) -> None:
    """Make the connection's temporary table.  Once, before `put_records`."""
    await connection.execute(_INCOMING)


@asynccontextmanager
async def load_transaction(connection: Connection) -> AsyncIterator[None]:
    """A transaction that raises KeyTaken when another writer was there first; read again then, and try again."""
    try:
        async with connection.transaction():
            yield
    except (asyncpg.UniqueViolationError, asyncpg.TransactionRollbackError) as error:
        raise KeyTaken from error


async def read_seen(connection: Connection, rows: Sequence[PackedRow]) -> dict[bytes, Seen]:
    """Return how those of the rows are stored that are."""
    found = await connection.fetch(_SEEN, [row[0] for row in rows], [row[1] for row in rows])
    return {row[0]: Seen(*row[1:]) for row in found}


async def lock_records(connection: Connection, seen: dict[bytes, Seen]) -> None:
    """Hold these records until the open transaction ends.  Raises KeyTaken when one is not as it was seen."""
    if not seen:
        return
    versions = {row[0]: row[1] for row in await connection.fetch(_LOCK, list(seen))}
    if versions != {key: each.version for key, each in seen.items()}:
        raise KeyTaken


async def add_records(connection: Connection, rows: Sequence[PackedRow]) -> None:
    """Add records that are not stored, in the open transaction.  Twice as fast as `put_records`.

    They come in the order of their keys, as every writer takes them, so that two of them never wait for each other.
    """
    if rows:
        await _copy(connection, "record", rows)


async def put_records(
    connection: Connection, rows: Sequence[PackedRow], seen: dict[bytes, Seen]
) -> list[Step]:
    """Replace records (each key once, all of them locked) in the open transaction; return the steps of those that are
    not as before.
    """
    if not rows:
        return []
    await _copy(connection, "incoming", rows)
    written = await connection.fetch(_UPSERT)
    return [Step(row[0], row[1], seen[row[0]].values) for row in written]


async def mark_loaded(connection: Connection, rows: Sequence[PackedRow]) -> None:
    """Note which line these records were last loaded from, though it changed nothing."""
    if rows:
        digests = [row.loaded for row in rows]
        await connection.execute(_MARK, [row.key for row in rows], digests)


async def announce(
    connection: Connection,
    added: Sequence[bytes],
    steps: Sequence[Step],
    prefixes: Sequence[PrefixRow],
    author: Author,
) -> None:
    """Number what this transaction did, for the change feed and in the versions: to records and to prefixes.

    `added` are the keys of records that were not there before.  It must be the last statement of its transaction: it
    holds up all other writers until the end.
    """
    if not (steps or prefixes):
        if added:
            await connection.execute(_ANNOUNCE_ADDED, added, *author)
        return
    steps = [*steps, *[Step(key, 1, None) for key in added]]
    keys = [step.key for step in steps] + [row.prefix for row in prefixes]
    kinds = [ChangeKind.RECORD] * len(steps) + [ChangeKind.PREFIX] * len(prefixes)
    versions = [step.version for step in steps] + [int(row.state) for row in prefixes]
    befores = [step.before for step in steps] + [None] * len(prefixes)
    await connection.execute(_ANNOUNCE, keys, kinds, versions, befores, *author, PREFIX_VERSIONS)


async def _copy(connection: Connection, table: str, rows: Sequence[PackedRow]) -> None:
    await copy_rows(connection, table, COLUMNS, [row[2] for row in rows])
