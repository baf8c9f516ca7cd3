"""Database: the pool of connections to Postgres, transactions, and migrations.

Laws: asyncpg's errors stop here.  Trouble with the connection is `StoreUnavailable`, which the read
path knows as `SourceUnavailable` (busy, try again); anything else that the database refuses is
`StoreError`, a fault of ours.  Every wait has a limit.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType
from typing import TypeAlias, TypeVar

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from asyncpg.prepared_stmt import PreparedStatement

from resolver.source import SourceUnavailable

CONNECT_SECONDS = 5.0
STATEMENT_SECONDS = 30.0
ACQUIRE_SECONDS = 5.0
IDLE_SECONDS = 300.0
STATEMENT_CACHE_SIZE = 100
APPLICATION_NAME = "idnode"
MIGRATION_LOCK = 0x69646E6F_6465  # "idnode": the advisory lock that a migrating process holds

_LOST = (
    OSError,  # includes TimeoutError
    EOFError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what a connection says that is cut while it is being used
    asyncpg.PostgresConnectionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.OperatorInterventionError,  # being shut down, starting up, cancelled
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    asyncpg.ReadOnlySQLTransactionError,  # a standby, or a primary that was demoted
)

# Quoted, since only their stubs are generic.
Row: TypeAlias = asyncpg.Record
OwnConnection: TypeAlias = "asyncpg.Connection[Row]"
Connection: TypeAlias = "asyncpg.Connection[Row] | PoolConnectionProxy[Row]"
Statement: TypeAlias = "PreparedStatement[Row]"
Pool: TypeAlias = "asyncpg.Pool[Row]"
Result = TypeVar("Result")


class StoreUnavailable(SourceUnavailable):
    """Postgres cannot be reached, or not in time: try again later."""


class StoreError(Exception):
    """Postgres refused a statement: a fault of ours, or a schema that is not migrated."""


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn asyncpg's exceptions into this module's two."""
    try:
        yield
    except _LOST as error:
        raise StoreUnavailable(f"Postgres is not available: {_reason(error)}") from error
    except asyncpg.PostgresError as error:
        raise StoreError(f"Postgres refused a statement: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


async def connect(dsn: str, *, timeout_seconds: float = CONNECT_SECONDS) -> OwnConnection:
    """Open one connection.  Raises StoreUnavailable."""
    with store_errors():
        try:
            return await asyncpg.connect(
                dsn,
                timeout=timeout_seconds,
                command_timeout=STATEMENT_SECONDS,
                statement_cache_size=STATEMENT_CACHE_SIZE,
                server_settings={"application_name": APPLICATION_NAME},
            )
        except ValueError:  # its words may show a part of the password
            raise StoreUnavailable("the URL of Postgres cannot be read") from None


class _LentConnection(asyncpg.Connection):
    """A connection of a pool.  It goes back as it is: to reset it cost a round trip, and more than most statements.

    An open transaction is rolled back all the same.
    """

    def get_reset_query(self) -> str:
        """Called by asyncpg's pool."""
        return ""


class Database:
    """A pool of connections, opened on first use and reopened after Postgres was away.

    The pool never refuses to start: a process may come up before its database does.  Law: nobody changes the session of
    a connection that is lent (SET, LISTEN, session locks, temporary tables); what needs that uses `connect`.
    """

    def __init__(
        self,
        dsn: str,
        *,
        max_connections: int = 4,
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """`settings` are Postgres's own, for the sessions of these connections."""
        self.dsn = dsn
        self._max_connections = max_connections
        self._settings = {"application_name": APPLICATION_NAME, **settings}
        self._pool: Pool | None = None
        self._opening = asyncio.Lock()  # guards _pool while it is being opened

    async def __aenter__(self) -> "Database":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the idle connections, and cut those that are still busy after a moment."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            await asyncio.wait_for(pool.close(), ACQUIRE_SECONDS)
        except (TimeoutError, *_LOST):
            pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection, to talk to Postgres and nothing else inside the block.

        Raises StoreUnavailable, StoreError.
        """
        with store_errors():
            pool = self._pool or await self._open()
            async with pool.acquire(timeout=ACQUIRE_SECONDS) as connection:
                yield connection

    @asynccontextmanager
    async def connection_for(self, seconds: float) -> AsyncIterator[Connection]:
        """Lend a connection for so long, the wait for it included; one that hangs is cut, and not lent again.

        For what must hear soon that the other end is gone.  Raises as `connection`.
        """
        try:
            async with asyncio.timeout(seconds), self.connection() as connection:
                try:
                    yield connection
                except asyncio.CancelledError:
                    connection.terminate()  # else the pool waits for Postgres to hear of it
                    raise
        except TimeoutError as error:
            raise StoreUnavailable("Postgres did not answer in time") from error

    async def read(
        self, seconds: float, query: Callable[[Connection], Awaitable[Result]]
    ) -> Result:
        """Put a query that only reads, with a connection for so long; it may be put a second time.

        Raises as `connection`.
        """
        async with self.connection_for(seconds) as connection:
            return await query(connection)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Lend a connection inside a transaction: all of it, or nothing when the block raises."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    @property
    def size(self) -> int:
        """Connections open now."""
        return self._pool.get_size() if self._pool else 0

    @property
    def idle(self) -> int:
        """Connections open and not lent."""
        return self._pool.get_idle_size() if self._pool else 0

    async def _open(self) -> Pool:
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self.dsn,
                    connection_class=_LentConnection,
                    min_size=0,
                    max_size=self._max_connections,
                    max_inactive_connection_lifetime=IDLE_SECONDS,
                    timeout=CONNECT_SECONDS,
                    command_timeout=STATEMENT_SECONDS,
                    statement_cache_size=STATEMENT_CACHE_SIZE,
                    server_settings=self._settings,
                )
            return self._pool


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered step of the schema; only forward."""

    number: int
    name: str
    sql: str


def migrations() -> tuple[Migration, ...]:
    """Return the steps that come with this version, in order."""
    found = []
    for file in (files("node.store") / "migrations").iterdir():
        number, _, name = file.name.removesuffix(".sql").partition("_")
        if file.name.endswith(".sql"):
            found.append(Migration(int(number), name, file.read_text(encoding="utf-8")))
    return tuple(sorted(found, key=lambda step: step.number))


async def migrate(dsn: str) -> tuple[Migration, ...]:
    """Bring the schema up to this version and return the steps applied now: all of them, or none.

    Processes that start together wait for one another; a newer schema is left as it is.
    Raises StoreUnavailable, StoreError.
    """
    connection = await connect(dsn)
    try:
        with store_errors():
            async with connection.transaction():
                return await _apply_pending(connection)
    finally:
        connection.terminate()


async def _apply_pending(connection: Connection) -> tuple[Migration, ...]:
    await connection.execute("select pg_advisory_xact_lock($1)", MIGRATION_LOCK)
    await connection.execute(
        "create table if not exists migration (number int primary key, name text not null,"
        " applied_at timestamptz not null default now())"
    )
    done = {row["number"] for row in await connection.fetch("select number from migration")}
    pending = tuple(step for step in migrations() if step.number not in done)
    for step in pending:
        await connection.execute(step.sql)
        await connection.execute(
            "insert into migration (number, name) values ($1, $2)", step.number, step.name
        )
    return pending
