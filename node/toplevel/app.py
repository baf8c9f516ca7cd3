"""App: the top-level node, put together: its stores, its listeners, and what it does by itself.

Started in one order, stopped in the reverse: stores, papers, listeners, tasks.  A kill at any moment costs nothing that
was acknowledged.
"""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from random import Random, SystemRandom
from time import perf_counter_ns, time
from typing import NamedTuple

from node.address import Endpoint
from node.errors import Kind, RegistryError
from node.ledger.keys import NoteError
from node.together import end_all
from node.toplevel import registry as registered
from node.toplevel import rows
from node.toplevel.channel import Channel
from node.toplevel.copies import START, Copies
from node.toplevel.counts import Counts
from node.toplevel.database import Database, DatabaseFailed
from node.toplevel.daycounts import DayCounts
from node.toplevel.desk import Desk, Office
from node.toplevel.faults import Clock
from node.toplevel.inbox import SqliteInbox
from node.toplevel.journal import Journal
from node.toplevel.judging import ACROSS, Judge
from node.toplevel.listeners import (
    channel_app,
    make_door,
    page_app,
    serving_http,
    serving_native,
)
from node.toplevel.mischief import Door, Mischief
from node.toplevel.native import Answers
from node.toplevel.page import Page
from node.toplevel.papers import Papers
from node.toplevel.probing import INTERVAL_SECONDS, Prober
from node.toplevel.registrar import Policy, Registrar
from node.toplevel.registry import Registry
from node.toplevel.resolution import Routes
from node.toplevel.shown import read_counts
from node.toplevel.views import Views
from node.toplevel.watch import Watch
from sync.channels.tables import ENTERPRISE_ROUTE, NODE_ROUTE

ROUTES_SECONDS = 0.5  # after which a change of routes is seen at the latest
REGISTRY_SECONDS = 0.2
TICK_SECONDS = 1.0
LOGS_SECONDS = 0.2

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Plan(NamedTuple):
    """What the command line says."""

    data_dir: Path
    listen: Endpoint
    page: Endpoint
    native: Endpoint
    node_prefix: str
    hosts: tuple[str, ...] = ()
    decide_seconds: float | None = None
    checks_across: bool = True
    restore: str = ""
    logs: tuple[str, ...] = ()
    log_files: tuple[Path, ...] = ()  # of such keys; one that is not there yet is waited for
    witness_name: str = "toplevel.example/witness"
    probe_seconds: float = INTERVAL_SECONDS


class Running(NamedTuple):
    """Where it is reached, and what the node is handed."""

    channel: Endpoint
    page: Endpoint
    native: Endpoint
    papers: Papers
    witness_key: str


class TopLevel:
    """Everything, wired."""

    def __init__(self, plan: Plan, database: Database, registry: Registry, random: Random) -> None:
        """Raises RegistryError."""
        self.clock = Clock(time)
        self.database = database
        self.registry = registry
        self.journal = Journal(self.clock)
        self.papers = Papers(plan.data_dir, plan.node_prefix, (plan.listen.host, *plan.hosts))
        self.copies = Copies(plan.data_dir / "copies", database)
        self.mischief = Mischief(database, self.copies, self.papers, self.journal, self.clock)
        self.judge = Judge(
            registry, lambda: self.mischief.faults.reject, checks_across=plan.checks_across
        )
        self.inbox = SqliteInbox(database, self.judge, self.clock)
        self.registrar = Registrar(registry, plan.node_prefix, self.clock)
        self.registrar.policy = Policy(plan.decide_seconds)
        self.watch = Watch(plan.data_dir / "witness", plan.witness_name, self.clock)
        self.counts = Counts(plan.data_dir / "counts", self.watch, self.journal, self.clock)
        self.days = DayCounts(database, self.watch, self.journal, self.clock)
        self.routes = Routes()
        self.answers = Answers(lambda: self.routes, self.clock)
        self.prober = Prober(database, lambda: self.routes, plan.node_prefix, self.clock)
        self.channel = Channel(
            self.inbox,
            self.registrar,
            self.papers,
            self.journal,
            clock=self.clock,
            faults=lambda: self.mischief.faults,
            random=random,
        )
        self._plan = plan

    def desk(self) -> Desk:
        """Return what takes the page's POSTs."""
        return Desk(self._office())

    def names(self) -> frozenset[str]:
        """Return the names under which the page is answered."""
        return _LOOPBACK | {self._plan.page.host, *self._plan.hosts}

    def views(self) -> Views:
        """Return what tells how everything stands."""
        about = {"node_prefix": self._plan.node_prefix, "version": version("idnode")}
        return Views(
            self._office(),
            self.database,
            self.channel,
            self.prober,
            self.answers,
            routes=lambda: self.routes,
            clock=self.clock,
            about=about,
        )

    async def keep_routes(self) -> None:
        """Read the routes again whenever rows of theirs have changed."""
        seen: object = None
        while True:
            try:
                standing = await read_counts(self.database)
                found = [
                    standing.tables.get(each.number) for each in (NODE_ROUTE, ENTERPRISE_ROUTE)
                ]
                if found != seen:
                    self.routes, seen = await Routes.read(self.database), found
            except DatabaseFailed as error:
                self.journal.note("not_stored", str(error), is_fault=True)
            await asyncio.sleep(ROUTES_SECONDS)

    async def keep_logs(self) -> None:
        """Watch the logs whose keys come in files, as soon as they are there."""
        waiting = list(self._plan.log_files)
        while waiting:
            for path in [each for each in waiting if each.exists()]:
                self.watch.add(path.read_text("ascii").partition("\n")[0])
                waiting.remove(path)
            await asyncio.sleep(LOGS_SECONDS)

    async def keep_registry(self) -> None:
        """Decide what is due, and judge rows anew that waited for what the registry has learned."""
        seen = -1
        while True:
            try:
                await self.registrar.decide_due()
                if self.registry.learned != seen:
                    seen = self.registry.learned
                    await self.inbox.reconsider(ACROSS)
            except DatabaseFailed as error:
                self.journal.note("not_stored", str(error), is_fault=True)
                seen = -1
            await asyncio.sleep(REGISTRY_SECONDS)

    def _office(self) -> Office:
        return Office(
            self.inbox,
            self.registry,
            self.registrar,
            self.mischief,
            self.copies,
            self.papers,
            self.watch,
            self.journal,
        )


