"""What the node has measured of itself: seconds, days, state events and stops.

Laws: a second, an event and a stop count once, however often they are written; figures of a day are added to those that
are stored, by every instance, in a transaction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import NamedTuple

from node.store.database import Connection

KEPT_DAYS = 400  # of minutes: a report looks back six months

_PUT_MINUTES = """
insert into monitored_minute as stored (minute, seconds)
select to_timestamp(minute * 60.0), seconds from unnest($1::bigint[], $2::bigint[])
    as given (minute, seconds)
order by minute
on conflict (minute) do update set seconds = stored.seconds | excluded.seconds
"""
_FORGET_MINUTES = "delete from monitored_minute where minute < now() - make_interval(days => $1)"
_BEGIN_DAY = """
insert into monitored_day (day, figures, told) values ($1, 'null', false) on conflict do nothing
"""
_HOLD_DAY = "select figures::text from monitored_day where day = $1 for update"
_PUT_DAY = "update monitored_day set figures = $2::text::jsonb, told = false where day = $1"
_TELL_DAY = """
update monitored_day set told = true where day = (
    select day from monitored_day where not told and day < $1 order by day limit 1
    for update skip locked
) returning day, figures::text
"""
_PUT_EVENT = """
insert into state_event (event, answers, at, cause, cause_class) values ($1, $2, $3, $4, $5)
on conflict do nothing returning event
"""
_PUT_STOP = """
insert into maintenance_stop (began_at, ended_at) values ($1, $2) on conflict do nothing
"""


@dataclass(frozen=True, slots=True)
class StateEvent:
    """A state event; `answers` is the number of the abnormal event that is over, empty for an abnormal one.

    `at` is a POSIX second, `cause` a sentence, `cause_class` 1 network, 2 system, 3 attack, 4 other.
    """

    event: str
    answers: str
    at: int
    cause: str
    cause_class: int


class Stop(NamedTuple):
    """A time in which an instance was stopped in order, in POSIX seconds."""

    began_at: int
    ended_at: int


class DayRow(NamedTuple):
    """A day of Asia/Shanghai and its figures, encoded."""

    day: date
    figures: str


async def put_minutes(connection: Connection, minutes: Mapping[int, int]) -> None:
    """Add seconds, as bits, to minutes, which are numbered from 1970 on; forget those that are too old."""
    await connection.execute(_PUT_MINUTES, list(minutes), list(minutes.values()))
    await connection.execute(_FORGET_MINUTES, KEPT_DAYS)


async def hold_day(connection: Connection, day: date) -> str:
    """Return the figures of a day, which nobody else changes before the end of the transaction."""
    await connection.execute(_BEGIN_DAY, day)
    figures: str = await connection.fetchval(_HOLD_DAY, day)
    return figures


async def put_day(connection: Connection, row: DayRow) -> None:
    """Replace the figures of a day that is held; it is told once more."""
    await connection.execute(_PUT_DAY, row.day, row.figures)


async def tell_next_day(connection: Connection, before: date) -> DayRow | None:
    """Note that the oldest day before this one is told, and return it; in the transaction of its row, before it."""
    found = await connection.fetchrow(_TELL_DAY, before)
    return None if found is None else DayRow(*found.values())


async def put_event(connection: Connection, event: StateEvent) -> bool:
    """Store an event, and return whether it is new."""
    at = datetime.fromtimestamp(event.at, UTC)
    given = (event.event, event.answers, at, event.cause, event.cause_class)
    return await connection.fetchval(_PUT_EVENT, *given) is not None


async def put_stops(connection: Connection, stops: Sequence[Stop]) -> None:
    """Store stops."""
    times = [tuple(datetime.fromtimestamp(at, UTC) for at in stop) for stop in stops]
    await connection.executemany(_PUT_STOP, times)
