"""API tokens and HTTP sessions in Postgres, by the SHA-256 of what the client holds.

A session is looked up at every use, a token unless it was right within the last half second (`resolver.lately`); so
what is ended or revoked counts for nothing, at once or then.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import IntEnum
from typing import NamedTuple

from node.store.database import Connection, Database, Row, StoreError, StoreUnavailable
from resolver.authentication import Token
from resolver.httpsession import Session
from resolver.registrar import Scope

SECONDS = 2.0  # a lookup that takes longer is an outage
LONGEST_SESSION_SECONDS = 86_400  # however much it is used
KEPT_SECONDS = (
    86_400  # a session that is over, so that its id is never taken again while it is a challenge
)
MAX_LISTED = 1_000
ID_BYTES = 8  # of the hash: the name by which a token is listed and revoked

_FIND_API = """
select handle, index, scopes, prefixes, is_operator from token
where hash = $1 and kind = 0 and revoked_at is null and (expires_at is null or expires_at > now())
"""
_FIND_SESSION = """
select handle, index, name, extract(epoch from now() - expires_at)::float8 + $2 as unwritten
from token
where hash = $1 and kind = 1 and revoked_at is null and expires_at > now()
    and made_at > now() - make_interval(secs => $3)
"""
_OPEN_SESSION = """
insert into token as known (hash, kind, name, handle, index, expires_at)
values ($1, 1, $2, $3, $4, now() + make_interval(secs => $5))
on conflict (hash) do update
set name = excluded.name, handle = excluded.handle, index = excluded.index,
    expires_at = excluded.expires_at
where known.kind = 1 and known.revoked_at is null and known.expires_at > now()
returning hash
"""
_TOUCH_SESSION = """
update token set expires_at = now() + make_interval(secs => $2)
where hash = $1 and kind = 1 and revoked_at is null and expires_at > now()
"""
_CLOSE_SESSION = """
update token set revoked_at = now() where hash = $1 and kind = 1 and revoked_at is null
"""
_INSERT = """
insert into token (hash, kind, name, handle, index, scopes, prefixes, is_operator, expires_at)
values ($1, 0, $2, $3, $4, $5, $6, $7, $8)
on conflict (hash) do nothing
returning made_at
"""
_LISTED = (
    "hash, name, handle, index, scopes, prefixes, is_operator, made_at, expires_at, revoked_at"
)
_LIST = f"select {_LISTED} from token where kind = 0 order by made_at, hash limit $1"  # noqa: S608  a constant
_SHOW = f"select {_LISTED} from token where hash = $1"  # noqa: S608  a constant
_REVOKE = f"""
update token set revoked_at = now()
where kind = 0 and revoked_at is null
    and (encode(substring(hash for {ID_BYTES}), 'hex') = $1 or name = $1)
returning {_LISTED}
"""  # noqa: S608  constants
_PRUNE = """
delete from token where hash in (
    select hash from token
    where kind = 1 and expires_at < now() - make_interval(secs => $1) limit 10000
)
"""


class TokenKind(IntEnum):
    """What a row of the table stands for."""

    API_TOKEN = 0
    SESSION = 1


class TokenRow(NamedTuple):
    """An API token as it is listed; `id` is the start of its hash, in hexadecimal."""

    id: str
    name: str
    token: Token
    made_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class TokenTable:
    """Implements `TokenStore` of resolver.authentication and `SessionStore` of resolver.httpsession."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find_token(self, digest: bytes) -> Token | None:
        """See TokenStore."""
        row = await self._fetchrow(_FIND_API, digest)
        return _token(row) if row else None

    async def find_session(self, digest: bytes, session_seconds: int) -> Session | None:
        """See SessionStore."""
        longest = LONGEST_SESSION_SECONDS
        row = await self._fetchrow(_FIND_SESSION, digest, float(session_seconds), longest)
        if row is None:
            return None
        return Session(row["handle"], row["index"], row["name"], row["unwritten"])

    async def open_session(self, digest: bytes, session: Session, session_seconds: int) -> bool:
        """See SessionStore."""
        values = (session.key_mark, session.handle, session.index, session_seconds)
        return await self._fetchrow(_OPEN_SESSION, digest, *values) is not None

    async def touch_session(self, digest: bytes, session_seconds: int) -> None:
        """See SessionStore."""
        await self._fetchrow(_TOUCH_SESSION, digest, session_seconds)

    async def close_session(self, digest: bytes) -> None:
        """See SessionStore."""
        await self._fetchrow(_CLOSE_SESSION, digest)

    async def _fetchrow(self, statement: str, *values: object) -> Row | None:
        try:
            async with self._database.connection_for(SECONDS) as connection:
                return await connection.fetchrow(statement, *values)
        except StoreError as error:
            raise StoreUnavailable(str(error)) from error


async def insert_token(
    connection: Connection, digest: bytes, name: str, token: Token, expires_at: datetime | None
) -> bool:
    """Add an API token; False when there is one with this hash.  Raises as `Database.connection`."""
    row = await connection.fetchrow(
        _INSERT,
        digest,
        name,
        token.handle,
        token.index,
        None if token.scopes is None else sorted(token.scopes),
        list(token.prefixes),
        token.is_operator,
        expires_at,
    )
    return row is not None


async def list_tokens(database: Database) -> tuple[TokenRow, ...]:
    """Return the API tokens, MAX_LISTED at most, the oldest first.  Raises as `Database.connection`."""
    async with database.connection_for(SECONDS) as connection:
        return _listed(await connection.fetch(_LIST, MAX_LISTED))


async def show_token(connection: Connection, digest: bytes) -> TokenRow | None:
    """Return one API token, revoked or not.  Raises as `Database.connection`."""
    rows = _listed(await connection.fetch(_SHOW, digest))
    return rows[0] if rows else None


async def revoke_tokens(connection: Connection, name: str) -> tuple[TokenRow, ...]:
    """Revoke the API tokens with this id or name, and return them.  Raises as `Database.connection`."""
    return _listed(await connection.fetch(_REVOKE, name))


async def prune_sessions(database: Database) -> None:
    """Drop sessions that have been over for long, some at a time.  Raises as `Database.connection`."""
    async with database.connection() as connection:
        await connection.execute(_PRUNE, KEPT_SECONDS)


def token_id(digest: bytes) -> str:
    """Return the name by which a token is listed and revoked."""
    return digest[:ID_BYTES].hex()


def _listed(rows: Sequence[Row]) -> tuple[TokenRow, ...]:
    return tuple(
        TokenRow(
            token_id(row["hash"]),
            row["name"],
            _token(row),
            row["made_at"],
            row["expires_at"],
            row["revoked_at"],
        )
        for row in rows
    )


def _token(row: Row) -> Token:
    scopes = None if row["scopes"] is None else frozenset(map(Scope, row["scopes"]))
    return Token(row["handle"], row["index"], scopes, tuple(row["prefixes"]), row["is_operator"])
