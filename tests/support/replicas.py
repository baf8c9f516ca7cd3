"""A throw-away streaming replica of a throw-away Postgres."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from tests.support.servers import ACCOUNT, POSTGRES_BINARIES, PostgresServer, running


@contextmanager
def replica_of(primary: PostgresServer, directory: Path) -> Iterator[PostgresServer]:
    """Copy a Postgres that runs, and run the copy as its standby, until the block ends."""
    directory.mkdir()
    if ACCOUNT.user is not None and ACCOUNT.group is not None:
        os.chown(directory, ACCOUNT.user, ACCOUNT.group)
    copying = [
        *(POSTGRES_BINARIES / "pg_basebackup", "--pgdata", directory / "data"),
        *("--host", primary.directory, "--username", "postgres", "--write-recovery-conf"),
        *("--wal-method", "stream", "--checkpoint", "fast", "--no-sync"),
    ]
    subprocess.run(
        [str(word) for word in copying],
        check=True, capture_output=True, cwd="/",
        user=ACCOUNT.user, group=ACCOUNT.group, extra_groups=ACCOUNT.extra_groups,
    )  # fmt: skip
    with running(PostgresServer(directory)) as server:
        yield server


async def run_on(url: str, statement: str) -> None:
    """Run a statement on a connection of its own."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
