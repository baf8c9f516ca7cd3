"""The walks of tests/property/test_sync_session.py with the outbox in Postgres beside the one in memory: both say the
same at every step, whatever is written, lost, doubled, killed, restored and pruned."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from node.store.database import Database
from node.store.outbox import PostgresOutbox
from node.store.synced import RowChange, SyncedRows, seal_row
from node.store.writing import SESSION
from sync.change import Change, Place, Rejection, Span
from sync.step import Batch, Evidence, OutboxStanding, Page
from sync.testing import MemoryOutbox
from tests.property.test_sync_session import BATCH_ITEMS, Conversation, walk
from tests.support.registry import SEAL

pytestmark = [pytest.mark.db, pytest.mark.slow]

EXAMPLES, STEPS = 8, 30
WALKS = 12

Result = TypeVar("Result")

_CLEAR = "truncate change, sync_row, sync_rejection, sync_evidence"
_STAND = """
update sync_peer set epoch = (select epoch from change_counter), session = $1, acknowledged = $2,
    is_complete = $3
"""
_CHANGE = "insert into change (serial, key, kind, number, body) values ($1, $2, 2, $3, $4)"
_ROW = "insert into sync_row (number, key, body) values ($1, $2, $3)"
_ASIDE = (
    "insert into sync_rejection (number, key, serial, code, reason) values ($1, $2, $3, $4, $5)"
)


class Store:
    """The outbox in Postgres, driven from a thread that has no loop of its own."""

    def __init__(self, loop: asyncio.AbstractEventLoop, database: Database) -> None:
        self.outbox = PostgresOutbox(database, SEAL, most=BATCH_ITEMS)
        self._rows = SyncedRows(SEAL)
        self._loop = loop
        self._database = database

    def __deepcopy__(self, _memo: object) -> "Store":
        return self  # there is one database; a backup of it is what is in memory

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        return self._loop.run_until_complete(coroutine)

    async def write(self, place: Place, body: bytes | None) -> int:
        async with self._database.transaction() as connection:
            return await self._rows.write(connection, [RowChange(*place, body)])

    async def prune(self, serial: int) -> None:
        async with self._database.connection() as connection:
            await connection.execute("delete from change where serial <= $1", serial)

    async def load(self, memory: MemoryOutbox) -> None:
        """Stand as the one in memory does."""
        async with self._database.transaction() as connection:
            await connection.execute(_CLEAR)
            await connection.execute("update change_counter set serial = $1", memory.serial)
            await connection.execute(_STAND, memory.session, memory.acknowledged, memory.complete)
            await connection.executemany(_CHANGE, [_sealed_change(c) for c in memory.changes])
            rows = [(*place, seal_row(SEAL, place, body)) for place, body in memory.rows.items()]
            await connection.executemany(_ROW, rows)
            await connection.executemany(_ASIDE, [_sealed_reason(a) for a in memory.aside.values()])

    async def set_aside(self) -> set[tuple[str, str]]:
        async with self._database.connection() as connection:
            return {
                tuple(row)
                for row in await connection.fetch("select number, key from sync_rejection")
            }


class TwinOutbox(MemoryOutbox):
    """An outbox in memory and one in Postgres that are told the same, and say the same."""

    def __init__(self, store: Store) -> None:
        super().__init__(most=BATCH_ITEMS)
        self.store = store
        store.run(store.load(self))

    def write(self, place: Place, body: bytes | None) -> Change:
        change = super().write(place, body)
        assert self.store.run(self.store.write(place, body)) == change.serial
        return change

    def prune(self, serial: int) -> None:
        super().prune(serial)
        self.store.run(self.store.prune(self.kept_from))

    def restored(self, session: str) -> "TwinOutbox":
        copy = deepcopy(self)
        copy.session = session
        self.store.run(self.store.load(copy))
        return copy

    async def standing(self) -> OutboxStanding:
        return self._agreed(await super().standing(), self.store.outbox.standing())

    async def pending(self, after: int, until: int | None) -> Batch:
        ours = await super().pending(after, until)
        return self._agreed(ours, self.store.outbox.pending(after, until))

    async def page(self, after: Place) -> Page:
        return self._agreed(await super().page(after), self.store.outbox.page(after))

    async def acknowledge(self, batch: Batch, rejected: tuple[Rejection, ...]) -> None:
        await super().acknowledge(batch, rejected)
        self._store(self.store.outbox.acknowledge(batch, rejected))

    async def settle(self, session: str, span: Span, rejected: tuple[Rejection, ...]) -> None:
        await super().settle(session, span, rejected)
        self._store(self.store.outbox.settle(session, span, rejected))

    async def resume(self, session: str, serial: int) -> None:
        await super().resume(session, serial)
        self._store(self.store.outbox.resume(session, serial))

    async def restart(self, session: str | None) -> OutboxStanding:
        theirs = self.store.run(self.store.outbox.restart(session))
        ours = await super().restart(session)
        assert theirs == ours
        return ours

    async def finish(self, evidence: Evidence) -> None:
        await super().finish(evidence)
        self._store(self.store.outbox.finish(evidence))

    def _agreed(self, ours: Result, theirs: Coroutine[Any, Any, Result]) -> Result:
        assert self.store.run(theirs) == ours
        return ours

    def _store(self, storing: Coroutine[Any, Any, None]) -> None:
        self.store.run(storing)
        assert self.store.run(self.store.set_aside()) == set(self.aside)


def _sealed_change(change: Change) -> tuple[int, bytes, str, bytes | None]:
    body = seal_row(SEAL, change.place, change.body) if change.operation == "upsert" else None
    return change.serial, change.key.encode(), change.table, body


def _sealed_reason(each: Rejection) -> tuple[str, str, int, str, bytes]:
    return (*each.place, each.serial, each.code, seal_row(SEAL, each.place, each.reason.encode()))


@contextmanager
def stored(url: str) -> Iterator[type[Conversation]]:
    """The conversation with a twin outbox, while the block runs."""
    loop = asyncio.new_event_loop()
    database = Database(url, settings=SESSION)
    store = Store(loop, database)

    class StoredConversation(Conversation):
        def make_outbox(self) -> MemoryOutbox:
            return TwinOutbox(store)

    try:
        yield StoredConversation
    finally:
        loop.run_until_complete(database.close())
        loop.close()


@pytest.fixture
def conversation(database_url: str) -> Iterator[type[Conversation]]:
    with stored(database_url) as made:
        yield made


def test_any_interleaving_is_the_same_in_postgres(conversation: type[Conversation]) -> None:
    run_state_machine_as_test(
        conversation,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_long_random_walks_are_the_same_in_postgres(conversation: type[Conversation]) -> None:
    for seed in range(WALKS):
        try:
            walk(seed, conversation)
        except Exception as error:
            error.add_note(f"walk({seed})")
            raise
