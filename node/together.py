"""Together: works that are done side by side, and end together, however a cancellation is met.

A library that waits with a time-out of its own may take our cancellation for that time-out, when both come at the same
moment, and go on (asyncpg does).  So whoever cancels a work and waits for it cancels again, until it has ended.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from functools import partial
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")

CANCEL_SECONDS = 1.0  # until what goes on is cancelled again


async def first_of(*works: Awaitable[None]) -> None:
    """Do all of it side by side until one ends; the others are cancelled then.  Raises what the first raises."""
    tasks = [asyncio.ensure_future(each) for each in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await end_all(tasks)


async def end_all(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Cancel until all have ended; what they raise is theirs."""
    going = set(tasks)
    while going:
        for task in going:
            task.cancel()
        _, going = await asyncio.wait(going, timeout=CANCEL_SECONDS)


async def apart(work: Callable[[], T]) -> T:
    """Do what blocks in a thread of its own, for whom nobody waits at the end: who is cancelled leaves it behind.

    `asyncio.to_thread` would hold the process until the work is done.  So it may be cut off anywhere: only for work
    that is begun anew without harm.  Raises what the work raises.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            result = work()
        except BaseException as error:
            settle(partial(_fail, done, error))
        else:
            settle(partial(_succeed, done, result))

    def settle(how: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(how)

    Thread(target=run, daemon=True).start()
    return await done


def _succeed(done: "asyncio.Future[T]", result: T) -> None:
    if not done.done():
        done.set_result(result)


def _fail(done: "asyncio.Future[T]", error: BaseException) -> None:
    if not done.done():
        done.set_exception(error)
