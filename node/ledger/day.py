"""Closing a day: from the leaves and bodies of one local day to its figures, the same whoever computes them.

A day is closed by a `day` leaf; in it are the blocks that stand before that leaf and reach into the day.  It may be
closed when no lane can add to it: each epoch that was open in it is closed, or has a block that ends after it.

The file `days/<day>.json`, canonical JSON, whose SHA-256 the leaf has, says more than the leaf does: what each prefix,
protocol, result, class and hour came to.  Leaf and file follow from the log up to that leaf, and from nothing else.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from struct import Struct
from typing import NamedTuple

from node.ledger.canonical import Json, canonical, parse_canonical
from node.ledger.count import DAY_US, Cell, CountError, DayCount, Piece, Tally, count_day
from node.ledger.leaf import Block, Day, Epoch, Head, Leaf
from node.ledger.record import RECORD_BYTES, Class
from node.ledger.tags import DAY_NS, ZONE_NS, day_name, day_of

SCHEMA = "idnode-day-1"
_TIME = Struct("<8xQ48x")  # of a record

ReadBody = Callable[[Block], bytes | None]
"""The body of a block; None when it is not here."""

Prefix = tuple[str, str]
"""Scheme and text of a registered prefix."""


class DayOpen(Exception):
    """The day cannot be closed yet; the text says what may still add to it."""


class Beginning(NamedTuple):
    """Where the leaves of a day begin, and the epochs (lane, number) that are open there.

    To begin earlier finds the same; it only takes longer.
    """

    leaf: int = 0
    epochs: tuple[tuple[int, int], ...] = ()


class Closed(NamedTuple):
    """A day's leaf, and the bytes of its file."""

    leaf: Day
    detail: bytes


@dataclass(slots=True)
class Gathered:
    """The leaves that may reach into a day."""

    size: int  # of the log that was looked at
    blocks: list[tuple[int, Block]] = field(default_factory=list)
    following: Beginning = field(default_factory=Beginning)  # where the next day's begin


def start_of(day: int) -> int:
    """Return when a local day begins, µs; `day` is its number as in `node.ledger.tags`."""
    return (day * DAY_NS - ZONE_NS) // 1_000


def day_at(time_us: int) -> int:
    """Return the number of the local day that a time, µs, is in."""
    return day_of(time_us * 1_000)


def gather(leaves: Iterable[tuple[int, Leaf]], beginning: Beginning, day: int) -> Gathered:
    """Take the leaves from `beginning` to the end of the log.  Raises DayOpen when more may come of this day."""
    start = start_of(day)
    end = start + DAY_US
    found = Gathered(beginning.leaf)
    reached = dict.fromkeys(beginning.epochs, 0)
    next_leaf: int | None = None
    next_open = beginning.epochs
    for index, leaf in leaves:
        found.size = index + 1
        if next_leaf is None and _is_after(leaf, end):
            next_leaf, next_open = index, tuple(reached)
        if isinstance(leaf, Block):
            reached[leaf.lane, leaf.epoch] = leaf.span[1]
            if leaf.span[1] >= start and leaf.span[0] < end:
                found.blocks.append((index, leaf))
        elif isinstance(leaf, Epoch) and leaf.state == "close":
            reached.pop((leaf.lane, leaf.epoch), None)
        elif isinstance(leaf, Epoch) and leaf.time < end:
            reached[leaf.lane, leaf.epoch] = leaf.time
    for (lane, epoch), until in reached.items():
        if until < end:
            raise DayOpen(f"{day_name(day)} is not over for epoch {epoch} of lane {lane}")
    is_last = next_leaf is None
    found.following = Beginning(
        found.size if next_leaf is None else next_leaf, tuple(reached) if is_last else next_open
    )
    return found


def of_one_day(body: bytes) -> bytes:
    """Return the records of a body up to the first of another day than the first: blocks do not reach over midnight.

    So the sums of a day's blocks are the day's, but for clocks that were set back.
    """
    times = [time for (time,) in _TIME.iter_unpack(body)]
    if not times or day_at(times[0]) == day_at(times[-1]):
        return body
    day = day_at(times[0])
    return body[: RECORD_BYTES * next(at for at, time in enumerate(times) if day_at(time) != day)]


def belongs(leaf: Block, day: int) -> bool:
    """True for a block that ended in the day: each is one day's own."""
    return day_at(leaf.span[1]) == day


