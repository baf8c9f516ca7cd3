"""Levels: what the metrics show of the sync, read from the database once a second, whichever instance sends.

Much that waits takes long to count (400,000 rows: 0.2 s), so it is then counted less often: see `pause_after`.
"""

import asyncio
import logging
from datetime import datetime
from time import monotonic, time

from node.metrics import SyncLevels, TableLevels
from node.store.database import Database, StoreError, StoreUnavailable
from node.store.standing import KeptEvidence, SyncStanding, newest_evidence, read_sync_standing
from node.upstream.role import Standing, State, SyncRole

READ_SECONDS = 1.0
SLOWEST_SECONDS = 15.0
REST = 20  # times as long as it took, so that counting costs a twentieth of a core at most

log = logging.getLogger(__name__)


class LevelsReader:
    """Reads the levels until cancelled; while Postgres is away those shown are the last ones, growing older."""

    def __init__(self, database: Database, role: SyncRole) -> None:
        self._database = database
        self._role = role
        self._stored: SyncStanding | None = None
        self._evidence: KeptEvidence | None = None

    async def run(self) -> None:
        """Read once a second, or less often."""
        while True:
            began = monotonic()
            try:
                self._stored = await read_sync_standing(self._database)
                self._evidence = await newest_evidence(self._database)
            except (StoreUnavailable, StoreError) as error:
                log.debug("the standing of the sync cannot be read: %s", error)
            await asyncio.sleep(pause_after(monotonic() - began))

    def levels(self) -> SyncLevels:
        """Return them as of now."""
        return levels_of(self._stored, self._evidence, self._role.standing(), time())


def pause_after(took_seconds: float) -> float:
    """Return how long to wait after a reading that took so long, in seconds."""
    return min(max(READ_SECONDS, REST * took_seconds), SLOWEST_SECONDS)


def levels_of(
    stored: SyncStanding | None, evidence: KeptEvidence | None, live: Standing, now: float
) -> SyncLevels:
    """Put together what the database and the role know; `now` is in POSIX seconds."""
    tables = {
        each.table: TableLevels(_age(each.oldest_at, now), each.pending, each.rejected)
        for each in (stored.tables if stored else ())
    }
    return SyncLevels(
        tables=tables,
        acknowledged_serial=stored.acknowledged if stored else 0,
        acknowledged_at=_seconds(stored.acknowledged_at if stored else None),
        answered_at=live.answered_at,
        verified_at=_seconds(evidence.at if evidence else None),
        certificate_end=_seconds(live.certificate_end),
        failures=live.failures,
        clock_skew_seconds=live.clocks.skew_seconds if live.clocks else 0.0,
        is_sending=live.state in (State.SENDING, State.LOST),
    )


def _age(since: datetime | None, now: float) -> float:
    return max(0.0, now - since.timestamp()) if since else 0.0


def _seconds(at: datetime | None) -> float:
    return at.timestamp() if at else 0.0
