"""A Postgres and a Valkey for the session, and a fresh database for each test that asks.

From the wheels, unless IDNODE_TEST_DATABASE_URL / IDNODE_TEST_REDIS_URL name servers; the tests are
the same.  The account of the former must be allowed to create databases.
"""

import os
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from node.store.database import Database, migrate
from tests.support.clusters import ValkeyCluster, temporary_cluster
from tests.support.servers import (
    PostgresServer,
    ValkeyServer,
    temporary_postgres,
    temporary_valkey,
)


@pytest.fixture(scope="session")
def server_directory() -> Iterator[Path]:
    """A short path (sockets have a limit) that the unprivileged account can reach."""
    with tempfile.TemporaryDirectory(prefix="idnode-", dir="/tmp") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


@pytest.fixture(scope="session")
def own_postgres(server_directory: Path) -> Iterator[PostgresServer]:
    """A Postgres that this session may stop and start: for tests of failures."""
    (server_directory / "pg").mkdir()
    with temporary_postgres(server_directory / "pg") as server:
        yield server


@pytest.fixture(scope="session")
def own_valkey(server_directory: Path) -> Iterator[ValkeyServer]:
    """A Valkey that this session may stop and start."""
    (server_directory / "valkey").mkdir()
    with temporary_valkey(server_directory / "valkey") as server:
        yield server


@pytest.fixture(scope="session")
def own_cluster(server_directory: Path) -> Iterator[ValkeyCluster]:
    """A Valkey Cluster that this session may do anything to."""
    with temporary_cluster(server_directory / "cluster") as cluster:
        yield cluster


@pytest.fixture(scope="session")
def postgres_url(request: pytest.FixtureRequest) -> str:
    """A database on a server where databases can be created."""
    given = os.environ.get("IDNODE_TEST_DATABASE_URL")
    if given:
        return given
    server: PostgresServer = request.getfixturevalue("own_postgres")
    return server.url("postgres")


@pytest.fixture(scope="session")
def redis_url(request: pytest.FixtureRequest) -> str:
    """A Redis-compatible server."""
    given = os.environ.get("IDNODE_TEST_REDIS_URL")
    if given:
        return given
    server: ValkeyServer = request.getfixturevalue("own_valkey")
    return server.url


@pytest.fixture
async def empty_database_url(postgres_url: str) -> AsyncIterator[str]:
    """A new database without a schema."""
    name = f"idnode_{uuid.uuid4().hex[:12]}"
    await _execute(postgres_url, f"create database {name}")
    yield urlunsplit(urlsplit(postgres_url)._replace(path=f"/{name}"))
    await _execute(postgres_url, f"drop database {name} with (force)")


@pytest.fixture
async def database_url(empty_database_url: str) -> str:
    """A new database with the schema of this version."""
    await migrate(empty_database_url)
    return empty_database_url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A pool on a new migrated database."""
    async with Database(database_url) as pool:
        yield pool


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