def own_leaves(
    leaves: Iterable[tuple[int, Leaf]], day: int, before: int, last: int
) -> Iterator[tuple[int, Leaf]]:
    """Take the leaves that are kept with a day, so that each is with one: its own blocks, and what stands between.

    That is from behind `before`, the leaf of the day before (-1 for none), up to `last`, that of this day.  `leaves`
    come from where the day begins.
    """
    for index, leaf in leaves:
        if index > last:
            return
        if belongs(leaf, day) if isinstance(leaf, Block) else index > before:
            yield index, leaf


def pieces_of(gathered: Gathered, read: ReadBody) -> Iterator[Piece]:
    """Return the blocks as what is counted."""
    for index, block in gathered.blocks:
        span = block.span[0], block.span[1]
        yield Piece(block.lane, block.epoch, block.block, span, partial(_read, read, block), index)


def close_day(
    gathered: Gathered,
    day: int,
    read: ReadBody,
    prefixes: Mapping[int, Prefix],
    index_head: Head,
) -> Closed:
    """Return the leaf and the file of a day; `index_head` is that of the evidence index as it is before this day.

    Raises CountError when a body is missing or wrong.
    """
    counted = count_day(pieces_of(gathered, read), start_of(day))
    detail = canonical(_detail(gathered, day, counted, prefixes))
    everything = counted.total(lambda _: True)
    production = counted.resolutions()
    leaf = Day(
        day=day_name(day),
        requests=everything.requests,
        raw=production.raw,
        filtered=production.filtered,
        identifiers=sum(counted.identifiers.values()),
        clients=counted.clients,
        test=counted.resolutions(Class.TEST).raw,
        own=counted.resolutions(Class.SELF).raw,
        robot=counted.resolutions(Class.ROBOT).raw,
        suspect=counted.resolutions(Class.SUSPECT).raw,
        detail=sha256(detail).hexdigest(),
        index=index_head,
    )
    return Closed(leaf, detail)


@dataclass(frozen=True, slots=True)
class DayDetail:
    """What the file of a day says.

    `blocks` ended in the day; `answered` is the sum of their own successes in production, which anybody can add up from
    their leaves: `counted` has more or fewer of them only where a block reaches over midnight.
    """

    day: str
    counted: DayCount
    prefixes: dict[int, Prefix]
    blocks: int
    answered: int

    @classmethod
    def parse(cls, data: bytes) -> "DayDetail":
        """Read the file of a day.  Raises ValueError when it is none."""
        read = parse_canonical(data)
        try:
            return _read_detail(read)
        except (TypeError, KeyError, IndexError, AttributeError) as error:
            raise ValueError(f"this is no file of a day: {error!r}") from error


def _detail(
    gathered: Gathered, day: int, counted: DayCount, prefixes: Mapping[int, Prefix]
) -> Json:
    start = start_of(day)
    numbers = sorted({cell.prefix_no for cell in counted.cells} & prefixes.keys())
    own = [block for _, block in gathered.blocks if belongs(block, day)]
    return {
        "schema": SCHEMA,
        "day": day_name(day),
        "t": [start, start + DAY_US],
        "blocks": len(own),
        "answered": sum(block.successes[Class.PRODUCTION] for block in own),
        "columns": [
            "prefix_no",
            "proto",
            "result",
            "class",
            "kind",
            "hour",
            "requests",
            "raw",
            "filtered",
        ],
        "cells": [[*cell, *tally] for cell, tally in counted.cells.items()],
        "identifiers": [[number, found] for number, found in counted.identifiers.items()],
        "clients": counted.clients,
        "prefixes": [[number, *prefixes[number]] for number in numbers],
    }


def _read_detail(read: Json) -> DayDetail:
    if not isinstance(read, dict) or read["schema"] != SCHEMA:
        raise ValueError(f"the file of a day says {SCHEMA}")
    cells = {Cell(*row[:6]): Tally(*row[6:]) for row in read["cells"]}
    return DayDetail(
        day=read["day"],
        counted=DayCount(cells, dict(map(tuple, read["identifiers"])), read["clients"]),
        prefixes={no: (scheme, prefix) for no, scheme, prefix in read["prefixes"]},
        blocks=read["blocks"],
        answered=read["answered"],
    )


def _is_after(leaf: Leaf, end: int) -> bool:
    """True for a leaf that has to be read again for a day that begins at `end`."""
    if isinstance(leaf, Block):
        return leaf.span[1] >= end
    return isinstance(leaf, Epoch) and leaf.state == "open" and leaf.time >= end


def _read(read: ReadBody, block: Block) -> bytes:
    body = read(block)
    if body is None:
        name = f"{block.lane}.{block.epoch}.{block.block}"
        raise CountError(f"the body of block {name} ({block.sha256}) is not here")
    return body
