"""Keys that sign messages between nodes: Ed25519, RSA (PKCS #1 v1.5, SHA-256) and SM2 (SM3), in PEM as OpenSSL has it.

They fit `sync.signature.Signer` and `Verifier`, which know no library.  A key signs in one way, so nobody can choose a
weaker one for it.  A key's id is the SHA-256 of its public half:

    openssl pkey -pubin -in key.pub -outform DER | sha256sum

An SM2 signer has the usual id of GM/T 0009, 1234567812345678; SM2 takes 10 ms to sign and 20 ms to check here, the
others less than one.
"""

import binascii
import re
from base64 import b64decode, b64encode
from enum import StrEnum
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

from resolver.keys import sm
from resolver.keys.files import read_key_file
from resolver.keys.sm import Sm2PrivateKey

MIN_RSA_BITS, MAX_RSA_BITS = 2048, 8192
RSA_EXPONENT = 65537
MAX_KEYS = 16  # in one file
SM2_SIGNER = b"1234567812345678"

_PRIVATE = re.compile(rb"-----BEGIN PRIVATE KEY-----(.*?)-----END PRIVATE KEY-----", re.DOTALL)
_PUBLIC = re.compile(rb"-----BEGIN PUBLIC KEY-----(.*?)-----END PUBLIC KEY-----", re.DOTALL)
_LINE = 64

_Private = ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey | Sm2PrivateKey
_Public = ed25519.Ed25519PublicKey | rsa.RSAPublicKey | bytes  # of SM2 its DER


class SigningKind(StrEnum):
    """The kinds of keys, by what their signatures are called (RFC 9421; SM2's name is ours)."""

    ED25519 = "ed25519"
    RSA = "rsa-v1_5-sha256"
    SM2 = "sm2-sm3"


class VerifyingKey:
    """A public key, from its DER SubjectPublicKeyInfo.  Raises ValueError for what is none of these kinds."""

    def __init__(self, der: bytes) -> None:
        self._key, kind = _read_public(der)
        self._der = der
        self.algorithm: str = kind
        self.key_id = sha256(der).hexdigest()

    @property
    def pem(self) -> bytes:
        """The key as PEM."""
        return _pem(b"PUBLIC KEY", self._der)

    def verify(self, signature: bytes, message: bytes) -> bool:
        """Return whether this key signed this message; False for bytes that are no signature."""
        try:
            match self._key:
                case bytes():
                    return sm.verify(self._key, signature, message, SM2_SIGNER)
                case rsa.RSAPublicKey():
                    self._key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
                case _:
                    self._key.verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


class SigningKey:
    """A private key."""

    def __init__(self, private: _Private) -> None:
        """Use `make` or `load`.  Raises ValueError for an RSA key of a size that is not allowed."""
        self._private = private
        self.public = VerifyingKey(_public_der(private))
        self.algorithm = self.public.algorithm
        self.key_id = self.public.key_id

    @classmethod
    def make(cls, kind: SigningKind, bits: int = MIN_RSA_BITS) -> "SigningKey":
        """Make a key from the system's randomness; `bits` is the size of an RSA key.  Raises ValueError."""
        match kind:
            case SigningKind.ED25519:
                return cls(ed25519.Ed25519PrivateKey.generate())
            case SigningKind.SM2:
                return cls(sm.make())
            case SigningKind.RSA:
                if not MIN_RSA_BITS <= bits <= MAX_RSA_BITS:
                    raise ValueError(f"an RSA key has {MIN_RSA_BITS} to {MAX_RSA_BITS} bits")
                return cls(rsa.generate_private_key(RSA_EXPONENT, bits))

    @classmethod
    def load(cls, path: Path) -> "SigningKey":
        """Read a private key (PKCS #8 in PEM, unencrypted).  Raises ValueError that names the file, OSError."""
        try:
            return cls(_read_private(read_key_file(path)))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    @property
    def pem(self) -> bytes:
        """The private key as PKCS #8 in PEM, in the clear."""
        if isinstance(self._private, Sm2PrivateKey):
            return _pem(b"PRIVATE KEY", self._private.pkcs8)
        return self._private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def sign(self, message: bytes) -> bytes:
        """Return the signature of a message."""
        match self._private:
            case Sm2PrivateKey():
                return sm.sign(self._private, message, SM2_SIGNER)
            case rsa.RSAPrivateKey():
                return self._private.sign(message, padding.PKCS1v15(), hashes.SHA256())
            case _:
                return self._private.sign(message)


def read_verifying_keys(pem: bytes) -> dict[str, VerifyingKey]:
    """Return the public keys of a PEM text by their ids; each counts, so a key is changed by naming both for a while.

    Raises ValueError for a text with no key, too many, or one that cannot be used.
    """
    blocks = _PUBLIC.findall(pem)
    if not 1 <= len(blocks) <= MAX_KEYS:
        raise ValueError(f"1 to {MAX_KEYS} public keys are wanted (BEGIN PUBLIC KEY)")
    keys = [VerifyingKey(_from_base64(block)) for block in blocks]
    return {key.key_id: key for key in keys}


def load_verifying_keys(path: Path) -> dict[str, VerifyingKey]:
    """Read a file of public keys.  Raises ValueError that names the file, OSError."""
    try:
        return read_verifying_keys(read_key_file(path))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _read_public(der: bytes) -> tuple[_Public, SigningKind]:
    try:
        sm.read_point(der)
    except ValueError:
        pass  # another kind
    else:
        return der, SigningKind.SM2
    try:
        key = serialization.load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError("this is no public key") from error
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key, SigningKind.ED25519
    if isinstance(key, rsa.RSAPublicKey) and MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
        return key, SigningKind.RSA
    raise ValueError(
        f"a signing key is Ed25519, SM2, or RSA of {MIN_RSA_BITS} to {MAX_RSA_BITS} bits"
    )


def _public_der(private: _Private) -> bytes:
    if isinstance(private, Sm2PrivateKey):
        return private.public_der
    return private.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _read_private(pem: bytes) -> _Private:
    found = _PRIVATE.search(pem)
    if found is None:
        raise ValueError("there is no unencrypted private key in PEM (BEGIN PRIVATE KEY)")
    der = _from_base64(found[1])
    try:
        return Sm2PrivateKey.from_pkcs8(der)
    except ValueError:
        pass  # another kind
    try:
        private = serialization.load_der_private_key(der, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ValueError("the private key cannot be read") from error
    if isinstance(private, ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey):
        return private
    raise ValueError("a signing key is Ed25519, RSA or SM2")


def _from_base64(block: bytes) -> bytes:
    try:
        return b64decode(b"".join(block.split()), validate=True)
    except binascii.Error as error:
        raise ValueError("the PEM is no base64") from error


def _pem(label: bytes, der: bytes) -> bytes:
    text = b64encode(der)
    lines = [text[at : at + _LINE] for at in range(0, len(text), _LINE)]
    return b"\n".join(
        [b"-----BEGIN " + label + b"-----", *lines, b"-----END " + label + b"-----", b""]
    )
