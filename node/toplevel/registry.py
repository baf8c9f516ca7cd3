"""Registry: the enterprises and prefixes that were registered by EPP, their decisions, and the queue of messages.

It has a file of its own, as the business system (BMS) is another system than the one that keeps the tables: who
restores an old copy of the tables forgets no prefix.  Of people only masked names and numbers are kept, and no photo.
"""

import json
import sqlite3
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from node.toplevel.database import Database

SCHEMA = """
CREATE TABLE IF NOT EXISTS enterprise (
    number INTEGER PRIMARY KEY AUTOINCREMENT, credit_code TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
    form TEXT NOT NULL, version INTEGER NOT NULL, at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS prefix (
    prefix TEXT PRIMARY KEY, ent_id TEXT NOT NULL, state TEXT NOT NULL,
    client_id TEXT NOT NULL, server_id TEXT NOT NULL,
    applied_at REAL NOT NULL, due_at REAL, decided_at REAL, message TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS notice (
    number INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, prefix TEXT NOT NULL,
    ent_id TEXT NOT NULL, client_id TEXT NOT NULL, server_id TEXT NOT NULL,
    passed INTEGER NOT NULL, message TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS command (number INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL);
"""
ENT_ID = "ENT-"
MAX_SHOWN = 200

_PREFIX = "prefix, ent_id, state, client_id, server_id, applied_at, due_at, decided_at, message"
_NOTICE = "number, at, prefix, ent_id, client_id, server_id, passed, message"


class PrefixState(StrEnum):
    """How an application for a prefix stands."""

    WAITING = "waiting"
    GRANTED = "granted"
    REFUSED = "refused"


class Enterprise(NamedTuple):
    """An enterprise; `form` is what it said, without photos and with its people masked."""

    ent_id: str
    credit_code: str
    name: str
    form: dict[str, object]
    version: int
    at: float


class Prefix(NamedTuple):
    """An application for a prefix, and what came of it; times are POSIX seconds.  `due_at`: decided by itself then."""

    prefix: str
    ent_id: str
    state: PrefixState
    client_id: str
    server_id: str
    applied_at: float
    due_at: float | None = None
    decided_at: float | None = None
    message: str = ""


class Decision(NamedTuple):
    """A message of the queue."""

    number: int
    at: float
    prefix: str
    ent_id: str
    client_id: str
    server_id: str
    passed: bool
    message: str


class NoSuchApplication(Exception):
    """No application for this prefix waits."""


