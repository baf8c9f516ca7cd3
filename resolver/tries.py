"""Tries: how many wrong answers an identity may give from one address before no more are taken for a while.

Pure: time comes in, in seconds of any clock that does not go back.  One object a worker, so N workers take N times as
many.  Memory is bounded: what was wrong longest ago is forgotten first, and whoever wants to push his own wrong tries
out has to make MAX_ENTRIES others.
"""

from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from math import ceil

WRONG_TRIES = 10
WINDOW_SECONDS = 60.0  # in which they were made
REFUSED_SECONDS = 60.0  # after the last of them
MAX_ENTRIES = 10_000
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
        count = self._counts.get((identity, source_of(address)))
        return max(0, ceil(count.refused_until - now)) if count else 0

    def wrong(self, identity: bytes, address: str, now: float) -> None:
        """Count a wrong try; the last one that is allowed begins the refusal."""
        key = (identity, source_of(address))
        count = self._counts.pop(key, None)
        if count is None or now - count.since > WINDOW_SECONDS:
            count = _Count(now)
        count.wrong += 1
        if count.wrong >= WRONG_TRIES:
            count = _Count(now, refused_until=now + REFUSED_SECONDS)
        self._counts[key] = count  # at the end: the newest
        if len(self._counts) > self._max_entries:
            del self._counts[next(iter(self._counts))]

    def right(self, identity: bytes, address: str) -> None:
        """Forget the wrong tries before a right one."""
        self._counts.pop((identity, source_of(address)), None)


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
    return str(ip_network((int(parsed), _IPV6_SITE_BITS), strict=False))
