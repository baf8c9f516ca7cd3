"""Unchanged: digests of what nobody without the right may change, to be compared before and after."""

import asyncio

from loadtest.administrators import NOBODY
from node.store.database import connect

_TABLES = {
    "record": "select record from record",
    "version": "select version from version",
    "prefix": "select prefix from prefix",
    "change": "select change from change",
    "change_counter": "select change_counter from change_counter",
    "token": "select token from token where kind = 0",
    "job": "select job from job",
}
_FOREIGN_SESSIONS = "select count(*) from token where kind = 1 and handle <> $1"
FOREIGN = "sessions of others"

Digests = dict[str, str]


def take_digests(database_url: str) -> Digests:
    """Return a digest of each table; of sessions over HTTP, how many are not of NOBODY."""
    return asyncio.run(_take(database_url))


async def _take(database_url: str) -> Digests:
    connection = await connect(database_url)
    try:
        found = {}
        for name, rows in _TABLES.items():
            statement = f"select md5(coalesce(string_agg(t::text, '|' order by t::text), '')) from ({rows}) as t"  # noqa: S608
            found[name] = str(await connection.fetchval(statement))
        others = await connection.fetchval(_FOREIGN_SESSIONS, NOBODY.handle.upper().encode())
        return {**found, FOREIGN: str(others)}
    finally:
        await connection.close()


def differences(before: Digests, after: Digests) -> list[str]:
    """Say which tables changed."""
    return [
        f"the database has changed: {name}" for name in before if before[name] != after.get(name)
    ]
