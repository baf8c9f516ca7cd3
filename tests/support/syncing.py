"""A sender over a peer in memory, both quick, for tests of the sync."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import uuid4

from sync.change import END, Place
from sync.outbox import Outbox
from sync.sender import EXCHANGE_SECONDS, Sender
from sync.testing import TopLevelNode

QUICK = 0.005  # seconds


@asynccontextmanager
async def sending(
    outbox: Outbox,
    peer: TopLevelNode,
    *,
    greeting_seconds: float = QUICK * 20,
    exchange_seconds: float = EXCHANGE_SECONDS,
    new_session: Callable[[], str] = lambda: str(uuid4()),
) -> AsyncIterator[Sender]:
    """A sender while the block runs."""
    sender = Sender(
        outbox,
        peer,
        random=lambda: 0.5,
        new_session=new_session,
        poll_seconds=QUICK,
        greeting_seconds=greeting_seconds,
        exchange_seconds=exchange_seconds,
        backoff_seconds=QUICK,
    )
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(sender.run())
        yield sender
        running.cancel()


async def rest(outbox: Outbox, peer: TopLevelNode, limit_seconds: float = 60) -> None:
    """Return when the peer has all there is and we know it."""
    async with asyncio.timeout(limit_seconds):
        while not await _is_at_rest(outbox, peer):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(QUICK)


async def _is_at_rest(outbox: Outbox, peer: TopLevelNode) -> bool:
    session, serial, _, acknowledged, complete = await outbox.standing()
    stands = peer.inbox.stands == (session, serial, END)
    return stands and complete and acknowledged == serial


def rejects_bad(_place: Place, body: bytes | None) -> str:
    """A judge that takes no body with "bad" in it."""
    return "invented" if body and b"bad" in body else ""
