"""Signed notes (C2SP signed-note): a text, and below it one line for each key that vouches for it.

Laws.  A text is worth nothing until a known key's signature was checked: `verify` is the only way from a note to trust.
A line by an unknown key is ignored, a wrong one by a known key makes the whole note worthless.  What is read is written
back byte for byte, for every note has one form: base64 with its padding and no stray bits, one space, one newline.

A key belongs to a name and a type.  The types here: Ed25519 over the text, cosignature/v1 over the text and a time
(C2SP tlog-cosignature), and SM2 with SM3 over the text, which has no number of its own yet (node.ledger.sm2 checks it).
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from node.ledger.keys import (
    KEY_ID_BYTES,
    NoteError,
    SignatureType,
    VerifierKey,
    check_id,
    check_name,
    from_base64,
    join_secret,
    split_secret,
    to_base64,
)

MAX_NOTE_BYTES = 1_048_576
MAX_SIGNATURES = 64  # the specification demands 16
MAX_TIME = 2**63 - 1  # of a cosignature, POSIX seconds

_TIME_BYTES = 8
_SEED_BYTES = 32
_LINE_HEAD = "— "
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")


class SignatureError(NoteError):
    """A known key's signature is wrong, or there is none that is needed."""


class Unsigned(SignatureError):
    """No known key vouches for the note."""


Check = Callable[[bytes, bytes, bytes], bool]
"""check(public key, text, signature): whether the key made this signature for the text."""


class Signature(NamedTuple):
    """A line below a note: the name, the key's id, and what that key made (for a cosignature its time in front)."""

    name: str
    key_id: bytes
    data: bytes

    @classmethod
    def parse(cls, line: str) -> "Signature":
        """Read a line, without its newline.  Raises NoteError."""
        name, space, encoded = line.removeprefix(_LINE_HEAD).partition(" ")
        if not line.startswith(_LINE_HEAD) or not space:
            raise NoteError("a signature line is an em dash, a name and a signature")
        check_name(name)
        data = from_base64(encoded)
        if len(data) <= KEY_ID_BYTES:
            raise NoteError(f"the signature of {name} is too short")
        return cls(name, data[:KEY_ID_BYTES], data[KEY_ID_BYTES:])

    @property
    def line(self) -> str:
        """The line as it stands in a note, with its newline."""
        return f"{_LINE_HEAD}{self.name} {to_base64(self.key_id + self.data)}\n"


class Verified(NamedTuple):
    """A signature that was checked, and the key that made it."""

    key: VerifierKey
    signature: Signature


@dataclass(frozen=True, slots=True)
class Note:
    """A text, which ends with a newline, and the signatures below it, not yet checked."""

    text: str
    signatures: tuple[Signature, ...] = ()

    def __post_init__(self) -> None:
        if not self.text.endswith("\n"):
            raise NoteError("the text of a note ends with a newline")
        if _CONTROL.search(self.text):
            raise NoteError("a note has no control characters")
        if len(self.signatures) > MAX_SIGNATURES:
            raise NoteError(f"a note has at most {MAX_SIGNATURES} signatures")

    @classmethod
    def parse(cls, data: bytes) -> "Note":
        """Read a note.  Raises NoteError when it is none, has no signature line or is over a limit."""
        if len(data) > MAX_NOTE_BYTES:
            raise NoteError(f"a note has at most {MAX_NOTE_BYTES} bytes")
        try:
            head, blank, lines = data.decode().rpartition("\n\n")
        except UnicodeDecodeError as error:
            raise NoteError("a note is UTF-8") from error
        if not blank or not lines.endswith("\n"):
            raise NoteError("a note is a text, an empty line, and signature lines")
        if lines.count("\n") > MAX_SIGNATURES:
            raise NoteError(f"a note has at most {MAX_SIGNATURES} signatures")
        return cls(head + "\n", tuple(map(Signature.parse, lines[:-1].split("\n"))))

    def encode(self) -> bytes:
        """Return the note's bytes; what was read is written as it was."""
        lines = "".join(signature.line for signature in self.signatures)
        return f"{self.text}\n{lines}".encode()

    def signed(self, *signatures: Signature) -> "Note":
        """Return the note with these lines below it; each replaces an older one of its key."""
        newer = {(line.name, line.key_id) for line in signatures}
        kept = [line for line in self.signatures if (line.name, line.key_id) not in newer]
        return Note(self.text, (*kept, *signatures))


