"""The rules of counting as a policy leaf states them: in words, in numbers, and the list of results.

They are in force from a time that is later than the leaf, so nobody can choose them when the figures are known.
"""

from collections.abc import Iterable

from node.ledger.classes import SUSPECT_FROM, Network, Robots
from node.ledger.count import WINDOW_US
from node.ledger.leaf import KEEP_DAYS, KEEP_DAYS_RULE, CountPolicy
from node.ledger.tags import SECOND_NS, ZONE_NS
from resolver.wire.constants import ResponseCode

TEXT = (
    "One record is one answered request; class, protocol and result are fixed when it is answered. "
    "raw: production, success, look-ups of identifiers; without repeats (same client, identifier and nonce at most "
    "30 s after the last such one). filtered: raw, and no other look-up of the same identifier by the same client in "
    "the 30 s before. unique: distinct identifiers, and clients, in one day. Look-ups of prefixes, failures, announced "
    "tests, the node's own networks, robots and suspects are counted apart, and in none of these. Days and months are "
    "those of Asia/Shanghai (UTC+8), half-open; windows end at midnight. A caller is a robot when its user agent has "
    "a word of the list, suspect beyond the rate below in one worker, network and minute, a test by the listener, "
    "token or network of an announced campaign."
)

RULES = {
    "window_s": WINDOW_US // 1_000_000,
    "nonce_s": WINDOW_US // 1_000_000,
    "suspect_from_per_minute": SUSPECT_FROM,
    "zone_s": ZONE_NS // SECOND_NS,
    KEEP_DAYS_RULE: KEEP_DAYS,
}

RESULTS = {str(code.value): code.name.lower() for code in ResponseCode if code}
"""The Handle response code of each answer, for HTTP too; docs/reference/codes.md has the statuses beside them."""


def policy_leaf(
    number: int, since: int, networks: Iterable[Network], robots: Robots, *, count_loopback: bool
) -> CountPolicy:
    """Return the leaf of a policy that is in force from a time, µs, which must be later than now."""
    return CountPolicy(
        number=number,
        since=since,
        text=TEXT,
        networks=tuple(map(str, networks)),
        count_loopback=count_loopback,
        robots={"sha256": robots.digest, "version": str(robots.version)},
        rules=RULES,
        results=RESULTS,
    )
