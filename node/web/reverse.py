"""`/hrls/handles`: which handles bear values that match, as pyhandle and b2handle ask (contract: features §5.4).

Every parameter is a type and a pattern, and all must match; `limit`, `page` (from 0) and `after` choose a part of what
does.  Whoever has proven who he is may ask: only public values are searched, which he could read one by one.
"""

from urllib.parse import quote_from_bytes

import orjson
from fastapi import Request
from fastapi.responses import Response

from node.registry.patterns import Pattern, PatternError
from node.registry.searching import Found, ReverseLookup, Wanted
from node.store.reverse import SEARCH_SECONDS, SearchTooBroad
from resolver.httplogin import INSECURE, HttpLogin, LoginFailed
from resolver.identifier import IdentifierError
from resolver.problem import PROBLEM_TYPE, Problem
from resolver.registrar import Caller, Scope
from resolver.service import Resolver
from resolver.source import SourceUnavailable
from resolver.target import Parameters, TargetError, parse_query

DEFAULT_LIMIT, MAX_LIMIT = 1_000, 10_000
MAX_SKIPPED = 10_000  # by `page`; who wants more goes on with `after`
RETRY_AFTER_SECONDS = 5
JSON_TYPE = "application/json"

_LIMIT, _PAGE, _AFTER = b"limit", b"page", b"after"
_IGNORED = frozenset({b"enforcesql"})  # of the first such service: which of its databases to ask
_RECORDS = b"retrieverecords"
_LOGIN_PROBLEMS = {403: "authentication_needed", 503: "unavailable"}
_CONTROLS = frozenset({_LIMIT, _PAGE, _AFTER, _RECORDS}) | _IGNORED

OFF = "Reverse look-up is switched off here; the setting reverse_types names what it finds"
LOGIN = "Log in to look up handles by their values, for instance with a password (Basic)"
NO_LIST = "This token may not list handles"
TOO_BROAD = f"Not found within {SEARCH_SECONDS:.0f} s; narrow it: more characters in a row, or one more type"


class _Refusal(Exception):
    def __init__(self, problem: Problem, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(problem.detail)
        self.problem = problem
        self.headers = headers


class ReverseApi:
    """GET and HEAD of `/hrls/handles`."""

    def __init__(self, lookup: ReverseLookup, login: HttpLogin, service: Resolver) -> None:
        self._lookup = lookup
        self._login = login
        self._service = service

    async def search(self, request: Request) -> Response:
        """Return the JSON array of the handles that match, in the order of their keys."""
        try:
            caller = await self._caller(request)
            if not self._lookup.is_offered:
                raise _Refusal(Problem(501, "not_supported", OFF))
            parameters = parse_query(request.scope["query_string"])
            found = await self._lookup.find(self._wanted(parameters, caller))
        except _Refusal as refusal:
            return _problem(refusal.problem, refusal.headers)
        except (TargetError, PatternError) as error:
            return _problem(Problem(400, "bad_request", str(error)))
        except SearchTooBroad:
            return _problem(Problem(400, "too_broad", TOO_BROAD))
        except SourceUnavailable as error:
            waiting = (("Retry-After", str(RETRY_AFTER_SECONDS)),)
            return _problem(Problem(503, "unavailable", str(error)), waiting)
        return _answer(found, parameters)

    async def _caller(self, request: Request) -> Caller:
        try:
            caller = await self._login.caller(request.scope)
        except LoginFailed as error:
            kind = _LOGIN_PROBLEMS.get(error.status, "login_failed")
            problem = Problem(error.status, kind, error.message)
            raise _Refusal(problem, error.headers) from error
        if caller is None and not self._login.is_secure(request.scope):
            raise _Refusal(Problem(403, "authentication_needed", INSECURE))
        if caller is None:
            challenge = tuple(self._login.challenge(request.scope))
            raise _Refusal(Problem(401, "authentication_needed", LOGIN), challenge)
        if caller.scopes is not None and Scope.LIST not in caller.scopes:
            raise _Refusal(Problem(403, "not_permitted", NO_LIST))
        return caller

    def _wanted(self, parameters: Parameters, caller: Caller) -> Wanted:
        if parameters.flag(_RECORDS):
            raise TargetError(
                "retrieverecords is not offered; read each handle at /api/handles/{handle}"
            )
        limit = _number(parameters, _LIMIT, 1, MAX_LIMIT, DEFAULT_LIMIT)
        skip = limit * _number(parameters, _PAGE, 0, MAX_SKIPPED, 0)
        if skip > MAX_SKIPPED:
            raise TargetError(
                f"page skips {skip} handles, more than {MAX_SKIPPED}; go on with after, as the Link header says"
            )
        patterns = [Pattern.read(*pair) for pair in parameters.pairs if pair[0] not in _CONTROLS]
        after = self._key(parameters.first(_AFTER) or b"")
        return Wanted(patterns, limit, after, skip, caller.prefixes)

    def _key(self, after: bytes) -> bytes:
        """Return the canonical key of a handle; what cannot be read as one is taken as it is."""
        try:
            return self._service.detect(after.decode()).key
        except (IdentifierError, UnicodeDecodeError):
            return after


def _number(parameters: Parameters, name: bytes, low: int, high: int, absent: int) -> int:
    """Read a number.  Raises TargetError."""
    text = parameters.first(name)
    if text is None:
        return absent
    if not (text.isdigit() and len(text) <= len(str(high)) and low <= int(text) <= high):
        raise TargetError(f"{name.decode()} must be a whole number from {low} to {high}")
    return int(text)


def _answer(found: Found, parameters: Parameters) -> Response:
    body = orjson.dumps([handle.decode("utf-8", "replace") for handle in found.handles])
    headers = {"Cache-Control": "private, no-store"}
    if found.last is not None:
        again = [pair for pair in parameters.pairs if pair[0] not in (_AFTER, _PAGE)]
        fields = "&".join(
            f"{quote_from_bytes(name, safe='')}={quote_from_bytes(value, safe='*')}"
            for name, value in (*again, (_AFTER, found.last))
        )
        headers["Link"] = f'</hrls/handles?{fields}>; rel="next"'
    return Response(body, 200, headers, media_type=JSON_TYPE)


def _problem(problem: Problem, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    response = Response(problem.encode(), problem.status, media_type=PROBLEM_TYPE)
    for name, value in headers:  # WWW-Authenticate comes twice
        response.headers.append(name, value)
    return response
