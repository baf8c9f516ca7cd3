"""Chunks: a load file, cut into pieces of NDJSON that any process can read.

NDJSON: one JSON object a line, `{"handle": "88.118.8/x", "values": [...]}`; a `0.NA/` line may say
`"delegated": true` or `false`.  Empty lines are skipped, other keys ignored.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

BLOCK_BYTES = 1 << 19  # a chunk is a transaction, at whose end every other writer waits
FIRST_BLOCK_BYTES = BLOCK_BYTES >> 3  # each is twice as long as the last: Postgres begins at once
MAX_LINE_BYTES = 4 << 20  # twice what the longest record needs
MAX_CHUNK_LINES = 2_000  # as many as take a tenth of a second, however short they are

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class RowError(NamedTuple):
    """A row (counted from 1) that was not loaded, and why."""

    row: int
    handle: str
    reason: str


@dataclass(slots=True)
class Chunk:
    """Lines of NDJSON, the row of the file that each comes from, and rows that gave no line.

    `end` is the number of bytes of the file read so far.
    """

    lines: list[bytes] = field(default_factory=list)
    rows: list[int] | range = field(default_factory=list)
    errors: list[RowError] = field(default_factory=list)
    end: int = 0

    @property
    def last(self) -> int:
        """The last row that is here; 0 when there is none."""
        return max(
            self.rows[-1] if self.rows else 0, max((each.row for each in self.errors), default=0)
        )

    def after(self, row: int) -> "Chunk":
        """Return what comes after a row."""
        kept = bisect_right(self.rows, row)
        errors = [each for each in self.errors if each.row > row]
        return Chunk(self.lines[kept:], self.rows[kept:], errors, self.end)


def cut_lines(stream: BinaryIO) -> Iterator[Chunk]:
    """Cut NDJSON into chunks.  Raises OSError."""
    row, end, rest, size = 1, 0, b"", FIRST_BLOCK_BYTES
    while block := stream.read(size):
        size = min(2 * size, BLOCK_BYTES)
        if not end:
            block = block.removeprefix(_BYTE_ORDER_MARK)
        end += len(block)
        whole, newline, tail = block.rpartition(b"\n")
        if not newline:
            rest = (rest + block)[:MAX_LINE_BYTES]  # of an endless line only the start is kept
            continue
        lines = (rest + whole).split(b"\n")
        rest = tail
        for first in range(0, len(lines), MAX_CHUNK_LINES):
            part = lines[first : first + MAX_CHUNK_LINES]
            yield Chunk(part, range(row, row + len(part)), end=end)
            row += len(part)
    if rest:
        yield Chunk([rest], range(row, row + 1), end=end)
