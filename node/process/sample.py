"""The sample: a file of records that a new node loads once, so that there is something to ask.

Once means once for each database, and only into one that was empty: nobody's records are written over.  The marks are
files in the data directory that bear the database's epoch: one says that a load began (a load that was cut short is
repeated), the other that it is done.
"""

import logging
from pathlib import Path

from node.config import Settings
from node.errors import Kind, RegistryError
from node.process.child import LIFELINE, READY, Child, Program, environment_of
from node.store.changes import Position, read_position
from node.store.database import Database, StoreError, StoreUnavailable

LOAD_SECONDS = 3_600.0
GRACE_SECONDS = 15.0

log = logging.getLogger(__name__)


async def load_sample_once(settings: Settings, sample: Path, children_lock: int) -> None:
    """Load the sample, in a process of its own, if this database has not had it.  Raises RegistryError."""
    position = await _position(settings.database_url)
    mark = settings.data_dir / "samples" / str(position.epoch)
    begun = mark.with_suffix(".begun")
    if mark.exists():
        return
    if position.serial and not begun.exists():
        log.info("no sample: the database has records", extra={"file": str(sample)})
        return
    begun.parent.mkdir(exist_ok=True)
    begun.touch()
    loader = Child(
        Program(
            name="sample loader",
            arguments=(
                *Program.python("node.process.loader"),
                *("--file", str(sample), "--lifeline", LIFELINE, "--ready", READY),
            ),
            environment=environment_of(settings),
            descriptors=(children_lock,),
            grace_seconds=GRACE_SECONDS,
            ready_seconds=LOAD_SECONDS,
        )
    )
    try:
        await loader.start()  # it is ready when all is loaded
    finally:
        await loader.stop()
    mark.touch()


async def _position(url: str) -> Position:
    try:
        async with Database(url, max_connections=1) as database:
            return await read_position(database)
    except (StoreUnavailable, StoreError) as error:
        raise RegistryError(Kind.UNAVAILABLE, f"{error}.") from error
