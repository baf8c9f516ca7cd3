"""Lists and histories from Postgres, in pages by key: no statement reads more than it is asked for, save counts."""

from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple

from node.store.database import Connection
from node.store.prefixes import PrefixState
from node.store.writing import SESSION

LIST_CONNECTIONS = 2  # of one process: lists, histories and counts hold up nothing but each other
COUNT_SECONDS = 4.0
LIST_SESSION = MappingProxyType({**SESSION, "statement_timeout": f"{COUNT_SECONDS:.0f}s"})
"""Sessions of what reads a lot.  A count that takes longer is ended by Postgres itself, which would else work on."""

_HANDLES = """
select key, handle from record
where prefix = $1 and gone is null and key > $2 order by key offset $3 limit $4
"""
_COUNT_HANDLES = "select count(*) from record where prefix = $1 and gone is null"
_PREFIXES = """
select prefix, convert_to(spelling, 'UTF8') from prefix
where state = $1 and prefix > $2 order by prefix offset $3 limit $4
"""
_COUNT_PREFIXES = "select count(*) from prefix where state = $1"
_HISTORY = """
select version, serial, at, operation, caller, means, origin, reason, before from version
where key = $1 and version < $2 order by version desc limit $3
"""


class VersionRow(NamedTuple):
    """One row of the version table, newest first; `before` is what the write replaced."""

    version: int
    serial: int
    at: datetime
    operation: str
    caller: str
    means: str
    origin: str
    reason: str
    before: bytes | None


async def list_handles(
    connection: Connection, prefix: bytes, after: bytes, skip: int, limit: int
) -> list[tuple[bytes, bytes]]:
    """Return canonical key and spelling of the records of a prefix, in the order of the keys."""
    rows = await connection.fetch(_HANDLES, prefix, after, skip, limit)
    return [(row[0], row[1]) for row in rows]


async def count_handles(connection: Connection, prefix: bytes) -> int:
    """Return how many records a prefix has."""
    count: int = await connection.fetchval(_COUNT_HANDLES, prefix)
    return count


async def list_homed(
    connection: Connection, after: bytes, skip: int, limit: int
) -> list[tuple[bytes, bytes]]:
    """Return canonical name and spelling of the prefixes homed here, in the order of the names."""
    rows = await connection.fetch(_PREFIXES, PrefixState.HOMED, after, skip, limit)
    return [(row[0], row[1]) for row in rows]


async def count_homed(connection: Connection) -> int:
    """Return how many prefixes are homed here."""
    count: int = await connection.fetchval(_COUNT_PREFIXES, PrefixState.HOMED)
    return count


async def read_history(
    connection: Connection, key: bytes, before: int, limit: int
) -> list[VersionRow]:
    """Return the versions of a record below `before`, the newest first."""
    rows = await connection.fetch(_HISTORY, key, before, limit)
    return [VersionRow(*row) for row in rows]
