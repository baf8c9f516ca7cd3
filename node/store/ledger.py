"""The ledger in Postgres: an index of the log's leaves, and the row by which one writer at a time moves its head.

Laws.  Everything here can be made again from the files.  All writing is done on the one connection that holds the
advisory lock, so that who has lost the lock cannot write; a leaf that is stored is never changed.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

from node.store.database import Connection, Database, Row

SOME_SECONDS = 2.0  # for who asks over HTTP

_TRY_LOCK = "select pg_try_advisory_lock($1)"
_UNLOCK = "select pg_advisory_unlock($1)"
_INSERT = """
insert into ledger_leaf
    (origin, idx, kind, lane, epoch, block, first_seq, last_seq, t1, line, leaf_hash)
select $1, idx, kind, lane, epoch, block, first_seq, last_seq,
    to_timestamp(t1_us / 1e6), line, leaf_hash
from unnest($2::bigint[], $3::text[], $4::int[], $5::bigint[], $6::bigint[], $7::bigint[],
    $8::bigint[], $9::bigint[], $10::bytea[], $11::bytea[])
as row (idx, kind, lane, epoch, block, first_seq, last_seq, t1_us, line, leaf_hash)
on conflict do nothing
"""
_LINES = """
select idx, line from ledger_leaf where origin = $1 and idx >= $2 and idx < $3 order by idx
"""
_EXTENT = "select count(*), coalesce(max(idx) + 1, 0) from ledger_leaf where origin = $1"
_OF_KIND = "select line from ledger_leaf where origin = $1 and kind = $2 order by idx"
_NEWEST_OF_KIND = """
select line from ledger_leaf where origin = $1 and kind = $2 order by idx desc limit 1
"""
_OF_EPOCH = """
select line from ledger_leaf
where origin = $1 and lane = $2 and epoch = $3 and kind in ('ep', 'gap') order by idx
"""
_LAST_BLOCK = """
select line from ledger_leaf where origin = $1 and lane = $2 and epoch = $3 and kind = 'blk'
order by block desc limit 1
"""
_LAST_OF_LANE = """
select line from ledger_leaf where origin = $1 and lane = $2 and kind = 'blk'
order by epoch desc, block desc limit 1
"""
_NEWEST_BLOCK = """
select line from ledger_leaf where origin = $1 and kind = 'blk' order by idx desc limit 1
"""
_OPEN_EPOCHS = """
select line from ledger_leaf opened where origin = $1 and kind = 'ep' and block = 0
and not exists (
    select 1 from ledger_leaf closed where closed.origin = opened.origin and closed.kind = 'ep'
    and closed.lane = opened.lane and closed.epoch = opened.epoch and closed.block = 1
) order by idx
"""
_HOLDING = """
select idx, line from ledger_leaf
where origin = $1 and lane = $2 and epoch = $3 and kind = 'blk' and last_seq >= $4
order by last_seq, block limit 1
"""
_SAME = "select idx from ledger_leaf where origin = $1 and kind = $2 and line = $3 limit 1"
_HEAD = "select size, root, note from ledger_head where origin = $1"
_ADD_HEAD = """
insert into ledger_head (origin, size, root) values ($1, $2, $3) on conflict (origin) do nothing
"""
_MOVE_HEAD = """
update ledger_head set size = $4, root = $5, updated = now()
where origin = $1 and size = $2 and root = $3
"""
_NOTE = "update ledger_head set note = $3 where origin = $1 and size = $2"
_ADD_COSIGNATURES = """
insert into ledger_cosig (origin, size, witness, ts, line)
select $1, size, witness, ts, line
from unnest($2::bigint[], $3::text[], $4::bigint[], $5::text[]) as row (size, witness, ts, line)
on conflict (origin, size, witness) do nothing
"""
_GREATEST_COSIGNED = "select coalesce(max(size), 0) from ledger_cosig where origin = $1"
_PREFIXES = "select prefix from prefix order by prefix"
_PREFIX_MARK = """
select count(*), coalesce(bit_xor(hashtextextended(encode(prefix, 'hex'), 0)), 0) from prefix
"""
_CLEAR = (
    "delete from ledger_cosig where origin = $1",
    "delete from ledger_head where origin = $1",
    "delete from ledger_leaf where origin = $1",
)


class LeafRow(NamedTuple):
    """A leaf and what it is found by; `t1_us` is µs since 1970."""

    idx: int
    kind: str
    lane: int | None
    epoch: int | None
    block: int | None
    first_seq: int | None
    last_seq: int | None
    t1_us: int | None
    line: bytes
    leaf_hash: bytes


class HeadRow(NamedTuple):
    """The newest tree that the database knows, and the checkpoint that was signed last."""

    size: int
    root: bytes
    note: str


class Extent(NamedTuple):
    """How many leaves are stored, and the index behind the last one; the same when none is missing."""

    stored: int
    end: int


class Cosignature(NamedTuple):
    """A witness's line under the checkpoint of this size."""

    size: int
    witness: str
    seconds: int
    line: str


class Found(NamedTuple):
    """A leaf in its place."""

    idx: int
    line: bytes


def lock_of(origin: str) -> int:
    """Return the number of the advisory lock of a log's writer."""
    return int.from_bytes(sha256(b"ledger\n" + origin.encode()).digest()[:8], "big", signed=True)


async def try_ledger_lock(connection: Connection, origin: str) -> bool:
    """Take the lock of a log for as long as the connection lives; False when another process has it."""
    taken: bool = await connection.fetchval(_TRY_LOCK, lock_of(origin))
    return taken


