"""Idempotency keys that meet: the same write sent to several processes at once, or one key used for two writes."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from node.registry.registrar import RecordRegistrar
from node.store.database import Database
from resolver.registrar import Operation
from resolver.wire import ResponseCode
from tests.support.registry import do, home, registrar_on, url

pytestmark = pytest.mark.db

CREATE, DONE = Operation.CREATE, ResponseCode.SUCCESS


@pytest.fixture
async def registrar(database: Database) -> AsyncIterator[RecordRegistrar]:
    await home(database, "88.1")
    async with registrar_on(database) as made:
        yield made


async def test_a_minted_handle_asked_for_everywhere_at_once_with_its_key_is_minted_once(
    database: Database,
) -> None:
    await home(database, "88.1")
    async with registrar_on(database) as one, registrar_on(database) as two:
        asked = (
            do((one, two)[n % 2], CREATE, "88.1/lot-", url(), mint=True, idempotency_key="k")
            for n in range(6)
        )
        told = await asyncio.gather(*asked)
        other = await do(one, CREATE, "88.1/lot-", url(), mint=True, idempotency_key="l")
    assert len({each.handle for each in told}) == 1
    assert sorted(each.replayed for each in told) == [False] + [True] * 5
    assert other.handle not in {told[0].handle, b""}
    async with database.connection() as connection:
        assert await connection.fetchval("select count(*) from record") == 2


async def test_a_key_mints_again_after_a_day(
    database: Database, registrar: RecordRegistrar
) -> None:
    first = await do(registrar, CREATE, "88.1/lot-", url(), mint=True, idempotency_key="k")
    async with database.connection() as connection:
        await connection.execute("update idempotency set at = at - interval '25 hours'")
    second = await do(registrar, CREATE, "88.1/lot-", url(), mint=True, idempotency_key="k")
    assert (second.code, second.replayed) == (DONE, False)
    assert second.handle != first.handle


async def test_a_key_used_for_two_writes_at_once_is_refused_to_one_and_disturbs_nobody(
    registrar: RecordRegistrar,
) -> None:
    """They wait in one process, so they might come into one statement."""
    told = await asyncio.gather(
        do(registrar, CREATE, "88.1/before", url()),
        *(do(registrar, CREATE, f"88.1/n{n}", url(), idempotency_key="k") for n in range(2)),
        do(registrar, CREATE, "88.1/after", url()),
    )
    assert [each.code for each in told] == [DONE, DONE, ResponseCode.PROTOCOL_ERROR, DONE]