class Registry:
    """The file, and what of it is known at once: `is_granted` and `knows` may be asked from any thread."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        """Use `open`."""
        self._database = database
        self._clock = clock
        self._granted: set[str] = set()
        self._ent_ids: set[str] = set()
        self.learned = 0  # how often an enterprise or a granted prefix was added

    @classmethod
    async def open(cls, database: Database, clock: Callable[[], float]) -> "Registry":
        """Read what is known.  Raises DatabaseFailed."""
        made = cls(database, clock)
        numbers = await database.read(
            lambda c: c.execute("SELECT number FROM enterprise").fetchall()
        )
        made._ent_ids = {f"{ENT_ID}{number}" for (number,) in numbers}
        granted = "SELECT prefix FROM prefix WHERE state = 'granted'"
        made._granted = {
            each[0] for each in await database.read(lambda c: c.execute(granted).fetchall())
        }
        return made

    def is_granted(self, prefix: str) -> bool:
        """True when the prefix, or one that it lies below, was granted."""
        name = prefix
        while name:
            if name in self._granted:
                return True
            name = name.rpartition(".")[0]
        return False

    def knows(self, ent_id: str) -> bool:
        """True for the number of an enterprise."""
        return ent_id in self._ent_ids

    async def next_server_id(self) -> str:
        """Return a transaction number (`svTRID`) that was never given before."""
        now = self._clock()
        number = await self._database.write(
            lambda c: c.execute("INSERT INTO command (at) VALUES (?)", (now,)).lastrowid
        )
        return f"TLN-{number:08}"

    async def find_enterprise(self, credit_code: str) -> str | None:
        """Return the `entId` of an enterprise."""
        found = await self._database.read_newest(
            lambda c: c.execute(
                "SELECT number FROM enterprise WHERE credit_code = ?", (credit_code,)
            ).fetchone()
        )
        return None if found is None else f"{ENT_ID}{found[0]}"

    async def add_enterprise(
        self, credit_code: str, name: str, form: dict[str, object]
    ) -> str | None:
        """Register an enterprise and return its `entId`; None when its credit code is known already."""
        values = (credit_code, name, json.dumps(form, ensure_ascii=False), 1, self._clock())

        def work(connection: sqlite3.Connection) -> int | None:
            added = connection.execute(
                "INSERT INTO enterprise (credit_code, name, form, version, at) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT DO NOTHING RETURNING number",
                values,
            ).fetchone()
            return None if added is None else int(added[0])

        number = await self._database.write(work)
        if number is None:
            return None
        self._ent_ids.add(f"{ENT_ID}{number}")
        self.learned += 1
        return f"{ENT_ID}{number}"

    async def change_enterprise(
        self, ent_id: str, form: dict[str, object], *, name: str = "", credit_code: str = ""
    ) -> bool:
        """Change what was said of an enterprise; False when another has the credit code."""
        changes = json.dumps(form, ensure_ascii=False)

        def work(connection: sqlite3.Connection) -> bool:
            changed = connection.execute(
                "UPDATE OR IGNORE enterprise SET form = json_patch(form, ?), version = version + 1, at = ?,"
                " name = coalesce(nullif(?, ''), name),"
                " credit_code = coalesce(nullif(?, ''), credit_code) WHERE number = ?",
                (changes, self._clock(), name, credit_code, _number(ent_id)),
            )
            return changed.rowcount == 1

        return await self._database.write(work)

    async def find_prefix(self, prefix: str) -> Prefix | None:
        """Return the newest application for a prefix."""
        sql = f"SELECT {_PREFIX} FROM prefix WHERE prefix = ?"  # noqa: S608
        found = await self._database.read_newest(lambda c: c.execute(sql, (prefix,)).fetchone())
        return None if found is None else _prefix(found)

    async def add_prefix(self, added: Prefix) -> bool:
        """Take an application; False when the prefix is granted, or waits already."""
        sql = (
            f"INSERT INTO prefix ({_PREFIX}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
            " ON CONFLICT (prefix) DO UPDATE SET ent_id = excluded.ent_id, state = excluded.state,"
            " client_id = excluded.client_id, server_id = excluded.server_id,"
            " applied_at = excluded.applied_at, due_at = excluded.due_at,"
            " decided_at = excluded.decided_at, message = excluded.message WHERE state = 'refused'"
        )
        taken = await self._database.write(lambda c: c.execute(sql, added).rowcount == 1)
        if taken and added.state is PrefixState.GRANTED:
            self._granted.add(added.prefix)
            self.learned += 1
        return taken

    async def decide(self, prefix: str, *, passed: bool, message: str) -> None:
        """Decide on an application, and put the message into the queue.  Raises NoSuchApplication."""
        now, state = self._clock(), PrefixState.GRANTED if passed else PrefixState.REFUSED

        def work(connection: sqlite3.Connection) -> None:
            found = connection.execute(
                "UPDATE prefix SET state = ?, decided_at = ?, message = ?"
                " WHERE prefix = ? AND state = 'waiting' RETURNING ent_id, client_id, server_id",
                (state, now, message, prefix),
            ).fetchone()
            if found is None:
                raise NoSuchApplication(f"no application for {prefix} waits")
            connection.execute(
                "INSERT INTO notice (at, prefix, ent_id, client_id, server_id, passed, message)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (now, prefix, *found, passed, message),
            )

        await self._database.write(work)
        if passed:
            self._granted.add(prefix)
            self.learned += 1

    async def due(self) -> list[str]:
        """Return the prefixes whose applications are due by now."""
        sql, now = (
            "SELECT prefix FROM prefix WHERE state = 'waiting' AND due_at <= ?",
            self._clock(),
        )
        return [
            each[0]
            for each in await self._database.read(lambda c: c.execute(sql, (now,)).fetchall())
        ]

    async def head(self) -> tuple[int, Decision | None]:
        """Return how many messages wait, and the first of them."""

        def work(connection: sqlite3.Connection) -> tuple[int, Decision | None]:
            (count,) = connection.execute("SELECT count(*) FROM notice").fetchone()
            sql = f"SELECT {_NOTICE} FROM notice ORDER BY number LIMIT 1"  # noqa: S608
            first = connection.execute(sql).fetchone()
            if first is None:
                return count, None
            return count, Decision(*first)._replace(passed=bool(first[6]))

        return await self._database.read_newest(work)

    async def take_off(self, number: str) -> int | None:
        """Take a message off the queue, and return how many are left; None when there is none of this number."""

        def work(connection: sqlite3.Connection) -> int | None:
            if not connection.execute("DELETE FROM notice WHERE number = ?", (number,)).rowcount:
                return None
            return int(connection.execute("SELECT count(*) FROM notice").fetchone()[0])

        return await self._database.write(work)

    async def enterprises(self) -> list[Enterprise]:
        """Return the newest enterprises."""
        sql = "SELECT number, credit_code, name, form, version, at FROM enterprise ORDER BY at DESC LIMIT ?"
        found = await self._database.read(lambda c: c.execute(sql, (MAX_SHOWN,)).fetchall())
        return [
            Enterprise(f"{ENT_ID}{n}", code, name, json.loads(form), *rest)
            for n, code, name, form, *rest in found
        ]

    async def prefixes(self) -> list[Prefix]:
        """Return applications: those that wait first, then the newest."""
        sql = f"SELECT {_PREFIX} FROM prefix ORDER BY state != 'waiting', applied_at DESC LIMIT ?"  # noqa: S608
        found = await self._database.read(lambda c: c.execute(sql, (MAX_SHOWN,)).fetchall())
        return [_prefix(each) for each in found]


def _prefix(
    found: tuple[str, str, str, str, str, float, float | None, float | None, str],
) -> Prefix:
    return Prefix(found[0], found[1], PrefixState(found[2]), *found[3:])


def _number(ent_id: str) -> int:
    digits = ent_id.removeprefix(ENT_ID)
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 18 else 0
