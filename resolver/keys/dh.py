"""Diffie-Hellman: the two sides of a session agree on a key (RFC 3652 §3.5; handle-protocol §8).

The client chooses the group and sends its public value; the server answers with its own, and both have the secret.
hdllib takes the 1024-bit MODP group 2 (RFC 2409 §6.2).  Laws: the shared secret is bytes as wide as p; its leading
zeros are cut only while more than 32 bytes remain; the first 32 are the session key.  What a stranger sends costs one
bounded exponentiation at most, and a group or value in which the secret could be guessed from outside is refused.
"""

from collections.abc import Callable
from typing import Final

from resolver.keys.cipher import SESSION_KEY_BYTES
from resolver.wire import DhPublicKey

MIN_GROUP_BITS: Final = 1024  # what hdllib sends
MAX_GROUP_BITS: Final = 4096  # two powers in it take 20 ms; nobody is known to send more than 1024
EXPONENT_BYTES: Final = 40  # 320 bits; 225 do for 2048 bits, 325 for 4096 (RFC 7919 §5.2)

_GROUP_2_PRIME = int(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD"
    "EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED"
    "EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE65381FFFFFFFFFFFFFFFF",
    16,
)
_GROUP_2_GENERATOR = 2

RandomBytes = Callable[[int], bytes]
"""Gives so many random bytes, such as `os.urandom`."""


class DhSecret:
    """Our half of an agreement: an exponent that only we know, in a group."""

    def __init__(self, group: DhPublicKey, random_bytes: RandomBytes) -> None:
        """Choose an exponent in the group of a public key.  Raises ValueError for a group that is not sane."""
        _check_group(group.p, group.g)
        self._p, self._g = group.p, group.g
        self._exponent = int.from_bytes(random_bytes(EXPONENT_BYTES), "big") | 1 << (
            EXPONENT_BYTES * 8 - 1
        )
        self.public = DhPublicKey(pow(self._g, self._exponent, self._p), self._p, self._g)

    @classmethod
    def for_client(cls, random_bytes: RandomBytes) -> "DhSecret":
        """Start an agreement as a client does, in the group that every Handle server knows."""
        return cls(DhPublicKey(1, _GROUP_2_PRIME, _GROUP_2_GENERATOR), random_bytes)

    def session_key(self, theirs: DhPublicKey) -> bytes:
        """Return the session key agreed on with the other side, 32 bytes.

        Raises ValueError when its value is of another group, or one that gives the secret away.
        """
        if (theirs.p, theirs.g) != (self._p, self._g):
            raise ValueError("the other side answered in another Diffie-Hellman group")
        _check_value(theirs)
        return derive_session_key(pow(theirs.y, self._exponent, self._p), self._p)


def agree(theirs: DhPublicKey, random_bytes: RandomBytes) -> tuple[DhPublicKey, bytes]:
    """Answer a client: return our public value in its group, and the session key of 32 bytes.

    Raises ValueError, before any costly arithmetic, for a group or a value that is not sane.
    """
    _check_group(theirs.p, theirs.g)
    _check_value(theirs)
    ours = DhSecret(theirs, random_bytes)
    return ours.public, ours.session_key(theirs)


def derive_session_key(shared: int, p: int) -> bytes:
    """Return the first 32 bytes of a shared secret, written as wide as p and then cut as the protocol does.

    Leading zeros go only while more than 32 bytes remain.
    """
    wide = shared.to_bytes((p.bit_length() + 7) // 8, "big")
    zeros = len(wide) - len(wide.lstrip(b"\x00"))
    return wide[min(zeros, len(wide) - SESSION_KEY_BYTES) :][:SESSION_KEY_BYTES]


def _check_group(p: int, g: int) -> None:
    """Refuse what is too small to be secret, too large to be cheap, or no group at all.

    Whether p is prime is not asked: that costs more than all the rest, and a client that chooses a bad one harms only
    its own session.
    """
    if not MIN_GROUP_BITS <= p.bit_length() <= MAX_GROUP_BITS:
        raise ValueError(
            f"a Diffie-Hellman group of {p.bit_length()} bits; {MIN_GROUP_BITS} to {MAX_GROUP_BITS} are allowed"
        )
    if p % 2 == 0:
        raise ValueError("the modulus of the Diffie-Hellman group is even, so it is no prime")
    if not 1 < g < p - 1:
        raise ValueError("the generator of the Diffie-Hellman group is not between 1 and p - 1")


def _check_value(key: DhPublicKey) -> None:
    if not 1 < key.y < key.p - 1:
        raise ValueError(
            "the Diffie-Hellman value is not between 1 and p - 1: anybody knows its powers"
        )
