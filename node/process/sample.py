"""The sample: a file of records that a new node loads once, so that there is something to ask.

Once means once for each database: what is changed or deleted afterwards stays so.  The mark is a file in the data
directory that bears the database's epoch; it is made when the load is done, and a load that was cut short is repeated.
"""

import logging
from pathlib import Path

from node.config import Settings
from node.errors import Kind, RegistryError
from node.registry.records import load_file
from node.store.changes import read_position
from node.store.database import Database, StoreError, StoreUnavailable

logger = logging.getLogger(__name__)


async def load_sample_once(settings: Settings, sample: Path) -> None:
    """Load the sample if this database has not had it.  Raises RegistryError."""
    marks = settings.data_dir / "samples"
    mark = marks / f"{await _epoch(settings.database_url)}"
    if mark.exists():
        return
    report = await load_file(
        settings.database_url, str(sample), case_sensitive=settings.case_sensitive
    )
    if report.errors:
        first = report.first_errors[0] if report.first_errors else ""
        raise RegistryError(
            Kind.INVALID,
            f"{sample} has {report.errors} lines that cannot be loaded; the first: {first}.",
        )
    logger.info("sample loaded", extra={"file": str(sample), "records": report.written})
    marks.mkdir(exist_ok=True)
    mark.touch()


async def _epoch(url: str) -> str:
    try:
        async with Database(url, max_connections=1) as database:
            return str((await read_position(database)).epoch)
    except (StoreUnavailable, StoreError) as error:
        raise RegistryError(Kind.UNAVAILABLE, f"{error}.") from error
