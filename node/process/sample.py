"""The sample: a file of records that a new node loads once, so that there is something to ask.

Once means once for each database: what is changed or deleted afterwards stays so.  The mark is a file in the data
directory that bears the database's epoch; it is made when the load is done, and a load that was cut short is repeated.
"""

from pathlib import Path

from node.config import Settings
from node.errors import Kind, RegistryError
from node.process.child import LIFELINE, READY, Child, Program, environment_of
from node.store.changes import read_position
from node.store.database import Database, StoreError, StoreUnavailable

LOAD_SECONDS = 3_600.0
GRACE_SECONDS = 15.0


async def load_sample_once(settings: Settings, sample: Path, children_lock: int) -> None:
    """Load the sample, in a process of its own, if this database has not had it.  Raises RegistryError."""
    mark = settings.data_dir / "samples" / await _epoch(settings.database_url)
    if mark.exists():
        return
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
    mark.parent.mkdir(exist_ok=True)
    mark.touch()


async def _epoch(url: str) -> str:
    try:
        async with Database(url, max_connections=1) as database:
            return str((await read_position(database)).epoch)
    except (StoreUnavailable, StoreError) as error:
        raise RegistryError(Kind.UNAVAILABLE, f"{error}.") from error
