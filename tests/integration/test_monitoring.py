"""The monitoring over a real Postgres: a day is told once, an event is told once, whatever is away meanwhile."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from node.counters import Counters, slot_path
from node.store.database import Database, StoreError, StoreUnavailable
from node.store.outbox import PostgresOutbox
from node.store.synced import SyncedRows
from node.upstream.monitoring import KILLED, Monitor
from node.upstream.notebook import NOTEBOOK_FILE, Notebook
from node.upstream.sampling import Sampler
from node.upstream.troubles import Sign
from resolver.answer import Status, Tier
from resolver.identifier import Scheme
from resolver.observe import Protocol, Tally, cell
from sync.change import START
from sync.channels.tables import TABLES
from tests.support.registry import SEAL

UDP = cell(Protocol.UDP, Scheme.HANDLE, Status.FOUND, Tier.MEMORY)
NOON = 1_795_406_400.0  # 2026-11-23 12:00:00 in Shanghai
MIDNIGHT = NOON + 12 * 3_600

pytestmark = pytest.mark.db


class Stage:
    """A node's counters, its signs and a clock, and one monitor after the other on them."""

    def __init__(self, directory: Path, database: Database) -> None:
        self.directory, self.database = directory, database
        self.counters = Counters.open(slot_path(directory, 0))
        self.tally = Tally(self.counters.cells)
        self.now = NOON
        self.since = 0.0  # when the oldest worker began
        self.signs = [Sign("workers", True, "1 workers answer", is_vital=True)]

    def monitor(self, database: Database | None = None) -> Monitor:
        """Return a monitor as a new keeper has it."""
        return Monitor(
            database or self.database,
            SyncedRows(SEAL),
            "88.118",
            Sampler([self.counters]),
            self.read,
            Notebook(self.directory / NOTEBOOK_FILE),
            running_since=lambda: self.since,
            clock=lambda: self.now,
        )

    async def read(self) -> list[Sign]:
        """The signs as they stand."""
        return self.signs

    async def live(self, monitor: Monitor, seconds: int) -> None:
        """Look at every second."""
        for _ in range(seconds):
            self.now += 1
            await monitor.look()

    async def sent(self, table: str) -> list[dict[str, Any]]:
        """What the top-level node is shown of a table."""
        page = await PostgresOutbox(self.database, SEAL).page(START)
        return [dict(TABLES[table].decode(row.body)) for row in page.rows if row.table == table]

    async def one(self, statement: str) -> Any:
        """Return a single value."""
        async with self.database.connection() as connection:
            return await connection.fetchval(statement)

    def trouble(self, *, ok: bool) -> None:
        """Postgres goes away, or is back."""
        self.signs = [*self.signs[:1], Sign("postgres", ok, "back" if ok else "not reached")]


@pytest.fixture
def stage(tmp_path: Path, database: Database) -> Iterator[Stage]:
    made = Stage(tmp_path, database)
    yield made
    made.counters.close()


async def test_a_day_outlives_its_keepers_and_is_told_once_after_midnight(stage: Stage) -> None:
    for latency in (200_000, 400_000):
        monitor = stage.monitor()
        await monitor.begin()
        stage.tally.answered(UDP, latency)
        stage.tally.registered(8_000_000)
        await stage.live(monitor, 2)
        stage.since = stage.now - 1  # the workers live on
        await monitor.save()
    assert await stage.sent("M1") == []

    stage.now = MIDNIGHT + 100
    await monitor.look()
    await monitor.save()
    assert await stage.sent("M1") == []
    stage.now = MIDNIGHT + 121
    stage.tally.answered(UDP, 999_999)  # of the next day
    await monitor.look()
    await stage.monitor().save()
    [row] = await stage.sent("M1")
    assert (row["prefix"], row["day"]) == ("88.118", "2026-11-23")
    assert (row["resolution_mean"], row["resolution_max"], row["resolution_min"]) == (
        "0.3",
        "0.4",
        "0.2",
    )
    assert (row["registration_mean"], row["resolution_peak"]) == ("8", 1)
    serial = await stage.one("select serial from change_counter")
    stage.now += 61
    await monitor.save()
    assert await stage.one("select serial from change_counter") == serial


async def test_events_wait_while_postgres_is_away_and_are_told_once(stage: Stage) -> None:
    away = Database("postgresql://nobody@127.0.0.1:1/none")
    monitor = stage.monitor(away)
    await monitor.begin()
    await stage.live(monitor, 2)
    stage.trouble(ok=False)
    await stage.live(monitor, 7)
    with pytest.raises(StoreUnavailable):
        await monitor.save()

    stage.since = NOON - 1  # the keeper alone is killed
    monitor = stage.monitor()
    await monitor.begin()
    await stage.live(monitor, 7)  # the same trouble still
    stage.trouble(ok=True)
    await stage.live(monitor, 7)
    noted = (stage.directory / NOTEBOOK_FILE).read_bytes()
    await monitor.save()
    told = await stage.sent("E")
    (stage.directory / NOTEBOOK_FILE).write_bytes(noted)  # killed before it noted that it was told
    again = stage.monitor()
    await again.begin()
    await again.save()
    assert await stage.sent("E") == told
    abnormal, recovered = sorted(told, key=lambda row: str(row["at"]))
    assert (abnormal["type"], abnormal["cause"], abnormal["cause_class"]) == (
        "abnormal",
        "not reached",
        2,
    )
    assert (recovered["answers"], recovered["cause"]) == (abnormal["event"], "back")
    assert await stage.one("select serial from change_counter") == 2


async def test_a_killed_node_is_an_event_and_a_stopped_one_is_maintenance(stage: Stage) -> None:
    monitor = stage.monitor()
    await monitor.begin()
    await stage.live(monitor, 2)
    stage.now += 3_600
    monitor = stage.monitor()  # the workers are new, too: the machine went down
    await monitor.begin()
    await stage.live(monitor, 7)
    await monitor.end()
    abnormal, recovered = sorted(await stage.sent("E"), key=lambda row: str(row["at"]))
    assert (abnormal["cause"], abnormal["cause_class"]) == (KILLED, 4)
    assert recovered["answers"] == abnormal["event"]

    stage.now += 600
    monitor = stage.monitor()
    await monitor.begin()
    await stage.live(monitor, 7)
    await monitor.save()
    assert len(await stage.sent("E")) == 2
    assert await stage.one("select count(*) from maintenance_stop") == 1


async def test_a_second_counts_once_and_bad_ones_do_not(stage: Stage) -> None:
    monitor = stage.monitor()
    await monitor.begin()
    await stage.live(monitor, 30)
    stage.signs = [Sign("workers", False, "no worker answers", is_vital=True)]
    await stage.live(monitor, 10)
    stage.signs = [Sign("workers", True, "1 workers answer", is_vital=True)]
    await stage.live(monitor, 10)
    stage.now += 3  # a look that came late
    await monitor.look()
    await monitor.end()
    await stage.monitor().end()
    count = "select sum(length(replace(seconds::bit(64)::text, '0', ''))) from monitored_minute"
    assert await stage.one(count) == 43


async def test_figures_that_cannot_be_saved_are_saved_later(stage: Stage) -> None:
    monitor = stage.monitor()
    await monitor.begin()
    stage.tally.answered(UDP, 200_000)
    await stage.live(monitor, 1)
    await stage.one("alter table monitored_day rename to elsewhere")
    with pytest.raises(StoreError):
        await monitor.save()
    await stage.one("alter table elsewhere rename to monitored_day")
    stage.now += 61
    await monitor.save()
    assert await stage.one("select figures -> 0 -> 0 from monitored_day") == "1"
