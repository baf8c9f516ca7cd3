"""Rows of operations: a line of NDJSON that says what to do becomes a write; pure.

    {"operation": "create", "handle": "88.118.8/x", "values": [...], "overwrite": true}
    {"operation": "add" | "modify", "handle": ..., "values": [...]}
    {"operation": "remove", "handle": ..., "indexes": [1, 2]}
    {"operation": "delete" | "home" | "unhome", "handle": ...}

`reason` (of this row) and `if_version` (the version that must be there) may stand in each.
"""

from dataclasses import dataclass
from typing import NamedTuple

import orjson

from node.registry.chunks import MAX_LINE_BYTES, Chunk, RowError
from node.registry.names import check_name
from resolver.handlejson import values_from_json
from resolver.handlejson.fields import MAX_INDEX, expect_list, read_number
from resolver.identifier import Identifier
from resolver.precondition import MAX_REASON_CHARACTERS
from resolver.registrar import Caller, Operation, Write
from resolver.schemes import parse_handle
from resolver.wire import MAX_VALUES, HandleValue

_ROW_OPERATIONS = {each.value: each for each in Operation if each is not Operation.REVERT}
_WITH_VALUES = frozenset({Operation.CREATE, Operation.ADD, Operation.MODIFY})
_WITH_OVERWRITE = frozenset({Operation.CREATE, Operation.ADD})
_ON_PREFIXES = frozenset({Operation.HOME, Operation.UNHOME})

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class RowRules:
    """Who asks, from where, and why if the row does not say; and whether handles differ by case."""

    caller: Caller
    origin: str
    reason: str
    now: int
    case_sensitive: bool


class RowWrite(NamedTuple):
    """A write, and the row it is from."""

    row: int
    handle: str
    write: Write


def read_rows(chunk: Chunk, rules: RowRules) -> tuple[list[RowWrite], list[RowError]]:
    """Read the lines of a chunk: writes in their order, and rows that are none."""
    writes, errors = [], list(chunk.errors)
    for row, line in zip(chunk.rows, chunk.lines, strict=True):
        if not line or line.isspace():
            continue
        handle: object = None
        try:
            item = _read_line(line)
            handle = item.get("handle")
            writes.append(RowWrite(row, str(handle), _write(item, rules)))
        except ValueError as error:
            errors.append(RowError(row, handle if isinstance(handle, str) else "", str(error)))
    return writes, errors


def _read_line(line: bytes) -> Json:
    if len(line) >= MAX_LINE_BYTES:
        raise ValueError(f"the row is longer than {MAX_LINE_BYTES} bytes")
    item = orjson.loads(line)
    if not isinstance(item, dict):
        raise ValueError('a row is an object with "operation" and "handle"')
    return item


def _write(item: Json, rules: RowRules) -> Write:
    operation = _operation(item.get("operation"))
    version = item.get("if_version")
    return Write(
        operation=operation,
        identifier=_identifier(item.get("handle"), operation, rules),
        values=_values(item, operation, rules.now),
        indexes=_indexes(item, operation),
        overwrite=_overwrite(item, operation),
        caller=rules.caller,
        origin=rules.origin,
        reason=_reason(item.get("reason"), rules.reason),
        if_version=None if version is None else read_number(version, "if_version", MAX_INDEX),
    )


def _operation(name: object) -> Operation:
    found = _ROW_OPERATIONS.get(name.lower()) if isinstance(name, str) else None
    if found is None:
        raise ValueError(f'"operation" is {name!r:.40}; write one of {", ".join(_ROW_OPERATIONS)}')
    return found


def _identifier(handle: object, operation: Operation, rules: RowRules) -> Identifier:
    if not isinstance(handle, str):
        raise ValueError('"handle" is missing')
    identifier = parse_handle(handle.encode(), case_sensitive=rules.case_sensitive)
    if operation in _ON_PREFIXES and not identifier.is_prefix_handle:
        raise ValueError(f"{operation} names a prefix, such as 0.NA/88.118")
    if identifier.is_prefix_handle and "/" not in handle:
        raise ValueError(f"no identifier; a prefix is written 0.NA/{handle}")
    if operation is Operation.CREATE:
        check_name(identifier)
    return identifier


def _values(item: Json, operation: Operation, now: int) -> tuple[HandleValue, ...]:
    if operation not in _WITH_VALUES:
        if item.get("values"):
            raise ValueError(f'{operation} takes no "values"')
        return ()
    return tuple(values_from_json(item.get("values"), now=now))


def _indexes(item: Json, operation: Operation) -> tuple[int, ...]:
    if operation is not Operation.REMOVE:
        if item.get("indexes"):
            raise ValueError(f'{operation} takes no "indexes"')
        return ()
    given = expect_list(item.get("indexes"), "indexes", MAX_VALUES)
    return tuple([read_number(each, "an index", MAX_INDEX) for each in given])


def _overwrite(item: Json, operation: Operation) -> bool:
    overwrite = item.get("overwrite", False)
    if not isinstance(overwrite, bool):
        raise ValueError('"overwrite" must be true or false')
    if overwrite and operation not in _WITH_OVERWRITE:
        raise ValueError(f"{operation} does not know overwrite")
    return overwrite


def _reason(given: object, otherwise: str) -> str:
    if given is None:
        return otherwise
    if not isinstance(given, str) or len(given) > MAX_REASON_CHARACTERS or not given.isprintable():
        raise ValueError(f"reason is a line of at most {MAX_REASON_CHARACTERS} characters")
    return given
