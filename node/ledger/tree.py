"""The tree in its files: its right edge, to grow it, and the tiles and bundles of entries that are written for that."""

from collections.abc import Iterator, Sequence
from typing import Self

from node.ledger.leaf import Head
from node.ledger.logfiles import LogDamaged, LogFiles
from node.ledger.tiles import (
    ENTRIES,
    TILE_HEIGHT,
    TILE_WIDTH,
    Frontier,
    Tile,
    encode_entries,
    entries_for,
    tile_at,
)
from node.ledger.tlog import leaf_hash


class Tree:
    """A tree that grows.  Its methods block."""

    def __init__(self, files: LogFiles, frontier: Frontier, edge: list[bytes]) -> None:
        """Use `load`."""
        self._files = files
        self._frontier = frontier
        self.edge = edge  # the entries of the last, partial bundle

    @classmethod
    def load(cls, files: LogFiles, head: Head) -> Self:
        """Read the right edge of the tree with this head.  Raises LogDamaged when the tiles are not its; OSError."""
        size, root = head
        try:
            frontier = Frontier.load(size, files.read_tile)
        except ValueError as error:
            raise LogDamaged(f"the tiles of the log: {error}") from error
        if frontier.root() != root:
            raise LogDamaged(
                f"the tiles of the log do not have the root of its head at {size} leaves; restore them from a copy"
            )
        edge = list(files.lines(size - size % TILE_WIDTH, size))
        if edge and _joined(edge) != files.read_tile(tile_at(0, size // TILE_WIDTH, size)):
            raise LogDamaged(
                f"the entries before {size} are not those of the tiles; restore them from a copy"
            )
        return cls(files, frontier, edge)

    @property
    def head(self) -> Head:
        """Size and root as they are now."""
        return self._frontier.size, self._frontier.root()

    def grow(self, lines: Sequence[bytes]) -> Head:
        """Append leaves: when it returns, the disk has their tiles and entries.

        Raises LogDamaged when other tiles are in their place, OSError; then the object is used no more.
        """
        old = self._frontier.size
        tiles = self._frontier.extend(map(leaf_hash, lines))
        entries, start = self.edge + list(lines), old - len(self.edge)
        for bundle in entries_for(old, self._frontier.size):
            at = bundle.number * TILE_WIDTH - start
            tiles.append((bundle, encode_entries(entries[at : at + bundle.width])))
        self._files.write_tiles(tiles)
        self.edge = entries[len(entries) - self._frontier.size % TILE_WIDTH :]
        return self.head

    def tidy(self, old: int) -> None:
        """Drop the partial tiles of what has become full since the tree had the old size."""
        for tile in _filled(old, self._frontier.size):
            self._files.drop_partials(tile)


def _joined(lines: Sequence[bytes]) -> bytes:
    return b"".join(map(leaf_hash, lines))


def _filled(old: int, new: int) -> Iterator[Tile]:
    level, before, now = 0, old // TILE_WIDTH, new // TILE_WIDTH
    while before < now:
        for number in range(before, now):
            yield Tile(level, number)
            if level == 0:
                yield Tile(ENTRIES, number)
        level, before, now = level + 1, before >> TILE_HEIGHT, now >> TILE_HEIGHT
