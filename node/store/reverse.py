"""Reverse look-up in Postgres: which records may hold a text, by the grams of their values.

Laws: only the holder of the advisory lock writes, and on the connection that holds it, so that who has lost the lock
cannot write any more.  What is written and how far it has come is one transaction.  A look-up has a limit and a time.
"""

import sys
from array import array
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from struct import Struct
from typing import NamedTuple

import asyncpg

from node.store.changes import Position
from node.store.copying import copy_rows
from node.store.database import Connection, OwnConnection, connect, store_errors

INDEXING_LOCK = 0x69646E6F_7276  # "idnorv"
SEARCH_SECONDS = 2.0
MAX_PENDING = "32MB"  # rows that wait to be sorted into the index, while it is made anew
SORT_MEMORY = "64MB"

# An entry in the binary form of COPY: a key, and an array of one dimension without nulls, counted from 1.
_KEY = Struct(">hi")  # number of fields, length of the key
_GRAMS = Struct(
    ">iiiiii"
)  # length of the array, dimensions, has nulls, type of the items, how many, the first's number
_GRAMS_HEAD_BYTES = _GRAMS.size - 4
_INT4 = 23  # the type's number in every Postgres
_GRAM_BYTES = 4

_INCOMING = "create temp table incoming_reverse (key bytea, grams int[]) on commit delete rows"
_TRY_LOCK = "select pg_try_advisory_lock($1)"
_STATE = """
select s.rules, coalesce(s.epoch, gen_random_uuid()), s.serial, s.made_upto, c.epoch, c.serial
from reverse_state s, change_counter c
"""
_BEGIN_ANEW = """
update reverse_state set rules = $1, epoch = c.epoch, serial = c.serial, made_upto = ''
from change_counter c
"""
_RECORDS_OF = "select key, wire from record where key = any($1::bytea[]) and gone is null"
_RECORDS_AFTER = """
select key, wire from record where key > $1 and gone is null order by key limit $2
"""
_PUT = """
insert into reverse as stored (key, grams) select key, grams from incoming_reverse
on conflict (key) do update set grams = excluded.grams
where stored.grams is distinct from excluded.grams
"""
_DROP = "delete from reverse where key = any($1::bytea[])"
_DROP_BETWEEN = """
delete from reverse where key > $1 and ($2::bytea is null or key <= $2) and key <> all($3::bytea[])
"""
_TAKEN_IN = "update reverse_state set serial = $1 where epoch = $2"
_MADE_UPTO = "update reverse_state set made_upto = $1"
# Keys alone, so that this limit, and nothing that is joined, decides between the index of grams and the order of keys.
_KEYS = """
select key from reverse where grams operator(pg_catalog.@>) $1::int[] and key > $2
order by key limit $3
"""
_CANDIDATES = """
select key, prefix, handle, wire from record
where key = any($1::bytea[]) and gone is null order by key
"""


class SearchTooBroad(Exception):
    """A look-up was given up after SEARCH_SECONDS."""


class IndexState(NamedTuple):
    """What the index was made by and how far it has come, and where the changes stand now."""

    rules: str
    position: Position
    made_upto: bytes | None
    now: Position

    @property
    def behind(self) -> int:
        """Changes that are not taken in yet."""
        return max(0, self.now.serial - self.position.serial)

    def is_usable(self, rules: str) -> bool:
        """True when it is complete, and made by these rules from this database."""
        is_ours = self.rules == rules and self.position.epoch == self.now.epoch
        return is_ours and self.made_upto is None


class Candidate(NamedTuple):
    """A record that may match: its key, prefix and spelling, and its public values, encoded."""

    key: bytes
    prefix: bytes
    handle: bytes
    wire: bytes


class SourceRecord(NamedTuple):
    """A record that is to be found: its key, and its public values, encoded."""

    key: bytes
    wire: bytes


class Entry(NamedTuple):
    """A record as the index knows it."""

    key: bytes
    grams: Sequence[int]


async def read_index_state(connection: Connection) -> IndexState:
    """Return how the index stands."""
    row = (await connection.fetch(_STATE))[0]
    return IndexState(row[0], Position(row[1], row[2]), row[3], Position(row[4], row[5]))


