"""Reading from a real streaming replica: never anything older than what is known, whatever the replica does."""

import asyncio
import os
import signal
import uuid
from argparse import Namespace
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from loadtest import cpu
from node.cli import check
from node.readpath import ReadPath
from node.store.database import Connection, Database, migrate
from node.store.replica import ReadDatabase, Replica, ReplicaState, Standing, read_standing
from resolver.observe import CELL_COUNT, Event, Gauge, Tally, event_cell, gauge_cell
from resolver.source import NEWEST
from resolver.wire import HandleValue, encode_values
from tests.support.clusters import ValkeyCluster
from tests.support.nodes import ANY_PORTS, eventually
from tests.support.replicas import replica_of, run_on
from tests.support.rows import put_changes, put_record
from tests.support.servers import PostgresServer
from tests.support.tasks import spawning
from tests.support.waiting import until

pytestmark = pytest.mark.db

KEY, OTHER = b"88.1/X", b"88.1/Y"
PAUSE, RESUME = "select pg_wal_replay_pause()", "select pg_wal_replay_resume()"
NOWHERE = "postgresql://nobody@127.0.0.1:1/none"
NEW_EPOCH = "update change_counter set epoch = gen_random_uuid()"


@pytest.fixture(scope="module")
def standby(own_postgres: PostgresServer, server_directory: Path) -> Iterator[PostgresServer]:
    """A replica that tests may pause, and kill if they start it again."""
    with replica_of(own_postgres, server_directory / "replica") as server:
        yield server


@dataclass
class Pair:
    """A database on the primary, and the same on the replica."""

    primary: PostgresServer
    standby: PostgresServer
    name: str
    database: Database  # of the primary

    async def on_standby(self, statement: str) -> None:
        """Run a statement there."""
        await run_on(self.standby.url("postgres"), statement)

    async def write(self, *keys: bytes, text: bytes = b"new") -> int:
        """Write records; return the serial of the last."""
        values = encode_values([HandleValue(1, b"URL", text)])
        return [await put_record(self.database, key, wire=values) for key in keys][-1]


@contextmanager
def made_on(primary: PostgresServer) -> Iterator[str]:
    """Make a database, and return its name."""
    name = f"idnode_{uuid.uuid4().hex[:12]}"
    asyncio.run(run_on(primary.url("postgres"), f"create database {name}"))
    asyncio.run(_migrate(primary.url(name)))
    yield name
    asyncio.run(run_on(primary.url("postgres"), f"drop database {name} with (force)"))


async def _migrate(url: str) -> None:
    await migrate(url)


@pytest.fixture(scope="module")
def name(own_postgres: PostgresServer) -> Iterator[str]:
    """A database that the tests of this module share: what they find in it is written anew for each."""
    with made_on(own_postgres) as name:
        yield name


@pytest.fixture
async def pair(
    own_postgres: PostgresServer, standby: PostgresServer, name: str
) -> AsyncIterator[Pair]:
    async with Database(own_postgres.url(name)) as database:
        pair = Pair(own_postgres, standby, name, database)
        try:
            await pair.write(KEY, OTHER, text=b"old")
            yield pair
        finally:
            await pair.on_standby(RESUME)


@dataclass
class Worker:
    """A worker's read path, which keeps nothing in memory, and what it has counted."""

    path: ReadPath
    replica: Replica
    tally: Tally

    def happened(self, event: Event) -> int:
        return self.tally.cells[event_cell(event)]

    async def text(self, key: bytes) -> bytes:
        """Return what it says of a record: its wire form."""
        return (await self.path.memory.lookup(key)).wire

    async def is_new(self, key: bytes) -> bool:
        return b"new" in await self.text(key)

    async def asks_replica(self, key: bytes = OTHER) -> bool:
        """True when the answer to a question comes from there: the primary's lanes are not asked."""
        asked: list[bytes] = []
        ask = self.replica.records.lookup

        async def noted(key: bytes, *, at_least: int = 0) -> object:
            asked.append(key)
            return await ask(key, at_least=at_least)

        self.replica.records.lookup = noted  # type: ignore[method-assign,assignment]  # to see it pass
        too_old = self.happened(Event.REPLICA_TOO_OLD)
        try:
            await self.text(key)
        finally:
            self.replica.records.lookup = ask  # type: ignore[method-assign]
        return bool(asked) and self.happened(Event.REPLICA_TOO_OLD) == too_old

    async def uses_replica(self) -> None:
        """Wait until it does, and the replica has come as far as the feed."""
        await self.becomes(ReplicaState.USED)
        await until(lambda: self.replica.records.connected > 0)
        await until(lambda: self.replica.serial >= self.path.feed.serial)

    async def becomes(self, state: ReplicaState) -> None:
        await until(lambda: self.replica.state is state)


