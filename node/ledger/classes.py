"""The class of an answer, decided when its question comes in, by rules that a policy leaf has announced.

In this order: an open campaign (its listener, its token or its networks), the node's own networks, a robot by its user
agent, production.  What a caller can say, a token or a user agent, only ever takes it out of production; what could
bring it in, an address that somebody else claims for it, is believed from trusted proxies alone (default: none).

The rate rule: of one network (/24, /48), in one worker and one clock minute, so many answers are production; those
after them are suspect.  It can be checked from the records alone.  A worker watches MAX_NETWORKS networks a minute.

Whatever changes does so at the beginning of a minute, so that the class of a record follows from its time.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import NamedTuple, Self

from node.ledger.record import Class
from node.ledger.tags import MINUTE_NS, packed_address

MAX_NETWORKS = 65_536  # that the rate rule watches at once, 100 bytes each
MAX_AGENT_BYTES = 512  # of a user agent that are looked at
MAX_PROXIES = 16  # of a chain that are followed
SUSPECT_FROM = 30_000  # answers to one network in one minute: 500 a second

Network = IPv4Network | IPv6Network

_LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Return networks from their texts.  Raises ValueError."""
    return tuple(ip_network(text, strict=False) for text in texts)


def contains(among: Iterable[Network], address: bytes) -> bool:
    """True when a packed address is in one of the networks."""
    if not address:
        return False
    parsed = ip_address(address)
    return any(parsed.version == each.version and parsed in each for each in among)


def client_address(peer: str, forwarded: str, trusted: tuple[Network, ...]) -> str:
    """Return the address of who asks: the peer's, or what trusted proxies say of it (`X-Forwarded-For`).

    From the right, one entry for each trusted proxy, up to the first address that is not one of them; what is no
    address ends the chain.
    """
    if not trusted or not forwarded:
        return peer
    found = peer
    for entry in reversed(forwarded.split(",")[-MAX_PROXIES:]):
        told = packed_address(entry.strip())
        if not contains(trusted, packed_address(found)) or not told:
            break
        found = str(ip_address(told))
    return found


@dataclass(frozen=True, slots=True)
class Robots:
    """A list of words; a user agent that has one of them, in whatever case, is a robot's."""

    version: int = 0
    words: tuple[bytes, ...] = ()
    digest: str = ""

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """Read `{"version": 1, "words": [...]}`; the digest is the SHA-256 of the text.  Raises ValueError."""
        read = json.loads(text)
        words = read.get("words") if isinstance(read, Mapping) else None
        if not isinstance(words, list) or not isinstance(read.get("version"), int):
            raise ValueError('a list of robots is {"version": number, "words": [text, …]}')
        if not all(isinstance(word, str) and word for word in words):
            raise ValueError("each word of a list of robots is a text that is not empty")
        packed = tuple(word.lower().encode() for word in words)
        return cls(read["version"], packed, sha256(text).hexdigest())

    def lists(self, agent: bytes) -> bool:
        """True for the user agent of a robot."""
        lower = agent[:MAX_AGENT_BYTES].lower()
        return any(word in lower for word in self.words)


def robots_path(digest: str) -> str:
    """Return where evidence has the list of robots with this digest."""
    return f"policy/robots-{digest}.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """An announced load test: what comes by its listener, with its token or from its networks is a test.

    It covers each minute that it touches.  `token_sha256` is empty when it has no token, `listener` when it has none.
    """

    no: int
    from_us: int
    until_us: int
    listener: str = ""
    token_sha256: str = ""
    networks: tuple[Network, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.no < 2**16:
            raise ValueError("campaigns are numbered from 1 to 65535")

    def covers(self, minute_ns: int) -> bool:
        """True when it is open in the minute that begins then."""
        return self.from_us * 1_000 < minute_ns + MINUTE_NS and self.until_us * 1_000 > minute_ns

    def takes(self, who: "Identity") -> bool:
        """True when this caller is part of it."""
        if self.listener and who.listener == self.listener:
            return True
        if self.token_sha256 and who.token and _digest(who.token) == self.token_sha256:
            return True
        return contains(self.networks, packed_address(who.address))


class Identity(NamedTuple):
    """All that is known of a caller when its question comes in.

    `agent` is its user agent, `listener` the address it came to, as the settings spell it, `token` what it showed as
    that of a campaign; empty when there is none.
    """

    address: str
    agent: bytes = b""
    listener: str = ""
    token: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The rules of one policy leaf, with the campaigns that are announced; `from_us` is when it comes into force."""

    no: int
    from_us: int = 0
    own_networks: tuple[Network, ...] = ()
    count_loopback: bool = False
    robots: Robots = field(default_factory=Robots)
    campaigns: tuple[Campaign, ...] = ()
    suspect_from: int = SUSPECT_FROM

    def classify(self, who: Identity, minute_ns: int) -> tuple[Class, int]:
        """Return the class of what is answered to a caller in this minute, and its campaign, 0 for none."""
        for campaign in self.campaigns:
            if campaign.covers(minute_ns) and campaign.takes(who):
                return Class.TEST, campaign.no
        if self._is_own(packed_address(who.address)):
            return Class.SELF, 0
        return (Class.ROBOT if self.robots.lists(who.agent) else Class.PRODUCTION), 0

    def _is_own(self, address: bytes) -> bool:
        """What has no address came over a socket of this machine."""
        is_here = not address or contains(_LOOPBACK, address)
        return (is_here and not self.count_loopback) or contains(self.own_networks, address)


def policy_at(policies: Iterable[Policy], minute_ns: int) -> Policy:
    """Return the policy in force in a minute: the newest that began by its start, else the oldest there is."""
    by_age = sorted(policies, key=lambda each: each.from_us)
    return next((each for each in reversed(by_age) if each.from_us * 1_000 <= minute_ns), by_age[0])


def _digest(token: bytes) -> str:
    return sha256(token).hexdigest()
