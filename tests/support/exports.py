"""Exports of a test's database, as bytes."""

from node.registry.exports import Exporter, Wanted
from node.store.database import Database
from node.store.exports import snapshot


async def export(database: Database, wanted: Wanted = Wanted()) -> tuple[bytes, Exporter]:  # noqa: B008
    """Return an export, and who made it."""
    async with snapshot(database.dsn) as state:
        exporter = Exporter(state, wanted)
        return b"".join([block async for block in exporter.blocks()]), exporter
