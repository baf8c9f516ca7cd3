"""The Handle JSON API over HTTP, as the reference server gives it (spec "Handle JSON HTTP API").

The text after `/api/handles/` is always a handle.  Administration needs an authenticated caller, and nobody can
authenticate on plain HTTP: such requests get what the reference gives them, 403 with code 402.
"""

import re
from dataclasses import dataclass
from time import perf_counter_ns

import orjson
from fastapi import Request
from fastapi.responses import Response

from resolver.answer import Answer, Question, Status, Tier
from resolver.handlejson import HandleJsonError, site_to_json, values_from_json
from resolver.hot import HotHttp
from resolver.identifier import Identifier, IdentifierError, Scheme
from resolver.observe import Protocol, Tally, cell
from resolver.render import REFERRALS, json_answer, json_error
from resolver.service import Resolver
from resolver.target import (
    MAX_PARAMETER_BYTES,
    Parameters,
    TargetError,
    decode_path,
    parse_body,
    parse_query,
    read_body,
)
from resolver.wire import MAX_MESSAGE_BYTES, ResponseCode

ROOT = b"/api/handles"
JSON_TYPE = "application/json;charset=utf-8"
JSONP_TYPE = "application/javascript;charset=utf-8"
AUTHENTICATE = 'Basic realm="handle"'
MAX_CALLBACK_CHARACTERS = 256

_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_$]|^[0-9]")
_LINE_ENDS = (
    (b"\xe2\x80\xa8", b"\\u2028"),
    (b"\xe2\x80\xa9", b"\\u2029"),
)  # JSON has them, scripts not
_INVALID_PUT = "Invalid JSON in PUT request"


@dataclass(frozen=True, slots=True)
class Form:
    """In what form the caller wants the body: indented, as a script that calls `callback`."""

    pretty: bool = False
    callback: str = ""


class HandlesApi:
    """`/api/handles`, `/api/site`, and what an unauthenticated caller gets from the rest of `/api`."""

    def __init__(self, service: Resolver, tally: Tally, hot: HotHttp | None = None) -> None:
        """`hot` remembers plain answers, so that the next request for one need not come here."""
        self._service = service
        self._tally = tally
        self._hot = hot

    async def show(self, request: Request) -> Response:
        """GET and HEAD of a record or a list; POST is GET with the parameters in a form or JSON body."""
        started = perf_counter_ns()
        handle = _handle(request)
        parameters, fault = await _parameters(request)
        form = _form(parameters)
        if fault:
            return _error(ResponseCode.PROTOCOL_ERROR, fault, form)
        prefix = parameters.first(b"prefix")
        if not handle and prefix is not None:
            return _refuse(request, _text(prefix), form)
        try:
            question = self._question(handle, parameters)
        except TargetError as error:
            return _error(ResponseCode.PROTOCOL_ERROR, str(error), form)
        except IdentifierError as error:
            answer = Answer(Status.INVALID_HANDLE, message=str(error))
            response = _answer(request, answer, _text(handle), form)
            counted = cell(Protocol.HTTP_JSON, Scheme.HANDLE, answer.status, answer.tier)
        else:
            era = self._hot.era if self._hot is not None else 0
            answer = await self._ask(question, parameters)
            response = _answer(request, answer, _text(handle), form)
            scheme = question.identifier.scheme
            counted = cell(Protocol.HTTP_JSON, scheme, answer.status, answer.tier)
            self._remember(request, question.identifier, answer, bytes(response.body), era)
        self._tally.answered(counted, perf_counter_ns() - started)
        return response

    async def write(self, request: Request) -> Response:
        """PUT and DELETE: what is wrong with the request itself, then that a login is needed."""
        handle = _text(_handle(request))
        parameters, fault = await _parameters(request)
        form = _form(parameters)
        if not fault and request.method == "PUT":
            body = await read_body(request.stream(), MAX_MESSAGE_BYTES)
            fault = _put_fault(request.headers.get("content-type", ""), body, handle)
        if fault:
            return _error(ResponseCode.PROTOCOL_ERROR, fault, form)
        return _refuse(request, handle, form)

    async def site(self, request: Request) -> Response:
        """GET `/api/site`: where this server is, and its public key."""
        parameters, _ = await _parameters(request)
        body = {"responseCode": 1, "site": site_to_json(self._service.site())}
        return _respond(200, orjson.dumps(body), _form(parameters))

    async def prefixes(self, request: Request) -> Response:
        """`/api/prefixes`: homing and listing prefixes is for administrators."""
        parameters, _ = await _parameters(request)
        return _refuse(request, None, _form(parameters))

    async def verifications(self, request: Request) -> Response:
        """`/api/verifications/…`: checking secret keys for other servers is not offered."""
        parameters, _ = await _parameters(request)
        code, message = ResponseCode.OPERATION_NOT_SUPPORTED, "Verification is not supported"
        return _respond(501, json_error(code, message), _form(parameters))

    async def sessions(self, _request: Request) -> Response:
        """`/api/sessions`: sessions need TLS; without it the reference answers 403 with an empty body."""
        return Response(status_code=403)

    async def _ask(self, question: Question, parameters: Parameters) -> Answer:
        answer = await self._service.resolve(question)
        if answer.status in REFERRALS and parameters.flag(b"doNotRefer"):
            return Answer(Status.NOT_RESPONSIBLE)
        return answer

    def _remember(
        self, request: Request, identifier: Identifier, answer: Answer, body: bytes, era: int
    ) -> None:
        """Keep the answer to a plain GET, under its path, when it is spelled as stored (answers echo the spelling)."""
        raw_path, stored = request.scope["raw_path"], answer.stored
        if (
            self._hot is not None
            and request.method == "GET"
            and not request.scope["query_string"]
            and raw_path.startswith(ROOT + b"/")
            and stored is not None
            and stored.handle == _handle(request)
        ):
            counted = cell(Protocol.HTTP_JSON, identifier.scheme, answer.status, Tier.MEMORY)
            path = raw_path[len(ROOT) + 1 :]
            self._hot.remember(path, body, answer, identifier.key, counted, era)

    def _question(self, handle: bytes, parameters: Parameters) -> Question:
        indexes = parameters.indexes()  # first: a bad number is told before a bad handle
        return Question(
            identifier=self._service.identify(handle),
            types=parameters.all(b"type"),
            indexes=indexes,
            public_only=parameters.flag(b"publicOnly", absent=True),
            authoritative=parameters.flag(b"auth"),
        )


