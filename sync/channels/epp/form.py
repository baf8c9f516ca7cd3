"""The form of an object: its elements, in which order, how often, how long.  No schema of the drafts is public as a
file, so a dataclass is the schema: each field names its element and its limits, and the order of the fields is the
order of the elements.  The same declaration checks a value when it is made, writes it and reads it.
"""

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import Enum
from functools import cache
from typing import Any, TypeVar, cast

from sync.channels.epp.codes import EppError, ResultCode
from sync.channels.epp.markup import Element, is_writable

T = TypeVar("T")
_ROW = "element"


@dataclass(frozen=True, slots=True)
class Kind:
    """One sort of text: the type it has here, and the way to it and back.  `read` raises ValueError."""

    holds: type
    read: Callable[[str], object]
    write: Callable[[Any], str]


def _read_bytes(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error


def _read_number(text: str) -> int:
    if not re.fullmatch("[0-9]{1,4}", text, re.ASCII):
        raise ValueError("not a number of at most four digits")
    return int(text)


def choice(members: type[Enum]) -> Kind:
    """Return the kind of a text that is one of an enumeration's values, numbers or words."""
    by_text = {str(member.value): member for member in members}

    def read(text: str) -> Enum:
        if text not in by_text:
            raise ValueError(
                f"it is one of {', '.join(by_text)}"
            )  # never the text: it may be misplaced
        return by_text[text]

    return Kind(members, read, lambda one: str(one.value))


TEXT = Kind(str, str, str)
NUMBER = Kind(int, _read_number, str)
PHOTO = Kind(bytes, _read_bytes, lambda data: base64.b64encode(data).decode())


@dataclass(frozen=True, slots=True)
class Row:
    """One element of an object.  `longest` counts characters of a text, bytes of a photo, and the number itself."""

    name: str
    kind: Kind | None  # None: the element has elements of its own, those of `make`
    make: type | None
    required: bool
    shortest: int
    longest: int
    pattern: str


def leaf(
    name: str,
    kind: Kind = TEXT,
    longest: int = 0,
    *,
    required: bool = True,
    shortest: int = 1,
    pattern: str = "",
) -> dict[str, Row]:
    """Return the declaration of an element with text, as `metadata` of a field."""
    return {_ROW: Row(name, kind, None, required, shortest, longest, pattern)}


def branch(name: str, make: type, *, required: bool = True) -> dict[str, Row]:
    """Return the declaration of an element with elements, as `metadata` of a field."""
    return {_ROW: Row(name, None, make, required, 0, 0, "")}


def inline(make: type) -> dict[str, Row]:
    """Return the declaration of a value whose elements stand directly in the object, as `metadata` of a field."""
    return {_ROW: Row("", None, make, True, 0, 0, "")}


def rows(make: type) -> tuple[tuple[str, Row], ...]:
    """Return the elements of an object in their order, each with the name of its field."""
    return _rows(make)


@cache
def _rows(make: type) -> tuple[tuple[str, Row], ...]:
    return tuple([(each.name, cast("Row", each.metadata[_ROW])) for each in fields(make)])


def check(value: object) -> None:
    """Check a value against its form; called when it is made.  Raises EppError."""
    for attribute, row in rows(type(value)):
        found = getattr(value, attribute)
        if found is None:
            if row.required:
                raise _missing(row.name)
            continue
        expected = row.kind.holds if row.kind else cast("type", row.make)
        if not isinstance(found, expected) or isinstance(found, bool):
            raise _wrong(row.name, f"is a {type(found).__name__}, not a {expected.__name__}")
        _check_length(row, found)


def encode(value: object, name: str, namespace: str) -> Element:
    """Return a value as an element of this name."""
    children: list[Element] = []
    for attribute, row in rows(type(value)):
        found = getattr(value, attribute)
        if found is None:
            continue
        if row.kind:
            children.append(Element(namespace, row.name, row.kind.write(found)))
        elif row.name:
            children.append(encode(found, row.name, namespace))
        else:
            children += encode(found, "", namespace).children
    return Element(namespace, name, children=tuple(children))


def decode(make: type[T], element: Element) -> T:
    """Return the value that an element holds; its elements have its namespace.  Raises EppError."""
    if element.text or element.attributes:
        raise _syntax(f"{element.name} has elements only; remove its text and attributes")
    left = list(element.children)
    value = _take(make, element, left)
    if left:
        raise _syntax(f"{left[0].name} is not expected here; {element.name} has {_order(make)}")
    return value


def decode_known(make: type[T], element: Element) -> T:
    """Return the value that an element holds, of a server that may say more than we know, and in another order.

    An answer is not refused for that: its command was carried out, whatever we make of the words.  Raises EppError.
    """
    mine = [child for child in element.children if child.namespace == element.namespace]
    first = {child.name: child for child in reversed(mine)}
    left = [first[row.name] for _, row in rows(make) if row.name in first]
    return _take(make, element, left)


def _take(make: type[T], element: Element, left: list[Element]) -> T:
    """Take the elements of an object from the front of those that are left."""
    found: dict[str, object] = {}
    for attribute, row in rows(make):
        here = (left[0].namespace, left[0].name) if left else None
        if row.make and not row.name:
            found[attribute] = _take(row.make, element, left)
        elif here == (element.namespace, row.name):
            found[attribute] = _read(row, left.pop(0))
        elif row.required:
            raise _missing(row.name, _order(make), element.name)
        else:
            found[attribute] = None
    return make(**found)


def _read(row: Row, element: Element) -> object:
    if row.kind is None:
        return decode(cast("type", row.make), element)
    if element.children or element.attributes:
        raise _syntax(f"{row.name} has only text; remove its elements and attributes")
    if not element.text and row.shortest > 0 and not row.required:
        return None  # an empty element for a field that is not given, as many programs write it
    if row.shortest > 0 and not element.text:
        raise _missing(row.name)
    try:
        return row.kind.read(element.text)
    except ValueError as error:
        raise _wrong(row.name, f"cannot be read: {error}") from error


def _check_length(row: Row, found: object) -> None:
    if isinstance(found, Enum) or row.kind is None:
        return
    size = found if isinstance(found, int) else len(cast("str | bytes", found))
    if not row.shortest <= size <= row.longest:
        raise EppError(
            ResultCode.PARAMETER_VALUE_RANGE_ERROR,
            f"{row.name} is {size}; it must lie between {row.shortest} and {row.longest}"
            if isinstance(found, int)
            else f"{row.name} has a length of {size}; {row.shortest} to {row.longest} are allowed",
        )
    if isinstance(found, str):
        _check_text(row, found)


def _check_text(row: Row, text: str) -> None:
    if not is_writable(text):
        raise _wrong(row.name, "has control characters, or spaces around it; remove them")
    if row.pattern and not re.fullmatch(row.pattern, text, re.ASCII):
        raise _wrong(row.name, f"does not have the form {row.pattern}")


def _order(make: type) -> str:
    """The elements of an object, as a reader of an error needs them: those that may be absent in brackets."""
    words = []
    for _, row in rows(make):
        if row.make and not row.name:
            words.append(_order(row.make))
        else:
            words.append(row.name if row.required else f"[{row.name}]")
    return ", ".join(words)


def _missing(name: str, order: str = "", around: str = "") -> EppError:
    where = f" or not in its place; {around} has {order}" if around else "; give it"
    return EppError(ResultCode.REQUIRED_PARAMETER_MISSING, f"{name} is missing{where}")


def _wrong(name: str, why: str) -> EppError:
    return EppError(ResultCode.PARAMETER_VALUE_SYNTAX_ERROR, f"{name} {why}")


def _syntax(message: str) -> EppError:
    return EppError(ResultCode.COMMAND_SYNTAX_ERROR, message)
