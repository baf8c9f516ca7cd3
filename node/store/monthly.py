"""What a monthly report (annex 3) is made of, as it is stored."""

from datetime import date, datetime
from typing import NamedTuple

from node.store.database import Connection

_FIRST_MINUTE = "select min(minute) + interval '1 minute' from monitored_minute"
_SECONDS = """
select coalesce(sum(length(replace(seconds::bit(64)::text, '0', ''))), 0)::bigint
from monitored_minute where minute >= $1 and minute < $2
"""
_FIGURES = "select figures::text from monitored_day where day >= $1 and day < $2"
_EMERGENCIES = """
select abnormal.event, abnormal.at, abnormal.cause, abnormal.cause_class,
    recovered.at, coalesce(recovered.cause, '')
from state_event abnormal left join state_event recovered on recovered.answers = abnormal.event
where abnormal.answers = '' and abnormal.at < $2 and (recovered.at is null or recovered.at >= $1)
order by abnormal.at, abnormal.event limit $3
"""
_STOPS = """
select began_at, ended_at from maintenance_stop where began_at < $2 and ended_at >= $1
order by began_at limit $3
"""
_EFFECTIVE = """
select extract(epoch from active.at - granted.at)::float8
from object_version granted cross join lateral (
    select at from object_version
    where kind = 'prefix' and id = granted.id and action = 'activate' and version > granted.version
    order by version limit 1
) active
where granted.kind = 'prefix' and granted.action = 'grant' and active.at >= $1 and active.at < $2
"""

MAX_LISTED = 1_000  # emergencies of a month, and stops


class Span(NamedTuple):
    """From a time up to another."""

    start: datetime
    end: datetime


class Emergency(NamedTuple):
    """An abnormal event, and what answered it: None and no cure while it lasts."""

    event: str
    began_at: datetime
    cause: str
    cause_class: int
    ended_at: datetime | None
    cure: str


async def first_minute(connection: Connection) -> datetime | None:
    """Return the first whole minute in which the node is measured."""
    found: datetime | None = await connection.fetchval(_FIRST_MINUTE)
    return found


async def good_seconds(connection: Connection, span: Span) -> int:
    """Return in how many seconds an instance could resolve and register."""
    found: int = await connection.fetchval(_SECONDS, *span)
    return found


async def figures_between(connection: Connection, start: date, end: date) -> list[str]:
    """Return the figures of the days before `end`, encoded."""
    return [row[0] for row in await connection.fetch(_FIGURES, start, end)]


async def emergencies(connection: Connection, span: Span) -> list[Emergency]:
    """Return abnormal events that lasted at some time in the span."""
    return [Emergency(*row) for row in await connection.fetch(_EMERGENCIES, *span, MAX_LISTED)]


async def stops(connection: Connection, span: Span) -> list[Span]:
    """Return times in which an instance was stopped in order."""
    return [Span(*row) for row in await connection.fetch(_STOPS, *span, MAX_LISTED)]


async def seconds_to_effect(connection: Connection, span: Span) -> list[float]:
    """Return, for each prefix that became active after its grant in the span, how long that took, in seconds."""
    return [row[0] for row in await connection.fetch(_EFFECTIVE, *span)]
