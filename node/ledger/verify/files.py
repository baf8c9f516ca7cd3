"""The files of an evidence directory, which anybody may have made: plain files below it, of a bounded size, or nothing.

No link is followed, nothing that is no plain file is opened, and no name is taken from the evidence but those of heads,
and those of SHA256SUMS, none of which leads out of it.
"""

import os
import re
import stat
from collections.abc import Iterator
from hashlib import file_digest
from pathlib import Path

from node.ledger.block import MAX_RECORDS, body_path
from node.ledger.leaf import MAX_LEAF_BYTES, Block
from node.ledger.note import MAX_NOTE_BYTES
from node.ledger.record import RECORD_BYTES
from node.ledger.tiles import ENTRIES, TILE_WIDTH, Tile
from node.ledger.tlog import HASH_BYTES

MAX_BODY_BYTES = MAX_RECORDS * RECORD_BYTES
MAX_DOCUMENT_BYTES = 16 * 2**20  # of a report, or the file of a day
MAX_FILE_BYTES = 2**36  # of any other, which is only hashed: the leaves of many years
MAX_HEADS = 1_000_000
MAX_NAMES = 10_000_000
HEADS = ("log/heads", "heads")  # as exported, and as the node has them

_MAX_TILE_BYTES = {True: TILE_WIDTH * (2 + MAX_LEAF_BYTES), False: TILE_WIDTH * HASH_BYTES}
_OPEN_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_CLOEXEC", 0)
)
_HEAD = re.compile(r"[0-9]{1,19}\.note")


class Unreadable(Exception):
    """A file of the evidence is not there or cannot be used; the text says which and why."""


