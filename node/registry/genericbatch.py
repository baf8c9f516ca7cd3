"""Batch files of `hdl-genericbatch`: each block becomes a line of NDJSON with its operation.

    CREATE 88.118.8/x                       ADD 88.118.8/x
    1 URL 86400 1110 UTF8 https://…         2 EMAIL 86400 1110 UTF8 a@example.cn
    100 HS_ADMIN 86400 1110 ADMIN 300:111111111111:0.NA/88.118.8

    REMOVE 1,2:88.118.8/x                   HOME 192.0.2.1:2641:TCP
    DELETE 88.118.8/x                       0.NA/88.118.8

A block ends at an empty line, or where the next one begins.  AUTHENTICATE and SESSIONSETUP are passed over, since who
hands in a job has proven already who asks.  `FILE` data is refused: the file would be one of this machine.  Law: what
is wrong with a value is told without its words, one of which may be a secret that slipped; results are kept.
Source: Handle.Net Technical Manual 9, chapter 4.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

import orjson

from node.registry.chunks import BLOCK_BYTES, MAX_CHUNK_LINES, MAX_LINE_BYTES, Chunk, RowError
from resolver.wire import MAX_VALUES

_WITH_VALUES = frozenset({"CREATE", "ADD", "MODIFY"})
_WITH_PREFIXES = frozenset({"HOME", "UNHOME"})
_PASSED_OVER = frozenset({"AUTHENTICATE", "SESSIONSETUP"})
_ALONE = frozenset({"DELETE", "REMOVE"})
_WORDS = _WITH_VALUES | _WITH_PREFIXES | _PASSED_OVER | _ALONE
_VALUE_FIELDS = 5  # index, type, ttl, permissions, kind of data
_REFERENCE = "index:handle"


class _BadBlock(ValueError):
    """The block cannot be read; the message says why."""


@dataclass(slots=True)
class _Block:
    """One operation: its word, what follows it, and the lines below."""

    row: int
    word: str
    rest: str
    lines: list[tuple[int, str]] = field(default_factory=list)


def cut_generic_batch(stream: BinaryIO) -> Iterator[Chunk]:
    """Cut a batch file into chunks of NDJSON.  Raises OSError."""
    chunk, size = Chunk(), 0
    rows: list[int] = []
    for block, end in _blocks(stream):
        for row, line in _convert(block, chunk.errors):
            chunk.lines.append(line)
            rows.append(row)
            size += len(line)
        chunk.end = end
        if size >= BLOCK_BYTES or len(rows) + len(chunk.errors) >= MAX_CHUNK_LINES:
            chunk.rows = rows
            yield chunk
            chunk, rows, size = Chunk(), [], 0
    chunk.rows = rows
    yield chunk


def _convert(block: _Block, errors: list[RowError]) -> list[tuple[int, bytes]]:
    """Return a block's lines with the rows they are from; what is wrong with it goes to the errors."""
    try:
        return [(row, orjson.dumps(item)) for row, item in _items(block)]
    except (ValueError, TypeError) as error:
        name = block.rest.encode(errors="replace").decode()
        reason = "the line is not valid UTF-8" if isinstance(error, TypeError) else str(error)
        errors.append(RowError(block.row, name[:300], reason))
        return []


def _blocks(stream: BinaryIO) -> Iterator[tuple[_Block, int]]:
    """Return the blocks of a file, and the bytes read at the end of each."""
    block: _Block | None = None
    end = 0
    for row, raw in enumerate(iter(lambda: stream.readline(MAX_LINE_BYTES), b""), start=1):
        text = raw.decode("utf-8-sig" if row == 1 else "utf-8", "surrogateescape").strip("\r\n")
        word, _, rest = text.strip().partition(" ")
        is_key = block is not None and block.word == "AUTHENTICATE" and not block.lines
        if block is not None and (not text.strip() or (word.upper() in _WORDS and not is_key)):
            yield block, end
            block = None
        end += len(raw)
        if not text.strip():
            continue
        if block is None:
            block = _Block(row, word.upper(), rest.strip())
        elif len(block.lines) <= 2 * MAX_VALUES:  # beyond that it is refused anyway
            block.lines.append((row, text))
    if block is not None:
        yield block, end


def _items(block: _Block) -> list[tuple[int, dict[str, object]]]:
    word = block.word
    if word in _PASSED_OVER:
        return []
    if word not in _WORDS:
        raise _BadBlock(f"{word[:40]!r} is no operation; write one of {', '.join(sorted(_WORDS))}")
    operation = word.lower()
    if word in _WITH_PREFIXES:
        return [
            (row, {"operation": operation, "handle": text.strip()}) for row, text in block.lines
        ]
    if word == "REMOVE":
        indexes, handle = _split_reference(block.rest, "indexes:handle, such as REMOVE 1,2:88.1/x")
        numbers = [_number(each.strip(), "an index") for each in indexes.split(",")]
        return [(block.row, {"operation": operation, "handle": handle, "indexes": numbers})]
    item: dict[str, object] = {"operation": operation, "handle": block.rest}
    if word in _WITH_VALUES:
        item["values"] = [_value(text) for text in _value_lines(block)]
    elif block.lines:
        raise _BadBlock(f"what stands below {word} belongs to no operation")
    return [(block.row, item)]


def _value_lines(block: _Block) -> list[str]:
    """Join a line that ends in its kind of data with the next one, as the manual prints them."""
    found: list[str] = []
    for _, text in block.lines:
        fields = found[-1].split() if found else []
        if len(fields) == _VALUE_FIELDS and fields[-1] in ("ADMIN", "LIST"):
            found[-1] = f"{found[-1].rstrip()} {text.strip()}"
        else:
            found.append(text)
    return found


def _value(text: str) -> dict[str, object]:
    parts = text.lstrip().split(None, _VALUE_FIELDS - 1)
    if len(parts) < _VALUE_FIELDS:
        raise _BadBlock("a value is: index type ttl permissions UTF8|ADMIN|LIST data")
    index, kind, ttl, permissions, rest = parts
    form, _, data = rest.partition(" ")
    return {
        "index": _number(index, "the index of a value"),
        "type": kind,
        "ttl": _number(ttl, "ttl"),
        "permissions": permissions,
        "data": _data(form.rstrip(), data),
    }


def _data(form: str, data: str) -> object:
    if form == "UTF8":
        return data
    if form == "ADMIN":
        index, rest = _split_reference(data.strip(), "ADMIN index:permissions:handle")
        permissions, handle = _split_reference(rest, "ADMIN index:permissions:handle")
        number = _number(index, "the index of an administrator")
        admin = {"handle": handle, "index": number, "permissions": permissions}
        return {"format": "admin", "value": admin}
    if form == "LIST":
        return {"format": "vlist", "value": _references(data)}
    if form == "FILE":
        raise _BadBlock("FILE data is not read; give it as base64 in NDJSON")
    raise _BadBlock("the fifth word of a value is its kind of data; write UTF8, ADMIN or LIST")


def _references(data: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for each in data.split(";"):
        if each.strip():
            index, handle = _split_reference(each.strip(), f"LIST {_REFERENCE};{_REFERENCE}")
            found.append({"index": _number(index, "the index of a reference"), "handle": handle})
    return found


def _split_reference(text: str, form: str) -> tuple[str, str]:
    left, colon, right = text.partition(":")
    if not (left and colon and right):
        raise _BadBlock(f"write {form}; not {text[:80]!r}")
    return left, right


def _number(text: str, what: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= 10:
        return int(text)
    raise _BadBlock(f"{what} must be a number")
