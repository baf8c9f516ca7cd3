"""SM2 signatures and the SM3 hash (GB/T 32918, GB/T 32905): the one interface to the library that computes them.

Laws.  A public key is the DER of a SubjectPublicKeyInfo on the named curve with an uncompressed point, the form that
Java writes: DER allows it no second spelling, so it is known by its first bytes.  A signature is the DER of (r, s).
A signer has an id, hashed in front of what is signed: in the Handle protocol the bytes of the handle, not the default
of the standard.

The library is plain Python: a signature takes about 10 ms and a check 20 ms, and the time of a signature depends on
the key.  So this node only checks with it; it signs with SM2 as a client, and never its answers.
"""

import re
from dataclasses import dataclass, field
from functools import lru_cache

import gmalg
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

SCALAR_BYTES = 32
MAX_SIGNER_BYTES = 4_095  # its length in bits has to fit two bytes, as the library counts

_POINT_BYTES = 65  # 04, x, y
_PRIME = 0xFFFFFFFE_FFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFF_00000000_FFFFFFFF_FFFFFFFF
_ORDER = 0xFFFFFFFE_FFFFFFFF_FFFFFFFF_FFFFFFFF_7203DF6B_21C6052B_53BBF409_39D54123
_KEYS_KEPT = 1_024  # checked points; a check costs as much as half a signature

# AlgorithmIdentifier { id-ecPublicKey, sm2p256v1 (1.2.156.10197.1.301) }
_ALGORITHM = bytes.fromhex("301306072a8648ce3d020106082a811ccf5501822d")
_PUBLIC_HEAD = b"\x30\x59" + _ALGORITHM + b"\x03\x42\x00"
# PrivateKeyInfo { 0, algorithm, ECPrivateKey { 1, scalar, [1] point } } as OpenSSL writes it, up to the scalar
_PRIVATE_HEAD = b"\x30\x81\x87\x02\x01\x00" + _ALGORITHM + b"\x04\x6d\x30\x6b\x02\x01\x01\x04\x20"
_PRIVATE_POINT = b"\xa1\x44\x03\x42\x00"
# Others write the curve once more, or no point: whatever follows the scalar is not needed.
_PRIVATE = re.compile(
    rb"\x30(?:\x81.|[\x00-\x7f])\x02\x01\x00"
    + re.escape(_ALGORITHM)
    + rb"\x04(?:\x81.|[\x00-\x7f])\x30(?:\x81.|[\x00-\x7f])\x02\x01\x01\x04\x20(?P<scalar>.{32})",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Sm2PrivateKey:
    """A private key, with the public point (65 bytes) that belongs to it."""

    scalar: bytes = field(repr=False)
    point: bytes

    @property
    def public_der(self) -> bytes:
        """The public half as DER SubjectPublicKeyInfo."""
        return _PUBLIC_HEAD + self.point

    @property
    def pkcs8(self) -> bytes:
        """The private key as DER PrivateKeyInfo, in the clear."""
        return _PRIVATE_HEAD + self.scalar + _PRIVATE_POINT + self.point

    @classmethod
    def from_scalar(cls, scalar: bytes) -> "Sm2PrivateKey":
        """Return the key of a secret number, 32 bytes.  Raises ValueError when it is out of its range."""
        if len(scalar) != SCALAR_BYTES or not 0 < int.from_bytes(scalar, "big") < _ORDER - 1:
            raise ValueError("an SM2 private key is a number of 32 bytes below the curve's order")
        return cls(scalar, bytes(gmalg.SM2().generate_pk(scalar)))

    @classmethod
    def from_pkcs8(cls, der: bytes) -> "Sm2PrivateKey":
        """Read a DER PrivateKeyInfo.  Raises ValueError when it is not one of an SM2 key."""
        found = _PRIVATE.match(der)
        if found is None:
            raise ValueError("this is no private SM2 key in PKCS #8 form")
        return cls.from_scalar(found["scalar"])


def make() -> Sm2PrivateKey:
    """Make a private key, from the system's randomness."""
    scalar, _ = gmalg.SM2().generate_keypair()
    return Sm2PrivateKey.from_scalar(bytes(scalar).rjust(SCALAR_BYTES, b"\x00"))


def sm3(data: bytes) -> bytes:
    """Return the SM3 hash, 32 bytes."""
    state = gmalg.SM3()
    state.update(data)
    return bytes(state.value())


def sign(private: Sm2PrivateKey, message: bytes, signer: bytes) -> bytes:
    """Return a DER signature.  Raises ValueError for an empty or overlong signer id."""
    _check_signer(signer)
    r, s = gmalg.SM2(private.scalar, signer, private.point).sign(message)
    return encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))


def verify(key_der: bytes, signature_der: bytes, message: bytes, signer: bytes) -> bool:
    """Return whether this signature of the message was made with this key by the signer with this id.

    Raises ValueError when the key, the signature or the id cannot be read.
    """
    _check_signer(signer)
    point = read_point(key_der)
    r, s = decode_dss_signature(signature_der)
    if not (0 < r < _ORDER and 0 < s < _ORDER):
        return False
    checker = gmalg.SM2(None, signer, point)
    return bool(checker.verify(message, _number_bytes(r), _number_bytes(s)))


@lru_cache(_KEYS_KEPT)
def read_point(key_der: bytes) -> bytes:
    """Return the point of a public key.  Raises ValueError when it is no SM2 key, or not on the curve."""
    if len(key_der) != len(_PUBLIC_HEAD) + _POINT_BYTES or not key_der.startswith(_PUBLIC_HEAD):
        raise ValueError("this is no SM2 key: DER, named curve sm2p256v1, uncompressed point")
    point = key_der[len(_PUBLIC_HEAD) :]
    if not _is_on_curve(point):
        raise ValueError("the point of this SM2 key is not on the curve")
    return point


def _is_on_curve(point: bytes) -> bool:
    x, y = (int.from_bytes(point[at : at + SCALAR_BYTES], "big") for at in (1, 1 + SCALAR_BYTES))
    return point[0] == 4 and max(x, y) < _PRIME and bool(gmalg.SM2().verify_pk(point))


def _check_signer(signer: bytes) -> None:
    if not 0 < len(signer) <= MAX_SIGNER_BYTES:
        raise ValueError(f"an SM2 signer has an id of 1 to {MAX_SIGNER_BYTES} bytes")


def _number_bytes(number: int) -> bytes:
    return number.to_bytes(SCALAR_BYTES, "big")
