"""Merging: the records of blocks of several lanes in one order, that of time, without holding all of them.

The order is (time, lane, epoch, number).  Held are READ_AHEAD records and the blocks that overlap.
"""

import sys
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import compress
from struct import Struct
from typing import NamedTuple

from node.ledger.record import RECORD_BYTES, numbers

DAY_US = 24 * 3_600_000_000
READ_AHEAD = 65_536  # records that are held to be put in order

_WHOLE = Struct(f"{RECORD_BYTES}s")
_NUMBERS, _TIMES = slice(0, None, 8), slice(1, None, 8)  # among the 64-bit words


class CountError(Exception):
    """The records cannot be counted; the text says which are not what their leaf says."""


class Piece(NamedTuple):
    """A block: where it stands, from when to when its records are (µs, both inclusive), and how to get them."""

    lane: int
    epoch: int
    block: int
    span: tuple[int, int]
    read: Callable[[], bytes]
    leaf: int = 0  # its index in the log


class _Held(NamedTuple):
    """Records of a block that wait for their turn, their times, and the earliest and latest of these."""

    records: bytes
    times: "array[int]"
    first: int
    last: int


def merged(pieces: Iterable[Piece], start: int) -> Iterator[bytes]:
    """Yield the records of the day that begins then (µs), in order, many at a time.

    In the place of its number each has the index of its leaf.  Raises CountError, and what `read` raises.
    """
    waiting: defaultdict[tuple[int, int], list[_Held]] = defaultdict(list)
    held, enough = 0, READ_AHEAD
    for piece in sorted(pieces, key=_begins):
        if held >= enough:  # every block that is still to come begins after this one
            yield _take(waiting, piece.span[0])
            held = sum(len(each.times) for lane in waiting.values() for each in lane)
            enough = max(READ_AHEAD, 2 * held)
        found = _read(piece, start)
        if found.times:
            waiting[piece.lane, piece.epoch].append(found)
            held += len(found.times)
    yield _take(waiting, start + DAY_US)


def _take(waiting: dict[tuple[int, int], list[_Held]], before: int) -> bytes:
    """Take out the records with times before that one, in order."""
    ready: list[_Held] = []
    for lane in sorted(waiting):
        later: list[_Held] = []
        for each in waiting[lane]:
            if each.last < before:
                ready.append(each)
            elif each.first >= before:
                later.append(each)
            else:
                ready.append(_part(each, [time < before for time in each.times]))
                later.append(_part(each, [time >= before for time in each.times]))
        waiting[lane] = later
    return _sort(b"".join([each.records for each in ready]), [each.times for each in ready])


def _sort(records: bytes, parts: "list[array[int]]") -> bytes:
    times = [time for part in parts for time in part]
    order = sorted(range(len(times)), key=times.__getitem__)  # stable: numbers rise within a lane
    each = [record for (record,) in _WHOLE.iter_unpack(records)]
    return b"".join(map(each.__getitem__, order))


def _part(held: _Held, wanted: list[bool]) -> _Held:
    records = compress((record for (record,) in _WHOLE.iter_unpack(held.records)), wanted)
    return _hold(b"".join(records), array("Q", compress(held.times, wanted)))


def _hold(records: bytes, times: "array[int]") -> _Held:
    return _Held(records, times, min(times, default=0), max(times, default=0))


def _read(piece: Piece, start: int) -> _Held:
    body, (first, last) = piece.read(), piece.span
    if len(body) % RECORD_BYTES:
        raise CountError(f"block {piece.lane}.{piece.epoch}.{piece.block} has no whole records")
    words = numbers("Q", body)
    times = words[_TIMES]
    words[_NUMBERS] = array("Q", [piece.leaf]) * len(times)
    found = _hold(_bytes(words), times)
    if found.times and (found.first < start or found.last >= start + DAY_US):
        found = _part(found, [start <= time < start + DAY_US for time in times])
    if found.times and not first <= found.first <= found.last <= last:
        raise CountError(
            f"a record of block {piece.lane}.{piece.epoch}.{piece.block} is not of its time"
        )
    return found


def _bytes(words: "array[int]") -> bytes:
    if sys.byteorder == "big":
        words.byteswap()
    return words.tobytes()


def _begins(piece: Piece) -> tuple[int, int, int, int]:
    return piece.span[0], piece.lane, piece.epoch, piece.block
