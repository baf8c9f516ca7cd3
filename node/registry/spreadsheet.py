"""CSV load files: each handle becomes one line of NDJSON, so that there is one way from there on.

The head line names the columns, in any order: `handle,index,type,data` and, if wanted, `ttl` and
`permissions`.  One value a row; the rows of one handle stand beside each other.  An empty `ttl` or
`permissions` means the usual.  Data is text, unless it is a JSON object with a format, such as
`{"format":"admin","value":{...}}`.  A `0.NA/` row with nothing but the handle is a prefix without
values.  A handle with a row that cannot be read is not loaded at all.  An export adds the columns
`timestamp`, `references`, `delegated` and `homed`.

A spreadsheet takes a text that begins with `=`, `+`, `-`, `@`, tab or a line end for a formula.  An apostrophe in front
of such a text, or of another apostrophe, is taken away here and put there by an export.
"""

import csv
import io
from collections.abc import Iterator
from itertools import groupby
from typing import BinaryIO, NamedTuple

import orjson

from node.registry.chunks import BLOCK_BYTES, MAX_CHUNK_LINES, MAX_LINE_BYTES, Chunk, RowError

REQUIRED_COLUMNS = ("handle", "index", "type", "data")
OPTIONAL_COLUMNS = ("ttl", "permissions", "timestamp", "references")
PREFIX_COLUMNS = ("delegated", "homed")  # of the first row of a 0.NA/ handle
EXPORTED_COLUMNS = (*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS, *PREFIX_COLUMNS)
FORMATTED = '{"format"'

_TEXT_COLUMNS = ("handle", "type", "data")
_FORMULA = frozenset("=+-@\t\r\n＝＋－＠'")
_FLAGS = {"true": True, "false": False}


class BadHead(ValueError):
    """The head line does not name the columns, so nothing in the file can be read."""


def escape_formula(text: str) -> str:
    """Return a text as a spreadsheet shows it and does not reckon with it."""
    return f"'{text}" if text[:1] in _FORMULA and text else text


def unescape_formula(text: str) -> str:
    """Undo `escape_formula`."""
    return text[1:] if text[:1] == "'" and text[1:2] in _FORMULA and len(text) > 1 else text


class _Row(NamedTuple):
    number: int
    handle: str
    value: dict[str, str]
    fault: str = ""


def cut_spreadsheet(stream: BinaryIO) -> Iterator[Chunk]:
    """Cut CSV into chunks.  Raises BadHead, OSError."""
    text = io.TextIOWrapper(stream, "utf-8-sig", errors="surrogateescape", newline="")
    seen: set[int] = set()  # hashes of handles: 100 MB for a million
    lines: list[bytes] = []
    rows: list[int] = []
    errors: list[RowError] = []
    size = 0
    for handle, group in groupby(_read_rows(text), key=lambda row: row.handle):
        try:
            found = list(group)
            line = _join(found, again=hash(handle) in seen)
            lines.append(line)
            rows.append(found[0].number)
            size += len(line)
        except _RefusedRow as refused:
            errors.append(refused.error)
        seen.add(hash(handle))
        if size >= BLOCK_BYTES or len(lines) + len(errors) >= MAX_CHUNK_LINES:
            yield Chunk(lines, rows, errors, _position(stream))
            lines, rows, errors, size = [], [], [], 0
    yield Chunk(lines, rows, errors, _position(stream))
    text.detach()


class _RefusedRow(Exception):
    def __init__(self, row: _Row, reason: str) -> None:
        handle = row.handle.encode(errors="replace").decode()
        self.error = RowError(row.number, handle, reason)


def _read_rows(text: io.TextIOWrapper) -> Iterator[_Row]:
    csv.field_size_limit(MAX_LINE_BYTES)
    reader = csv.reader(text, strict=True)
    columns = _read_head(reader)
    place = columns.index("handle")
    while True:
        try:
            fields = next(reader, None)
        except csv.Error as error:
            yield _Row(reader.line_num, "", {}, str(error))
            continue
        if fields is None:
            return
        if len(fields) == len(columns):
            value = dict(zip(columns, fields, strict=True))
            value |= {name: unescape_formula(value[name]) for name in _TEXT_COLUMNS}
            yield _Row(reader.line_num, value["handle"], value)
        elif fields:
            handle = fields[place] if place < len(fields) else ""
            fault = f"{len(fields)} fields; the head line names {len(columns)}"
            yield _Row(reader.line_num, handle, {}, fault)


def _read_head(reader: Iterator[list[str]]) -> list[str]:
    try:
        columns = [name.strip().lower() for name in next(reader, [])]
    except csv.Error as error:
        raise BadHead(f"the first line of the CSV file cannot be read: {error}") from error
    known = set(EXPORTED_COLUMNS)
    if set(REQUIRED_COLUMNS) <= set(columns) <= known and len(set(columns)) == len(columns):
        return columns
    shown = ",".join(columns).encode(errors="replace").decode()
    raise BadHead(
        "the first line of a CSV file names its columns: handle,index,type,data and, if wanted,"
        f" ttl,permissions; this one is {shown!r:.100}"
    )


def _join(group: list[_Row], *, again: bool) -> bytes:
    """Return the line of NDJSON of one handle.  Raises _RefusedRow."""
    for row in group:
        if row.fault:
            raise _RefusedRow(row, row.fault)
    if again:
        raise _RefusedRow(group[0], "the rows of a handle must stand beside each other")
    bare = len(group) == 1 and _is_bare_prefix(group[0])
    values = [] if bare else [_value(row) for row in group]
    try:
        return orjson.dumps({"handle": group[0].handle, **_flags(group[0]), "values": values})
    except TypeError as error:
        raise _RefusedRow(group[0], "the row is not valid UTF-8") from error


def _is_bare_prefix(row: _Row) -> bool:
    return row.handle[:5].upper() == "0.NA/" and not any(
        row.value[name] for name in REQUIRED_COLUMNS[1:]
    )


def _value(row: _Row) -> dict[str, object]:
    value: dict[str, object] = {name: row.value[name] for name in REQUIRED_COLUMNS[1:]}
    value |= {name: row.value[name] for name in OPTIONAL_COLUMNS if row.value.get(name)}
    if row.value["data"].startswith(FORMATTED):
        value["data"] = _json(row, "data")
    if "references" in value:
        value["references"] = _json(row, "references")
    return value


def _json(row: _Row, name: str) -> object:
    try:
        return orjson.loads(row.value[name])
    except ValueError as error:
        raise _RefusedRow(row, f"{name} is not JSON: {error}") from error


def _flags(row: _Row) -> dict[str, bool]:
    """Return what the row says of its prefix.  Raises _RefusedRow."""
    found = {}
    for name in PREFIX_COLUMNS:
        text = row.value.get(name, "").lower()
        if text and text not in _FLAGS:
            raise _RefusedRow(row, f"{name} must be true, false or empty")
        if text:
            found[name] = _FLAGS[text]
    return found


def _position(stream: BinaryIO) -> int:
    return stream.tell() if stream.seekable() else 0
