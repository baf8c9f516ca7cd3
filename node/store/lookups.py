"""Look-ups that wait to travel together: one question a key, many questions a statement.

A lane (whoever can carry a batch) waits here while nothing is asked, and takes what has gathered.
Law: a batch taken is asked after every question in it came, so an answer is never older than its
question.  That is why a question may join one that still waits, and never one under way.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from node.store.database import StoreUnavailable
from resolver.answer import Stored

BATCH_KEYS = 256  # keys in one statement
WAITING_KEYS = 50_000  # beyond this many a question is refused

Take = Callable[[bytes, Stored | StoreUnavailable], None]
"""Who waits for an answer, or for why there is none."""

Batch = dict[bytes, tuple[float, list[Take]]]  # key -> when the first asker gives up, all askers


class Group:
    """Several questions that wait together: `found` gets the answers, `left` counts those that lack one."""

    def __init__(self, count: int) -> None:
        """Needs a running event loop."""
        self.found: dict[bytes, Stored] = {}
        self.gone: StoreUnavailable | None = None
        self.left = count
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def take(self, key: bytes, stored: Stored | StoreUnavailable) -> None:
        """Note an answer, or why there is none."""
        if isinstance(stored, StoreUnavailable):
            self.gone = stored
        else:
            self.found[key] = stored
        self.left -= 1
        if self.left <= 0 and not self.over.done():
            self.over.set_result(None)


class LookupQueue:
    """The questions that wait, oldest first, and the lanes that wait for questions."""

    def __init__(self, patience_seconds: float) -> None:
        self._patience_seconds = patience_seconds
        self._waiting: Batch = {}
        self._idle: deque[asyncio.Future[None]] = deque()
        self._waking = False  # lanes will be woken at the end of this tick

    @property
    def idle_lanes(self) -> int:
        """Lanes that wait for a question."""
        return len(self._idle)

    def ask(self, key: bytes) -> "asyncio.Future[Stored]":
        """Put a question; its future gets the answer or an error.  Raises StoreUnavailable."""
        self._refuse_more(1)
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Stored] = loop.create_future()
        self._put(key, partial(_settle, waiter), loop.time() + self._patience_seconds)
        self._wake_soon()
        return waiter

    def ask_all(self, keys: Sequence[bytes]) -> Group:
        """Put several questions, of which each names another key.  Raises StoreUnavailable."""
        self._refuse_more(len(keys))
        group = Group(len(keys))
        patience_ends = asyncio.get_running_loop().time() + self._patience_seconds
        for key in keys:
            self._put(key, group.take, patience_ends)
        self._wake_soon()
        return group

    def _refuse_more(self, count: int) -> None:
        if len(self._waiting) + count > WAITING_KEYS:
            raise StoreUnavailable("too many look-ups wait for Postgres")

    def _put(self, key: bytes, take: Take, patience_ends: float) -> None:
        entry = self._waiting.get(key)
        if entry is not None:
            entry[1].append(take)
        else:
            self._waiting[key] = (patience_ends, [take])

    async def take(self, wake: asyncio.Future[None]) -> Batch:
        """Wait for questions and return up to BATCH_KEYS of them.

        `wake` belongs to the lane: an exception set on it (the connection was lost) is raised here.
        """
        if not self._waiting:
            self._idle.append(wake)
            try:
                await wake
            finally:
                if wake in self._idle:
                    self._idle.remove(wake)
        if len(self._waiting) <= BATCH_KEYS:
            batch, self._waiting = self._waiting, {}
            return batch
        keys = [key for key, _ in zip(self._waiting, range(BATCH_KEYS), strict=False)]
        return {key: self._waiting.pop(key) for key in keys}

    def put_back(self, batch: Batch) -> None:
        """Return a batch that got no answer: it is the oldest again."""
        for key, (deadline, takers) in self._waiting.items():
            first, others = batch.get(key, (deadline, []))
            batch[key] = (first, others + takers)
        self._waiting = batch
        self._wake_soon()

    def fail_all(self, reason: str) -> None:
        """Give every waiting question an error."""
        batch, self._waiting = self._waiting, {}
        fail(batch, reason)

    def fail_overdue(self, now: float, reason: str) -> None:
        """Give the questions that waited too long an error."""
        overdue = {key: entry for key, entry in self._waiting.items() if entry[0] <= now}
        for key in overdue:
            del self._waiting[key]
        fail(overdue, reason)

    def _wake_soon(self) -> None:
        if self._idle and self._waiting and not self._waking:
            self._waking = True
            asyncio.get_running_loop().call_soon(self._wake_lanes)

    def _wake_lanes(self) -> None:
        self._waking = False
        lanes = -(-len(self._waiting) // BATCH_KEYS)
        while self._idle and lanes > 0:
            wake = self._idle.popleft()
            if not wake.done():
                wake.set_result(None)
                lanes -= 1


def answer(batch: Batch, found: dict[bytes, Stored], missing: Stored) -> None:
    """Answer every question of a batch: with the record found under its key, or with `missing`."""
    for key, (_, takers) in batch.items():
        stored = found.get(key, missing)
        for take in takers:
            take(key, stored)


def fail(batch: Batch, reason: str) -> None:
    """Give every question of a batch an error of its own."""
    for key, (_, takers) in batch.items():
        for take in takers:
            take(key, StoreUnavailable(reason))


def _settle(
    waiter: "asyncio.Future[Stored]", _key: bytes, stored: Stored | StoreUnavailable
) -> None:
    if waiter.done():
        return
    if isinstance(stored, StoreUnavailable):
        waiter.set_exception(stored)
    else:
        waiter.set_result(stored)
