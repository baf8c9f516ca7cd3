"""Announced: what the log has told beforehand and workers go by: policies, campaigns, numbers of prefixes and agents.

The file `announced` has the lines of those leaves, in their order.  The keeper's role writes it, anew each time, when
the leaves are in the log; workers read it at their start and when it has changed.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from node.ledger.agents import MAX_AGENTS, row_of
from node.ledger.classes import MAX_AGENT_BYTES, Campaign, Policy, Robots, networks
from node.ledger.counting import Numbers
from node.ledger.durable import read_if_there, write_durably
from node.ledger.leaf import Campaign as CampaignLeaf
from node.ledger.leaf import CountPolicy, Dictionary, Leaf, parse
from node.ledger.record import OTHER_AGENT, PENDING_PREFIX, UNKNOWN_PREFIX
from resolver.identifier import IdentifierError
from resolver.recorder import Prefixes
from resolver.schemes import parse_handle

FILE = "announced"
KINDS = (CountPolicy.kind, CampaignLeaf.kind, Dictionary.kind)
SUSPECT_RULE = "suspect_from_per_minute"  # the name of the rate rule in a policy leaf
MAX_ROWS_KEPT = 4_096  # of user agents that a worker knows the row of, 600 bytes each


@dataclass(frozen=True, slots=True)
class Announced:
    """What was announced until now."""

    policies: tuple[Policy, ...] = ()
    prefixes: dict[bytes, int] = field(default_factory=dict)
    agents: dict[bytes, int] = field(default_factory=dict)

    @classmethod
    def of(cls, leaves: Sequence[Leaf], robots: Robots) -> "Announced":
        """Read leaves; `robots` is the list that this version has, which its newest policy names by its digest.

        Raises ValueError.
        """
        told = [leaf for leaf in leaves if isinstance(leaf, Dictionary)]
        campaigns = _campaigns(leaves)
        return cls(
            tuple(
                _policy(leaf, robots, campaigns) for leaf in leaves if isinstance(leaf, CountPolicy)
            ),
            {name.encode(): no for leaf in told for no, _, name in leaf.prefixes},
            {text.encode(): no for leaf in told for no, text in leaf.agents},
        )


def write_announced(directory: Path, lines: Iterable[bytes]) -> None:
    """Write the file below the directory of the ledger.  Raises OSError."""
    data = b"".join(line + b"\n" for line in lines)
    if read_if_there(directory / FILE) != data:
        write_durably(directory / FILE, data)


class AnnouncedFile:
    """The file, for who reads it again and again: each line is parsed once."""

    def __init__(self, directory: Path, robots: Robots) -> None:
        """`directory` is that of the ledger; of `robots` see `Announced.of`."""
        self._path = directory / FILE
        self._robots = robots
        self._leaves: dict[bytes, Leaf] = {}

    def read(self) -> Announced:
        """Return what is announced; nothing while there is no file.  Raises OSError, LeafError, ValueError."""
        lines = (read_if_there(self._path) or b"").splitlines()
        before = self._leaves
        self._leaves = {line: before[line] if line in before else parse(line) for line in lines}
        return Announced.of(tuple(self._leaves.values()), self._robots)


def read_announced(directory: Path, robots: Robots) -> Announced:
    """Read the file once; see `AnnouncedFile`."""
    return AnnouncedFile(directory, robots).read()


class AnnouncedNumbers(Numbers):
    """The dictionary, for a worker.  `is_homed` says of a canonical prefix whether this node answers for it."""

    def __init__(
        self,
        announced: Announced,
        is_homed: Callable[[bytes], bool],
        agent_met: Callable[[bytes], None] | None = None,
    ) -> None:
        """`agent_met` is told the rows of user agents that have no number yet, once for each caller and minute."""
        self.announced = announced  # replaced when there is more
        self._is_homed = is_homed
        self._agent_met = agent_met
        self._rows: dict[bytes, bytes] = {}

    def prefix_no(self, key: bytes, prefixes: Prefixes = ()) -> int:
        """Return the row of the most specific prefix that has one; see `Numbers`."""
        try:
            names = prefixes or parse_handle(key).prefixes
        except IdentifierError:
            return UNKNOWN_PREFIX
        numbers = self.announced.prefixes
        for name in names:
            if name in numbers:
                return numbers[name]
            if self._is_homed(name):
                return PENDING_PREFIX
        return UNKNOWN_PREFIX

    def agent_no(self, agent: bytes) -> int:
        """See `Numbers`."""
        if not agent:
            return OTHER_AGENT
        row = self._row(agent[:MAX_AGENT_BYTES])
        number = self.announced.agents.get(row, OTHER_AGENT)
        is_wanted = number == OTHER_AGENT and row and len(self.announced.agents) < MAX_AGENTS
        if is_wanted and self._agent_met is not None:
            self._agent_met(row)
        return number

    def _row(self, agent: bytes) -> bytes:
        row = self._rows.get(agent)
        if row is None:
            if len(self._rows) >= MAX_ROWS_KEPT:
                self._rows.clear()
            row = self._rows[agent] = row_of(agent)
        return row


def _campaigns(leaves: Iterable[Leaf]) -> tuple[Campaign, ...]:
    found: dict[int, Campaign] = {}
    for leaf in leaves:
        if isinstance(leaf, CampaignLeaf):
            before = found.get(leaf.number)
            is_open = leaf.state == "open" or before is None
            found[leaf.number] = Campaign(
                no=leaf.number,
                from_us=leaf.time if is_open or before is None else before.from_us,
                until_us=leaf.until
                if before is None or is_open
                else min(leaf.time, before.until_us),
                listener=leaf.listener,
                token_sha256=leaf.token,
                networks=networks(leaf.networks),
            )
    return tuple(found.values())


def _policy(leaf: CountPolicy, robots: Robots, campaigns: tuple[Campaign, ...]) -> Policy:
    return Policy(
        no=leaf.number,
        from_us=leaf.since,
        own_networks=networks(leaf.networks),
        count_loopback=leaf.count_loopback,
        robots=robots,
        campaigns=campaigns,
        suspect_from=leaf.rules[SUSPECT_RULE],
    )
