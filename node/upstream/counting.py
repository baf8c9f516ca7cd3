"""Counting: makes the rows of 表3 and 表8 for each day that the ledger has closed, once."""

import asyncio
import logging
from datetime import date
from pathlib import Path

from node.ledger.closing import DAYS
from node.ledger.day import DayDetail
from node.store.database import Database, StoreError, StoreUnavailable
from node.store.daycounts import (
    registered_on,
    sources_of_day,
    tell_day,
    untold_days,
)
from node.store.synced import SyncedRows
from node.upstream.daycounts import rows_of_day

ROUND_SECONDS = 60.0

_FAILURES = (StoreUnavailable, StoreError, ValueError, OSError)  # ValueError: of a file, and Fault

log = logging.getLogger(__name__)


class DayCounts:
    """One round after the other, by whoever calls `round`."""

    def __init__(
        self, database: Database, rows: SyncedRows, directory: Path, node_prefix: str
    ) -> None:
        """`directory` is that of the ledger."""
        self._database = database
        self._rows = rows
        self._days = directory / DAYS
        self._node_prefix = node_prefix

    async def run(self) -> None:
        """Go on until cancelled; what fails is told once, and tried a minute later."""
        said = ""
        while True:
            try:
                await self.round()
                said = ""
            except _FAILURES as error:
                if str(error) != said:
                    log.warning("a day is not counted yet", extra={"reason": str(error)})
                said = str(error)
            await asyncio.sleep(ROUND_SECONDS)

    async def round(self) -> None:
        """Make what is due.  Raises StoreUnavailable, StoreError; ValueError, OSError for a day's file; Fault."""
        for day in await untold_days(self._database):
            path = self._days / f"{day.isoformat()}.json"
            detail = DayDetail.parse(await asyncio.to_thread(path.read_bytes))
            await self._tell(day, detail)
            log.info("counted a day for the top-level node", extra={"day": day.isoformat()})

    async def _tell(self, day: date, detail: DayDetail) -> None:
        async with self._database.transaction() as connection:
            await tell_day(connection, day)
            sources = await sources_of_day(connection, day)
            registered = await registered_on(connection, day)
            rows = rows_of_day(self._node_prefix, day, detail, sources, registered)
            await self._rows.write(connection, rows)
