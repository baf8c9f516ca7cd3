"""Figures: what a month's report is made of, read from the files of a ledger and checked against its leaves.

Everything comes from the published log and from the days' files, whose digests their leaves have; nothing from the
database, nothing from a clock.  Bodies are needed only to say in which block a line was crossed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from itertools import pairwise
from typing import NamedTuple, TypeVar

from node.ledger.checkpoint import Checkpoint
from node.ledger.closing import DAYS
from node.ledger.count import CountError, Event, crossing
from node.ledger.day import DayDetail, Gathered, Prefix, pieces_of, start_of
from node.ledger.durable import read_if_there
from node.ledger.leaf import (
    Acknowledgement,
    Anchor,
    Block,
    Campaign,
    CountPolicy,
    Day,
    Dictionary,
    Gap,
    Genesis,
    Leaf,
    Report,
    parse,
)
from node.ledger.logfiles import LogDamaged, LogFiles
from node.ledger.note import Note
from node.ledger.quorum import Policy
from node.ledger.report.months import days_of, span_of
from node.ledger.report.thresholds import Metric, Reached, Scope
from node.ledger.sm2 import CHECKS_WITH_SM2
from node.ledger.tags import day_name

_BULKY = (b'"k":"blk"', b'"k":"met"')  # kinds of which there are many

T = TypeVar("T")


class Found(NamedTuple):
    """A leaf and where it stands."""

    at: int
    leaf: Leaf


@dataclass(frozen=True, slots=True)
class WitnessFigures:
    """How a witness kept watch in the period."""

    name: str
    key: str
    heads: int
    longest_gap_s: int


class LedgerMonth:
    """A month of a ledger.  Reading raises LogDamaged, LeafError, NoteError, OSError."""

    def __init__(self, files: LogFiles, month: str) -> None:
        """Raises ValueError for what is no month."""
        self.files = files
        self.month = month
        self.start, self.end = span_of(month)
        published = files.published()
        if published is None:
            raise LogDamaged(f"{files.directory} has no checkpoint yet: nothing can be reported")
        self.published = published
        self.size = Checkpoint.parse(published.text).size
        self._small = [
            Found(index, parse(line))
            for index, line in enumerate(files.lines(0, self.size))
            if not any(kind in line for kind in _BULKY)
        ]

    @cached_property
    def genesis(self) -> Genesis:
        """The first leaf."""
        first = self._small[0].leaf if self._small else None
        if not isinstance(first, Genesis):
            raise LogDamaged("the log does not begin with its genesis leaf")
        return first

    @cached_property
    def all_days(self) -> list[tuple[int, Day]]:
        """The leaves of all days until the end of the month."""
        last = day_name(days_of(self.month).stop - 1)
        return [
            (at, leaf) for at, leaf in self._small if isinstance(leaf, Day) and leaf.day <= last
        ]

    @cached_property
    def days(self) -> list[tuple[int, Day]]:
        """The leaves of the days of the month."""
        return [(at, leaf) for at, leaf in self.all_days if leaf.day.startswith(self.month)]

    @cached_property
    def details(self) -> list[DayDetail]:
        """What the files of the month's days say."""
        return [self.detail(leaf) for _, leaf in self.days]

    @cached_property
    def is_complete(self) -> bool:
        """True when each day of the month since the log began is closed."""
        expected = {
            day_name(day) for day in days_of(self.month) if start_of(day + 1) > self.genesis.time
        }
        return expected == {leaf.day for _, leaf in self.days}

    @cached_property
    def leaves(self) -> tuple[int, int]:
        """The first and the last leaf of the month: behind the leaf of the day before, up to that of the last day."""
        if not self.days:
            return self.size, self.size
        before = [at for at, leaf in self.all_days if leaf.day < self.days[0][1].day]
        return max(before, default=-1) + 1, self.days[-1][0]

    @cached_property
    def prefixes(self) -> Mapping[int, Prefix]:
        """The dictionary of prefixes."""
        told = [leaf for _, leaf in self._small if isinstance(leaf, Dictionary)]
        return {no: (scheme, name) for leaf in told for no, scheme, name in leaf.prefixes}

    @cached_property
    def policies(self) -> list[tuple[int, CountPolicy]]:
        """The policies in force at some time of the month, the oldest first."""
        found = [(at, leaf) for at, leaf in self._small if isinstance(leaf, CountPolicy)]
        before = [each for each in found if each[1].since <= self.start][-1:]
        return before + [each for each in found if self.start < each[1].since < self.end]

    @cached_property
    def gaps(self) -> list[tuple[int, Gap]]:
        """The gaps that reach into the month."""
        return [
            (at, leaf)
            for at, leaf in self._of(Gap)
            if leaf.span[0] < self.end and leaf.span[1] >= self.start
        ]

    @cached_property
    def campaigns(self) -> dict[int, tuple[Found, Found | None]]:
        """The load tests that reach into the month: where each was announced, and where it was over."""
        opened: dict[int, tuple[Found, Found | None]] = {}
        for at, leaf in self._of(Campaign):
            if leaf.state == "open":
                opened[leaf.number] = Found(at, leaf), None
            elif leaf.number in opened:
                opened[leaf.number] = opened[leaf.number][0], Found(at, leaf)
        return {no: each for no, each in opened.items() if self._reaches(each)}

    @cached_property
    def anchors(self) -> list[tuple[int, Anchor]]:
        """The anchors of the month's days."""
        return [(at, leaf) for at, leaf in self._of(Anchor) if leaf.day.startswith(self.month)]

    @cached_property
    def acknowledgements(self) -> list[tuple[int, Acknowledgement]]:
        """What the top-level node has acknowledged in the month."""
        return [
            (at, leaf)
            for at, leaf in self._of(Acknowledgement)
            if self.start <= leaf.time < self.end
        ]

    @cached_property
    def reports(self) -> list[tuple[int, Report]]:
        """All reports that were issued."""
        return self._of(Report)

    def detail(self, leaf: Day) -> DayDetail:
        """Return what the file of a day says.  Raises LogDamaged when it is not the one that the leaf names."""
        data = read_if_there(self.files.directory / DAYS / f"{leaf.day}.json")
        if data is None or sha256(data).hexdigest() != leaf.detail:
            raise LogDamaged(
                f"{DAYS}/{leaf.day}.json is missing or not the one that the log has; close it again"
            )
        return DayDetail.parse(data)

    def value(self, metric: Metric, scope: Scope) -> int:
        """Return a count up to the end of the month."""
        return sum(getattr(leaf, metric) for _, leaf in self._in(scope))

    def crossed(self, metric: Metric, scope: Scope, least: int) -> Reached | None:
        """Return where a count reached so many, None when it has not."""
        before = 0
        for at, leaf in self._in(scope):
            of_day: int = getattr(leaf, metric)
            if before + of_day >= least:
                event = self._event(leaf, at, least - before, is_filtered=metric is Metric.FILTERED)
                if event is None:
                    return Reached(leaf.day, at)
                return Reached(leaf.day, at, event.leaf, event.time)
            before += of_day
        return None

    def witnesses(self) -> tuple[list[WitnessFigures], str, str]:
        """Return how each witness kept watch, and the first and the last cosigned head of the month, as notes.

        The first is the newest that has nothing of the month, the last the first that has all of it.
        """
        first, last = self.leaves
        sizes = self.files.head_sizes()
        before = max((size for size in sizes if size <= first), default=None)
        after = min((size for size in sizes if size > last), default=None)
        policy = Policy.parse((self.genesis.policy or "quorum none\n").encode())
        seen: dict[str, list[int]] = {witness.name: [] for witness in policy.witnesses}
        for size in sizes if seen else ():
            if first < size <= (last + 1 if after is None else after) and (
                note := self.files.head(size)
            ):
                for name, seconds in policy.examine(note, CHECKS_WITH_SM2).witnesses.items():
                    seen[name].append(seconds)
        told = [
            WitnessFigures(
                each.name, str(each.key), len(seen[each.name]), _longest(seen[each.name])
            )
            for each in policy.witnesses
        ]
        return told, self._text(before), self._text(after)

    def answered(self) -> tuple[int, int]:
        """Return the sum of the successes in production that the month's own blocks say, and how many blocks."""
        return sum(each.answered for each in self.details), sum(
            each.blocks for each in self.details
        )

    def _in(self, scope: Scope) -> list[tuple[int, Day]]:
        year = self.month[:4] if scope is Scope.YEAR else ""
        return [(at, leaf) for at, leaf in self.all_days if leaf.day.startswith(year)]

    def _event(self, leaf: Day, at: int, number: int, *, is_filtered: bool) -> Event | None:
        """The resolution of a day that was the one; None when the bodies of that day are not here."""
        day = next(day for day in days_of(leaf.day[:7]) if day_name(day) == leaf.day)
        start = start_of(day)
        blocks = [
            (index, block)
            for index, block in self._blocks(at)
            if block.span[1] >= start and block.span[0] < start_of(day + 1)
        ]
        gathered = Gathered(at, blocks)
        try:
            pieces = pieces_of(gathered, self.files.read_body)
            return crossing(pieces, start, number, is_filtered=is_filtered)
        except CountError:
            return None

    def _blocks(self, until: int) -> Iterator[tuple[int, Block]]:
        before = [at for at, _ in self.all_days if at < until]
        start = before[-2] if len(before) > 1 else 0  # the day before may have been closed late
        for index, line in enumerate(self.files.lines(start, until), start):
            if _BULKY[0] in line and isinstance(leaf := parse(line), Block):
                yield index, leaf

    def _of(self, kind: type[T]) -> list[tuple[int, T]]:
        return [(at, leaf) for at, leaf in self._small if isinstance(leaf, kind)]

    def _reaches(self, campaign: tuple[Found, Found | None]) -> bool:
        opened = campaign[0].leaf
        return isinstance(opened, Campaign) and opened.time < self.end and opened.until > self.start

    def _text(self, size: int | None) -> str:
        note: Note | None = None if size is None else self.files.head(size)
        return "" if note is None else note.encode().decode()


def _longest(seconds: list[int]) -> int:
    """The longest time between two cosignatures."""
    ordered = sorted(seconds)
    return max((later - sooner for sooner, later in pairwise(ordered)), default=0)
