"""Schema: how a database stands, without changing it; for `idnode check`."""

from dataclasses import dataclass
from datetime import UTC, datetime

from node.store.database import Migration, connect, migrations, store_errors
from node.store.replica import Standing, read_standing


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """A database as found: its version, the steps `migrate` would apply, and what could hinder us.

    `skew_seconds` is how far its clock is ahead of ours, the way there included.
    """

    server_version: str
    server_major: int
    pending: tuple[Migration, ...]
    is_standby: bool
    skew_seconds: float


@dataclass(frozen=True, slots=True)
class ReplicaStanding:
    """A replica as found beside its primary; `behind` counts changes."""

    is_same_database: bool
    is_standby: bool
    behind: int


async def inspect_replica(primary_dsn: str, dsn: str) -> ReplicaStanding:
    """Look at a replica, then at its primary.  Raises StoreUnavailable, StoreError."""
    replica, primary = await _standing(dsn), await _standing(primary_dsn)
    return ReplicaStanding(
        replica.epoch == primary.epoch,
        replica.is_standby,
        max(0, primary.serial - replica.serial),
    )


async def _standing(dsn: str) -> Standing:
    connection = await connect(dsn)
    try:
        with store_errors():
            return await read_standing(connection)
    finally:
        connection.terminate()


async def inspect_database(dsn: str) -> DatabaseState:
    """Look at a database.  Raises StoreUnavailable, StoreError."""
    connection = await connect(dsn)
    try:
        with store_errors():
            known = await connection.fetchval("select to_regclass('migration') is not null")
            rows = await connection.fetch("select number from migration") if known else []
            row = await connection.fetchrow(
                "select clock_timestamp() as now, pg_is_in_recovery() as standby,"
                " current_setting('server_version') as version"
            )
    finally:
        connection.terminate()
    assert row is not None  # noqa: S101  # a select without a table has one row
    done = {each["number"] for each in rows}
    return DatabaseState(
        server_version=row["version"],
        server_major=connection.get_server_version().major,
        pending=tuple(step for step in migrations() if step.number not in done),
        is_standby=row["standby"],
        skew_seconds=(row["now"] - datetime.now(UTC)).total_seconds(),
    )
