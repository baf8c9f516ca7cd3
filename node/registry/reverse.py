"""ReverseIndex: the keeper's role that keeps reverse look-up true, from the change feed.

It runs beside the writes and never in them, so a look-up may be behind; the lag is a gauge.  One process on a database
does it, by an advisory lock; after `kill -9` the next one goes on where the last transaction ended.  Whatever cannot
be continued (first start, other rules, another epoch, a serial that went backwards, changes pruned unread) is one case:
all records are read anew, range by range of their keys, while changes are taken in as before.  A pause as long as the
work before it leaves the database to those who wait for answers.
"""

import asyncio
import logging
import time
from collections.abc import Sequence

from node.metrics import IndexLevels
from node.registry.patterns import SearchedTypes, grams_of, searched_texts
from node.store.changes import ChangeKind, Page, Position, read_changes
from node.store.database import Database, OwnConnection, StoreError, StoreUnavailable
from node.store.reverse import (
    Entry,
    IndexState,
    SourceRecord,
    begin_anew,
    indexing_connection,
    make_range,
    read_index_state,
    read_records,
    read_records_after,
    settle,
    take_in,
)

POLL_SECONDS = 0.5
RETRY_SECONDS = 2.0
RANGE_RECORDS = 300  # in one transaction
LONGEST_PAUSE_SECONDS = 1.0

log = logging.getLogger(__name__)


class ReverseIndex:
    """Keeps the index; `run()` until cancelled.  `levels` are those of the last look at it."""

    def __init__(
        self,
        database: Database,
        types: SearchedTypes,
        *,
        range_records: int = RANGE_RECORDS,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._database = database
        self._types = types
        self._range_records = range_records
        self._poll_seconds = poll_seconds
        self._failing = False
        self.levels = IndexLevels(is_incomplete=bool(types))  # until it has been looked at

    async def run(self) -> None:
        """Hold the role whenever it is free; nothing at all when no types are searched."""
        while self._types:
            try:
                await self._serve()
            except (StoreUnavailable, StoreError) as error:
                self._note_failure(error)
            await asyncio.sleep(RETRY_SECONDS)

    async def _serve(self) -> None:
        """Do the role's work until the connection is lost; return at once when another process does it."""
        async with indexing_connection(self._database.dsn) as connection:
            if connection is None:
                async with self._database.connection() as looking:
                    self._note(await read_index_state(looking))
                return
            self._failing = False
            while True:
                began, behind = time.monotonic(), self.levels.behind
                is_behind = await self.step(connection)
                spent = time.monotonic() - began
                if self.levels.behind - behind > self._range_records:
                    pause = LONGEST_PAUSE_SECONDS  # somebody loads; he goes first
                else:
                    pause = min(spent, LONGEST_PAUSE_SECONDS) if is_behind else self._poll_seconds
                await asyncio.sleep(pause)

    async def step(self, connection: OwnConnection) -> bool:
        """Take in some changes, and make the next range if the index is being made; return whether more is waiting.

        A few changes wait for the next poll: what a step costs is much the same for one as for many.  Raises
        StoreUnavailable, StoreError.
        """
        state = self._note(await read_index_state(connection))
        page = await read_changes(self._database, state.position.serial, self._range_records)
        if state.rules != self._types.rules or not page.continues(state.position):
            log.log(
                logging.WARNING if state.rules else logging.INFO,
                "reverse look-up is made anew",
                extra={"rules": self._types.rules, "before": state.rules, "behind": state.behind},
            )
            await begin_anew(connection, self._types.rules)
            return True
        if page.changes:
            await self._take_in(connection, page)
        if state.made_upto is not None:
            await self._make_range(connection, state.made_upto)
        return len(page.changes) == self._range_records or state.made_upto is not None

    def _note(self, state: IndexState) -> IndexState:
        self.levels = IndexLevels(state.behind, not state.is_usable(self._types.rules))
        return state

    async def _take_in(self, connection: OwnConnection, page: Page) -> None:
        keys = list({each.key for each in page.changes if each.kind == ChangeKind.RECORD})
        entries = await self._entries(await read_records(connection, keys))
        newest = Position(page.position.epoch, page.changes[-1].serial)
        await take_in(connection, keys, entries, newest)

    async def _make_range(self, connection: OwnConnection, after: bytes) -> None:
        records = await read_records_after(connection, after, self._range_records)
        upto = records[-1].key if len(records) == self._range_records else None
        await make_range(connection, after, upto, await self._entries(records))
        if upto is None:
            await settle(connection)
            log.info("reverse look-up is complete")

    async def _entries(self, records: Sequence[SourceRecord]) -> list[Entry]:
        """Make the entries of records, in a thread: long ones take a while, and the process has others to answer."""
        return await asyncio.to_thread(_make_entries, records, self._types)

    def _note_failure(self, error: Exception) -> None:
        if not self._failing:
            log.warning("reverse look-up cannot be kept up to date: %s", error)
        self._failing = True


def _make_entries(records: Sequence[SourceRecord], types: SearchedTypes) -> list[Entry]:
    made = (Entry(record.key, grams_of(searched_texts(record.wire, types))) for record in records)
    return [entry for entry in made if entry.grams]
