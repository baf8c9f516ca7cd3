"""Files: photos of papers, sealed as they are stored; a form names them by their ids."""

from typing import NamedTuple

from node.store.database import Database
from resolver.keys.seal import Seal

_PLACE = b"file "
_PUT = """
insert into file (id, media_type, bytes) values ($1, $2, $3) on conflict (id) do nothing returning id
"""
_READ = "select id, media_type, bytes from file where id = any($1::text[])"


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

    async def read(self, *ids: str) -> dict[str, File]:
        """Return the files of these ids that there are.  Raises StoreUnavailable, StoreError, SealError."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_READ, ids)
        return {row[0]: File(row[1], self._seal.open(_place(row[0]), 0, row[2])) for row in rows}


def _place(id_: str) -> bytes:
    return _PLACE + id_.encode()
