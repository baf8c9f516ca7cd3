"""The supervisor: opens what the others need, starts them in order, keeps them running, and stops them in reverse.

    lock · sockets · embedded servers · top-level node · schema · sample · keeper and workers · ready

When it is asked to (SIGUSR2), it replaces the workers one after the other.

A crash at any of these costs nothing: the locks go with the process, every child ends when its lifeline is cut, and the
next start repeats the steps, each of which may be repeated.
"""

import asyncio
import logging
import os
import resource
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from node.config import Settings, load
from node.counters import Counters, Place, lanes_of, slot_path
from node.errors import Kind, RegistryError, first_failure
from node.process.child import LIFELINE, READY, Child, Program, environment_of
from node.process.embedded import embed_postgres, embed_valkey
from node.process.fleet import Fleet
from node.process.home import open_home
from node.process.lock import DataDirectory
from node.process.neighbour import in_step_with_toplevel, settled, toplevel_of
from node.process.probe import ping_redis
from node.process.renewal import Progress, Renewal, State
from node.process.running import announce_running, run_directory
from node.process.sample import load_sample_once
from node.sealing import load_seal
from node.sockets import Listeners, Sockets, open_listeners
from node.store.database import StoreError, StoreUnavailable, migrate
from node.store.sealing import seal_stored
from node.tls import make_files

