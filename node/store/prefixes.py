"""Prefixes in Postgres: those this node answers for, and those it sends the asker on from."""

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

from node.store.database import STATEMENT_SECONDS, Connection, Database

SOME_SECONDS = 2.0  # for those that are named; all of them may be many

_ALL = "select prefix, spelling, state from prefix"
_SOME = "select prefix, spelling, state from prefix where prefix = any($1::bytea[])"
_UPSERT = """
insert into prefix as stored (prefix, spelling, state)
select prefix, spelling, state
from unnest($1::bytea[], $2::text[], $3::smallint[]) as line (prefix, spelling, state)
on conflict (prefix) do update set spelling = excluded.spelling, state = excluded.state
where (stored.spelling, stored.state) is distinct from (excluded.spelling, excluded.state)
returning prefix
"""


PREFIX_VERSIONS = (
    b"\x00prefix/"  # before its name, the key of a prefix's own versions: no record has such a one
)


class PrefixState(IntEnum):
    """Who answers for a prefix."""

    HOMED = 1  # this node
    DELEGATED = 2  # the enterprise node that its 0.NA/ record names


class PrefixRow(NamedTuple):
    """A known prefix: canonical name, the spelling it was registered with, and who answers."""

    prefix: bytes
    spelling: str
    state: PrefixState


async def read_prefixes(
    database: Database, names: Sequence[bytes] | None = None
) -> tuple[PrefixRow, ...]:
    """Return all known prefixes, or those of these canonical names that are known.

    Raises StoreUnavailable, StoreError.
    """
    seconds = STATEMENT_SECONDS if names is None else SOME_SECONDS
    async with database.connection_for(seconds) as connection:
        if names is None:
            rows = await connection.fetch(_ALL)
        else:
            rows = await connection.fetch(_SOME, names)
    return tuple(PrefixRow(row[0], row[1], PrefixState(row[2])) for row in rows)


async def write_prefixes(connection: Connection, prefixes: Sequence[PrefixRow]) -> list[bytes]:
    """Add or replace prefixes (each once), and return the names of those that are not as before."""
    if not prefixes:
        return []
    rows = await connection.fetch(
        _UPSERT,
        [row.prefix for row in prefixes],
        [row.spelling for row in prefixes],
        [row.state for row in prefixes],
    )
    return [row["prefix"] for row in rows]
