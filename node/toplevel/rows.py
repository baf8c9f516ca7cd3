"""Rows: what one sender has sent, as SQL.  Each function works inside the transaction of whoever calls it.

Of a rejected row both is kept: `body`, which was taken before and stays in force, and `refused`, which was sent since
and counts in digests.  `tally` has each table's counts, kept in the same transactions, so that showing them costs
nothing; digests are never kept.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from hashlib import sha256
from typing import NamedTuple

from sync.change import Digester, Place, Rejection, Row, Span, TableDigest
from sync.step import InboxStanding

SCHEMA = """
CREATE TABLE IF NOT EXISTS standing (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    session TEXT NOT NULL, serial INTEGER NOT NULL,
    position_table TEXT NOT NULL, position_key TEXT NOT NULL,
    arrivals INTEGER NOT NULL,
    complete_at REAL, acknowledged_at REAL
);
INSERT OR IGNORE INTO standing VALUES (1, '', 0, '', '', 0, NULL, NULL);
CREATE TABLE IF NOT EXISTS row (
    number TEXT NOT NULL, key TEXT NOT NULL,
    body BLOB, refused BLOB,
    serial INTEGER NOT NULL, code TEXT, reason TEXT,
    arrival INTEGER NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (number, key)
);
CREATE INDEX IF NOT EXISTS row_arrival ON row (number, arrival);
CREATE INDEX IF NOT EXISTS row_day ON row (substr(key, instr(key, '|') + 1, 10)) WHERE number = '3';
CREATE INDEX IF NOT EXISTS row_rejected ON row (number, key) WHERE code IS NOT NULL;
CREATE TABLE IF NOT EXISTS demand (
    number TEXT NOT NULL, key TEXT NOT NULL, digest TEXT NOT NULL, reason TEXT NOT NULL,
    PRIMARY KEY (number, key)
);
CREATE TABLE IF NOT EXISTS tally (
    number TEXT PRIMARY KEY, rows INTEGER NOT NULL, rejected INTEGER NOT NULL,
    changes INTEGER NOT NULL, at REAL NOT NULL
);
"""
SENT = "CASE WHEN code IS NULL THEN body ELSE refused END"
WITHIN = "(number, key) > (?, ?) AND (number, key) <= (?, ?)"
BATCH = 1_000

_PUT = (
    "INSERT INTO row (number, key, body, refused, code, reason, serial, arrival, at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (number, key) DO UPDATE SET"
    " body = excluded.body, refused = excluded.refused, code = excluded.code,"
    " reason = excluded.reason, serial = excluded.serial, arrival = excluded.arrival,"
    " at = excluded.at"
)


class Held(NamedTuple):
    """A row: what is in force (None: nothing), what was sent since and rejected, and why."""

    body: bytes | None = None
    refused: bytes | None = None
    code: str | None = None
    reason: str = ""
    serial: int = 0

    @property
    def sent(self) -> bytes | None:
        """What was last sent; this is what digests are over."""
        return self.body if self.code is None else self.refused

    @property
    def is_nothing(self) -> bool:
        """True when no row is left."""
        return self.body is None and self.code is None


def read_standing(connection: sqlite3.Connection) -> InboxStanding:
    """Where this side stands."""
    found = connection.execute(
        "SELECT session, serial, position_table, position_key FROM standing"
    ).fetchone()
    return InboxStanding(found[0], found[1], Place(found[2], found[3]))


def write_standing(connection: sqlite3.Connection, then: InboxStanding, at: float) -> None:
    """Stand there from now on."""
    connection.execute(
        "UPDATE standing SET session = ?, serial = ?, position_table = ?, position_key = ?,"
        " acknowledged_at = ?",
        (then.session, then.serial, *then.position, at),
    )


def read_held(connection: sqlite3.Connection, place: Place) -> Held:
    """The row at a place."""
    found = connection.execute(
        "SELECT body, refused, code, reason, serial FROM row WHERE number = ? AND key = ?", place
    ).fetchone()
    return Held() if found is None else Held(*found)


class Shelf:
    """Puts rows in their places, in one transaction; `close` writes the counts that come of it."""

    def __init__(self, connection: sqlite3.Connection, at: float) -> None:
        self._connection = connection
        self._at = at
        self._tally: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
        (self._arrival,) = connection.execute("SELECT arrivals FROM standing").fetchone()
        (self.has_demands,) = connection.execute("SELECT EXISTS (SELECT 1 FROM demand)").fetchone()

    def put(self, place: Place, before: Held, held: Held) -> None:
        """Put a row in the place of what was there before."""
        self._arrival += 1
        if held.is_nothing:
            self._connection.execute("DELETE FROM row WHERE number = ? AND key = ?", place)
        else:
            values = (*place, *held, self._arrival, self._at)
            self._connection.execute(_PUT, values)
        tally = self._tally[place.table]
        tally[0] += (held.sent is not None) - (before.sent is not None)
        tally[1] += (held.code is not None) - (before.code is not None)
        tally[2] += 1

    def close(self) -> None:
        """Write the counts."""
        self._connection.execute("UPDATE standing SET arrivals = ?", (self._arrival,))
        self._connection.executemany(
            "INSERT INTO tally VALUES (?, ?, ?, ?, ?) ON CONFLICT (number) DO UPDATE SET"
            " rows = rows + excluded.rows, rejected = rejected + excluded.rejected,"
            " changes = changes + excluded.changes, at = excluded.at",
            [(number, *counts, self._at) for number, counts in self._tally.items()],
        )


def places_within(connection: sqlite3.Connection, span: Span) -> list[Place]:
    """The places of a span that hold anything."""
    found = connection.execute(f"SELECT number, key FROM row WHERE {WITHIN}", _ends(span))  # noqa: S608
    return [Place(*each) for each in found]


def digests_within(connection: sqlite3.Connection, span: Span) -> tuple[TableDigest, ...]:
    """The digests of a span, from the bodies that were sent."""
    digester = Digester()
    for batch in _sent_within(connection, span):
        digester.add(batch)
    return digester.digests()


def rejections_within(
    connection: sqlite3.Connection, span: Span, most: int
) -> tuple[Rejection, ...]:
    """The rejections that hold within a span, the first of them."""
    found = connection.execute(
        "SELECT serial, number, key, code, reason FROM row INDEXED BY row_rejected"  # noqa: S608
        f" WHERE code IS NOT NULL AND {WITHIN} ORDER BY number, key LIMIT ?",
        (*_ends(span), most),
    )
    return tuple(Rejection(*each) for each in found)


def rejection_at(connection: sqlite3.Connection, place: Place) -> Rejection | None:
    """The rejection that holds at a place."""
    held = read_held(connection, place)
    return None if held.code is None else Rejection(held.serial, *place, held.code, held.reason)


def read_demand(connection: sqlite3.Connection, place: Place) -> tuple[str, str] | None:
    """The digest of the row that has to be corrected, and why."""
    found: tuple[str, str] | None = connection.execute(
        "SELECT digest, reason FROM demand WHERE number = ? AND key = ?", place
    ).fetchone()
    return found


def write_demand(connection: sqlite3.Connection, place: Place, body: bytes, reason: str) -> None:
    """Demand that a row be corrected."""
    connection.execute(
        "INSERT OR REPLACE INTO demand VALUES (?, ?, ?, ?)", (*place, digest_of(body), reason)
    )


def drop_demand(connection: sqlite3.Connection, place: Place) -> None:
    """Demand nothing of a row any more."""
    connection.execute("DELETE FROM demand WHERE number = ? AND key = ?", place)


def digest_of(body: bytes) -> str:
    """SHA-256 of a body, in hex."""
    return sha256(body).hexdigest()


def _sent_within(connection: sqlite3.Connection, span: Span) -> Iterator[list[Row]]:
    cursor = connection.execute(
        f"SELECT number, key, {SENT} FROM row WHERE {WITHIN} ORDER BY number, key",  # noqa: S608
        _ends(span),
    )
    while batch := cursor.fetchmany(BATCH):
        yield [Row(*each) for each in batch if each[2] is not None]


def _ends(span: Span) -> tuple[str, str, str, str]:
    return (*span.after, *span.until)
