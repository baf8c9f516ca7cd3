"""Merging: what a loaded record takes over from the stored one, and how the two differ; pure.

A value that did not change keeps its timestamp.  A secret that an export withheld (`"format": "withheld"`) stays as it
is stored, in its place; where there is none, there is none.
"""

from collections.abc import Sequence
from typing import NamedTuple

from node.registry.encoding import keep_timestamps, with_values
from node.store.load import PackedRow, RecordRow, pack_row, unpack_row
from node.store.records import is_secret
from resolver.wire import HandleValue, decode_values

WITHHELD = "withheld"
"""The format of data that an export left out."""

Order = Sequence[int]
"""The indexes of a line in its order, those withheld included; empty when nothing is withheld."""


class Difference(NamedTuple):
    """Which indexes a record gains, and which of its values become others or go."""

    added: tuple[int, ...] = ()
    changed: tuple[int, ...] = ()
    removed: tuple[int, ...] = ()


class Pair(NamedTuple):
    """A row to be stored, all values stored now (encoded), and the order of the line if it withholds values."""

    row: PackedRow
    stored: bytes
    order: Order = ()


class Merged(NamedTuple):
    """The row with what it takes over, its spelling, how its values differ from those stored, and whether they do.

    The same values in another order differ, too.
    """

    row: PackedRow
    handle: bytes
    difference: Difference
    differs: bool


def merge(pairs: Sequence[Pair], now: int) -> list[Merged]:
    """Merge each row with what is stored; `now` is the epoch second that stamps values without a timestamp."""
    return [_merge(pair, now) for pair in pairs]


def difference_of(before: Sequence[HandleValue], after: Sequence[HandleValue]) -> Difference:
    """Compare two records by index."""
    old = {value.index: value for value in before}
    new = {value.index: value for value in after}
    return Difference(
        tuple([index for index in new if index not in old]),
        tuple([index for index, value in new.items() if index in old and old[index] != value]),
        tuple([index for index in old if index not in new]),
    )


def split_withheld(items: object) -> tuple[object, Order]:
    """Return the values of a line without those withheld, and the order of all of them if there are any.

    Raises ValueError: an index that is none, or stands twice.
    """
    if not isinstance(items, list):
        return items, ()
    given = [item for item in items if not _is_withheld(item)]
    if len(given) == len(items):
        return items, ()
    order = tuple([_index_of(item) for item in items])
    if len(set(order)) < len(order):
        raise ValueError("an index stands twice in one record")
    return given, order


def _merge(pair: Pair, now: int) -> Merged:
    row = unpack_row(pair.row)
    if pair.order:
        row = _with_withheld(row, pair)
    row = keep_timestamps(row, pair.stored, now)
    encoded = row.whole or row.wire
    difference = difference_of(decode_values(pair.stored), decode_values(encoded))
    return Merged(pack_row(row), row.handle, difference, encoded != pair.stored)


def _with_withheld(row: RecordRow, pair: Pair) -> RecordRow:
    found = {value.index: value for value in decode_values(pair.stored) if is_secret(value)}
    found |= {value.index: value for value in decode_values(row.whole or row.wire)}
    return with_values(row, [found[index] for index in pair.order if index in found])


def _is_withheld(item: object) -> bool:
    data = item.get("data") if isinstance(item, dict) else None
    return isinstance(data, dict) and data.get("format") == WITHHELD


def _index_of(item: object) -> int:
    """Return the index of a value as a line gives it: a number, or its digits.  Raises ValueError."""
    index = item.get("index") if isinstance(item, dict) else None
    if isinstance(index, str) and index.isascii() and index.isdigit() and len(index) <= 10:
        return int(index)
    if type(index) is int:
        return index
    raise ValueError(f"index must be a number, not {index!r:.40}")
