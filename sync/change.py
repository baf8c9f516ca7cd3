"""Changes: what `sync` carries, as values.  What a body means is known to its table's channel alone.

A table is named by the standard's number: "1" to "11", "M1" and "M2" (monitoring), "E" (state events).  A row stands
at a `Place`: its table, then its key, both compared by code point; that is the byte order of UTF-8 and Postgres'
collation "C".  All rows of all tables so lie in one line, from START to END, and a `Span` is a stretch of it.

The digest of a table is our proposal (spec §5.6), made so that anybody can check it with `sha256sum`: one line for each
row, in the order of the places: table, tab, key, tab, SHA-256 of the body in hex, line feed.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from itertools import groupby
from typing import NamedTuple, TypeVar

import orjson

MAX_SERIAL = 2**53 - 1  # what every JSON reader holds exactly (RFC 7493)
MAX_KEY_BYTES = 2_048
MAX_BODY_BYTES = 1_000_000
MAX_BATCH_ITEMS = 1_000
MAX_CODE_CHARACTERS = 32
MAX_REASON_CHARACTERS = 500
MAX_BATCH_BYTES = 1_000_000  # of keys and bodies; a batch has one item at least

TABLE = re.compile(r"[0-9A-Z]{1,3}")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class ChangeError(ValueError):
    """A change, row or place that cannot be; the text says why."""


class Operation(StrEnum):
    """What a change does to its row."""

    UPSERT = "upsert"
    DELETE = "delete"


class Place(NamedTuple):
    """Where a row stands in the line of all rows."""

    table: str
    key: str


START = Place("", "")
END = Place("~", "")  # behind every table's name


class Span(NamedTuple):
    """The places behind `after`, up to and with `until`."""

    after: Place
    until: Place

    def holds(self, place: Place) -> bool:
        return self.after < place <= self.until


EVERYTHING = Span(START, END)


@dataclass(frozen=True, slots=True)
class Row:
    """One row as its table's channel wrote it.  Raises ChangeError."""

    table: str
    key: str
    body: bytes

    def __post_init__(self) -> None:
        check_place(self.table, self.key)
        check_body(self.body)

    @property
    def place(self) -> Place:
        return Place(self.table, self.key)


@dataclass(frozen=True, slots=True)
class Change:
    """One row written or deleted; the serial says in which order, within a session.  Raises ChangeError.

    A change says the whole row, so of two changes of a key the later one alone matters.
    """

    serial: int
    table: str
    operation: Operation
    key: str
    body: bytes

    def __post_init__(self) -> None:
        if not 0 < self.serial <= MAX_SERIAL:
            raise ChangeError(f"a serial is 1 to 2^53 - 1, not {self.serial}")
        check_place(self.table, self.key)
        check_body(self.body)
        if self.operation is Operation.DELETE and self.body:
            raise ChangeError("a deletion has no body")

    @property
    def place(self) -> Place:
        return Place(self.table, self.key)

    def canonical(self) -> bytes:
        """The change as canonical JSON (RFC 8785)."""
        return canonical(
            {
                "body": self.body.decode(),
                "key": self.key,
                "operation": self.operation.value,
                "serial": self.serial,
                "table": self.table,
            }
        )

    def digest(self) -> str:
        """SHA-256 of the canonical bytes, in hex."""
        return sha256(self.canonical()).hexdigest()


@dataclass(frozen=True, slots=True)
class Rejection:
    """The last of a key that the peer did not take, by which rule, and what its reviewer says.

    `serial` is the change's, or that of the page that brought the row.  Raises ChangeError.
    """

    serial: int
    table: str
    key: str
    code: str
    reason: str

    def __post_init__(self) -> None:
        check_place(self.table, self.key)
        if len(self.code) > MAX_CODE_CHARACTERS or len(self.reason) > MAX_REASON_CHARACTERS:
            raise ChangeError("a rejection is said in a code and a sentence or two")

    @property
    def place(self) -> Place:
        return Place(self.table, self.key)


@dataclass(frozen=True, slots=True)
class TableDigest:
    """How many rows a table has, or a span of it, and the SHA-256 of their lines, in hex."""

    table: str
    rows: int
    digest: str


class _Total:
    """What a table's lines come to so far."""

    def __init__(self) -> None:
        self.rows = 0
        self.hash = sha256()

    def add(self, lines: list[bytes]) -> None:
        self.rows += len(lines)
        self.hash.update(b"".join(lines))


class Digester:
    """The digests of rows that come in the order of their places, page by page."""

    def __init__(self) -> None:
        self._totals: defaultdict[str, _Total] = defaultdict(_Total)

    def add(self, rows: Iterable[Row]) -> None:
        for table, members in groupby(rows, key=lambda row: row.table):
            self._totals[table].add([_line(row) for row in members])

    def digests(self) -> tuple[TableDigest, ...]:
        """Of each table that has rows, in the order of their names."""
        return tuple(
            TableDigest(table, total.rows, total.hash.hexdigest())
            for table, total in sorted(self._totals.items())
        )


def digest_rows(rows: Iterable[Row]) -> tuple[TableDigest, ...]:
    """Return the digests of rows in the order of their places."""
    digester = Digester()
    digester.add(rows)
    return digester.digests()


Item = TypeVar("Item", Change, Row)


def fill_batch(items: Iterable[Item], most: int = MAX_BATCH_ITEMS) -> Iterator[Item]:
    """Yield the items that one message takes, from the first on."""
    size = 0
    for number, item in enumerate(items):
        size += len(item.key) + len(item.body)
        if number == most or (number and size > MAX_BATCH_BYTES):
            return
        yield item


def check_place(table: str, key: str) -> None:
    """Raise ChangeError unless a row may stand there."""
    if not TABLE.fullmatch(table):
        raise ChangeError(f"a table is named by 1 to 3 digits and capitals, not {table!r}")
    try:
        size = len(key.encode())
    except UnicodeEncodeError as error:
        raise ChangeError("a key holds half a surrogate pair") from error
    if not 0 < size <= MAX_KEY_BYTES:
        raise ChangeError(f"a key has 1 to {MAX_KEY_BYTES} bytes, not {size}")
    if CONTROL.search(key):
        raise ChangeError("a key has no control characters: they would break the lines of digests")


def check_body(body: bytes) -> None:
    """Raise ChangeError unless this may be a row's body: UTF-8, since it travels as a text in JSON."""
    if len(body) > MAX_BODY_BYTES:
        raise ChangeError(f"a body has at most {MAX_BODY_BYTES} bytes, not {len(body)}")
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise ChangeError("a body is UTF-8") from error


def canonical(value: object) -> bytes:
    """Return the canonical JSON (RFC 8785) of texts, whole numbers up to 2^53 - 1, booleans, lists, and objects
    whose members have names in ASCII.  Raises ChangeError."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER)
    except TypeError as error:  # of orjson, for half a surrogate pair and for numbers too large
        raise ChangeError(f"this has no canonical JSON: {error}") from error


def _line(row: Row) -> bytes:
    return f"{row.table}\t{row.key}\t{sha256(row.body).hexdigest()}\n".encode()
