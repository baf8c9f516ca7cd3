"""Together: works that are done side by side, and end together, however a cancellation is met.

A library that waits with a time-out of its own may take our cancellation for that time-out, when both come at the same
moment, and go on (asyncpg does).  So whoever cancels a work and waits for it cancels again, until it has ended.
"""

import asyncio
from collections.abc import Awaitable, Iterable
from typing import Any

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
