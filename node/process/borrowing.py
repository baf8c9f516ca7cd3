"""Borrowing: the embedded Postgres for a command that works while the node is stopped.

The command holds the data directory as a node would, so that none starts beside it; Postgres ends with the command,
however that ends.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from node.config import Settings
from node.process.embedded import embed_postgres
from node.process.home import open_home
from node.process.lock import DataDirectory
from node.process.running import find_running


@asynccontextmanager
async def borrowed_postgres(settings: Settings) -> AsyncIterator[Settings]:
    """Lend settings whose `database_url` is not empty: as given, else of the embedded Postgres.

    That is the one of the node that runs on the data directory, or one that is started here and ends with the block.
    Raises RegistryError.
    """
    running = None if settings.database_url else find_running(settings)
    if settings.database_url or running is not None:
        yield settings if running is None else replace(settings, database_url=running.database_url)
        return
    directory = DataDirectory.acquire(settings.data_dir)
    try:
        home = open_home(settings.data_dir, settings.embedded_user)
        try:
            postgres = await embed_postgres(home, directory, settings)
            try:
                await postgres.child.start()
                yield replace(settings, database_url=postgres.url)
            finally:
                await postgres.child.stop()
        finally:
            home.clear()
    finally:
        directory.release()
