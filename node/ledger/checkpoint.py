"""Checkpoints: what a log says of itself at one size (C2SP tlog-checkpoint), and what witnesses add (tlog-cosignature).

A checkpoint is the text of a signed note: origin, size, root.  Ours have no further lines: no monitor can audit those.
A witness signs the same text behind the time at which this was the newest tree that it had seen of this log.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from node.ledger.keys import (
    NoteError,
    SignatureType,
    VerifierKey,
    check_id,
    from_base64,
    join_secret,
    split_secret,
    to_base64,
)
from node.ledger.note import (
    CHECKS,
    MAX_TIME,
    Check,
    Note,
    Signature,
    Unsigned,
    cosigned_message,
    public_of,
    sign_ed25519,
    verify,
)
from node.ledger.tlog import HASH_BYTES, MAX_SIZE

MAX_SIZE_DIGITS = 19

_SIZE = re.compile("0|[1-9][0-9]*")
_TIME_BYTES = 8


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log's name, the number of its leaves, and their root.  Raises NoteError for values that no log has.

    That the root of an empty tree is the right one is for who checks consistency: witnesses have an answer for it.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        lines = (self.origin, *self.extensions)
        if not all(lines) or any("\n" in line for line in lines):
            raise NoteError("the lines of a checkpoint are not empty")
        if not 0 <= self.size <= MAX_SIZE:
            raise NoteError("a tree has 0 to 2^63 - 1 leaves")
        if len(self.root) != HASH_BYTES:
            raise NoteError(f"a root has {HASH_BYTES} bytes")

    @classmethod
    def parse(cls, text: str) -> "Checkpoint":
        """Read the text of a note.  Raises NoteError when it is no checkpoint."""
        lines = text.split("\n")
        if len(lines) < 4 or lines.pop():
            raise NoteError("a checkpoint is an origin, a size and a root, each on its line")
        origin, size, root, *extensions = lines
        return cls(origin, parse_size(size), from_base64(root), tuple(extensions))

    @property
    def text(self) -> str:
        """The text that is signed."""
        lines = (self.origin, str(self.size), to_base64(self.root), *self.extensions)
        return "".join(f"{line}\n" for line in lines)


@dataclass(frozen=True, slots=True)
class Cosigner:
    """A witness's signer, from an Ed25519 key of its own.  Raises NoteError for a name or key that is none."""

    name: str
    seed: bytes = field(repr=False)
    key: VerifierKey = field(init=False)

    def __post_init__(self) -> None:
        key = VerifierKey(self.name, SignatureType.COSIGNATURE, public_of(self.seed))
        object.__setattr__(self, "key", key)

    @classmethod
    def parse(cls, text: str) -> "Cosigner":
        """Read the text of a private key file.  Raises NoteError."""
        secret = split_secret(text, SignatureType.COSIGNATURE)
        made = cls(secret.name, secret.key)
        check_id(made.key, secret.key_id)
        return made

    @property
    def secret(self) -> str:
        """The text of a private key file."""
        return join_secret(self.key, self.seed)

    def cosign(self, checkpoint: Checkpoint, seconds: int) -> Signature:
        """Sign a checkpoint as the newest seen at this time, POSIX seconds.  Raises NoteError for no such time."""
        if not 0 < seconds <= MAX_TIME:
            raise NoteError("a cosignature has a time after 1970 and below 2^63")
        return self.sign_at(checkpoint.text, seconds)

    def sign_at(self, text: str, seconds: int) -> Signature:
        """Sign a text in the form of a cosignature, at this time, POSIX seconds."""
        signature = sign_ed25519(self.seed, cosigned_message(text.encode(), seconds))
        return Signature(self.name, self.key.id, seconds.to_bytes(_TIME_BYTES, "big") + signature)


def read_checkpoint(
    note: Note, logs: Iterable[VerifierKey], checks: Mapping[SignatureType, Check] = CHECKS
) -> Checkpoint:
    """Return the checkpoint in a note that one of these logs has signed, under its own name.

    Raises Unsigned when none has, SignatureError when a signature is wrong, NoteError when the text is no checkpoint.
    """
    checkpoint = Checkpoint.parse(note.text)
    own = [key for key in logs if key.name == checkpoint.origin]
    if not own:
        raise Unsigned(f"{checkpoint.origin} is none of the known logs")
    verify(note, own, checks)
    return checkpoint


def parse_size(text: str) -> int:
    """Read a tree's size: decimal, without leading zeros, below 2^63.  Raises NoteError."""
    if len(text) > MAX_SIZE_DIGITS or _SIZE.fullmatch(text) is None or int(text) > MAX_SIZE:
        raise NoteError("a size is a decimal number below 2^63 without leading zeros")
    return int(text)
