"""Pruning: the records of days long past go, when the log has said so; leaves, tiles, heads and days stay for ever.

Laws.  A body goes only behind the `prn` leaf that says so, under a published checkpoint, and only when its day is
closed and older than the policy in force has records kept.  What a crash leaves of it, the next pruning takes.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import date, timedelta
from pathlib import Path
from shutil import rmtree
from typing import NamedTuple

from node.ledger.checkpoint import Checkpoint
from node.ledger.closing import DAYS
from node.ledger.count import DAY_US
from node.ledger.day import day_at
from node.ledger.leaf import KEEP_DAYS, KEEP_DAYS_RULE, CountPolicy, Leaf, Pruning, parse
from node.ledger.logfiles import BODIES, KEYS, LogDamaged, LogFiles
from node.ledger.monthkeys import MonthKeys
from node.ledger.tags import day_name

_MARKS = b'"k":"prn"', b'"k":"pol"'
_DAY = re.compile(r"[0-9]{4}/[0-9]{2}/[0-9]{2}")
_KEY = re.compile(r"month-([0-9]{4}-[0-9]{2})\.key")

Append = Callable[[Leaf], int]
"""append(leaf): put it into the log, and return its index when a published head has it."""


class TooYoung(Exception):
    """The records are to be kept; the text says until when."""


class Pruned(NamedTuple):
    """What went, or would go: bodies of days up to `until`, their bytes, and month keys."""

    until: str
    bodies: int
    size: int
    keys: tuple[str, ...]


class Wish(NamedTuple):
    """What is to go: the last day, empty for the newest that may; month keys too; or nothing, to see what would."""

    until: str = ""
    with_keys: bool = False
    is_dry: bool = False


def prune(files: LogFiles, wish: Wish, now_us: int, append: Append) -> Pruned:
    """Say in the log that bodies go, and remove them.

    Raises TooYoung, LogDamaged, LeafError, OSError, and as `append`.
    """
    said = list(_said(files))
    policy = _policy_at(said, now_us)
    kept = policy.rules.get(KEEP_DAYS_RULE, KEEP_DAYS)
    newest = day_name(day_at(now_us - kept * DAY_US) - 1)
    until = wish.until or newest
    if until > newest:
        raise TooYoung(
            f"records are kept for {kept} days by policy {policy.number}: {newest} is the last day that may go"
        )
    doomed = list(_days(files.directory / BODIES, until))
    bodies = [path for _, directory in doomed for path in directory.iterdir()]
    keys = _keys(files.directory / KEYS, until) if wish.with_keys else {}
    found = Pruned(until, len(bodies), sum(path.stat().st_size for path in bodies), tuple(keys))
    if wish.is_dry or not (doomed or keys):
        return found
    if doomed:
        last = doomed[-1][0]  # and no later one, which may have had no records and not be closed
        _check_closed(files, last)
        if max((leaf.until for leaf in said if isinstance(leaf, Pruning)), default="") < last:
            append(Pruning(until=last, policy=policy.number, time=now_us))
    for _, directory in doomed:
        rmtree(directory)
    for path in keys.values():
        path.unlink(missing_ok=True)
    return found


def _said(files: LogFiles) -> Iterator[CountPolicy | Pruning]:
    """What the log says of keeping records, in its order."""
    note = files.published()
    size = 0 if note is None else Checkpoint.parse(note.text).size
    for line in files.lines(0, size):
        if any(mark in line for mark in _MARKS):
            leaf = parse(line)
            if isinstance(leaf, CountPolicy | Pruning):
                yield leaf


def _policy_at(said: Iterable[Leaf], now_us: int) -> CountPolicy:
    policies = [leaf for leaf in said if isinstance(leaf, CountPolicy)]
    if not policies:
        raise LogDamaged("the log has no policy; start the node with its ledger on")
    begun = [leaf for leaf in policies if leaf.since <= now_us]
    return begun[-1] if begun else policies[0]


def _days(bodies: Path, until: str) -> Iterator[tuple[str, Path]]:
    """The directories of bodies up to a day, the oldest first."""
    for directory in sorted(bodies.glob("*/*/*")):
        name = directory.relative_to(bodies).as_posix()
        if _DAY.fullmatch(name) and name.replace("/", "-") <= until:
            yield name.replace("/", "-"), directory


def _keys(directory: Path, until: str) -> dict[str, Path]:
    """The keys of the months that end by a day: what they were the keys of is gone."""
    following = (date.fromisoformat(until) + timedelta(days=1)).isoformat()[:7]
    found = (_KEY.fullmatch(path.name) for path in sorted(directory.glob("month-*.key")))
    months = [name[1] for name in found if name is not None and name[1] < following]
    return {month: MonthKeys(directory).path(month) for month in months}


def _check_closed(files: LogFiles, day: str) -> None:
    if not (files.directory / DAYS / f"{day}.json").exists():
        raise TooYoung(f"{day} is not closed yet: `idnode audit close` does it")
