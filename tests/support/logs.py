"""A small log of our own: its leaves, its tiles, its cosigned checkpoint, in memory or in a directory."""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from node.ledger.checkpoint import Checkpoint, Cosigner
from node.ledger.note import Ed25519Signer, Note, Signer
from node.ledger.tiles import (
    ENTRIES,
    Frontier,
    Tile,
    encode_entries,
    entries_for,
    hashes_in_tiles,
)
from node.ledger.tlog import HashReader, leaf_hash

ORIGIN = "log.example/ledger"
SECONDS = 1_767_000_000  # when its witnesses cosigned


def seed(name: str) -> bytes:
    """Return a private key that is the same each time."""
    return sha256(name.encode()).digest()


def make_leaves(count: int) -> list[bytes]:
    """Return leaves of several lengths, the first of them empty."""
    return [b"leaf %d" % number * (number % 7) for number in range(count)]


class WrittenLog:
    """A log that keeps every tile it ever wrote, as one that signs each size must."""

    def __init__(self, origin: str = ORIGIN) -> None:
        self.leaves: list[bytes] = []
        self.files: dict[Tile, bytes] = {}
        self.signer = Ed25519Signer(origin, seed(origin))
        self.witnesses = [Cosigner(f"{name}.example/w", seed(name)) for name in ("top", "auditor")]
        self._frontier = Frontier()

    @property
    def size(self) -> int:
        """The number of its leaves."""
        return len(self.leaves)

    def append(self, leaves: Sequence[bytes]) -> None:
        """Add leaves and write the tiles and bundles of the new size."""
        before = self.size
        self.leaves += leaves
        self.files.update(self._frontier.extend(map(leaf_hash, leaves)))
        for bundle in entries_for(before, self.size):
            first = bundle.number * 256
            self.files[bundle] = encode_entries(self.leaves[first : first + bundle.width])

    def read(self, size: int) -> HashReader:
        """Return the hashes of an earlier size, out of the tiles written for it."""
        return hashes_in_tiles(size, self.files.__getitem__)

    def checkpoint(self) -> Checkpoint:
        """Return what the log says of itself now."""
        return Checkpoint(self.signer.name, self.size, self._frontier.root())

    def note(self, *also: Signer) -> Note:
        """Return the checkpoint, signed by the log and `also`, cosigned by its witnesses."""
        checkpoint = self.checkpoint()
        lines = [signer.sign(checkpoint.text) for signer in (self.signer, *also)]
        lines += [witness.cosign(checkpoint, SECONDS) for witness in self.witnesses]
        return Note(checkpoint.text).signed(*lines)

    def write(self, directory: Path, note: Note) -> None:
        """Write the log as tlog-tiles has it, with this note as its checkpoint."""
        for tile, data in self.files.items():
            path = directory / tile.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        (directory / "checkpoint").write_bytes(note.encode())

    def bundles(self) -> list[Tile]:
        """Return the places of its bundles of entries, full and partial."""
        return [tile for tile in self.files if tile.level == ENTRIES]


def written_log(count: int) -> WrittenLog:
    """Return a log that took its leaves at once."""
    log = WrittenLog()
    log.append(make_leaves(count))
    return log
