"""Agreement: do the node and the top-level node hold the same rows, and did each change arrive once, in order?

Both sides are computed anew from their rows: ours page by page as the outbox gives them, theirs from their SQLite file
and, apart from that, by the top-level node itself (GET /digests).  A diary in that file, kept by triggers, notes each
row that is put: its serials must be those of our changes, in their order, none twice and none missing.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from loadtest.stand import Node
from loadtest.toplevels import TopLevel
from node.sealing import load_seal
from node.store.database import Connection, Database
from node.store.outbox import PostgresOutbox
from node.store.writing import SESSION
from sync.change import END, START, Digester, Place, Row
from sync.step import OutboxStanding

BUSY_SECONDS = 30.0
TRIES, PAUSE_SECONDS = 20, 1.0
SHOWN = 5  # of differences of one kind

_DIARY = """
create table if not exists diary (
    id integer primary key, number text not null, key text not null, serial integer not null
);
create trigger if not exists diary_of_new after insert on row
begin insert into diary (number, key, serial) values (new.number, new.key, new.serial); end;
create trigger if not exists diary_of_changed after update on row
begin insert into diary (number, key, serial) values (new.number, new.key, new.serial); end;
"""
_ROWS = """
select number, key, case when code is null then body else refused end from row
where case when code is null then body else refused end is not null order by number, key
"""
_NUMBERED = """
select serial, case when kind = 2 then number else '9' end, key from change
where serial > $1 and serial <= $2 and (kind = 2 or kind = 0 and not (key >= '0.NA/' and key < '0.NA0'))
order by serial
"""

Digests = dict[str, tuple[int, str]]


class Told(NamedTuple):
    """A row that was put at the top-level node, or a change that was numbered here."""

    serial: int
    table: str
    key: str


class Standing(NamedTuple):
    """Where the top-level node stands."""

    session: str
    serial: int
    position: Place


@dataclass(slots=True)
class Agreement:
    """What a comparison found; `faults` is empty when both sides agree."""

    serial: int
    rows: dict[str, int] = field(default_factory=dict)  # by table
    keys: frozenset[Place] = frozenset()  # that the top-level node holds
    bodies: dict[Place, bytes] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


def read_theirs(path: Path) -> Standing:
    """Return where the top-level node stands, from its file."""
    with _opened(path) as connection:
        return Standing(*_standing(connection))


def keep_diary(top: TopLevel) -> None:
    """Have all rows noted that are put from now on, also after the file was restored from a later copy."""
    with _opened(top.database) as connection:
        connection.executescript(_DIARY)
        connection.execute("delete from diary")
        connection.commit()


async def read_ours(node: Node) -> OutboxStanding:
    """Return where the node stands.  Raises StoreUnavailable."""
    async with _database(node) as database:
        return await _outbox(node, database).standing()


async def compare(node: Node, top: TopLevel, *, diary_from: int | None = None) -> Agreement:
    """Compare both sides, which stand at one serial; with `diary_from` also all changes after that serial.

    The node tells of its own state by itself (表E); what is read while it does is read again.
    """
    for _ in range(TRIES):
        found = await _compare(node, top, diary_from)
        if not found.faults or (await read_ours(node)).serial == found.serial:
            break
        await asyncio.sleep(PAUSE_SECONDS)
    return found


async def _compare(node: Node, top: TopLevel, diary_from: int | None) -> Agreement:
    async with _database(node) as database:
        outbox = _outbox(node, database)
        ours = await outbox.standing()
        our_rows = [row async for row in _pages(outbox)]
        async with database.connection() as connection:
            rejected = await connection.fetchval("select count(*) from sync_rejection")
            changes = await _numbered(connection, diary_from or 0, ours.serial)
    with _opened(top.database) as connection:
        theirs = Standing(*_standing(connection))
        their_rows = [Row(*each) for each in connection.execute(_ROWS)]
        diary = _diary(connection, diary_from) if diary_from is not None else None
    found = Agreement(ours.serial)
    found.bodies = {row.place: row.body for row in their_rows}
    found.rows = {table: rows for table, (rows, _) in digests_of(our_rows).items()}
    found.faults += _standings(ours, theirs)
    found.faults += differences(our_rows, their_rows, _told(top))
    if diary is not None:
        found.faults += in_order(diary, changes)
    if rejected:
        found.faults.append(f"{rejected} rows are set aside, and nobody had a reason to")
    return found


def digests_of(rows: Sequence[Row]) -> Digests:
    """Return count and digest of each table."""
    digester = Digester()
    digester.add(rows)
    return {each.table: (each.rows, each.digest) for each in digester.digests()}


def _standings(ours: OutboxStanding, theirs: Standing) -> Iterator[str]:
    if (ours.session, ours.serial, END) != theirs or not ours.complete:
        yield f"the node stands at {ours}, the top-level node at {theirs}"


def differences(ours: Sequence[Row], theirs: Sequence[Row], told: Digests) -> Iterator[str]:
    """Say in which tables the digests differ, and which rows."""
    here, there = digests_of(ours), digests_of(theirs)
    for table in sorted(here.keys() | there.keys() | told.keys()):
        if not here.get(table) == there.get(table) == told.get(table):
            yield (
                f"table {table}: {here.get(table)} here, {there.get(table)} in its file,"
                f" {told.get(table)} by its own account"
            )
    held, wanted = {row.place: row.body for row in theirs}, {row.place: row.body for row in ours}
    yield from (f"lost: {each}" for each in sorted(wanted.keys() - held.keys())[:SHOWN])
    yield from (f"not ours: {each}" for each in sorted(held.keys() - wanted.keys())[:SHOWN])
    differ = [each for each in wanted.keys() & held.keys() if wanted[each] != held[each]]
    yield from (f"another body: {each}" for each in sorted(differ)[:SHOWN])


def in_order(diary: Sequence[Told], changes: Sequence[Told]) -> Iterator[str]:
    """Say what was put twice, out of order, or never."""
    for before, after in pairwise(diary):
        if before.serial >= after.serial:
            yield f"put out of order, or twice: {before} before {after}"
            break
    put, numbered = set(diary), set(changes)
    yield from (f"never put: {each}" for each in sorted(numbered - put)[:SHOWN])
    yield from (f"put, and no change: {each}" for each in sorted(put - numbered)[:SHOWN])


def _told(top: TopLevel) -> Digests:
    found = top.get("/digests")["tables"]
    return {table: (each["rows"], each["digest"]) for table, each in found.items()}


async def _numbered(connection: Connection, after: int, until: int) -> list[Told]:
    found = await connection.fetch(_NUMBERED, after, until)
    return [Told(serial, table, key.decode("utf-8", "replace")) for serial, table, key in found]


def _diary(connection: sqlite3.Connection, after: int) -> list[Told]:
    found = connection.execute(
        "select serial, number, key from diary where serial > ? order by id", (after,)
    )
    return [Told(*each) for each in found]


async def _pages(outbox: PostgresOutbox) -> AsyncIterator[Row]:
    after = START
    while after != END:
        page = await outbox.page(after)
        for row in page.rows:
            yield row
        after = page.span.until


def _standing(connection: sqlite3.Connection) -> tuple[str, int, Place]:
    session, serial, *position = connection.execute(
        "select session, serial, position_table, position_key from standing"
    ).fetchone()
    return session, serial, Place(*position)


def _opened(path: Path) -> "closing[sqlite3.Connection]":
    return closing(sqlite3.connect(path, timeout=BUSY_SECONDS))


def _database(node: Node) -> Database:
    return Database(node.settings.database_url, max_connections=2, settings=SESSION)


def _outbox(node: Node, database: Database) -> PostgresOutbox:
    return PostgresOutbox(database, load_seal(node.settings))
