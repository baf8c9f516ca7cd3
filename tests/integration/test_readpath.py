"""A worker's read path over a real Postgres: what is asked from outside cannot hold up what keeps answers true."""

import asyncio

import pytest

from node.readpath import ReadPath
from node.store.database import Database
from node.store.records import VAULT_READS, VAULT_WAITING
from resolver.observe import CELL_COUNT, Tally
from tests.support.rows import put_changes
from tests.support.tasks import spawning

pytestmark = pytest.mark.db

WAITING = "select count(*) from pg_locks where not granted"


async def test_questions_for_whole_records_do_not_hold_up_the_change_feed(
    database: Database, database_url: str
) -> None:
    tally = Tally([0] * CELL_COUNT)
    async with spawning() as spawn:
        path = ReadPath(database_url, None, tally, spawn, hot_entries=0, memory_entries=0)
        try:
            await path.feed.drain()
            async with database.transaction() as connection:
                await connection.execute("lock table record in access exclusive mode")
                asked = [
                    asyncio.create_task(path.vault.values(b"K"))
                    for _ in range(VAULT_READS + VAULT_WAITING)
                ]
                async with asyncio.timeout(1.5):
                    while await connection.fetchval(WAITING) < VAULT_READS:  # noqa: ASYNC110  as seen from outside
                        await asyncio.sleep(0.01)
                serial = await put_changes(database, [b"K"])
                async with asyncio.timeout(1):
                    await path.feed.drain()
                assert path.freshness.seen == serial
            await asyncio.gather(*asked)
        finally:
            await path.close()
