"""CSV load files: each handle becomes one line of NDJSON, so that there is one way from there on.

The head line names the columns, in any order: `handle,index,type,data` and, if wanted, `ttl` and
`permissions`.  One value a row; the rows of one handle stand beside each other.  An empty `ttl` or
`permissions` means the usual.  Data is text, unless it is a JSON object with a format, such as
`{"format":"admin","value":{...}}`.  A `0.NA/` row with nothing but the handle is a prefix without
values.  A handle with a row that cannot be read is not loaded at all.
"""

import csv
import io
from collections.abc import Iterator
from itertools import groupby
from typing import BinaryIO, NamedTuple

import orjson

from node.registry.chunks import BLOCK_BYTES, MAX_CHUNK_LINES, MAX_LINE_BYTES, Chunk, RowError

REQUIRED_COLUMNS = ("handle", "index", "type", "data")
OPTIONAL_COLUMNS = ("ttl", "permissions")

_FORMATTED = '{"format"'


class BadHead(ValueError):
    """The head line does not name the columns, so nothing in the file can be read."""


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
            yield _Row(reader.line_num, fields[place], dict(zip(columns, fields, strict=True)))
        elif fields:
            handle = fields[place] if place < len(fields) else ""
            fault = f"{len(fields)} fields; the head line names {len(columns)}"
            yield _Row(reader.line_num, handle, {}, fault)


def _read_head(reader: Iterator[list[str]]) -> list[str]:
    try:
        columns = [name.strip().lower() for name in next(reader, [])]
    except csv.Error as error:
        raise BadHead(f"the first line of the CSV file cannot be read: {error}") from error
    known = {*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS}
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
        return orjson.dumps({"handle": group[0].handle, "values": values})
    except TypeError as error:
        raise _RefusedRow(group[0], "the row is not valid UTF-8") from error


def _is_bare_prefix(row: _Row) -> bool:
    return row.handle[:5].upper() == "0.NA/" and not any(
        row.value[name] for name in REQUIRED_COLUMNS[1:]
    )


def _value(row: _Row) -> dict[str, object]:
    value: dict[str, object] = {name: row.value[name] for name in REQUIRED_COLUMNS[1:]}
    value |= {name: row.value[name] for name in OPTIONAL_COLUMNS if row.value.get(name)}
    if row.value["data"].startswith(_FORMATTED):
        try:
            value["data"] = orjson.loads(row.value["data"])
        except ValueError as error:
            raise _RefusedRow(row, f"data is not a JSON object: {error}") from error
    return value


def _position(stream: BinaryIO) -> int:
    return stream.tell() if stream.seekable() else 0
