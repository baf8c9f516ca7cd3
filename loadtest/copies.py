"""Copies: a database that is filled up with its own records under other names, inside Postgres.

For a look-up it does not matter who wrote a row, and a load of ten million records takes an hour on a machine that
others use; copying takes minutes.  A copy has its original's values, and its handle with `-N` behind it.  Records of
the labelled schemes are not copied, since nothing may stand behind those, and neither are prefixes.  No change is
announced and no version is written: a node that keeps copies must not have been asked for them before.

The table is not logged from then on, has no index until the copies are there, and is not vacuumed: a look-up by its key
does not know the difference.
"""

import asyncio
import re
from collections.abc import Iterator, Sequence
from math import ceil
from random import Random

from loadtest.learn import Sample
from node.store.database import Connection, connect

AT_ONCE = 4  # connections
SECONDS = 3_600.0  # for one copy of all
_LABELS = r"^(ecode:|oid:|gs1:|did:|0\.NA/)"
_COPIED = f"loaded is not null and convert_from(handle, 'UTF8') !~* '{_LABELS}'"
_COPY = f"""
insert into record (key, prefix, handle, ttl, expires, wire, json, whole, version)
select key || convert_to($1, 'UTF8'), prefix, handle || convert_to($1, 'UTF8'), ttl, expires, wire, json, whole, 1
from record where {_COPIED} limit $2
"""  # noqa: S608 - of constants
_BARE = (
    "alter table record set unlogged",
    "alter table record set (autovacuum_enabled = false)",
    "alter table record drop constraint record_pkey",
    "drop index record_prefix",
)
_WHOLE = (
    "set maintenance_work_mem = '1GB'",
    "alter table record add constraint record_pkey primary key (key)",
    "create index record_prefix on record (prefix, key) where gone is null",
    "analyze record",
)


async def fill(database_url: str, records: int) -> int:
    """Copy what was loaded until there are so many records; return how often all were copied."""
    connection = await connect(database_url)
    try:
        there = await connection.fetchval("select count(*) from record")
        copied = await connection.fetchval(f"select count(*) from record where {_COPIED}")  # noqa: S608
        await _execute(connection, _BARE)
        await _copy_all(database_url, records - there, copied)
        await _execute(connection, _WHOLE)
    finally:
        await connection.close()
    return int((records - there) // copied)


async def _execute(connection: Connection, statements: Sequence[str]) -> None:
    for statement in statements:
        await connection.execute(statement, timeout=SECONDS)


async def _copy_all(database_url: str, wanted: int, copied: int) -> None:
    numbers = iter(range(1, ceil(wanted / copied) + 1))
    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE):
            tasks.create_task(_copy(database_url, numbers, copied, wanted))


async def _copy(database_url: str, numbers: Iterator[int], copied: int, wanted: int) -> None:
    connection: Connection = await connect(database_url)
    try:
        for number in numbers:
            limit = min(copied, wanted - (number - 1) * copied)
            await connection.execute(_COPY, f"-{number}", limit, timeout=SECONDS)
    finally:
        await connection.close()


def spread(sample: Sample, times: int, seed: int = 1) -> Sample:
    """Return a sample in which every record that was copied so often is replaced by one of its copies, or left."""
    dice = Random(seed)
    return Sample(tuple(_renamed(each, dice.randrange(times + 1)) for each in sample.records))


def _renamed(record: dict[str, object], number: int) -> dict[str, object]:
    handle = str(record["handle"])
    is_copied = number and not re.match(_LABELS, handle, re.IGNORECASE)
    return {**record, "handle": f"{handle}-{number}"} if is_copied else record
