"""Outcomes: what the methods of the client return, and the JSON they are read from."""

from typing import NamedTuple

import orjson

from resolver.client.exchange import Received
from resolver.client.failures import UNREADABLE, Fault, NodeUnreachable, Refusal
from resolver.handlejson import HandleJsonError, values_from_json
from resolver.precondition import read_etag
from resolver.registrar import Operation
from resolver.wire import HandleValue

Json = dict[str, object]


class Record(NamedTuple):
    """A record: its own spelling, its version (0: the server does not say), the values that the caller may read."""

    handle: str
    version: int
    values: tuple[HandleValue, ...]


class Written(NamedTuple):
    """What a write has done: the record's spelling (a minted one, too) and its version afterwards.

    `created`: nothing that was there has been replaced.  `replayed`: an earlier write with the same idempotency key
    had done it already.
    """

    handle: str
    version: int = 0
    created: bool = False
    replayed: bool = False


class Page(NamedTuple):
    """Names in their order; `after` is what asks for the next page, empty at the end."""

    names: tuple[str, ...]
    after: str = ""


class Revision(NamedTuple):
    """One step in the life of a record; `values` is None after a deletion, and holds no secret keys."""

    version: int
    serial: int
    at: str  # ISO 8601, UTC
    operation: Operation
    caller: str
    means: str
    origin: str
    reason: str
    values: tuple[HandleValue, ...] | None


class Revisions(NamedTuple):
    """The newest revisions first; `before` is what asks for older ones, 0 at the end."""

    revisions: tuple[Revision, ...]
    before: int = 0


def read_object(received: Received) -> Json:
    """Return the JSON object of an answer.  Raises NodeUnreachable."""
    content = _object_or_none(received)
    if content is None:
        raise NodeUnreachable(f"{UNREADABLE}: HTTP status {received.status}, and no JSON object")
    return content


def read_refusal(received: Received) -> Refusal:
    """Return what an answer says that is not what was asked for; of one without JSON, the status alone."""
    content = _object_or_none(received) or {}
    return Refusal(
        status=received.status,
        code=number(content, "responseCode"),
        message=text(content, "detail") or text(content, "message"),
        version=number(content, "version") or version_of(received),
        deleted_at=text(content, "at"),
        reason=text(content, "reason"),
        kind=text(content, "type").rpartition("#")[2],
        faults=_faults_in(content),
    )


def read_record(content: Json, received: Received, asked: str) -> Record:
    """Return the record in an answer.  Raises NodeUnreachable."""
    return Record(text(content, "handle") or asked, version_of(received), values_in(content))


def values_in(content: Json) -> tuple[HandleValue, ...]:
    """Return the values in an object.  Raises NodeUnreachable."""
    try:
        return values_from_json(content.get("values") or [], now=0, keep_timestamps=True)
    except HandleJsonError as error:
        raise NodeUnreachable(f"{UNREADABLE}: {error}") from error


def names_in(content: Json) -> tuple[str, ...]:
    """Return the list of names in an object.  Raises NodeUnreachable."""
    names = content.get("handles")
    if not isinstance(names, list):
        raise NodeUnreachable(f"{UNREADABLE}: there is no list of handles in it")
    return tuple(str(name) for name in names)


def version_of(received: Received) -> int:
    """Return the version that the ETag of an answer names; 0 when it names none."""
    return read_etag(received.headers.get("etag", ""))


def is_replayed(received: Received) -> bool:
    """True when the answer is what an earlier write with the same idempotency key was told."""
    return received.headers.get("idempotent-replayed") == "true"


def number(content: Json, name: str) -> int:
    """Return a whole number, 0 for anything else."""
    found = content.get(name)
    return found if type(found) is int else 0


def text(content: Json, name: str) -> str:
    """Return a text, empty for anything else."""
    found = content.get(name)
    return found if isinstance(found, str) else ""


def _faults_in(content: Json) -> tuple[Fault, ...]:
    listed = content.get("faults")
    faults = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    return tuple(Fault(*(text(each, name) for name in Fault._fields)) for each in faults)


def _object_or_none(received: Received) -> Json | None:
    try:
        content = orjson.loads(received.body)
    except orjson.JSONDecodeError:
        return None
    return content if isinstance(content, dict) else None
