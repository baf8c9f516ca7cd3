"""Settings reach what they are for, in a worker put together as the node does it."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from node.config import Settings
from node.store.listing import LIST_CONNECTIONS
from resolver.registrar import OPERATOR, Caller
from resolver.wire import ResponseCode
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
