"""Closing days: after midnight the day before is counted from its bodies, told to the log, and published in the index.

    days/<day>.json   what its leaf has the digest of      days/next.json   where the next day's leaves begin: a hint

The steps, each of which may be repeated: count; write the file; have the leaf put into the log; publish the module.
A crash between any two is followed by the same steps, which find what was done.  Only what is published is read, so
anybody with the directory can do the counting again.
"""

import fcntl
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from node.ledger.checkpoint import Checkpoint
from node.ledger.count import DAY_US, Piece
from node.ledger.day import (
    Beginning,
    Closed,
    Prefix,
    close_day,
    day_at,
    gather,
    own_leaves,
    pieces_of,
    start_of,
)
from node.ledger.durable import (
    PUBLIC_DIRECTORY,
    PUBLIC_FILE,
    make_directory,
    read_if_there,
    write_durably,
)
from node.ledger.gomodule import sums, version_of
from node.ledger.index import EvidenceIndex
from node.ledger.leaf import Day, Dictionary, Genesis, Leaf, parse
from node.ledger.logfiles import LogDamaged, LogFiles
from node.ledger.tags import day_name

DAYS = "days"
WAIT_US = 120_000_000  # after midnight, so that the last block of the day is under a cosigned head

_NEXT, _LOCK = "next.json", "lock"
_DICTIONARY, _DAY = b'"k":"dict"', b'"k":"day"'

Counting = Callable[[str, Iterable[Piece], Mapping[int, Prefix]], None]
"""counting(day, pieces, prefixes): called before a day is closed, for who counts something else in it."""

Append = Callable[[Leaf], int]
"""append(leaf): put it into the log, once, and return its index when a published head has it."""


@dataclass(frozen=True, slots=True)
class _Next:
    """The day that is due, where its leaves begin, and where the leaf of the day before stands, -1 for none."""

    day: int
    beginning: Beginning = field(default_factory=Beginning)
    before: int = -1


