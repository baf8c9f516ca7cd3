"""Shown: what the page and testers read of the stored rows: counts, rows, rejections, digests.  Nothing is written."""

import sqlite3
from collections.abc import Mapping
from typing import NamedTuple

import orjson

from node.toplevel.database import Database
from node.toplevel.masking import masked
from node.toplevel.rows import SENT, digests_within, read_standing, rejections_within
from sync.change import EVERYTHING, Rejection, TableDigest
from sync.channels.tables import TABLES
from sync.step import InboxStanding

MAX_ROWS = 500  # of one answer

_ROW = f"SELECT key, {SENT}, code, reason, serial, arrival, at FROM row WHERE number = ?"  # noqa: S608


class Counts(NamedTuple):
    """How a table stands; `at` is when its newest change came, POSIX seconds."""

    rows: int = 0
    rejected: int = 0
    changes: int = 0
    at: float = 0.0


class Standing(NamedTuple):
    """Where the inbox stands, and since when it is complete (None: it never was)."""

    inbox: InboxStanding
    arrivals: int
    complete_at: float | None
    acknowledged_at: float | None
    tables: Mapping[str, Counts]


class ShownRow(NamedTuple):
    """A row, masked; `body` is None for a deletion that was rejected."""

    key: str
    body: object
    code: str | None
    reason: str
    serial: int
    arrival: int
    at: float


class Digests(NamedTuple):
    """Each table's digest, of exactly this standing."""

    inbox: InboxStanding
    tables: tuple[TableDigest, ...]


async def read_counts(database: Database) -> Standing:
    """Return how everything stands; it costs a few rows."""

    def work(connection: sqlite3.Connection) -> Standing:
        arrivals, complete_at, acknowledged_at = connection.execute(
            "SELECT arrivals, complete_at, acknowledged_at FROM standing"
        ).fetchone()
        found = connection.execute("SELECT number, rows, rejected, changes, at FROM tally")
        tables = {number: Counts(*counts) for number, *counts in found}
        return Standing(read_standing(connection), arrivals, complete_at, acknowledged_at, tables)

    return await database.read(work)


async def read_newest(database: Database, number: str, after: int, limit: int) -> list[ShownRow]:
    """Return the rows of a table that arrived after this arrival, the newest first."""
    sql = f"{_ROW} AND arrival > ? ORDER BY arrival DESC LIMIT ?"
    found = await database.read(
        lambda connection: connection.execute(sql, (number, after, limit)).fetchall()
    )
    return [_shown(*each) for each in found]


async def read_page(database: Database, number: str, after: str, limit: int) -> list[ShownRow]:
    """Return the rows of a table behind a key, in the order of keys."""
    sql = f"{_ROW} AND key > ? ORDER BY key LIMIT ?"
    found = await database.read(
        lambda connection: connection.execute(sql, (number, after, limit)).fetchall()
    )
    return [_shown(*each) for each in found]


async def read_rejections(database: Database, limit: int) -> tuple[Rejection, ...]:
    """Return the rejections that hold, in the order of their places."""
    return await database.read(lambda c: rejections_within(c, EVERYTHING, limit))


async def read_digests(database: Database) -> Digests:
    """Compute all digests from the bodies: about a second for each half a million rows."""

    def work(connection: sqlite3.Connection) -> Digests:
        return Digests(read_standing(connection), digests_within(connection, EVERYTHING))

    return await database.read(work)


async def read_bodies(database: Database, number: str, most: int) -> list[bytes]:
    """Return the bodies of a table that are in force, not masked: for resolution and probes, never shown."""
    sql = "SELECT body FROM row WHERE number = ? AND body IS NOT NULL ORDER BY arrival DESC LIMIT ?"
    found = await database.read(
        lambda connection: connection.execute(sql, (number, most)).fetchall()
    )
    return [each[0] for each in found]


def _shown(
    key: str, body: bytes | None, code: str | None, reason: str | None, *rest: float
) -> ShownRow:
    serial, arrival, at = rest
    return ShownRow(key, _readable(body), code, reason or "", int(serial), int(arrival), at)


def _readable(body: bytes | None) -> object:
    if body is None:
        return None
    try:
        return masked(orjson.loads(body))
    except orjson.JSONDecodeError:  # rejected as unreadable; it may hold anything
        return f"({len(body)} bytes that are no JSON)"


def known_numbers(standing: Standing) -> list[str]:
    """Return the tables in the guide's order, and behind them those that nobody knows but were sent."""
    return [*TABLES, *sorted(set(standing.tables) - set(TABLES))]
