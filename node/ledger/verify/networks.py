"""Who is in a network, told from tags: with the month's key, the tags of a network's callers can be made again.

A network as wide as /24 (/48) or wider is told by its network tags; a narrower one by the client tags of its addresses,
for each user agent that the dictionary has, and none: of others nothing can be said.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import islice

from node.ledger.tags import DayTags, day_name

MAX_TAGS = 65_536  # of the networks of a day; beyond that a tag says too little
_WIDTH = {4: 24, 6: 48}

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class NetworkTags:
    """The tags that callers from some networks have on a day."""

    networks: frozenset[int]
    clients: frozenset[int]
    is_whole: bool  # False: there are more than can be told apart


def parse_networks(texts: Iterable[str]) -> list[Network]:
    """Return the networks that can be read; a leaf may say anything."""
    found = []
    for text in texts:
        try:
            found.append(ip_network(text, strict=False))
        except ValueError:
            continue
    return found


class MonthTags:
    """Tags under the month keys that the auditor has, `2026-11` -> key."""

    def __init__(self, keys: dict[str, bytes]) -> None:
        self._keys = keys

    def of(self, day: int) -> DayTags | None:
        """Return the tags of a day, None without its month's key."""
        key = self._keys.get(day_name(day)[:7])
        return None if key is None else DayTags(key, day)


def tags_of(among: Iterable[Network], agents: Iterable[bytes], tags: DayTags) -> NetworkTags:
    """Return the tags of the callers from these networks."""
    wide: set[int] = set()
    narrow: set[int] = set()
    is_whole = True
    for each in among:
        if each.prefixlen <= _WIDTH[each.version]:
            found = list(islice(_wide(each, tags), MAX_TAGS + 1))
            wide.update(found)
        else:
            found = list(islice(_narrow(each, agents, tags), MAX_TAGS + 1))
            narrow.update(found)
        is_whole = is_whole and len(found) <= MAX_TAGS
    return NetworkTags(frozenset(wide), frozenset(narrow), is_whole)


def _wide(network: Network, tags: DayTags) -> Iterator[int]:
    width = _WIDTH[network.version]
    for each in network.subnets(new_prefix=width) if network.prefixlen < width else (network,):
        yield int.from_bytes(tags.net_tag(each.network_address.packed), "little")


def _narrow(network: Network, agents: Iterable[bytes], tags: DayTags) -> Iterator[int]:
    known = (b"", *agents)
    for address in network:
        for agent in known:
            yield int.from_bytes(tags.client_tag(address.packed, agent), "little")
