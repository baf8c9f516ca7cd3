"""The outbox in Postgres: see `sync.outbox` for its laws."""

from node.store.database import Database
from resolver.keys.seal import Seal
from sync.change import Place, Rejection, Span
from sync.step import Batch, Evidence, OutboxStanding, Page


class PostgresOutbox:
    """Implements `sync.outbox.Outbox`.  Each method raises StoreUnavailable, StoreError; what opens rows SealError."""

    def __init__(self, database: Database, seal: Seal) -> None:
        """`database` should plan with `node.store.writing.SESSION`."""
        self._database = database
        self._seal = seal

    async def standing(self) -> OutboxStanding:
        raise NotImplementedError

    async def pending(self, after: int, until: int | None) -> Batch:
        raise NotImplementedError

    async def page(self, after: Place) -> Page:
        raise NotImplementedError

    async def acknowledge(self, batch: Batch, rejected: tuple[Rejection, ...]) -> None:
        raise NotImplementedError

    async def settle(self, session: str, span: Span, rejected: tuple[Rejection, ...]) -> None:
        raise NotImplementedError

    async def resume(self, session: str, serial: int) -> None:
        raise NotImplementedError

    async def restart(self, session: str | None) -> OutboxStanding:
        raise NotImplementedError

    async def finish(self, evidence: Evidence) -> None:
        raise NotImplementedError
