"""Database: one SQLite file, one thread that writes it, one that reads it, and whole copies of it.

Laws.  A write is one transaction; when `write` returns, it is on the disk (WAL with synchronous=FULL), and when it
raises, nothing of it is.  All writes go through the one thread, so no two meet.  A copy is put in the place of the
contents in one transaction as well: whoever is killed meanwhile finds the old or the new.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

BUSY_SECONDS = 10.0  # for the file, when a copy of it is being made
CACHE_KIB = 65_536
NO_LIMIT_PAGES = 1_073_741_823  # SQLite's own

_MODE = 0o600  # rows hold personal data, in the clear

Result = TypeVar("Result")
Work = Callable[[sqlite3.Connection], Result]


class DatabaseFailed(Exception):
    """The file cannot be written or read; nothing was changed.  The text says why."""


class Database:
    """One file.  `open` makes it when it is not there."""

    def __init__(
        self, path: Path, writing: ThreadPoolExecutor, reading: ThreadPoolExecutor
    ) -> None:
        self.path = path
        self._writing = writing
        self._reading = reading
        self._writer: sqlite3.Connection
        self._reader: sqlite3.Connection

    @classmethod
    def open(cls, path: Path, schema: str) -> "Database":
        """Open a file and see that it has these tables.  Raises DatabaseFailed."""
        made = cls(path, ThreadPoolExecutor(1, "writes"), ThreadPoolExecutor(1, "reads"))
        try:
            made._writer = made._writing.submit(_connect, path).result()
            made._writing.submit(_make_tables, made._writer, schema).result()
            made._reader = made._reading.submit(_connect, path).result()
        except sqlite3.Error as error:
            raise DatabaseFailed(f"{path} cannot be opened: {error}") from error
        return made

    async def write(self, work: Work[Result]) -> Result:
        """Do work in one transaction.  Raises DatabaseFailed, and what the work raises, with nothing done."""
        return await self._run(self._writing, lambda: _in_transaction(self._writer, work))

    async def read(self, work: Work[Result]) -> Result:
        """Do work that only reads, in one snapshot, beside whoever writes.  Raises DatabaseFailed."""
        return await self._run(self._reading, lambda: _in_snapshot(self._reader, work))

    async def read_newest(self, work: Work[Result]) -> Result:
        """Read behind all writes that were asked for before.  Raises DatabaseFailed."""
        return await self._run(self._writing, lambda: work(self._writer))

    async def copy_to(self, path: Path) -> None:
        """Write a copy of the whole contents, in the place of what is there.  Raises DatabaseFailed."""
        await self._run(self._reading, lambda: _copy(self._reader, path))

    async def take_from(self, path: Path) -> None:
        """Put a copy in the place of the contents.  Raises DatabaseFailed."""
        await self._run(self._writing, lambda: _restore(path, self._writer))

    async def fill(self, *, is_full: bool) -> None:
        """Let the file grow no more, as on a full disk, or let it grow again.  Raises DatabaseFailed."""
        pages = 1 if is_full else NO_LIMIT_PAGES  # below its size SQLite takes the size
        await self._run(
            self._writing, lambda: self._writer.execute(f"PRAGMA max_page_count = {pages}").close()
        )

    def close(self) -> None:
        """End both threads when they have done what was asked of them."""
        self._reading.submit(self._reader.close).result()
        self._writing.submit(self._writer.close).result()
        self._reading.shutdown()
        self._writing.shutdown()

    async def _run(self, thread: ThreadPoolExecutor, work: Callable[[], Result]) -> Result:
        try:
            return await asyncio.get_running_loop().run_in_executor(thread, work)
        except sqlite3.Error as error:
            raise DatabaseFailed(f"{self.path.name}: {error}") from error


def _connect(path: Path) -> sqlite3.Connection:
    """Both connections are used in the thread that opened them; transactions are begun by hand."""
    path.touch(_MODE)  # its WAL has the same mode
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL").close()
    connection.execute("PRAGMA synchronous = FULL").close()
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}").close()
    return connection


def _make_tables(connection: sqlite3.Connection, schema: str) -> None:
    connection.executescript(schema)


def _in_transaction(connection: sqlite3.Connection, work: Work[Result]) -> Result:
    connection.execute("BEGIN IMMEDIATE")
    try:
        result = work(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk rolls back by itself
            connection.execute("ROLLBACK")
        raise
    return result


def _in_snapshot(connection: sqlite3.Connection, work: Work[Result]) -> Result:
    connection.execute("BEGIN")
    try:
        return work(connection)
    finally:
        connection.execute("ROLLBACK")


def _copy(connection: sqlite3.Connection, path: Path) -> None:
    draft = path.with_name(f"{path.name}.draft")
    draft.unlink(missing_ok=True)
    draft.touch(_MODE)  # SQLite writes into a file that is empty
    connection.execute("VACUUM INTO ?", (str(draft),))
    draft.replace(path)


def _restore(path: Path, connection: sqlite3.Connection) -> None:
    source = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        source.backup(connection)
    finally:
        source.close()
