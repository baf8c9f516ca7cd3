"""COPY in its binary form (PostgreSQL manual, COPY, "Binary Format"), with rows that are in that form already."""

from collections.abc import AsyncIterator, Sequence

from node.store.database import Connection

PIECE_ROWS = 1_000  # sent at once, so that Postgres begins while the next are put together

_START = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = b"\xff\xff"


async def copy_rows(
    connection: Connection, table: str, columns: Sequence[str], rows: Sequence[bytes]
) -> None:
    """Put rows into a table: each the number of its fields, and before each field its length (-1: null)."""
    await connection.copy_to_table(table, source=_pieces(rows), columns=columns, format="binary")


async def _pieces(rows: Sequence[bytes]) -> AsyncIterator[bytes]:
    yield _START
    for first in range(0, len(rows), PIECE_ROWS):
        yield b"".join(rows[first : first + PIECE_ROWS])
    yield _END
