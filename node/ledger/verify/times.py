"""V6: every leaf says when it was made; witnesses, whose clocks the node does not own, say when it cannot have been.

A beacon, the newest cosigned head that a block names, shows that the block was not made before that head: so nobody can
make blocks in advance and have them witnessed later.
"""

from node.ledger.leaf import Block, Epoch, Gap, Genesis, Leaf, Meters, Pruning
from node.ledger.tlog import EMPTY_ROOT
from node.ledger.verify.bodies import Records
from node.ledger.verify.checks import Check
from node.ledger.verify.findings import Findings
from node.ledger.verify.heads import SECOND_US, Heads

TOLERANCE_US = 120 * SECOND_US
MAX_BEACON_AGE_US = 960 * SECOND_US  # a silence of 15 minutes is told, within the minute after
WITNESSES_SILENT = "witnesses"  # the cause of a gap of the whole log, lane 0 epoch 0
_NO_HEAD = (0, EMPTY_ROOT)


class TimeRules:
    """Judges what leaves and records say of time."""

    def __init__(self, heads: Heads, findings: Findings) -> None:
        self._heads = heads
        self._findings = findings
        self._started = 0
        self._silent: list[tuple[int, int]] = []
        self._stale: list[tuple[int, int, int, str]] = []

    def leaf(self, index: int, leaf: Leaf) -> None:
        """Take any leaf."""
        match leaf:
            case Block():
                self._between(index, leaf.span[1], leaf.span[1], _name(leaf))
                self._beacon(index, leaf)
            case Genesis():
                self._started = leaf.time
                self._between(index, leaf.time, leaf.time, "the first leaf")
            case Meters():
                self._between(index, leaf.time, leaf.time, "a snapshot")
            case Pruning():
                self._between(index, leaf.time, leaf.time, "a pruning")
            case Gap():
                self._between(index, None, leaf.span[1], "a gap")
                if leaf.cause == WITNESSES_SILENT:
                    self._silent.append((leaf.span[0], leaf.span[1]))
                    seconds = (leaf.span[1] - leaf.span[0]) // SECOND_US
                    self._findings.disclose("V6", f"no quorum for {seconds} s", leaf=index)
            case Epoch():
                self._between(index, None, leaf.time, "an epoch")

    def look(self, index: int, leaf: Block, records: Records) -> None:
        """Take the records of a block."""
        first, last = records.span
        self._between(index, first, last, f"a record of {_name(leaf)}")

    def finish(self) -> None:
        """Say what was found."""
        for start, end, index, text in self._stale:
            if end - self._silent_until(start) > MAX_BEACON_AGE_US:
                self._findings.fail(Check.V6_STALE, text, leaf=index)
        if self._heads.has_times:
            text = f"inside the times of the witnesses ± {TOLERANCE_US // SECOND_US} s"
        else:
            text = "no witness says when anything was"
            self._findings.disclose("V6", text)
        self._findings.tell("V6", self._disclosed() or text)

    def _silent_until(self, time: int) -> int:
        """Return until when gaps, one behind the other from this time on, say that nobody cosigned."""
        for since, until in self._silent:
            if since <= time + TOLERANCE_US:
                time = max(time, until)
        return time

    def _disclosed(self) -> str:
        return "; ".join(each.text for each in self._findings.said("V6").disclosed)

    def _between(self, index: int, early: int | None, late: int, name: str) -> None:
        bounds = self._heads.bounds(index)
        if bounds.earliest is not None and early is not None:
            behind = bounds.earliest - TOLERANCE_US - early
            if behind > 0:
                self._findings.fail(
                    Check.V6_EARLY,
                    f"{name} is {(behind + TOLERANCE_US) // SECOND_US} s older than a cosigned head without it",
                    leaf=index,
                )
        if bounds.latest is not None and late > bounds.latest + TOLERANCE_US:
            self._findings.fail(
                Check.V6_LATE,
                f"{name} is {(late - bounds.latest) // SECOND_US} s younger than a cosigned head with it",
                leaf=index,
            )

    def _beacon(self, index: int, leaf: Block) -> None:
        size, root = leaf.beacon
        head = self._heads.find(size, root)
        if leaf.beacon == _NO_HEAD:
            met = self._started
        elif head is None or size > index:
            text = f"{_name(leaf)} names a head of {size} leaves that was not cosigned before it"
            self._findings.fail(Check.V6_BEACON, text, leaf=index)
            return
        else:
            met = head.met
        if self._heads.has_times and leaf.span[1] - met > MAX_BEACON_AGE_US:
            age = (leaf.span[1] - met) // SECOND_US
            text = f"the newest cosigned head that {_name(leaf)} names is {age} s older"
            self._stale.append((met, leaf.span[1], index, text))
            del self._stale[10_000:]


def _name(leaf: Block) -> str:
    return f"block {leaf.lane}.{leaf.epoch}.{leaf.block}"
