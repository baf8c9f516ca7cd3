"""`fetch` of the Redis client: kept connections, and those that were lost."""

import asyncio
import os
from collections.abc import AsyncIterator

import pytest
from redis.exceptions import RedisError, ResponseError

from resolver.tiers.redisclient import KEPT, Client, connect

pytestmark = pytest.mark.cache

NAME = f"fetching-{os.getpid()}"


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Client]:
    """A client of a Redis that other tests use, too, and may use at the same time."""
    made = connect(f"{redis_url}{'&' if '?' in redis_url else '?'}client_name={NAME}")
    yield made
    await made.aclose()


async def connections(client: Client) -> set[str]:
    """Return the numbers of this client's connections that fetched something last."""
    told = await client.client_list()
    return {each["id"] for each in told if each["cmd"] == "mget" and each["name"] == NAME}


async def test_values_come_in_order_and_none_for_what_is_not_there(client: Client) -> None:
    await client.set(b"fetch:a", b"1")
    await client.set(b"fetch:b", bytes(70_000))

    assert await client.fetch([b"fetch:b", b"fetch:none", b"fetch:a"]) == [
        bytes(70_000),
        None,
        b"1",
    ]


async def test_one_connection_serves_all_fetches_that_follow_each_other(client: Client) -> None:
    before = await connections(client)
    for _ in range(5):
        await client.fetch([b"fetch:a"])

    assert len(await connections(client) - before) == 1


async def test_fetches_at_once_get_their_own_values(client: Client) -> None:
    names = [b"fetch:%d" % number for number in range(20)]
    for name in names:
        await client.set(name, name)

    assert await asyncio.gather(*(client.fetch([name]) for name in names)) == [
        [name] for name in names
    ]


async def test_a_connection_that_was_closed_is_replaced_before_it_is_used(client: Client) -> None:
    await client.fetch([b"fetch:a"])
    for number in await connections(client):
        await client.client_kill_filter(_id=number)
    await asyncio.sleep(0.05)
    await client.set(b"fetch:a", b"2")

    assert await client.fetch([b"fetch:a"]) == [b"2"]


async def test_one_that_broke_takes_along_the_others_that_are_kept(client: Client) -> None:
    """As when the host of Redis went away: no end comes, and each of them would fail by itself."""
    await asyncio.gather(*(client.fetch([b"fetch:a"]) for _ in range(5)))
    for each in client.connection_pool._in_use_connections:
        each._reader.set_exception(ConnectionResetError(104, "reset"))  # type: ignore[union-attr]

    with pytest.raises(RedisError, match="reset"):
        await client.fetch([b"fetch:a"])
    assert await client.fetch([b"fetch:none"]) == [None]


async def test_no_more_are_kept_than_eight(client: Client) -> None:
    """The rest is for all who ask: a pool that has lent everything refuses."""
    for _ in range(3):
        await asyncio.gather(*(client.fetch([b"fetch:a"]) for _ in range(90)))
    await asyncio.gather(*(client.get(b"fetch:a") for _ in range(90)))

    assert len(client.connection_pool._in_use_connections) == KEPT


async def test_a_fetch_that_is_cancelled_leaves_no_answer_to_the_next_one(client: Client) -> None:
    await client.set(b"fetch:a", b"1")
    await client.set(b"fetch:b", b"2")
    await client.fetch([b"fetch:a"])
    fetching = asyncio.create_task(client.fetch([b"fetch:a"]))
    await asyncio.sleep(0)
    fetching.cancel()
    await asyncio.gather(fetching, return_exceptions=True)

    assert fetching.cancelled()
    assert await client.fetch([b"fetch:b"]) == [b"2"]


async def test_an_error_of_the_server_is_raised_and_the_next_fetch_goes_on(client: Client) -> None:
    with pytest.raises(ResponseError, match="wrong number of arguments"):
        await client.fetch([])

    assert await client.fetch([b"fetch:none"]) == [None]
