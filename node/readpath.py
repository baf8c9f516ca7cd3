"""The read path of one worker, put together: tiers, tables of ready replies, and the feed that keeps them true."""

from collections.abc import Callable, Coroutine, Iterable, Sequence
from collections.abc import Set as AbstractSet
from os import urandom
from time import monotonic, time
from typing import Any
from uuid import UUID

from node.feed import ChangeFeed
from node.registry.prefixes import PrefixTable
from node.store.changes import Change, ChangeKind, Position
from node.store.database import Database
from node.store.records import VAULT_READS, RecordSource, RecordVault
from node.store.replica import Replica, ReplicaSource
from resolver.freshness import Freshness
from resolver.hot.http import HotHttp
from resolver.hot.table import HotTable
from resolver.hot.wire import HotWire
from resolver.identifier import PREFIX_HANDLE
from resolver.lately import KEY_BYTES, Lately
from resolver.observe import Event, Gauge, Tally
from resolver.source import Source
from resolver.tiers.cluster import Cluster, ClusterTier, shared_tier
from resolver.tiers.memory import MemoryTier
from resolver.tiers.redis import RedisTier
from resolver.tiers.redisclient import Client

HOT_BYTES_PER_ENTRY = 2_048  # with the number of entries, what bounds the tables of ready replies
MEMORY_BYTES_PER_ENTRY = 4_096  # the same for the records behind them

Spawn = Callable[[Coroutine[Any, Any, None]], object]


class Caches:
    """All that a worker keeps of answers, over the source that knows the truth; and who was proven to ask lately.

    Order is the law here: what has changed is first learnt (so that nothing older comes in any more), then dropped;
    and nothing is awaited in between.
    """

    def __init__(
        self,
        truth: Source,
        client: Client | Cluster | None,
        tally: Tally,
        spawn: Spawn,
        *,
        hot_entries: int,
        memory_entries: int,
        freshness: Freshness | None = None,
    ) -> None:
        """`truth` is the last tier; without a `client` there is none between it and memory."""
        self._tally = tally
        self.lately = Lately(urandom(KEY_BYTES))
        self.freshness = freshness or Freshness()
        self.redis: RedisTier | ClusterTier | None = None
        if client is not None:
            self.redis = shared_tier(
                truth,
                self.freshness,
                client,
                spawn=spawn,
                on_error=lambda: tally.happened(Event.REDIS_ERROR),
            )
        self.memory = MemoryTier(
            self.redis or truth,
            self.freshness,
            monotonic,
            max_entries=memory_entries,
            max_bytes=memory_entries * MEMORY_BYTES_PER_ENTRY,
            on_newer=self._drop_ready,
        )
        bounds = {"max_entries": hot_entries, "max_bytes": hot_entries * HOT_BYTES_PER_ENTRY}
        self.hot_wire = HotWire(self.freshness, **bounds)
        self.hot_http = HotHttp(self.freshness, **bounds)
        if hot_entries >= memory_entries:  # else a record stays where there is more room
            for table in self.hot_tables:
                table.on_first = self.memory.drop

    @property
    def hot_tables(self) -> tuple[HotTable, ...]:
        """The tables of ready replies."""
        return self.hot_wire, self.hot_http

    def learn(
        self,
        upto: int,
        records: Sequence[tuple[int, bytes]],
        prefixes: AbstractSet[bytes] = frozenset(),
    ) -> None:
        """Take in changes up to a serial: of records by canonical key, and of prefixes by canonical name."""
        self.freshness.learn(upto, records)
        self.lately.forget([key for _, key in records])
        for _, key in records:
            if self.memory.drop(key) | self._drop_ready(key):
                self._tally.happened(Event.CACHE_INVALIDATED)
        if prefixes:
            self.lately.clear()
            self._drop_below(prefixes)
        if self.redis:
            self.redis.changed()
        self._tally.level(Gauge.FEED_SERIAL, upto)

    def written(self, changes: Iterable[tuple[bytes, int]]) -> None:
        """Take in (canonical key, serial) of what was just written here: nothing older is given from now on.

        The feed tells the same, in order and with all the rest.
        """
        for key, serial in changes:
            self.lately.forget([key])
            self.freshness.given(key, serial)
            self.memory.drop(key)
            self._drop_ready(key)

    def written_up_to(self, serial: int) -> None:
        """Take in that others wrote something up to a serial: nothing older, whatever it is, is given from now on."""
        if serial > self.freshness.seen:
            self.freshness.given_any(serial)
            self._forget_all()

    def restart(self, epoch: str, serial: int) -> None:
        """What was missed cannot be known: begin anew at this serial of this life of the database."""
        self.freshness.restart(serial)
        self._forget_all()
        if self.redis:
            self.redis.serve(epoch)
        self._tally.level(Gauge.FEED_SERIAL, serial)

    def tick(self) -> None:
        """Once a second: renew what replies carry of the time, and say how full everything is."""
        now = time()
        self.hot_wire.tick(now)
        self.hot_http.tick(now)
        level = self._tally.level
        level(Gauge.HOT_ENTRIES, sum(len(table) for table in self.hot_tables))
        level(Gauge.HOT_BYTES, sum(table.size_bytes for table in self.hot_tables))
        level(Gauge.MEMORY_ENTRIES, len(self.memory))
        level(Gauge.MEMORY_BYTES, self.memory.size_bytes)
        level(Gauge.REDIS_UP, int(self.redis is not None and self.redis.is_up))

    def _forget_all(self) -> None:
        self.lately.clear()
        self.memory.clear()
        for table in self.hot_tables:
            table.clear()

    def _drop_ready(self, key: bytes) -> bool:
        return self.hot_wire.drop(key) | self.hot_http.drop(key)

    def _drop_below(self, names: AbstractSet[bytes]) -> None:
        """Prefixes were homed, delegated or let go: ready replies below them, and their own, may be wrong now.

        Whether a key of another scheme is below a prefix cannot always be seen from it (a GTIN begins with a digit
        that is none of the company's), so all of that scheme go.
        """
        labels = {name.partition(b":")[0].lower() for name in names if b":" in name}

        def is_below(key: bytes) -> bool:
            prefix, _, name = key.partition(b"/")
            subject = name if key.startswith(PREFIX_HANDLE) else prefix
            return subject in names or key.partition(b":")[0].lower() in labels

        for table in self.hot_tables:
            table.drop_below(is_below)


