"""A cluster that loses a node, or moves its slots: the other nodes' lots go on, and nothing old comes back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from redis.exceptions import RedisError

from node.errors import RegistryError
from node.process.probe import ping_redis, redis_servers
from resolver.answer import Tier
from resolver.tiers.cluster import LOTS, TAGS, Cluster, lot_of
from tests.support.clusters import ClusterNode, ValkeyCluster, wait_until
from tests.support.truth import Member, Truth, member
from tests.support.waiting import until

pytestmark = pytest.mark.cache

KEYS = [b"88.1/%d" % number for number in range(60)]
LOST = 1  # the node that is killed
Pair = tuple[Member, Member]


@pytest.fixture
def truth() -> Truth:
    made = Truth()
    made.write(*KEYS)
    return made


@pytest.fixture
async def pair(truth: Truth, own_cluster: ValkeyCluster) -> AsyncIterator[Pair]:
    async with AsyncExitStack() as stack:
        one, two = [
            await stack.enter_async_context(member(truth, own_cluster.url)) for _ in range(2)
        ]
        await one.applied(truth.serial)
        yield one, two


def keys_of(cluster: ValkeyCluster, number: int) -> list[bytes]:
    """Return those of the keys whose lot a node has."""
    holders = cluster.nodes[0].holders()
    port = cluster.nodes[number].port
    return [key for key in KEYS if holders[TAGS[lot_of(key)][1]] == port]


async def restart(node: ClusterNode) -> None:
    node.start()
    await asyncio.to_thread(wait_until, node.is_ready)


async def test_one_node_killed_costs_its_own_lots_speed_and_the_others_nothing(
    pair: Pair, truth: Truth, own_cluster: ValkeyCluster
) -> None:
    one, two = pair
    await one.share(*KEYS)
    lost = keys_of(own_cluster, LOST)
    kept = [key for key in KEYS if key not in lost]
    assert lost
    assert kept

    own_cluster.nodes[LOST].stop()
    try:
        await two.ask(lost[0])
        await until(lambda: not two.is_up())
        assert {(await two.ask(key)).tier for key in kept} == {Tier.REDIS}
        assert {(await two.ask(key)).tier for key in lost} == {Tier.POSTGRES}
        truth.write(*KEYS[::2])
        one.poll()
        assert await one.is_current(*KEYS)
        assert await two.is_current(*KEYS)
    finally:
        await restart(own_cluster.nodes[LOST])

    two.poll()
    assert await two.is_current(*KEYS)
    await two.applied(truth.serial)
    await until(two.is_up)
    await two.share(*lost)
    assert {(await one.ask(key)).tier for key in lost} == {Tier.REDIS}
    assert await one.is_current(*KEYS)


async def test_a_node_that_hangs_is_waited_for_once_and_not_by_each_of_its_lots(
    own_cluster: ValkeyCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resolver.tiers.cluster._PAUSE_SECONDS", 600.0)
    one, other, *_ = sorted({lot_of(key) for key in keys_of(own_cluster, LOST)})
    elsewhere = lot_of(keys_of(own_cluster, 0)[0])
    cluster = Cluster(own_cluster.url)
    learning = asyncio.create_task(cluster.run())
    try:
        with own_cluster.nodes[LOST].paused():
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.25):
                    await cluster.lot(one).get(b"%bX" % TAGS[one][0].encode())
            with pytest.raises(RedisError, match="has just failed"):
                async with asyncio.timeout(30):
                    await cluster.lot(other).get(b"%bX" % TAGS[other][0].encode())
            assert await cluster.lot(elsewhere).get(b"%bX" % TAGS[elsewhere][0].encode()) is None
    finally:
        learning.cancel()
        await cluster.aclose()


async def test_a_change_leaves_a_tombstone_in_its_own_lot_alone(pair: Pair, truth: Truth) -> None:
    one, _ = pair
    truth.write(KEYS[0])
    one.poll()
    await one.applied(truth.serial)

    assert await one.is_tombstone(KEYS[0])
    names = {one.name(key).removesuffix(key) + KEYS[0] for key in KEYS}
    others = names - {one.name(KEYS[0])}
    assert len(others) == LOTS - 1
    assert [await one.client.get(name) for name in others] == [None] * len(others)


async def test_a_slot_that_moves_is_found_on_its_new_node(
    pair: Pair, truth: Truth, own_cluster: ValkeyCluster
) -> None:
    one, two = pair
    key = keys_of(own_cluster, LOST)[0]
    slot = TAGS[lot_of(key)][1]
    await one.share(key)
    await asyncio.to_thread(own_cluster.move, slot, own_cluster.nodes[LOST], own_cluster.nodes[0])

    assert await two.is_current(*KEYS)
    truth.write(*KEYS)
    one.poll()
    two.poll()
    await one.applied(truth.serial)
    await one.share(key)
    assert (await two.ask(key)).tier is Tier.REDIS
    assert key in keys_of(own_cluster, 0)


async def test_one_named_node_that_answers_is_enough(
    own_cluster: ValkeyCluster, unused_tcp_port: int
) -> None:
    url = f"redis+cluster://127.0.0.1:{unused_tcp_port},127.0.0.1:{own_cluster.nodes[2].port}"

    await ping_redis(url)
    with pytest.raises(RegistryError, match="cannot be reached"):
        await ping_redis(redis_servers(url)[0])
    truth = Truth()
    truth.write(*KEYS)
    async with member(truth, own_cluster.url) as one, member(truth, url) as two:
        await one.applied(truth.serial)
        await one.share(*KEYS)
        await until(lambda: two.is_up())
        await two.applied(truth.serial)
        assert {(await two.ask(key)).tier for key in KEYS} == {Tier.REDIS}


async def test_a_server_that_is_no_cluster_is_named(unused_tcp_port: int) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"-ERR This instance has cluster support disabled\r\n")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", unused_tcp_port):
        with pytest.raises(RegistryError, match="is not a cluster; write IDNODE_REDIS_URL without"):
            await ping_redis(f"redis+cluster://127.0.0.1:{unused_tcp_port}")
