"""表3 and 表8 of a closed day: made once, from the ledger's own figures and from what was registered."""

from datetime import date
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import orjson
import pytest

from node.daily import Daily
from node.ledger.count import Cell, DayCount, Tally
from node.ledger.day import DayDetail
from node.ledger.logfiles import LogFiles
from node.ledger.record import Class
from node.ledger.report.figures import LedgerMonth
from node.ledger.sample import Sample
from node.store.database import Database
from node.store.daycounts import Registered, registered_on, untold_days
from node.store.outbox import PostgresOutbox
from node.store.sources import Source
from node.store.synced import SyncedRows
from node.upstream.counting import DayCounts
from node.upstream.daycounts import Owners, rows_of_day
from resolver.registrar import Operation
from sync.change import START
from sync.channels.tables import MAX_SOURCES, TABLES
from tests.support.objects import admit, grant, objects_on
from tests.support.registry import ADMIN, SEAL, admin, do, home, registrar_on
from tests.support.writer import keeper

DAY, NEXT = date(2026, 10, 31), 1_793_462_400_000_000  # and when it is over, µs
ONE, OTHER = map(ip_address, ("203.0.113.7", "198.51.100.1"))


@pytest.mark.db
async def test_a_closed_day_is_told_once_with_the_ledgers_figures(
    tmp_path: Path, database: Database
) -> None:
    sample = Sample(tmp_path / "ledger", DAY, days=1, resolutions=300)
    sample.live_without_closing()
    directory = sample.files.directory
    counts = DayCounts(database, SyncedRows(SEAL), directory, "88.118")
    await counts.round()
    assert await node_counts(database) == []
    with keeper(directory, sample):
        await Daily(database, directory).round(NEXT + 10**9)
    assert await untold_days(database) == [DAY]
    await counts.round()
    assert await untold_days(database) == []

    [leaf] = [leaf for _, leaf in LedgerMonth(LogFiles(directory), "2026-10").days]
    [row] = await node_counts(database)
    assert row["successes"] == leaf.raw
    assert row["requests"] == sum(source["resolutions"] for source in row["sources"])
    assert row["requests"] > row["successes"] > 0


@pytest.mark.db
async def test_what_was_registered_on_the_day_is_counted(database: Database) -> None:
    await home(database, "88.118.9")
    async with registrar_on(database) as registrar:
        for name in ("a", "b"):
            await do(registrar, Operation.CREATE, f"88.118.9/{name}", admin(ADMIN))
        await do(registrar, Operation.DELETE, "88.118.9/b")
    today = await _today(database)
    async with database.connection() as connection:
        found = await registered_on(connection, today)
        before = await registered_on(connection, date.fromordinal(today.toordinal() - 1))
    assert (found.new_identifiers, found.identifiers) == ({"88.118.9": 2}, {"88.118.9": 1})
    assert before.new_identifiers == {}


@pytest.mark.db
async def test_a_day_that_is_caught_up_late_has_the_totals_of_its_end(database: Database) -> None:
    await home(database, "88.118.9")
    async with registrar_on(database) as registrar:
        for name in ("a", "b"):
            await do(registrar, Operation.CREATE, f"88.118.9/{name}", admin(ADMIN))
        await _move_back(database)
        await do(registrar, Operation.DELETE, "88.118.9/b")
        for name in ("b", "c", "d"):
            await do(registrar, Operation.CREATE, f"88.118.9/{name}", admin(ADMIN))
        await do(registrar, Operation.DELETE, "88.118.9/d")
    today = await _today(database)
    async with database.connection() as connection:
        late = await registered_on(connection, date.fromordinal(today.toordinal() - 2))
        found = await registered_on(connection, today)
        earlier = await registered_on(connection, date.fromordinal(today.toordinal() - 3))
    assert (late.new_identifiers, late.identifiers) == ({"88.118.9": 2}, {"88.118.9": 2})
    assert found.identifiers == {"88.118.9": 3}
    assert earlier.identifiers == {}


async def _move_back(database: Database) -> None:
    """Have everything that was done until now be done two days ago."""
    async with database.connection() as connection:
        await connection.execute("alter table version disable trigger version_is_append_only")
        await connection.execute("update version set at = at - interval '2 days'")
        await connection.execute("alter table version enable trigger version_is_append_only")