class EvidenceFiles:
    """A directory of evidence, or the directory `ledger` of a node."""

    def __init__(self, root: Path) -> None:
        """Raises Unreadable when there is no such directory."""
        if not root.is_dir():
            raise Unreadable(
                f"{root} is no directory; unpack the archive, and name what came of it"
            )
        self._root = root
        self._plain: set[str] = {""}  # directories that are no links

    def find(self, path: str, limit: int) -> bytes | None:
        """Return the bytes of a file, None when it is not there.  Raises Unreadable."""
        directory, _, _ = path.rpartition("/")
        if not self._is_there(directory):
            return None
        try:
            descriptor = os.open(f"{self._root}/{path}", _OPEN_FLAGS)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Unreadable(f"{path} cannot be read: {error.strerror}") from error
        try:
            found = os.fstat(descriptor)
            self._check(path, found, limit)
            return _read_all(descriptor, found.st_size, path)
        finally:
            os.close(descriptor)

    def read(self, path: str, limit: int) -> bytes:
        """Return the bytes of a file that must be there.  Raises Unreadable."""
        data = self.find(path, limit)
        if data is None:
            raise Unreadable(f"{path} is missing")
        return data

    def tile(self, tile: Tile) -> bytes:
        """Return a tile or bundle, or the full one in its place.  Raises Unreadable."""
        limit = _MAX_TILE_BYTES[tile.level == ENTRIES]
        data = self.find(f"log/{tile.path}", limit)
        if data is None and tile.width < TILE_WIDTH:
            data = self.find(f"log/{tile._replace(width=TILE_WIDTH).path}", limit)
        if data is None:
            raise Unreadable(f"log/{tile.path} is missing")
        return data

    def body(self, leaf: Block) -> bytes | None:
        """Return the records of a block, None when they are not there.  Raises Unreadable."""
        return self.find(f"bodies/{body_path(leaf)}", MAX_BODY_BYTES)

    def digest(self, path: str) -> str:
        """Return the SHA-256 of a file, hexadecimal.  Raises Unreadable."""
        directory, _, _ = path.rpartition("/")
        if not self._is_there(directory):
            raise Unreadable(f"{path} is missing")
        try:
            with open(os.open(self._root / path, _OPEN_FLAGS), "rb") as file:
                self._check(path, os.fstat(file.fileno()), MAX_FILE_BYTES)
                return file_digest(file, "sha256").hexdigest()
        except FileNotFoundError as error:
            raise Unreadable(f"{path} is missing") from error
        except OSError as error:
            raise Unreadable(f"{path} cannot be read: {error.strerror}") from error

    def names(self) -> Iterator[str]:
        """Yield the path of everything that is no directory; no link is followed.  Raises Unreadable."""
        waiting, found = [""], 0
        while waiting:
            directory = waiting.pop()
            try:
                with os.scandir(self._root / directory) as entries:
                    for each in entries:
                        found += 1
                        path = f"{directory}{each.name}"
                        if each.is_dir(follow_symlinks=False):
                            waiting.append(f"{path}/")
                        else:
                            yield path
            except OSError as error:
                raise Unreadable(f"{directory} cannot be read: {error.strerror}") from error
            if found > MAX_NAMES:
                raise Unreadable(f"the evidence has more than {MAX_NAMES} files")

    def has(self, path: str) -> bool:
        """True when something has this name."""
        return os.path.lexists(self._root / path)

    def heads(self) -> Iterator[tuple[str, bytes]]:
        """Yield the path and bytes of each head.  Raises Unreadable."""
        for directory in HEADS:
            if not self._is_there(directory):
                continue
            for name in self._names(directory):
                yield f"{directory}/{name}", self.read(f"{directory}/{name}", MAX_NOTE_BYTES)
            return

    def lines(self, path: str) -> Iterator[bytes] | None:
        """Return the lines of a file, each without its newline and cut off when it is too long; None: not there."""
        if not self.has(path):
            return None
        return self._lines(path)

    def _lines(self, path: str) -> Iterator[bytes]:
        try:
            if os.path.islink(self._root / path) or not os.path.isfile(self._root / path):
                raise Unreadable(f"{path} is no plain file")
            with open(os.open(self._root / path, _OPEN_FLAGS), "rb") as file:
                while line := file.readline(MAX_LEAF_BYTES + 2):
                    yield line.removesuffix(b"\n")
        except OSError as error:
            raise Unreadable(f"{path} cannot be read: {error.strerror}") from error

    def _names(self, directory: str) -> list[str]:
        try:
            with os.scandir(self._root / directory) as found:
                names = [each.name for each in found if _HEAD.fullmatch(each.name)]
        except OSError as error:
            raise Unreadable(f"{directory} cannot be read: {error.strerror}") from error
        if len(names) > MAX_HEADS:
            raise Unreadable(f"{directory} has more than {MAX_HEADS} heads")
        return sorted(names, key=lambda name: int(name.partition(".")[0]))

    def _is_there(self, directory: str) -> bool:
        """True for a directory that is there, and no part of whose path is a link."""
        if directory in self._plain:
            return True
        parent, _, _ = directory.rpartition("/")
        if not self._is_there(parent):
            return False
        try:
            mode = os.lstat(self._root / directory).st_mode
        except FileNotFoundError:
            return False
        except OSError as error:
            raise Unreadable(f"{directory} cannot be read: {error.strerror}") from error
        if not stat.S_ISDIR(mode):
            raise Unreadable(f"{directory} is no directory: evidence has no links")
        self._plain.add(directory)
        return True

    def _check(self, path: str, found: os.stat_result, limit: int) -> None:
        if not stat.S_ISREG(found.st_mode):
            raise Unreadable(f"{path} is no plain file")
        if found.st_size > limit:
            raise Unreadable(f"{path} has {found.st_size} bytes, and at most {limit} are right")


def _read_all(descriptor: int, size: int, path: str) -> bytes:
    """Read so many bytes; a buffer of the limit's size for each small file would cost more than all rules."""
    try:
        data = os.read(descriptor, size)
        while len(data) < size and (more := os.read(descriptor, size - len(data))):
            data += more
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {error.strerror}") from error
    return data