def _handle(request: Request) -> bytes:
    return decode_path(request.scope["raw_path"], ROOT).removeprefix(b"/")


async def _parameters(request: Request) -> tuple[Parameters, str]:
    """Return the parameters of the query and of a POST's body, and what is wrong with them."""
    query = Parameters()
    try:
        query = parse_query(request.scope["query_string"])
        if request.method != "POST":
            return query, ""
        body = await read_body(request.stream(), MAX_PARAMETER_BYTES)
        return query + parse_body(request.headers.get("content-type", ""), body), ""
    except TargetError as error:
        return query, str(error)


def _form(parameters: Parameters) -> Form:
    name = _text(parameters.first(b"callback") or b"")[:MAX_CALLBACK_CHARACTERS]
    return Form(parameters.flag(b"pretty"), _NOT_IN_A_NAME.sub("_", name))


def _put_fault(content_type: str, body: bytes, handle: str) -> str:
    """Say what is wrong with the body of a PUT, before anybody asks who sent it (spec 2.6)."""
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type != "application/json":
        return f"Unsupported media type {media_type or '(none)'}"
    try:
        content = orjson.loads(body)
        inside = content.get("handle", handle) if isinstance(content, dict) else handle
        values_from_json(_put_values(content), now=0)
    except (orjson.JSONDecodeError, HandleJsonError):
        return _INVALID_PUT
    if not isinstance(inside, str) or inside.upper() != handle.upper():
        return "Mismatched handle in PUT request"
    return ""


def _put_values(content: object) -> object:
    """Return the values of a PUT: a list of them, an object that holds one, or a single value."""
    if isinstance(content, dict):
        return content.get("values", [content])
    return content


def _answer(request: Request, answer: Answer, asked: str, form: Form) -> Response:
    if answer.status is Status.AUTHENTICATION_NEEDED:
        return _refuse(request, asked, form)
    status, body = json_answer(answer, asked)
    return _respond(status, body, form)


def _refuse(request: Request, handle: str | None, form: Form) -> Response:
    """A login is needed; it is asked for only where it could be sent safely."""
    body = json_error(ResponseCode.AUTHENTICATION_NEEDED, "", handle)
    if request.scope["scheme"] == "https":
        return _respond(401, body, form, {"WWW-Authenticate": AUTHENTICATE})
    return _respond(403, body, form)


def _error(code: ResponseCode, message: str, form: Form) -> Response:
    return _respond(400, json_error(code, message), form)


def _respond(
    status: int, body: bytes, form: Form, headers: dict[str, str] | None = None
) -> Response:
    if form.pretty:
        body = orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2)
    headers = {**(headers or {}), "Content-Type": JSON_TYPE}
    if form.callback:
        for raw, escaped in _LINE_ENDS:
            body = body.replace(raw, escaped)
        body = b"%s(%s);" % (form.callback.encode(), body)
        headers |= {"Content-Type": JSONP_TYPE, "X-Content-Type-Options": "nosniff"}
    return Response(body, status, headers)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
