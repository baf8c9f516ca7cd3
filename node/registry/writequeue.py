"""WriteQueue: the writes that wait in one process share a transaction, each with its own verdict.

A batch reads what its writes need, decides each by the rules, and stores what is planned in one statement.  While that
is under way new writes gather; so the more there is to do, the less each one costs.  A record is in a batch once, and
so is an idempotency key: a second write of it waits for the next.  A write whose record was changed in between by
another process is decided anew, in a batch that holds its records from reading to the commit: so it gets through.

Laws: a verdict of SUCCESS is given after the commit; a write whose commit failed is never tried again here, since it
may have been applied: its caller is told "busy", and finds out with the idempotency key.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from node.registry.encoding import RecordTooLong
from node.registry.facts import MAX_ROUNDS, TOO_DEEP
from node.registry.preparation import (
    BatchFacts,
    Intake,
    Policy,
    Prepared,
    prepare,
    read_batch,
    read_more,
)
from node.registry.rules import decide
from node.store.database import Connection, Database, StoreError, StoreUnavailable
from node.store.writing import Written, commit, hold_records
from resolver.access import Missing
from resolver.registrar import Verdict
from resolver.wire import ResponseCode

BATCH_WRITES = 128
WAITING_WRITES = 10_000  # beyond this many a write is refused
GATHER_SECONDS = 0.001  # after a batch, for the next writes of those whom it answered
WRITE_SECONDS = 10.0  # for a batch, from reading to the commit
MAX_ATTEMPTS = 5  # of a write; the second is the last one, unless its record was not there yet

log = logging.getLogger(__name__)

Spawn = Callable[[Coroutine[Any, Any, None]], object]
OnWritten = Callable[[Iterable[tuple[bytes, int]]], Awaitable[None]]
"""Told of (canonical key, serial) right after each commit, and before the callers."""


@dataclass(slots=True)
class _Waiting:
    intake: Intake
    told: asyncio.Future[Verdict]
    attempts: int = 0

    def tell(self, verdict: Verdict) -> None:
        if not self.told.done():
            self.told.set_result(verdict)


class WriteQueue:
    """Carries out writes, in batches, over one connection at a time."""

    def __init__(
        self,
        database: Database,
        policy: Policy,
        *,
        clock: Callable[[], float],
        spawn: Spawn,
        on_written: OnWritten,
    ) -> None:
        self._database = database
        self._policy = policy
        self._clock = clock
        self._spawn = spawn
        self._on_written = on_written
        self._waiting: deque[_Waiting] = deque()
        self._is_running = False
        self._expected = 0  # writes, of those who wrote when the last batch ended
        self._ended = 0.0
        self._gathering: asyncio.Future[None] | None = None  # until they are there

    async def submit(self, intake: Intake) -> Verdict:
        """Carry out one write and return its verdict.  Raises StoreUnavailable."""
        if len(self._waiting) >= WAITING_WRITES:
            raise StoreUnavailable("too many writes wait for Postgres")
        waiting = _Waiting(intake, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._gathering is not None and len(self._waiting) >= self._expected:
            _end(self._gathering)
        if not self._is_running:
            self._is_running = True
            self._spawn(self._run())
        return await waiting.told

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._gather()
                batch = self._take()
                try:
                    await self._carry_out(batch)
                except (StoreUnavailable, StoreError) as error:
                    _fail(batch, error)
                except Exception as error:  # the top of a batch: it must not end the process
                    log.exception("a batch of writes failed")
                    _fail(batch, error)
                except BaseException as error:
                    _fail(batch, error)
                    raise
                self._note(len(batch))
        finally:
            self._is_running = False

    async def _gather(self) -> None:
        """Wait a moment for those who wrote a moment ago, if they write on: a batch costs as much as many writes."""
        loop = asyncio.get_running_loop()
        if len(self._waiting) >= self._expected or loop.time() > self._ended + GATHER_SECONDS:
            return
        self._gathering = loop.create_future()
        timer = loop.call_at(self._ended + GATHER_SECONDS, _end, self._gathering)
        try:
            await self._gathering
        finally:
            timer.cancel()
            self._gathering = None

    def _note(self, written: int) -> None:
        self._expected = min(written + len(self._waiting), BATCH_WRITES)
        self._ended = asyncio.get_running_loop().time()

    def _take(self) -> list[_Waiting]:
        """Take the oldest writes, each record and each idempotency key once, and leave the others in their order."""
        batch: list[_Waiting] = []
        seen: set[bytes | tuple[str, str]] = set()
        left: deque[_Waiting] = deque()
        while self._waiting and len(batch) < BATCH_WRITES:
            waiting = self._waiting.popleft()
            if waiting.told.done():  # who asked has gone before it was begun
                continue
            intake = waiting.intake
            names = (intake.key, intake.replay_key) if intake.replay_key else (intake.key,)
            (batch if seen.isdisjoint(names) else left).append(waiting)
            seen.update(names)
        self._waiting.extendleft(reversed(left))
        return batch

    async def _carry_out(self, batch: list[_Waiting]) -> None:
        async with (
            self._database.connection_for(WRITE_SECONDS) as connection,
            _held(connection, batch),
        ):
            prepared = await self._decide(connection, batch)
            written = await _store(connection, [each for _, each in prepared])
        await self._on_written([(key, each.serial) for key, each in written.items()])
        for waiting, each in prepared:
            if not each.plan.is_change or waiting.intake.key in written:
                waiting.tell(each.verdict)
            else:
                self._try_again(waiting)

    async def _decide(
        self, connection: Connection, batch: list[_Waiting]
    ) -> list[tuple[_Waiting, Prepared]]:
        """Tell who is refused, and return the others with what is to be stored for them."""
        facts = await read_batch(connection, [each.intake for each in batch], int(self._clock()))
        prepared = []
        for _ in range(MAX_ROUNDS):
            left, missing = [], set[bytes]()
            for waiting in batch:
                found = self._decide_one(waiting.intake, facts)
                if isinstance(found, Missing):
                    missing |= found.keys
                    left.append(waiting)
                elif isinstance(found, Prepared):
                    prepared.append((waiting, found))
                else:
                    waiting.tell(found)
            if not left:
                return prepared
            await read_more(connection, facts, missing)
            batch = left
        for waiting in batch:
            waiting.tell(TOO_DEEP)
        return prepared

    def _decide_one(self, intake: Intake, facts: BatchFacts) -> Verdict | Missing | Prepared:
        try:
            told_before = facts.replay(intake)
            if told_before is not None:
                return told_before
            found = decide(intake.write, facts.of(intake, self._policy))
            return found if isinstance(found, Verdict | Missing) else prepare(intake, found, facts)
        except RecordTooLong as error:
            return Verdict(ResponseCode.INVALID_VALUE, str(error))
        except Exception:  # a fault of ours; the other writes of the batch go on
            log.exception("a write failed", extra={"record": intake.key.decode("utf-8", "replace")})
            return Verdict(ResponseCode.ERROR, "Internal error")

    def _try_again(self, waiting: _Waiting) -> None:
        """Somebody else changed the record in between: decide anew, before those who came later."""
        waiting.attempts += 1
        if waiting.attempts >= MAX_ATTEMPTS:
            _fail([waiting], StoreUnavailable("the record changes faster than it can be written"))
        else:
            self._waiting.appendleft(waiting)


@asynccontextmanager
async def _held(connection: Connection, batch: list[_Waiting]) -> AsyncIterator[None]:
    """Let nobody else write the records of a batch inside the block, if one of its writes was overtaken before."""
    if not any(each.attempts for each in batch):
        yield
        return
    async with connection.transaction():
        await hold_records(connection, [each.intake.key for each in batch])
        yield


async def _store(connection: Connection, prepared: list[Prepared]) -> dict[bytes, Written]:
    lines = [each.line for each in prepared if each.line is not None]
    promises = [each.promise for each in prepared if each.promise is not None]
    return await commit(connection, lines, promises) if lines or promises else {}


def _end(waited_for: asyncio.Future[None]) -> None:
    if not waited_for.done():
        waited_for.set_result(None)


def _fail(batch: Iterable[_Waiting], error: BaseException) -> None:
    for waiting in batch:
        if not waiting.told.done():
            waiting.told.set_exception(StoreUnavailable(str(error)))
