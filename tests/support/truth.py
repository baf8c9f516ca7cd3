"""A truth in memory with its change log, and workers' caches over it and a real Redis or cluster: no Postgres."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.exceptions import ConnectionError as RedisConnectionError

from node.readpath import Caches
from resolver.answer import Stored
from resolver.observe import CELL_COUNT, Event, Tally, event_cell
from resolver.source import Source
from resolver.tiers.cluster import TAGS, Cluster, Lot, connect, lot_of
from resolver.tiers.redisclient import Client
from tests.support.sources import EachAlone, absence, record
from tests.support.tasks import spawning

_TOMBSTONE_BYTES = 16
_WATCHED = lot_of(b"88.1/X")  # whose state tests look at, and meddle with, where each lot has one


@dataclass
class Truth(EachAlone):
    """Records whose text says when they were written, and what changed in which order."""

    epoch: str = field(default_factory=lambda: uuid4().hex)
    serial: int = 0
    written: dict[bytes, int] = field(default_factory=dict)  # key -> serial; negative when removed
    changes: list[tuple[int, bytes]] = field(default_factory=list)
    removals: set[int] = field(default_factory=set)
    asked: int = 0

    def write(self, *keys: bytes) -> int:
        """Write records, in as many transactions; return the serial of the last."""
        for key in keys:
            self._change(key, 1)
        return self.serial

    def remove(self, key: bytes) -> int:
        """Remove a record; return the serial."""
        return self._change(key, -1)

    def _change(self, key: bytes, sign: int) -> int:
        self.serial += 1
        self.written[key] = sign * self.serial
        self.removals |= {self.serial} if sign < 0 else set()
        self.changes.append((self.serial, key))
        return self.serial

    def read(self, key: bytes) -> Stored:
        """Return what Postgres would now."""
        written = self.written.get(key, -1)
        if written < 0:
            return absence(self.serial)
        found = record(self.serial, b"written at %d" % written)
        return found._replace(handle=key.lower())

    async def lookup(self, key: bytes, *, at_least: int = 0) -> Stored:
        """See resolver.source.Source."""
        self.asked += 1
        await asyncio.sleep(0)
        return self.read(key)


@dataclass
class Member:
    """A worker as far as its caches go; it keeps nothing in memory, so that Redis is asked every time."""

    truth: Truth
    caches: Caches
    client: "Redis | RedisCluster"  # to look, and to do harm
    meddled: "Meddled"
    tally: Tally

    async def ask(self, key: bytes) -> Stored:
        return await self.caches.memory.lookup(key)

    async def is_current(self, *keys: bytes) -> bool:
        """True when all these keys are answered with what is true now."""
        return all([_same(await self.ask(key), self.truth.read(key)) for key in keys])

    def poll(self, upto: int | None = None) -> None:
        """Learn of changes as the feed tells them."""
        seen, upto = self.caches.freshness.seen, self.truth.serial if upto is None else upto
        self.caches.learn(upto, [each for each in self.truth.changes if seen < each[0] <= upto])

    def restart(self) -> None:
        """Begin anew, as after a gap in the feed."""
        self.caches.restart(self.truth.epoch, self.truth.serial)

    def errors(self) -> int:
        return self.tally.cells[event_cell(Event.REDIS_ERROR)]

    def is_up(self) -> bool:
        return self.caches.redis is not None and self.caches.redis.is_up

    def name(self, key: bytes) -> bytes:
        """Return how a key is called in Redis."""
        return self._name(_WATCHED if key == b"state" else lot_of(key)) + key

    def _name(self, lot: int) -> bytes:
        tag = TAGS[lot][0] if isinstance(self.client, RedisCluster) else ""
        return f"idnode:2:{tag}{self.truth.epoch}:".encode()

    def lots(self, *keys: bytes) -> int:
        """Return how many questions it takes to ask for all of these keys at once."""
        return len({self._name(lot_of(key)) for key in keys})

    async def questions(self) -> int:
        """Return how many have been asked, over all nodes."""
        if isinstance(self.client, RedisCluster):
            asked = await self.client.info("commandstats", target_nodes=RedisCluster.PRIMARIES)
            nodes: list[Any] = list(asked.values())
        else:
            nodes = [await self.client.info("commandstats")]
        return sum(each["cmdstat_mget"]["calls"] for each in nodes if "cmdstat_mget" in each)

    async def state(self) -> tuple[int, int] | None:
        """Return `base` and `applied` as they stand in Redis; of a cluster's lots the highest, and the lowest."""
        names = {self._name(lot) + b"state" for lot in range(len(TAGS))}
        found = [await self._get(name) for name in names]
        try:
            states = [(int(each[:16], 16), int(each[16:], 16)) for each in found if each]
        except ValueError:
            return None
        bases, applied = zip(*states, strict=True) if len(states) == len(names) else ((), ())
        return (max(bases), min(applied)) if bases else None

    async def applied(self, serial: int) -> None:
        """Wait until Redis has been told of all changes up to this serial."""
        await _until(lambda: self._is_applied(serial))

    async def _is_applied(self, serial: int) -> bool:
        state = await self.state()
        return state is not None and state[1] >= serial

    async def share(self, *keys: bytes) -> None:
        """Ask for these records, and wait until they stand in Redis; one that Redis did not take is asked for again."""
        for key in keys:
            await _until(partial(self._is_shared, key))

    async def _is_shared(self, key: bytes) -> bool:
        await self.ask(key)
        try:
            async with asyncio.timeout(1):
                await self.stands(key)
        except TimeoutError:
            return False
        return True

    async def stands(self, key: bytes) -> None:
        """Wait until a record, not a tombstone, stands in Redis."""
        await _until(lambda: self._stands(key))

    async def _stands(self, key: bytes) -> bool:
        return len(await self.peek(key) or b"") > _TOMBSTONE_BYTES

    async def is_tombstone(self, key: bytes) -> bool:
        """True when Redis knows of this key that it has changed, and no more."""
        return len(await self.peek(key) or b"") == _TOMBSTONE_BYTES

    async def peek(self, key: bytes) -> bytes | None:
        """Return what stands in Redis."""
        return await self._get(self.name(key))

    async def _get(self, name: bytes) -> bytes | None:
        """Return a value; a connection from before a restart is given up first."""
        for _ in range(10):
            try:
                found = await self.client.get(name)
            except RedisConnectionError:
                continue
            assert found is None or isinstance(found, bytes)
            return found
        raise AssertionError("Redis is not there")


