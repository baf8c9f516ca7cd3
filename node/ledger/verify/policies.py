"""V7: the class of each record, as far as it follows from what the log had announced before.

Campaigns and policies change at the beginning of a minute, so a record's time says which were in force.
"""

from collections.abc import Iterable
from hashlib import sha256
from itertools import compress
from operator import or_
from typing import NamedTuple

from node.ledger.leaf import Block, Campaign, CountPolicy, Dictionary, MonthKey
from node.ledger.record import OTHER_AGENT, PENDING_PREFIX, UNKNOWN_PREFIX, Class
from node.ledger.tags import day_name, day_of
from node.ledger.verify.bodies import Records
from node.ledger.verify.checks import Check
from node.ledger.verify.findings import Findings, Status
from node.ledger.verify.heads import Heads
from node.ledger.verify.networks import MonthTags, Network, NetworkTags, parse_networks, tags_of
from node.ledger.verify.rates import Rates
from node.ledger.verify.robots import RobotLists
from node.ledger.verify.times import TOLERANCE_US

MINUTE_US = 60_000_000
RATE_RULE = "suspect_from_per_minute"
_LOOPBACK = ("127.0.0.0/24", "::1/128")
_TEST, _PRODUCTION = int(Class.TEST), int(Class.PRODUCTION)


class _Policy(NamedTuple):
    number: int
    since: int
    networks: tuple[Network, ...]
    robots: str
    rate: int


class _Campaign(NamedTuple):
    number: int
    since: int
    until: int
    networks: tuple[Network, ...]

    def covers(self, time: int) -> bool:
        """True when it is open in the minute of this time."""
        minute = time - time % MINUTE_US
        return self.since < minute + MINUTE_US and self.until > minute