class DayCloser:
    """Closes the days of one log.  Its methods block; one process uses it."""

    def __init__(
        self,
        files: LogFiles,
        index: EvidenceIndex,
        append: Append,
        counting: Counting | None = None,
    ) -> None:
        self._files = files
        self._counting = counting
        self._index = index
        self._append = append
        self._prefixes: dict[int, Prefix] = {}
        self._looked_at = 0  # leaves that were searched for prefixes

    def close_due(self, now_us: int) -> list[str]:
        """Close the days that are over, and return their names.

        Raises DayOpen when a lane has not come past midnight, CountError, LogDamaged, OSError, and as `append`.
        """
        make_directory(self._files.directory / DAYS, PUBLIC_DIRECTORY)
        found: list[str] = []
        with _locked(self._files.directory / DAYS / _LOCK):
            due = self._due()
            while due is not None and start_of(due.day) + DAY_US + WAIT_US <= now_us:
                due = self._close(due)
                found.append(day_name(due.day - 1))
        return found

    def _close(self, due: _Next) -> _Next:
        there = self._leaf_of(due)
        size = self._size() if there is None else there
        gathered = gather(self._leaves(due.beginning.leaf, size), due.beginning, due.day)
        prefixes, head = self._known_prefixes(size), self._index_head(due, there)
        read = self._files.read_body
        closed = close_day(gathered, due.day, read, prefixes, head)
        name = day_name(due.day)
        path = self._files.directory / DAYS / f"{name}.json"
        write_durably(path, closed.detail, PUBLIC_FILE)
        if self._counting is not None:
            self._counting(name, pieces_of(gathered, read), prefixes)
        at = self._append(closed.leaf) if there is None else self._same(closed, there)
        if not self._index.has(version_of(name)):
            self._index.add(version_of(name), self._module(due, closed, at))
        following = _Next(due.day + 1, gathered.following, at)
        self._remember(following)
        return following

    def _module(self, due: _Next, closed: Closed, at: int) -> Mapping[str, bytes]:
        """The files of a day: its leaves, its figures, and heads of the main log."""
        leaves = own_leaves(self._leaves(due.beginning.leaf, at + 1), due.day, due.before, at)
        published = self._files.published()
        files = {
            "leaves.jsonl": b"".join(leaf.line() + b"\n" for _, leaf in leaves),
            "day.json": closed.detail,
            "checkpoint": b"" if published is None else published.encode(),
        }
        for size in self._files.head_sizes():
            note = self._files.head(size) if due.before < size - 1 else None
            if note is not None:
                files[f"heads/{size}.note"] = note.encode()
        return {**files, "SHA256SUMS": sums(files)}

    def _same(self, closed: Closed, there: int) -> int:
        if self._files.line(there, self._size()) != closed.leaf.line():
            raise LogDamaged(
                f"day {closed.leaf.day} comes to something else than leaf {there} says; was the directory restored?"
            )
        return there

    def _index_head(self, due: _Next, there: int | None) -> tuple[int, bytes]:
        """The head as it is before this day; of a day whose leaf is there, the one that the leaf has."""
        if there is None:
            return self._index.head
        leaf = parse(self._files.line(there, self._size()))
        assert isinstance(leaf, Day)  # noqa: S101  `_leaf_of` has found it
        return leaf.index

    def _leaf_of(self, due: _Next) -> int | None:
        """Where the leaf of the day stands, when a crash came between it and what follows it."""
        name = day_name(due.day)
        start = max(due.before + 1, due.beginning.leaf)
        for index, line in enumerate(self._files.lines(start, self._size()), start):
            if _DAY in line and isinstance(leaf := parse(line), Day) and leaf.day == name:
                return index
        return None

    def _due(self) -> _Next | None:
        """Which day comes next; None while the log has not begun."""
        data = read_if_there(self._files.directory / DAYS / _NEXT)
        if data is not None:
            return _read_next(data)
        genesis = genesis_of(self._files)
        if genesis is None:
            return None
        return _Next(day_at(genesis.time))

    def _remember(self, following: _Next) -> None:
        told = {
            "day": following.day,
            "leaf": following.beginning.leaf,
            "epochs": following.beginning.epochs,
            "before": following.before,
        }
        write_durably(self._files.directory / DAYS / _NEXT, json.dumps(told).encode(), PUBLIC_FILE)

    def _known_prefixes(self, size: int) -> Mapping[int, Prefix]:
        for line in self._files.lines(self._looked_at, size) if size > self._looked_at else ():
            if _DICTIONARY in line and isinstance(leaf := parse(line), Dictionary):
                self._prefixes.update({no: (scheme, name) for no, scheme, name in leaf.prefixes})
        self._looked_at = max(size, self._looked_at)
        return self._prefixes

    def _leaves(self, start: int, size: int) -> Iterator[tuple[int, Leaf]]:
        return enumerate(map(parse, self._files.lines(start, size)), start)

    def _size(self) -> int:
        published = self._files.published()
        return 0 if published is None else Checkpoint.parse(published.text).size


def genesis_of(files: LogFiles) -> Genesis | None:
    """Return the first leaf of a log, None before it has begun.  Raises LogDamaged, NoteError, LeafError, OSError."""
    published = files.published()
    if published is None:
        return None
    first = parse(files.line(0, Checkpoint.parse(published.text).size))
    if not isinstance(first, Genesis):
        raise LogDamaged("the log does not begin with its genesis leaf")
    return first


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Wait for others who close days of this ledger: a person, and the keeper."""
    with open(path, "wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _read_next(data: bytes) -> _Next:
    try:
        read = json.loads(data)
        epochs = tuple((lane, epoch) for lane, epoch in read["epochs"])
        return _Next(read["day"], Beginning(read["leaf"], epochs), read["before"])
    except (ValueError, KeyError, TypeError) as error:
        raise LogDamaged(
            f"{DAYS}/{_NEXT} cannot be read ({error}); remove it, and it is made again"
        ) from error
