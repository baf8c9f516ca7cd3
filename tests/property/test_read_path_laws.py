"""Whatever is written, polled, asked, lost and delayed in whatever order: no worker goes back, and all catch up.

A state machine drives two workers' caches over a truth in memory and a real Redis.  Time stands still unless the test
moves it, and every call to the truth and to Redis can be held before and after it is done.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from functools import partial
from random import Random
from time import perf_counter_ns
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)
from redis.exceptions import ConnectionError as RedisConnectionError

from node.readpath import Caches
from resolver.answer import Answer, Stored
from resolver.finder import Found, Sought
from resolver.freshness import Freshness
from resolver.observe import CELL_COUNT, Protocol, Tally
from resolver.responder import Origin, Reply, Surroundings
from resolver.service import Resolver
from resolver.tiers.redisclient import Client, connect
from resolver.wire import (
    Envelope,
    Flag,
    Header,
    Message,
    Opcode,
    ResolutionAnswer,
    ResolutionRequest,
    ResponseCode,
)
from tests.support.memory import MemoryStore
from tests.support.responders import responder_over
from tests.support.servers import temporary_valkey
from tests.support.sources import EachAlone
from tests.support.truth import Truth
from tests.support.web import SITE

KEYS = [b"88.1/%d" % number for number in range(3)]
PLACES = ("truth, before", "truth, after", "redis, before", "redis, after")
PLAIN, BY_TYPE, AUTHORITATIVE = "plain", "by type", "authoritative"
WORKERS = 2
SIZES = [(0, 0), (8, 0), (0, 4), (8, 4)]  # ready replies and records that a worker keeps
ACCIDENTS = ["flush", "evict", "save", "restore", "down"]
STYLES = [PLAIN, BY_TYPE, AUTHORITATIVE]
EXAMPLES, STEPS = 40, 50
WALKS, WALK_STEPS = 200, 60
WORKER = st.integers(0, WORKERS - 1)
STYLE = st.sampled_from(STYLES)


class StillLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock moves only when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000.0

    def time(self) -> float:
        return self.now


@dataclass
class Gates:
    """Where calls are held; and the calls of Redis that are really under way."""

    closed: set[str] = field(default_factory=set)
    held: list["asyncio.Future[None]"] = field(default_factory=list)
    under_way: int = 0
    is_redis_down: bool = False

    async def through(self, place: str) -> None:
        if place in self.closed:
            waiting = asyncio.get_running_loop().create_future()
            self.held.append(waiting)
            await waiting

    def release(self, position: int) -> None:
        if not self.held:
            return
        waiting = self.held.pop(position % len(self.held))
        if not waiting.done():
            waiting.set_result(None)

    async def redis(self, call: Coroutine[Any, Any, Any]) -> Any:
        """Make a call of Redis, held before and after it."""
        try:
            await self.through("redis, before")
            if self.is_redis_down:
                raise RedisConnectionError("down")
        except BaseException:
            call.close()
            raise
        self.under_way += 1
        try:
            found = await call
        finally:
            self.under_way -= 1
        await self.through("redis, after")
        return found


class GatedTruth(EachAlone):
    """The last tier: it takes its snapshot when it is let do so, and answers when it is let answer."""

    def __init__(self, truth: Truth, gates: Gates) -> None:
        self._truth = truth
        self._gates = gates

    async def lookup(self, key: bytes, *, at_least: int = 0) -> Stored:
        await self._gates.through("truth, before")
        for _ in range(3):  # no network answers in the turn in which it is asked
            await asyncio.sleep(0)
        found = self._truth.read(key)
        await self._gates.through("truth, after")
        return found


class GatedRedis:
    """What the tier uses of a client."""

    def __init__(self, client: Client, gates: Gates) -> None:
        self._client = client
        self._gates = gates

    async def get(self, name: bytes) -> Any:
        return await self._gates.redis(self._client.get(name))  # type: ignore[arg-type]

    async def fetch(self, names: list[bytes]) -> Any:
        return await self._gates.redis(self._client.fetch(names))

    def register_script(self, text: str) -> Any:
        script = self._client.register_script(text)

        async def call(*, keys: list[bytes], args: list[Any]) -> Any:
            return await self._gates.redis(script(keys=keys, args=args))

        return call


def request(key: bytes, style: str) -> bytes:
    flags = Flag.PUBLIC_ONLY | (Flag.AUTHORITATIVE if style == AUTHORITATIVE else 0)
    types = (b"URL",) if style == BY_TYPE else ()
    return Message(
        Envelope(2, 11, 2, 11),
        Header(Opcode.RESOLUTION, flags=int(flags)),
        ResolutionRequest(key, types=types).encode(),
    ).encode()


class Worker:
    """The caches of one worker, and what answers from them."""

    def __init__(self, truth: Truth, gates: Gates, client: Client, sizes: tuple[int, int]) -> None:
        self.tasks: set[asyncio.Task[None]] = set()
        self.newest: dict[bytes, int] = {}  # by key: the version of the last answer
        tally = Tally([0] * CELL_COUNT)
        self.caches = Caches(
            GatedTruth(truth, gates),
            GatedRedis(client, gates),  # type: ignore[arg-type]
            tally,
            self.spawn,
            hot_entries=sizes[0],
            memory_entries=sizes[1],
            freshness=Freshness(window_keys=1),
        )
        store = MemoryStore()
        store.homed.add(b"88.1")
        service = Resolver(self.caches.memory, store, store, SITE)
        self.responder = responder_over(store, service, self.caches.hot_wire, tally, _WORLD)
        self.finder = self.responder.finder(Protocol.UDP, self.spawn, self._found, self._left)
        self.caches.restart(truth.epoch, truth.serial)
        assert self.caches.redis is not None
        self.spawn(self.caches.redis.run())

    def _found(self, found: list[Found]) -> None:
        for each in found:
            each.sought.back(each.reply)

    def _left(self, sought: Sought, answer: Answer | None) -> None:
        origin = Origin(Protocol.UDP, "192.0.2.1")
        if answer is None:
            reply = self.responder.respond(sought.message, origin)
        else:
            reply = self.responder.say(sought, answer, origin)
        self.spawn(self._tell(reply, sought.back))

    async def _tell(self, reply: Awaitable[Reply], back: Callable[[bytes], None]) -> None:
        back((await reply).message)

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self.tasks.discard(task)
        if not task.cancelled():
            task.result()  # a failure goes to the loop's exception handler

    def learn(self, truth: Truth, upto: int) -> None:
        seen = self.caches.freshness.seen
        self.caches.learn(upto, [each for each in truth.changes if seen < each[0] <= upto])


async def _unsigned(_block: bytes, _sha256: bool) -> bytes:
    return b""


_WORLD = Surroundings(lambda: 0.0, bytes, _unsigned)


class Machine(RuleBasedStateMachine):
    """See the module."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.loop = StillLoop()
        self.faults: list[str] = []
        self.loop.set_exception_handler(lambda _, context: self.faults.append(str(context)))
        self.truth, self.gates = Truth(), Gates()
        self.clients: list[Client] = []
        self.workers: list[Worker] = []
        self.saved: dict[bytes, bytes] = {}
        self.url, self.sizes = url, (0, 0)

    async def _open(self, url: str, sizes: tuple[int, int]) -> None:
        self.clients = [connect(url) for _ in range(WORKERS + 1)]
        self.workers = [
            Worker(self.truth, self.gates, client, sizes) for client in self.clients[:WORKERS]
        ]

    def run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Do it, and then let everything run until it stands."""

        async def both() -> None:
            await coroutine
            quiet = 0
            while quiet < 15:
                await asyncio.sleep(0)
                quiet = 0 if self.gates.under_way else quiet + 1

        self.loop.run_until_complete(both())
        assert not self.faults

    @initialize(sizes=st.sampled_from(SIZES))
    def begin(self, sizes: tuple[int, int]) -> None:
        self.sizes = sizes
        self.run(self._open(self.url, sizes))
        self.truth.write(*KEYS[:2])
        self.run(self._learn_all())

    @rule(key=st.sampled_from(KEYS), is_removed=st.sampled_from([False, False, True]))
    def write(self, key: bytes, is_removed: bool) -> None:
        if is_removed:
            self.truth.remove(key)
        else:
            self.truth.write(key)

    @rule(worker=WORKER, key=st.sampled_from(KEYS), style=STYLE)
    def ask(self, worker: int, key: bytes, style: str) -> None:
        self.run(self._ask(self.workers[worker], key, style))

    @rule(worker=WORKER, key=st.sampled_from(KEYS))
    def ask_again(self, worker: int, key: bytes) -> None:
        self.run(self._ask(self.workers[worker], key, PLAIN))

    @rule(worker=WORKER, keys=st.lists(st.sampled_from(KEYS), max_size=5))
    def ask_together(self, worker: int, keys: list[bytes]) -> None:
        self.run(self._ask_together(self.workers[worker], keys))

    @rule(key=st.sampled_from(KEYS), worker=WORKER, is_alone=st.booleans())
    def write_while_it_is_read(self, key: bytes, worker: int, is_alone: bool) -> None:
        """A common accident, which chance alone brings about too seldom."""
        self.truth.write(key)
        self.run(self._learn(self.workers[worker], 1))
        self.gates.closed |= {"truth, after"}
        if is_alone:
            self.run(self._ask(self.workers[worker], key, PLAIN))
        else:
            self.run(self._ask_together(self.workers[worker], [key]))
        self.truth.write(key)
        self.gates.closed -= {"truth, after"}

    @rule(worker=WORKER, share=st.sampled_from([0.3, 1, 1]))
    def poll(self, worker: int, share: float) -> None:
        self.run(self._learn(self.workers[worker], share))

    @rule(place=st.sampled_from(PLACES))
    def hold(self, place: str) -> None:
        self.gates.closed ^= {place}

    @rule(position=st.integers(0, 5))
    def release_one(self, position: int) -> None:
        self.gates.release(position)
        self.run(asyncio.sleep(0))

    @rule()
    def release_all(self) -> None:
        self.gates.closed.clear()
        self.run(self._release_all())

    @rule(seconds=st.sampled_from([0.3, 1.5]))
    def let_time_pass(self, seconds: float) -> None:
        self.loop.now += seconds
        self.run(asyncio.sleep(0))

    @rule(worker=WORKER, is_killed=st.booleans())
    def begin_anew(self, worker: int, is_killed: bool) -> None:
        if is_killed:
            self.run(self._replace(worker))
        else:
            self.run(self._restart(self.workers[worker]))

    @rule(
        accident=st.sampled_from(ACCIDENTS),
        number=st.integers(0, 5),
    )
    def lose_redis(self, accident: str, number: int) -> None:
        match accident:
            case "flush":
                self.run(self._flush())
            case "evict":
                self.run(self._evict(number))
            case "save":
                self.run(self._save())
            case "restore":
                self.run(self._restore())
            case _:
                self.gates.is_redis_down = not self.gates.is_redis_down

    def teardown(self) -> None:
        """In the end everybody hears of everything, and answers with the truth, ready or not."""
        try:
            self.gates.closed.clear()
            self.gates.is_redis_down = False
            for _ in range(3):
                self.run(self._release_all())
                self.loop.now += 2
            self.run(self._learn_all())
            for _ in range(2):
                for worker in self.workers:
                    for key in KEYS:
                        self.run(self._ask(worker, key, PLAIN))
                        assert worker.newest[key] == self._versions(key)[-1]
        finally:
            self.loop.run_until_complete(self._close())
            self.loop.close()

    async def _ask(self, worker: Worker, key: bytes, style: str) -> None:
        data = request(key, style)
        ready = worker.caches.hot_wire.reply(data, perf_counter_ns())
        floor = self._floor(worker, key, style)
        if ready is not None:
            self._check(worker, key, floor, ready[1])
        else:
            worker.spawn(self._answer(worker, key, floor, data))

    async def _ask_together(self, worker: Worker, keys: list[bytes]) -> None:
        """As they come over UDP."""
        for key in keys:
            data = request(key, PLAIN)
            back = partial(self._check, worker, key, self._floor(worker, key, PLAIN))
            ready = worker.caches.hot_wire.reply(data, perf_counter_ns())
            if ready is not None:
                back(ready[1])
            elif not worker.finder.add(data, back):
                await self._ask(worker, key, PLAIN)
        worker.finder.start()

    async def _answer(self, worker: Worker, key: bytes, floor: int, data: bytes) -> None:
        reply = await worker.responder.respond(data, Origin(Protocol.UDP, "192.0.2.1"))
        self._check(worker, key, floor, reply.message)

    def _versions(self, key: bytes) -> list[int]:
        return [0, *(serial for serial, changed in self.truth.changes if changed == key)]

    def _floor(self, worker: Worker, key: bytes, style: str) -> int:
        """The version that the answer to a question put now must have, or a later one."""
        known = self.truth.serial if style == AUTHORITATIVE else worker.caches.freshness.seen
        return max(version for version in self._versions(key) if version <= known)

    def _check(self, worker: Worker, key: bytes, floor: int, reply: bytes) -> None:
        """The answer is one that was true, not before `floor`, and not before the last answer."""
        message = Message.decode(reply)
        if message.header.response_code == ResponseCode.SERVER_BUSY:
            return
        said = _said(message)
        least = max(floor, worker.newest.get(key, 0))
        later = [version for version in self._versions(key) if version >= least]
        possible = [version for version in later if said == self._says(version)]
        if not possible:
            self.faults.append(f"{key!r}: {said} when it was at least {least}")
        else:
            worker.newest[key] = possible[0]

    def _says(self, version: int) -> int | None:
        return None if version == 0 or version in self.truth.removals else version

    async def _learn(self, worker: Worker, share: float) -> None:
        seen = worker.caches.freshness.seen
        worker.learn(self.truth, seen + round((self.truth.serial - seen) * share))

    async def _learn_all(self) -> None:
        for worker in self.workers:
            worker.learn(self.truth, self.truth.serial)

    async def _restart(self, worker: Worker) -> None:
        worker.caches.restart(self.truth.epoch, self.truth.serial)

    async def _replace(self, number: int) -> None:
        await _end(self.workers[number])
        self.workers[number] = Worker(self.truth, self.gates, self.clients[number], self.sizes)

    async def _release_all(self) -> None:
        while self.gates.held:
            self.gates.release(0)
            await asyncio.sleep(0)

    async def _names(self) -> list[bytes]:
        names = await self.clients[-1].keys(f"idnode:2:{self.truth.epoch}:*")
        return sorted(name for name in names if isinstance(name, bytes))

    async def _flush(self) -> None:
        if names := await self._names():
            await self.clients[-1].delete(*names)

    async def _evict(self, position: int) -> None:
        if names := await self._names():
            await self.clients[-1].delete(names[position % len(names)])

    async def _save(self) -> None:
        names = await self._names()
        dumps = {name: await self.clients[-1].dump(name) for name in names}
        self.saved = {name: data for name, data in dumps.items() if data is not None}

    async def _restore(self) -> None:
        await self._flush()
        for name, data in self.saved.items():
            await self.clients[-1].restore(name, 600_000, data)

    async def _close(self) -> None:
        for worker in self.workers:
            await _end(worker)
        await self._flush()
        for client in self.clients:
            await client.aclose()


def _said(message: Message) -> int | None:
    """The version that an answer gives, None when it says that there is no such handle."""
    if message.header.response_code == ResponseCode.HANDLE_NOT_FOUND:
        return None
    assert message.header.response_code == ResponseCode.SUCCESS
    (value,) = ResolutionAnswer.decode(message.body).values
    return int(value.data.removeprefix(b"written at "))


async def _end(worker: Worker) -> None:
    for task in list(worker.tasks):
        task.cancel()
    await asyncio.gather(*worker.tasks, return_exceptions=True)


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("valkey")
    with temporary_valkey(directory) as server:
        yield server.url


def test_no_worker_goes_back_and_all_catch_up(redis_url: str) -> None:
    run_state_machine_as_test(
        lambda: Machine(redis_url),  # type: ignore[arg-type]  # a factory will do, says its documentation
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


Step = Callable[[Machine, Random], None]

STEPS_OF_A_WALK: dict[Step, float] = {
    lambda machine, chance: machine.write(chance.choice(KEYS), chance.random() < 0.3): 4,
    lambda machine, chance: machine.ask(
        chance.randrange(WORKERS), chance.choice(KEYS), chance.choice(STYLES)
    ): 6,
    lambda machine, chance: machine.ask_again(chance.randrange(WORKERS), chance.choice(KEYS)): 3,
    lambda machine, chance: machine.ask_together(
        chance.randrange(WORKERS), chance.choices(KEYS, k=chance.randrange(1, 5))
    ): 4,
    lambda machine, chance: machine.write_while_it_is_read(
        chance.choice(KEYS), chance.randrange(WORKERS), chance.random() < 0.4
    ): 3,
    lambda machine, chance: machine.poll(chance.randrange(WORKERS), chance.choice([0.3, 1, 1])): 3,
    lambda machine, chance: machine.hold(chance.choice(PLACES)): 1.5,
    lambda machine, chance: machine.release_one(chance.randrange(6)): 3,
    lambda machine, chance: machine.release_all(): 1,
    lambda machine, chance: machine.let_time_pass(chance.choice([0.3, 1.5])): 0.7,
    lambda machine, chance: machine.begin_anew(
        chance.randrange(WORKERS), chance.random() < 0.5
    ): 0.7,
    lambda machine, chance: machine.lose_redis(chance.choice(ACCIDENTS), chance.randrange(6)): 1.5,
}


def test_nor_on_long_walks(redis_url: str) -> None:
    """Of those that find most faults for their time; each is known by its seed."""
    for seed in range(WALKS):
        chance = Random(seed)  # noqa: S311 - the seed is the point
        machine = Machine(redis_url)
        machine.begin(chance.choice(SIZES))
        steps = chance.choices(list(STEPS_OF_A_WALK), list(STEPS_OF_A_WALK.values()), k=WALK_STEPS)
        for step in steps:
            step(machine, chance)
        machine.teardown()
