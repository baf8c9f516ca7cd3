"""The second tier: the same records in Redis, shared by all workers; speed, never truth.

Everything is under a name that holds the database's epoch, so one Redis can serve two databases and a restored
database never sees an older self.  One key, the *state*, holds two serials:

- `base`: entries read before it are worthless (this Redis was empty, or missed changes, at that time);
- `applied`: every change up to it has been written here as a tombstone.

Each worker applies the changes that it reads from the feed, in order; the first one does it, the others find it done.
An entry that stands here is therefore true for all changes up to `applied`, and is given with that serial.
Laws, which make a Redis that was down, flushed, cut off or restored from an old file cost speed and nothing else:

1. a reader takes the state in the same MGET as the entries, and uses them only if `applied` reaches back into its own
   window of recent changes, the entry's serial is not below `base`, and not below the key's newest known change;
2. an entry is put only at a read serial not below `applied`, and only over an older one (both checked in Lua);
3. changes are applied without a gap, or `base` moves up to where the gap ends;
4. what is not of our making is as good as nothing.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

from redis.exceptions import RedisError

from resolver.answer import MAX_TTL_SECONDS, NEGATIVE_TTL_SECONDS, Stored
from resolver.freshness import Freshness
from resolver.source import NEWEST, Give, Source
from resolver.tiers.entry import LAYOUT, NO_STATE, decode, decode_state, encode
from resolver.tiers.redisclient import Client

_READ_SECONDS = 0.25
_WRITE_SECONDS = 1.0
_PAUSE_SECONDS = 1.0  # after an error, ask the next tier for so long
_GAP_SECONDS = 1.0
_GATHER_SECONDS = (
    0.002  # until records that were read are put: the more at once, the less each one costs
)
_TOMBSTONE_SECONDS = 600
_MAX_WAITING_PUTS = 20_000
_BATCH_KEYS = 512
_FETCHES = 2  # under way at once; meanwhile questions gather, so the more there is to do, the less each one costs
_TOMBSTONES = 5_000  # in one script: it holds up everybody who asks this Redis

_PUT = """
local state = redis.call('GET', KEYS[1])
local applied = state and tonumber(string.sub(state, 17, 32), 16)
if not applied then return 0 end
local done = 0
for i = 2, #KEYS do
  local value = ARGV[i]
  local serial = tonumber(string.sub(value, 1, 16), 16)
  local there = tonumber(redis.call('GETRANGE', KEYS[i], 0, 15), 16)
  if serial >= applied and (not there or there <= serial) then
    redis.call('SET', KEYS[i], value, 'EX', ARGV[1])
    done = done + 1
  end
end
return done
"""

_APPLY = """
local state = redis.call('GET', KEYS[1]) or ''
local base = tonumber(string.sub(state, 1, 16), 16) or -1
local applied = tonumber(string.sub(state, 17, 32), 16) or -1
local from, upto = tonumber(ARGV[1]), tonumber(ARGV[2])
if applied >= upto then return applied end
if ARGV[3] == 'gap' then base = upto elseif applied < from then return applied end
for i = 2, #KEYS do
  redis.call('SET', KEYS[i], string.format('%016x', upto), 'EX', ARGV[4])
end
if ARGV[3] ~= 'part' then
  redis.call('SET', KEYS[1], string.format('%016x%016x', base, upto))
