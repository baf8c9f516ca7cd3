"""Dialect: what the two interfaces over which records are written have in common; each is a module with these names.

`resolver.client.handles` speaks the Handle JSON API, which every Handle server has; `resolver.client.v1` ours, on the
admin listener, which can do more.
"""

from collections.abc import Mapping
from typing import Protocol

import orjson

from resolver.client.exchange import KEY_HEADER, Asked, Received
from resolver.client.outcomes import Page, Record, Written
from resolver.handlejson import values_to_json
from resolver.identifier import Identifier
from resolver.precondition import MUST_NOT_EXIST, etag
from resolver.registrar import MUST_EXIST, Operation, Write
from resolver.wire import HandleValue

JSON_HEADERS = {"Content-Type": "application/json"}


class Dialect(Protocol):
    """What each interface's module offers: pairs of a request and the reading of its answer."""

    def ask_record(self, identifier: Identifier) -> Asked:
        """Ask for all values that the caller may read."""
        ...

    def read_shown(self, received: Received, asked: str) -> Record:
        """Read the answer.  Raises Refused, NodeUnreachable."""
        ...

    def ask_write(self, write: Write) -> Asked:
        """Ask for a write."""
        ...

    def read_written(self, received: Received, asked: str) -> Written:
        """Read the answer.  Raises Refused, NodeUnreachable."""
        ...

    def ask_page(self, prefix: str, after: str, limit: int) -> Asked:
        """Ask for names under a prefix."""
        ...

    def read_page(self, received: Received, after: str, limit: int) -> Page:
        """Read the answer.  Raises Refused, NodeUnreachable."""
        ...


def write_headers(write: Write) -> Mapping[str, str]:
    """Return the headers that say on what terms a write is made."""
    headers = {KEY_HEADER: write.idempotency_key} if write.idempotency_key else {}
    if write.if_version == MUST_NOT_EXIST:
        headers["If-None-Match"] = "*"
    elif write.if_version is not None:
        headers["If-Match"] = "*" if write.if_version == MUST_EXIST else etag(write.if_version)
    return headers


def is_repeatable(write: Write) -> bool:
    """True for a write that does no harm twice: a minted name would be two, an added value in its own way."""
    is_addition = write.operation is Operation.ADD and not write.overwrite
    return not (write.mint or is_addition)


def json_of(values: tuple[HandleValue, ...]) -> orjson.Fragment:
    """Return values as a part of a JSON document."""
    return orjson.Fragment(values_to_json(values))


def why(write: Write) -> tuple[tuple[str, str], ...]:
    """Return the parameter that gives the reason, if there is one."""
    return (("reason", write.reason),) if write.reason else ()
