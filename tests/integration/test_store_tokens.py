"""API tokens and HTTP sessions in a real Postgres."""

from datetime import UTC, datetime, timedelta

import pytest

from node.store.database import Database
from node.store.tokens import (
    TokenTable,
    insert_token,
    list_tokens,
    prune_sessions,
    revoke_tokens,
    token_id,
)
from resolver.authentication import Token
from resolver.httpsession import Session
from resolver.registrar import Scope

DIGEST = bytes(range(32))
TOKEN = Token(b"88.1/ADMIN", 300, frozenset({Scope.READ, Scope.WRITE}), (b"88.1",))
OPENED = Session(b"88.1/ADMIN", 300, "mark")
SECONDS = 1_800

pytestmark = pytest.mark.db


async def put(database: Database, expires_at: datetime | None = None) -> None:
    async with database.transaction() as connection:
        assert await insert_token(connection, DIGEST, "ci", TOKEN, expires_at)


async def age(database: Database, seconds: int) -> None:
    """Make everything in the table so much older."""
    async with database.connection() as connection:
        await connection.execute(
            "update token set made_at = made_at - make_interval(secs => $1),"
            " expires_at = expires_at - make_interval(secs => $1)",
            seconds,
        )


async def test_token_is_found_by_its_hash_with_all_that_it_stands_for(database: Database) -> None:
    await put(database)

    assert await TokenTable(database).find_token(DIGEST) == TOKEN
    assert await TokenTable(database).find_token(DIGEST[::-1]) is None


async def test_expired_token_is_not_found(database: Database) -> None:
    await put(database, datetime.now(UTC) - timedelta(seconds=1))

    assert await TokenTable(database).find_token(DIGEST) is None


@pytest.mark.parametrize("name", ["ci", token_id(DIGEST)])
async def test_revoked_token_is_not_found_and_stays_listed(database: Database, name: str) -> None:
    await put(database)

    async with database.transaction() as connection:
        revoked = await revoke_tokens(connection, name)
        again = await revoke_tokens(connection, name)

    assert [each.id for each in revoked] == [token_id(DIGEST)]
    assert again == ()
    assert await TokenTable(database).find_token(DIGEST) is None
    listed = await list_tokens(database)
    assert listed[0].revoked_at is not None


async def test_session_is_no_token_and_token_is_no_session(database: Database) -> None:
    table = TokenTable(database)
    await put(database)
    await table.open_session(DIGEST[::-1], OPENED, SECONDS)

    assert await table.find_session(DIGEST, SECONDS) is None
    assert await table.find_token(DIGEST[::-1]) is None
    assert not await table.open_session(DIGEST, OPENED, SECONDS)
    assert [row.name for row in await list_tokens(database)] == ["ci"]


async def test_session_ends_when_it_is_not_used(database: Database) -> None:
    table = TokenTable(database)
    await table.open_session(DIGEST, OPENED, SECONDS)

    await age(database, SECONDS - 60)
    used = await table.find_session(DIGEST, SECONDS)
    await age(database, 61)

    assert used is not None
    assert used.key_mark == OPENED.key_mark
    assert SECONDS - 61 < used.unwritten_seconds < SECONDS - 50
    assert await table.find_session(DIGEST, SECONDS) is None
    assert not await table.open_session(DIGEST, OPENED, SECONDS)


async def test_session_that_is_used_goes_on_for_a_day_at_most(database: Database) -> None:
    table = TokenTable(database)
    await table.open_session(DIGEST, OPENED, SECONDS)

    for _ in range(48):
        await age(database, SECONDS - 10)
        assert await table.find_session(DIGEST, SECONDS) is not None
        await table.touch_session(DIGEST, SECONDS)
    await age(database, 490)

    assert await table.find_session(DIGEST, SECONDS) is None


async def test_session_that_was_ended_cannot_be_opened_again(database: Database) -> None:
    table = TokenTable(database)
    await table.open_session(DIGEST, OPENED, SECONDS)

    await table.close_session(DIGEST)

    assert await table.find_session(DIGEST, SECONDS) is None
    assert not await table.open_session(DIGEST, OPENED, SECONDS)


async def test_ending_what_never_was_a_session_writes_nothing(database: Database) -> None:
    await TokenTable(database).close_session(DIGEST)

    async with database.connection() as connection:
        assert await connection.fetchval("select count(*) from token") == 0


async def test_only_sessions_that_are_long_over_are_pruned(database: Database) -> None:
    table = TokenTable(database)
    await put(database, datetime.now(UTC) - timedelta(days=90))
    await table.open_session(DIGEST[::-1], OPENED, SECONDS)

    await prune_sessions(database)
    async with database.connection() as connection:
        before = await connection.fetchval("select count(*) from token")
    await age(database, 2 * 86_400)
    await prune_sessions(database)
    async with database.connection() as connection:
        after = await connection.fetchval("select count(*) from token")

    assert (before, after) == (2, 1)