class ReadPath(Caches):
    """Everything that a worker needs to look things up; `node.app` makes, runs and closes it.

    The feed and the prefixes have a connection to themselves: nothing that is asked from outside can hold them up.
    """

    def __init__(
        self,
        dsn: str,
        client: Client | Cluster | None,
        tally: Tally,
        spawn: Spawn,
        *,
        hot_entries: int,
        memory_entries: int,
        replica_dsn: str = "",
    ) -> None:
        """`replica_dsn` is of a streaming replica, which is read as far as it is new enough."""
        self.records = RecordSource(dsn, on_error=lambda _: tally.happened(Event.POSTGRES_ERROR))
        freshness = Freshness()
        self.replica = Replica(replica_dsn, freshness, self._epoch, tally) if replica_dsn else None
        super().__init__(
            ReplicaSource(self.records, self.replica) if self.replica else self.records,
            client,
            tally,
            spawn,
            hot_entries=hot_entries,
            memory_entries=memory_entries,
            freshness=freshness,
        )
        if self.replica:
            spawn(self.replica.run())
        self._vault_database = Database(dsn, max_connections=VAULT_READS)
        self._feed_database = Database(dsn, max_connections=1)
        self.vault = RecordVault(self._vault_database)
        self.prefixes = PrefixTable(self._feed_database)
        self.feed = ChangeFeed(
            self._feed_database,
            self._learn,
            self._forget,
            on_error=lambda _: tally.happened(Event.FEED_ERROR),
        )

    async def close(self) -> None:
        """Let go of Postgres."""
        if self.replica:
            await self.replica.close()
        await self._vault_database.close()
        await self._feed_database.close()

    @property
    def is_ready(self) -> bool:
        """True when the prefixes are known and the feed and the pool stand."""
        return bool(self.feed.last_read and self.records.connected)

    def tick(self) -> None:
        """See Caches."""
        super().tick()
        level = self._tally.level
        level(Gauge.POOL_SIZE, self.records.connected)
        level(Gauge.POOL_IDLE, self.records.idle)
        level(Gauge.FEED_READ_AT, int(self.feed.last_read))

    def _epoch(self) -> UUID | None:
        position = self.feed.position
        return position.epoch if position else None

    async def _learn(self, _start: int, upto: int, changes: Sequence[Change]) -> None:
        prefixes = {change.key for change in changes if change.kind == ChangeKind.PREFIX}
        records = [
            (change.serial, change.key) for change in changes if change.kind == ChangeKind.RECORD
        ]
        await self.prefixes.refresh(prefixes)
        self.learn(upto, records, prefixes)

    async def _forget(self, position: Position) -> None:
        await self.prefixes.load()
        self.restart(str(position.epoch), position.serial)