async def _until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await holds():  # noqa: ASYNC110 - Redis announces nothing
            await asyncio.sleep(0.002)


def _same(one: Stored, other: Stored) -> bool:
    return (one.handle, one.wire) == (other.handle, other.wire)


class Meddled:
    """What the tier uses of a client; `meddle` is done between its reading of a value and what follows from it."""

    def __init__(self, client: "Client | Lot") -> None:
        self._client = client
        self.meddle: Callable[[], Awaitable[None]] | None = None
        self.fetch, self.register_script = client.fetch, client.register_script
        self.aclose = getattr(client, "aclose", None)

    async def get(self, name: bytes) -> object:
        found = await self._client.get(name)
        meddle, self.meddle = self.meddle, None
        if meddle is not None:
            await meddle()
        return found


class _MeddledCluster(Cluster):
    """A cluster with one lot that can be meddled with."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.meddled = Meddled(super().lot(_WATCHED))

    def lot(self, number: int) -> Lot:
        """Return what speaks with the node that has this lot."""
        meddled: Any = self.meddled  # all of a lot that is used
        return meddled if number == _WATCHED else super().lot(number)


def _looking(url: str) -> "Redis | RedisCluster":
    """Return a client of redis-py's own: for a cluster the one that finds out by itself which node has a name."""
    parts = urlsplit(url)
    if not parts.scheme.endswith("+cluster"):
        return Redis.from_url(url)
    hosts = [urlsplit(f"//{host}") for host in parts.netloc.split(",")]
    nodes = [ClusterNode(str(host.hostname), host.port or 0) for host in hosts]
    return RedisCluster(startup_nodes=nodes, require_full_coverage=False)


def _meddled(url: str) -> "tuple[Client | Cluster, Meddled]":
    """Return what the caches use of the servers, and where it can be meddled with."""
    client = connect(url)
    if isinstance(client, Cluster):
        cluster = _MeddledCluster(url)
        return cluster, cluster.meddled
    meddled: Any = Meddled(client)  # all of a client that is used
    return meddled, meddled


@asynccontextmanager
async def member(truth: Truth, url: str, *, source: Source | None = None) -> AsyncIterator[Member]:
    """Run a worker's caches, started at the truth's serial of now; `source` is what it reads the truth from."""
    tally, looking = Tally([0] * CELL_COUNT), _looking(url)
    client, meddled = _meddled(url)
    try:
        async with spawning() as spawn:
            caches = Caches(
                source or truth,
                client,
                tally,
                spawn,
                hot_entries=0,
                memory_entries=0,
            )
            assert caches.redis is not None
            spawn(caches.redis.run())
            one = Member(truth, caches, looking, meddled, tally)
            one.restart()
            yield one
    finally:
        await client.aclose()
        await looking.aclose()
