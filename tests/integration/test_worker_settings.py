"""Settings reach what they are for, in a worker put together as the node does it."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from node.app import Worker
from node.config import Settings
from node.counters import Counters
from node.store.listing import LIST_CONNECTIONS
from resolver.registrar import OPERATOR, Caller
from resolver.wire import ResponseCode
from tests.support.tasks import spawning
from tests.support.workers import running_worker

pytestmark = [pytest.mark.db, pytest.mark.cache]


@pytest.mark.parametrize("case_sensitive", [True, False])
async def test_local_parts_compare_as_the_setting_says(
    database_url: str, redis_url: str, tmp_path: Path, case_sensitive: bool
) -> None:
    settings = Settings(
        database_url=database_url, redis_url=redis_url, case_sensitive=case_sensitive
    )
    async with running_worker(settings, tmp_path) as running:
        one, other = [running.worker.service.identify(each) for each in (b"88.1/a", b"88.1/A")]

    assert (one.key != other.key) == case_sensitive


@pytest.mark.parametrize(("durability", "kept"), [("group", 1), ("strict", 0)])
async def test_no_reply_is_ready_where_each_answer_waits_for_the_disk(
    database_url: str, redis_url: str, tmp_path: Path, durability: str, kept: int
) -> None:
    settings = Settings(
        database_url=database_url,
        redis_url=redis_url,
        data_dir=tmp_path,
        ledger_durability=durability,
    )
    counters = Counters.open(tmp_path / "counters")
    async with spawning() as spawn:
        worker = Worker(settings, 0, tmp_path, counters, spawn)
        for table in worker.reading.hot_tables:
            table.put(b"request", (2**62, 0, False, b"", b"", b"88.1/A", 1, b"", None), table.era)
        await worker.close()
    counters.close()

    assert [len(table) for table in worker.reading.hot_tables] == [kept, kept]


async def test_lists_of_a_worker_wait_for_one_another_alone(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    settings = Settings(database_url=database_url, redis_url=redis_url)
    async with running_worker(settings, tmp_path) as running:
        writing, operator = running.worker.writing, Caller(b"", 0, OPERATOR, is_operator=True)
        async with AsyncExitStack() as held:
            for _ in range(LIST_CONNECTIONS):
                connection = await held.enter_async_context(writing.listing.connection())
                assert await connection.fetchval("show statement_timeout") == "4s"
            waiting = asyncio.create_task(writing.registrar.list_prefixes(operator, count=True))
            await writing.registrar.read(running.worker.service.identify(b"88.1/a"), operator)
            assert not waiting.done()
        assert (await waiting).code is ResponseCode.SUCCESS