@asynccontextmanager
async def indexing_connection(dsn: str) -> AsyncIterator["OwnConnection | None"]:
    """Lend the one connection that may write to the index; None while another process has it.

    Raises StoreUnavailable, StoreError.
    """
    connection = await connect(dsn)
    try:
        with store_errors():
            locked: bool = await connection.fetchval(_TRY_LOCK, INDEXING_LOCK)
            if locked:
                await connection.execute(_INCOMING)
                await connection.execute(f"set work_mem = '{SORT_MEMORY}'")
            yield connection if locked else None
    finally:
        connection.terminate()


async def begin_anew(connection: Connection, rules: str) -> None:
    """Start to make the whole index, from now on in the epoch and from the serial that stand now."""
    await connection.execute(_BEGIN_ANEW, rules)


async def read_records(connection: Connection, keys: Sequence[bytes]) -> list[SourceRecord]:
    """Return those of these records that exist."""
    return [SourceRecord(row[0], row[1]) for row in await connection.fetch(_RECORDS_OF, keys)]


async def read_records_after(connection: Connection, key: bytes, limit: int) -> list[SourceRecord]:
    """Return the next records in the order of their keys."""
    rows = await connection.fetch(_RECORDS_AFTER, key, limit)
    return [SourceRecord(row[0], row[1]) for row in rows]


async def take_in(
    connection: Connection, keys: Sequence[bytes], entries: Sequence[Entry], upto: Position
) -> None:
    """Put the entries of these changed records (those without one are dropped), and note how far that is."""
    async with connection.transaction():
        there = {entry.key for entry in entries}
        await connection.execute(_DROP, [key for key in keys if key not in there])
        await _put(connection, entries)
        await connection.execute(_TAKEN_IN, upto.serial, upto.epoch)


async def make_range(
    connection: Connection, after: bytes, upto: bytes | None, entries: Sequence[Entry]
) -> None:
    """Put all entries with keys after one and up to another (None: to the end), and note how far that is."""
    async with connection.transaction():
        await connection.execute(f"set local gin_pending_list_limit = '{MAX_PENDING}'")
        await connection.execute(_DROP_BETWEEN, after, upto, [entry.key for entry in entries])
        await _put(connection, entries)
        await connection.execute(_MADE_UPTO, upto)


async def settle(connection: Connection) -> None:
    """Sort in what waits, and count anew what there is, so that look-ups are planned well."""
    await connection.execute("select gin_clean_pending_list('reverse_grams')")
    await connection.execute("analyze reverse")


async def _put(connection: Connection, entries: Sequence[Entry]) -> None:
    if entries:
        rows = [_pack(entry) for entry in entries]
        await copy_rows(connection, "incoming_reverse", ("key", "grams"), rows)
        await connection.execute(_PUT)


def _pack(entry: Entry) -> bytes:
    """Return an entry as COPY takes it: a gram each, which a record has a hundred of, would be most of the work."""
    count = len(entry.grams)
    items = array("i", [_GRAM_BYTES]) * (2 * count)  # before each gram its length
    items[1::2] = array("i", entry.grams)
    if sys.byteorder == "little":
        items.byteswap()
    length = _GRAMS_HEAD_BYTES + len(items) * _GRAM_BYTES
    return b"".join(
        (
            _KEY.pack(2, len(entry.key)),
            entry.key,
            _GRAMS.pack(length, 1, 0, _INT4, count, 1),
            items.tobytes(),
        )
    )


async def prepare_search(connection: Connection) -> IndexState:
    """Return how the index stands; plan each look-up of this transaction for its own grams."""
    await connection.execute("set local plan_cache_mode = force_custom_plan")
    return await read_index_state(connection)


async def find_keys(
    connection: Connection, grams: Sequence[int], after: bytes, limit: int, seconds: float
) -> list[bytes]:
    """Return the next keys, in their order, of records that have all these grams.

    Raises SearchTooBroad when that takes longer.
    """
    milliseconds = max(1, int(seconds * 1_000))
    try:
        await connection.execute(f"set local statement_timeout = {milliseconds}")
        return [row[0] for row in await connection.fetch(_KEYS, grams, after, limit)]
    except asyncpg.QueryCanceledError as error:
        raise SearchTooBroad from error


async def read_candidates(connection: Connection, keys: Sequence[bytes]) -> list[Candidate]:
    """Return those of these records that exist, in the order of their keys.  Raises SearchTooBroad."""
    try:
        return [Candidate(*row) for row in await connection.fetch(_CANDIDATES, keys)]
    except asyncpg.QueryCanceledError as error:
        raise SearchTooBroad from error
