"""Digests and MACs by which a secret key is proven without being sent (RFC 3652 §2.2.4; handle-protocol §8).

The strong way is PBKDF2-HMAC-SHA1, a MAC whose key is derived slowly, so that who overhears it cannot try many
secrets; the salt, the iterations and the length are the client's choice, within our limits.  The old ways are a hash
over secret ‖ message ‖ secret (weak with MD5 and SHA-1) and a plain HMAC.
"""

import hashlib
import hmac
from typing import Final, NamedTuple

from resolver.keys.signatures import plain

MAX_ITERATIONS: Final = 20_000  # 8 ms for each block of SHA-1; clients ask for 10 000
MIN_DERIVED_BITS: Final = 128  # with a shorter key the proof could be guessed
MAX_DERIVED_BITS: Final = 320  # two blocks of SHA-1
MAX_SALT_BYTES: Final = 1_024

_PBKDF2 = "PBKDF2HMACSHA1"
_HASHES = {"MD5": "md5", "SHA1": "sha1", "SHA256": "sha256"}
_WEAK = frozenset({"MD5", "SHA1"})
_MACS = {"HMACSHA1": "sha1", "HMACSHA256": "sha256"}


class Derivation(NamedTuple):
    """How PBKDF2 makes the MAC key out of a secret; the defaults are hdllib's."""

    salt: bytes = b""
    iterations: int = 10_000
    bits: int = 160


def check(
    secret: bytes,
    algorithm: str,
    mac: bytes,
    message: bytes,
    *,
    derivation: Derivation,
    allow_weak: bool,
) -> bool:
    """Return whether this is the named digest or MAC of the message, in time that does not depend on the secret.

    An empty secret proves nothing: everybody knows it.  Raises ValueError for an algorithm or a derivation that is not
    accepted.
    """
    if plain(algorithm) in _WEAK and not allow_weak:
        raise ValueError(
            f"{algorithm:.20} of a secret key is too weak; use PBKDF2-HMAC-SHA1 or HMAC-SHA256"
        )
    expected = compute(secret, algorithm, message, derivation)
    return hmac.compare_digest(expected, mac) and bool(secret)


def compute(secret: bytes, algorithm: str, message: bytes, derivation: Derivation) -> bytes:
    """Return the named digest or MAC of the message.  Raises ValueError as `check` does."""
    name = plain(algorithm)
    if name == _PBKDF2:
        return hmac.digest(_derive(secret, derivation), message, "sha1")
    if name in _MACS:
        return hmac.digest(secret, message, _MACS[name])
    if name in _HASHES:
        sandwich = secret + message + secret
        return hashlib.new(_HASHES[name], sandwich, usedforsecurity=False).digest()
    raise ValueError(
        f"proofs with {algorithm:.20} are not known; use PBKDF2-HMAC-SHA1 or HMAC-SHA256"
    )


def _derive(secret: bytes, derivation: Derivation) -> bytes:
    salt, iterations, bits = derivation
    if not 0 < iterations <= MAX_ITERATIONS:
        raise ValueError(f"PBKDF2 with {iterations} iterations; 1 to {MAX_ITERATIONS} are allowed")
    if bits % 8 or not MIN_DERIVED_BITS <= bits <= MAX_DERIVED_BITS:
        raise ValueError(
            f"a key of {bits} bits from PBKDF2; {MIN_DERIVED_BITS} to {MAX_DERIVED_BITS} are allowed"
        )
    if len(salt) > MAX_SALT_BYTES:
        raise ValueError(f"a salt of {len(salt)} bytes; {MAX_SALT_BYTES} are allowed")
    return hashlib.pbkdf2_hmac("sha1", secret, salt, iterations, bits // 8)
