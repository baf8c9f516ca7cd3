"""Keys of signed notes and their one line of text (C2SP signed-note): a name, a type, an id of four bytes and the key.

The id stands in the key's signatures; it tells keys apart, and proves nothing.  The private key of a signer is kept as
the same line with PRIVATE+KEY in front, the form of Go's note package.
"""

import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from typing import NamedTuple

KEY_ID_BYTES = 4

_PRIVATE = "PRIVATE+KEY+"


class NoteError(ValueError):
    """A note, a signature line or a key cannot be read; the text says why."""


class SignatureType(Enum):
    """How a key signs; the value stands in front of the key's bytes (signed-note, signature types)."""

    ED25519 = b"\x01"
    COSIGNATURE = b"\x04"
    SM2_SM3 = b"\xffsm2-sm3/v1"  # 0xff: no number assigned, so a name follows


_KEY_ID = re.compile("[0-9a-f]{8}")
_PUBLIC_BYTES = {
    SignatureType.ED25519: 32,
    SignatureType.COSIGNATURE: 32,
    SignatureType.SM2_SM3: 65,  # 04, x, y
}
_ED25519_HEAD = bytes.fromhex("302a300506032b6570032100")
# The DER SubjectPublicKeyInfo of a key is this and its bytes.
_DER_HEADS = {
    SignatureType.ED25519: _ED25519_HEAD,
    SignatureType.COSIGNATURE: _ED25519_HEAD,
    SignatureType.SM2_SM3: bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d034200"),
}


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key, the name that it signs for, and how it signs.  Raises NoteError for a name or key that is none."""

    name: str
    type: SignatureType
    public: bytes

    def __post_init__(self) -> None:
        check_name(self.name)
        if len(self.public) != _PUBLIC_BYTES[self.type]:
            raise NoteError(f"a key of {self.name} has a wrong length: {len(self.public)} bytes")

    @property
    def id(self) -> bytes:
        """The four bytes that stand in the key's signatures."""
        named = self.name.encode() + b"\n" + self.type.value + self.public
        return sha256(named).digest()[:KEY_ID_BYTES]

    @property
    def der(self) -> bytes:
        """The key as DER SubjectPublicKeyInfo, for tools that know nothing of notes."""
        return public_der(self.type, self.public)

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """Read a verifier key: name, id and key with "+" between.  Raises NoteError."""
        name, key_id, type_, public = _split(text)
        key = cls(name, type_, public)
        check_id(key, key_id)
        return key

    def __str__(self) -> str:
        return _join(self, self.public)


class Secret(NamedTuple):
    """What the text of a private key says: whose it is, the key, and the id that its public half must have."""

    name: str
    key: bytes
    key_id: str


def join_secret(key: VerifierKey, secret: bytes) -> str:
    """Return the text of a private key file, without a newline."""
    return _PRIVATE + _join(key, secret)


def split_secret(text: str, type_: SignatureType) -> Secret:
    """Read the text of a private key file, which may end with a newline.  Raises NoteError."""
    if not text.startswith(_PRIVATE):
        raise NoteError(f"a private key begins with {_PRIVATE}")
    name, key_id, found, key = _split(text.removeprefix(_PRIVATE).removesuffix("\n"))
    if found is not type_:
        raise NoteError(f"the private key of {name} signs as {found.name}, not {type_.name}")
    return Secret(name, key, key_id)


def public_der(type_: SignatureType, public: bytes) -> bytes:
    """Return the DER SubjectPublicKeyInfo of a public key."""
    return _DER_HEADS[type_] + public


def check_id(key: VerifierKey, key_id: str) -> None:
    """Raise NoteError when the key's id is not this one."""
    if key.id.hex() != key_id:
        raise NoteError(f"the id of the key of {key.name} is {key.id.hex()}, not {key_id}")


def check_name(name: str) -> None:
    """Raise NoteError when no key may have this name."""
    if not name or "+" in name or any(letter.isspace() or letter < " " for letter in name):
        raise NoteError(
            "the name of a key is not empty, and has no space, plus or control character"
        )


def from_base64(text: str) -> bytes:
    """Return the bytes that this base64 is the one way to write.  Raises NoteError."""
    try:
        data = b64decode(text, validate=True)
    except ValueError as error:
        raise NoteError("this is no base64") from error
    if to_base64(data) != text:
        raise NoteError("this base64 is not written in the one right way")
    return data


def to_base64(data: bytes) -> str:
    """Return standard base64, with padding."""
    return b64encode(data).decode()


def _join(key: VerifierKey, material: bytes) -> str:
    return f"{key.name}+{key.id.hex()}+{to_base64(key.type.value + material)}"


def _split(text: str) -> tuple[str, str, SignatureType, bytes]:
    parts = text.split("+", 2)  # base64 may have more of them
    if len(parts) != 3 or _KEY_ID.fullmatch(parts[1]) is None:
        raise NoteError(
            "a key is a name, an id of eight hexadecimal digits and base64, with + between"
        )
    name, key_id, encoded = parts
    check_name(name)
    material = from_base64(encoded)
    for type_ in SignatureType:
        if material.startswith(type_.value):
            return name, key_id, type_, material.removeprefix(type_.value)
    raise NoteError(f"the key of {name} signs in a way that is not known here")
