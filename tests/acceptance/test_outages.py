"""Without Redis every answer stays right; without Postgres what is known goes on, and the rest is "busy"."""

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from time import perf_counter

import pytest

from loadtest import cpu
from loadtest.events import HOME
from loadtest.exchange import native_request
from loadtest.stale import campaign, limit_seconds, put_records
from loadtest.stand import Node, answers_by_tier, flush_redis, get, open_stand
from loadtest.watch import BUSY, FOUND, Findings, Link, Subject, end, meet_all_workers
from node.store.database import Database
from resolver.observe import Protocol
from resolver.wire import HandleValue, Permission, encode_values
from tests.support.rows import put_record

pytestmark = pytest.mark.slow

SETTINGS = {"WORKERS": "2"}
SECONDS = 3.5
WRITERS = 3
RECOVERS_SECONDS = 20.0
ANSWERS_SECONDS = (
    2.0  # without Redis: its time limit is a quarter of a second; the rest is the machine
)
KNOWN_SECONDS = 0.5  # for an answer that is in memory
REFUSED_SECONDS = 9.0  # until a client is told "busy", twice (2 s each; the rest is the machine)
RESTRICTED = b"%b/restricted" % HOME
HIDDEN = HandleValue(1, b"EMAIL", b"nobody@idnode.test", permissions=int(Permission.ADMIN_READ))


@pytest.fixture(scope="module")
def running() -> Iterator[Node]:
    """A node that the tests of this module share."""
    with open_stand() as stand:
        yield stand.start_node("outages", SETTINGS)


async def hold_to_it(
    running: Node, seed: int, disturb: Callable[[], Awaitable[None]], *, may_be_busy: bool = False
) -> Findings:
    """Change and read while `disturb` does its work; every answer must be right and in time."""
    findings = await campaign(
        running,
        seconds=SECONDS,
        writers=WRITERS,
        seed=seed,
        limit=limit_seconds(),
        may_be_busy=may_be_busy,
        disturb=disturb,
    )
    print(findings.summary())  # noqa: T201  figures to look at, with -s
    assert findings.faults[:10] == []
    assert min(findings.answers.values()) > 100
    return findings


async def until(holds: Callable[[], bool]) -> None:
    """Wait, with what blocks in a thread.  Raises TimeoutError."""
    async with asyncio.timeout(RECOVERS_SECONDS):
        while not await asyncio.to_thread(holds):  # noqa: ASYNC110  it asks, each time
            await asyncio.sleep(0.02)


def server(running: Node, name: str) -> int:
    """Return the process of an embedded server; 0 while there is none."""
    servers = [
        pid
        for pid in running.stores()
        if name in cpu.command(pid).split(" ", 1)[0] and "tether" not in cpu.command(pid)
    ]
    return min(servers, key=lambda pid: len(cpu.tree([pid])) == 1, default=0)


def levels(running: Node, gauge: str) -> list[float]:
    """Return a level as each worker says it."""
    lines = get(running.admin, "/metrics")[1].decode().splitlines()
    return [float(line.split()[-1]) for line in lines if line.startswith(f"idnode_{gauge}{{")]


def redis_is_up(running: Node) -> bool:
    """True when every worker says so."""
    return set(levels(running, "redis_up")) == {1.0}


def stop_tree(root: int) -> list[int]:
    """Stop a process, then all that came of it: the root first, so that it starts no more."""
    os.kill(root, signal.SIGSTOP)
    pids = cpu.tree([root])
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    return pids


def readiness(running: Node) -> tuple[int, dict[str, tuple[bool, str]]]:
    """Return the status of the node's `/readyz`, and each check's result and reason."""
    status, body = get(running.admin, "/readyz")
    return status, {
        each["name"]: (each["ok"], each["reason"]) for each in json.loads(body)["checks"]
    }


async def is_shared_again(running: Node) -> None:
    """Redis is used again, and one worker finds there what another one put."""
    await until(lambda: redis_is_up(running))
    before = answers_by_tier(running.admin)["redis"]
    await until(lambda: answers_by_tier(running.admin)["redis"] > before + 10)


async def kill_redis(running: Node) -> None:
    killed = server(running, "valkey")
    os.kill(killed, signal.SIGKILL)
    await until(lambda: server(running, "valkey") not in (0, killed))


async def pause_redis(running: Node) -> None:
    paused = server(running, "valkey")
    os.kill(paused, signal.SIGSTOP)
    try:
        await until(lambda: not redis_is_up(running))
        assert readiness(running)[0] == 200  # it is speed, and no reason to turn clients away
        assert readiness(running)[1]["redis"] == (
            True,
            "not in use; answers cost more, none is wrong",
        )
        await asyncio.sleep(1)  # so long that a try in between fails too
    finally:
        os.kill(paused, signal.SIGCONT)