class PolicyRules:
    """Judges policies, campaigns and keys as leaves, and the classes of records."""

    def __init__(
        self, heads: Heads, keys: Iterable[bytes], robots: RobotLists, findings: Findings
    ) -> None:
        """`keys` are the month keys of the auditor."""
        self._heads = heads
        self._findings = findings
        self._given = {sha256(key).hexdigest(): key for key in keys}
        self._robots = robots
        self._policies: list[_Policy] = []
        self._campaigns: dict[int, _Campaign] = {}
        self._months: dict[str, str] = {}
        self._agents: dict[int, bytes] = {}
        self._prefixes = {UNKNOWN_PREFIX, PENDING_PREFIX}
        self._tags: dict[tuple[int, str, int, int], NetworkTags | None] = {}
        self._rates = Rates()
        self._notes: set[str] = set()
        self._looked = False

    def policy(self, index: int, leaf: CountPolicy) -> None:
        """Take a policy."""
        earliest = self._heads.bounds(index).earliest
        if earliest is not None and leaf.since < earliest - TOLERANCE_US:
            self._findings.fail(
                Check.V7_BACKDATED,
                f"policy {leaf.number} is in force from before it was in the log",
                leaf=index,
            )
        if any(leaf.number <= each.number for each in self._policies):
            self._findings.fail(
                Check.V7_POLICY, f"policy {leaf.number} is given out twice, or late", leaf=index
            )
        own = (*leaf.networks, *(() if leaf.count_loopback else _LOOPBACK))
        robots = leaf.robots.get("sha256", "")
        self._robots.named(index, robots)
        rate = leaf.rules.get(RATE_RULE, 0)
        networks = tuple(parse_networks(own))
        self._policies.append(_Policy(leaf.number, leaf.since, networks, robots, rate))
        self._policies.sort(key=lambda each: each.since)

    def campaign(self, index: int, leaf: Campaign) -> None:
        """Take the opening or the end of a campaign."""
        before = self._campaigns.get(leaf.number)
        networks = tuple(parse_networks(leaf.networks))
        if leaf.state == "close" and before is not None:
            until = min(leaf.time, before.until)
            self._campaigns[leaf.number] = before._replace(until=until)
            return
        earliest = self._heads.bounds(index).earliest
        if before is not None or (earliest is not None and leaf.time < earliest - TOLERANCE_US):
            self._findings.fail(
                Check.V7_ANNOUNCED,
                f"campaign {leaf.number} began before it was in the log, or is announced twice",
                leaf=index,
            )
        self._campaigns[leaf.number] = _Campaign(leaf.number, leaf.time, leaf.until, networks)

    def month_key(self, index: int, leaf: MonthKey) -> None:
        """Take the digest of a month's key."""
        if self._months.setdefault(leaf.month, leaf.sha256) != leaf.sha256:
            self._findings.fail(Check.V7_KEY, f"{leaf.month} has a second key", leaf=index)

    def dictionary(self, leaf: Dictionary) -> None:
        """Take rows of the dictionaries."""
        self._prefixes.update(number for number, _, _ in leaf.prefixes)
        self._agents.update((number, text.encode()) for number, text in leaf.agents)

    def look(self, index: int, leaf: Block, records: Records) -> None:
        """Take the records of a block."""
        self._looked = True
        first, last = records.span
        name = f"block {leaf.lane}.{leaf.epoch}.{leaf.block}"
        self._check_keys(index, first, last, name)
        self._check_policies(index, leaf, records, name)
        self._check_campaigns(index, records, name)
        self._check_rows(index, records, name)
        self._check_robots(index, records, first, name)
        self._check_networks(index, records, (first, last), name)
        self._check_rate(index, leaf, records, first, name)

    def finish(self) -> None:
        """Say what was found."""
        for digest in self._given.keys() - set(self._months.values()):
            self._findings.fail(Check.V7_KEY, f"no month has the key with the digest {digest}")
        counts = f"{len(self._policies)} policies, {len(self._campaigns)} campaigns"
        if not self._looked:
            self._findings.tell("V7", f"{counts}; no record was looked at", Status.SKIP)
            return
        self._findings.tell("V7", "; ".join((counts, *sorted(self._notes))))

    def _at(self, time: int) -> _Policy | None:
        """The newest policy that began by the start of the minute, else the oldest there is."""
        minute = time - time % MINUTE_US
        found = [each for each in self._policies if each.since <= minute]
        return found[-1] if found else next(iter(self._policies), None)

    def _check_keys(self, index: int, first: int, last: int, name: str) -> None:
        for month in {day_name(day_of(time * 1_000))[:7] for time in (first, last)}:
            if month not in self._months:
                self._findings.fail(
                    Check.V7_KEY,
                    f"{name} has tags of {month}, whose key is not in the log yet",
                    leaf=index,
                )

    def _check_policies(self, index: int, leaf: Block, records: Records, name: str) -> None:
        first, last = records.span
        before, after = self._at(first), self._at(last)
        numbers = {kind.policy for kind in records.kinds}
        if before is not None and before is after and numbers == {before.number}:
            return
        pairs = zip(records.times, records.policies, strict=True)
        for place, (time, number) in enumerate(pairs):
            policy = self._at(time)
            if policy is None or policy.number != number:
                record = leaf.sequence[0] + place
                self._findings.fail(
                    Check.V7_POLICY,
                    f"record {record} of {name} is of policy {number}, which was not in force",
                    leaf=index,
                    record=record,
                )
                return

    def _check_campaigns(self, index: int, records: Records, name: str) -> None:
        first, last = records.span
        for kind in records.kinds:
            campaign = self._campaigns.get(kind.campaign)
            if not kind.campaign and kind.class_ != _TEST:
                continue
            is_known = campaign is not None and kind.class_ == _TEST
            if not is_known or not self._covers(campaign, kind.campaign, records, (first, last)):
                self._findings.fail(
                    Check.V7_CAMPAIGN,
                    f"{name} has records of class {kind.class_} and campaign {kind.campaign}, which is not open then",
                    leaf=index,
                )

    def _covers(
        self, campaign: _Campaign | None, number: int, records: Records, span: tuple[int, int]
    ) -> bool:
        if campaign is None:
            return False
        if campaign.covers(span[0]) and campaign.covers(span[1]):
            return True
        pairs = zip(records.times, records.campaigns, strict=True)
        return all(campaign.covers(time) for time, found in pairs if found == number)

    def _check_rows(self, index: int, records: Records, name: str) -> None:
        agents = {kind.agent for kind in records.kinds} - self._agents.keys() - {OTHER_AGENT}
        prefixes = records.by_prefix.keys() - self._prefixes
        if agents or prefixes:
            rows = ", ".join(map(str, sorted(agents | prefixes)[:5]))
            self._findings.fail(
                Check.V7_ROW, f"{name} has numbers that no leaf explains: {rows}", leaf=index
            )

    def _check_robots(self, index: int, records: Records, first: int, name: str) -> None:
        policy = self._at(first)
        if policy is None or not self._agents:
            return
        robots = self._robots.get(policy.robots)
        if robots is None:
            self._notes.add("the list of robots is not here")
            return
        for kind in records.kinds:
            if kind.class_ == _PRODUCTION and robots.lists(self._agents.get(kind.agent, b"")):
                self._findings.fail(
                    Check.V7_ROBOT, f"{name} counts a robot (user agent {kind.agent})", leaf=index
                )

    def _check_networks(
        self, index: int, records: Records, span: tuple[int, int], name: str
    ) -> None:
        if not self._given:
            self._notes.add("networks not looked at: no --month-key")
            return
        policy = self._at(span[0])
        if policy is not None:
            self._check_tags(index, records, span, ("own", policy.number, policy.networks), name)
        for each in self._campaigns.values():
            if each.networks and each.since <= span[1] and each.until > span[0] - MINUTE_US:
                self._check_tags(
                    index, records, span, ("campaign", each.number, each.networks), name
                )

    def _check_tags(
        self,
        index: int,
        records: Records,
        span: tuple[int, int],
        whose: tuple[str, int, tuple[Network, ...]],
        name: str,
    ) -> None:
        kind, number, networks = whose
        for day in {day_of(time * 1_000) for time in span}:
            tags = self._network_tags(day, kind, number, networks)
            if tags is None or not self._are_among(tags, records, day, number * (kind != "own")):
                continue
            check = Check.V7_OWN if kind == "own" else Check.V7_TESTED
            what = "own networks" if kind == "own" else f"networks of campaign {number}"
            self._findings.fail(
                check, f"{name} counts a caller from the {what} as production", leaf=index
            )

    def _network_tags(
        self, day: int, kind: str, number: int, networks: tuple[Network, ...]
    ) -> NetworkTags | None:
        key = (day, kind, number, len(self._agents))
        if key not in self._tags:
            keys = {
                month: self._given[digest]
                for month, digest in self._months.items()
                if digest in self._given
            }
            tags = MonthTags(keys).of(day)
            agents = self._agents.values()
            self._tags[key] = None if tags is None else tags_of(networks, agents, tags)
            if len(self._tags) > 256:
                self._tags = {key: self._tags[key]}
        found = self._tags[key]
        if found is not None and not found.is_whole:
            self._notes.add("a network is too wide to be told by its tags")
        return found

    def _are_among(self, tags: NetworkTags, records: Records, day: int, campaign: int) -> bool:
        """True when a record in production on this day, inside the campaign's time, has one of these tags."""
        networks = tags.networks & records.by_network.keys()
        clients = tags.clients & records.by_client.keys()
        if not networks and not clients:
            return False
        open_ = self._campaigns.get(campaign)
        among = map(
            or_,
            map(networks.__contains__, records.networks),
            map(clients.__contains__, records.clients),
        )
        return any(
            class_ == _PRODUCTION
            and day_of(time * 1_000) == day
            and (open_ is None or open_.covers(time))
            for class_, time in compress(zip(records.classes, records.times, strict=True), among)
        )

    def _check_rate(self, index: int, leaf: Block, records: Records, first: int, name: str) -> None:
        policy = self._at(first)
        if policy is not None and policy.rate and self._rates.is_over(leaf, records, policy.rate):
            self._findings.fail(
                Check.V7_RATE,
                f"{name}: one network has more than {policy.rate} in production in a minute",
                leaf=index,
            )