@pytest.mark.db
async def test_prefixes_that_were_granted_on_the_day_are_counted(database: Database) -> None:
    objects = objects_on(database)
    await admit(objects)
    await grant(objects, "88.118.9")
    day = date(2027, 1, 15)  # of their clock
    async with database.connection() as connection:
        found = await registered_on(connection, day)
        before = await registered_on(connection, date.fromordinal(day.toordinal() - 1))
    assert (found.new_prefixes, found.prefixes) == (1, {"88.118.9": "88.118.9"})
    assert (before.new_prefixes, before.prefixes) == (0, {})


async def node_counts(database: Database) -> list[dict[str, Any]]:
    """Return what the top-level node is shown of 表3."""
    page = await PostgresOutbox(database, SEAL).page(START)
    return [dict(TABLES["3"].decode(row.body)) for row in page.rows if row.table == "3"]


async def _today(database: Database) -> date:
    async with database.connection() as connection:
        found: date = await connection.fetchval("select (now() at time zone 'Asia/Shanghai')::date")
    return found


def detail(cells: dict[tuple[int, Class, int], Tally]) -> DayDetail:
    """A day's file: figures by (number of the prefix, class, kind)."""
    counted = {
        Cell(no, 1, 1, class_, kind, 0): tally for (no, class_, kind), tally in cells.items()
    }
    prefixes = {1: ("handle", "88.118.8"), 2: ("handle", "88.118.8.2"), 3: ("handle", "88.118.9")}
    return DayDetail(DAY.isoformat(), DayCount(counted), prefixes, 1, 1)


def test_an_enterprise_has_what_lies_below_its_prefix_and_the_node_has_all() -> None:
    lived = detail(
        {
            (1, Class.PRODUCTION, 1): Tally(10, 9, 5),
            (2, Class.PRODUCTION, 1): Tally(4, 4, 4),
            (2, Class.PRODUCTION, 0): Tally(3, 3, 3),
            (3, Class.PRODUCTION, 1): Tally(7, 7, 7),
            (1, Class.PRODUCTION, 3): Tally(2, 2, 2),
            (1, Class.ROBOT, 1): Tally(100, 100, 100),
        }
    )
    sources = [
        Source("88.118.8", ONE, 12, 11),
        Source("88.118.8.2", ONE, 7, 4),
        Source("88.118.9", OTHER, 7, 7),
    ]
    registered = Registered(
        1, {"88.118.8": "88.118.8"}, {"88.118.8": 5, "88.118.8.2": 1}, {"88.118.9": 9}
    )
    node, enterprise = (
        orjson.loads(row.body or b"")
        for row in rows_of_day("88.118", DAY, lived, sources, registered)
    )
    assert (node["requests"], node["successes"]) == (26, 20)
    assert node["sources"] == [
        {"ip": "203.0.113.7", "resolutions": 19},
        {"ip": "198.51.100.1", "resolutions": 7},
    ]
    assert (node["new_prefixes"], node["prefixes"]) == (1, 1)
    assert (enterprise["requests"], enterprise["successes"]) == (19, 13)
    assert (enterprise["new_identifiers"], enterprise["identifiers"]) == (6, 0)
    assert enterprise["sources"] == [{"ip": "203.0.113.7", "resolutions": 19}]


def test_a_long_list_of_sources_is_cut_into_parts_with_the_same_totals() -> None:
    lived = detail({(9, Class.PRODUCTION, 1): Tally(MAX_SOURCES + 1, 1, 1)})
    sources = [Source("", ip_address(10**9 + number), 1, 1) for number in range(MAX_SOURCES + 1)]
    rows = rows_of_day("88.118", DAY, lived, sources, Registered())
    assert [row.key.rpartition("|")[2] for row in rows] == ["1", "2"]
    said = [TABLES["3"].decode(row.body or b"") for row in rows]
    assert {each["requests"] for each in said} == {MAX_SOURCES + 1}
    assert sum(len(each["sources"]) for each in said) == MAX_SOURCES + 1  # type: ignore[arg-type, misc]


def test_nobody_owns_what_lies_beside() -> None:
    owners = Owners(["88.118.8"])
    assert [owners.of(name) for name in ("88.118.8", "88.118.8.1", "88.118.80", "")] == [
        "88.118.8",
        "88.118.8",
        "",
        "",
    ]
