"""The last tier of the read path: answers, batches, and what happens when Postgres goes away."""

import asyncio
import contextlib
import gc
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from node.store.changes import ChangeKind, append_changes
from node.store.database import Database, migrate
from node.store.lookups import BATCH_KEYS, LookupQueue
from node.store.records import VAULT_READS, VAULT_WAITING, RecordSource, RecordVault
from resolver.answer import MAX_TTL_SECONDS, NEGATIVE_TTL_SECONDS, Stored, Tier
from resolver.source import SourceUnavailable
from resolver.wire import HandleValue, encode_values
from tests.support.rows import put_changes, put_record
from tests.support.servers import PostgresServer
from tests.support.waiting import until

pytestmark = pytest.mark.db

_CUT = (
    "select count(pg_terminate_backend(pid)) from pg_stat_activity"
    " where datname = current_database() and wait_event_type = 'Lock'"
)


@asynccontextmanager
async def running(source: RecordSource) -> AsyncIterator[RecordSource]:
    task = asyncio.create_task(source.run())
    try:
        yield source
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.fixture
async def source(database_url: str) -> AsyncIterator[RecordSource]:
    async with running(RecordSource(database_url)) as source:
        yield source


async def test_a_record_is_returned_as_it_was_stored(
    database: Database, source: RecordSource
) -> None:
    serial = await put_record(database, b"88.1/X", wire=b"\0\0\0\1w", json=b"[1]", ttl=300)
    stored = await source.lookup(b"88.1/X")
    values = (b"\0\0\0\1w", b"[1]")
    assert stored == Stored(serial, b"88.1/x", 300, False, *values, Tier.POSTGRES, version=1)


async def test_no_such_record_is_a_negative_answer_with_the_serial(
    database: Database, source: RecordSource
) -> None:
    serial = await put_changes(database, [b"A", b"B"])
    stored = await source.lookup(b"88.1/NONE")
    assert stored == Stored(serial, None, NEGATIVE_TTL_SECONDS, False, b"", b"", Tier.POSTGRES)


async def test_a_tombstone_is_a_negative_answer_that_says_why(
    database: Database, source: RecordSource
) -> None:
    await put_record(database, b"88.1/X", wire=b"\0\0\0\0")
    why = b'{"at":1,"reason":"sold"}'
    async with database.transaction() as connection:
        await connection.execute("update record set gone = $1, version = 2", why)
        serial = await append_changes(connection, [b"88.1/X"], [ChangeKind.RECORD])
    stored = await source.lookup(b"88.1/X", at_least=serial)
    assert (stored.handle, stored.json, stored.version) == (None, why, 2)
    vault = RecordVault(database)
    assert (await vault.values(b"88.1/X")).values is None


async def test_a_record_with_restricted_values_says_so(
    database: Database, source: RecordSource
) -> None:
    await put_record(database, b"88.1/X", whole=b"\0\0\0\0")
    assert (await source.lookup(b"88.1/X")).restricted


async def test_ttl_is_the_least_of_relative_absolute_and_two_days(
    database: Database, source: RecordSource
) -> None:
    now = int(time.time())
    await put_record(database, b"SOON", ttl=86_400, expires=now + 100)
    await put_record(database, b"PAST", ttl=86_400, expires=now - 100)
    await put_record(database, b"LONG", ttl=9_999_999)
    assert 95 <= (await source.lookup(b"SOON")).ttl_seconds <= 100
    assert (await source.lookup(b"PAST")).ttl_seconds == 0
    assert (await source.lookup(b"LONG")).ttl_seconds == MAX_TTL_SECONDS


async def test_many_lookups_at_once_each_get_their_own_answer(
    database: Database, source: RecordSource
) -> None:
    for number in range(50):
        await put_record(database, b"K%d" % number, json=b"[%d]" % number)
    keys = [b"K%d" % (number % 60) for number in range(4 * BATCH_KEYS)]
    answers = await asyncio.gather(*(source.lookup(key) for key in keys))
    for key, stored in zip(keys, answers, strict=True):
        expected = b"[%s]" % key[1:] if int(key[1:]) < 50 else b""
        assert stored.json == expected


async def test_lookups_of_one_tick_travel_together() -> None:
    queue = LookupQueue(patience_seconds=2)
    taken = asyncio.create_task(queue.take(asyncio.get_running_loop().create_future()))
    await asyncio.sleep(0)
    for number in range(10):
        queue.ask(b"%d" % (number % 5))
    assert len(await taken) == 5


async def test_one_asker_that_gives_up_does_not_take_the_others_along(
    database: Database, source: RecordSource
) -> None:
    await put_record(database, b"K")
    first = asyncio.create_task(source.lookup(b"K"))
    second = asyncio.create_task(source.lookup(b"K"))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).handle == b"k"


async def test_an_answer_from_before_the_serial_asked_for_is_refused(
    database: Database, source: RecordSource
) -> None:
    serial = await put_record(database, b"K")
    assert (await source.lookup(b"K", at_least=serial)).serial >= serial
    with pytest.raises(SourceUnavailable):
        await source.lookup(b"K", at_least=serial + 1)


async def test_a_lookup_sees_every_change_committed_before_it(
    database: Database, source: RecordSource
) -> None:
    for number in range(100):
        serial = await put_record(database, b"K", json=b"[%d]" % number)
        stored = await source.lookup(b"K", at_least=serial)
        assert stored.json == b"[%d]" % number


