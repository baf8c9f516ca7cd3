"""Change records under load, and look for an answer that is older than it may be.

    python -m loadtest.stale --seconds 60 --writers 4

A node with three workers is asked over UDP, TCP and HTTP on connections that stay open, several to each worker, while
writers change records straight in Postgres as the loader does.  Meanwhile, one after the other, records come and go and
prefixes are homed, let go and delegated.  Held to: on one connection never an older answer after a newer one; after a
commit every connection gives the new answer within a second.
"""

import argparse
import asyncio
import os
import random
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import cycle, islice
from time import perf_counter

import uvloop

from loadtest.stand import Node, open_stand
from loadtest.watch import (
    ELSEWHERE,
    FOUND,
    NO_SUCH_HANDLE,
    REFERRED,
    Findings,
    Link,
    Reader,
    Subject,
    Watch,
    end,
    meet_all_workers,
)
from node.store.changes import ChangeKind, append_changes
from node.store.database import Connection, Database, StoreError, StoreUnavailable
from node.store.prefixes import PrefixRow, PrefixState, write_prefixes
from resolver.handlejson import values_to_json
from resolver.wire import HandleValue, encode_values

WORKERS = 3
LINKS_EACH = 2  # of each protocol to each worker
COUNTERS = 24
EVENTS_PER_SECOND = 4.0
MAX_EVENTS = 100_000  # of one run
LIMIT_SECONDS = 1.0
LIMIT_ON_A_BUSY_MACHINE_SECONDS = 2.0
BUSY_LOAD = 4.0
FIRST_ROUND_SECONDS = 20.0
WATCHED_SECONDS = 1.2  # before an event, so that every reader has the old answer in every form
RETRY_SECONDS = 0.05
HOME = b"88.1000.1"

_PUT = """
insert into record (key, prefix, handle, ttl, wire, json) values ($1, $2, $3, 86400, $4, $5)
on conflict (key) do update set wire = excluded.wire, json = excluded.json
"""
_DELETE = "delete from record where key = $1"
_UNHOME = "delete from prefix where prefix = $1"

