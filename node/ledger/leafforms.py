"""Forms of the fields of a leaf: how a value is written in JSON and read back, with its limits.

Each form has two halves that undo one another; reading raises LeafError for everything that writing never makes.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from node.ledger.canonical import MAX_NUMBER, Json
from node.ledger.keys import NoteError, from_base64, to_base64

HASH_BYTES = 32
CLASSES = 6
MAX_TEXT = 4_096
MAX_ITEMS = 1_024

T = TypeVar("T")

_DIGEST = re.compile("[0-9a-f]{64}")
_DAY = re.compile("[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])")
_MONTH = re.compile("[0-9]{4}-(0[1-9]|1[0-2])")


class LeafError(ValueError):
    """A leaf cannot be written or read; the text says why."""


class Form(NamedTuple):
    """A field: its name in JSON, how its value is written and read, and whether it may be left out (None)."""

    name: str
    write: Callable[[Any], Json]
    read: Callable[[Json], Any]
    is_optional: bool = False


def number(name: str, *, most: int = MAX_NUMBER) -> Form:
    """A whole number from 0."""
    return Form(name, _as_is, lambda value: _number(name, value, most))


def text(name: str, *, pattern: re.Pattern[str] | None = None, is_optional: bool = False) -> Form:
    """A text, of this pattern if one is given."""
    return Form(name, _as_is, lambda value: _text(name, value, pattern), is_optional)


def one_of(name: str, *known: str) -> Form:
    """One of these words."""
    return text(name, pattern=re.compile("|".join(known)))


def digest(name: str, *, is_optional: bool = False) -> Form:
    """A digest of 32 bytes as 64 hexadecimal digits, the way sha256sum prints it; a text here too."""
    return text(name, pattern=_DIGEST, is_optional=is_optional)


def day(name: str) -> Form:
    """A day, such as 2026-11-03."""
    return text(name, pattern=_DAY)


def month(name: str) -> Form:
    """A month, such as 2026-11."""
    return text(name, pattern=_MONTH)


def flag(name: str) -> Form:
    """True or false."""
    return Form(name, _as_is, lambda value: _flag(name, value))


def hash_(name: str) -> Form:
    """A hash of the tree, base64 in JSON, bytes here."""
    return Form(name, to_base64, lambda value: _hash(name, value))


def head(name: str) -> Form:
    """The size and the root of a tree."""
    return Form(name, _write_head, lambda value: _head(name, value))


def numbers(name: str, count: int) -> Form:
    """So many whole numbers from 0."""
    return Form(name, list, lambda value: _numbers(name, value, count))


def texts(name: str) -> Form:
    """A list of texts."""
    return Form(name, list, lambda value: tuple(_text(name, each) for each in _list(name, value)))


def rows(name: str, count: int) -> Form:
    """A list of rows of so many whole numbers from 0."""
    return Form(
        name,
        lambda value: [list(row) for row in value],
        lambda value: tuple(_numbers(name, row, count) for row in _list(name, value)),
    )


def dictionary_rows(name: str, texts_in_row: int) -> Form:
    """A list of rows: a number, and so many texts."""

    def read_row(row: Json) -> tuple[int | str, ...]:
        cells = _list(name, row, texts_in_row + 1)
        return _number(name, cells[0]), *(_text(name, each) for each in cells[1:])

    return Form(
        name,
        lambda value: [list(row) for row in value],
        lambda value: tuple(read_row(row) for row in _list(name, value)),
    )


def named_numbers(name: str) -> Form:
    """An object whose members are whole numbers."""
    return _members(name, _number)


def named_texts(name: str) -> Form:
    """An object whose members are texts."""
    return _members(name, _text)


def optional(form: Form) -> Form:
    """The same field, but it may be left out."""
    return form._replace(is_optional=True)


def _members(name: str, read: Callable[[str, Json], T]) -> Form:
    def read_all(value: Json) -> dict[str, T]:
        if not isinstance(value, Mapping) or len(value) > MAX_ITEMS:
            raise LeafError(f"{name} is an object of at most {MAX_ITEMS} members")
        return {key: read(name, each) for key, each in value.items()}

    return Form(name, dict, read_all)


def _as_is(value: Json) -> Json:
    return value


def _number(name: str, value: Json, most: int = MAX_NUMBER) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise LeafError(f"{name} is a whole number from 0 to {most}")
    return value


def _text(name: str, value: Json, pattern: re.Pattern[str] | None = None) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise LeafError(f"{name} is a text of at most {MAX_TEXT} characters")
    if pattern is not None and pattern.fullmatch(value) is None:
        raise LeafError(f"{name} is not {value!r}")
    return value


def _flag(name: str, value: Json) -> bool:
    if not isinstance(value, bool):
        raise LeafError(f"{name} is true or false")
    return value


def _hash(name: str, value: Json) -> bytes:
    try:
        data = from_base64(_text(name, value))
    except NoteError as error:
        raise LeafError(f"{name}: {error}") from error
    if len(data) != HASH_BYTES:
        raise LeafError(f"{name} has {HASH_BYTES} bytes")
    return data


def _write_head(value: tuple[int, bytes]) -> Json:
    return [value[0], to_base64(value[1])]


def _head(name: str, value: Json) -> tuple[int, bytes]:
    size, root = _list(name, value, 2)
    return _number(name, size), _hash(name, root)


def _numbers(name: str, value: Json, count: int) -> tuple[int, ...]:
    return tuple(_number(name, each) for each in _list(name, value, count))


def _list(name: str, value: Json, count: int | None = None) -> Sequence[Json]:
    if not isinstance(value, list) or len(value) > MAX_ITEMS:
        raise LeafError(f"{name} is a list of at most {MAX_ITEMS} items")
    if count is not None and len(value) != count:
        raise LeafError(f"{name} has {count} items")
    return value
