"""What the registration channel has told the top-level node of enterprises, and the notices that it sent back."""

from collections.abc import Sequence
from datetime import datetime
from time import monotonic
from typing import NamedTuple

from node.store.database import Database
from resolver.keys.seal import Seal

WHOLE_SECONDS = 3_600.0  # after which all enterprises are looked through: whatever was done to the table by hand
AGAIN_SECONDS = 600.0  # after which what was refused for the account's sake is tried again

_PLACE = b"registration "
_NEWEST = "select coalesce(max(serial), 0) from object where kind = 'enterprise'"
_DUE = """
select id, version, papers, details from (
    select o.id, o.version, r.papers, r.details, r.again_at, o.changed_at
    from object o left join registration r on r.enterprise = o.id
    where o.kind = 'enterprise' and o.serial >= $2
        and (r.version is null or r.version < o.version)
    union
    select o.id, o.version, r.papers, r.details, r.again_at, o.changed_at
    from registration r join object o on o.kind = 'enterprise' and o.id = r.enterprise
    where r.again_at <= now()
) as due
order by again_at nulls first, changed_at, id limit $1
"""
_NOTE = """
insert into registration as known (enterprise, version, papers, details, code, reason, again_at)
values ($1, $2, $3, $4, $5, $6,
    case when $7::float8 > 0 then now() + make_interval(secs => $7) end)
on conflict (enterprise) do update
set version = excluded.version, code = excluded.code, reason = excluded.reason,
    again_at = excluded.again_at,
    papers = coalesce(excluded.papers, known.papers),
    details = coalesce(excluded.details, known.details)
"""
_REFUSED = """
select enterprise, code, reason from registration where code is not null order by enterprise limit $1
"""
_KEEP = """
insert into notice as known (message_id, prefix, passed, state, message, queued_at)
values ($1, $2, $3, $4, $5, $6)
on conflict (message_id) do update
set prefix = excluded.prefix, passed = excluded.passed, state = excluded.state,
    message = excluded.message, taken_at = now(), queued_at = excluded.queued_at,
    effect = case
        when (known.prefix, known.passed, known.state, known.message)
            is distinct from (excluded.prefix, excluded.passed, excluded.state, excluded.message)
            or known.queued_at <> excluded.queued_at
        then '' else known.effect
    end
returning effect
"""
_EFFECT = "update notice set effect = $2 where message_id = $1"
_NOTICES = """
select message_id, prefix, passed, state, message, effect, queued_at from notice
order by id desc limit $1
"""


class Due(NamedTuple):
    """An enterprise that was changed since it was last looked at, and the digests of what was told."""

    enterprise: str
    version: int
    papers: bytes | None
    details: bytes | None


class Told(NamedTuple):
    """What came of telling an enterprise as it was at a version: digests when it was told, else code and reason."""

    papers: bytes | None = None
    details: bytes | None = None
    code: int | None = None
    reason: str = ""
    again_seconds: float = 0.0


class Refused(NamedTuple):
    """An enterprise that the top-level node does not take as it is."""

    enterprise: str
    code: int
    reason: str


class StoredNotice(NamedTuple):
    """A message of the top-level node's queue, what it led to here, and when it was put there (None: not told)."""

    message_id: str
    prefix: str
    passed: bool
    state: int | None
    message: str
    effect: str = ""
    queued_at: datetime | None = None


class Registrations:
    """The tables of the registration channel.

    What the top-level node says in words is sealed: it may name people.  All methods raise StoreUnavailable and
    StoreError, and SealError for another key.
    """

    def __init__(self, database: Database, seal: Seal) -> None:
        self._database = database
        self._seal = seal
        self._seen = (
            0  # serial before which no enterprise is due, but for those that are tried again
        )
        self._whole_at = 0.0  # monotonic: when all are looked through again

    async def due(self, most: int) -> Sequence[Due]:
        """Return enterprises that are to be looked at, the longest unseen first.

        Serials rise with each step, in the order of the commits; so what was looked through once is passed over, until
        everything is looked through again after WHOLE_SECONDS, as at the start.
        """
        if monotonic() >= self._whole_at:
            self._seen, self._whole_at = 0, monotonic() + WHOLE_SECONDS
        async with self._database.connection() as connection:
            newest = await connection.fetchval(_NEWEST)
            found = [Due(*row) for row in await connection.fetch(_DUE, most, self._seen)]
        if not found:
            self._seen = newest
        return found

    async def note(self, due: Due, told: Told) -> None:
        """Store what came of it."""
        async with self._database.connection() as connection:
            await connection.execute(
                _NOTE,
                due.enterprise,
                due.version,
                told.papers,
                told.details,
                told.code,
                self._sealed(due.enterprise, told.reason),
                told.again_seconds,
            )

    async def refused(self, most: int = 100) -> Sequence[Refused]:
        """Return the enterprises that somebody has to correct."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_REFUSED, most)
        return [Refused(row[0], row[1], self._opened(row[0], row[2])) for row in rows]

    async def keep(self, notice: StoredNotice) -> str:
        """Store a notice, and return what it led to when it came before; empty: nothing yet.

        Another one under the same number takes its place: the top-level node went back to a backup.  It is another one
        if anything that it says differs, or the time at which it was put into the queue, where both are told.
        """
        async with self._database.connection() as connection:
            effect: str = await connection.fetchval(
                _KEEP,
                notice.message_id,
                notice.prefix,
                notice.passed,
                notice.state,
                self._sealed(notice.message_id, notice.message),
                notice.queued_at,
            )
        return effect

    async def note_effect(self, message_id: str, effect: str) -> None:
        """Store what a notice led to."""
        async with self._database.connection() as connection:
            await connection.execute(_EFFECT, message_id, effect)

    async def notices(self, most: int) -> Sequence[StoredNotice]:
        """Return the newest notices, the newest first."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_NOTICES, most)
        return [
            StoredNotice(name, prefix, passed, state, self._opened(name, message), effect, at)
            for name, prefix, passed, state, message, effect, at in rows
        ]

    def _sealed(self, name: str, text: str) -> bytes:
        return self._seal.seal(_PLACE + name.encode(), 0, text.encode())

    def _opened(self, name: str, data: bytes) -> str:
        return self._seal.open(_PLACE + name.encode(), 0, data).decode()
