"""Asked: what every request to `/v1/` on the admin listener has in common: who asks, for what, and how it is refused.

Errors are problem documents (RFC 9457) that carry the Handle response code as a member `responseCode` too.  Nothing
that is answered here may be kept by anybody.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

import orjson
from fastapi import Request
from fastapi.responses import Response

from resolver.handlejson import HandleJsonError
from resolver.httplogin import HttpLogin, LoginFailed
from resolver.identifier import Identifier, IdentifierError
from resolver.problem import PROBLEM_TYPE, Problem
from resolver.registrar import Caller
from resolver.service import Resolver
from resolver.source import SourceUnavailable
from resolver.target import Parameters, TargetError, decode_path, parse_query, read_body
from resolver.wire import ResponseCode

JSON_TYPE = "application/json"
RETRY_AFTER_SECONDS = 1
BUSY = "The database cannot be reached at the moment; a write may have been carried out, the same Idempotency-Key tells"
NO_LOGIN_HERE = "Credentials are taken over TLS, or from this machine; use one of them"

_PROBLEMS = {
    ResponseCode.ERROR: (500, "internal_server_error"),
    ResponseCode.SERVER_BUSY: (503, "unavailable"),
    ResponseCode.PROTOCOL_ERROR: (400, "bad_request"),
    ResponseCode.OPERATION_NOT_SUPPORTED: (501, "not_supported"),
    ResponseCode.HANDLE_NOT_FOUND: (404, "no_such_handle"),
    ResponseCode.HANDLE_ALREADY_EXISTS: (409, "record_exists"),
    ResponseCode.INVALID_HANDLE: (400, "invalid_identifier"),
    ResponseCode.VALUES_NOT_FOUND: (404, "no_such_value"),
    ResponseCode.VALUE_ALREADY_EXISTS: (409, "value_exists"),
    ResponseCode.INVALID_VALUE: (400, "invalid_value"),
    ResponseCode.SERVER_NOT_RESPONSIBLE: (404, "not_responsible"),
    ResponseCode.NOT_ADMINISTRATOR: (403, "not_permitted"),
    ResponseCode.INSUFFICIENT_PERMISSIONS: (403, "not_permitted"),
    ResponseCode.AUTHENTICATION_NEEDED: (401, "authentication_needed"),
    ResponseCode.AUTHENTICATION_FAILED: (401, "login_failed"),
    ResponseCode.INVALID_CREDENTIAL: (401, "login_failed"),
}
_SENTENCES = {
    "no_such_handle": "There is no such record",
    "record_exists": "There is such a record already",
    "no_such_value": "The record has none of these values",
    "value_exists": "There is a value with such an index already",
    "not_responsible": "The prefix of this identifier is not served here",
    "not_permitted": "You may not do this to this record",
    "authentication_needed": "Log in first: Basic, Bearer, or a client certificate",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: the text in its path, its parameters, and who has been proven to ask (None: nobody)."""

    request: Request
    name: str
    parameters: Parameters
    caller: Caller | None


class Told(Exception):
    """The answer is known: a problem, with the members that belong to it."""

    def __init__(self, problem: Problem, **members: object) -> None:
        super().__init__(problem.detail)
        self.problem = problem
        self.members = members


Act = Callable[[Asked], Awaitable[Response]]


class AdminDesk:
    """Where each request arrives: it finds out who asks, and turns failures into problem documents."""

    def __init__(self, login: HttpLogin, service: Resolver) -> None:
        self._login = login
        self._service = service

    async def serve(self, request: Request, root: bytes, act: Act) -> Response:
        """Answer a request by `act`, which may raise what `_problem_of` lists."""
        name = ""
        try:
            name = _text(decode_path(request.scope["raw_path"], root).removeprefix(b"/"))
            parameters = parse_query(request.scope["query_string"])
            caller = await self._login.caller(request.scope)
            response = await act(Asked(request, name, parameters, caller))
        except _FAILURES as error:
            response = self._refuse(request, error, name)
        response.headers["Cache-Control"] = "no-store"
        return response

    def identify(self, asked: Asked) -> Identifier:
        """Return the identifier in the path, of any scheme.  Raises IdentifierError, TargetError."""
        return self._service.detect(asked.name, asked.parameters.scheme())

    def _refuse(self, request: Request, error: Exception, name: str) -> Response:
        problem, members = _problem_of(error)
        if problem.status == 401 and not self._login.is_secure(request.scope):
            problem = Problem(403, problem.kind, NO_LOGIN_HERE)
        body = problem.encode(identifier=name, **members)
        response = Response(body, problem.status, media_type=PROBLEM_TYPE)
        for header, text in self._headers(request, error, problem.status):
            response.headers.append(header, text)
        return response

    def _headers(
        self, request: Request, error: Exception, status: int
    ) -> Iterable[tuple[str, str]]:
        if isinstance(error, LoginFailed):
            return error.headers
        if status == 401:
            return self._login.challenge(request.scope)
        return (("Retry-After", str(RETRY_AFTER_SECONDS)),) if status == 503 else ()


async def read_json(request: Request, most_bytes: int) -> object:
    """Return the JSON of a request.  Raises Told, TargetError, and BodyTooLarge, which the listener answers."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != JSON_TYPE:
        problem = Problem(415, "unsupported_media_type", "Send the body as application/json")
        raise Told(problem, responseCode=int(ResponseCode.PROTOCOL_ERROR))
    body = await read_body(request.stream(), most_bytes)
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise TargetError(f"the body is no JSON: {error}") from error


def respond(status: int, body: object, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON response."""
    return Response(orjson.dumps(body), status, headers, media_type=JSON_TYPE)


def told(code: ResponseCode, message: str = "", **members: object) -> Told:
    """Return the problem for a Handle response code, with the registrar's own sentence if it has one."""
    status, kind = _PROBLEMS.get(code, _PROBLEMS[ResponseCode.ERROR])
    detail = message or _SENTENCES.get(kind, "")
    return Told(Problem(status, kind, detail), responseCode=int(code), **members)


def _text(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError as error:
        raise IdentifierError("the identifier is not valid UTF-8") from error


_FAILURES = (
    Told,
    TargetError,
    HandleJsonError,
    IdentifierError,
    LoginFailed,
    SourceUnavailable,
)


def _problem_of(error: Exception) -> tuple[Problem, dict[str, object]]:
    match error:
        case Told():
            found = error
        case HandleJsonError():
            found = told(ResponseCode.INVALID_VALUE, str(error))
        case IdentifierError():
            found = told(ResponseCode.INVALID_HANDLE, str(error))
        case LoginFailed():
            kind = _PROBLEMS.get(error.code, (0, "login_failed"))[1]
            problem = Problem(error.status, kind, error.message)
            found = Told(problem, responseCode=int(error.code))
        case SourceUnavailable():
            found = told(ResponseCode.SERVER_BUSY, BUSY)
        case _:
            found = told(ResponseCode.PROTOCOL_ERROR, str(error))
    return found.problem, found.members
