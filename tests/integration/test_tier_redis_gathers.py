"""Look-ups that come while others are under way travel together, and wait for no Redis that is gone."""

import asyncio

import pytest

from tests.support.servers import ValkeyServer
from tests.support.truth import Member, Truth, member

pytestmark = pytest.mark.cache

MANY = [b"88.1/%d" % number for number in range(60)]


async def mgets(one: Member) -> int:
    found = await one.client.info("commandstats")
    return int(found.get("cmdstat_mget", {}).get("calls", 0))


async def test_questions_of_many_turns_are_asked_in_few_commands(
    own_valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resolver.tiers.redis._READ_SECONDS", 30.0)
    truth = Truth()
    truth.write(*MANY)
    async with member(truth, own_valkey.url) as one:
        await one.applied(truth.serial)
        before, asking = await mgets(one), []
        for key in MANY:
            asking.append(asyncio.create_task(one.ask(key)))
            await asyncio.sleep(0)  # the next one comes in another turn of the event loop

        answers = await asyncio.gather(*asking)

        assert [each.handle for each in answers] == [truth.read(key).handle for key in MANY]
        assert await mgets(one) - before < len(MANY)


async def test_what_has_gathered_goes_on_at_once_when_redis_dies(
    own_valkey: ValkeyServer,
) -> None:
    truth = Truth()
    truth.write(*MANY)
    async with member(truth, own_valkey.url) as one:
        await one.applied(truth.serial)
        await one.ask(MANY[0])
        own_valkey.stop()
        try:
            asking = []
            for key in MANY[1:]:
                asking.append(asyncio.create_task(one.ask(key)))
                await asyncio.sleep(0)

            answers = await asyncio.gather(*asking)
        finally:
            own_valkey.start()

        assert [each.handle for each in answers] == [truth.read(key).handle for key in MANY[1:]]


async def test_who_gives_up_takes_nobody_along(own_valkey: ValkeyServer) -> None:
    truth = Truth()
    truth.write(*MANY)
    async with member(truth, own_valkey.url) as one:
        await one.applied(truth.serial)
        going = [asyncio.create_task(one.ask(key)) for key in MANY[:2]]
        await asyncio.sleep(0)
        alike = [asyncio.create_task(one.ask(MANY[-1])) for _ in range(3)]
        await asyncio.sleep(0)  # they wait for one future

        alike[0].cancel()
        late = asyncio.create_task(one.ask(MANY[-1]))

        answers = await asyncio.gather(*alike[1:], late, *going)
        assert [each.handle for each in answers[:3]] == [truth.read(MANY[-1]).handle] * 3
        assert alike[0].cancelled()
