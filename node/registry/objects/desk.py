"""Desk: what all use cases of objects share: reading them, and the one transaction that a step is."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar
from uuid import UUID

from node.model.site import Site
from node.registry.objects.bodies import unpack
from node.registry.objects.held import Held, ObjectKind, Step
from node.registry.objects.identity import canonical_id
from node.registry.objects.transaction import Deed, Means, Transaction
from node.store.database import Database
from node.store.objects import list_objects, list_steps, read_object
from node.store.synced import SyncedRows
from resolver.keys.seal import Seal

MAX_LISTED = 1_000

OnWritten = Callable[[Iterable[tuple[bytes, int]]], Awaitable[None]]
"""Told of (canonical key, serial) of the records that a step changed, right after its commit."""

Done = TypeVar("Done")


class Desk:
    """Reads objects, and takes steps whole or not at all."""

    def __init__(
        self,
        database: Database,
        seal: Seal,
        rows: SyncedRows,
        *,
        secondary: str,
        here: Sequence[Site],
        clock: Callable[[], float],
        unique: Callable[[], UUID],
        on_written: OnWritten,
    ) -> None:
        """`secondary` is the node's own prefix, `here` where it answers for what it hosts.

        `unique` gives the numbers of enterprises, `clock` epoch seconds.
        """
        self._database = database
        self._seal = seal
        self._means = Means(seal, rows, tuple(here), clock)
        self._secondary = secondary
        self._unique = unique
        self._on_written = on_written

    async def read(self, kind: ObjectKind, key: str) -> Held | None:
        """Return an object with all that is personal.  Raises StoreUnavailable, StoreError."""
        row = await read_object(self._database, kind.value, canonical_id(kind, key))
        return unpack(row, self._seal) if row else None

    async def history(
        self, kind: ObjectKind, key: str, *, after: int = 0, limit: int = 100
    ) -> list[Step]:
        """Return the steps after a version, the oldest first, at most MAX_LISTED.  Raises as `read`."""
        found = canonical_id(kind, key)
        size = min(limit, MAX_LISTED)
        rows = await list_steps(self._database, kind.value, found, after=after, limit=size)
        return [Step(*row) for row in rows]

    async def _take(self, deed: Deed, work: Callable[[Transaction], Awaitable[Done]]) -> Done:
        """Carry out a step in a transaction; it is finished even when who asked goes away meanwhile."""
        return await asyncio.shield(self._carry_out(deed, work))

    async def _carry_out(self, deed: Deed, work: Callable[[Transaction], Awaitable[Done]]) -> Done:
        async with self._database.transaction() as connection:
            transaction = Transaction(connection, self._means, deed)
            done = await work(transaction)
            await transaction.close()
        await self._on_written(transaction.told)
        return done

    async def list(
        self,
        kind: ObjectKind,
        *,
        enterprise: str | None = None,
        state: str | None = None,
        after: str = "",
        limit: int = 100,
    ) -> list[Held]:
        """Return objects in the order of their ids, those after `after`, at most MAX_LISTED.  Raises as `read`."""
        rows = await list_objects(
            self._database,
            kind.value,
            enterprise=enterprise,
            state=state,
            after=after,
            limit=min(limit, MAX_LISTED),
        )
        return [unpack(row, self._seal) for row in rows]
