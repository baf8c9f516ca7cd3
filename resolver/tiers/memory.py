"""The first tier: records in this process, negative answers included, one flight per key, bounded.

Two generations of a dict approximate least-recently-used: when the young one is full it becomes the old one, and a hit
in the old one moves the record up.  Law: whatever leaves `lookup` is at least as new as every change this worker knows.
"""

import asyncio
from collections.abc import Callable

from resolver.answer import MAX_TTL_SECONDS, NEGATIVE_TTL_SECONDS, Stored, Tier
from resolver.freshness import Freshness
from resolver.source import Source, SourceUnavailable

_ENTRY_OVERHEAD_BYTES = 320  # two dict slots, tuple, headers of the bytes objects
_REREADS = 3

_Entry = tuple[float, Stored]


class MemoryTier:
    """Keeps records by canonical key; everything it gives was read at or after the key's newest known change."""

    def __init__(
        self,
        below: Source,
        freshness: Freshness,
        clock: Callable[[], float],
        *,
        max_entries: int,
    ) -> None:
        """`clock` is monotonic seconds; `max_entries` bounds both generations together (0 keeps nothing)."""
        self._below = below
        self._freshness = freshness
        self._clock = clock
        self._limit = max_entries // 2
        self._young: dict[bytes, _Entry] = {}
        self._old: dict[bytes, _Entry] = {}
        self._flights: dict[bytes, asyncio.Future[Stored]] = {}
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    async def lookup(self, key: bytes, *, at_least: int = 0) -> Stored:
        """Return the record from memory, or join the flight under way for its key, or start one."""
        stored = self._get(key)
        if stored is not None and stored.serial >= at_least:
            return stored._replace(tier=Tier.MEMORY)
        while (flight := self._flights.get(key)) is not None:
            landed = await self._join(flight)
            if landed is not None and landed.serial >= at_least:
                return landed
        return await self._fly(key, at_least)

    def drop(self, key: bytes) -> bool:
        """Forget a record that has changed; true when there was one."""
        young, old = self._young.pop(key, None), self._old.pop(key, None)
        for entry in (young, old):
            if entry is not None:
                self.size_bytes -= _size(key, entry[1])
        return young is not None or old is not None

    def clear(self) -> None:
        """Forget everything."""
        self._young, self._old, self.size_bytes = {}, {}, 0

    async def _join(self, flight: "asyncio.Future[Stored]") -> Stored | None:
        """Wait for another caller's flight; None when that caller was cancelled and somebody must fly again."""
        try:
            return await asyncio.shield(flight)
        except asyncio.CancelledError:
            if flight.cancelled():
                return None
            raise

    async def _fly(self, key: bytes, at_least: int) -> Stored:
        flight: asyncio.Future[Stored] = asyncio.get_running_loop().create_future()
        self._flights[key] = flight
        try:
            stored = await self._read(key, at_least)
        except SourceUnavailable as gone:
            flight.set_exception(gone)
            flight.exception()  # seen here: those who joined raise it, and perhaps nobody did
            raise
        except BaseException:
            flight.cancel()
            raise
        else:
            flight.set_result(stored)
            self._put(key, stored)
            return stored
        finally:
            if self._flights.get(key) is flight:
                del self._flights[key]

    async def _read(self, key: bytes, at_least: int) -> Stored:
        """Read below until the answer is as new as what this worker knows by then (law 2 of freshness)."""
        freshness = self._freshness
        for _ in range(_REREADS):
            life = freshness.life
            stored = await self._below.lookup(key, at_least=at_least)
            if stored.serial >= (floor := freshness.floor(key)) and life == freshness.life:
                return stored
            at_least = max(at_least, floor)
        raise SourceUnavailable("the record changes faster than it can be read")

    def _get(self, key: bytes) -> Stored | None:
        entry = self._young.get(key)
        if entry is None:
            if (entry := self._old.pop(key, None)) is None:
                return None
            self.size_bytes -= _size(key, entry[1])
            self._store(key, entry)
        if entry[0] <= self._clock():
            self.drop(key)
            return None
        return entry[1]

    def _put(self, key: bytes, stored: Stored) -> None:
        if self._limit == 0:
            return
        limit = NEGATIVE_TTL_SECONDS if stored.handle is None else MAX_TTL_SECONDS
        self.drop(key)
        self._store(key, (self._clock() + min(stored.ttl_seconds, limit), stored))

    def _store(self, key: bytes, entry: _Entry) -> None:
        if len(self._young) >= self._limit:
            self.size_bytes -= sum(_size(old_key, old[1]) for old_key, old in self._old.items())
            self._old, self._young = self._young, {}
        self._young[key] = entry
        self.size_bytes += _size(key, entry[1])


def _size(key: bytes, stored: Stored) -> int:
    return len(key) + len(stored.wire) + len(stored.json) + _ENTRY_OVERHEAD_BYTES
