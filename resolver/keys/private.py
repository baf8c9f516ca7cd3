"""Private keys with which a handle's administrator proves who he is: RSA, DSA or SM2; made, written as PEM, read.

The forms are those of every other tool: PKCS #8, unencrypted, in PEM.  Which key belongs to which identity is not in
it: that says the HS_PUBKEY value of a record, which holds the public half.
"""

import base64
import binascii
from enum import StrEnum

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, rsa

from resolver.keys import sm
from resolver.keys.sm import Sm2PrivateKey
from resolver.wire import DsaPublicKey, PublicKey, RsaPublicKey, Sm2PublicKey

MIN_RSA_BITS = 2048
MAX_RSA_BITS = 8192
DSA_BITS = 2048  # the longest that Java's SHA256withDSA signs with
RSA_EXPONENT = 65537

PrivateKey = rsa.RSAPrivateKey | dsa.DSAPrivateKey | Sm2PrivateKey

_PEM_HEAD = b"-----BEGIN PRIVATE KEY-----"
_PEM_FOOT = b"-----END PRIVATE KEY-----"
_PEM_LINE = 64


class KeyKind(StrEnum):
    """The algorithms of private keys."""

    RSA = "rsa"
    DSA = "dsa"
    SM2 = "sm2"


def make_private(kind: KeyKind, bits: int = MIN_RSA_BITS) -> PrivateKey:
    """Make a private key from the system's randomness; `bits` is the size of an RSA key.

    RSA takes about 0.1 s, DSA up to a few seconds.  Raises ValueError for a size that is not allowed.
    """
    match kind:
        case KeyKind.RSA:
            if not MIN_RSA_BITS <= bits <= MAX_RSA_BITS:
                raise ValueError(f"an RSA key has {MIN_RSA_BITS} to {MAX_RSA_BITS} bits")
            return rsa.generate_private_key(RSA_EXPONENT, bits)
        case KeyKind.DSA:
            return dsa.generate_private_key(DSA_BITS)
        case KeyKind.SM2:
            return sm.make()


def public_half(private: PrivateKey) -> PublicKey:
    """Return the public key as it stands in HS_PUBKEY data."""
    match private:
        case Sm2PrivateKey():
            return Sm2PublicKey(private.public_der)
        case rsa.RSAPrivateKey():
            return rsa_numbers(private.public_key())
        case _:
            return dsa_numbers(private.public_key())


def rsa_numbers(public: rsa.RSAPublicKey) -> RsaPublicKey:
    """Return the library's public key as the protocol has it."""
    numbers = public.public_numbers()
    return RsaPublicKey(numbers.e, numbers.n)


def dsa_numbers(public: dsa.DSAPublicKey) -> DsaPublicKey:
    """Return the library's public key as the protocol has it."""
    numbers = public.public_numbers()
    group = numbers.parameter_numbers
    return DsaPublicKey(q=group.q, p=group.p, g=group.g, y=numbers.y)


def to_pem(private: PrivateKey) -> bytes:
    """Return the key as PKCS #8 in PEM, in the clear: write it where only its owner reads."""
    if isinstance(private, Sm2PrivateKey):
        text = base64.b64encode(private.pkcs8)
        lines = [text[at : at + _PEM_LINE] for at in range(0, len(text), _PEM_LINE)]
        return b"\n".join([_PEM_HEAD, *lines, _PEM_FOOT, b""])
    return private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def from_pem(pem: bytes) -> PrivateKey:
    """Read a private key.  Raises ValueError that says what is wrong with it."""
    try:
        return Sm2PrivateKey.from_pkcs8(_pem_body(pem))
    except ValueError:
        pass  # another kind
    try:
        private = serialization.load_pem_private_key(pem, password=None)
    except TypeError as error:
        raise ValueError(
            "the private key is encrypted; take the password off first: openssl pkey -in OLD -out NEW"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError("this is no private key in PEM form (BEGIN PRIVATE KEY)") from error
    if isinstance(private, rsa.RSAPrivateKey | dsa.DSAPrivateKey):
        return private
    raise ValueError("this private key is of another kind; RSA, DSA and SM2 are known")


def _pem_body(pem: bytes) -> bytes:
    """Return what a PEM block of PKCS #8 holds.  Raises ValueError when there is none."""
    _, head, rest = pem.partition(_PEM_HEAD)
    body, foot, _ = rest.partition(_PEM_FOOT)
    if not head or not foot:
        raise ValueError("no PEM block")
    try:
        return base64.b64decode(b"".join(body.split()), validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
