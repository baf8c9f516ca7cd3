"""Serving: what every process that serves is made of: tasks that end together, HTTP on given sockets, its checks."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from time import time
from typing import Any

from fastapi import FastAPI

from node.store.replica import REASONS, ReplicaState
from node.web.health import Check
from resolver.frontends.fast import FastHttp
from resolver.frontends.server import HttpServer
from resolver.observe import Gauge, gauge_cell

FEED_SECONDS = 5  # a change feed that was not read for so long makes the worker unready
DRAIN_SECONDS = 5.0
AGAIN_SECONDS = (
    2.0  # until a task that goes on is cancelled again; what it has to put away takes less
)

Spawn = Callable[[Coroutine[Any, Any, None]], object]

log = logging.getLogger(__name__)


async def survive(answer: Coroutine[Any, Any, None]) -> None:
    """Run the task of one answer: its failure is a fault to be told, and no reason to stop the process."""
    try:
        await answer
    except Exception:
        log.exception("an answer failed")


@asynccontextmanager
async def task_group() -> AsyncIterator[Spawn]:
    """A task group that ends with its block: what still runs then is cancelled, again and again until it has ended.

    A library may take a cancellation for a time-out of its own, and go on; see `node.together`.
    """
    insistence = _Insistence()
    try:
        async with asyncio.TaskGroup() as tasks:
            try:
                yield lambda work: insistence.note(tasks.create_task(work))
            finally:
                insistence.begin()
            raise _Done
    except* _Done:
        pass
    finally:
        insistence.end()


class _Insistence:
    """Cancels tasks again that have been cancelled and go on, by a timer: whoever waits for them is not woken."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def note(self, task: asyncio.Task[None]) -> None:
        """A task has begun."""
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def begin(self) -> None:
        """All are being cancelled now."""
        self._timer = asyncio.get_running_loop().call_later(AGAIN_SECONDS, self._again)

    def end(self) -> None:
        """All have ended."""
        if self._timer is not None:
            self._timer.cancel()

    def _again(self) -> None:
        for task in self._running:
            task.cancel()
        self.begin()


class _Done(Exception):
    """The block of a task group has come to its end."""


@asynccontextmanager
async def serving_http(
    app: FastAPI,
    protocol: type[FastHttp] | str,
    sockets: Sequence[Any],
    idle_seconds: int,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[HttpServer]:
    """Serve HTTP; what is under way at the end has DRAIN_SECONDS, from when the server was told to exit."""
    server = HttpServer.of(
        app, protocol, idle_seconds=idle_seconds, drain_seconds=DRAIN_SECONDS, tls=tls
    )
    serving = asyncio.create_task(server.serve(sockets=list(sockets)))
    try:
        yield server
    finally:
        server.should_exit = True
        await serving


def checks_of(slots: Sequence[Any]) -> list[Check]:
    """How workers stand, by the levels they keep in their counters."""
    now = time()

    def lowest(gauge: Gauge) -> int:
        return min((cells[gauge_cell(gauge)] for cells in slots), default=0)

    age = int(now - lowest(Gauge.FEED_READ_AT))
    connected = lowest(Gauge.POOL_SIZE) > 0
    shared = lowest(Gauge.REDIS_UP) > 0
    replica = max((cells[gauge_cell(Gauge.REPLICA_STATE)] for cells in slots), default=0)
    checks = [
        Check(
            "postgres",
            connected,
            "connected" if connected else "not reached; answers come from memory only",
        ),
        Check(
            "change feed",
            age <= FEED_SECONDS,
            f"read {age} s ago" if age < 86_400 else "not read yet",
        ),
        Check(
            "redis", True, "in use" if shared else "not in use; answers cost more, none is wrong"
        ),
    ]
    if replica:
        checks.append(Check("replica", True, REASONS[ReplicaState(replica)]))
    return checks
