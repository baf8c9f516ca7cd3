"""Precondition: on what terms an HTTP request writes, and the ETag that such terms speak of; pure.

The ETag of a record is its version in quotes, and strong: equal tags, equal records.  Source: RFC 9110 §8.8.3, §13.1;
Idempotency-Key is draft-ietf-httpapi-idempotency-key-header, with or without the quotes.
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from resolver.registrar import MUST_EXIST
from resolver.target import Parameters, TargetError

MAX_KEY_CHARACTERS = 255
MAX_REASON_CHARACTERS = 1_024
MUST_NOT_EXIST = 0
KEYS_HONOURED = {"Idempotency-Key-Honoured": "true"}
"""The header of every answer to a write: who sends one again with the same key does it once."""

_VERSION = re.compile(r'"([1-9][0-9]{0,8})"')
_KEY = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Precondition:
    """What a write depends on: `if_version` and `idempotency_key` are those of `resolver.registrar.Write`."""

    if_version: int | None = None
    idempotency_key: str = ""


def etag(version: int) -> str:
    """Return the ETag of a record's version."""
    return f'"{version}"'


def read_precondition(
    if_match: str | None, if_none_match: str | None, idempotency_key: str | None
) -> Precondition:
    """Read the three headers of a write, None where one is absent.  Raises TargetError."""
    if if_match is not None and if_none_match is not None:
        raise TargetError("If-Match and If-None-Match exclude each other; send one of them")
    if if_none_match is not None:
        version: int | None = _read_none_match(if_none_match)
    else:
        version = None if if_match is None else _read_match(if_match)
    return Precondition(version, "" if idempotency_key is None else _read_key(idempotency_key))


def read_reason(parameters: Parameters, header: bytes | None = None) -> str:
    """Return why something is written: `X-Idnode-Reason`, percent-encoded, or else `?reason=`; empty when not said.

    Raises TargetError.
    """
    said = parameters.first(b"reason") or b"" if header is None else unquote_to_bytes(header)
    try:
        reason = said.decode().strip()
    except UnicodeDecodeError as error:
        raise TargetError("reason must be UTF-8") from error
    if len(reason) > MAX_REASON_CHARACTERS or not reason.isprintable():
        raise TargetError(
            f"reason must be one line of at most {MAX_REASON_CHARACTERS} printable characters"
        )
    return reason


def read_etag(text: str) -> int:
    """Return the version that an ETag names; 0 for a tag that is not one of ours."""
    found = _VERSION.fullmatch(text.strip())
    return int(found[1]) if found else 0


def _read_match(text: str) -> int:
    if text.strip() == "*":
        return MUST_EXIST
    version = read_etag(text)
    if not version:
        raise TargetError('If-Match must be one ETag of this record, such as "3", or *')
    return version


def _read_none_match(text: str) -> int:
    if text.strip() != "*":
        raise TargetError("If-None-Match of a write must be *: there must be no record yet")
    return MUST_NOT_EXIST


def _read_key(text: str) -> str:
    key = text.strip()
    if len(key) > 1 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if len(key) > MAX_KEY_CHARACTERS or not _KEY.fullmatch(key):
        raise TargetError(
            f"Idempotency-Key must be 1 to {MAX_KEY_CHARACTERS} visible ASCII characters, such as a UUID"
        )
    return key