@asynccontextmanager
async def worker(pair: Pair, *, read_url: str = "") -> AsyncIterator[Worker]:
    tally = Tally([0] * CELL_COUNT)
    url = read_url or pair.standby.url(pair.name)
    async with spawning() as spawn:
        path = ReadPath(
            pair.primary.url(pair.name), None, tally, spawn,
            hot_entries=0, memory_entries=0, replica_dsn=url,
        )  # fmt: skip
        assert path.replica is not None
        try:
            spawn(path.records.run())
            spawn(path.feed.run())
            await until(lambda: path.is_ready)
            yield Worker(path, path.replica, tally)
        finally:
            await path.close()


async def standing_of(pair: Pair) -> Standing:
    """Return how the primary stands, which is how a replica does that lacks nothing."""
    async with pair.database.connection() as connection:
        return await read_standing(connection)


async def test_cold_lookups_are_read_from_the_replica(pair: Pair) -> None:
    async with worker(pair) as one:
        await one.uses_replica()

        assert await one.asks_replica(KEY)
        assert b"old" in await one.text(KEY)
        assert (await one.path.memory.lookup(b"88.1/NONE")).handle is None
        assert one.tally.cells[gauge_cell(Gauge.REPLICA_STATE)] == ReplicaState.USED


async def test_authoritative_questions_go_to_the_primary(pair: Pair) -> None:
    async with worker(pair) as one:
        await one.uses_replica()
        await pair.on_standby(PAUSE)
        serial = await pair.write(KEY)

        found = await one.path.memory.lookup(KEY, at_least=NEWEST)

        assert (found.serial, b"new" in found.wire) == (serial, True)


async def test_what_is_written_while_the_replica_stands_still_is_read_from_the_primary(
    pair: Pair,
) -> None:
    async with worker(pair) as one, worker(pair) as other:
        await one.uses_replica()
        await other.uses_replica()
        await pair.on_standby(PAUSE)

        serial = await pair.write(KEY)
        one.path.written([(KEY, serial)])  # this worker wrote it: the feed need not tell

        assert await one.is_new(KEY)
        await until(lambda: other.path.feed.serial >= serial)
        assert await other.is_new(KEY)
        assert one.happened(Event.REPLICA_TOO_OLD) + other.happened(Event.REPLICA_TOO_OLD)


async def test_an_answer_that_is_on_its_way_when_the_change_is_heard_of_is_not_kept(
    pair: Pair,
) -> None:
    async with worker(pair) as one:
        await one.uses_replica()
        await pair.on_standby(PAUSE)
        serial = await pair.write(KEY)
        reading = asyncio.create_task(one.text(KEY))
        await asyncio.sleep(0)
        one.path.written([(KEY, serial)])

        assert b"new" in await reading


async def test_a_replica_that_stays_behind_is_left_out_and_used_again_when_it_has_caught_up(
    pair: Pair,
) -> None:
    async with worker(pair) as one:
        await one.uses_replica()
        await pair.on_standby(PAUSE)
        await pair.write(KEY)

        await one.becomes(ReplicaState.BEHIND)
        assert not await one.asks_replica(OTHER)
        assert await one.is_new(KEY)
        assert one.tally.cells[gauge_cell(Gauge.REPLICA_BEHIND)] == 1

        await pair.on_standby(RESUME)
        await one.uses_replica()
        assert await one.asks_replica(KEY)
        assert await one.is_new(KEY)


async def test_a_replica_that_hangs_is_left_out_and_nobody_waits_for_it_again(pair: Pair) -> None:
    async with worker(pair) as one:
        await one.uses_replica()
        assert pair.standby.process is not None
        processes = cpu.tree([pair.standby.process.pid])
        for each in processes:
            os.kill(each, signal.SIGSTOP)
        try:
            assert b"old" in await one.text(KEY)
            await one.becomes(ReplicaState.AWAY)
            assert not await one.asks_replica(KEY)
        finally:
            for each in processes:
                os.kill(each, signal.SIGCONT)
        await one.uses_replica()


async def test_a_replica_that_is_killed_costs_no_answer_and_is_used_when_it_is_back(
    pair: Pair,
) -> None:
    async with worker(pair) as one:
        await one.uses_replica()
        asking = asyncio.create_task(ask_for_ever(one))
        await asyncio.to_thread(pair.standby.stop, signal.SIGQUIT)
        await one.becomes(ReplicaState.AWAY)
        serial = await pair.write(KEY)
        await until(lambda: one.path.feed.serial >= serial)
        assert await one.is_new(KEY)
        await asyncio.to_thread(pair.standby.start)
        await one.uses_replica()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert await one.is_new(KEY)


async def ask_for_ever(one: Worker) -> None:
    """No question may fail."""
    while True:
        assert await one.text(OTHER)


