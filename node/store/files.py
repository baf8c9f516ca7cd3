"""Files: photos of papers, sealed as they are stored; a form names them by their ids."""

from collections.abc import Sequence
from typing import NamedTuple

from node.store.database import Connection, Database
from resolver.keys.seal import Seal

_PLACE = b"file "
_PUT = """
insert into file (id, media_type, bytes, named) values ($1, $2, $3, false)
on conflict (id) do nothing returning id
"""
_NAME = "update file set named = true where id = any($1::text[]) and not named"
_FORGET = """
delete from file where not named and uploaded_at < now() - make_interval(secs => $1)
"""
_READ = "select id, media_type, bytes from file where id = any($1::text[])"


UNNAMED_SECONDS = 7 * 86_400.0  # that a file is kept for the form which is to name it


class File(NamedTuple):
    """A photo, and what it is: `image/jpeg`, `image/png` or `image/bmp`.  Its content is personal data."""

    media_type: str
    content: bytes

    def __repr__(self) -> str:
        return f"File({self.media_type}, {len(self.content)} bytes)"


class Files:
    """The stored files of a node."""

    def __init__(self, database: Database, seal: Seal) -> None:
        self._database = database
        self._seal = seal

    async def put(self, id_: str, file: File) -> bool:
        """Store a file under a new id; False when another file has it.  Raises StoreUnavailable, StoreError."""
        sealed = self._seal.seal(_place(id_), 0, file.content)
        async with self._database.connection() as connection:
            return await connection.fetchval(_PUT, id_, file.media_type, sealed) is not None

    async def forget_unnamed(self, seconds: float = UNNAMED_SECONDS) -> int:
        """Delete files that no form ever named, so long after they came, and return how many there were.

        What a form named once stays: so do the steps of objects, for ever.  Raises StoreUnavailable, StoreError.
        """
        async with self._database.connection() as connection:
            status = await connection.execute(_FORGET, seconds)
        return int(status.rpartition(" ")[2])

    async def read(self, *ids: str) -> dict[str, File]:
        """Return the files of these ids that there are.  Raises StoreUnavailable, StoreError, SealError."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_READ, ids)
        return {row[0]: File(row[1], self._seal.open(_place(row[0]), 0, row[2])) for row in rows}


async def name_files(connection: Connection, ids: Sequence[str]) -> None:
    """Note in the open transaction that a form names these files, of which some may not be there."""
    if ids:
        await connection.execute(_NAME, ids)


def _place(id_: str) -> bytes:
    return _PLACE + id_.encode()
