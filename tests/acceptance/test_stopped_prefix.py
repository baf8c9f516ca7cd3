"""A prefix that is stopped stops resolving within a second, over every protocol and at every worker, cached or not."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest

from loadtest.stale import WORKERS, limit_seconds
from loadtest.stand import Node, open_stand
from loadtest.watch import (
    ELSEWHERE,
    FOUND,
    REFERRED,
    Reader,
    Subject,
    Watch,
    end,
    meet_all_workers,
    note_commit,
)
from node.model.enterprise import EnterpriseAction
from node.model.stage import PrefixAction
from node.registry.objects import Objects
from node.store.database import Database
from node.store.writing import SESSION
from resolver.registrar import Operation
from tests.support.objects import EVERYBODY, admit, delegate, host, objects_on
from tests.support.registry import do, registrar_on, url

pytestmark = pytest.mark.slow

STOPPED = Subject(b"88.118.1/x", {FOUND: 0, ELSEWHERE: 1})
WITH_ITS_ENTERPRISE = Subject(b"88.118.2/x", {FOUND: 0, ELSEWHERE: 1})
DELEGATED = Subject(b"88.118.3/x", {REFERRED: 0, ELSEWHERE: 1})
SUBJECTS = (STOPPED, WITH_ITS_ENTERPRISE, DELEGATED)


@pytest.fixture
def started() -> Iterator[Node]:
    with open_stand() as stand:
        yield stand.start_node("stopped", {"WORKERS": str(WORKERS)})


async def settle(database: Database) -> Objects:
    """Have two enterprises with prefixes that resolve."""
    objects = objects_on(database)
    await admit(objects, 1)
    await admit(objects, 2)
    await host(objects, "88.118.1", "e1")
    await host(objects, "88.118.2", "e2")
    await delegate(objects, "88.118.3", enterprise="e2")
    async with registrar_on(database) as registrar:
        for subject in (STOPPED, WITH_ITS_ENTERPRISE):
            made = await do(registrar, Operation.CREATE, subject.handle.decode(), url())
            assert made.code == FOUND, made
    return objects


async def stop_prefix(objects: Objects) -> object:
    return await objects.step_prefix("88.118.1", PrefixAction.STOP, EVERYBODY, reason="检修")


async def disable(objects: Objects) -> object:
    return await objects.step_enterprise("e2", EnterpriseAction.DISABLE, EVERYBODY, reason="注销")


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110  as readers go on
            await asyncio.sleep(0.01)


async def test_a_stopped_prefix_stops_everywhere_within_a_second(started: Node) -> None:
    watch = Watch(limit_seconds())
    async with Database(started.settings.database_url, settings=SESSION) as database:
        objects = await settle(database)
        await asyncio.sleep(1)  # for every worker to hear of it
        watch.active.extend(SUBJECTS)
        links = await meet_all_workers(started, 1)
        readers = [Reader(watch, link, number) for number, link in enumerate(links)]

        async def stop(step: Awaitable[object], *stopped: Subject) -> None:
            await step
            note_commit(stopped)
            await until(lambda: all(r.seen.get(s) == 1 for r in readers for s in stopped))

        async def asked_again() -> None:
            rounds = [reader.rounds for reader in readers]
            await until(lambda: all(r.rounds > n + 2 for r, n in zip(readers, rounds, strict=True)))

        try:
            async with asyncio.TaskGroup() as tasks:
                for reader in readers:
                    tasks.create_task(reader.run())
                try:
                    await asked_again()
                    await stop(stop_prefix(objects), STOPPED)
                    await asked_again()
                    await stop(disable(objects), WITH_ITS_ENTERPRISE, DELEGATED)
                finally:
                    watch.stop.set()
        finally:
            await end(links)

    found = watch.findings
    print(found.summary())  # noqa: T201  figures to look at, with -s
    assert found.faults[:10] == []
    assert len(found.delays) == len(SUBJECTS) * len(readers)
    assert set(found.answers) == {"udp", "tcp", "http_json"}
