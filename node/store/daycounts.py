"""What 表3 and 表8 say of a closed day, but for the ledger's own figures: what was registered, and who asked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone

from node.store.database import Connection, Database
from node.store.sources import Source

SHANGHAI = timezone(timedelta(hours=8))
MOST_DAYS = 35  # of one round: older ones have no sources any more

_UNTOLD = "select day from closed_day where not told order by day limit $1"
_TELL = "update closed_day set told = true where day = $1"
_SOURCES = "select prefix, address, requests, successes from source_day where day = $1"
# As of the end of the day, however late it is counted: the last step before it.
_PREFIXES = """
select object.id, object.body ->> 'prefix' from object cross join lateral (
    select state from object_version as step
    where step.kind = object.kind and step.id = object.id and step.at < $1
    order by step.version desc limit 1
) as last_step
where object.kind = 'prefix'
    and last_step.state = any('{granted,active,stopped,suspended,to_be_deleted}')
order by object.id
"""
_NEW_PREFIXES = """
select count(*) from object_version
where kind = 'prefix' and action = 'prefix.grant' and at >= $1 and at < $2
"""
# Likewise: what the first change behind the end of the day found; a record without one is as it is now.
_IDENTIFIERS = """
with later as (
    select distinct on (key) key, before is not null as was from version
    where at >= $1 order by key, version
)
select record.prefix, count(*) from record left join later using (key)
where coalesce(later.was, record.gone is null) group by record.prefix
"""
_NEW_IDENTIFIERS = """
select record.prefix, count(*) from version join record using (key)
where version.version = 1 and version.at >= $1 and version.at < $2 group by record.prefix
"""


@dataclass(frozen=True, slots=True)
class Registered:
    """What was registered in a day, and what there is in all.

    `prefixes` are those of enterprises, granted and not removed, as they are spelled, by their canonical names;
    identifiers are counted by the canonical name of their most specific prefix.
    """

    new_prefixes: int = 0
    prefixes: Mapping[str, str] = field(default_factory=dict)
    new_identifiers: Mapping[str, int] = field(default_factory=dict)
    identifiers: Mapping[str, int] = field(default_factory=dict)


async def untold_days(database: Database) -> list[date]:
    """Return closed days whose rows are still to be made.  Raises StoreUnavailable, StoreError."""
    async with database.connection() as connection:
        return [row[0] for row in await connection.fetch(_UNTOLD, MOST_DAYS)]


async def tell_day(connection: Connection, day: date) -> None:
    """Note that the rows of a day are made; in their transaction, before them."""
    await connection.execute(_TELL, day)


async def sources_of_day(connection: Connection, day: date) -> list[Source]:
    """Return all sources of a day."""
    return [Source(*row.values()) for row in await connection.fetch(_SOURCES, day)]


async def registered_on(connection: Connection, day: date) -> Registered:
    """Return what was registered on a day of Asia/Shanghai, and what there was in all at its end."""
    start = datetime.combine(day, time(), SHANGHAI).astimezone(UTC)
    end = start + timedelta(days=1)
    span = start, end
    return Registered(
        await connection.fetchval(_NEW_PREFIXES, *span),
        {row[0]: row[1] for row in await connection.fetch(_PREFIXES, end)},
        {row[0].decode(): row[1] for row in await connection.fetch(_NEW_IDENTIFIERS, *span)},
        {row[0].decode(): row[1] for row in await connection.fetch(_IDENTIFIERS, end)},
    )