GRACE_SECONDS = 10.0  # for a worker or the keeper; they drain for less
PARENT_SECONDS = 0.5  # between looks at our parent
SPARE_DESCRIPTORS = 1_024

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run: the settings, a sample to load once, and whom to tell when all is ready.

    `announce` is given the settings with true addresses and URLs, and the seconds that the start took.
    """

    settings: Settings
    announce: Callable[[Settings, float], None]
    sample: Path | None = None
    with_parent: bool = False  # stop when the process that started us ends
    with_toplevel: bool = False  # a simulated top-level node, unless settings name one
    reload: Callable[[], Settings] = load  # reads the settings again, as they are now


def supervise(plan: Plan) -> None:
    """Run the node until SIGINT, SIGTERM or SIGHUP.  Raises RegistryError when it cannot start."""
    directory = DataDirectory.acquire(plan.settings.data_dir)
    try:
        asyncio.run(_until_stopped(plan, directory))
    finally:
        directory.release()


async def _until_stopped(plan: Plan, directory: DataDirectory) -> None:
    stopping, task, loop = asyncio.Event(), asyncio.current_task(), asyncio.get_running_loop()
    asked = asyncio.Event()

    def stop() -> None:
        if not stopping.is_set() and task:
            stopping.set()
            directory.stopping()
            task.cancel()

    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(sign, stop)
    loop.add_signal_handler(signal.SIGUSR2, asked.set)
    try:
        async with asyncio.TaskGroup() as tasks:
            if plan.with_parent:
                tasks.create_task(_stop_with_parent(os.getppid(), stop))
            await _run(plan, directory, tasks, asked)
    except asyncio.CancelledError:
        if not stopping.is_set():
            raise
    except BaseExceptionGroup as group:
        raise first_failure(group) from group
    logger.info("stopped")


async def _run(
    plan: Plan, directory: DataDirectory, tasks: asyncio.TaskGroup, asked: asyncio.Event
) -> None:
    began, renewal = time.monotonic(), Renewal(plan.reload)
    async with AsyncExitStack() as stack:
        listeners: Listeners = open_listeners(plan.settings)
        stack.callback(listeners.close)
        alone = bool(listeners.settings.sync_url) or not plan.with_toplevel
        start = _servers if alone else _servers_and_toplevel
        settings = await start(listeners.settings, directory, tasks, stack)
        make_files(settings)
        await _migrate(settings)
        if plan.sample:
            await load_sample_once(settings, plan.sample, directory.children)
        _prepare_run_directory(settings, stack)
        _raise_descriptor_limit(settings)
        programs = _Programs(settings, directory.children, listeners)
        fleet = Fleet(run_directory(settings.data_dir), settings.workers, tasks)
        async with asyncio.TaskGroup() as starting:
            starting.create_task(_keep([Child(programs.keeper())], tasks, stack))
            starting.create_task(_start_fleet(fleet, programs, stack))
        announce_running(settings)
        plan.announce(settings, time.monotonic() - began)
        await _replace_when_asked(fleet, programs, renewal, asked)


async def _start_fleet(fleet: Fleet, programs: "_Programs", stack: AsyncExitStack) -> None:
    stack.push_async_callback(fleet.stop)  # after the keeper's, so before it
    await fleet.start(programs.worker)


async def _replace_when_asked(
    fleet: Fleet, programs: "_Programs", renewal: Renewal, asked: asyncio.Event
) -> None:
    """Replace the workers whenever somebody asks, until we are cancelled; what fails is told, and all goes on."""
    for number in count(1):
        await asked.wait()
        asked.clear()
        began, data_dir = time.monotonic(), programs.settings.data_dir
        _note(Progress(number, State.RUNNING), data_dir)
        logger.info("rolling restart")
        kept: tuple[str, ...] = ()
        try:
            programs, kept = _renewed(programs, renewal)
            await fleet.replace(programs.worker)
        except (RegistryError, OSError) as error:
            reason = error.detail if isinstance(error, RegistryError) else str(error)
            logger.error("rolling restart failed", extra={"reason": reason})
            _note(Progress(number, State.FAILED, reason=reason, kept=kept), data_dir)
            continue
        seconds = round(time.monotonic() - began, 3)
        logger.info("rolling restart done", extra={"seconds": seconds, "kept": list(kept)})
        _note(Progress(number, State.DONE, seconds, kept=kept), data_dir)


def _note(progress: Progress, data_dir: Path) -> None:
    """Tell who asked how far it is; a disk without room is no reason for the node to stop."""
    try:
        progress.write(data_dir)
    except OSError as error:
        logger.error("cannot tell how far a rolling restart is", extra={"reason": str(error)})


def _renewed(programs: "_Programs", renewal: Renewal) -> "tuple[_Programs, tuple[str, ...]]":
    settings, kept = renewal.read(programs.settings)
    make_files(settings)
    _raise_descriptor_limit(settings)
    announce_running(settings)
    return replace(programs, settings=settings), kept


async def _servers_and_toplevel(
    settings: Settings, directory: DataDirectory, tasks: asyncio.TaskGroup, stack: AsyncExitStack
) -> Settings:
    """Start the servers and the simulated top-level node side by side, and return the settings for both."""
    toplevel = toplevel_of(settings, directory.children)
    async with asyncio.TaskGroup() as starting:
        servers = starting.create_task(_servers(settings, directory, tasks, stack))
        starting.create_task(_keep([toplevel], tasks, stack))
    toplevel.program = toplevel_of(settled(settings), directory.children).program
    return in_step_with_toplevel(servers.result())


async def _servers(
    settings: Settings, directory: DataDirectory, tasks: asyncio.TaskGroup, stack: AsyncExitStack
) -> Settings:
    """Start the servers that no URL is given for, look for those that one is given for, and return all URLs."""
    if settings.redis_url:
        await ping_redis(settings.redis_url)
    if settings.database_url and settings.redis_url:
        return settings
    home = open_home(settings.data_dir, settings.embedded_user)
    stack.callback(home.clear)
    if not settings.redis_url:
        valkey = embed_valkey(home, directory)
        await _keep([valkey.child], tasks, stack)
        settings = replace(settings, redis_url=valkey.url)
    if not settings.database_url:
        postgres = await embed_postgres(home, directory, settings)
        await _keep([postgres.child], tasks, stack)
        settings = replace(settings, database_url=postgres.url)
    return settings


async def _migrate(settings: Settings) -> None:
    try:
        steps = await migrate(settings.database_url)
        sealed = await seal_stored(settings.database_url, load_seal(settings))
    except (StoreUnavailable, StoreError) as error:
        raise RegistryError(
            Kind.UNAVAILABLE,
            f"{error}; start Postgres, or correct IDNODE_DATABASE_URL (empty starts an embedded one).",
        ) from error
    for step in steps:
        logger.info("migrated", extra={"number": step.number, "step": step.name})
    if sealed:
        logger.info("secret keys sealed", extra={"records": sealed})


async def _keep(children: Sequence[Child], tasks: asyncio.TaskGroup, stack: AsyncExitStack) -> None:
    """Start the children at once and keep them running; `stack` stops them, the first one last."""

    async def start(child: Child) -> None:
        await child.start()
        tasks.create_task(child.keep())

    async def stop() -> None:
        async with asyncio.TaskGroup() as stopping:
            for child in children[1:]:
                stopping.create_task(child.stop())
        await children[0].stop()

    stack.push_async_callback(stop)
    async with asyncio.TaskGroup() as starting:
        for child in children:
            starting.create_task(start(child))


@dataclass(frozen=True, slots=True)
class _Programs:
    """The keeper and the workers, as programs: this interpreter, our settings, the lock that every child holds."""

    settings: Settings
    children_lock: int
    listeners: Listeners

    def keeper(self) -> Program:
        return self._program("keeper", "keeper", self.listeners.keeper)

    def worker(self, place: Place) -> Program:
        where = ("--slot", str(place.slot), "--lane", str(place.lane))
        return self._program(
            "worker", f"worker-{place.slot}", self.listeners.slots[place.slot], *where
        )

    def _program(self, module: str, name: str, sockets: Sockets, *more: str) -> Program:
        run = (*Program.python(f"node.process.{module}"), *more)
        pipes = ("--sockets", sockets.describe(), "--lifeline", LIFELINE, "--ready", READY)
        return Program(
            name=name,
            arguments=(*run, *pipes),
            environment=environment_of(self.settings),
            descriptors=(*sockets.descriptors(), self.children_lock),
            grace_seconds=GRACE_SECONDS,
        )


def _prepare_run_directory(settings: Settings, stack: AsyncExitStack) -> None:
    """Make the directory of the counters afresh, all at zero."""
    directory = run_directory(settings.data_dir)
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(mode=0o700)
    stack.callback(shutil.rmtree, directory, ignore_errors=True)
    for lane in lanes_of(settings.workers):
        Counters.open(slot_path(directory, lane)).close()


def _raise_descriptor_limit(settings: Settings) -> None:
    """Let each worker hold its connections, as far as the hard limit allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = settings.connections_max + SPARE_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        if allowed < wanted:
            logger.warning("few descriptors", extra={"allowed": allowed, "wanted": wanted})


async def _stop_with_parent(parent: int, stop: Callable[[], None]) -> None:
    while True:
        await asyncio.sleep(PARENT_SECONDS)  # nothing tells a process that its parent ended
        if os.getppid() != parent:
            break
    logger.info("parent ended", extra={"parent": parent})
    stop()
