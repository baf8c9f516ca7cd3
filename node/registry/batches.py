"""Batches: a chunk of a load file, read and encoded; needs nothing but the sealing key, so any process can do it.

A line that cannot be read is an error of its row and of nothing else.  When a handle comes twice,
the later line wins.
"""

from collections import Counter
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import orjson

from node.registry.chunks import MAX_LINE_BYTES, Chunk, RowError
from node.registry.encoding import ValueReader, join_record, spelling_of
from node.registry.merging import WITHHELD, Order, split_withheld
from node.registry.names import check_name
from node.registry.plainlines import PlainReader, digest_of
from node.registry.resultlines import begin_line
from node.store.load import (
    PackedRow,
    RecordRow,
    RowColumns,
    join_columns,
    pack_row,
    part_rows,
    spelling_in,
)
from node.store.prefixes import PrefixRow, PrefixState
from resolver.identifier import PREFIX_HANDLE, Identifier
from resolver.keys.seal import Seal, SealError
from resolver.schemes import parse_handle

_WITHHELD = WITHHELD.encode()
_ESCAPE = b"\\u"  # with which a word can be spelled in another way
_NO_ORDER: Order = ()


@dataclass(frozen=True, slots=True)
class LoadRules:
    """How lines are understood.

    `now` (epoch second) stamps the values without a timestamp; `delegated` is what a `0.NA/` line
    means that does not say; `sealing_key` is the file of the key for secrets, read when there is one.
    `tells` is whether each line gets one in a result file.
    """

    now: int
    sealing_key: Path
    delegated: bool = False
    case_sensitive: bool = False
    tells: bool = True


class NoSealingKey(Exception):
    """There is a secret to be sealed and no key to do it with: the load cannot go on."""


@dataclass(slots=True)
class Batch:
    """What a chunk held.

    `read` counts its lines, `under` the records (prefix records apart) by their possible prefixes.  `rows` says which
    line each record is from and `begins` how its result begins, both in the order of the lines; `orders` how the lines
    stood that withhold secrets; `last` is the last line's row.
    """

    read: int = 0
    last: int = 0
    records: dict[bytes, PackedRow] = field(
        default_factory=dict
    )  # by key, in the order of the keys
    rows: dict[bytes, int] = field(default_factory=dict)  # by key
    begins: list[bytes] = field(default_factory=list)
    orders: dict[bytes, Order] = field(default_factory=dict)  # by key
    superseded: list[RowError] = field(default_factory=list)
    bare: dict[int, str] = field(default_factory=dict)  # rows that are about a prefix alone
    prefixes: dict[bytes, PrefixRow] = field(default_factory=dict)  # by canonical name
    errors: list[RowError] = field(default_factory=list)
    under: Counter[tuple[bytes, ...]] = field(default_factory=Counter)

    def __getstate__(self) -> tuple[RowColumns, dict[str, object]]:
        """Return what goes from process to process: columns take half the time of rows."""
        names = [each.name for each in fields(self) if each.name != "records"]
        return part_rows(self.records.values()), {name: getattr(self, name) for name in names}

    def __setstate__(self, state: tuple[RowColumns, dict[str, object]]) -> None:
        columns, others = state
        self.records = dict(zip(columns.keys, join_columns(columns), strict=True))
        for name, value in others.items():
            setattr(self, name, value)

    def refuse_prefix(self, name: bytes, reason: str) -> None:
        """Take out the rows that home or delegate a prefix, and say why."""
        key = PREFIX_HANDLE + name
        del self.prefixes[name]
        if key in self.rows:
            if self.begins:
                del self.begins[list(self.rows).index(key)]
            handle = spelling_in(self.records.pop(key))
            self.errors.append(RowError(self.rows.pop(key), handle, reason))
            self.orders.pop(key, None)
        for row, handle in list(self.bare.items()):
            if handle.encode().upper() == key:
                del self.bare[row]
                self.errors.append(RowError(row, handle, reason))
        self.errors.sort()


def encode_chunk(chunk: Chunk, rules: LoadRules) -> Batch:
    """Read and encode the lines of a chunk.  Raises NoSealingKey."""
    batch = Batch(read=len(chunk.errors), last=chunk.last, errors=list(chunk.errors))
    plain = _plain_reader(rules.now, case_sensitive=rules.case_sensitive)
    for row, line in zip(chunk.rows, chunk.lines, strict=True):
        if not line or line.isspace():
            continue
        batch.read += 1
        found = plain.read(line)
        if found is None:
            _read_any(batch, row, line, rules)
        else:
            batch.under[found.prefixes] += 1
            _put(batch, row, found.row)
    batch.errors.sort()
    records = batch.records
    if rules.tells:
        batch.begins = [
            begin_line(row, spelling_in(records[key])) for key, row in batch.rows.items()
        ]
    batch.records = {key: records[key] for key in sorted(records)}
    return batch


