"""Target: what an HTTP request asks for: the name in its path, its parameters, its taste in formats and languages.

Laws: a path is percent-decoded once, from the raw bytes; `+` in it is a plus, `%2F` a slash, and `//` stays two
slashes.  In parameters `+` is a space.  Bytes that are no UTF-8 stay what they are until somebody has to show them.
"""

from collections.abc import AsyncIterable
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

import orjson

from resolver.identifier import Scheme

MAX_PARAMETERS = 512  # names and values of one request, its body included
MAX_PARAMETER_BYTES = 65_536  # of a query, or of a form or JSON body that holds parameters
MAX_INDEX = 2**31 - 1  # Handle clients count in signed 32 bits
_TRUE_WORDS = frozenset({b"", b"yes", b"true"})
_INDEX_DIGITS = 10
_JSON_RANGES = {"application/json": 2, "application/*": 1, "*/*": 0}
_HTML_RANGES = {"text/html": 2, "text/*": 1, "*/*": 0}
_CHINESE_RANGES = {"zh-cn": 3, "zh-hans": 2, "zh": 1, "*": 0}
_ENGLISH_RANGES = {"en-us": 3, "en-gb": 2, "en": 1, "*": 0}


class TargetError(ValueError):
    """The request cannot be understood; the message says which part and what would be right."""


class BodyTooLarge(Exception):
    """The request's body is longer than its limit."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of a request in the order they came, names and values decoded to bytes."""

    pairs: tuple[tuple[bytes, bytes], ...] = ()

    def __add__(self, more: "Parameters") -> "Parameters":
        return _limited(self.pairs + more.pairs)

    def all(self, name: bytes) -> tuple[bytes, ...]:
        """Return every value of a repeatable parameter."""
        return tuple(value for key, value in self.pairs if key == name)

    def first(self, name: bytes) -> bytes | None:
        """Return the first value, or None when the parameter is absent."""
        return next((value for key, value in self.pairs if key == name), None)

    def flag(self, name: bytes, *, absent: bool = False) -> bool:
        """Read a boolean as the reference does: empty, `yes` and `true` in any case are true, all else is false."""
        value = self.first(name)
        return absent if value is None else value.lower() in _TRUE_WORDS

    def indexes(self, name: bytes = b"index") -> tuple[int, ...]:
        """Return the value indexes that are asked for.  Raises TargetError for anything that is no number."""
        return tuple(_index(text) for text in self.all(name))

    def readable_indexes(self, name: bytes = b"index") -> tuple[int, ...]:
        """Return the value indexes that are asked for, without those that are no numbers."""
        return tuple(_index(text) for text in self.all(name) if _is_index(text))

    def scheme(self) -> Scheme | None:
        """Return the scheme that `?scheme=` names, None for detection.  Raises TargetError."""
        name = self.first(b"scheme")
        if not name:
            return None
        try:
            return Scheme(name.decode(errors="replace").lower())
        except ValueError as error:
            raise TargetError(f"no such scheme; there are {', '.join(Scheme)}") from error


def decode_path(raw_path: bytes, root: bytes) -> bytes:
    """Return what follows `root` in a raw request path, percent-decoded; empty when nothing does."""
    return unquote_to_bytes(raw_path).removeprefix(root)


def parse_query(query: bytes, separators: bytes = b"&") -> Parameters:
    """Split a query or a form.  Raises TargetError when it is too long or has too many parameters."""
    if len(query) > MAX_PARAMETER_BYTES:
        raise TargetError(f"the parameters are longer than {MAX_PARAMETER_BYTES} bytes")
    for other in separators[1:]:
        query = query.replace(bytes([other]), separators[:1])
    fields = [field for field in query.split(separators[:1], MAX_PARAMETERS + 1) if field]
    return _limited(tuple(_pair(field) for field in fields))


def parse_json_parameters(body: bytes) -> Parameters:
    """Read parameters from a JSON object: text, numbers, true and false, or lists of them.  Raises TargetError."""
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise TargetError(f"the body is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise TargetError("the body must be a JSON object of parameters")
    items = [
        (name.encode(), _json_text(name, item))
        for name, value in content.items()
        for item in (value if isinstance(value, list) else [value])
    ]
    return _limited(tuple(items))


def parse_body(content_type: str, body: bytes) -> Parameters:
    """Read the parameters that a POST carries in a form or JSON body.  Raises TargetError for other types."""
    media_type = content_type.partition(";")[0].strip().lower()
    if not body:
        return Parameters()
    if media_type == "application/json":
        return parse_json_parameters(body)
    if media_type == "application/x-www-form-urlencoded":
        return parse_query(body)
    raise TargetError(f"Unsupported media type {media_type or '(none)'}")


async def read_body(chunks: AsyncIterable[bytes], limit: int) -> bytes:
    """Join the pieces of a body of at most `limit` bytes.  Raises BodyTooLarge."""
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > limit:
            raise BodyTooLarge(f"the body is longer than {limit} bytes")
    return bytes(body)


def prefers_json(accept: str) -> bool:
    """True when an Accept header ranks JSON above HTML; absent or undecided means HTML."""
    return bool(accept) and _quality(accept, _JSON_RANGES) > _quality(accept, _HTML_RANGES)


def prefers_chinese(accept_language: str) -> bool:
    """True when an Accept-Language header ranks Chinese above English; absent or undecided means English."""
    chinese = _quality(accept_language, _CHINESE_RANGES)
    return chinese > 0 and chinese > _quality(accept_language, _ENGLISH_RANGES)


def _limited(pairs: tuple[tuple[bytes, bytes], ...]) -> Parameters:
    if len(pairs) > MAX_PARAMETERS:
        raise TargetError(f"more than {MAX_PARAMETERS} parameters")
    return Parameters(pairs)


def _pair(field: bytes) -> tuple[bytes, bytes]:
    name, _, value = field.partition(b"=")
    return _unescape(name), _unescape(value)


def _unescape(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b"+", b" "))


def _json_text(name: str, value: object) -> bytes:
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, str | int):
        return str(value).encode()
    raise TargetError(f"parameter {name!r} must be text, a number, true, false or a list of them")


def _is_index(text: bytes) -> bool:
    digits = text[1:] if text[:1] in (b"-", b"+") else text
    return digits.isdigit() and len(digits) <= _INDEX_DIGITS and abs(int(text)) <= MAX_INDEX


def _index(text: bytes) -> int:
    if not _is_index(text):
        raise TargetError(f"index {text.decode(errors='replace')!r} is not a number")
    return int(text)


def _quality(accept: str, ranges: dict[str, int]) -> float:
    """Return the weight of the most specific media range that matches (RFC 9110 §12.5.1)."""
    best, weight = -1, 0.0
    for item in accept.lower().split(","):
        media_range, *parameters = (part.strip() for part in item.split(";"))
        rank = ranges.get(media_range, -1)
        if rank > best:
            best, weight = rank, _weight(parameters)
    return weight


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
