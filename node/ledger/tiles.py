"""The tiles that a log's tree is kept in (C2SP tlog-tiles), and the right edge of a tree that grows.

Laws.  A tile is 256 hashes wide and eight tree levels high.  A partial tile is never hashed into the level above it.
For each size that a checkpoint was signed for, the partial tiles of that size exist; nothing else of a tile's place or
bytes ever changes.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import NamedTuple

from node.ledger.tlog import EMPTY_ROOT, HASH_BYTES, MAX_SIZE, HashReader, node_hash, root_from

TILE_WIDTH = 256
TILE_HEIGHT = 8  # tree levels from one tile level to the next
MAX_TILE_LEVEL = 63
MAX_ENTRY_BYTES = 65_535  # what the length of an entry in a bundle can say
ENTRIES = -1  # in the place of a tile's level: the bundle of entries beside the tile of level 0


class Tile(NamedTuple):
    """The place of a tile: its level (or ENTRIES), its number in the level, and how many hashes it holds."""

    level: int
    number: int
    width: int = TILE_WIDTH

    @property
    def path(self) -> str:
        """The path below the log's prefix."""
        if self.level == ENTRIES:
            return entries_path(self.number, self.width)
        return tile_path(self.level, self.number, self.width)


TileReader = Callable[[Tile], bytes]
"""read(tile): the bytes of that tile, 32 for each hash of its width."""


def tile_path(level: int, number: int, width: int = TILE_WIDTH) -> str:
    """Return the path of a tile below the log's prefix.  Raises ValueError when there is no such tile."""
    if not 0 <= level <= MAX_TILE_LEVEL:
        raise ValueError(f"a tile's level is 0 to {MAX_TILE_LEVEL}")
    return f"tile/{level}/{_place(number, width)}"


def entries_path(number: int, width: int = TILE_WIDTH) -> str:
    """Return the path of a bundle of entries below the log's prefix.  Raises ValueError when there is none."""
    return f"tile/entries/{_place(number, width)}"


def parse_tile_path(path: str) -> Tile | None:
    """Return the tile or bundle that a path names, or None when it names none in the one way it is written."""
    found = _PATH.fullmatch(path)
    if found is None:
        return None
    level = ENTRIES if found["level"] == "entries" else int(found["level"])
    number = int(re.sub(r"[x/]", "", found["number"]))
    tile = Tile(level, number, int(found["width"] or TILE_WIDTH))
    is_plain = level <= MAX_TILE_LEVEL and number <= MAX_SIZE and 0 < tile.width <= TILE_WIDTH
    return tile if is_plain and tile.path == path else None


def tiles_for(old_size: int, new_size: int) -> list[Tile]:
    """Return the tiles to write when a tree grows from one size to the other, level by level, partial ones too."""
    if not 0 <= old_size <= new_size <= MAX_SIZE:
        raise ValueError(f"a tree does not grow from {old_size} to {new_size}")
    return list(_grown_tiles(old_size, new_size))


def entries_for(old_size: int, new_size: int) -> list[Tile]:
    """Return the bundles of entries to write when a tree grows: those beside its tiles of level 0."""
    return [
        tile._replace(level=ENTRIES) for tile in tiles_for(old_size, new_size) if not tile.level
    ]


def encode_entries(entries: Iterable[bytes]) -> bytes:
    """Return a bundle: each entry behind its length in two bytes.  Raises ValueError for one of over 65,535 bytes."""
    bundle = bytearray()
    for entry in entries:
        if len(entry) > MAX_ENTRY_BYTES:
            raise ValueError(f"an entry has {len(entry)} bytes, and {MAX_ENTRY_BYTES} is the most")
        bundle += len(entry).to_bytes(2, "big") + entry
    return bytes(bundle)


def decode_entries(bundle: bytes) -> list[bytes]:
    """Return the entries of a bundle.  Raises ValueError when it is cut off or holds more than a tile has hashes."""
    entries, at = [], 0
    while at < len(bundle):
        start = at + 2
        at = start + int.from_bytes(bundle[at:start], "big")
        if at > len(bundle):
            raise ValueError("the bundle of entries is cut off")
        entries.append(bundle[start:at])
    if len(entries) > TILE_WIDTH:
        raise ValueError(f"a bundle holds at most {TILE_WIDTH} entries")
    return entries


def split_hashes(data: bytes) -> list[bytes]:
    """Return the hashes in the bytes of a tile.  Raises ValueError for bytes that no tile has."""
    if len(data) % HASH_BYTES or not 0 < len(data) <= TILE_WIDTH * HASH_BYTES:
        raise ValueError(f"a tile has 1 to {TILE_WIDTH} hashes of 32 bytes, not {len(data)} bytes")
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


