"""Report: the figures of a month (annex 3), due within ten working days of the next one.

SLA is the share of a month's seconds in which an instance could resolve and register (`monitored_minute`), maintenance
not taken off.  The first month counts from the first minute that was measured, the running one up to now.  Months are
those of Asia/Shanghai.  Which figures the annex means is public, how each is computed is our reading.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import reduce

from node.store.database import Connection, Database
from node.store.daycounts import SHANGHAI
from node.store.monthly import (
    Emergency,
    Span,
    emergencies,
    figures_between,
    first_minute,
    good_seconds,
    seconds_to_effect,
    stops,
)
from node.upstream.figures import Figures, Latencies

SLA_MONTHS = 6
SAVED = timedelta(minutes=2)  # after which a second has been saved
_HOUR = 3_600.0
_MILLISECOND = 1e6  # ns

Json = dict[str, object]


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """A month of Asia/Shanghai.  Raises ValueError for one that is none."""

    year: int
    month: int

    def __post_init__(self) -> None:
        date(self.year, self.month, 1)

    @classmethod
    def parse(cls, text: str) -> "Month":
        """Read `2026-11`.  Raises ValueError."""
        found = date.fromisoformat(f"{text}-01")
        if str(cls(found.year, found.month)) != text:
            raise ValueError(f"{text!r} is no month")
        return cls(found.year, found.month)

    @classmethod
    def of(cls, now: datetime) -> "Month":
        """Return the month in which a time lies."""
        there = now.astimezone(SHANGHAI)
        return cls(there.year, there.month)

    def back(self, months: int) -> "Month":
        """Return the month that was so many ago; before it with a negative number."""
        years, month = divmod(self.year * 12 + self.month - 1 - months, 12)
        return Month(years, month + 1)

    @property
    def first(self) -> date:
        """Its first day."""
        return date(self.year, self.month, 1)

    @property
    def span(self) -> Span:
        """From its start to the next one's, in UTC."""
        return Span(_start(self.first), _start(self.back(-1).first))

    def __str__(self) -> str:
        return f"{self.year:04}-{self.month:02}"


def _start(day: date) -> datetime:
    return datetime.combine(day, time(), SHANGHAI).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Availability:
    """A month as far as it was measured; `seconds` is 0 for one that was not."""

    month: Month
    seconds: float = 0.0
    good: int = 0

    @property
    def percent(self) -> float | None:
        """SLA, to three decimals; rounded down, so that 100 is 100."""
        if self.seconds <= 0:
            return None
        return int(min(1.0, self.good / self.seconds) * 100_000) / 1_000


async def read_report(database: Database, node_prefix: str, month: Month, now: datetime) -> Json:
    """Return the report of a month.  Raises StoreUnavailable, StoreError."""
    async with database.transaction() as connection:
        months = [month.back(back) for back in reversed(range(SLA_MONTHS))]
        since = await first_minute(connection)
        measured = [await _availability(connection, each, since, now) for each in months]
        days = await figures_between(connection, month.first, month.back(-1).first)
        effects = await seconds_to_effect(connection, month.span)
        maintenance = await stops(connection, month.span)
        troubles = await emergencies(connection, month.span)
    figures = reduce(Figures.merge, map(Figures.decode, days), Figures())
    return {
        "month": str(month),
        "node_prefix": node_prefix,
        "complete": now >= month.span.end,
        **_sla(measured),
        "registration_rtt_ms": _rtt(figures.registration),
        "resolution_rtt_ms": _rtt(figures.resolution),
        "registration_effective_hours": _effect(effects),
        "uptime_hours": round(measured[-1].good / _HOUR, 3),
        "maintenance": [_stop(each) for each in maintenance],
        "emergencies": [_emergency(each) for each in troubles],
    }


async def _availability(
    connection: Connection, month: Month, since: datetime | None, now: datetime
) -> Availability:
    start, end = month.span
    if since is None:
        return Availability(month)
    measured = Span(max(start, since), min(end, now - SAVED))
    if measured.start >= measured.end:
        return Availability(month)
    good = await good_seconds(connection, measured)
    return Availability(month, (measured.end - measured.start).total_seconds(), good)


def _sla(measured: Sequence[Availability]) -> Json:
    there = [each.percent for each in measured if each.percent is not None]
    mean = int(sum(there) / len(there) * 1_000) / 1_000 if there else None
    months = [{"month": str(each.month), "percent": each.percent} for each in measured]
    return {"sla": months, "sla_mean": mean}


def _rtt(found: Latencies) -> Json | None:
    if found.least is None or found.most is None:
        return None
    return {
        "mean": round(found.mean / _MILLISECOND, 3),
        "max": round(found.most.value / _MILLISECOND, 3),
        "min": round(found.least.value / _MILLISECOND, 3),
        "count": found.count,
    }


def _effect(seconds: Sequence[float]) -> Json | None:
    if not seconds:
        return None
    mean = sum(seconds) / len(seconds)
    return {
        "mean": round(mean / _HOUR, 4),
        "max": round(max(seconds) / _HOUR, 4),
        "count": len(seconds),
    }


def _stop(span: Span) -> Json:
    hours = (span.end - span.start).total_seconds() / _HOUR
    return {"from": _said(span.start), "to": _said(span.end), "hours": round(hours, 4)}


def _emergency(found: Emergency) -> Json:
    return {
        "event": found.event,
        "from": _said(found.began_at),
        "to": _said(found.ended_at) if found.ended_at else None,
        "cause_class": found.cause_class,
        "cause": found.cause,
        "cure": found.cure,
    }


def _said(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
