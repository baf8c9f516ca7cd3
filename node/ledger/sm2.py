"""Signatures of notes with SM2 and SM3, beside those with Ed25519: the same text, for who must see approved algorithms.

Signed-note has given this type no number, so a key is 0xff, `sm2-sm3/v1` and the uncompressed point; the signature is
the DER of (r, s); the signer's id is the default of GM/T 0009.  Tools that do not know the type ignore the line.

This module stands apart from the notes because an offline verifier has no SM2 library: it asks openssl, or ignores the
line too.  The library used here signs in a time that depends on the key: a certified device takes its place where that
matters, behind the same `Signer`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from node.ledger.keys import (
    NoteError,
    SignatureType,
    VerifierKey,
    check_id,
    join_secret,
    public_der,
    split_secret,
)
from node.ledger.note import CHECKS, Check, Signature
from resolver.keys import sm

SIGNER_ID = b"1234567812345678"


@dataclass(frozen=True, slots=True)
class Sm2Signer:
    """A signer from an SM2 private key.  Raises NoteError for a name that no key may have."""

    name: str
    private: sm.Sm2PrivateKey
    key: VerifierKey = field(init=False)

    def __post_init__(self) -> None:
        key = VerifierKey(self.name, SignatureType.SM2_SM3, self.private.point)
        object.__setattr__(self, "key", key)

    @classmethod
    def parse(cls, text: str) -> "Sm2Signer":
        """Read the text of a private key file.  Raises NoteError."""
        secret = split_secret(text, SignatureType.SM2_SM3)
        try:
            made = cls(secret.name, sm.Sm2PrivateKey.from_scalar(secret.key))
        except ValueError as error:
            raise NoteError(str(error)) from error
        check_id(made.key, secret.key_id)
        return made

    @property
    def secret(self) -> str:
        """The text of a private key file."""
        return join_secret(self.key, self.private.scalar)

    def sign(self, text: str) -> Signature:
        """Sign a note's text."""
        signature = sm.sign(self.private, text.encode(), SIGNER_ID)
        return Signature(self.name, self.key.id, signature)


def check_sm2(public: bytes, text: bytes, signature: bytes) -> bool:
    """Return whether this is the key's signature of the text."""
    try:
        return sm.verify(public_der(SignatureType.SM2_SM3, public), signature, text, SIGNER_ID)
    except ValueError:
        return False


CHECKS_WITH_SM2: Mapping[SignatureType, Check] = {**CHECKS, SignatureType.SM2_SM3: check_sm2}
