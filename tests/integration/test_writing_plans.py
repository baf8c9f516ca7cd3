"""Writes find their rows by index, also when Postgres planned them while the tables were small."""

import pytest

from node.store import keys, writing
from node.store.database import Connection, Database

pytestmark = pytest.mark.db

STATEMENTS = {
    "_READ": ("record", 2),
    "_REPLAYS": ("idempotency", 3),
    "_COMMIT": ("record", 22),
}


async def plan_of(connection: Connection, statement: str, arguments: int) -> str:
    """Return the plan that is kept for any arguments."""
    await connection.execute("set plan_cache_mode = force_generic_plan")
    await connection.execute(f"prepare planned as {statement}")
    nulls = ", ".join(["null"] * arguments)
    return "\n".join(
        [row[0] for row in await connection.fetch(f"explain execute planned({nulls})")]
    )


@pytest.mark.parametrize("name", STATEMENTS)
async def test_no_table_that_grows_is_read_from_end_to_end(database: Database, name: str) -> None:
    table, arguments = STATEMENTS[name]
    async with database.connection() as connection:
        await connection.execute("analyze record")  # it is empty now, and Postgres knows
        await connection.execute("analyze idempotency")
    async with (
        Database(database.dsn, max_connections=1, settings=writing.SESSION) as of_writes,
        of_writes.connection() as connection,
    ):
        plan = await plan_of(connection, getattr(writing, name), arguments)

    assert f"{table}_pkey" in plan
    assert f"Seq Scan on {table}" not in plan
    assert "idempotency_at" not in plan


async def test_a_key_is_found_however_many_prefixes_there_are(database: Database) -> None:
    """Every login looks it up."""
    async with (
        Database(database.dsn, max_connections=1, settings=writing.SESSION) as of_writes,
        of_writes.connection() as connection,
    ):
        plan = await plan_of(connection, keys._KEYS, 1)

    assert "Index Cond: (prefix = record.prefix)" in plan
    assert "Join Filter" not in plan
