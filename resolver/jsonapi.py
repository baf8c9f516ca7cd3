"""What the endpoints of the Handle JSON API share: who asks, for what, in what form the body is wanted, and refusals.

Laws: credentials are looked at before anything else in a request; a script of another site (JSONP) is always a
stranger, since the browser would lend it its user's login; what a known caller gets may not be kept by anybody.
Source: spec "Handle JSON HTTP API".
"""

import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from time import perf_counter_ns

import orjson
from fastapi import Request
from fastapi.responses import Response

from resolver.httplogin import HttpLogin, LoginFailed, origin_of
from resolver.identifier import IdentifierError
from resolver.precondition import read_reason
from resolver.registrar import Caller
from resolver.render import HTTP_STATUS, json_error
from resolver.source import SourceUnavailable
from resolver.target import (
    MAX_PARAMETER_BYTES,
    Parameters,
    TargetError,
    decode_path,
    parse_body,
    parse_query,
    read_body,
)
from resolver.wire import ResponseCode

HANDLES = b"/api/handles"
JSON_TYPE = "application/json;charset=utf-8"
JSONP_TYPE = "application/javascript;charset=utf-8"
MAX_CALLBACK_CHARACTERS = 256
RETRY_AFTER_SECONDS = 1
BUSY = "The database cannot be reached at the moment; try again"

_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_$]|^[0-9]")
_LINE_ENDS = (
    (b"\xe2\x80\xa8", b"\\u2028"),
    (b"\xe2\x80\xa9", b"\\u2029"),
)  # JSON has them, scripts not
_READS = frozenset({"GET", "HEAD", "POST"})


@dataclass(frozen=True, slots=True)
class Form:
    """In what form the caller wants the body: indented, as a script that calls `callback`."""

    pretty: bool = False
    callback: str = ""

    @classmethod
    def of(cls, parameters: Parameters) -> "Form":
        """Read the parameters that choose it."""
        name = show(parameters.first(b"callback") or b"")[:MAX_CALLBACK_CHARACTERS]
        return cls(parameters.flag(b"pretty"), _NOT_IN_A_NAME.sub("_", name))


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: the name in its path, its parameters, and who has been proven to ask (None: nobody)."""

    request: Request
    name: bytes
    parameters: Parameters
    form: Form
    caller: Caller | None
    started_ns: int

    @property
    def handle(self) -> str:
        """The name as the caller spelled it; answers echo it."""
        return show(self.name)

    @property
    def origin(self) -> str:
        """Transport and address, for versions and logs."""
        return origin_of(self.request.scope)

    @property
    def reason(self) -> str:
        """Why something is written, in the caller's words.  Raises TargetError."""
        headers = dict(self.request.scope["headers"])
        return read_reason(self.parameters, headers.get(b"x-idnode-reason"))


Act = Callable[[Asked], Awaitable[Response]]


class Desk:
    """Where every request of the API arrives: it finds out who asks, and turns failures into answers."""

    def __init__(self, login: HttpLogin) -> None:
        self._login = login

    async def serve(self, request: Request, name: bytes, act: Act) -> Response:
        """Answer a request by `act`, which may raise TargetError, IdentifierError and SourceUnavailable."""
        started = perf_counter_ns()
        parameters, fault = await read_parameters(request)
        form, handle = Form.of(parameters), show(name) if name else None
        try:
            caller = await self._caller(request, form)
            if fault:
                raise TargetError(fault)
            response = await act(Asked(request, name, parameters, form, caller, started))
        except TargetError as error:
            return refuse(ResponseCode.PROTOCOL_ERROR, str(error), None, form)
        except IdentifierError as error:
            return refuse(ResponseCode.INVALID_HANDLE, str(error), handle, form)
        except LoginFailed as failed:
            body = json_error(failed.code, failed.message, handle)
            return _with(respond(failed.status, body, form), failed.headers)
        except SourceUnavailable:
            return refuse(ResponseCode.SERVER_BUSY, BUSY, handle, form)
        if caller is not None:
            response.headers["Cache-Control"] = "no-store"
        return response

    def ask_for_login(self, asked: Asked, handle: str | None, message: str = "") -> Response:
        """Say that a login is needed; it is asked for only where it could be sent safely."""
        scope = asked.request.scope
        body = json_error(ResponseCode.AUTHENTICATION_NEEDED, message, handle)
        if not self._login.is_secure(scope):
            return respond(403, body, asked.form)
        return _with(respond(401, body, asked.form), self._login.challenge(scope))

    async def _caller(self, request: Request, form: Form) -> Caller | None:
        """Return who asks.  Reading over an insecure connection, nobody does: credentials are not looked at."""
        scope = request.scope
        if request.method in _READS and (form.callback or not self._login.is_secure(scope)):
            return None
        return await self._login.caller(scope)


def name_in_path(request: Request, root: bytes = HANDLES) -> bytes:
    """Return what the path names below `root`, percent-decoded."""
    return decode_path(request.scope["raw_path"], root).removeprefix(b"/")


async def read_parameters(request: Request) -> tuple[Parameters, str]:
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


def refuse(code: ResponseCode, message: str, handle: str | None, form: Form) -> Response:
    """Answer with an error and the status that belongs to its code."""
    status = HTTP_STATUS.get(code, 500)
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if status == 503 else None
    return respond(status, json_error(code, message, handle), form, headers)


def respond(
    status: int, body: bytes, form: Form, headers: dict[str, str] | None = None
) -> Response:
    """Answer with a compact JSON body, in the form that is wanted."""
    if form.pretty:
        body = orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2)
    headers = {**(headers or {}), "Content-Type": JSON_TYPE}
    if form.callback:
        for raw, escaped in _LINE_ENDS:
            body = body.replace(raw, escaped)
        body = b"%s(%s);" % (form.callback.encode(), body)
        headers |= {"Content-Type": JSONP_TYPE, "X-Content-Type-Options": "nosniff"}
    return Response(body, status, headers)


def show(data: bytes) -> str:
    """Return bytes as text for an answer."""
    return data.decode("utf-8", "replace")


def _with(response: Response, headers: Iterable[tuple[str, str]]) -> Response:
    for name, value in headers:
        response.headers.append(name, value)
    return response