async def test_an_unreachable_postgres_is_busy_at_once() -> None:
    errors: list[Exception] = []
    dsn = "postgresql://postgres@127.0.0.1:1/postgres"
    async with running(RecordSource(dsn, on_error=errors.append)) as source:
        with pytest.raises(SourceUnavailable):
            await source.lookup(b"K")
        started = time.monotonic()
        with pytest.raises(SourceUnavailable):
            await source.lookup(b"K")
        assert time.monotonic() - started < 0.1
    assert errors


async def test_a_schema_that_is_not_migrated_is_busy_until_it_is(empty_database_url: str) -> None:
    async with running(RecordSource(empty_database_url)) as source:
        with pytest.raises(SourceUnavailable, match="change_counter"):
            await source.lookup(b"K")
        await migrate(empty_database_url)
        await until(lambda: source.connected > 0)
        assert (await source.lookup(b"K")).handle is None


async def test_connections_that_were_cut_come_back_and_no_lookup_fails(
    database: Database, source: RecordSource
) -> None:
    await put_record(database, b"K")
    await source.lookup(b"K")
    for _ in range(5):
        async with database.connection() as connection:
            await connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()"
            )
        assert (await source.lookup(b"K")).handle == b"k"
        await until(lambda: source.connected == 3)


async def test_a_connection_that_is_cut_during_a_lookup_leaves_no_failure_behind(
    database: Database, database_url: str
) -> None:
    await put_record(database, b"K")
    left: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: left.append(context))
    async with running(RecordSource(database_url, connections=1)) as source:
        async with database.transaction() as locking, database.connection() as other:
            await locking.execute("lock table record in access exclusive mode")
            asked = asyncio.create_task(source.lookup(b"K"))
            for _ in range(2):  # the second finds the question there, and waits for none
                async with asyncio.timeout(10):
                    while not await other.fetchval(_CUT):  # noqa: ASYNC110  nobody tells
                        await asyncio.sleep(0.01)
                await until(lambda: source.connected == 0)
        await asyncio.wait([asked])
        asked.exception()  # it may have been tried often enough
    gc.collect()
    await asyncio.sleep(0)
    assert not left


async def test_a_statement_that_hangs_is_busy_within_the_limit(
    database: Database, database_url: str
) -> None:
    source = RecordSource(database_url, connections=1, lookup_seconds=0.3)
    async with running(source), database.transaction() as connection:
        await connection.execute("lock table record in access exclusive mode")
        started = time.monotonic()
        with pytest.raises(SourceUnavailable):
            await source.lookup(b"K")
        assert time.monotonic() - started < 1.5


async def test_lookups_that_never_reach_a_connection_end_too(database_url: str) -> None:
    source = RecordSource(database_url, connections=0, lookup_seconds=0.1)
    async with running(source):
        with pytest.raises(SourceUnavailable, match="in time"):
            await source.lookup(b"K")


async def test_after_a_restart_of_postgres_answers_come_again(own_postgres: PostgresServer) -> None:
    dsn = own_postgres.url("postgres")
    await migrate(dsn)
    async with running(RecordSource(dsn)) as source:
        await source.lookup(b"K")
        own_postgres.stop()
        await until(lambda: source.connected == 0)
        with pytest.raises(SourceUnavailable):
            await source.lookup(b"K")
        own_postgres.start()
        await until(lambda: source.connected == 3)
        assert (await source.lookup(b"K")).handle is None


async def test_a_closed_source_says_so(database_url: str) -> None:
    source = RecordSource(database_url)
    async with running(source):
        await source.lookup(b"K")
    with pytest.raises(SourceUnavailable, match="closed"):
        await source.lookup(b"K")


async def test_the_vault_returns_restricted_values_but_never_secret_keys(
    database: Database,
) -> None:
    public = HandleValue(1, b"URL", b"https://a.example/")
    restricted = HandleValue(2, b"EMAIL", b"a@a.example", permissions=12)
    secret = HandleValue(301, b"HS_SECKEY", b"secret", permissions=12)
    odd_secret = HandleValue(302, b"hs_seckey", b"secret", permissions=14)
    await put_record(
        database,
        b"K",
        wire=encode_values((public,)),
        whole=encode_values((public, restricted, secret, odd_secret)),
    )
    serial = await put_record(database, b"PUBLIC", wire=encode_values((public,)))
    vault = RecordVault(database)
    assert await vault.values(b"K") == (serial, (public, restricted))
    assert await vault.values(b"PUBLIC") == (serial, (public,))
    assert await vault.values(b"NONE") == (serial, None)


async def test_few_whole_records_are_read_at_once_and_few_wait(
    database: Database, database_url: str
) -> None:
    serial = await put_record(database, b"K", wire=encode_values(()))
    async with Database(database_url, max_connections=VAULT_READS + 2) as pool:
        vault = RecordVault(pool)
        async with asyncio.TaskGroup() as tasks, database.transaction() as connection:
            await connection.execute("lock table record in access exclusive mode")
            asked = [
                tasks.create_task(vault.values(b"K")) for _ in range(VAULT_READS + VAULT_WAITING)
            ]
            await until(lambda: pool.size == VAULT_READS)
            with pytest.raises(SourceUnavailable, match="too many"):
                await vault.values(b"K")
        assert pool.size == VAULT_READS
        assert {task.result() for task in asked} == {(serial, ())}
        assert await vault.values(b"K") == (serial, ())
