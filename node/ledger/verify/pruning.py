"""V5, of bodies that are gone: the log has said so, late enough and of closed days; else they are missing."""

from node.ledger.count import DAY_US
from node.ledger.day import day_at, start_of
from node.ledger.leaf import KEEP_DAYS, KEEP_DAYS_RULE, CountPolicy, Day, Pruning
from node.ledger.tags import day_name
from node.ledger.tiles import ENTRIES, TILE_WIDTH, decode_entries, tile_at
from node.ledger.verify.checks import Check
from node.ledger.verify.files import EvidenceFiles, Unreadable
from node.ledger.verify.findings import Findings
from node.ledger.verify.lines import read_leaf
from node.ledger.verify.period import day_number

_MARK = b'"k":"prn"'


class PruningRules:
    """Judges the leaves that say so, and knows of which days bodies may be gone."""

    def __init__(self, files: EvidenceFiles, size: int, findings: Findings) -> None:
        """`size` is that of the judged head."""
        self._files = files
        self._size = size
        self._findings = findings
        self._policies: list[CountPolicy] = []
        self._closed = -1
        self._found: list[tuple[int, Pruning]] | None = None

    def policy(self, leaf: CountPolicy) -> None:
        """Take a policy."""
        self._policies.append(leaf)

    def day(self, leaf: Day) -> None:
        """Take the leaf that closes a day."""
        self._closed = max(self._closed, day_number(leaf.day) or 0)

    def pruning(self, index: int, leaf: Pruning) -> None:
        """Take the leaf that says that bodies go."""
        until, kept = day_number(leaf.until), self._kept_under(leaf)
        if until is None or kept is None:
            text = f"bodies are pruned until {leaf.until}, under policy {leaf.policy}, which was not in force"
        elif leaf.time < start_of(until + 1) + kept * DAY_US:
            text = f"bodies of {leaf.until} are pruned sooner than after the {kept} days of policy {leaf.policy}"
        elif until > self._closed:
            text = f"bodies of {leaf.until} are pruned, and it is not closed"
        else:
            return
        self._findings.fail(Check.V5_PRUNED, text, leaf=index)

    def is_told(self, day: int) -> bool:
        """True when the log says that the bodies of a day are gone; looked up when the first of them is missed."""
        return any(day <= (day_number(leaf.until) or -1) for _, leaf in self._all())

    @property
    def text(self) -> str:
        """What is said of bodies that are gone."""
        _, last = max(self._all(), key=lambda each: each[1].until)
        when = day_name(day_at(last.time))
        return (
            f"not checkable, pruned on {when} under policy {last.policy}: bodies until {last.until}"
        )

    def _kept_under(self, leaf: Pruning) -> int | None:
        """Return for how many days the policy that a leaf names has records kept; None: another was in force then."""
        begun = [each for each in self._policies if each.since <= leaf.time] or self._policies[:1]
        newest = sorted(begun, key=lambda each: each.since)[-1:]
        kept = [
            each.rules.get(KEEP_DAYS_RULE, KEEP_DAYS)
            for each in newest
            if each.number == leaf.policy
        ]
        return kept[0] if kept else None

    def _all(self) -> list[tuple[int, Pruning]]:
        """All such leaves, ahead of the one pass in which everything is judged."""
        if self._found is None:
            self._found = []
            for number in range(-(-self._size // TILE_WIDTH)):
                tile = tile_at(0, number, self._size)._replace(level=ENTRIES)
                try:
                    lines = decode_entries(self._files.tile(tile))[: tile.width]
                    marked = [
                        (at, read_leaf(line)) for at, line in enumerate(lines) if _MARK in line
                    ]
                except (Unreadable, ValueError):  # LeafError is one; V2 tells both
                    continue
                first = number * TILE_WIDTH
                self._found += [
                    (first + at, leaf) for at, leaf in marked if isinstance(leaf, Pruning)
                ]
        return self._found