async def release_ledger_lock(connection: Connection, origin: str) -> None:
    """Give the lock back."""
    await connection.execute(_UNLOCK, lock_of(origin))


async def add_leaves(connection: Connection, origin: str, rows: Sequence[LeafRow]) -> int:
    """Store leaves that are not there yet, all or none, and return how many that were."""
    columns = zip(*rows, strict=True)
    status = await connection.execute(_INSERT, origin, *map(list, columns))
    return int(status.rpartition(" ")[2])


async def read_lines(connection: Connection, origin: str, start: int, end: int) -> dict[int, bytes]:
    """Return the lines of leaves `start` up to `end` by their index."""
    return {row[0]: row[1] for row in await connection.fetch(_LINES, origin, start, end)}


async def read_extent(connection: Connection, origin: str) -> Extent:
    """Return how far the stored leaves reach."""
    rows = await connection.fetch(_EXTENT, origin)
    return Extent(rows[0][0], rows[0][1])


async def lines_of_kind(connection: Connection, origin: str, kind: str) -> list[bytes]:
    """Return all leaves of a kind of which there are few."""
    return [row[0] for row in await connection.fetch(_OF_KIND, origin, kind)]


async def newest_of_kind(connection: Connection, origin: str, kind: str) -> bytes | None:
    """Return the last leaf of a kind of which there are few."""
    return _only(await connection.fetch(_NEWEST_OF_KIND, origin, kind))


async def epoch_lines(connection: Connection, origin: str, lane: int, epoch: int) -> list[bytes]:
    """Return the leaves that open and close an epoch, and its gaps."""
    return [row[0] for row in await connection.fetch(_OF_EPOCH, origin, lane, epoch)]


async def last_block_line(
    connection: Connection, origin: str, lane: int, epoch: int
) -> bytes | None:
    """Return the last block of an epoch."""
    return _only(await connection.fetch(_LAST_BLOCK, origin, lane, epoch))


async def last_block_of_lane(connection: Connection, origin: str, lane: int) -> bytes | None:
    """Return the last block of a lane, of whichever epoch."""
    return _only(await connection.fetch(_LAST_OF_LANE, origin, lane))


async def newest_block_line(connection: Connection, origin: str) -> bytes | None:
    """Return the last block of the log."""
    return _only(await connection.fetch(_NEWEST_BLOCK, origin))


async def open_epoch_lines(connection: Connection, origin: str) -> list[bytes]:
    """Return the leaves of epochs that were opened and not closed."""
    return [row[0] for row in await connection.fetch(_OPEN_EPOCHS, origin)]


async def block_holding(
    database: Database, origin: str, lane: int, epoch: int, seq: int
) -> Found | None:
    """Return the block that holds a record, if there is one that may.  Raises StoreUnavailable, StoreError."""
    async with database.connection_for(SOME_SECONDS) as connection:
        rows = await connection.fetch(_HOLDING, origin, lane, epoch, seq)
    return Found(rows[0][0], rows[0][1]) if rows else None


async def index_of(connection: Connection, origin: str, kind: str, line: bytes) -> int | None:
    """Return where this very leaf stands, of a kind of which there are few."""
    found: int | None = await connection.fetchval(_SAME, origin, kind, line)
    return found


async def read_head(connection: Connection, origin: str) -> HeadRow | None:
    """Return the head of a log."""
    rows = await connection.fetch(_HEAD, origin)
    return HeadRow(rows[0][0], rows[0][1], rows[0][2]) if rows else None


async def add_head(connection: Connection, origin: str, size: int, root: bytes) -> None:
    """Store a first head; one that is there stays."""
    await connection.execute(_ADD_HEAD, origin, size, root)


async def move_head(
    connection: Connection, origin: str, old: tuple[int, bytes], new: tuple[int, bytes]
) -> bool:
    """Put a new head in the place of the old one; False when that is not the head any more."""
    status = await connection.execute(_MOVE_HEAD, origin, *old, *new)
    return status == "UPDATE 1"


async def note_head(connection: Connection, origin: str, size: int, note: str) -> None:
    """Keep the signed checkpoint of the head."""
    await connection.execute(_NOTE, origin, size, note)


async def add_cosignatures(
    connection: Connection, origin: str, cosignatures: Sequence[Cosignature]
) -> None:
    """Store witnesses' lines that are not there yet."""
    if cosignatures:
        columns = zip(*cosignatures, strict=True)
        await connection.execute(_ADD_COSIGNATURES, origin, *map(list, columns))


async def greatest_cosigned(connection: Connection, origin: str) -> int:
    """Return the largest size that a witness has cosigned, as far as the database knows; 0 for none."""
    size: int = await connection.fetchval(_GREATEST_COSIGNED, origin)
    return size


async def prefix_mark(connection: Connection) -> tuple[int, int]:
    """Return what differs when other prefixes are known than before."""
    rows = await connection.fetch(_PREFIX_MARK)
    return rows[0][0], rows[0][1]


async def prefix_names(connection: Connection) -> list[bytes]:
    """Return the canonical names of all known prefixes, in their order."""
    return [row[0] for row in await connection.fetch(_PREFIXES)]


async def clear_ledger(connection: Connection, origin: str) -> None:
    """Forget a log, to make its rows again from the files."""
    for statement in _CLEAR:
        await connection.execute(statement, origin)


def _only(rows: list[Row]) -> bytes | None:
    return bytes(rows[0][0]) if rows else None
