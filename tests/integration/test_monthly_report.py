"""The monthly report: what operators are told of a month, from what was measured."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest

from node.registry.operators import Operators
from node.registry.preparation import Policy
from node.registry.tokens import TokenOrder, Tokens
from node.store.database import Database
from node.store.monitoring import (
    DayRow,
    StateEvent,
    Stop,
    hold_day,
    put_day,
    put_event,
    put_minutes,
    put_stops,
)
from node.store.tokens import TokenTable
from node.upstream.figures import Extreme, Figures, Latencies
from node.upstream.report import Month, read_report
from node.web.asked import AdminDesk
from node.web.monthly import ReportsApi, reports_section
from node.web.operators import OperatorDesk
from node.web.routes import build_admin_app
from resolver.httplogin import HttpLogin
from resolver.schemes import parse_handle
from resolver.service import Resolver
from tests.support.identities import Gate
from tests.support.memory import MemoryStore
from tests.support.web import SITE

NOVEMBER = Month(2026, 11)
START, END = NOVEMBER.span
NOW = END + timedelta(days=3)
WHOLE = (1 << 60) - 1
_STEP = """
insert into object_version (kind, id, version, serial, at, action, state, caller, means, origin, reason)
values ('prefix', '88.118.9', $1, 0, $2, $3, 'active', '', '', '', '')
"""

pytestmark = pytest.mark.db


def test_a_month_is_one_of_shanghai() -> None:
    assert NOVEMBER.span == (
        datetime(2026, 10, 31, 16, tzinfo=UTC),
        datetime(2026, 11, 30, 16, tzinfo=UTC),
    )
    assert [str(Month(2026, 2).back(back)) for back in (-11, 0, 1, 2)] == [
        "2027-01",
        "2026-02",
        "2026-01",
        "2025-12",
    ]
    assert Month.of(datetime(2026, 10, 31, 16, tzinfo=UTC)) == NOVEMBER
    for text in ("2026-13", "2026-1", "2026-11-01", "٢٠٢٦-11", "x", ""):
        with pytest.raises(ValueError, match=r".+"):
            Month.parse(text)


async def minutes(database: Database, start: datetime, many: int, seconds: int = WHOLE) -> None:
    """Note this many minutes from a time on."""
    first = int(start.timestamp()) // 60
    async with database.connection() as connection:
        await connection.execute("truncate monitored_minute")
        await put_minutes(connection, dict.fromkeys(range(first, first + many), seconds))


async def report(database: Database, month: Month = NOVEMBER, now: datetime = NOW) -> Any:
    """The report as of then."""
    return await read_report(database, "88.118", month, now)


async def test_sla_is_good_seconds_by_all_seconds_that_were_measured(database: Database) -> None:
    assert (await report(database))["sla_mean"] is None

    half = START + timedelta(days=15)
    await minutes(database, half - timedelta(minutes=1), 1 + 10 * 1_440)  # and 5 days of nothing
    found = await report(database)
    assert found["sla"][-1] == {"month": "2026-11", "percent": 66.666}
    assert [each["percent"] for each in found["sla"][:-1]] == [None] * 5
    assert (found["uptime_hours"], found["complete"]) == (240.0, True)

    running = await report(database, now=half + timedelta(days=10, minutes=2))
    assert (running["sla"][-1]["percent"], running["complete"]) == (100.0, False)
    later = await report(database, NOVEMBER.back(-1), END + timedelta(days=2))
    assert [each["percent"] for each in later["sla"][-2:]] == [66.666, 0.0]
    assert later["sla_mean"] == 33.333


async def test_latencies_stops_and_emergencies_are_those_of_the_month(database: Database) -> None:
    at = int((START + timedelta(days=2)).timestamp())
    slow = Latencies(2, 6_000_000, Extreme(1_000_000, at), Extreme(5_000_000, at))
    events = [
        StateEvent("old", "", at - 90 * 86_400, "long ago", 2),
        StateEvent("old-end", "old", at - 89 * 86_400, "well", 2),
        StateEvent("down", "", at, "postgres: not reached", 2),
        StateEvent("down-end", "down", at + 60, "postgres: connected", 2),
        StateEvent("still", "", at + 600, "ledger: stopped", 2),
    ]
    async with database.transaction() as connection:
        for day, figures in (
            (date(2026, 11, 1), Figures(slow)),
            (date(2026, 11, 30), Figures(Latencies(2, 2_000_000, *[Extreme(1_000_000, at)] * 2))),
            (date(2026, 12, 1), Figures(slow, slow)),
        ):
            await hold_day(connection, day)
            await put_day(connection, DayRow(day, figures.encode()))
        for event in events:
            assert await put_event(connection, event)
        await put_stops(connection, [Stop(at, at + 1_800), Stop(at - 10**7, at - 9_999_000)])
    found = await report(database)
    assert found["resolution_rtt_ms"] == {"mean": 2.0, "max": 5.0, "min": 1.0, "count": 4}
    assert found["registration_rtt_ms"] is None
    assert [(each["event"], each["cure"]) for each in found["emergencies"]] == [
        ("down", "postgres: connected"),
        ("still", ""),
    ]
    assert found["emergencies"][0]["to"] == "2026-11-02T16:01:00Z"
    assert found["emergencies"][1]["to"] is None
    assert [each["hours"] for each in found["maintenance"]] == [0.5]


async def test_registration_takes_effect_from_the_grant_to_the_first_activation(
    database: Database,
) -> None:
    granted = START + timedelta(days=1)
    steps = [("grant", 0), ("configure", 1), ("activate", 3), ("stop", 5), ("activate", 9)]
    async with database.connection() as connection:
        for version, (action, hours) in enumerate(steps, 1):
            await connection.execute(_STEP, version, granted + timedelta(hours=hours), action)
    found = await report(database)
    assert found["registration_effective_hours"] == {"mean": 3.0, "max": 3.0, "count": 1}


@pytest.fixture
async def asked(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    """A stranger at the admin listener."""
    gate, store = Gate(), MemoryStore()
    gate.identities.find_token = TokenTable(database).find_token  # type: ignore[method-assign]
    desk = AdminDesk(
        HttpLogin(gate.authenticator, gate.sessions), Resolver(store, store, store, SITE)
    )
    operators = Operators(Policy((), lambda handle: parse_handle(handle).key), gate.identities)
    api = ReportsApi(database, "88.118", OperatorDesk(desk, operators), lambda: NOW)
    app = build_admin_app(bytes, list, sections=[reports_section(api)])
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 40_000))
    async with httpx.AsyncClient(transport=transport, base_url="http://idnode") as client:
        yield client


async def test_operators_alone_are_told_and_a_month_that_is_none_is_refused(
    asked: httpx.AsyncClient, database: Database
) -> None:
    assert (await asked.get("/v1/sync/reports/2026-11")).status_code == 401
    made = await Tokens(database).make(TokenOrder(name="me", is_operator=True))
    asked.headers["Authorization"] = f"Bearer {made.text}"
    found = await asked.get("/v1/sync/reports/2026-11")
    assert (found.status_code, found.json()["node_prefix"]) == (200, "88.118")
    for month in ("2026-13", "november", "2027-01", "%00"):
        refused = await asked.get(f"/v1/sync/reports/{month}")
        assert refused.status_code == 400, month
