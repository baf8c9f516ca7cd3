"""Migrations, the pool, and what becomes of asyncpg's errors."""

import asyncio
import contextlib

import pytest

from node.store.database import (
    Database,
    StoreError,
    StoreUnavailable,
    connect,
    migrate,
    migrations,
)
from resolver.source import SourceUnavailable

pytestmark = pytest.mark.db


async def test_migrate_applies_every_step_once(empty_database_url: str) -> None:
    first = await migrate(empty_database_url)
    second = await migrate(empty_database_url)
    assert first == migrations()
    assert second == ()


async def test_processes_that_migrate_at_once_wait_for_one_another(empty_database_url: str) -> None:
    applied = await asyncio.gather(*(migrate(empty_database_url) for _ in range(4)))
    assert sorted(len(steps) for steps in applied) == [0, 0, 0, len(migrations())]


async def test_a_newer_schema_is_left_as_it_is(database: Database) -> None:
    async with database.connection() as connection:
        await connection.execute("insert into migration (number, name) values (9999, 'to_come')")
    assert await migrate(database.dsn) == ()


def test_migrations_are_numbered_from_one_without_gaps() -> None:
    assert [step.number for step in migrations()] == list(range(1, len(migrations()) + 1))


async def test_a_transaction_that_raises_leaves_nothing(database: Database) -> None:
    with contextlib.suppress(ZeroDivisionError):
        async with database.transaction() as connection:
            await connection.execute("update change_counter set serial = 5")
            raise ZeroDivisionError
    async with database.connection() as connection:
        assert await connection.fetchval("select serial from change_counter") == 0


async def test_a_refused_statement_is_a_store_error(database: Database) -> None:
    with pytest.raises(StoreError, match="no_such_table"):
        async with database.connection() as connection:
            await connection.execute("select 1 from no_such_table")


async def test_an_unreachable_server_is_unavailable_not_a_crash() -> None:
    dsn = "postgresql://postgres@127.0.0.1:1/postgres"
    with pytest.raises(StoreUnavailable):
        await connect(dsn)
    async with Database(dsn) as pool:
        with pytest.raises(SourceUnavailable):
            async with pool.connection():
                pass


async def test_url_that_cannot_be_read_is_not_shown() -> None:
    with pytest.raises(StoreUnavailable, match="cannot be read") as caught:
        await connect("postgresql://u:se/cret@h/x")

    assert str(caught.value) == "the URL of Postgres cannot be read"
    assert caught.value.__suppress_context__  # a traceback would show a part of the password