end
return upto
"""

_STATE = b"state"  # no canonical key is spelled so: each holds a slash or a colon

Result = TypeVar("Result")
Spawn = Callable[[Coroutine[Any, Any, None]], object]


class RedisTier:
    """Shares records between workers; gone, slow or flushed, it passes every question on."""

    def __init__(
        self,
        below: Source,
        freshness: Freshness,
        client: Client,
        *,
        spawn: Spawn,
        on_error: Callable[[], None],
        tag: str = "",
        holds: Callable[[bytes], bool] | None = None,
    ) -> None:
        """`spawn` starts a task in the worker's task group.  Nothing is shared before `serve` names the epoch.

        All names hold the `tag`; `holds` says which keys are asked for here (None: all), of which alone changes matter.
        """
        self._below = below
        self._freshness = freshness
        self._client = client
        self._name = b""  # how the names of this life of the database begin
        self._spawn = spawn
        self._on_error = on_error
        self._tag = tag
        self._holds = holds
        self._put_script = client.register_script(_PUT)
        self._apply_script = client.register_script(_APPLY)
        self._waiting: dict[bytes, asyncio.Future[Stored | None]] = {}
        self._fetching = 0  # MGETs under way
        self._puts: dict[bytes, Stored] = {}
        self._wake = asyncio.Event()
        self._is_behind = True  # Redis may lack changes
        self._down_until = 0.0  # on the clock of the event loop, as the next one
        self._gap_seen = 0.0  # when `applied` was first found below our window; 0 when it is not
        self.is_up = True

    def serve(self, epoch: str) -> None:
        """Share the records of this life of the database, and none of another one's."""
        self._name = f"idnode:{LAYOUT}:{self._tag}{epoch}:".encode()
        self._puts.clear()
        self.changed()

    async def lookup(self, key: bytes, *, at_least: int = 0) -> Stored:
        """Return the shared record if the laws allow it, else ask below and offer the answer to Redis."""
        name = self._name
        if name and at_least != NEWEST and _now() >= self._down_until:
            stored = await self._wait(key)
            if stored is not None and stored.serial >= at_least and name == self._name:
                return stored
        stored = await self._below.lookup(key, at_least=at_least)
        if name == self._name and name and len(self._puts) < _MAX_WAITING_PUTS:
            self._puts[key] = stored
            self._wake.set()
        return stored

    async def gather(self, keys: Sequence[bytes], give: Give) -> None:
        """Ask for all in one MGET, and below for what is not there; see `Source`."""
        name, missing = self._name, keys
        if name and _now() >= self._down_until:
            found = await self._take(keys)
            if found and name == self._name:
                give(found)
                missing = [key for key in keys if key not in found]

        def offer(read: Mapping[bytes, Stored]) -> None:
            give(read)
            if name == self._name and name and len(self._puts) < _MAX_WAITING_PUTS:
                self._puts.update(read)
                self._wake.set()

        if missing:
            await self._below.gather(missing, offer)

    async def _wait(self, key: bytes) -> Stored | None:
        """Wait for an MGET; whoever is cancelled takes his future with him, and others of his key ask again."""
        while True:
            asked = self._ask(key)
            try:
                return await asked
            except asyncio.CancelledError:
                me = asyncio.current_task()
                if not asked.cancelled() or me is None or me.cancelling():
                    raise

    def _ask(self, key: bytes) -> "asyncio.Future[Stored | None]":
        """Join the MGET that all misses share which come in this tick of the loop, or while others are under way."""
        if (future := self._waiting.get(key)) is None or future.cancelled():
            loop = asyncio.get_running_loop()
            if not self._waiting:
                loop.call_soon(self._dispatch)
            future = self._waiting[key] = loop.create_future()
        return future

    def _dispatch(self) -> None:
        """Ask for what waits, as far as an MGET is free for it; nobody waits for a Redis that is down."""
        if self._waiting and _now() < self._down_until:
            waiting, self._waiting = self._waiting, {}
            _settle(waiting, {})
        while self._waiting and self._fetching < _FETCHES:
            batch = dict(islice(self._waiting.items(), _BATCH_KEYS))
            for key in batch:
                del self._waiting[key]
            self._fetching += 1
            self._spawn(self._fetch(batch))

    async def _fetch(self, waiting: "dict[bytes, asyncio.Future[Stored | None]]") -> None:
        found: dict[bytes, Stored] = {}
        try:
            found = await self._take(list(waiting))
        finally:
            _settle(waiting, found)
            self._fetching -= 1
        self._dispatch()  # not when cancelled: nothing is begun any more

    async def _take(self, keys: Sequence[bytes]) -> dict[bytes, Stored]:
        """Return what Redis has of these keys; nothing when it fails."""
        try:
            names = [self._name + _STATE, *(self._name + key for key in keys)]
            async with asyncio.timeout(_READ_SECONDS):
                state, *values = await self._client.fetch(names)
            found = self._read(state, keys, values)
        except (RedisError, OSError, TimeoutError):
            self._fail()
            return {}
        self.is_up = True
        return found

    def _read(self, data: Any, keys: Sequence[bytes], values: list[Any]) -> dict[bytes, Stored]:
        """Decode what law 1 allows."""
        state = decode_state(data)
        if state is NO_STATE or state.applied < self._freshness.window_start:
            self.changed()
            return {}
        floor, now = self._freshness.floor, time.time()
        found = {}
        for key, value in zip(keys, values, strict=True):
            if value is not None:
                stored = decode(value, state, floor(key), now)
                if stored is not None:
                    found[key] = stored
        return found

    def _fail(self) -> None:
        self._down_until = _now() + _PAUSE_SECONDS
        self._puts.clear()
        self.is_up = False
        self._on_error()

    def changed(self) -> None:
        """Say that the freshness window has grown, or that Redis may lack changes: `run` will apply them."""
        self._is_behind = True
        self._wake.set()

    async def run(self) -> None:
        """Apply changes and put records, until cancelled."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(_GATHER_SECONDS)
            self._wake.clear()
            is_behind, self._is_behind = self._is_behind, False
            try:
                if is_behind:
                    await self._apply()
                await self._put()
                self.is_up = True
            except (RedisError, OSError, TimeoutError):
                self._fail()
                await asyncio.sleep(_PAUSE_SECONDS)
                self.changed()

    async def _apply(self) -> None:
        """Write the tombstones of all changes that this Redis lacks (law 3)."""
        name, seen, life = self._name, self._freshness.seen, self._freshness.life
        if not name:
            return
        state = decode_state(await _in_time(self._client.get(name + _STATE)))
        if life != self._freshness.life:
            self.changed()  # what is known now is of another life, and has another name
        elif state.applied >= seen:
            self._gap_seen = 0.0
        elif state.applied >= self._freshness.window_start:
            self._gap_seen = 0.0
            await self._bury(name, state.applied, seen)
        elif state is NO_STATE or self._has_waited():
            await self._send(name, seen, seen, "gap", [])

    def _has_waited(self) -> bool:
        """A worker that has just started knows few changes: first give the others time to apply what it lacks."""
        now = _now()
        self._gap_seen = self._gap_seen or now
        if now - self._gap_seen >= _GAP_SECONDS:
            self._gap_seen = 0.0
            return True
        asyncio.get_running_loop().call_later(_GAP_SECONDS, self.changed)
        return False

    async def _bury(self, name: bytes, applied: int, seen: int) -> None:
        """Write tombstones in several steps, of which the last one says that all are there."""
        keys = self._freshness.changed_after(applied)
        if self._holds:
            keys = list(filter(self._holds, keys))
        while len(keys) > _TOMBSTONES:
            await self._send(name, applied, seen, "part", keys[:_TOMBSTONES])
            del keys[:_TOMBSTONES]
        await self._send(name, applied, seen, "", keys)

    async def _send(self, name: bytes, start: int, upto: int, mode: str, keys: list[bytes]) -> None:
        names = [name + _STATE, *(name + key for key in keys)]
        arguments: list[str | int] = [start, upto, mode, _TOMBSTONE_SECONDS]
        await _in_time(self._apply_script(keys=names, args=arguments))

    async def _put(self) -> None:
        name, puts, self._puts = self._name, list(self._puts.items()), {}
        for start in range(0, len(puts), _BATCH_KEYS):
            names, values, now, longest = [name + _STATE], [], time.time(), 0
            for key, stored in puts[start : start + _BATCH_KEYS]:
                limit = NEGATIVE_TTL_SECONDS if stored.handle is None else MAX_TTL_SECONDS
                if (ttl := min(stored.ttl_seconds, limit)) > 0:
                    names.append(name + key)
                    values.append(encode(stored, now + ttl))
                    longest = max(longest, ttl)
            if values:  # each says itself until when it holds; Redis lets all of them go when the last one has ended
                await _in_time(self._put_script(keys=names, args=[longest, *values]))


def _settle(
    waiting: "dict[bytes, asyncio.Future[Stored | None]]", found: Mapping[bytes, Stored]
) -> None:
    for key, future in waiting.items():
        if not future.done():
            future.set_result(found.get(key))


async def _in_time(call: Awaitable[Result]) -> Result:
    """Wait for a command that writes, or that nobody waits for."""
    async with asyncio.timeout(_WRITE_SECONDS):
        return await call


def _now() -> float:
    return asyncio.get_running_loop().time()
