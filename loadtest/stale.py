"""Change records under load, and look for an answer that is older than it may be.

    python -m loadtest.stale --seconds 60 --writers 4 --http-writers 4

A node with three workers is asked over UDP, TCP and HTTP on connections that stay open, several to each worker, while
writers change records, some straight in Postgres as the loader does, some over HTTP as clients do.  Meanwhile, one
after the other, records come and go in both ways, and prefixes are homed, let go and delegated.  Held to: on one
connection never an older answer after a newer one; after a commit every connection gives the new answer within a
second.
"""

import argparse
import asyncio
import os
import random
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import uvloop

from loadtest.administrators import SETTINGS, settle
from loadtest.events import HOME, Change, Event, append, make_events, put, set_home
from loadtest.stand import Node, open_stand
from loadtest.watch import (
    Findings,
    Link,
    Reader,
    Subject,
    Watch,
    end,
    meet_all_workers,
    note_commit,
)
from loadtest.web_writer import WebWriter
from node.store.database import Database, StoreError, StoreUnavailable
from node.store.prefixes import PrefixState

WORKERS = 3
LINKS_EACH = 2  # of each protocol to each worker
COUNTERS = 24
EVENTS_PER_SECOND = 4.0
LIMIT_SECONDS = 1.0
LIMIT_ON_A_BUSY_MACHINE_SECONDS = 2.0
BUSY_LOAD = 4.0
FIRST_ROUND_SECONDS = 20.0
WATCHED_SECONDS = 1.2  # before an event, so that every reader has the old answer in every form
RETRY_SECONDS = 0.05

Disturb = Callable[[], Awaitable[None]]


def limit_seconds() -> float:
    """Return how late an answer may be, and say so when the machine is too busy for the usual limit."""
    if os.getloadavg()[0] <= BUSY_LOAD:
        return LIMIT_SECONDS
    print(
        f"the load average is {os.getloadavg()[0]:.1f}: {LIMIT_ON_A_BUSY_MACHINE_SECONDS} s are allowed"
    )
    return LIMIT_ON_A_BUSY_MACHINE_SECONDS


async def campaign(
    node: Node,
    *,
    seconds: float,
    writers: int,
    http_writers: int = 0,
    seed: int = 1,
    limit: float = LIMIT_SECONDS,
    may_be_busy: bool = False,
    disturb: Disturb | None = None,
) -> Findings:
    """Change and read for so long, and return what was found; `disturb` runs meanwhile, and the run waits for its end.

    With `may_be_busy` the database may be away at times, and only the counters change.  The records are other ones for
    each seed, so a node can be held to its promise again.  With `http_writers` the node must be that of
    `loadtest.administrators`.
    """
    watch = Watch(limit, may_be_busy=may_be_busy)
    counters = [Subject(b"%b/counter-%d-%d" % (HOME, seed, number)) for number in range(COUNTERS)]
    events = [] if may_be_busy else make_events(_event_count(seconds), seed, web=http_writers > 0)
    web = [WebWriter(node, seed + number) for number in range(http_writers)]
    async with Database(node.settings.database_url) as database:
        await _prepare(database, counters, events)
        watch.active.extend(counters)
        links = await meet_all_workers(node, LINKS_EACH)
        try:
            await asyncio.gather(*(link.finds(counters[0]) for link in links))
            scene = _Scene(watch, database, counters, events, web, seed)
            await _run(scene, links, seconds, writers, disturb)
        finally:
            await end(links)
            for writer in web:
                writer.close()
    return watch.findings


@dataclass(frozen=True, slots=True)
class _Scene:
    """What a run is made of."""

    watch: Watch
    database: Database
    counters: Sequence[Subject]
    events: Sequence[Event]
    web: Sequence[WebWriter]
    seed: int

    def counting(self, stop: asyncio.Event, writers: int) -> list[Awaitable[None]]:
        """Return what raises the numbers until told to stop; each record has one writer."""
        total = writers + len(self.web)
        parts = [self.counters[number::total] for number in range(total)]
        direct = [
            _count_up(self, part, stop, self.seed + number)
            for number, part in enumerate(parts[:writers])
        ]
        over_http = [
            writer.count_up(part, stop)
            for writer, part in zip(self.web, parts[writers:], strict=True)
        ]
        return [*direct, *over_http]


async def _run(
    scene: _Scene, links: Sequence[Link], seconds: float, writers: int, disturb: Disturb | None
) -> None:
    watch = scene.watch
    readers = [Reader(watch, link, scene.seed + number) for number, link in enumerate(links)]
    async with asyncio.TaskGroup() as tasks:
        reading = [tasks.create_task(reader.run()) for reader in readers]
        await _until(lambda: all(r.rounds >= 2 for r in readers), FIRST_ROUND_SECONDS)
        stop = asyncio.Event()
        writing = asyncio.gather(*scene.counting(stop, writers))
        happening = tasks.create_task(_let_happen(scene, readers))
        if disturb is not None:
            await disturb()
        await asyncio.gather(happening, asyncio.sleep(seconds if disturb is None else 0))
        stop.set()
        await writing
        watch.note_end()
        await _catch_up(watch, readers, scene.counters)
        watch.stop.set()
        await asyncio.gather(*reading)


