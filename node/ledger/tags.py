"""Tags: keyed hashes of who asked and for what, under a key of the local day; nothing in clear reaches a lane.

`k_day = HMAC-SHA256(k_month, "2026-11-03")`, the day that of China (UTC+8, without summer time).  With it:
`id_tag` = HMAC(k_day, 01 ‖ canonical key)[:8], `client_tag` = HMAC(k_day, 02 ‖ address ‖ SHA-256(user agent))[:8],
`net_tag` = HMAC(k_day, 03 ‖ network)[:4].  An address has its 4 or 16 bytes (an IPv4 one inside IPv6 has 4), its
network the first 3 or 6 of these.  Tags are little-endian numbers in a record, so that its bytes are those of the hash;
so is the nonce, the low 32 bits of a SHA-256 that is read in the same way: its first four bytes.

Times are nanoseconds since 1970 UTC.
"""

import hmac
from collections.abc import Callable
from datetime import date
from hashlib import sha256
from ipaddress import IPv6Address, ip_address
from struct import Struct
from typing import Protocol

try:
    from _sha256 import sha256 as _own_sha256  # type: ignore[import-not-found]
except ImportError:  # a Python without it
    _own_sha256 = sha256

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
DAY_NS = 86_400 * SECOND_NS
ZONE_NS = 8 * 3_600 * SECOND_NS  # Asia/Shanghai
KEY_BYTES = 32  # of a month's key

_EPOCH_DAY = date(1970, 1, 1).toordinal()
_ID, _CLIENT, _NET = b"\x01", b"\x02", b"\x03"
_ID_TAG_BYTES, _CLIENT_TAG_BYTES, _NET_TAG_BYTES = 8, 8, 4
_NETWORK_BYTES = {4: 3, 16: 6}
_KEPT_DAYS = 3
_BLOCK_BYTES = 64  # of SHA-256
_INNER, _OUTER = (bytes(byte ^ pad for byte in range(256)) for pad in (0x36, 0x5C))
_NATIVE = Struct("!H4s").pack


class Digest(Protocol):
    """A hash that was made."""

    def digest(self) -> bytes:
        """Return its bytes."""
        ...


short_sha256: Callable[[bytes], Digest] = _own_sha256
"""SHA-256 of a few bytes, by the interpreter itself: sooner there than by OpenSSL, which looks the algorithm up each
time."""


def day_of(time_ns: int) -> int:
    """Return the number of the local day: 0 is the first of 1970."""
    return (time_ns + ZONE_NS) // DAY_NS


def day_name(day: int) -> str:
    """Return `2026-11-03`; its first seven characters name the month."""
    return date.fromordinal(_EPOCH_DAY + day).isoformat()


def packed_address(text: str) -> bytes:
    """Return the 4 or 16 bytes of an address, none of what is no address."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return b""
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped.packed
    return address.packed


def network_of(address: bytes) -> bytes:
    """Return the /24 or /48 that an address is in: its first bytes."""
    return address[: _NETWORK_BYTES.get(len(address), 0)]


def nonce_of(request_id: bytes) -> bytes:
    """Return the SHA-256 of what a client calls its request; its first four bytes are the nonce."""
    return sha256(request_id).digest()


def native_nonce(port: int, request_id: bytes) -> bytes:
    """Return the same for a native request: source port ‖ the 4 bytes of its id, both as on the wire.

    Two clients behind one address that both count from 1 are told apart by their ports.
    """
    return short_sha256(_NATIVE(port, request_id)).digest()


class DayTags:
    """The tags of one day."""

    def __init__(self, month_key: bytes, day: int) -> None:
        """`month_key` is that of the day's month."""
        self.day = day
        self._key = hmac.digest(month_key, day_name(day).encode(), "sha256")
        padded = self._key.ljust(_BLOCK_BYTES, b"\0")
        self._inner = _own_sha256(
            padded.translate(_INNER) + _ID
        )  # RFC 2104 §4: the key is taken in once
        self._outer = _own_sha256(padded.translate(_OUTER))

    def id_tag(self, key: bytes) -> bytes:
        """Return the tag of an identifier, given by its canonical key."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(key)
        outer.update(inner.digest())
        return bytes(outer.digest()[:_ID_TAG_BYTES])

    def client_tag(self, address: bytes, agent: bytes) -> bytes:
        """Return the tag of a client: packed address and user agent, which is empty for native clients."""
        data = _CLIENT + address + sha256(agent).digest()
        return hmac.digest(self._key, data, "sha256")[:_CLIENT_TAG_BYTES]

    def net_tag(self, address: bytes) -> bytes:
        """Return the tag of the network that a packed address is in."""
        return hmac.digest(self._key, _NET + network_of(address), "sha256")[:_NET_TAG_BYTES]


class DayKeys:
    """The tags of each day that is asked for; the last few days are kept."""

    def __init__(self, month_key: Callable[[str], bytes]) -> None:
        """`month_key("2026-11")` gives KEY_BYTES bytes; it may raise OSError, and is asked again then."""
        self._month_key = month_key
        self._days: dict[int, DayTags] = {}

    def of(self, day: int) -> DayTags:
        """Return the tags of a day.  Raises OSError when the key of its month cannot be had."""
        found = self._days.get(day)
        if found is None:
            found = DayTags(self._month_key(day_name(day)[:7]), day)
            self._days[day] = found
            while len(self._days) > _KEPT_DAYS:
                del self._days[next(iter(self._days))]
        return found
