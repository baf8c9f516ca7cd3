"""The dialect of the Handle JSON API, `/api/handles/…`: records of every Handle server (spec 2.6, 2.7).

It has no history, does not revert, and pages a list by numbers.
"""

import orjson

from resolver.client.dialect import JSON_HEADERS, is_repeatable, json_of, why, write_headers
from resolver.client.exchange import Asked, Received, path_of
from resolver.client.failures import UNREADABLE, NodeUnreachable, failure
from resolver.client.outcomes import (
    Json,
    Page,
    Record,
    Written,
    is_replayed,
    names_in,
    read_object,
    read_record,
    read_refusal,
    text,
    version_of,
)
from resolver.client.resolution import wire_name
from resolver.identifier import Identifier
from resolver.registrar import Operation, Write
from resolver.wire import ResponseCode

ROOT = "/api/handles"
_REMOVING = frozenset({Operation.REMOVE, Operation.DELETE})


def ask_record(identifier: Identifier) -> Asked:
    """Ask for all values that the caller may read, past all caches."""
    return Asked("GET", path_of(ROOT, wire_name(identifier)), (("auth", "true"),))


def read_shown(received: Received, asked: str) -> Record:
    """Read the answer; a record without values is one.  Raises Refused, NodeUnreachable."""
    return read_record(_accepted(received, ResponseCode.VALUES_NOT_FOUND), received, asked)


def ask_write(write: Write) -> Asked:
    """Ask for a write: PUT or DELETE, of the whole record or, with indexes, of some values."""
    path, headers = path_of(ROOT, wire_name(write.identifier)), write_headers(write)
    indexes = write.indexes or tuple(value.index for value in write.values)
    if write.operation is Operation.CREATE:
        indexes = ()
    query = tuple(("index", str(index)) for index in indexes) + why(write)
    if write.operation in _REMOVING:
        return Asked("DELETE", path, query, headers)
    overwrite = write.overwrite or write.operation is Operation.MODIFY
    query += (("overwrite", "true" if overwrite else "false"),)
    query += (("mintNewSuffix", "true"),) if write.mint else ()
    body = orjson.dumps({"values": json_of(write.values)})
    headers = {**headers, **JSON_HEADERS}
    return Asked("PUT", path, query, headers, body, is_repeatable(write))


def read_written(received: Received, asked: str) -> Written:
    """Read the answer.  Raises Refused, NodeUnreachable."""
    handle = text(_accepted(received), "handle") or asked
    return Written(handle, version_of(received), received.status == 201, is_replayed(received))


def ask_page(prefix: str, after: str, limit: int) -> Asked:
    """Ask for names under a prefix; `after` is the number of the page, from 0."""
    query = (("prefix", prefix), ("page", after or "0"), ("pageSize", str(limit)))
    return Asked("GET", ROOT, query)


def read_page(received: Received, after: str, limit: int) -> Page:
    """Read the answer.  Raises Refused, NodeUnreachable."""
    names = names_in(_accepted(received))
    return Page(names, str(int(after or "0") + 1) if len(names) >= limit else "")


def _accepted(received: Received, *codes: ResponseCode) -> Json:
    refusal = read_refusal(received)
    if received.status < 300 and not refusal.code:
        raise NodeUnreachable(f"{UNREADABLE}: it has no responseCode")
    if received.status >= 300 or refusal.code not in (ResponseCode.SUCCESS, *codes):
        raise failure(refusal)
    return read_object(received)
