"""Documents: what our admin listener tells and takes as JSON beside records, such as enterprises and prefixes."""

from typing import NamedTuple

import orjson

from resolver.client.dialect import JSON_HEADERS
from resolver.client.exchange import Asked, Received
from resolver.client.failures import failure
from resolver.client.outcomes import Json, read_object, read_refusal, version_of
from resolver.precondition import etag

NO_CONTENT = 204
_ONCE = frozenset({"POST", "PATCH"})  # carried out twice, these may do harm

Query = tuple[tuple[str, str], ...]


class Document(NamedTuple):
    """A JSON object, and the version that its ETag names (0: it names none)."""

    content: Json
    version: int = 0


def ask_document(
    method: str,
    path: str,
    *,
    query: Query = (),
    body: object = None,
    if_version: int | None = None,
) -> Asked:
    """Ask for a document, or hand one in; `path` is percent-encoded, `body` what becomes JSON (None: no body)."""
    headers = {} if body is None else dict(JSON_HEADERS)
    if if_version is not None:
        headers["If-Match"] = etag(if_version)
    data = None if body is None else orjson.dumps(body)
    return Asked(method, path, query, headers, data, method not in _ONCE)


def read_document(received: Received) -> Document:
    """Read the answer.  Raises Refused, NodeUnreachable."""
    if received.status >= 300:
        raise failure(read_refusal(received))
    content = {} if received.status == NO_CONTENT else read_object(received)
    return Document(content, version_of(received))
