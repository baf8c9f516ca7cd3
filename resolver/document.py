"""Document: what `/v1/resolve` says of one answer, alone or as a line of many; errors are problems (RFC 9457); pure."""

from typing import NamedTuple

import orjson

from resolver.answer import Answer, Status
from resolver.identifier import Identifier
from resolver.problem import PROBLEM_TYPE, Problem
from resolver.render import json_values
from resolver.tombstone import Tombstone, tombstone_of

JSON_TYPE = "application/json"
BAD_REQUEST = "bad_request"

_ANSWERED = {Status.FOUND: 200, Status.SERVICE_REFERRAL: 300, Status.PREFIX_REFERRAL: 300}
_PROBLEMS = {
    Status.NO_SUCH_HANDLE: Problem(404, "no_such_handle", "No such identifier is registered here"),
    Status.NO_SUCH_VALUE: Problem(404, "no_such_value", "The record has none of these values"),
    Status.INVALID_HANDLE: Problem(400, "invalid_identifier"),
    Status.NOT_RESPONSIBLE: Problem(404, "not_responsible"),
    Status.AUTHENTICATION_NEEDED: Problem(401, "authentication_needed"),
    Status.NOT_PERMITTED: Problem(403, "not_permitted"),
    Status.UNAVAILABLE: Problem(503, "unavailable"),
}


class Document(NamedTuple):
    """A body, the HTTP status that it has when it is alone, and its media type."""

    status: int
    body: bytes
    media_type: str


def answer_document(answer: Answer, asked: str, identifier: Identifier | None) -> Document:
    """Say what was decided; `asked` is what the caller wrote, `identifier` None when that is no identifier."""
    tombstone = tombstone_of(answer)
    if tombstone is not None:
        return _gone(tombstone, asked)
    if identifier is None or answer.status not in _ANSWERED:
        problem = _PROBLEMS[answer.status]
        detail = answer.message or problem.detail
        return problem_document(Problem(problem.status, problem.kind, detail), asked)
    head = {
        "identifier": identifier.text,
        "scheme": identifier.scheme,
        "status": answer.status.value,
    }
    if answer.referral:
        head["referral"] = answer.referral.decode("utf-8", "replace")
    if answer.stored is not None and answer.stored.handle and answer.status is Status.FOUND:
        head["handle"] = answer.stored.handle.decode("utf-8", "replace")
    body = orjson.dumps(head)[:-1] + b',"values":' + json_values(answer) + b"}"
    return Document(_ANSWERED[answer.status], body, JSON_TYPE)


def problem_document(problem: Problem, asked: str) -> Document:
    """Say what was wrong."""
    return Document(problem.status, problem.encode(identifier=asked), PROBLEM_TYPE)


def _gone(tombstone: Tombstone, asked: str) -> Document:
    problem = Problem(410, "gone", tombstone.sentence())
    body = problem.encode(identifier=asked, at=tombstone.moment, reason=tombstone.reason)
    return Document(problem.status, body, PROBLEM_TYPE)
