"""Public keys as they stand in HS_PUBKEY data and in session setup (RFC 3651 §3.2.5).

Only bytes and numbers: what is done with a key is another module's business.  Numbers are
two's-complement and big-endian; every one of a key is positive, so a sender that forgot the leading
zero byte is still understood.
"""

from dataclasses import dataclass

from resolver.wire.cursor import Reader, Writer
from resolver.wire.errors import WireError

RSA_PUBLIC_KEY = b"RSA_PUB_KEY"
DSA_PUBLIC_KEY = b"DSA_PUB_KEY"
DH_PUBLIC_KEY = b"DH_PUB_KEY"
SM2_PUBLIC_KEY = b"SM2_PUB_KEY"  # id-pointer only

_RSA_SLACK = bytes(4)  # added by the reference's writer, so keys in the wild have them
_NO_FLAGS = 0


@dataclass(frozen=True, slots=True)
class RsaPublicKey:
    """An RSA key."""

    exponent: int
    modulus: int


@dataclass(frozen=True, slots=True)
class DsaPublicKey:
    """A DSA key; the field names are those of FIPS 186."""

    q: int
    p: int
    g: int
    y: int


@dataclass(frozen=True, slots=True)
class DhPublicKey:
    """A Diffie-Hellman public value `y` with its group."""

    y: int
    p: int
    g: int


@dataclass(frozen=True, slots=True)
class Sm2PublicKey:
    """An SM2 key: the DER bytes of a SubjectPublicKeyInfo."""

    subject_public_key_info: bytes


PublicKey = RsaPublicKey | DsaPublicKey | DhPublicKey | Sm2PublicKey


def encode_public_key(key: PublicKey) -> bytes:
    """Return the bytes of HS_PUBKEY data.  Raises ValueError for a negative number."""
    match key:
        case RsaPublicKey(exponent, modulus):
            return bytes(_key(RSA_PUBLIC_KEY, exponent, modulus).raw(_RSA_SLACK))
        case DsaPublicKey(q, p, g, y):
            return bytes(_key(DSA_PUBLIC_KEY, q, p, g, y))
        case DhPublicKey(y, p, g):
            return bytes(_key(DH_PUBLIC_KEY, y, p, g))
        case Sm2PublicKey(info):
            return bytes(_key(SM2_PUBLIC_KEY).string(info))


def decode_public_key(data: bytes) -> PublicKey:
    """Return the key of HS_PUBKEY data, ignoring its flags.

    Raises WireError, also for a type that is not known here.
    """
    reader = Reader(data)
    key_type, _flags = reader.string(), reader.u16()
    key = _read_key(reader, key_type)
    if isinstance(key, RsaPublicKey) and reader.remaining == len(_RSA_SLACK):
        reader.rest()
    reader.finish()
    return key


def _read_key(reader: Reader, key_type: bytes) -> PublicKey:
    match key_type:
        case b"RSA_PUB_KEY":
            return RsaPublicKey(_number(reader), _number(reader))
        case b"DSA_PUB_KEY":
            return DsaPublicKey(_number(reader), _number(reader), _number(reader), _number(reader))
        case b"DH_PUB_KEY":
            return DhPublicKey(_number(reader), _number(reader), _number(reader))
        case b"SM2_PUB_KEY":
            return Sm2PublicKey(reader.string())
        case _:
            raise WireError(f"a public key of unknown type {key_type[:32]!r}")


def _key(key_type: bytes, *numbers: int) -> Writer:
    writer = Writer().string(key_type).u16(_NO_FLAGS)
    for number in numbers:
        writer.string(_number_bytes(number))
    return writer


def _number(reader: Reader) -> int:
    return int.from_bytes(reader.string(), "big")


def _number_bytes(number: int) -> bytes:
    """Return the shortest two's-complement form: the top bit stays clear."""
    if number < 0:
        raise ValueError("a negative number is no part of a public key")
    return number.to_bytes(number.bit_length() // 8 + 1, "big")