def hashes_in_tiles(size: int, read_tile: TileReader) -> HashReader:
    """Return a reader of the hashes of a tree of this size that is kept in tiles; it remembers no tile.

    The reader raises ValueError when a tile has not the width that this size gives it.
    """

    def read(level: int, index: int) -> bytes:
        tile_level, height = divmod(level, TILE_HEIGHT)
        first = index << height
        hashes = _hashes(tile_at(tile_level, first // TILE_WIDTH, size), read_tile)
        at = first % TILE_WIDTH
        return root_from(hashes[at : at + (1 << height)])

    return read


def tile_at(level: int, number: int, size: int) -> Tile:
    """Return a tile as wide as it is in a tree of this size.  Raises ValueError when that tree has no such tile."""
    width = min(TILE_WIDTH, (size >> (TILE_HEIGHT * level)) - number * TILE_WIDTH)
    if number < 0 or width <= 0:
        raise ValueError(f"a tree of {size} leaves has no tile {number} at level {level}")
    return Tile(level, number, width)


class Frontier:
    """The right edge of a growing tree: all that is needed to go on, at most 255 hashes for each level of tiles."""

    def __init__(self) -> None:
        self.size = 0
        self._edge: list[list[bytes]] = []  # of each tile level, the hashes of its last tile

    @classmethod
    def load(cls, size: int, read_tile: TileReader) -> "Frontier":
        """Return the edge of a tree of this size from its partial tiles.  Raises ValueError for a wrong tile."""
        made = cls()
        made.size = count = size
        while count:
            made._edge.append(_last_hashes(len(made._edge), count, read_tile))
            count >>= TILE_HEIGHT
        return made

    def extend(self, hashes: Iterable[bytes]) -> list[tuple[Tile, bytes]]:
        """Append leaf hashes; return the tiles to write with their bytes, which are those of `tiles_for`.

        Raises ValueError for a hash that has not 32 bytes; then nothing was appended.
        """
        leaves, before = list(hashes), self.size
        if any(len(leaf) != HASH_BYTES for leaf in leaves):
            raise ValueError(f"a leaf hash has {HASH_BYTES} bytes")
        tiles = list(chain.from_iterable(map(self._append, leaves)))
        partial = [tile for tile in tiles_for(before, self.size) if tile.width < TILE_WIDTH]
        return tiles + [(tile, b"".join(self._edge[tile.level])) for tile in partial]

    def root(self) -> bytes:
        """Return the root of the tree as it is now."""
        found: bytes | None = None
        for edge in self._edge:
            for subtree in _perfect_subtrees(edge):
                found = subtree if found is None else node_hash(subtree, found)
        return EMPTY_ROOT if found is None else found

    def _append(self, leaf: bytes) -> Iterator[tuple[Tile, bytes]]:
        self.size += 1
        level, carried = 0, leaf
        while True:
            if level == len(self._edge):
                self._edge.append([])
            edge = self._edge[level]
            edge.append(carried)
            if len(edge) < TILE_WIDTH:
                return
            number = (self.size >> (TILE_HEIGHT * (level + 1))) - 1
            yield Tile(level, number), b"".join(edge)
            carried = root_from(edge)
            edge.clear()
            level += 1


_PATH = re.compile(
    r"tile/(?P<level>entries|[0-9]{1,2})/(?P<number>(?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/(?P<width>[0-9]{1,3}))?",
    re.ASCII,
)


def _place(number: int, width: int) -> str:
    if not 0 <= number <= MAX_SIZE or not 0 < width <= TILE_WIDTH:
        raise ValueError(f"there is no tile {number} of width {width}")
    place, rest = f"{number % 1000:03}", number // 1000
    while rest:
        place, rest = f"x{rest % 1000:03}/{place}", rest // 1000
    return place if width == TILE_WIDTH else f"{place}.p/{width}"


def _grown_tiles(old_size: int, new_size: int) -> Iterator[Tile]:
    for level in range(MAX_TILE_LEVEL + 1):
        old, new = old_size >> (TILE_HEIGHT * level), new_size >> (TILE_HEIGHT * level)
        if old == new:
            return
        for number in range(old // TILE_WIDTH, (new - 1) // TILE_WIDTH + 1):
            yield tile_at(level, number, new_size)


def _last_hashes(level: int, count: int, read_tile: TileReader) -> list[bytes]:
    number, width = divmod(count, TILE_WIDTH)
    return _hashes(Tile(level, number, width), read_tile) if width else []


def _hashes(tile: Tile, read_tile: TileReader) -> list[bytes]:
    hashes = split_hashes(read_tile(tile))
    if len(hashes) != tile.width:
        raise ValueError(f"{tile.path} has {len(hashes)} hashes, not {tile.width}")
    return hashes


def _perfect_subtrees(edge: list[bytes]) -> Iterator[bytes]:
    """The hashes of the full subtrees in the last tile of a level, the rightmost and smallest first."""
    end = len(edge)
    while end:
        width = end & -end
        yield root_from(edge[end - width : end])
        end -= width
