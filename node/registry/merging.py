"""Merging: what a loaded record takes over from the stored one, and how the two differ; pure.

A value that did not change keeps its timestamp.  A secret that an export withheld (`"format": "withheld"`) stays as it
is stored, in its place; where there is none, there is none.
"""

from collections.abc import Mapping, Sequence
from operator import is_not
from typing import NamedTuple

from node.registry.encoding import with_parts
from node.registry.parts import PartEncoder
from node.store.load import PackedRow, pack_row, unpack_row
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
    encoder = PartEncoder()
    return [_merge(pair, encoder, now) for pair in pairs]


def difference_of(before: Sequence[HandleValue], after: Sequence[HandleValue]) -> Difference:
    """Compare two records by index."""
    old = {value.index: value for value in before}
    new = {value.index: value for value in after}
    return Difference(
        tuple([index for index in new if index not in old]),
        tuple([index for index, value in new.items() if _is_other(old.get(index), value)]),
        tuple([index for index in old if index not in new]),
    )


def _is_other(old: HandleValue | None, value: HandleValue) -> bool:
    return old is not None and old is not value and old != value


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


def _merge(pair: Pair, encoder: PartEncoder, now: int) -> Merged:
    row, stored = unpack_row(pair.row), decode_values(pair.stored)
    before = {value.index: value for value in stored}
    given = decode_values(row.whole or row.wire)
    values = [_keep_timestamp(each, before.get(each.index), now) for each in given]
    if pair.order:
        values = _with_withheld(values, before, pair.order)
    if pair.order or any(map(is_not, values, given)):
        row = with_parts(row, [encoder.encode(value) for value in values])
    differs = (row.whole or row.wire) != pair.stored
    difference = difference_of(stored, values) if differs else Difference()
    return Merged(pack_row(row), row.handle, difference, differs)


def _keep_timestamp(value: HandleValue, before: HandleValue | None, now: int) -> HandleValue:
    """Return what is stored if nothing but the timestamp differs, which `now` gave.

    So a timestamp says when its value last changed, and not when a file was last loaded.
    """
    if before is None or value.timestamp != now or _is_another(value, before):
        return value
    return before


def _is_another(value: HandleValue, before: HandleValue) -> bool:
    """Whether they differ in more than their timestamps, compared field by field: this is done for every value."""
    return (
        value.data != before.data
        or value.type != before.type
        or value.ttl != before.ttl
        or value.ttl_type != before.ttl_type
        or value.permissions != before.permissions
        or value.references != before.references
    )


def _with_withheld(
    values: Sequence[HandleValue], before: Mapping[int, HandleValue], order: Order
) -> list[HandleValue]:
    found = {index: value for index, value in before.items() if is_secret(value)}
    found |= {value.index: value for value in values}
    return [found[index] for index in order if index in found]


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
