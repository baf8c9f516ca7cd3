"""The announcer: what the log has to say before it is used: beginning, policies, month keys, rows of its dictionary.

Laws.  Everything here can be asked for again and again and is said once.  A policy is in force from a time that is
later than its leaf (the first, from the beginning of the log).  The key of a month is in the log before it begins, if
the node runs then.  Workers are told when the leaves are in the log, never before.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from typing import NamedTuple, Self

from node.ledger.agents import AgentRows, take_notes
from node.ledger.announced import KINDS, write_announced
from node.ledger.classes import Network, Robots
from node.ledger.leaf import (
    CountPolicy,
    Dictionary,
    Genesis,
    Leaf,
    MonthKey,
    parse,
)
from node.ledger.log import Log
from node.ledger.logfiles import KEYS
from node.ledger.monthkeys import MonthKeys
from node.ledger.rules import policy_leaf
from node.ledger.tags import MINUTE_NS, day_name, day_of
from node.store.database import store_errors
from node.store.ledger import lines_of_kind, prefix_mark, prefix_names
from resolver.identifier import Scheme

POLICY_AHEAD_US = 120_000_000  # from the leaf of a policy to its beginning
KEY_AHEAD_NS = 3_600 * 10**9  # from the leaf of a month's key to the month
PREFIXES_IN_LEAF = 32  # at 100 bytes each


class Terms(NamedTuple):
    """How this node counts: what its settings say."""

    node: str  # its name
    quorum: str  # the tlog-policy text, empty when there are no witnesses
    own_networks: tuple[Network, ...]
    count_loopback: bool
    robots: Robots


class Announcer:
    """Says what is due, at the beginning and once a second; one task uses it."""

    def __init__(self, ledger: Log, terms: Terms) -> None:
        """Use `open`."""
        self._log = ledger
        self._terms = terms
        self._directory = ledger.place.files.directory
        self._keys = MonthKeys(self._directory / KEYS)
        self._lines: list[bytes] = []  # what workers are told
        self._policies: list[CountPolicy] = []
        self._months: set[str] = set()
        self._prefixes: set[str] = set()
        self._next_prefix = 1
        self._agents = AgentRows()
        self._mark = (-1, 0)  # of the prefixes that were looked at

    @classmethod
    async def open(cls, ledger: Log, terms: Terms) -> Self:
        """Read what was said.  Raises StoreUnavailable, StoreError, OSError."""
        opened, place = cls(ledger, terms), ledger.place
        with store_errors():
            for kind in (*KINDS, MonthKey.kind):
                for line in await lines_of_kind(place.connection, place.origin, kind):
                    opened._note(parse(line))
        await asyncio.to_thread(write_announced, opened._directory, opened._lines)
        return opened

    def policy_at(self, now_us: int) -> int:
        """Return the number of the policy in force, 0 before there is one."""
        return max((each.number for each in self._policies if each.since <= now_us), default=0)

    async def announce(self, now_us: int) -> int:
        """Append what is due, tell the workers, and return how many leaves that were.

        Raises OSError, LaneError, StoreUnavailable, StoreError, Disagreement.
        """
        due = [*self._beginning(now_us), *self._policy(now_us)]
        due += await asyncio.to_thread(self._month_keys, now_us)
        due += await self._numbers()
        noted = await asyncio.to_thread(take_notes, self._directory)
        due += self._agents.due(noted, now_us * 1_000 // MINUTE_NS)
        await self.say(due)
        return len(due)

    async def say(self, leaves: Sequence[Leaf]) -> int | None:
        """Append leaves, and tell the workers what is for them; return the index of the first.

        Raises as `announce`.
        """
        if not leaves:
            return None
        first = await self._log.append(leaves)
        told = len(self._lines)
        for leaf in leaves:
            self._note(leaf)
        if len(self._lines) != told:
            await asyncio.to_thread(write_announced, self._directory, self._lines)
        return first

    def _note(self, leaf: Leaf) -> None:
        match leaf:
            case CountPolicy():
                self._policies.append(leaf)
            case MonthKey():
                self._months.add(leaf.month)
            case Dictionary():
                self._agents.told(leaf.agents)
                self._prefixes |= {name for _, _, name in leaf.prefixes}
                numbers = [number for number, _, _ in leaf.prefixes]
                self._next_prefix = max([self._next_prefix - 1, *numbers]) + 1
        if leaf.kind in KINDS:
            self._lines.append(leaf.line())

    def _beginning(self, now_us: int) -> list[Leaf]:
        place = self._log.place
        if self._log.end:
            return []
        keys = tuple(str(signer.key) for signer in place.signers)
        genesis = Genesis(
            origin=place.origin,
            node=self._terms.node,
            keys=keys,
            policy=self._terms.quorum,
            time=now_us,
        )
        return [genesis]

    def _policy(self, now_us: int) -> list[Leaf]:
        """The policy of the settings, when it is not the one that was announced last."""
        terms, before = self._terms, self._policies[-1] if self._policies else None
        policy = policy_leaf(
            1, now_us, terms.own_networks, terms.robots, count_loopback=terms.count_loopback
        )
        if before is None:
            return [policy]
        if replace(policy, number=before.number, since=before.since) == before:
            return []
        return [replace(policy, number=before.number + 1, since=now_us + POLICY_AHEAD_US)]

    def _month_keys(self, now_us: int) -> list[Leaf]:
        now_ns = now_us * 1_000
        months = {day_name(day_of(at))[:7] for at in (now_ns, now_ns + KEY_AHEAD_NS)}
        return [
            MonthKey(month=month, sha256=sha256(self._keys.key(month)).hexdigest())
            for month in sorted(months - self._months)
        ]

    async def _numbers(self) -> list[Leaf]:
        """Numbers for prefixes that have none."""
        with store_errors():
            mark = await prefix_mark(self._log.place.connection)
            if mark == self._mark:
                return []
            names = await prefix_names(self._log.place.connection)
        self._mark = mark
        fresh = [name for each in names if (name := each.decode()) not in self._prefixes]
        rows = [
            (number, _scheme_of(name), name) for number, name in enumerate(fresh, self._next_prefix)
        ]
        return [
            Dictionary(prefixes=tuple(rows[at : at + PREFIXES_IN_LEAF]))
            for at in range(0, len(rows), PREFIXES_IN_LEAF)
        ]


def _scheme_of(prefix: str) -> Scheme:
    """The scheme of a prefix: the label that it begins with, else that of handles, of which DOIs are some."""
    label, colon, _ = prefix.partition(":")
    if colon and label.lower() in list(Scheme):
        return Scheme(label.lower())
    return Scheme.DOI if prefix.startswith("10.") else Scheme.HANDLE
