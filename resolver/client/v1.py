"""The dialect of our own interface, `/v1/records/…`, on the admin listener: every scheme, history, and its undoing."""

from datetime import datetime

import orjson

from resolver.client.dialect import JSON_HEADERS, is_repeatable, json_of, why, write_headers
from resolver.client.exchange import Asked, Received, path_of
from resolver.client.failures import UNREADABLE, NodeUnreachable, failure
from resolver.client.outcomes import (
    Json,
    Page,
    Record,
    Revision,
    Revisions,
    Written,
    is_replayed,
    names_in,
    number,
    read_object,
    read_record,
    read_refusal,
    text,
    values_in,
    version_of,
)
from resolver.identifier import Identifier
from resolver.registrar import Operation, Write

RECORDS, HISTORY, REVERT = "/v1/records", "/v1/history", "/v1/revert"


def ask_record(identifier: Identifier) -> Asked:
    """Ask for all values that the caller may read."""
    return Asked("GET", path_of(RECORDS, identifier.text), _scheme(identifier))


def read_shown(received: Received, asked: str) -> Record:
    """Read the answer.  Raises Refused, NodeUnreachable."""
    return read_record(_accepted(received), received, asked)


def ask_write(write: Write) -> Asked:
    """Ask for a write: PUT, PATCH, DELETE, or POST for a revert."""
    root = REVERT if write.operation is Operation.REVERT else RECORDS
    path, headers = path_of(root, write.identifier.text), write_headers(write)
    body: Json
    query = _scheme(write.identifier) + why(write)
    match write.operation:
        case Operation.CREATE:
            query += (("overwrite", "true" if write.overwrite else "false"),)
            query += (("mint", "true"),) if write.mint else ()
            method, body = "PUT", {"values": json_of(write.values)}
        case Operation.DELETE:
            return Asked("DELETE", path, query, headers)
        case Operation.REVERT:
            return Asked("POST", path, (*query, ("version", str(write.to_version))), headers)
        case _:
            method, body = "PATCH", _patch(write)
    headers = {**headers, **JSON_HEADERS}
    return Asked(method, path, query, headers, orjson.dumps(body), is_repeatable(write))


def read_written(received: Received, asked: str) -> Written:
    """Read the answer.  Raises Refused, NodeUnreachable."""
    content = _accepted(received)
    handle, created = text(content, "handle") or asked, content.get("created") is True
    return Written(handle, version_of(received), created, is_replayed(received))


def ask_page(prefix: str, after: str, limit: int) -> Asked:
    """Ask for names under a prefix, those after a key."""
    query = (("prefix", prefix), ("limit", str(limit)))
    return Asked("GET", RECORDS, query + ((("after", after),) if after else ()))


def read_page(received: Received, _after: str, _limit: int) -> Page:
    """Read the answer.  Raises Refused, NodeUnreachable."""
    content = _accepted(received)
    return Page(names_in(content), text(content, "after"))


def ask_history(identifier: Identifier, before: int, limit: int) -> Asked:
    """Ask for the newest revisions, those before a version (0: from the newest)."""
    query = (*_scheme(identifier), ("limit", str(limit)))
    return Asked(
        "GET",
        path_of(HISTORY, identifier.text),
        query + ((("before", str(before)),) if before else ()),
    )


def read_history(received: Received) -> Revisions:
    """Read the answer.  Raises Refused, NodeUnreachable."""
    content = _accepted(received)
    listed = content.get("revisions")
    if not isinstance(listed, list):
        raise NodeUnreachable(f"{UNREADABLE}: there is no list of revisions in it")
    return Revisions(tuple(_revision(each) for each in listed), number(content, "before"))


def _revision(item: object) -> Revision:
    if not isinstance(item, dict):
        raise NodeUnreachable(f"{UNREADABLE}: a revision is not an object")
    try:
        datetime.fromisoformat(text(item, "at"))
        operation = Operation(text(item, "operation"))
    except ValueError as error:
        raise NodeUnreachable(f"{UNREADABLE}: {error}") from error
    return Revision(
        version=number(item, "version"),
        serial=number(item, "serial"),
        at=text(item, "at"),
        operation=operation,
        caller=text(item, "caller"),
        means=text(item, "means"),
        origin=text(item, "origin"),
        reason=text(item, "reason"),
        values=None if item.get("values") is None else values_in(item),
    )


def _patch(write: Write) -> Json:
    if write.operation is Operation.REMOVE:
        return {"remove": list(write.indexes)}
    if write.operation is Operation.MODIFY:
        return {"modify": json_of(write.values)}
    return {"add": json_of(write.values), "overwrite": write.overwrite}


def _scheme(identifier: Identifier) -> tuple[tuple[str, str], ...]:
    return (("scheme", identifier.scheme.value),)


def _accepted(received: Received) -> Json:
    if received.status >= 300:
        raise failure(read_refusal(received))
    return read_object(received)