async def empty_redis(running: Node) -> None:
    for _ in range(5):
        await asyncio.to_thread(flush_redis, running.settings.redis_url)
        await asyncio.sleep(0.2)


@pytest.mark.parametrize(
    ("seed", "disturb"), [(10, kill_redis), (11, pause_redis), (12, empty_redis)]
)
async def test_redis_gone_slow_or_flushed_costs_speed_only(
    running: Node, seed: int, disturb: Callable[[Node], Awaitable[None]]
) -> None:
    async def disturb_and_recover() -> None:
        await asyncio.sleep(0.5)
        await disturb(running)
        await is_shared_again(running)

    findings = await hold_to_it(running, seed, disturb_and_recover)

    assert findings.longest_seconds < ANSWERS_SECONDS


@asynccontextmanager
async def known_and_cold(
    running: Node, seed: int
) -> AsyncIterator[tuple[Sequence[Link], bytes, list[bytes]]]:
    """Links to every worker, a record that every worker has in memory, and records that none has."""
    known = b"%b/known-%d" % (HOME, seed)
    cold = [b"%b/cold-%d-%d" % (HOME, seed, number) for number in range(4_000)]
    async with Database(running.settings.database_url, max_connections=1) as database:
        await put_record(database, RESTRICTED.upper(), whole=encode_values([HIDDEN]))
    serial = await put_records(running.settings.database_url, [known, *cold])
    await until(lambda: min(levels(running, "feed_serial")) >= serial)
    links = await meet_all_workers(running, 1)
    try:
        for link in links:
            await link.finds(Subject(known))
            await link.look_up(RESTRICTED)  # its public part is in memory; the rest never is
        yield links, known, cold
    finally:
        await end(links)


async def check_known(links: Sequence[Link], known: bytes) -> None:
    for link in links:
        began = perf_counter()
        assert await link.look_up(known) == (FOUND, 0)
        assert perf_counter() - began < KNOWN_SECONDS


async def check_refused(running: Node, links: Sequence[Link], cold: list[bytes]) -> None:
    """What is not in memory is refused as "busy" in time, natively and over HTTP."""
    began = perf_counter()
    tcp = next(link for link in links if link.protocol is Protocol.TCP)
    hidden = await tcp.ask([native_request(RESTRICTED, flags=0)])
    assert int.from_bytes(hidden[0][24:28], "big") == BUSY
    codes = await asyncio.gather(*(link.look_up(cold.pop()) for link in links))
    assert perf_counter() - began < REFUSED_SECONDS
    assert {code for code, _ in codes} == {BUSY}
    path = f"/api/handles/{cold.pop().decode()}"
    status, body = await asyncio.to_thread(get, running.http, path)
    assert (status, json.loads(body)["responseCode"]) == (503, BUSY)


async def test_postgres_that_stands_still(running: Node) -> None:
    async def pause() -> None:
        pids = stop_tree(server(running, "postgres"))
        try:
            await check_known(links, known)
            await check_refused(running, links, cold)
            await until(lambda: readiness(running)[0] == 503)
            checks = readiness(running)[1]
            assert not all(ok for ok, _ in checks.values())
            assert checks["change feed"][1].startswith("read ")
            await check_known(links, known)
            await check_refused(running, links, cold)
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
        await until(lambda: readiness(running)[0] == 200)
        for link in links:
            assert (await link.look_up(cold.pop()))[0] == FOUND

    async with known_and_cold(running, 20) as (links, known, cold):
        findings = await hold_to_it(running, 20, pause, may_be_busy=True)

    assert findings.busy


async def test_postgres_that_is_killed(running: Node) -> None:
    killed = server(running, "postgres")
    codes: Counter[int] = Counter()
    newest: dict[int, int] = {}

    async def ask_cold(link: Link, stop: asyncio.Event) -> None:
        while not stop.is_set():
            newest[id(link)], _ = await link.look_up(cold.pop())
            codes[newest[id(link)]] += 1
            await asyncio.sleep(0.02)

    async def kill() -> None:
        stop = asyncio.Event()
        asking = [asyncio.create_task(ask_cold(link, stop)) for link in links]
        os.kill(killed, signal.SIGKILL)
        await until(lambda: server(running, "postgres") not in (0, killed))
        await until(lambda: set(newest.values()) == {FOUND} and readiness(running)[0] == 200)
        stop.set()
        await asyncio.gather(*asking)

    async with known_and_cold(running, 21) as (links, _, cold):
        await hold_to_it(running, 21, kill, may_be_busy=True)

    assert FOUND in codes
    assert set(codes) <= {FOUND, BUSY}