async def run_toplevel(
    plan: Plan, announce: Callable[[Running], None], stop: asyncio.Event
) -> None:
    """Run until told to stop.  Raises RegistryError when it cannot start."""
    try:
        async with running(plan) as found:
            announce(found)
            await stop.wait()
    except DatabaseFailed as error:
        raise RegistryError(Kind.UNAVAILABLE, f"{error}.") from error


@asynccontextmanager
async def running(plan: Plan) -> AsyncIterator[Running]:
    """The program, for as long as the block lasts.  Raises RegistryError, DatabaseFailed."""
    async with AsyncExitStack() as stack:
        top = await _open(plan, stack)
        door, tls = make_door(), top.papers.server_context()
        top.mischief.guards(door, tls)
        channel = await stack.enter_async_context(
            serving_http(channel_app(top.channel), plan.listen, door, tls)
        )
        views, page_door = top.views(), make_door()
        app = page_app(
            Page(), views, top.desk(), top.watch, top.counts, top.days, names=top.names()
        )
        page = await stack.enter_async_context(serving_http(app, plan.page, page_door))
        native = await stack.enter_async_context(serving_native(top.answers, plan.native))
        works = (
            top.keep_routes(),
            top.keep_registry(),
            top.keep_logs(),
            top.prober.run(plan.probe_seconds),
            views.keep_digests(),
            _tick(door, page_door),
        )
        for work in works:
            task = asyncio.create_task(work)
            stack.push_async_callback(_end, task)
        yield Running(channel, page, native, top.papers, str(top.watch.key))


async def _open(plan: Plan, stack: AsyncExitStack) -> TopLevel:
    plan.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    stack.callback(os.close, _take(plan.data_dir / "lock"))
    database = Database.open(plan.data_dir / "toplevel.db", rows.SCHEMA)
    stack.callback(database.close)
    registry_file = Database.open(plan.data_dir / "registry.db", registered.SCHEMA)
    stack.callback(registry_file.close)
    registry = await Registry.open(registry_file, time)
    top = TopLevel(plan, database, registry, SystemRandom())
    stack.callback(top.watch.close)
    stack.push_async_callback(top.prober.close)
    try:
        if plan.restore:
            await top.copies.restore(plan.restore)
        await top.copies.make(START)
        for key in plan.logs:
            top.watch.add(key)
    except (ValueError, NoteError) as error:
        raise RegistryError(Kind.INVALID, f"{error}.") from error
    return top


async def _tick(*doors: Door) -> None:
    while True:
        for door in doors:
            door.tick()
            door.sweep(perf_counter_ns())
        await asyncio.sleep(TICK_SECONDS)


async def _end(task: "asyncio.Task[None]") -> None:
    await end_all([task])


def _take(path: Path) -> int:
    """Hold the data directory; the lock goes with the process."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise RegistryError(
            Kind.IN_USE, f"Another top-level node runs on {path.parent}."
        ) from error
    return descriptor
