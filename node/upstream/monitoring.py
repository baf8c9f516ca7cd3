"""Monitoring: the keeper looks once a second at how the node does, and has Postgres and the top-level node told.

In a second: what the workers' counters gained goes into the day's figures; the signs are read, and what becomes of them
is an event; a second in which an instance could resolve and register is noted.  In a minute: figures and seconds go to
Postgres, and each day that is over becomes a row of M1.  Events go at once.  While Postgres is away all of it waits:
events in the notebook, figures and seconds in memory.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import date, datetime
from secrets import token_hex
from time import time

from node.store.database import Database, StoreError, StoreUnavailable
from node.store.daycounts import SHANGHAI
from node.store.monitoring import (
    DayRow,
    Stop,
    hold_day,
    put_day,
    put_event,
    put_minutes,
    put_stops,
    tell_next_day,
)
from node.store.synced import SyncedRows
from node.together import first_of
from node.upstream.figures import Figures, performance_row
from node.upstream.notebook import Notebook, Notes
from node.upstream.sampling import Sampler
from node.upstream.troubles import CauseClass, Sign, Watch, event_row

SAVE_SECONDS = 60.0
SETTLED_SECONDS = 120.0  # after midnight, for the last figures of all instances
START_SECONDS = 60.0  # that workers have to be heard for the first time
UNSEEN_SECONDS = 5.0  # between two good looks that count as good
END_SECONDS = 3.0  # for the last writing
MAX_MINUTES = 10_080  # kept in memory while Postgres is away: a week
WORKERS = "workers"  # the sign that must be good once before the others are looked at
KILLED = "this node was not running, and had not been stopped in order"
RUNS = "this node runs"
WRITABLE = Sign("disk", True, "the data directory can be written")

_FAILURES = (StoreUnavailable, StoreError, ValueError)  # ValueError: Fault, ChangeError

log = logging.getLogger(__name__)

ReadSigns = Callable[[], Awaitable[list[Sign]]]


def day_of(at: float) -> date:
    """Return the day of Asia/Shanghai in which a POSIX time lies."""
    return datetime.fromtimestamp(at, SHANGHAI).date()


class Monitor:
    """What one keeper measures of its node; `run` does it, and `end` is called once."""

    def __init__(
        self,
        database: Database,
        rows: SyncedRows,
        node_prefix: str,
        sampler: Sampler,
        read_signs: ReadSigns,
        notebook: Notebook,
        *,
        running_since: Callable[[], float],
        clock: Callable[[], float] = time,
    ) -> None:
        """`running_since` is when the oldest worker began, in POSIX seconds; 0 without any."""
        self._database = database
        self._rows = rows
        self._node_prefix = node_prefix
        self._sampler = sampler
        self._read_signs = read_signs
        self._notebook = notebook
        self._running_since = running_since
        self._clock = clock
        self._notes = Notes()
        self._watch = Watch(self._notes.open, lambda: token_hex(8))
        self._writing = asyncio.Lock()  # guards the file of the notebook
        self._disk = WRITABLE
        self._figures: dict[date, Figures] = {}  # not in Postgres
        self._seconds: dict[int, int] = {}  # bits by minute, until Postgres has them
        self._begun_at = self._looked_at = clock()
        self._good_at = 0  # the newest good second
        self._save_at = 0.0
        self._has_begun = self._is_ended = False

    async def run(self) -> None:
        """Go on until cancelled; nothing that fails here ends the keeper."""
        await self.begin()
        await first_of(self._look_for_ever(), self._save_for_ever())

    async def begin(self) -> None:
        """Take up the notebook: what was open, and how this node came to its end the last time."""
        try:
            notes, seen_at = await asyncio.to_thread(self._notebook.read)
        except (OSError, ValueError) as error:
            log.warning(
                "the notebook of the monitoring is begun anew", extra={"reason": str(error)}
            )
            notes, seen_at = Notes(), 0
        self._notes = notes
        self._watch = Watch(notes.open, lambda: token_hex(8))
        self._begun_at = self._looked_at = now = self._clock()
        if notes.is_stopped:
            notes.stops.append(Stop(seen_at, int(now)))
        elif seen_at and not 0 < self._running_since() <= seen_at and "stop" not in notes.open:
            killed = Sign("stop", False, KILLED, CauseClass.OTHER)
            notes.events.append(self._watch.begin(seen_at, killed))
        notes.is_stopped = False
        await self._note()

    async def look(self) -> None:
        """Do what is done once a second."""
        now = self._clock()
        since, self._looked_at = self._looked_at, now
        gained = self._sampler.gain(int(since), now - since)
        day = day_of(since)
        self._figures[day] = self._figures.get(day, Figures()).merge(gained)
        signs = await self._read_signs()
        heard = next((sign.ok for sign in signs if sign.name == WORKERS), True)
        self._has_begun = self._has_begun or heard is True or now > self._begun_at + START_SECONDS
        if not self._has_begun or self._is_ended:
            return
        self._count(int(now), all(sign.ok for sign in signs if sign.is_vital))
        runs = Sign("stop", heard or None, RUNS, CauseClass.OTHER)
        events = self._watch.look(now, [*signs, self._disk, runs])
        self._notes.events += events
        for event in events:
            log.warning("a state event", extra={"number": event.event, "cause": event.cause})
        if events:
            await self._note()
        self._touch()

    async def save(self) -> None:
        """Have Postgres take what waits.  Raises StoreUnavailable, StoreError; ValueError for a row that is none."""
        await self._save_troubles()
        now = self._clock()
        if now < self._save_at:
            return
        self._save_at = now + SAVE_SECONDS
        await self._note()
        await self._save_minutes(int(now) // 60)
        await self._save_figures()
        await self._tell_days(day_of(now - SETTLED_SECONDS))

    async def end(self, *, in_order: bool = True) -> None:
        """Keep all there is, in Postgres if it is there; and whether the node was told to stop."""
        self._is_ended, self._notes.is_stopped, self._save_at = True, in_order, 0.0
        try:
            async with asyncio.timeout(END_SECONDS):
                await self.save()
        except (TimeoutError, *_FAILURES) as error:
            log.warning("the last figures are not saved", extra={"reason": str(error)})
        await self._note()

    def _count(self, second: int, is_good: bool) -> None:
        """Note that the node could do its work in this second, and in those between two good looks."""
        if not is_good:
            self._good_at = 0
            return
        is_near = 0 < second - self._good_at <= UNSEEN_SECONDS
        for each in range(self._good_at + 1 if is_near else second, second + 1):
            minute, place = divmod(each, 60)
            self._seconds[minute] = self._seconds.get(minute, 0) | 1 << place
        self._good_at = second
        if len(self._seconds) > MAX_MINUTES:
            del self._seconds[min(self._seconds)]

    async def _look_for_ever(self) -> None:
        while True:
            await asyncio.sleep(1 - self._clock() % 1)
            try:
                await self.look()
            except Exception:  # the top of a task
                log.exception("the monitoring failed to look")

    async def _save_for_ever(self) -> None:
        said = ""
        while not self._is_ended:
            await asyncio.sleep(1)
            try:
                await self.save()
                said = ""
            except _FAILURES as error:
                if str(error) != said:
                    log.info("the monitoring is not saved yet", extra={"reason": str(error)})
                said = str(error)

    async def _save_troubles(self) -> None:
        events, stops = list(self._notes.events), list(self._notes.stops)
        for event in events:
            async with self._database.transaction() as connection:
                if await put_event(connection, event):
                    await self._rows.write(connection, [event_row(self._node_prefix, event)])
        if stops:
            async with self._database.connection() as connection:
                await put_stops(connection, stops)
        if events or stops:
            self._notes.settle(events, stops)
            await self._note()

    async def _save_minutes(self, current: int) -> None:
        taken = dict(self._seconds)
        async with self._database.connection() as connection:
            await put_minutes(connection, taken)
        for minute, seconds in taken.items():
            if minute < current and self._seconds.get(minute) == seconds:
                del self._seconds[minute]

    async def _save_figures(self) -> None:
        for day in list(self._figures):
            given = self._figures.pop(day)
            try:
                await self._add(day, given)
            except BaseException:
                self._figures[day] = given.merge(self._figures.get(day, Figures()))
                raise

    async def _add(self, day: date, given: Figures) -> None:
        async with self._database.transaction() as connection:
            stored = Figures.decode(await hold_day(connection, day))
            both = stored.merge(given)
            if both != stored:
                await put_day(connection, DayRow(day, both.encode()))

    async def _tell_days(self, before: date) -> None:
        while True:
            async with self._database.transaction() as connection:
                found = await tell_next_day(connection, before)
                if found is None:
                    return
                figures = Figures.decode(found.figures)
                row = performance_row(self._node_prefix, found.day, figures)
                await self._rows.write(connection, [row])
            log.info("told of a day's figures", extra={"day": found.day.isoformat()})

    async def _note(self) -> None:
        """Write the notebook; what fails here is a sign of its own."""
        text = self._notes.encode()
        async with self._writing:
            try:
                await asyncio.to_thread(self._notebook.write, text, self._clock())
                self._disk = WRITABLE
            except OSError as error:
                reason = f"the data directory cannot be written: {error.strerror}"
                self._disk = WRITABLE._replace(ok=False, sentence=reason)

    def _touch(self) -> None:
        try:
            self._notebook.touch(self._clock())
        except OSError as error:
            log.debug("the notebook cannot be touched: %s", error)
