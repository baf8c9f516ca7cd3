"""Tries: how many wrong answers an identity may give from one address before no more are taken for a while.

An address has a limit of its own, over all identities, which bounds the work and the lines of the log that it costs;
this machine has none, since everybody behind a proxy here seems to be this machine.

Pure: time comes in, in seconds of any clock that does not go back.  One object a worker, so N workers take N times as
many.  Memory is bounded: what was wrong longest ago is forgotten first.
"""

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address, ip_network
from math import ceil

WRONG_TRIES = 10
ADDRESS_TRIES = 300  # of one address, over all identities
WINDOW_SECONDS = 60.0  # in which they were made
REFUSED_SECONDS = 60.0  # after the last of them
MAX_ENTRIES = 10_000
_ANYBODY = b""  # no canonical key
_IPV6_SITE_BITS = 64  # what one customer is given: one address, for us


@dataclass(slots=True)
class _Count:
    since: float
    wrong: int = 0
    refused_until: float = 0.0


class Tries:
    """Wrong tries by identity and address."""

    def __init__(self, *, max_entries: int = MAX_ENTRIES) -> None:
        self._counts: dict[tuple[bytes, str], _Count] = {}
        self._max_entries = max_entries

    def __len__(self) -> int:
        return len(self._counts)

    def refused_seconds(self, identity: bytes, address: str, now: float) -> int:
        """Return for how many seconds more nothing is taken from this identity at this address; 0: try."""
        source = source_of(address)
        counts = [self._counts.get((each, source)) for each in (identity, _ANYBODY)]
        return max(ceil(count.refused_until - now) if count else 0 for count in (*counts, None))

    def wrong(self, identity: bytes, address: str, now: float) -> None:
        """Count a wrong try; the last one that is allowed begins the refusal."""
        source = source_of(address)
        self._count((identity, source), WRONG_TRIES, now)
        if not is_loopback(source):
            self._count((_ANYBODY, source), ADDRESS_TRIES, now)
        while len(self._counts) > self._max_entries:
            del self._counts[next(iter(self._counts))]

    def right(self, identity: bytes, address: str) -> None:
        """Forget the wrong tries before a right one."""
        self._counts.pop((identity, source_of(address)), None)

    def _count(self, key: tuple[bytes, str], allowed: int, now: float) -> None:
        count = self._counts.pop(key, None)
        if count is None or now - count.since > WINDOW_SECONDS:
            count = _Count(now)
        count.wrong += 1
        if count.wrong >= allowed:
            count = _Count(now, refused_until=now + REFUSED_SECONDS)
        self._counts[key] = count  # at the end: the newest


@lru_cache(maxsize=MAX_ENTRIES)
def is_loopback(host: str) -> bool:
    """True for an address of this machine; also as IPv6 writes those of IPv4."""
    try:
        address = ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


@lru_cache(maxsize=MAX_ENTRIES)
def source_of(address: str) -> str:
    """Return who is behind an address: itself, and for IPv6 its /64."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    if parsed.is_loopback:
        return address
    return str(ip_network((int(parsed), _IPV6_SITE_BITS), strict=False))