async def test_a_promoted_replica_is_told_from_a_standby_in_the_answer_itself(
    pair: Pair, server_directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with replica_of(pair.primary, server_directory / "promoted") as promoted:
        apart = Pair(pair.primary, promoted, pair.name, pair.database)
        async with worker(apart) as one, Database(promoted.url(pair.name)) as writable:
            await one.uses_replica()
            await apart.on_standby("select pg_promote()")
            values = encode_values([HandleValue(1, b"URL", b"apart")])
            await put_record(writable, KEY, wire=values)

            assert b"old" in await one.text(KEY)
            assert one.replica.state is ReplicaState.PROMOTED
            await one.replica.look()
            assert one.replica.state is ReplicaState.PROMOTED
            assert await pair.write(KEY)
            await until(lambda: one.path.feed.serial > 0 and one.path.freshness.floor(KEY) > 0)
            assert await one.is_new(KEY)
    assert "was promoted" in caplog.text


async def test_a_server_with_another_history_is_not_believed(pair: Pair) -> None:
    """So is a standby of one that was promoted: it says that it is a standby, of this epoch."""
    async with worker(pair) as one:
        await one.uses_replica()
        serial = await put_changes(pair.database, [KEY])
        await until(lambda: one.path.feed.serial >= serial)
        position = one.path.feed.position
        assert position is not None
        replica = one.replica
        standing = (await standing_of(pair))._replace(epoch=position.epoch, is_standby=True)

        assert replica.is_fresh(standing)
        assert not replica.is_fresh(standing._replace(changed_key=b"88.1/ANOTHER"))
        assert not replica.is_fresh(standing._replace(epoch=uuid.uuid4()))
        assert not replica.is_fresh(standing._replace(serial=serial - 1))


async def test_a_replica_of_another_database_is_left_out(
    pair: Pair, database: Database, database_url: str
) -> None:
    await put_record(database, KEY, wire=encode_values([HandleValue(1, b"URL", b"foreign")]))

    async with worker(pair, read_url=database_url) as one:
        await one.becomes(ReplicaState.FOREIGN)

        assert b"old" in await one.text(KEY)


async def test_after_a_restore_answers_of_the_new_life_count_and_those_of_the_old_do_not(
    pair: Pair,
) -> None:
    async with worker(pair) as one:
        await one.uses_replica()
        await pair.on_standby(PAUSE)
        async with pair.database.connection() as connection:
            await connection.execute(NEW_EPOCH)
        await pair.write(KEY)
        await until(lambda: one.path.freshness.life > 1)

        assert await one.is_new(KEY)
        await one.becomes(ReplicaState.FOREIGN)
        await pair.on_standby(RESUME)
        await one.uses_replica()


async def test_queries_that_read_wait_for_no_replica_that_knows_less(pair: Pair) -> None:
    async def where(connection: Connection) -> bool:
        standby: bool = await connection.fetchval("select pg_is_in_recovery()")
        return standby

    async with (
        worker(pair) as one,
        ReadDatabase(pair.primary.url(pair.name), one.replica, max_connections=1) as reads,
    ):
        await one.uses_replica()
        await until(lambda: one.replica.serial >= one.path.freshness.newest)
        assert await reads.read(5.0, where)

        await pair.on_standby(PAUSE)
        one.path.written([(KEY, await pair.write(KEY))])
        assert not await reads.read(5.0, where)


async def test_a_replica_that_never_was_there_is_told_of_and_costs_no_answer(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    async with worker(pair, read_url=NOWHERE) as one:
        await one.becomes(ReplicaState.AWAY)

        assert b"old" in await one.text(KEY)
    assert "cannot be reached; the primary is read" in caplog.text
    assert "history" not in caplog.text


async def test_a_replica_that_fails_a_query_costs_no_answer(pair: Pair) -> None:
    async with worker(pair) as one:
        nowhere = Replica(NOWHERE, one.path.freshness, lambda: None, one.tally)
        nowhere.be(ReplicaState.USED)
        async with ReadDatabase(pair.database.dsn, nowhere, max_connections=1) as reads:
            assert await reads.read(5.0, lambda connection: connection.fetchval("select 5")) == 5
        await nowhere.close()


def test_check_says_how_cluster_and_replica_stand(
    own_postgres: PostgresServer,
    standby: PostgresServer,
    own_cluster: ValkeyCluster,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = {
        **ANY_PORTS,
        "IDNODE_DATA_DIR": str(tmp_path),
        "IDNODE_DATABASE_URL": own_postgres.url(name),
        "IDNODE_REDIS_URL": f"{own_cluster.url},127.0.0.1:1",
    }
    for variable, value in given.items():
        monkeypatch.setenv(variable, value)

    def said(read_url: str) -> str:
        monkeypatch.setenv("IDNODE_DATABASE_READ_URL", read_url)
        check.run(Namespace())
        return capsys.readouterr().out

    eventually(lambda: "replica          is a standby, 0 changes behind" in said(standby.url(name)))
    with made_on(own_postgres) as other:
        assert "FAIL  replica          is not a replica" in said(own_postgres.url(other))
    assert "warn  replica          was promoted" in said(own_postgres.url(name))
    told = said(NOWHERE)
    assert "warn  replica          Postgres is not available" in told
    assert "ok    Redis            3 named nodes answer" in told
    assert "warn  Redis            Redis at 127.0.0.1:1 cannot be reached" in told
