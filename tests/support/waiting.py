"""Waiting for what nothing announces: it is looked at again and again, up to a limit."""

import asyncio
from collections.abc import Callable


async def until(is_true: Callable[[], bool], limit_seconds: float = 10) -> None:
    """Return as soon as the predicate holds.  Raises TimeoutError."""
    async with asyncio.timeout(limit_seconds):
        while not is_true():  # noqa: ASYNC110 - it is seen from outside; there is no event
            await asyncio.sleep(0.01)
