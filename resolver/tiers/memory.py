"""The first tier: records in this process, negative answers included, one flight per key, bounded.

Two generations of a dict approximate least-recently-used: when the young one is full it becomes the old one, and a hit
in the old one moves the record up.  Laws: whatever leaves `lookup` is at least as new as every change this worker
knows, and as what it gave for that key before; what is kept lives to the end of its TTL, however often it is asked for.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from resolver.answer import MAX_TTL_SECONDS, NEGATIVE_TTL_SECONDS, Stored, Tier
from resolver.freshness import Freshness
from resolver.source import Give, Source, SourceUnavailable

_MAX_SHARED = 16_384
_ENTRY_OVERHEAD_BYTES = 320  # two dict slots, tuple, headers of the bytes objects
_REREADS = 3


class _Flight(NamedTuple):
    """A read under way: where those wait who joined it (None: nobody did), and what its answer has to be at least."""

    landing: "asyncio.Future[Stored] | None"
    at_least: int


_ALONE = _Flight(None, 0)


class MemoryTier:
    """Keeps records by canonical key; everything it gives was read at or after the key's newest known change."""

    def __init__(
        self,
        below: Source,
        freshness: Freshness,
        clock: Callable[[], float],
        *,
        max_entries: int,
        max_bytes: int,
        on_newer: Callable[[bytes], object],
    ) -> None:
        """`clock` is monotonic seconds; the bounds hold for both generations together (0 entries keep nothing).

        `on_newer` is told the key of each answer that is ahead of the change feed: whoever keeps what was made of an
        older one must forget it.
        """
        self._below = below
        self._freshness = freshness
        self._clock = clock
        self._max_entries = max_entries // 2
        self._max_bytes = max_bytes // 2
        self._on_newer = on_newer
        self._young: dict[bytes, Stored] = {}  # their TTL is when it ends, in seconds of `clock`
        self._old: dict[bytes, Stored] = {}
        self._young_bytes = 0
        self._old_bytes = 0
        self._flights: dict[bytes, _Flight] = {}
        self._shared: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    @property
    def size_bytes(self) -> int:
        """Roughly what the records take, in bytes."""
        return self._young_bytes + self._old_bytes

    async def lookup(self, key: bytes, *, at_least: int = 0) -> Stored:
        """Return the record from memory, or join the flight under way for its key, or start one."""
        stored = self._get(key)
        if stored is not None and stored.serial >= at_least:
            return stored
        has_waited = (
            False  # then a flight under way began after we came, and is as new as we could fly
        )
        while (flight := self._flights.get(key)) is not None:
            landed = await self._join(flight.landing or self._landing_of(key, flight))
            is_new = has_waited and flight.at_least >= at_least
            if landed is not None and (is_new or landed.serial >= at_least):
                return landed
            has_waited = True
        return await self._fly(key, at_least)

    async def gather(self, keys: Sequence[bytes], give: Give) -> None:
        """Give what memory has, start one flight for all others, and join those under way; see `Source`."""
        known: dict[bytes, Stored] = {}
        missing: list[bytes] = []
        flying: list[bytes] = []
        for key in keys:
            if (stored := self._get(key)) is not None:
                known[key] = stored
            else:
                (flying if key in self._flights else missing).append(key)
        if known:
            give(known)
        joined = _each(self._give(key, give) for key in flying)
        try:  # at once: what is missing has to fly before anybody else asks for it
            await self._fly_together(missing, give)
        except SourceUnavailable:
            await joined
            raise
        except BaseException:
            joined.add_done_callback(_see)
            joined.cancel()
            raise
        _raise_first(await joined)

    async def _give(self, key: bytes, give: Give) -> None:
        give({key: await self.lookup(key)})

    def drop(self, key: bytes) -> bool:
        """Forget a record that has changed; true when there was one."""
        young, old = self._young.pop(key, None), self._old.pop(key, None)
        if young is not None:
            self._young_bytes -= _size(key, young)
        if old is not None:
            self._old_bytes -= _size(key, old)
        return young is not None or old is not None

    def clear(self) -> None:
        """Forget everything."""
        self._young, self._old = {}, {}
        self._young_bytes = self._old_bytes = 0

    def _landing_of(self, key: bytes, flight: _Flight) -> "asyncio.Future[Stored]":
        """Return where those wait who join a flight that nobody waited for."""
        landing: asyncio.Future[Stored] = asyncio.get_running_loop().create_future()
        self._flights[key] = _Flight(landing, flight.at_least)
        return landing

    async def _join(self, landing: "asyncio.Future[Stored]") -> Stored | None:
        """Wait for another caller's flight; None when that caller was cancelled and somebody must fly again."""
        try:
            return await asyncio.shield(landing)
        except asyncio.CancelledError:
            me = asyncio.current_task()
            if landing.cancelled() and me is not None and not me.cancelling():
                return None
            raise  # it is we who are to end, perhaps with that caller

    async def _fly(self, key: bytes, at_least: int) -> Stored:
        landing: asyncio.Future[Stored] = asyncio.get_running_loop().create_future()
        self._flights[key] = flight = _Flight(landing, at_least)
        try:
            stored = await self._read(key, at_least)
        except SourceUnavailable as gone:
            _fail(landing, gone)
            raise
        except BaseException:
            landing.cancel()
            raise
        else:
            self._land(key, stored)
            landing.set_result(stored)
            return stored
        finally:
            if self._flights.get(key) is flight:
                del self._flights[key]

    async def _fly_together(self, keys: Sequence[bytes], give: Give) -> None:
        """Read what nobody else reads; answers older than what this worker knows by then are read again."""
        freshness, life, flights = self._freshness, self._freshness.life, self._flights
        left = dict.fromkeys(keys, _ALONE)
        too_old: list[bytes] = []
        flights.update(left)

        def take(found: Mapping[bytes, Stored]) -> None:
            new = {}
            for key, stored in found.items():
                del left[key]
                landing = flights.pop(key).landing
                if stored.serial < self._floor(key) or life != freshness.life:
                    too_old.append(key)
                    _cancel(landing)
                    continue
                self._land(key, stored)
                new[key] = stored
                if landing is not None:
                    landing.set_result(stored)
            give(new)

        try:
            if left:
                await self._below.gather(keys, take)
        except BaseException as error:
            self._give_up(left, error)
            raise
        if too_old:
            _raise_first(await _each(self._give(key, give) for key in too_old))

    def _give_up(self, keys: Iterable[bytes], error: BaseException) -> None:
        for key in keys:
            landing = self._flights.pop(key, _ALONE).landing
            if isinstance(error, SourceUnavailable):
                _fail(landing, error)
            else:
                _cancel(landing)

    def _floor(self, key: bytes) -> int:
        """Return what an answer must have been read at, or later (law 2 of freshness)."""
        return max(self._freshness.floor(key), self._freshness.window_start)

    async def _read(self, key: bytes, at_least: int) -> Stored:
        """Read below until the answer is as new as what this worker knows by then (law 2 of freshness)."""
        freshness = self._freshness
        for _ in range(_REREADS):
            life = freshness.life
            stored = await self._below.lookup(key, at_least=at_least)
            floor = self._floor(key)
            if stored.serial >= floor and life == freshness.life:
                return stored
            at_least = max(at_least, floor)
        raise SourceUnavailable("the record changes faster than it can be read")

    def _land(self, key: bytes, stored: Stored) -> None:
        if stored.serial > self._freshness.seen:
            self._freshness.given(key, stored.serial)
            self._on_newer(key)
        if self._max_entries:
            limit = NEGATIVE_TTL_SECONDS if stored.handle is None else MAX_TTL_SECONDS
            self.drop(key)
            expires = int(self._clock() + min(stored.ttl_seconds, limit))
            self._store(key, self._thrifty(key, expires, stored))

    def _thrifty(self, key: bytes, expires: int, stored: Stored) -> Stored:
        """Return the record as it is kept, with one object for what many have alike."""
        if len(self._shared) >= _MAX_SHARED:
            self._shared.clear()
        share = self._shared.setdefault
        return stored._replace(
            handle=key if stored.handle == key else stored.handle,
            ttl_seconds=share(expires, expires),
            serial=share(stored.serial, stored.serial),
        )

    def _get(self, key: bytes) -> Stored | None:
        """Return a record that is kept, with what is left of its TTL; it is true for all changes seen by now."""
        stored = self._young.get(key)
        if stored is None:
            if (stored := self._old.pop(key, None)) is None:
                return None
            self._old_bytes -= _size(key, stored)
            self._store(key, stored)
        if (left := stored.ttl_seconds - self._clock()) <= 0:
            self.drop(key)
            return None
        serial = max(stored.serial, self._freshness.seen)
        return stored._replace(serial=serial, ttl_seconds=int(left), tier=Tier.MEMORY)

    def _store(self, key: bytes, stored: Stored) -> None:
        if len(self._young) >= self._max_entries or self._young_bytes >= self._max_bytes:
            self._old, self._old_bytes = self._young, self._young_bytes
            self._young, self._young_bytes = {}, 0
        self._young[key] = stored
        self._young_bytes += _size(key, stored)


def _each(
    reads: Iterable[Coroutine[Any, Any, None]],
) -> "asyncio.Future[list[BaseException | None]]":
    """Begin all of them; what comes is how each has ended."""
    return asyncio.gather(*reads, return_exceptions=True)


def _see(ended: "asyncio.Future[list[BaseException | None]]") -> None:
    """Take note of an end that nobody waits for, so that the loop does not tell of it."""
    if not ended.cancelled():
        ended.exception()


def _raise_first(ended: Iterable[BaseException | None]) -> None:
    for error in ended:
        if error is not None:
            raise error


def _fail(landing: "asyncio.Future[Stored] | None", gone: SourceUnavailable) -> None:
    if landing is not None:
        landing.set_exception(gone)
        landing.exception()  # seen here: those who joined raise it, and perhaps nobody did


def _cancel(landing: "asyncio.Future[Stored] | None") -> None:
    """Let those who joined fly again."""
    if landing is not None:
        landing.cancel()


def _size(key: bytes, stored: Stored) -> int:
    return len(key) + len(stored.wire) + len(stored.json) + _ENTRY_OVERHEAD_BYTES
