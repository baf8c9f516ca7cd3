"""Arrivals: from when each serial was stored by the top-level node, as whoever opens its file sees.

A thread reads its standing every few milliseconds; it blocks nobody.  What is acknowledged is therefore late by that
time at most, and never early: the file shows what was committed, and the acknowledgement is sent after that.
"""

import sqlite3
import threading
import time
from bisect import bisect_left
from contextlib import suppress
from pathlib import Path
from types import TracebackType

PAUSE_SECONDS = 0.01


class Arrivals:
    """Watches a file while the block lasts."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._serials: list[int] = []
        self._times: list[float] = []  # POSIX seconds

    def __enter__(self) -> "Arrivals":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def newest(self) -> int:
        """The serial at which the top-level node stands."""
        return self._serials[-1] if self._serials else 0

    def of(self, serial: int) -> float | None:
        """Return when this serial was there; None: it is not."""
        place = bisect_left(self._serials, serial)
        return self._times[place] if place < len(self._times) else None

    def _watch(self) -> None:
        connection = sqlite3.connect(f"file:{self._path}?mode=ro", uri=True)
        try:
            while not self._ended.wait(PAUSE_SECONDS):
                with suppress(sqlite3.OperationalError):  # it is being restored
                    (serial,) = connection.execute("select serial from standing").fetchone()
                    if serial > self.newest:
                        self._times.append(time.time())
                        self._serials.append(serial)
        finally:
            connection.close()
