"""V8: every closed day is counted again, by the rules, from the same blocks; so are days that nobody has closed yet.

A day's blocks are let go when its leaf has come, so memory holds a day or two, however long the log is.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256

from node.ledger.count import DAY_US, CountError, Piece, crossing
from node.ledger.day import Closed, Gathered, Prefix, close_day, day_at, pieces_of, start_of
from node.ledger.leaf import Block, Day, Dictionary
from node.ledger.tags import day_name
from node.ledger.tlog import EMPTY_ROOT
from node.ledger.verify.bodies import Records
from node.ledger.verify.checks import Check
from node.ledger.verify.files import MAX_BODY_BYTES, MAX_DOCUMENT_BYTES, EvidenceFiles, Unreadable
from node.ledger.verify.findings import Findings, Status, grouped
from node.ledger.verify.period import Period, day_number

KEPT_BODIES_BYTES = 64 * 2**20  # of small bodies, so that they are not read twice
_SMALL = MAX_BODY_BYTES // 8
# Faults of bodies that keep a day from being counted, and are told already.
_WHY_UNCOUNTED = {Check.V5_MISSING, Check.V4_RECORD, Check.V6_RECORD}
_FIGURES = (
    "requests", "raw", "filtered", "identifiers", "clients", "test", "own", "robot", "suspect",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Crossing:
    """Where a threshold was crossed; no leaf when the bodies of that day were not looked at."""

    day: str
    leaf: int | None


@dataclass(slots=True)
class Counted:
    """What the days of the period come to, with those that are closed apart, and where the threshold was crossed."""

    figures: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_FIGURES, 0))
    closed: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_FIGURES, 0))
    days: int = 0
    crossed: Crossing | None = None


class DayRules:
    """Counts days, and compares them with their leaves."""

    def __init__(
        self,
        files: EvidenceFiles,
        period: Period,
        threshold: tuple[int, str],
        findings: Findings,
        is_pruned: Callable[[int], bool],
        *,
        has_bodies: bool,
    ) -> None:
        """`threshold` is a number and the figure that has to reach it, raw or filtered.

        `is_pruned` says of a day whether the log says that its bodies are gone.
        """
        self.counted = Counted()
        self._files = files
        self._period = period
        self._threshold, self._metric = threshold
        self._findings = findings
        self._has_bodies = has_bodies
        self._blocks: defaultdict[int, list[tuple[int, Block]]] = defaultdict(list)
        self._closed: dict[int, int] = {}
        self._prefixes: dict[int, Prefix] = {}
        self._kept: dict[str, bytes] = {}
        self._kept_bytes = 0
        self._uncounted = 0
        self._is_pruned = is_pruned
        self._pruned = 0

    def dictionary(self, leaf: Dictionary) -> None:
        """Take rows of the dictionary."""
        self._prefixes.update({no: (scheme, prefix) for no, scheme, prefix in leaf.prefixes})

    def block(self, index: int, leaf: Block) -> None:
        """Take a block; each belongs to all days that it reaches into."""
        for day in range(day_at(leaf.span[0]), day_at(leaf.span[1]) + 1):
            if day not in self._closed and self._period.has_day(day):
                self._blocks[day].append((index, leaf))

    def look(self, index: int, leaf: Block, records: Records) -> None:
        """Take the records of a block; of a sample they come at the end, and say nothing of days."""
        if not self._has_bodies:
            return
        for day in {day_at(time) for time in records.span} & self._closed.keys():
            start = start_of(day)
            if any(start <= time < start + DAY_US for time in records.times):
                self._findings.fail(
                    Check.V8_LATE,
                    f"records of {day_name(day)} were sealed after leaf {self._closed[day]} had closed it",
                    leaf=index,
                )
        if len(records.body) <= _SMALL and self._kept_bytes < KEPT_BODIES_BYTES:
            self._kept[leaf.sha256] = records.body
            self._kept_bytes += len(records.body)

    def day(self, index: int, leaf: Day) -> None:
        """Take the leaf that closes a day."""
        day = day_number(leaf.day)
        if day is None or day in self._closed:
            self._findings.fail(Check.V8_MISSING, f"{leaf.day} is closed twice", leaf=index)
            return
        for missing in sorted(known for known in self._blocks if known < day):
            self._findings.fail(
                Check.V8_MISSING,
                f"{day_name(missing)} is not closed, and {leaf.day} is",
                leaf=index,
            )
            self._count_open(missing)
        self._closed[day] = index
        if self._period.has_day(day):
            self._close(index, day, leaf)

    def finish(self) -> None:
        """Count what is still open, and say what was found."""
        open_days = [day for day in sorted(self._blocks) if self._has_bodies]
        closed = self.counted.days
        for day in open_days:
            self._count_open(day)
        still = f", {len(open_days)} not closed yet" if open_days else ""
        if self._has_bodies:
            failed = f", {self._uncounted} could not be counted" if self._uncounted else ""
            pruned = f", {self._pruned} not checkable: pruned" if self._pruned else ""
            again = closed - self._pruned
            self._findings.tell("V8", f"{again} days counted again{still}{failed}{pruned}")
        else:
            text = f"figures of {closed} days as the log has them: records were not looked at"
            self._findings.tell("V8", text, Status.SKIP)

    def _close(self, index: int, day: int, leaf: Day) -> None:
        blocks = self._blocks.pop(day, [])
        found = self._count(day, blocks, leaf.index) if self._has_bodies else None
        if found is not None:
            self._compare(index, leaf, found)
        self._compare_detail(index, leaf, found)
        self._add(day, found.leaf if found else leaf, blocks, is_closed=True)
        self._forget()

    def _count_open(self, day: int) -> None:
        blocks = self._blocks.pop(day)
        found = self._count(day, blocks, (0, EMPTY_ROOT)) if self._has_bodies else None
        if found is not None:
            self._add(day, found.leaf, blocks, is_closed=False)

    def _count(
        self, day: int, blocks: list[tuple[int, Block]], head: tuple[int, bytes]
    ) -> Closed | None:
        try:
            return close_day(Gathered(0, blocks), day, self._read, self._prefixes, head)
        except (CountError, Unreadable) as error:
            if self._is_pruned(day):
                self._pruned += 1
                return None
            self._uncounted += 1
            if not self._findings.seen & _WHY_UNCOUNTED:
                self._findings.fail(Check.V8_DAY, f"{day_name(day)} cannot be counted: {error}")
            return None

    def _compare(self, index: int, leaf: Day, found: Closed) -> None:
        for name in _FIGURES:
            said, is_ = getattr(leaf, name), getattr(found.leaf, name)
            if said != is_:
                self._findings.fail(
                    Check.V8_DAY,
                    f"{leaf.day}: {name} is {grouped(is_)}, its leaf says {grouped(said)}",
                    leaf=index,
                )

    def _compare_detail(self, index: int, leaf: Day, found: Closed | None) -> None:
        path = f"days/{leaf.day}.json"
        try:
            data = self._files.find(path, MAX_DOCUMENT_BYTES)
        except Unreadable as error:
            self._findings.fail(Check.V8_DETAIL, str(error), leaf=index, file=path)
            return
        made = sha256(found.detail).hexdigest() if found else leaf.detail
        here = leaf.detail if data is None else sha256(data).hexdigest()
        if made != leaf.detail or here != leaf.detail:
            text = f"the file of {leaf.day} has another digest than its leaf says"
            self._findings.fail(Check.V8_DETAIL, text, leaf=index, file=path)

    def _add(
        self, day: int, leaf: Day, blocks: list[tuple[int, Block]], *, is_closed: bool
    ) -> None:
        figures = self.counted.figures
        before = figures[self._metric]
        for name in _FIGURES:
            figures[name] += getattr(leaf, name)
            self.counted.closed[name] += getattr(leaf, name) * is_closed
        self.counted.days += 1
        if before < self._threshold <= figures[self._metric] and self.counted.crossed is None:
            self.counted.crossed = Crossing(day_name(day), self._crossed(day, blocks, before))

    def _crossed(self, day: int, blocks: list[tuple[int, Block]], before: int) -> int | None:
        if not self._has_bodies:
            return None
        pieces: list[Piece] = list(pieces_of(Gathered(0, blocks), self._read))
        number = self._threshold - before
        is_filtered = self._metric == "filtered"
        try:
            event = crossing(pieces, start_of(day), number, is_filtered=is_filtered)
        except (CountError, Unreadable):
            return None
        return event.leaf

    def _read(self, leaf: Block) -> bytes | None:
        if leaf.sequence[1] < leaf.sequence[0]:
            return b""
        kept = self._kept.get(leaf.sha256)
        return self._files.body(leaf) if kept is None else kept

    def _forget(self) -> None:
        self._kept.clear()
        self._kept_bytes = 0