class Signer(Protocol):
    """Whatever holds a private key: a file, an agent, a certified device."""

    @property
    def key(self) -> VerifierKey:
        """The public half."""
        ...

    def sign(self, text: str) -> Signature:
        """Sign a note's text."""
        ...


@dataclass(frozen=True, slots=True)
class Ed25519Signer:
    """A signer from a private key of 32 bytes.  Raises NoteError for a name or key that is none."""

    name: str
    seed: bytes = field(repr=False)
    key: VerifierKey = field(init=False)

    def __post_init__(self) -> None:
        public = public_of(self.seed)
        object.__setattr__(self, "key", VerifierKey(self.name, SignatureType.ED25519, public))

    @classmethod
    def parse(cls, text: str) -> "Ed25519Signer":
        """Read the text of a private key file.  Raises NoteError."""
        secret = split_secret(text, SignatureType.ED25519)
        made = cls(secret.name, secret.key)
        check_id(made.key, secret.key_id)
        return made

    @property
    def secret(self) -> str:
        """The text of a private key file, as Go's note package writes it."""
        return join_secret(self.key, self.seed)

    def sign(self, text: str) -> Signature:
        """Sign a note's text."""
        return Signature(self.name, self.key.id, sign_ed25519(self.seed, text.encode()))


def cosigned_message(text: bytes, seconds: int) -> bytes:
    """Return what a cosignature/v1 signs: a time and the text of a checkpoint (tlog-cosignature)."""
    return b"cosignature/v1\ntime %d\n%b" % (seconds, text)


def cosigned_at(data: bytes) -> int:
    """Return the time of a cosignature, POSIX seconds.  Raises NoteError when it is too short or out of range."""
    seconds = int.from_bytes(data[:_TIME_BYTES], "big")
    if len(data) <= _TIME_BYTES or not 0 < seconds <= MAX_TIME:
        raise NoteError(
            "a cosignature begins with a time of eight bytes, after 1970 and below 2^63"
        )
    return seconds


def check_ed25519(public: bytes, message: bytes, signature: bytes) -> bool:
    """Return whether this is the key's signature of the message (RFC 8032)."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def check_cosignature(public: bytes, text: bytes, data: bytes) -> bool:
    """Return whether this is the key's cosignature of the checkpoint with this text."""
    try:
        message = cosigned_message(text, cosigned_at(data))
    except NoteError:
        return False
    return check_ed25519(public, message, data[_TIME_BYTES:])


CHECKS: Mapping[SignatureType, Check] = {
    SignatureType.ED25519: check_ed25519,
    SignatureType.COSIGNATURE: check_cosignature,
}


def verify(
    note: Note, keys: Iterable[VerifierKey], checks: Mapping[SignatureType, Check] = CHECKS
) -> tuple[Verified, ...]:
    """Return the signatures by known keys, in the note's order; there is at least one.

    Raises Unsigned when there is none, SignatureError when one by a known key is wrong, NoteError when the keys cannot
    be told apart or there is no check for the type of one.
    """
    known = _by_name_and_id(keys, checks)
    text = note.text.encode()
    found = []
    for signature in note.signatures:
        key = known.get((signature.name, signature.key_id))
        if key is None:
            continue
        if not checks[key.type](key.public, text, signature.data):
            raise SignatureError(f"the signature of {key.name} is wrong")
        found.append(Verified(key, signature))
    if not found:
        raise Unsigned("no known key has signed this note")
    return tuple(found)


def sign_ed25519(seed: bytes, message: bytes) -> bytes:
    """Return a signature of 64 bytes (RFC 8032)."""
    return Ed25519PrivateKey.from_private_bytes(seed).sign(message)


def public_of(seed: bytes) -> bytes:
    """Return the public half of an Ed25519 private key.  Raises NoteError when it has not 32 bytes."""
    if len(seed) != _SEED_BYTES:
        raise NoteError(f"an Ed25519 private key has {_SEED_BYTES} bytes")
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def _by_name_and_id(
    keys: Iterable[VerifierKey], checks: Mapping[SignatureType, Check]
) -> dict[tuple[str, bytes], VerifierKey]:
    known: dict[tuple[str, bytes], VerifierKey] = {}
    for key in keys:
        if known.setdefault((key.name, key.id), key) != key:
            raise NoteError(f"two keys of {key.name} have the same id")
        if key.type not in checks:
            raise NoteError(f"nothing here can check {key.type.name}, the signatures of {key.name}")
    return known
