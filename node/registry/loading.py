"""Writing batches: what a chunk of a load file says becomes true, in one transaction with its versions and changes.

Law: writing the same batch again changes nothing, adds no version and announces nothing.  Another writer may be at the
same records: each one is replaced in the state in which it was read, or read again.

Behind batches that were all new the next one is taken for new, too, and nothing is read before it is written: if one of
its records is stored after all, Postgres says so, nothing of it is written, and it is read.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field

from node.model.stage import PrefixAction
from node.registry.batches import Batch
from node.registry.merging import Difference, Merged, Pair, merge
from node.registry.rules import kept_message
from node.store.database import Connection, OwnConnection, StoreUnavailable, store_errors
from node.store.load import (
    Author,
    KeyTaken,
    PackedRow,
    Seen,
    add_records,
    announce,
    load_transaction,
    lock_records,
    mark_loaded,
    prepare_load,
    put_records,
    read_seen,
    unpack_row,
)
from node.store.objects import hold_prefix_names
from node.store.prefixes import write_prefixes

MAX_TRIES = 20  # while others write the same records
MAX_TRUST = 64  # batches


@dataclass(frozen=True, slots=True)
class Effect:
    """What a batch did, or would do: records created, records changed and how, prefixes whose state changed."""

    created: frozenset[bytes] = frozenset()
    changed: dict[bytes, Difference] = field(default_factory=dict)
    prefixes: tuple[bytes, ...] = ()


AndAlso = Callable[[Connection, Effect], Awaitable[None]]
"""What belongs into the transaction of a batch, such as how far a job has come."""


@dataclass(frozen=True, slots=True)
class _Sorted:
    """Rows that are not stored, and merged ones that are, with how those were found."""

    fresh: list[PackedRow]
    merged: list[Merged]
    seen: dict[bytes, Seen]


class _Expectation:
    """Whether the next batch is likely to be all new; each disappointment makes it twice as slow to trust."""

    def __init__(self) -> None:
        self._new = 0  # batches in a row
        self._needed = 1

    @property
    def is_new(self) -> bool:
        return self._new >= self._needed

    def note(self, *, is_new: bool) -> None:
        """Say how a batch was found that was read."""
        self._new = self._new + 1 if is_new else 0

    def fail(self) -> None:
        """Say that a batch was not new that was taken for it."""
        self._new = 0
        self._needed = min(2 * self._needed, MAX_TRUST)


class BatchWriter:
    """Writes batches over one connection, for one author; `executor` does the merging."""

    def __init__(
        self, connection: OwnConnection, executor: Executor, author: Author, now: int
    ) -> None:
        self._connection = connection
        self._executor = executor
        self._author = author
        self._now = now
        self._expected = _Expectation()

    async def prepare(self) -> None:
        """Once, before the first batch.  Raises StoreUnavailable, StoreError."""
        with store_errors():
            await prepare_load(self._connection)

    async def write(self, batch: Batch, and_also: AndAlso | None = None) -> Effect:
        """Write a batch.  Raises StoreUnavailable, StoreError."""
        is_new = self._expected.is_new
        for _ in range(MAX_TRIES):
            with store_errors():
                await self._refuse_kept(batch)
                found = _all_new(batch) if is_new else await self._sort_out(batch)
                if and_also is None and not (found.fresh or found.merged or batch.prefixes):
                    return Effect()
                try:
                    return await self._commit(batch, found, and_also)
                except KeyTaken:  # somebody else writes the same records at this moment
                    if is_new:
                        self._expected.fail()
                    is_new = False
        raise StoreUnavailable("others keep writing the same records")

    async def plan(self, batch: Batch) -> Effect:
        """Return what `write` would do.  Raises StoreUnavailable, StoreError."""
        with store_errors():
            await self._refuse_kept(batch)
            found = await self._sort_out(batch)
        changed = {
            each.row.key: each.difference
            for each in found.merged
            if each.differs or each.handle != found.seen[each.row.key].handle
        }
        dead = {key for key, each in found.seen.items() if not each.alive}
        created = {row.key for row in found.fresh} | dead
        return Effect(frozenset(created), {k: v for k, v in changed.items() if k not in dead})

    async def _commit(self, batch: Batch, found: _Sorted, and_also: AndAlso | None) -> Effect:
        connection, rows = self._connection, [each.row for each in found.merged]
        differences = {each.row.key: each.difference for each in found.merged}
        async with load_transaction(connection):
            await lock_records(connection, found.seen)
            put = await put_records(connection, rows, found.seen)
            written = {step.key for step in put}
            await mark_loaded(connection, [row for row in rows if row.key not in written])
            await add_records(connection, found.fresh)
            if await self._kept(batch):  # the model has just come to know one
                raise KeyTaken
            added = [row.key for row in found.fresh]
            homed = await write_prefixes(connection, list(batch.prefixes.values()))
            prefixes = [batch.prefixes[name] for name in homed]
            revived = {step.key for step in put if step.before is None}
            effect = Effect(
                frozenset(revived.union(added)),
                {key: differences[key] for key in written - revived},
                tuple(homed),
            )
            if and_also:
                await and_also(connection, effect)
            await announce(connection, added, put, prefixes, self._author)
        return effect

    async def _refuse_kept(self, batch: Batch) -> None:
        """Refuse rows that would home or delegate a prefix in another way than the model has it; see `rules`."""
        for name in await self._kept(batch):
            batch.refuse_prefix(name, kept_message(PrefixAction.ACTIVATE))

    async def _kept(self, batch: Batch) -> list[bytes]:
        if not batch.prefixes:
            return []
        kept = await hold_prefix_names(self._connection, list(batch.prefixes))
        rows = batch.prefixes
        return [name for name, state in kept.items() if rows[name].state is not state]

    async def _sort_out(self, batch: Batch) -> _Sorted:
        """Part rows that are not stored from those stored from another line, and drop the rest."""
        rows = list(batch.records.values())
        found = await read_seen(self._connection, rows)
        self._expected.note(is_new=not found)
        fresh = [row for row in rows if row.key not in found]
        seen = {key: each for key, each in found.items() if not each.same}
        pairs = [
            Pair(batch.records[key], each.values, batch.orders.get(key, ()))
            for key, each in seen.items()
            if each.values is not None
        ]
        revived = [
            _revived(batch.records[key]) for key, each in seen.items() if each.values is None
        ]
        return _Sorted(fresh, revived + await self._merge(pairs), seen)

    async def _merge(self, pairs: list[Pair]) -> list[Merged]:
        if not pairs:
            return []
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, merge, pairs, self._now)


def _all_new(batch: Batch) -> _Sorted:
    """Take all rows for such as are not stored."""
    return _Sorted(list(batch.records.values()), [], {})


def _revived(row: PackedRow) -> Merged:
    """A record in the place of a tombstone takes nothing over."""
    return Merged(row, unpack_row(row).handle, Difference(), differs=True)
