"""Copies: older states of the tables, by name, and going back to one, as an operator does who restores a backup.

A copy is one SQLite file.  The registry (EPP) is another system and stays as it is.
"""

import asyncio
import re
from pathlib import Path

from node.toplevel.database import Database

START = "start"  # made when the program starts
MAX_COPIES = 20
_NAME = re.compile(r"[0-9a-z_-]{1,32}")


class CopyError(ValueError):
    """There is no such copy, or it cannot have this name."""


class Copies:
    """The directory of copies."""

    def __init__(self, directory: Path, database: Database) -> None:
        directory.mkdir(mode=0o700, exist_ok=True)
        self._directory = directory
        self._database = database
        self._turn = asyncio.Lock()  # one copy at a time

    def names(self) -> list[str]:
        """Return the names, the newest first."""
        found = sorted(self._directory.glob("*.db"), key=lambda path: -path.stat().st_mtime_ns)
        return [path.stem for path in found]

    async def make(self, name: str) -> None:
        """Make a copy, in the place of one of this name.  Raises CopyError, DatabaseFailed."""
        path = self._path(name)
        async with self._turn:
            if not path.exists() and len(self.names()) >= MAX_COPIES:
                raise CopyError(f"there are {MAX_COPIES} copies; use a name again: {self.names()}")
            await self._database.copy_to(path)

    async def restore(self, name: str) -> None:
        """Go back to a copy.  Raises CopyError, DatabaseFailed."""
        path = self._path(name)
        if not path.exists():
            raise CopyError(
                f"there is no copy {name}; there are {', '.join(self.names()) or 'none'}"
            )
        async with self._turn:
            await self._database.take_from(path)

    def newest(self) -> str:
        """Return the name of the newest copy.  Raises CopyError."""
        names = self.names()
        if not names:
            raise CopyError("there is no copy yet; make one with POST /snapshots")
        return names[0]

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise CopyError("a copy's name has 1 to 32 small letters, digits, - and _")
        return self._directory / f"{name}.db"
