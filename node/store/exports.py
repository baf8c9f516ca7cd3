"""Reading all records, or those of a prefix, from one snapshot: in the order of prefix and key, page by page."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

from node.store.changes import Position
from node.store.database import OwnConnection, connect, store_errors
from node.store.prefixes import PrefixState
from resolver.identifier import PREFIX_HANDLE

PAGE_RECORDS = 1_000

_POSITION = "select epoch, serial from change_counter"
_PAGE = """
select r.prefix, r.key, r.handle, coalesce(r.whole, r.wire), p.state
from record r
left join prefix p on r.prefix = $5 and p.prefix = substr(r.key, length($5) + 2)
where r.gone is null and (r.prefix, r.key) >= ($1, $2) and (r.prefix, r.key) < ($3, $4)
order by r.prefix, r.key limit $6
"""
_BARE = """
select p.prefix, p.spelling, p.state from prefix p
where p.prefix >= $1 and p.prefix < $2 and not exists (
    select from record r where r.key = $3 || p.prefix and r.gone is null
)
order by p.prefix limit $4
"""
_ZERO_NA = PREFIX_HANDLE.rstrip(b"/")
_END = b"\xff"  # after every key, since keys are UTF-8


class Span(NamedTuple):
    """Records from one (prefix, key) up to another one."""

    low: tuple[bytes, bytes]
    high: tuple[bytes, bytes]


class ExportRow(NamedTuple):
    """A record with all its values, secret keys sealed; `state` is that of the prefix that a `0.NA/` record names."""

    prefix: bytes
    key: bytes
    handle: bytes
    values: bytes
    state: PrefixState | None


class BarePrefix(NamedTuple):
    """A prefix that is known and has no record of its own."""

    name: bytes
    spelling: str
    state: PrefixState


def spans(prefix: bytes | None) -> Sequence[Span]:
    """Return where the records of a prefix lie, its own first, and those of prefixes below it; None: everything."""
    if prefix is None:
        return (Span((b"", b""), (_END, b"")),)
    own = PREFIX_HANDLE + prefix
    return (
        Span((_ZERO_NA, own), (_ZERO_NA, own + b"\0")),
        Span((_ZERO_NA, own + b"."), (_ZERO_NA, own + b"/")),  # "/" comes right after "."
        Span((prefix, b""), (prefix + b"\0", b"")),
        Span((prefix + b".", b""), (prefix + b"/", b"")),
    )


class Snapshot:
    """One state of the database; `position` says which."""

    def __init__(self, connection: OwnConnection, position: Position) -> None:
        self._connection = connection
        self.position = position

    async def records(self, span: Span) -> AsyncIterator[Sequence[ExportRow]]:
        """Return the records of a span in pages.  Raises StoreUnavailable, StoreError."""
        low = span.low
        while True:
            with store_errors():
                found = await self._connection.fetch(
                    _PAGE, *low, *span.high, _ZERO_NA, PAGE_RECORDS
                )
            page = [ExportRow(row[0], row[1], row[2], row[3], _state(row[4])) for row in found]
            if page:
                yield page
            if len(page) < PAGE_RECORDS:
                return
            low = (page[-1].prefix, page[-1].key + b"\0")

    async def bare_prefixes(self, prefix: bytes | None) -> AsyncIterator[Sequence[BarePrefix]]:
        """Return known prefixes without a record, all or those at and below one, in pages."""
        low, high = (b"", _END) if prefix is None else (prefix, prefix + b"/")
        while True:
            with store_errors():
                found = await self._connection.fetch(_BARE, low, high, PREFIX_HANDLE, PAGE_RECORDS)
            page = [BarePrefix(row[0], row[1], PrefixState(row[2])) for row in found]
            mine = [each for each in page if prefix is None or _is_below(each.name, prefix)]
            if mine:
                yield mine
            if len(page) < PAGE_RECORDS:
                return
            low = page[-1].name + b"\0"


@asynccontextmanager
async def snapshot(dsn: str) -> AsyncIterator[Snapshot]:
    """Lend a snapshot, on a connection of its own.  Raises StoreUnavailable, StoreError."""
    connection = await connect(dsn)
    try:
        with store_errors():
            await connection.execute("begin isolation level repeatable read read only")
            row = await connection.fetchrow(_POSITION)
        assert row is not None  # noqa: S101  the counter has one row
        yield Snapshot(connection, Position(row[0], row[1]))
    finally:
        connection.terminate()


def _is_below(name: bytes, prefix: bytes) -> bool:
    return name == prefix or name.startswith(prefix + b".")


def _state(number: int | None) -> PrefixState | None:
    return None if number is None else PrefixState(number)