Change = tuple[bytes, ChangeKind]
Act = Callable[[Connection], Awaitable[Sequence[Change]]]
Disturb = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens once to a subject: `prepare` before anybody asks, `happen` when it is watched."""

    subject: Subject
    prepare: Act
    happen: Act


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
    seed: int = 1,
    limit: float = LIMIT_SECONDS,
    may_be_busy: bool = False,
    disturb: Disturb | None = None,
) -> Findings:
    """Change and read for so long, and return what was found; `disturb` runs meanwhile, and the run waits for its end.

    With `may_be_busy` the database may be away at times, and only the counters change.  The records are other ones for
    each seed, so a node can be held to its promise again.
    """
    watch = Watch(limit, may_be_busy=may_be_busy)
    counters = [Subject(b"%b/counter-%d-%d" % (HOME, seed, number)) for number in range(COUNTERS)]
    events = [] if may_be_busy else make_events(_event_count(seconds), seed)
    async with Database(node.settings.database_url) as database:
        await _prepare(database, counters, events)
        watch.active.extend(counters)
        links = await meet_all_workers(node, LINKS_EACH)
        try:
            await asyncio.gather(*(link.finds(counters[0]) for link in links))
            await _run(watch, database, links, counters, events, seconds, writers, seed, disturb)
        finally:
            await end(links)
    return watch.findings


async def _run(
    watch: Watch,
    database: Database,
    links: Sequence[Link],
    counters: Sequence[Subject],
    events: Sequence[Event],
    seconds: float,
    writers: int,
    seed: int,
    disturb: Disturb | None,
) -> None:
    readers = [Reader(watch, link, seed + number) for number, link in enumerate(links)]
    async with asyncio.TaskGroup() as tasks:
        reading = [tasks.create_task(reader.run()) for reader in readers]
        await _until(lambda: all(r.rounds >= 2 for r in readers), FIRST_ROUND_SECONDS)
        stop = asyncio.Event()
        writing = [
            tasks.create_task(_count_up(database, counters[number::writers], stop, seed + number))
            for number in range(writers)
        ]
        happening = tasks.create_task(_let_happen(database, events, watch, readers))
        if disturb is not None:
            await disturb()
        await asyncio.gather(happening, asyncio.sleep(seconds if disturb is None else 0))
        stop.set()
        await asyncio.gather(*writing)
        await _catch_up(watch, readers, counters)
        watch.stop.set()
        await asyncio.gather(*reading)


async def _prepare(
    database: Database, counters: Sequence[Subject], events: Sequence[Event]
) -> None:
    async with database.transaction() as connection:
        changes: list[Change] = await _set_home(HOME, PrefixState.HOMED)(connection)
        for subject in counters:
            changes += await _put(subject.handle, 0)(connection)
        for event in events:
            changes += await event.prepare(connection)
        await _append(connection, changes)


def _event_count(seconds: float) -> int:
    """How many have begun, happened and been seen in that time."""
    return int(max(0.0, seconds - 2) * EVENTS_PER_SECOND)


async def put_records(database_url: str, handles: Sequence[bytes]) -> int:
    """Write records below HOME with the number 0; return the serial.  Raises StoreUnavailable, StoreError."""
    async with (
        Database(database_url, max_connections=1) as database,
        database.transaction() as connection,
    ):
        changes: list[Change] = await _set_home(HOME, PrefixState.HOMED)(connection)
        for handle in handles:
            changes += await _put(handle, 0)(connection)
        return await _append(connection, changes)


def make_events(count: int, seed: int) -> list[Event]:
    """Return things that happen to records and prefixes, in turns of each kind; other ones for each seed."""
    kinds = islice(cycle((_appears, _vanishes, _is_let_go, _is_delegated, _is_homed)), count)
    return [kind(seed * MAX_EVENTS + number) for number, kind in enumerate(kinds)]


def _appears(number: int) -> Event:
    handle = b"%b/appears-%d" % (HOME, number)
    return Event(Subject(handle, {NO_SUCH_HANDLE: 0, FOUND: 1}), _nothing, _put(handle, 1))


def _vanishes(number: int) -> Event:
    handle = b"%b/vanishes-%d" % (HOME, number)

    async def delete(connection: Connection) -> list[Change]:
        await connection.execute(_DELETE, handle.upper())
        return [(handle.upper(), ChangeKind.RECORD)]

    return Event(Subject(handle, {FOUND: 0, NO_SUCH_HANDLE: 1}), _put(handle, 0), delete)


def _is_let_go(number: int) -> Event:
    prefix, before = _homed_record(number)

    async def let_go(connection: Connection) -> list[Change]:
        await connection.execute(_UNHOME, prefix)
        return [(prefix, ChangeKind.PREFIX)]

    return Event(_below(prefix, {FOUND: 0, ELSEWHERE: 1}), before, let_go)


def _is_delegated(number: int) -> Event:
    prefix, before = _homed_record(number)
    codes = {FOUND: 0, REFERRED: 1}
    return Event(_below(prefix, codes), before, _set_home(prefix, PrefixState.DELEGATED))


def _is_homed(number: int) -> Event:
    prefix = b"88.2000.%d" % number
    before = _put(_below(prefix, {}).handle, 0)
    codes = {ELSEWHERE: 0, FOUND: 1}
    return Event(_below(prefix, codes), before, _set_home(prefix, PrefixState.HOMED))


def _homed_record(number: int) -> tuple[bytes, Act]:
    prefix = b"88.2000.%d" % number

    async def prepare(connection: Connection) -> list[Change]:
        homed = await _set_home(prefix, PrefixState.HOMED)(connection)
        return [*homed, *await _put(_below(prefix, {}).handle, 0)(connection)]

    return prefix, prepare


def _below(prefix: bytes, codes: Mapping[int, int]) -> Subject:
    return Subject(prefix + b"/below", codes)


async def _nothing(_connection: Connection) -> list[Change]:
    return []


def _put(handle: bytes, number: int) -> Callable[[Connection], Awaitable[list[Change]]]:
    async def put(connection: Connection) -> list[Change]:
        value = HandleValue(1, b"URL", b"http://idnode.test/#%d#" % number)
        key, prefix = handle.upper(), handle.partition(b"/")[0]
        encoded = (encode_values([value]), values_to_json([value]))
        await connection.execute(_PUT, key, prefix, handle, *encoded)
        return [(key, ChangeKind.RECORD)]

    return put


def _set_home(prefix: bytes, state: PrefixState) -> Callable[[Connection], Awaitable[list[Change]]]:
    async def set_home(connection: Connection) -> list[Change]:
        await write_prefixes(connection, [PrefixRow(prefix, prefix.decode(), state)])
        return [(prefix, ChangeKind.PREFIX)]

    return set_home


async def _append(connection: Connection, changes: Sequence[Change]) -> int:
    keys, kinds = [key for key, _ in changes], [kind for _, kind in changes]
    return await append_changes(connection, keys, kinds)


async def _count_up(
    database: Database, subjects: Sequence[Subject], stop: asyncio.Event, seed: int
) -> None:
    """Raise the numbers of these records, one to three in a transaction."""
    dice = random.Random(seed)
    while not stop.is_set():
        chosen = dice.sample(subjects, min(len(subjects), dice.randint(1, 3)))
        while not await _raise_numbers(database, chosen):  # noqa: ASYNC110  it tries, each time
            await asyncio.sleep(RETRY_SECONDS)
        _note_commit(chosen)
        await asyncio.sleep(dice.uniform(0.0, 0.06))


async def _raise_numbers(database: Database, chosen: Sequence[Subject]) -> bool:
    """False when the database was away: perhaps it was done, so do it with the same numbers once more."""
    with suppress(StoreUnavailable, StoreError):
        async with database.transaction() as connection:
            changes: list[Change] = []
            for subject in chosen:
                changes += await _put(subject.handle, subject.newest + 1)(connection)
            await _append(connection, changes)
        return True
    return False


def _note_commit(subjects: Sequence[Subject]) -> None:
    now = perf_counter()
    for subject in subjects:
        subject.commits.append(now)


async def _let_happen(
    database: Database, events: Sequence[Event], watch: Watch, readers: Sequence[Reader]
) -> None:
    """Let the events happen one after the other, each watched for a while before and after."""
    async with asyncio.TaskGroup() as tasks:
        for event in events:
            tasks.create_task(_let_one_happen(database, event, watch, readers))
            await asyncio.sleep(1 / EVENTS_PER_SECOND)


async def _let_one_happen(
    database: Database, event: Event, watch: Watch, readers: Sequence[Reader]
) -> None:
    subject = event.subject
    watch.active.append(subject)
    await asyncio.sleep(WATCHED_SECONDS)
    async with database.transaction() as connection:
        await _append(connection, await event.happen(connection))
    _note_commit([subject])
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


def run(seconds: float, writers: int, seed: int) -> int:
    """Start a node and hold it to its promise; print what was found; return the exit status."""
    with (
        open_stand() as stand,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        node = stand.start_node("stale", {"WORKERS": str(WORKERS)})
        limit = limit_seconds()
        findings = runner.run(
            campaign(node, seconds=seconds, writers=writers, seed=seed, limit=limit)
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
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args(arguments)
    return run(chosen.seconds, chosen.writers, chosen.seed)


if __name__ == "__main__":
    sys.exit(main())