def _read_any(batch: Batch, row: int, line: bytes, rules: LoadRules) -> None:
    handle: object = None
    try:
        item = _read_line(line)
        handle = item.get("handle")
        _add(batch, _Line(row, line, item), rules)
    except ValueError as error:
        name = handle if isinstance(handle, str) else ""
        batch.errors.append(RowError(row, name, str(error)))


def _put(batch: Batch, row: int, record: PackedRow, order: Order = _NO_ORDER) -> None:
    """Take a record in, in the place of an earlier one with its name."""
    key = record.key
    if key in batch.records:
        _supersede(batch, batch.records[key], row)
    batch.records[key] = record
    batch.rows[key] = row
    if order:
        batch.orders[key] = order


class _Line(NamedTuple):
    """A line, and what is read from it."""

    row: int
    text: bytes
    item: dict[str, object]


def _read_line(line: bytes) -> dict[str, object]:
    if len(line) >= MAX_LINE_BYTES:
        raise ValueError(f"the row is longer than {MAX_LINE_BYTES} bytes")
    item = orjson.loads(line)
    if not isinstance(item, dict):
        raise ValueError('a row is an object with "handle" and "values"')
    return item


def _add(batch: Batch, line: _Line, rules: LoadRules) -> None:
    item = line.item
    handle = item.get("handle")
    if not isinstance(handle, str):
        raise ValueError('"handle" is missing; a row is an object with "handle" and "values"')
    identifier = parse_handle(handle.encode(), case_sensitive=rules.case_sensitive)
    if identifier.is_prefix_handle and "/" not in handle:
        raise ValueError(f"no identifier; a line that homes a prefix says so: 0.NA/{handle}")
    check_name(identifier)
    if "operation" in item:
        raise ValueError('rows with an "operation" are for `idnode bulk run --kind operations`')
    is_prefix = identifier.is_prefix_handle
    bare = is_prefix and "values" in item and item["values"] is None
    encoded = None if bare else _encode(identifier, line, rules)
    if is_prefix:
        _add_prefix(batch, identifier, item, rules)
    elif "delegated" in item or "homed" in item:
        raise ValueError("only a prefix (0.NA/...) can be delegated")
    else:
        batch.under[identifier.prefixes] += 1
    if encoded is None:
        batch.bare[line.row] = handle
    else:
        record, order = encoded
        _put(batch, line.row, pack_row(record), order)


def _add_prefix(
    batch: Batch, identifier: Identifier, item: dict[str, object], rules: LoadRules
) -> None:
    """A line of a prefix homes or delegates it, unless it says `"homed": false`: then it is but a record."""
    homed = item.get("homed", True)
    if not isinstance(homed, bool):
        raise ValueError('"homed" must be true or false')
    if homed:
        prefix = _prefix_row(identifier, item.get("delegated", rules.delegated))
        batch.prefixes[prefix.prefix] = prefix


def _encode(identifier: Identifier, line: _Line, rules: LoadRules) -> tuple[RecordRow, Order]:
    items, order = line.item.get("values"), _NO_ORDER
    if _WITHHELD in line.text or _ESCAPE in line.text:
        items, order = split_withheld(items)
    values = _reader(rules.now).read(items)
    if order or any(value.is_secret for value in values):
        # No digest: that of a line with a secret would let one guess it, and one that withholds says nothing of it.
        return join_record(identifier, values, seal=_seal(rules.sealing_key)), order
    return join_record(identifier, values, digest_of(line.text)), ()


def _supersede(batch: Batch, record: PackedRow, row: int) -> None:
    """Say that a later row is about this record, which makes room for it."""
    key, handle = record.key, spelling_in(record)
    reason = f"row {row} is about the same handle"
    batch.superseded.append(RowError(batch.rows.pop(key), handle, reason))
    batch.orders.pop(key, None)


@lru_cache(maxsize=1)
def _seal(path: Path) -> Seal:
    """One for all chunks of a load."""
    try:
        return Seal.load_or_make(path)
    except SealError as error:
        raise NoSealingKey(str(error)) from error
    except OSError as error:
        raise NoSealingKey(f"cannot read or make {path}: {error.strerror}") from error


@lru_cache(maxsize=1)
def _plain_reader(now: int, *, case_sensitive: bool) -> PlainReader:
    """One for all chunks of a load."""
    return PlainReader(now, case_sensitive=case_sensitive)


@lru_cache(maxsize=1)
def _reader(now: int) -> ValueReader:
    """One for all chunks of a load."""
    return ValueReader(now)


def _prefix_row(identifier: Identifier, delegated: object) -> PrefixRow:
    if not isinstance(delegated, bool):
        raise ValueError('"delegated" must be true or false')
    name = identifier.key.removeprefix(PREFIX_HANDLE)
    spelling = spelling_of(identifier)[len(PREFIX_HANDLE) :].decode()
    return PrefixRow(name, spelling, PrefixState.DELEGATED if delegated else PrefixState.HOMED)
