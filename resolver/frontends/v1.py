"""`/v1/resolve/…`: one answer for every identifier scheme; errors are problem documents (RFC 9457).

The scheme is detected, or named by a label in the identifier (`oid:…`) or by `?scheme=`.
"""

from time import perf_counter_ns

import orjson
from fastapi import Request
from fastapi.responses import Response

from resolver.answer import Answer, Question, Status
from resolver.identifier import Identifier, IdentifierError, Scheme
from resolver.observe import Protocol, Tally, cell
from resolver.problem import PROBLEM_TYPE, Problem
from resolver.render import json_values
from resolver.service import Resolver
from resolver.target import Parameters, TargetError, decode_path, parse_query
from resolver.tombstone import Tombstone, tombstone_of

ROOT = b"/v1/resolve/"
JSON_TYPE = "application/json"

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
BAD_REQUEST = "bad_request"
RETRY_AFTER_SECONDS = 1


class ResolveApi:
    """GET and HEAD of `/v1/resolve/{identifier}`."""

    def __init__(self, service: Resolver, tally: Tally) -> None:
        self._service = service
        self._tally = tally

    async def show(self, request: Request) -> Response:
        """Resolve an identifier of any scheme."""
        started = perf_counter_ns()
        asked = decode_path(request.scope["raw_path"], ROOT)
        try:
            parameters = parse_query(request.scope["query_string"])
            question = self._question(asked, parameters)
        except TargetError as error:
            return _problem(Problem(400, BAD_REQUEST, str(error)), asked)
        except IdentifierError as error:
            answer, identifier = Answer(Status.INVALID_HANDLE, message=str(error)), None
        else:
            answer, identifier = await self._service.resolve(question), question.identifier
        response = _answer(answer, asked, identifier)
        scheme = identifier.scheme if identifier else Scheme.HANDLE
        counted = cell(Protocol.HTTP_JSON, scheme, answer.status, answer.tier)
        self._tally.answered(counted, perf_counter_ns() - started)
        return response

    def _question(self, asked: bytes, parameters: Parameters) -> Question:
        indexes, scheme = parameters.indexes(), parameters.scheme()
        try:
            text = asked.decode()
        except UnicodeDecodeError as error:
            raise IdentifierError("the identifier is not valid UTF-8") from error
        return Question(
            identifier=self._service.detect(text, scheme),
            types=parameters.all(b"type"),
            indexes=indexes,
            authoritative=parameters.flag(b"auth"),
        )


def _answer(answer: Answer, asked: bytes, identifier: Identifier | None) -> Response:
    tombstone = tombstone_of(answer)
    if tombstone is not None:
        return _gone(tombstone, asked)
    if identifier is None or answer.status not in _ANSWERED:
        problem = _PROBLEMS[answer.status]
        return _problem(
            Problem(problem.status, problem.kind, answer.message or problem.detail), asked
        )
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
    return Response(body, _ANSWERED[answer.status], media_type=JSON_TYPE)


def _gone(tombstone: Tombstone, asked: bytes) -> Response:
    problem = Problem(410, "gone", tombstone.sentence())
    name = asked.decode("utf-8", "replace")
    body = problem.encode(identifier=name, at=tombstone.moment, reason=tombstone.reason)
    return Response(body, problem.status, media_type=PROBLEM_TYPE)


def _problem(problem: Problem, asked: bytes) -> Response:
    body = problem.encode(identifier=asked.decode("utf-8", "replace"))
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if problem.status == 503 else None
    return Response(body, problem.status, headers, media_type=PROBLEM_TYPE)
