"""Signatures of a handle's administrator: RSA (PKCS #1 v1.5), DSA and SM2, checked and made (RFC 3652 §2.2.4).

The keys come out of records, so whoever may change a record chooses their numbers: a key is used only when its size is
one that is neither easily broken nor costly to compute with.
"""

from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, padding, rsa

from resolver.keys import sm
from resolver.keys.private import PrivateKey
from resolver.keys.sm import Sm2PrivateKey
from resolver.wire import DsaPublicKey, PublicKey, RsaPublicKey, Sm2PublicKey

MIN_RSA_BITS: Final = 1024  # as short as the reference's oldest keys
MAX_RSA_BITS: Final = 8192
MAX_RSA_EXPONENT_BITS: Final = 64
DSA_BITS: Final = (1024, 2048, 3072)
MAX_SIGNATURE_BYTES: Final = 1024  # an RSA key of 8192 bits; the others are shorter

SM3: Final = "SM3"
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "SHA1": hashes.SHA1(),  # noqa: S303  what old clients sign with; nobody finds a second message for a hash
    "SHA256": hashes.SHA256(),
}
_WEAK_HASHES: dict[str, hashes.HashAlgorithm] = {"MD5": hashes.MD5()}  # noqa: S303  by setting


def plain(algorithm: str) -> str:
    """Return an algorithm's name without case and dashes, which clients put differently."""
    return algorithm.upper().replace("-", "")


def verify(
    key: PublicKey,
    algorithm: str,
    signature: bytes,
    message: bytes,
    *,
    signer: bytes,
    allow_weak: bool,
) -> bool:
    """Return whether this key signed the message; an SM2 key signs SM3 of it, with the signer as its id.

    Raises ValueError when the key, the algorithm or the signature cannot be used.
    """
    if len(signature) > MAX_SIGNATURE_BYTES:
        raise ValueError(f"a signature of {len(signature)} bytes")
    try:
        match key:
            case Sm2PublicKey(info):
                _expect_sm3(algorithm)
                return sm.verify(info, signature, sm.sm3(message), signer)
            case RsaPublicKey():
                used = _hash(algorithm, allow_weak=allow_weak)
                _rsa_key(key).verify(signature, message, padding.PKCS1v15(), used)
            case DsaPublicKey():
                _dsa_key(key).verify(signature, message, _hash(algorithm))
            case _:
                raise ValueError("a Diffie-Hellman key cannot sign")
    except InvalidSignature:
        return False
    except UnsupportedAlgorithm as error:
        raise ValueError(str(error)) from error
    return True


def sign(
    private: PrivateKey, message: bytes, *, signer: bytes, algorithm: str = "SHA-256"
) -> tuple[str, bytes]:
    """Return the algorithm's name (SM3 for every SM2 key) and the signature of the message.

    Raises ValueError for an algorithm that is not known.
    """
    match private:
        case Sm2PrivateKey():
            return SM3, sm.sign(private, sm.sm3(message), signer)
        case rsa.RSAPrivateKey():
            return algorithm, private.sign(message, padding.PKCS1v15(), _hash(algorithm))
        case _:
            return algorithm, private.sign(message, _hash(algorithm))


def _expect_sm3(algorithm: str) -> None:
    if plain(algorithm) != SM3:
        raise ValueError(f"an SM2 key signs with SM3, not with {algorithm:.20}")


def _hash(algorithm: str, *, allow_weak: bool = False) -> hashes.HashAlgorithm:
    known = _HASHES | _WEAK_HASHES if allow_weak else _HASHES
    found = known.get(plain(algorithm))
    if found is None:
        raise ValueError(f"signatures with {algorithm:.20} are not accepted; use SHA-256")
    return found


def _rsa_key(key: RsaPublicKey) -> rsa.RSAPublicKey:
    bits = key.modulus.bit_length()
    if not MIN_RSA_BITS <= bits <= MAX_RSA_BITS:
        raise ValueError(f"an RSA key of {bits} bits; {MIN_RSA_BITS} to {MAX_RSA_BITS} are allowed")
    if key.exponent.bit_length() > MAX_RSA_EXPONENT_BITS:
        raise ValueError(f"an RSA exponent of more than {MAX_RSA_EXPONENT_BITS} bits")
    return rsa.RSAPublicNumbers(key.exponent, key.modulus).public_key()


def _dsa_key(key: DsaPublicKey) -> dsa.DSAPublicKey:
    if key.p.bit_length() not in DSA_BITS:
        raise ValueError(f"a DSA key of {key.p.bit_length()} bits; 1024, 2048 and 3072 are allowed")
    if not 1 < key.y < key.p - 1:
        raise ValueError("the public value of a DSA key is not between 1 and p - 1")
    group = dsa.DSAParameterNumbers(key.p, key.q, key.g)
    return dsa.DSAPublicNumbers(key.y, group).public_key()
