"""Where the sync with the top-level node stands: for metrics, and for operators."""

from datetime import datetime
from typing import NamedTuple

from node.store.database import Database
from resolver.keys.seal import Seal
from sync.change import Rejection
from sync.step import Evidence

MAX_REJECTIONS = 1_000


class TableStanding(NamedTuple):
    """What waits to be sent of a table, since when, and how many of its rows are set aside."""

    table: str
    pending: int = 0
    oldest_at: datetime | None = None
    rejected: int = 0


class SyncStanding(NamedTuple):
    """Where we stand; `tables` are those of which something waits or is set aside, in the order of their names."""

    session: str
    serial: int
    acknowledged: int
    acknowledged_at: datetime | None
    is_complete: bool
    tables: tuple[TableStanding, ...]


class RejectedRow(NamedTuple):
    """A row that is set aside, and since when."""

    rejection: Rejection
    at: datetime


class KeptEvidence(NamedTuple):
    """What a walk found, and when it was finished."""

    evidence: Evidence
    at: datetime


async def read_sync_standing(database: Database) -> SyncStanding:
    """Return where we stand; cheap enough for once a second.  Raises StoreUnavailable, StoreError."""
    raise NotImplementedError


async def list_rejections(
    database: Database,
    seal: Seal,
    *,
    table: str = "",
    after: tuple[str, str] = ("", ""),
    limit: int = 100,
) -> tuple[RejectedRow, ...]:
    """Return rows that are set aside behind a (table, key), in that order; of one table only when it is named.

    Raises StoreUnavailable, StoreError, SealError.
    """
    raise NotImplementedError


async def newest_evidence(database: Database) -> KeptEvidence | None:
    """Return what the last finished walk found.  Raises StoreUnavailable, StoreError."""
    raise NotImplementedError
