"""ChangeFeed: every worker hears of every change, by asking Postgres several times a second.

Asking is the truth; any faster hint may be lost.  Listeners are told in serial order, each change
at least once, and nothing is acknowledged before they return: when one fails, or Postgres is away,
the same changes come again.  When the feed cannot know what it missed (first contact, another
epoch, a serial that went backwards, rows pruned before they were read), listeners are told to
forget everything, and it goes on from there: recovery is the way it starts.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

from node.store.changes import PAGE_ROWS, Change, Position, read_changes
from node.store.database import Database, StoreError, StoreUnavailable

POLL_SECONDS = 0.25
BACKOFF_LIMIT_SECONDS = 0.5

OnChanges = Callable[[int, int, Sequence[Change]], Awaitable[None]]
"""(serial_from, serial_to, changes): all changes after `serial_from` up to and with `serial_to`."""

OnReset = Callable[[Position], Awaitable[None]]
"""(position): drop everything; changes after its serial, in its epoch, will be told."""

log = logging.getLogger(__name__)


class ChangeFeed:
    """Reads the change table and tells the listeners.  `run()` until cancelled.

    `last_read` is the epoch second of the last successful reading (0 before the first); `serial` is
    the newest one that listeners were told; `known_from` the one after which they know everything.
    """

    def __init__(
        self,
        database: Database,
        on_changes: OnChanges,
        on_reset: OnReset,
        *,
        on_error: Callable[[Exception], None] = lambda _: None,
        poll_seconds: float = POLL_SECONDS,
        page_rows: int = PAGE_ROWS,
    ) -> None:
        self._database = database
        self._on_changes = on_changes
        self._on_reset = on_reset
        self._on_error = on_error
        self._poll_seconds = poll_seconds
        self._page_rows = page_rows
        self._position: Position | None = None
        self._failing = False
        self._reading = asyncio.Lock()  # over position and what listeners were told
        self.known_from = 0
        self.last_read = 0.0

    @property
    def position(self) -> Position | None:
        """The epoch, and the newest serial that listeners were told; None before first contact."""
        return self._position

    @property
    def serial(self) -> int:
        """The newest serial that listeners were told; 0 before first contact."""
        return self._position.serial if self._position else 0

    async def run(self) -> None:
        """Poll until cancelled."""
        pause = self._poll_seconds
        while True:
            try:
                await self.drain()
            except (StoreUnavailable, StoreError) as error:
                pause = min(pause * 2, BACKOFF_LIMIT_SECONDS)
                self._note_failure(error)
            else:
                pause = self._poll_seconds
                self._note_success()
            await asyncio.sleep(pause)

    async def drain(self) -> None:
        """Tell the listeners all there is.  Raises StoreUnavailable, StoreError."""
        async with self._reading:
            while await self._read_page():
                pass

    async def _read_page(self) -> bool:
        known = self._position
        after = known.serial if known else 0
        page = await read_changes(self._database, after, self._page_rows if known else 0)
        now = time.time()
        if known is None or not page.continues(known):
            await self._on_reset(page.position)
            self._position = page.position
            self.known_from = page.position.serial
        elif page.changes:
            newest = page.changes[-1].serial
            await self._on_changes(after, newest, page.changes)
            self._position = Position(known.epoch, newest)
        self.last_read = now
        return self.serial < page.position.serial

    def _note_failure(self, error: Exception) -> None:
        self._on_error(error)
        if not self._failing:
            log.warning("the change feed cannot be read: %s", error)
        self._failing = True

    def _note_success(self) -> None:
        if self._failing:
            log.warning("the change feed is read again, at serial %d", self.serial)
        self._failing = False
