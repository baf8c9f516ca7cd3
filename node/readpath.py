"""The read path of one worker, put together: tiers, tables of ready replies, and the feed that keeps them true.

Order is the law here: what has changed is first learnt (so that nothing older comes in any more), then dropped.
"""

from collections.abc import Callable, Coroutine, Sequence
from time import monotonic, time
from typing import Any

from node.feed import ChangeFeed
from node.registry.prefixes import PrefixTable
from node.store.changes import Change, ChangeKind, Position
from node.store.database import Database
from node.store.records import RecordSource, RecordVault
from resolver.freshness import Freshness
from resolver.hot import HotHttp, HotTable, HotWire
from resolver.observe import Event, Gauge, Tally
from resolver.source import Source
from resolver.tiers.memory import MemoryTier
from resolver.tiers.redis import Client, RedisTier

HOT_BYTES_PER_ENTRY = 2_048  # with the number of entries, what bounds the tables of ready replies

Spawn = Callable[[Coroutine[Any, Any, None]], object]


class ReadPath:
    """Everything that a worker needs to look things up; `node.app` makes and runs it."""

    def __init__(
        self,
        database: Database,
        client: Client | None,
        tally: Tally,
        spawn: Spawn,
        *,
        hot_entries: int,
        memory_entries: int,
    ) -> None:
        self._tally = tally
        self._database = database
        self.freshness = Freshness()
        self.records = RecordSource(
            database.dsn, on_error=lambda _: tally.happened(Event.POSTGRES_ERROR)
        )
        self.vault = RecordVault(database)
        self.prefixes = PrefixTable(database)
        self.redis: RedisTier | None = None
        if client is not None:
            self.redis = RedisTier(
                self.records,
                self.freshness,
                client,
                spawn=spawn,
                on_error=lambda: tally.happened(Event.REDIS_ERROR),
            )
        below: Source = self.redis or self.records
        self.memory = MemoryTier(below, self.freshness, monotonic, max_entries=memory_entries)
        bounds = {"max_entries": hot_entries, "max_bytes": hot_entries * HOT_BYTES_PER_ENTRY}
        self.hot_wire = HotWire(self.freshness, **bounds)
        self.hot_http = HotHttp(self.freshness, **bounds)
        self.feed = ChangeFeed(
            database,
            self._learn,
            self._forget,
            on_error=lambda _: tally.happened(Event.FEED_ERROR),
        )

    @property
    def hot_tables(self) -> tuple[HotTable, ...]:
        """The tables of ready replies."""
        return self.hot_wire, self.hot_http

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
        level(Gauge.POOL_SIZE, self.records.connected)
        level(Gauge.POOL_IDLE, self.records.idle)
        level(Gauge.FEED_SERIAL, self.freshness.seen)
        level(Gauge.FEED_READ_AT, int(self.feed.last_read))
        level(Gauge.REDIS_UP, int(self.redis is not None and self.redis.is_up))

    async def _learn(self, _start: int, upto: int, changes: Sequence[Change]) -> None:
        """Take in changes: first that they are known, then that nothing older stays."""
        names = [change.key for change in changes if change.kind == ChangeKind.PREFIX]
        await self.prefixes.refresh(names)
        records = [(change.serial, change.key) for change in changes]
        self.freshness.learn(upto, records)
        for _, key in records:
            self._drop(key)
        if names:
            self._drop_below(names)
        if self.redis:
            self.redis.changed()

    def _drop(self, key: bytes) -> None:
        dropped = [self.memory.drop(key), *(table.drop(key) for table in self.hot_tables)]
        if any(dropped):
            self._tally.happened(Event.CACHE_INVALIDATED)

    def _drop_below(self, names: Sequence[bytes]) -> None:
        """A prefix was homed, delegated or let go: ready replies below it may be wrong now."""
        handles = tuple(name + b"/" for name in names)
        others = tuple(name.lower() for name in names if b":" in name)
        for table in self.hot_tables:
            table.drop_below(lambda key: key.startswith(handles) or key.lower().startswith(others))

    async def _forget(self, position: Position) -> None:
        """What was missed cannot be known: begin anew."""
        await self.prefixes.load()
        self.freshness.restart(position.serial)
        self.memory.clear()
        for table in self.hot_tables:
            table.clear()
        if self.redis:
            self.redis.serve(str(position.epoch))