async def _prepare(
    database: Database, counters: Sequence[Subject], events: Sequence[Event]
) -> None:
    async with database.transaction() as connection:
        changes: list[Change] = await set_home(HOME, PrefixState.HOMED)(connection)
        for subject in counters:
            changes += await put(subject.handle, 0)(connection)
        for event in events:
            changes += await event.prepare(connection)
        await append(connection, changes)


def _event_count(seconds: float) -> int:
    """How many have begun, happened and been seen in that time."""
    return int(max(0.0, seconds - 2) * EVENTS_PER_SECOND)


async def put_records(database_url: str, handles: Sequence[bytes]) -> int:
    """Write records below HOME with the number 0; return the serial.  Raises StoreUnavailable, StoreError."""
    async with (
        Database(database_url, max_connections=1) as database,
        database.transaction() as connection,
    ):
        changes: list[Change] = await set_home(HOME, PrefixState.HOMED)(connection)
        for handle in handles:
            changes += await put(handle, 0)(connection)
        return await append(connection, changes)


async def _count_up(
    scene: _Scene, subjects: Sequence[Subject], stop: asyncio.Event, seed: int
) -> None:
    """Raise the numbers of these records, one to three in a transaction."""
    dice = random.Random(seed)
    while not stop.is_set():
        chosen = dice.sample(subjects, min(len(subjects), dice.randint(1, 3)))
        while not await _raise_numbers(scene.database, chosen):  # noqa: ASYNC110  it tries, each time
            await asyncio.sleep(RETRY_SECONDS)
        note_commit(chosen)
        scene.watch.note_write()
        await asyncio.sleep(dice.uniform(0.0, 0.06))


async def _raise_numbers(database: Database, chosen: Sequence[Subject]) -> bool:
    """False when the database was away: perhaps it was done, so do it with the same numbers once more."""
    with suppress(StoreUnavailable, StoreError):
        async with database.transaction() as connection:
            changes: list[Change] = []
            for subject in chosen:
                changes += await put(subject.handle, subject.newest + 1)(connection)
            await append(connection, changes)
        return True
    return False


async def _let_happen(scene: _Scene, readers: Sequence[Reader]) -> None:
    """Let the events happen one after the other, each watched for a while before and after."""
    async with asyncio.TaskGroup() as tasks:
        for event in scene.events:
            tasks.create_task(_let_one_happen(scene, event, readers))
            await asyncio.sleep(1 / EVENTS_PER_SECOND)


async def _let_one_happen(scene: _Scene, event: Event, readers: Sequence[Reader]) -> None:
    subject, watch = event.subject, scene.watch
    watch.active.append(subject)
    await asyncio.sleep(WATCHED_SECONDS)
    if event.request:
        await scene.web[0].send_alone(event.request)
    else:
        async with scene.database.transaction() as connection:
            await append(connection, await event.happen(connection))
    note_commit([subject])
    await _catch_up(watch, readers, [subject])
    watch.active.remove(subject)


async def _catch_up(watch: Watch, readers: Sequence[Reader], subjects: Sequence[Subject]) -> None:
    """Wait until every reader has seen the newest version; those that do not are a violation."""
    wanted = {subject: subject.newest for subject in subjects}

    def behind() -> list[str]:
        return [
            f"{reader.name}: {subject.handle!r} never showed version {version}"
            for reader in readers
            for subject, version in wanted.items()
            if reader.seen.get(subject, -1) < version
        ]

    try:
        await _until(lambda: not behind(), 2 * watch.findings.limit_seconds + 1)
    except TimeoutError:
        watch.findings.faults.extend(behind())


async def _until(holds: Callable[[], bool], seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(0.01)


def run(seconds: float, writers: int, http_writers: int, seed: int) -> int:
    """Start a node and hold it to its promise; print what was found; return the exit status."""
    with (
        open_stand() as stand,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        node = stand.start_node("stale", {"WORKERS": str(WORKERS), **SETTINGS})
        settle(stand, node)
        limit = limit_seconds()
        findings = runner.run(
            campaign(
                node,
                seconds=seconds,
                writers=writers,
                http_writers=http_writers,
                seed=seed,
                limit=limit,
            )
        )
    for fault in findings.faults[:20]:
        print("FAULT", fault)
    print(findings.summary())
    return 1 if findings.faults else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="stale", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--http-writers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args(arguments)
    return run(chosen.seconds, chosen.writers, chosen.http_writers, chosen.seed)


if __name__ == "__main__":
    sys.exit(main())
