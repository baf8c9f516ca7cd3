"""Daily: what the keeper does for the ledger once a day, and the little it has to do for that in between.

Each minute the notes of workers about addresses are taken into Postgres.  After midnight the day before is closed, its
sources are put into their table, and what is too old is forgotten.  What cannot be done yet is tried a minute later.
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping
from datetime import date
from functools import partial
from pathlib import Path

from node.ledger.closing import Counting, DayCloser, genesis_of
from node.ledger.count import CountError, Piece, count_clients
from node.ledger.day import DayOpen, Prefix, day_at, start_of
from node.ledger.inbox import NotTaken, append
from node.ledger.index import open_index
from node.ledger.logfiles import LogDamaged, LogFiles
from node.ledger.sources import sources_of, written_notes
from node.ledger.tags import day_name
from node.store.database import Database, StoreError, StoreUnavailable
from node.store.sources import add_clients, prune_sources, put_sources, read_clients

ROUND_SECONDS = 60.0

_NOT_YET = (DayOpen, NotTaken, StoreUnavailable, StoreError)
_WRONG = (
    CountError,
    LogDamaged,
    ValueError,
    OSError,
)  # a person has to look; ValueError: of all parsers

log = logging.getLogger(__name__)

Counts = Mapping[tuple[int, int], tuple[int, int]]


class Daily:
    """The daily work of one ledger; one task runs it."""

    def __init__(self, database: Database, directory: Path) -> None:
        """`directory` is that of the ledger."""
        self._database = database
        self._files = LogFiles(directory)
        self._counted: dict[
            str, tuple[Counts, Mapping[int, Prefix]]
        ] = {}  # days without their table
        self._closer: DayCloser | None = None
        self._said = ""

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            await asyncio.sleep(ROUND_SECONDS)
            await self.round(time.time_ns() // 1_000)

    async def round(self, now_us: int) -> None:
        """Do what is due now; trouble is told once, and tried again the next time."""
        try:
            await self._take_notes()
            await self._close_days(now_us)
            await self._put_sources()
            async with self._database.connection() as connection:
                await prune_sources(connection, _date(day_name(day_at(now_us))))
        except _NOT_YET as error:
            self._say(logging.INFO, error)
        except _WRONG as error:
            self._closer = None  # it may be half way
            self._say(logging.ERROR, error)
        else:
            self._said = ""

    async def _take_notes(self) -> None:
        for path, clients in await asyncio.to_thread(
            lambda: list(written_notes(self._files.directory))
        ):
            async with self._database.connection() as connection:
                await add_clients(connection, clients)
            await asyncio.to_thread(partial(path.unlink, missing_ok=True))

    async def _close_days(self, now_us: int) -> None:
        if self._closer is None:
            self._closer = await asyncio.to_thread(closer_of, self._files, self._count)
        closer = self._closer
        if closer is not None:
            days = await asyncio.to_thread(closer.close_due, now_us)
            if days:
                log.info("closed days of the ledger", extra={"days": days})

    async def _put_sources(self) -> None:
        for name, (counted, prefixes) in list(self._counted.items()):
            day = _date(name)
            async with self._database.transaction() as connection:
                addresses = await read_clients(connection, day)
                sources = await asyncio.to_thread(sources_of, counted, addresses, prefixes)
                await put_sources(connection, day, sources)
            del self._counted[name]

    def _count(self, name: str, pieces: Iterable[Piece], prefixes: Mapping[int, Prefix]) -> None:
        start = start_of((_date(name) - date(1970, 1, 1)).days)
        self._counted[name] = count_clients(pieces, start), dict(prefixes)

    def _say(self, level: int, error: Exception) -> None:
        text = str(error)
        if text != self._said:
            log.log(level, "the ledger's daily work waits", extra={"reason": text})
            self._said = text


def closer_of(files: LogFiles, counting: Counting | None = None) -> DayCloser | None:
    """Return what closes the days of a node's ledger, its leaves through the keeper; None before the log has begun.

    Raises LogDamaged, NoteError, ModuleError, LeafError, OSError.
    """
    genesis = genesis_of(files)
    if genesis is None:
        return None
    index = open_index(files.directory, genesis.origin)
    return DayCloser(files, index, partial(append, files.directory), counting)


def _date(name: str) -> date:
    return date.fromisoformat(name)
