"""Problems: what a caller gets when a request fails before or outside its route; the one table of that.

Under `/api` that is the Handle API's JSON (spec "responseCode and HTTP"), elsewhere a problem document (RFC 9457), or
a short page for a browser.  What is not in the table is internal: it is logged with its cause, and the caller is told
only that.
"""

from html import escape
from http import HTTPStatus

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match, Route

from resolver.page import POLICY
from resolver.problem import PROBLEM_TYPE, Problem
from resolver.render import json_error
from resolver.target import BodyTooLarge, prefers_json
from resolver.wire import ResponseCode

API_ROOT = "/api"
KNOWN_METHODS = frozenset(
    {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "QUERY"}
)
CATCH_ALL = "/{handle:path}"

_HANDLE_TYPE = "application/json;charset=utf-8"
_HTML_TYPE = "text/html;charset=utf-8"
_CODES = {
    400: ResponseCode.PROTOCOL_ERROR,
    401: ResponseCode.AUTHENTICATION_NEEDED,
    403: ResponseCode.AUTHENTICATION_FAILED,
    404: ResponseCode.PROTOCOL_ERROR,
    405: ResponseCode.PROTOCOL_ERROR,
    413: ResponseCode.PROTOCOL_ERROR,
    500: ResponseCode.ERROR,
    501: ResponseCode.PROTOCOL_ERROR,
    503: ResponseCode.SERVER_BUSY,
}


def install(app: FastAPI) -> None:
    """Make the application answer its failures by the table."""
    app.add_exception_handler(StarletteHTTPException, _refused)
    app.add_exception_handler(BodyTooLarge, too_large)
    app.add_exception_handler(ClientDisconnect, gone)
    app.add_exception_handler(Exception, _internal)


async def _refused(request: Request, error: Exception) -> Response:
    """No route, no such method, or a route that refused the request."""
    if not isinstance(error, StarletteHTTPException):
        raise error
    if error.status_code in (404, 405):
        return _unrouted(request)
    return _failure(request, error.status_code, error.detail, dict(error.headers or {}))


async def too_large(request: Request, error: Exception) -> Response:
    """Answer a request whose body is longer than its limit."""
    return _failure(request, 413, str(error), {"Connection": "close"})


async def gone(_request: Request, _error: Exception) -> Response:
    """Answer a request whose client has gone."""
    return Response(status_code=400)  # nobody is left to read it


async def _internal(request: Request, _error: Exception) -> Response:
    headers = {"Access-Control-Allow-Origin": "*"}  # this answer is made outside the CORS layer
    return _failure(request, 500, "Internal error; the server's log has the cause", headers)


def _unrouted(request: Request) -> Response:
    """OPTIONS tells what a path takes; another method gets 501, 405 or 404."""
    method, allowed = request.method, _allowed(request)
    headers = {"Allow": ", ".join(sorted({*allowed, "OPTIONS"}))} if allowed else {}
    if method not in KNOWN_METHODS:
        return _failure(request, 501, f"Unknown method {method}", {})
    if method == "OPTIONS" and allowed:
        return Response(status_code=200, headers=headers)
    message = f"Unknown HTTP API endpoint {method} {request.url.path}"
    if not _is_api(request):
        message = ""
    return _failure(request, 405 if allowed and method not in allowed else 404, message, headers)


def _allowed(request: Request) -> set[str]:
    """Return the methods that a path takes, empty when there is no such path."""
    routes = [route for route in request.app.routes if isinstance(route, Route)]
    matching = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    own = [route for route in matching if route.path != CATCH_ALL]
    if own or _is_api(request):
        matching = own
    return {method for route in matching for method in route.methods or ()}


def _failure(request: Request, status: int, detail: str, headers: dict[str, str]) -> Response:
    if _is_api(request):
        code = _CODES.get(status, ResponseCode.PROTOCOL_ERROR)
        return Response(json_error(code, detail), status, {**headers, "Content-Type": _HANDLE_TYPE})
    accept = request.headers.get("accept", "")
    if "text/html" in accept and not prefers_json(accept):
        return Response(_page(status, detail), status, {**headers, **_PAGE_HEADERS})
    problem = Problem(status, HTTPStatus(status).phrase.lower().replace(" ", "_"), detail)
    return Response(problem.encode(), status, {**headers, "Content-Type": PROBLEM_TYPE})


_PAGE_HEADERS = {"Content-Type": _HTML_TYPE, "Content-Security-Policy": POLICY}


def _page(status: int, detail: str) -> bytes:
    title = f"{status} {HTTPStatus(status).phrase}"
    return (
        f"<!doctype html><title>{title}</title><h1>{title}</h1><p>{escape(detail)}</p>\n".encode()
    )


def _is_api(request: Request) -> bool:
    path = request.url.path
    return path == API_ROOT or path.startswith(API_ROOT + "/")


__all__ = ["CATCH_ALL", "HTTPException", "install"]
