"""A proof in one file that something stands in a log (C2SP tlog-proof): index, path, cosigned checkpoint, all offline.

The checkpoint stands in it byte for byte.  `extra` is nobody's word: it only helps to find again what was hashed.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from node.ledger.checkpoint import Checkpoint, parse_size
from node.ledger.keys import NoteError, SignatureType, from_base64, to_base64
from node.ledger.note import CHECKS, MAX_NOTE_BYTES, Check, Note, SignatureError
from node.ledger.quorum import Cosigned, Policy
from node.ledger.tlog import HASH_BYTES, MAX_PROOF_HASHES, verify_inclusion

MAX_PROOF_BYTES = MAX_NOTE_BYTES

_HEAD = "c2sp.org/tlog-proof@v1"
_EXTRA = "extra "
_INDEX = "index "


@dataclass(frozen=True, slots=True)
class LogProof:
    """The place of a leaf, its audit path with the sibling first, a signed checkpoint, and what else may help.

    Raises NoteError for values that no proof has.
    """

    index: int
    path: tuple[bytes, ...]
    note: Note
    extra: bytes | None = None

    def __post_init__(self) -> None:
        parse_size(str(self.index))
        Checkpoint.parse(self.note.text)
        if len(self.path) > MAX_PROOF_HASHES:
            raise NoteError(f"a path has at most {MAX_PROOF_HASHES} hashes")
        if any(len(hash_) != HASH_BYTES for hash_ in self.path):
            raise NoteError(f"a hash of a path has {HASH_BYTES} bytes")

    @classmethod
    def parse(cls, data: bytes) -> "LogProof":
        """Read a `.tlog-proof` file.  Raises NoteError."""
        if len(data) > MAX_PROOF_BYTES:
            raise NoteError(f"a proof has at most {MAX_PROOF_BYTES} bytes")
        head, blank, note = data.partition(b"\n\n")
        if not blank:
            raise NoteError("a proof has an empty line in front of its checkpoint")
        extra, index, path = _split_head(head)
        return cls(index, path, Note.parse(note), extra)

    def encode(self) -> bytes:
        """Return the bytes of the file; what was read is written as it was."""
        extra = [] if self.extra is None else [_EXTRA + to_base64(self.extra)]
        lines = [_HEAD, *extra, f"{_INDEX}{self.index}", *map(to_base64, self.path), ""]
        return "".join(f"{line}\n" for line in lines).encode() + self.note.encode()

    def verify(
        self, leaf: bytes, policy: Policy, checks: Mapping[SignatureType, Check] = CHECKS
    ) -> Cosigned:
        """Check that the leaf with this hash is in a log as the policy demands; return the checkpoint and who saw it.

        Raises ProofError when the path leads elsewhere, SignatureError when the checkpoint is not signed as it must be.
        """
        cosigned = policy.examine(self.note, checks)
        if not cosigned.is_met:
            raise SignatureError("the witnesses of this checkpoint are no quorum")
        checkpoint = cosigned.checkpoint
        verify_inclusion(self.index, checkpoint.size, leaf, self.path, checkpoint.root)
        return cosigned


def _split_head(head: bytes) -> tuple[bytes | None, int, tuple[bytes, ...]]:
    try:
        first, *lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise NoteError("a proof is ASCII in front of its checkpoint") from error
    if first != _HEAD:
        raise NoteError(f"a proof begins with {_HEAD}")
    extra = None
    if lines and lines[0].startswith(_EXTRA):
        extra = from_base64(lines.pop(0).removeprefix(_EXTRA))
    if not lines or not lines[0].startswith(_INDEX):
        raise NoteError("a proof says the index of its leaf")
    index, *path = lines
    return extra, parse_size(index.removeprefix(_INDEX)), tuple(map(from_base64, path))
