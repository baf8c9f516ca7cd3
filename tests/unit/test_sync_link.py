"""What is done side by side towards the top-level node ends together."""

import asyncio

import pytest

from node.together import first_of


async def test_a_work_that_takes_its_cancellation_for_a_time_out_is_cancelled_again() -> None:
    cancelled = 0

    async def deaf() -> None:
        nonlocal cancelled
        while cancelled < 2:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled += 1

    async def failing() -> None:
        await asyncio.sleep(0)
        raise OSError("Postgres is away")

    with pytest.raises(OSError, match="away"):
        await asyncio.wait_for(first_of(deaf(), failing()), 30)
    assert cancelled == 2
