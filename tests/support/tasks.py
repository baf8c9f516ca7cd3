"""Tasks of a fixture: its two halves run in different tasks, which a TaskGroup does not like."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]


@asynccontextmanager
async def spawning() -> AsyncIterator[Spawn]:
    """Lend a way to start tasks; at the end they are cancelled, and the first failure of any is raised."""
    running: set[asyncio.Task[None]] = set()
    failures: list[BaseException] = []

    def done(task: "asyncio.Task[None]") -> None:
        running.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            failures.append(failure)

    def spawn(coroutine: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.get_running_loop().create_task(coroutine)
        running.add(task)
        task.add_done_callback(done)
        return task

    try:
        yield spawn
    finally:
        waiting = list(running)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await asyncio.sleep(0)
        if failures:
            raise failures[0]
