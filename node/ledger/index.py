"""The evidence index: a second, tiny log in the form of Go's checksum database, with one record for each day.

    sumdb/latest                    the newest signed head       sumdb/tile/8/…   its tree, and the records
    sumdb/lookup/<module>@<version>  number, record, head        proxy/<module>/@v/…  the days themselves, as modules

The stock `go` command is a complete verifier of it, with a memory of its own: signature, inclusion, digest of the day's
files, and that what it saw before is still there.  Each `day` leaf of the main log has the index's head, and each day's
module has a head of the main log: neither can be rewritten alone.

Laws.  A tile, a look-up and a module in their place are never changed.  Partial tiles are all kept: who remembers an
older head asks for them.  A head is signed when everything under it is with the disk.
"""

import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Self

from node.ledger.durable import (
    PUBLIC_DIRECTORY,
    PUBLIC_FILE,
    make_directory,
    read_if_there,
    write_durably,
)
from node.ledger.gomodule import mod_file, module_of, pack, record, unpack
from node.ledger.keys import VerifierKey, from_base64, to_base64
from node.ledger.leaf import Head
from node.ledger.logfiles import KEYS, LogDamaged
from node.ledger.note import Ed25519Signer, Note, verify
from node.ledger.tiles import ENTRIES, TILE_WIDTH, Frontier, Tile, tile_at
from node.ledger.tlog import leaf_hash

KEY, PUBLIC = "index.key", "index.vkey"
DIRECTORY, SUMDB, PROXY = "index", "sumdb", "proxy"  # the first below that of the ledger

_LATEST, _TREE_HEAD = "latest", "go.sum database tree"
_LIST = "list"
_SEED_BYTES = 32
_SERVED = re.compile(
    rf"(?:{SUMDB}|{PROXY})(?:/[A-Za-z0-9][A-Za-z0-9.@_-]{{0,199}}|/@v){{1,8}}", re.ASCII
)


def index_name(origin: str) -> str:
    """Return the name of the index's key.  Raises ModuleError."""
    return module_of(origin).removesuffix("evidence") + "index"


def load_signer(directory: Path, origin: str, *, is_new: bool) -> Ed25519Signer:
    """Return the signer of the index, its key in `directory`; `is_new` says that one may be made.

    Raises LogDamaged when it is missing or another's, NoteError when it cannot be read, OSError.
    """
    make_directory(directory)
    path, name = directory / KEY, index_name(origin)
    data = read_if_there(path)
    if data is None:
        if not is_new:
            raise LogDamaged(f"{path} is missing, and its index has records: put it back")
        data = Ed25519Signer(name, secrets.token_bytes(_SEED_BYTES)).secret.encode() + b"\n"
        write_durably(path, data)
    signer = Ed25519Signer.parse(data.decode())
    if signer.key.name != name:
        raise LogDamaged(f"the key in {path} is that of {signer.key.name}, not {name}")
    public = f"{signer.key}\n".encode()
    if read_if_there(directory / PUBLIC) != public:
        write_durably(directory / PUBLIC, public, PUBLIC_FILE)
    return signer


def open_index(ledger: Path, origin: str) -> "EvidenceIndex":
    """Open the index of a node's ledger, whose key is made with its first day.  Raises as `EvidenceIndex.open`."""
    directory = ledger / DIRECTORY
    is_new = not (directory / SUMDB / _LATEST).exists()
    return EvidenceIndex.open(directory, load_signer(ledger / KEYS, origin, is_new=is_new), origin)


def head_text(head: Head) -> str:
    """Return the text of a signed head."""
    return f"{_TREE_HEAD}\n{head[0]}\n{to_base64(head[1])}\n"


def read_head(note: Note, key: VerifierKey) -> Head:
    """Return the head that a key has signed.  Raises NoteError."""
    verify(note, [key])
    tree, size, root = note.text.splitlines()
    if tree != _TREE_HEAD:
        raise LogDamaged("this is no head of an evidence index")
    return int(size), from_base64(root)


class Served(NamedTuple):
    """A file of the index, and whether its place will always have these bytes."""

    data: bytes
    is_final: bool


def served(ledger: Path, path: str) -> Served | None:
    """Return a file of a ledger's index by its path, None when there is none.  Raises OSError."""
    if not _SERVED.fullmatch(path) or ".." in path:
        return None
    place = ledger / DIRECTORY / path
    data = read_if_there(place) if place.is_file() else None
    return None if data is None else Served(data, place.name not in (_LATEST, _LIST))


