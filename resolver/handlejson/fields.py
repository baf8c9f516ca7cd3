"""Single fields of Handle JSON, checked as they are read; and the one error of the package."""

import base64
import binascii

MAX_INDEX = 0x7FFF_FFFF  # an int in every client

Json = dict[str, object]


class HandleJsonError(ValueError):
    """The JSON is not a handle value; the message says which part, and what it should be."""


def expect_object(value: object, what: str) -> Json:
    """Return the value if it is a JSON object.  Raises HandleJsonError."""
    if isinstance(value, dict):
        return value
    raise HandleJsonError(f"{what} must be an object, not {value!r:.40}")


def expect_list(value: object, what: str, limit: int) -> list[object]:
    """Return the value if it is a JSON array of at most `limit` items.  Raises HandleJsonError."""
    if not isinstance(value, list):
        raise HandleJsonError(f"{what} must be an array, not {value!r:.40}")
    if len(value) > limit:
        raise HandleJsonError(f"{what}: {len(value)} items; at most {limit} are allowed")
    return value


def read_number(value: object, what: str, limit: int) -> int:
    """Return a number from 0 to `limit`, given as integer or as digits.  Raises HandleJsonError."""
    if type(value) is int and 0 <= value <= limit:  # the usual case first; True is no number
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 20:
        return read_number(int(value), what, limit)
    raise HandleJsonError(f"{what} must be a number from 0 to {limit}, not {value!r:.40}")


def read_text(value: object, what: str) -> bytes:
    """Return a JSON string as UTF-8.  Raises HandleJsonError."""
    if not isinstance(value, str):
        raise HandleJsonError(f"{what} must be a string, not {value!r:.40}")
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        raise HandleJsonError(f"{what} holds half of a surrogate pair") from error


def write_text(data: bytes) -> str:
    """Return UTF-8 as a JSON string.  Raises HandleJsonError."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise HandleJsonError("a text that is not UTF-8 has no JSON form") from error


def read_base64(value: object, what: str) -> bytes:
    """Return what a base64 string stands for.  Raises HandleJsonError."""
    try:
        return base64.b64decode(read_text(value, what), validate=True)
    except binascii.Error as error:
        raise HandleJsonError(f"{what} is not base64: {error}") from error
