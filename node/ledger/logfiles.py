"""The files of the log, below `<data_dir>/ledger`: tiles and entries (C2SP tlog-tiles), checkpoints, and bodies.

    log/checkpoint          the newest that was signed        log/tile/…    hashes and entries, 256 wide
    heads/<size>.note       checkpoints with cosignatures     bodies/…      records, which are never public

Laws.  A tile in its place is never changed: the same bytes are written again, others are refused.  A partial tile is
kept until the full one is there, and is then cut from that for who still asks; so for every size that was ever signed
its tiles can be had.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from shutil import rmtree
from typing import overload

from node.ledger.block import body_path
from node.ledger.durable import (
    PUBLIC_DIRECTORY,
    PUBLIC_FILE,
    make_directory,
    read_if_there,
    write_durably,
)
from node.ledger.leaf import Block
from node.ledger.note import Note
from node.ledger.tiles import (
    ENTRIES,
    TILE_HEIGHT,
    TILE_WIDTH,
    Tile,
    decode_entries,
    encode_entries,
    hashes_in_tiles,
    parse_tile_path,
    tile_at,
)
from node.ledger.tlog import HASH_BYTES, HashReader

LOG, HEADS, BODIES, LANES, KEYS, POLICY = "log", "heads", "bodies", "lanes", "keys", "policy"
CHECKPOINT = "checkpoint"

_HEAD_NAME = re.compile(r"(0|[1-9][0-9]{0,18})\.note")


class LogDamaged(Exception):
    """The files of the log are not what they were, or not all there; the text says which, and what to do."""


class LogFiles:
    """The directory `ledger` of one node.  All methods block, and raise OSError for a disk that fails."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def make(self) -> None:
        """Make the directories."""
        for name in (LOG, HEADS):
            make_directory(self.directory / name, PUBLIC_DIRECTORY)
        for name in (BODIES, LANES, KEYS, POLICY):
            make_directory(self.directory / name)

    @property
    def checkpoint_path(self) -> Path:
        """Where the newest signed checkpoint lies."""
        return self.directory / LOG / CHECKPOINT

    def published(self) -> Note | None:
        """Return the newest signed checkpoint.  Raises NoteError when the file is none."""
        data = read_if_there(self.checkpoint_path)
        return None if data is None else Note.parse(data)

    def publish(self, note: Note) -> None:
        """Put a checkpoint in place of the one before."""
        write_durably(self.checkpoint_path, note.encode(), PUBLIC_FILE)

    def has_tiles(self) -> bool:
        """True when anything was ever written of a tree."""
        return (self.directory / LOG / "tile").exists()

    def read_tile(self, tile: Tile) -> bytes:
        """Return the bytes of a tile or bundle; a partial one may be cut from the full one.  Raises LogDamaged."""
        data = read_if_there(self._place(tile))
        if data is None and tile.width < TILE_WIDTH:
            full = read_if_there(self._place(tile._replace(width=TILE_WIDTH)))
            data = None if full is None else cut(tile, full)
        if data is None:
            raise LogDamaged(f"{self._place(tile)} is missing; restore it from a copy of the log")
        return data

    def read_part(self, tile: Tile, size: int) -> bytes:
        """Return a tile, or as much of it as its width says, of a tree of this size.  Raises LogDamaged, ValueError."""
        widest = tile_at(max(tile.level, 0), tile.number, size)._replace(level=tile.level)
        return cut(tile, self.read_tile(widest))

    def write_tiles(self, tiles: Iterable[tuple[Tile, bytes]]) -> None:
        """Put tiles in their places.  Raises LogDamaged when another one is in a place."""
        for tile, data in tiles:
            path = self._place(tile)
            there = read_if_there(path)
            if there is None:
                make_directory(path.parent, PUBLIC_DIRECTORY)
                write_durably(path, data, PUBLIC_FILE)
            elif there != data:
                raise LogDamaged(
                    f"{path} is not what the leaves make, so nothing was signed: restore the files or the database"
                )

    def drop_partials(self, full: Tile) -> None:
        """Remove the partial tiles of a place where the full tile is."""
        path = self._place(full)
        rmtree(path.with_name(path.name + ".p"), ignore_errors=True)

    def drop_beyond(self, size: int) -> None:
        """Remove the tiles that a tree of this size does not have: written, and never signed."""
        log_directory = self.directory / LOG
        for path in sorted(log_directory.glob("tile/**/*")):
            tile = parse_tile_path(path.relative_to(log_directory).as_posix())
            if tile is not None and end_of(tile) > size and path.is_file():
                path.unlink()

    def hashes(self, size: int) -> HashReader:
        """Return a reader of the hashes of a tree of this size."""
        return hashes_in_tiles(size, self.read_tile)

    def lines(self, start: int, size: int) -> Iterator[bytes]:
        """Return the leaves from `start` on, of a tree of this size.  Raises LogDamaged."""
        for number in range(start // TILE_WIDTH, -(-size // TILE_WIDTH)):
            tile = tile_at(0, number, size)._replace(level=ENTRIES)
            yield from _entries(self.read_tile(tile), tile)[max(start - number * TILE_WIDTH, 0) :]

    def leaves(self, size: int) -> "Leaves":
        """Return the leaves of a tree of this size, each read when it is asked for."""
        return Leaves(self, size)

    def line(self, index: int, size: int) -> bytes:
        """Return one leaf of a tree of this size, or of a larger one that is here.  Raises LogDamaged."""
        number = index // TILE_WIDTH
        tile = self._here(tile_at(0, number, size)._replace(level=ENTRIES))
        return _entries(self.read_tile(tile), tile)[index - number * TILE_WIDTH]

    def _here(self, bundle: Tile) -> Tile:
        """Return the narrowest bundle that is here and has all of this one."""
        found = self._place(bundle).parent.glob("[1-9]*") if bundle.width < TILE_WIDTH else ()
        widths = [int(path.name) for path in found if path.name.isdecimal()]
        width = min((width for width in widths if width >= bundle.width), default=bundle.width)
        return bundle._replace(width=width)

    def write_body(self, leaf: Block, body: bytes) -> None:
        """Keep the records of a block; there is no file for a block without any."""
        if body:
            path = self.directory / BODIES / body_path(leaf)
            make_directory(path.parent)
            write_durably(path, body)

    def read_body(self, leaf: Block) -> bytes | None:
        """Return the records of a block as they lie here, unchecked; None when they were pruned."""
        if leaf.sequence[1] < leaf.sequence[0]:
            return b""
        return read_if_there(self.directory / BODIES / body_path(leaf))

    def head_sizes(self) -> list[int]:
        """Return the sizes of the cosigned checkpoints that are kept, the smallest first."""
        found = (_HEAD_NAME.fullmatch(path.name) for path in (self.directory / HEADS).iterdir())
        return sorted(int(name[1]) for name in found if name)

    def head(self, size: int) -> Note | None:
        """Return the cosigned checkpoint of this size.  Raises NoteError when the file is none."""
        data = read_if_there(self.directory / HEADS / f"{size}.note")
        return None if data is None else Note.parse(data)

    def _place(self, tile: Tile) -> Path:
        return self.directory / LOG / tile.path


class Leaves(Sequence[bytes]):
    """The leaves of one tree, for who looks back from its end: one bundle of them is in memory.  Raises LogDamaged."""

    def __init__(self, files: LogFiles, size: int, tree: int | None = None) -> None:
        """The first `size` leaves of a tree of `tree`, by default of as many."""
        self._files, self._size, self._tree = files, size, size if tree is None else tree
        self._number, self._bundle = -1, list[bytes]()

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, at: int) -> bytes: ...
    @overload
    def __getitem__(self, at: slice) -> "Leaves": ...
    def __getitem__(self, at: int | slice) -> "bytes | Leaves":
        if isinstance(at, slice):  # only of the first so many
            return Leaves(self._files, at.indices(self._size)[1], self._tree)
        if not 0 <= at < self._size:
            raise IndexError(at)
        number = at // TILE_WIDTH
        if number != self._number:
            first = number * TILE_WIDTH
            width = min(self._tree - first, TILE_WIDTH)
            self._bundle = list(islice(self._files.lines(first, self._tree), width))
            self._number = number
        return self._bundle[at % TILE_WIDTH]


def end_of(tile: Tile) -> int:
    """Return the size that a tree has at least when it has this tile."""
    level = max(tile.level, 0)
    return (tile.number * TILE_WIDTH + tile.width) << (TILE_HEIGHT * level)


def cut(tile: Tile, full: bytes) -> bytes:
    """Return a partial tile or bundle from the full one in its place.  Raises LogDamaged."""
    if tile.level == ENTRIES:
        return encode_entries(_entries(full, tile)[: tile.width])
    return full[: tile.width * HASH_BYTES]


def _entries(bundle: bytes, tile: Tile) -> list[bytes]:
    try:
        entries = decode_entries(bundle)
    except ValueError as error:
        raise LogDamaged(f"{tile.path}: {error}") from error
    if len(entries) < tile.width:
        raise LogDamaged(f"{tile.path} has {len(entries)} entries, not {tile.width}")
    return entries