class EvidenceIndex:
    """An index that is open for writing; one process writes it.  All methods block."""

    def __init__(
        self, directory: Path, signer: Ed25519Signer, module: str, frontier: Frontier
    ) -> None:
        """Use `open`."""
        self._directory = directory
        self._signer = signer
        self._module = module
        self._frontier = frontier

    @classmethod
    def open(cls, directory: Path, signer: Ed25519Signer, origin: str) -> Self:
        """Take up an index where it was left.  Raises LogDamaged, NoteError, OSError."""
        make_directory(directory / SUMDB, PUBLIC_DIRECTORY)
        opened = cls(directory, signer, module_of(origin), Frontier())
        data = read_if_there(directory / SUMDB / _LATEST)
        if data is not None:
            head = read_head(Note.parse(data), signer.key)
            opened._frontier = Frontier.load(head[0], opened._read_tile)
            if opened.head != head:
                raise LogDamaged(
                    f"the tiles of {directory} are not those of its head; restore them from a copy"
                )
            if head[0]:  # a crash may have come before its look-up was written
                opened._put_lookup(opened._newest_record())
        return opened

    @property
    def head(self) -> Head:
        """Size and root as they are now."""
        return self._frontier.size, self._frontier.root()

    @property
    def module(self) -> str:
        """The module that days are versions of."""
        return self._module

    def has(self, version: str) -> bool:
        """True when a version has its record."""
        return self._lookup(version).exists()

    def add(self, version: str, files: Mapping[str, bytes]) -> Head:
        """Publish a version, and return the head that has it; what is there already stays as it is.

        A module that a crash has left without its record is taken as it lies there.
        Raises ModuleError, LogDamaged, OSError; after an error the object is used no more.
        """
        if self.has(version):
            return self.head
        text = record(self._module, version, self._publish_module(version, files))
        number = self._frontier.size
        for tile, data in self._frontier.extend([leaf_hash(text)]):
            self._put(_place(tile), data)
        bundle = tile_at(0, number // TILE_WIDTH, self._frontier.size)._replace(level=ENTRIES)
        self._put(_place(bundle), self._records_before(bundle, number) + text + b"\n")
        write_durably(self._directory / SUMDB / _LATEST, self._note(), PUBLIC_FILE)
        self._put_lookup(text)
        return self.head

    def _put_lookup(self, text: bytes) -> None:
        """Write the look-up of the newest record."""
        version = text.split(b" ", 2)[1].decode()
        found = b"%d\n%b\n%b" % (self._frontier.size - 1, text, self._note())
        self._put(f"lookup/{self._module}@{version}", found)

    def _note(self) -> bytes:
        text = head_text(self.head)
        return Note(text).signed(self._signer.sign(text)).encode()

    def _newest_record(self) -> bytes:
        size = self._frontier.size
        bundle = tile_at(0, (size - 1) // TILE_WIDTH, size)._replace(level=ENTRIES)
        return self._read(_place(bundle)).removesuffix(b"\n").rpartition(b"\n\n")[2]

    def _publish_module(self, version: str, files: Mapping[str, bytes]) -> Mapping[str, bytes]:
        directory = self._directory / PROXY / self._module / "@v"
        make_directory(directory, PUBLIC_DIRECTORY)
        left = read_if_there(directory / f"{version}.zip")
        if left is not None:
            files = unpack(self._module, version, left)
        else:
            packed = pack(self._module, version, files)
            write_durably(directory / f"{version}.zip", packed, PUBLIC_FILE)
        info = b'{"Version":"%b"}\n' % version.encode()
        write_durably(directory / f"{version}.mod", mod_file(self._module), PUBLIC_FILE)
        write_durably(directory / f"{version}.info", info, PUBLIC_FILE)
        known = (read_if_there(directory / _LIST) or b"").decode().split()
        listed = "".join(f"{each}\n" for each in sorted({*known, version}))
        write_durably(directory / _LIST, listed.encode(), PUBLIC_FILE)
        return files

    def _records_before(self, bundle: Tile, number: int) -> bytes:
        """The records that stand before this one in its bundle."""
        width = number % TILE_WIDTH
        if not width:
            return b""
        return self._read(_place(bundle._replace(width=width)))

    def _lookup(self, version: str) -> Path:
        return self._directory / SUMDB / "lookup" / f"{self._module}@{version}"

    def _read_tile(self, tile: Tile) -> bytes:
        return self._read(_place(tile))

    def _read(self, name: str) -> bytes:
        data = read_if_there(self._directory / SUMDB / name)
        if data is None:
            raise LogDamaged(
                f"{self._directory / SUMDB / name} is missing; restore it from a copy of the index"
            )
        return data

    def _put(self, name: str, data: bytes) -> None:
        """Write a file that is never changed."""
        path = self._directory / SUMDB / name
        there = read_if_there(path)
        if there is not None and there != data:
            raise LogDamaged(f"{path} is there already, and differs; nothing was signed")
        if there is None:
            make_directory(path.parent, PUBLIC_DIRECTORY)
            write_durably(path, data, PUBLIC_FILE)


def _place(tile: Tile) -> str:
    """The path of a tile as Go names it: the height, then the level; `data` for what we call entries."""
    rest = tile.path.removeprefix("tile/")
    return "tile/8/" + (rest.replace("entries/", "data/", 1) if tile.level == ENTRIES else rest)
