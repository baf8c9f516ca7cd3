"""Canonical JSON (RFC 8785): the one way to write a value, so that the same facts always have the same digest.

Only what a ledger needs: objects, lists, texts, whole numbers up to 2^53 - 1, true and false.  There are no fractions
and no null in it, so nothing of it depends on how a language prints numbers.
"""

import json
from collections.abc import Mapping, Sequence
from typing import NoReturn, TypeAlias

MAX_NUMBER = 2**53 - 1  # what every JSON reader holds exactly (RFC 7493)
MAX_DEPTH = 16

Json: TypeAlias = "bool | int | str | Sequence[Json] | Mapping[str, Json]"


class CanonicalError(ValueError):
    """A value that has no canonical JSON, or bytes that are none; the text says why."""


def canonical(value: Json) -> bytes:
    """Return the canonical JSON of a value.  Raises CanonicalError."""
    try:
        return json.dumps(_ordered(value, 0), ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError as error:
        raise CanonicalError("a text holds half a surrogate pair") from error


def parse_canonical(data: bytes) -> Json:
    """Return the value that these bytes are the canonical JSON of.  Raises CanonicalError."""
    try:
        value: Json = json.loads(
            data.decode(),
            object_pairs_hook=_no_key_twice,
            parse_float=_no_fraction,
            parse_constant=_no_fraction,
        )
    except (ValueError, RecursionError) as error:  # includes UnicodeDecodeError
        raise CanonicalError(f"this is no JSON: {error}") from error
    if canonical(value) != data:
        raise CanonicalError("this JSON is not written in the canonical way")
    return value


def _ordered(value: Json, depth: int) -> Json:
    """The value with the members of its objects in the order of their names' UTF-16 code units (RFC 8785, 3.2.3)."""
    if depth > MAX_DEPTH:
        raise CanonicalError(f"a value is nested at most {MAX_DEPTH} deep")
    if isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        if abs(value) > MAX_NUMBER:
            raise CanonicalError("a number is at most 2^53 - 1")
        return value
    if isinstance(value, Mapping):
        return {name: _ordered(value[name], depth + 1) for name in sorted(value, key=_utf16)}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [
            each
            if type(each) is int and abs(each) <= MAX_NUMBER and depth < MAX_DEPTH
            else _ordered(each, depth + 1)
            for each in value  # most of what stands in lists is numbers
        ]
    raise CanonicalError(f"there is no {type(value).__name__} in canonical JSON")


def _utf16(name: str) -> bytes:
    if not isinstance(name, str):
        raise CanonicalError("the names of members are texts")
    return name.encode("utf-16-be", "surrogatepass")


def _no_key_twice(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise CanonicalError("an object has a member twice")
    return found


def _no_fraction(_text: str) -> NoReturn:
    raise CanonicalError("a number is whole")
