"""The web proxy, simple form: `/{identifier}` goes to the record's URL, or shows the record to a person.

Any scheme: detected, or named by a label (`oid:…`) or by `?scheme=`.  The reserved first segments belong to the
interfaces of this server.  Contract: spec "The web proxy (redirect) contract".
"""

import re
from email.utils import formatdate
from time import perf_counter_ns, time

from fastapi import HTTPException, Request
from fastapi.responses import Response

from resolver.answer import Answer, Question, Status
from resolver.identifier import Identifier, IdentifierError, Scheme
from resolver.location import Location, choose_location
from resolver.observe import Protocol, cell
from resolver.page import POLICY, form_page, outcome_page, record_page, redirect_page
from resolver.recorder import HttpCount
from resolver.render import json_answer
from resolver.service import Resolver
from resolver.target import (
    MAX_PARAMETER_BYTES,
    Parameters,
    TargetError,
    decode_path,
    parse_body,
    parse_query,
    prefers_chinese,
    prefers_json,
    read_body,
)
from resolver.tombstone import tombstone_of
from resolver.wire import decode_values
from resolver.wording import CHINESE, ENGLISH, Wording

RESERVED = frozenset(
    {"api", "v1", "docs", "openapi.json", "hrls", "healthz", "readyz", ".well-known"}
)
HTML_TYPE = "text/html;charset=utf-8"
JSON_TYPE = "application/json;charset=utf-8"
RETRY_AFTER_SECONDS = 1
GONE = 410  # a deleted record; the body of a script's answer says 100, as the JSON API does

_SEPARATORS = b"&;"
_WRAPPED = re.compile(r"(info|urn):(hdl|doi|eidr)[/:](.*)", re.IGNORECASE | re.DOTALL)
_DIGITAL_LINK = re.compile(rb"/*[0-9]{2,4}/")  # a GS1 application identifier


class Proxy:
    """Redirects, record pages and the form at `/`."""

    def __init__(self, service: Resolver, count: HttpCount) -> None:
        self._service = service
        self._count = count

    async def show(self, request: Request) -> Response:
        """GET, HEAD and POST of `/{identifier}`, and of `/` with a form field `hdl`."""
        started = perf_counter_ns()
        raw_path = request.scope["raw_path"]
        path = decode_path(raw_path, b"").lstrip(b"/")
        try:
            parameters = await _parameters(request)
            scheme = parameters.scheme()
        except TargetError as error:
            raise HTTPException(400, str(error)) from error
        asked = path or (parameters.first(b"hdl") or b"").strip()
        if not asked:
            return _html(200, form_page(_words(request)))
        name = asked.decode(errors="replace")
        if path and name.partition("/")[0] in RESERVED:
            raise HTTPException(404)
        try:
            identifier = self._identify(asked, scheme, raw_path if path else b"")
        except IdentifierError as error:
            answer, key = Answer(Status.INVALID_HANDLE, message=str(error)), asked
            counted = cell(Protocol.HTTP_PAGE, scheme or Scheme.HANDLE, answer.status, answer.tier)
        else:
            answer = await self._service.resolve(_question(identifier, parameters))
            key = identifier.key
            counted = cell(Protocol.HTTP_PAGE, identifier.scheme, answer.status, answer.tier)
        response = _respond(request, answer, name, parameters)
        if await self._count.answered(self._count.party(request.scope), key, counted, started):
            return response
        return _respond(request, Answer(Status.UNAVAILABLE), name, parameters)

    def _identify(self, asked: bytes, scheme: Scheme | None, raw_path: bytes) -> Identifier:
        """`raw_path` is given when the identifier is the path: a GS1 Digital Link is escaped segment by segment."""
        if _DIGITAL_LINK.match(raw_path) and scheme in (None, Scheme.GS1):
            try:
                return self._service.detect(raw_path.lstrip(b"/").decode(), Scheme.GS1)
            except ValueError:  # it may still be a handle with such a prefix
                pass
        try:
            return self._service.detect(unwrap(asked.decode()), scheme)
        except UnicodeDecodeError as error:
            raise IdentifierError("the identifier is not valid UTF-8") from error


def unwrap(text: str) -> str:
    """Return `hdl:…` or `doi:…` for the longer spellings of them (`info:hdl/…`, `urn:doi:…`), else the text."""
    found = _WRAPPED.fullmatch(text)
    if found is None:
        return text
    name = found[3].replace(":", "/", 1) if found[1].lower() == "urn" else found[3]
    return f"{'hdl' if found[2].lower() == 'hdl' else 'doi'}:{name}"


async def _parameters(request: Request) -> Parameters:
    query = parse_query(request.scope["query_string"], _SEPARATORS)
    if request.method != "POST":
        return query
    body = await read_body(request.stream(), MAX_PARAMETER_BYTES)
    return query + parse_body(request.headers.get("content-type", ""), body)


def _question(identifier: Identifier, parameters: Parameters) -> Question:
    return Question(
        identifier=identifier,
        types=tuple(name for name in parameters.all(b"type") if name),
        indexes=parameters.readable_indexes(),
        authoritative=parameters.flag(b"auth"),
    )


def _respond(request: Request, answer: Answer, asked: str, parameters: Parameters) -> Response:
    if answer.status is Status.FOUND and not _shows_record(parameters):
        location = _location(answer, parameters)
        if location is not None:
            return _redirect(location)
    status, body = json_answer(answer, asked)
    status = GONE if tombstone_of(answer) is not None else status
    headers = {"Vary": "Accept, Accept-Language"}
    if answer.status is Status.UNAVAILABLE:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    if prefers_json(request.headers.get("accept", "")):
        return Response(body, status, {**headers, "Content-Type": JSON_TYPE})
    page = record_page if answer.status is Status.FOUND else outcome_page
    return _html(status, page(answer, asked, _words(request)), headers)


def _shows_record(parameters: Parameters) -> bool:
    return parameters.flag(b"noredirect") or parameters.first(b"action") == b"showvalues"


def _location(answer: Answer, parameters: Parameters) -> Location | None:
    values = answer.values
    if values is None:
        values = decode_values(answer.stored.wire) if answer.stored is not None else ()
    return choose_location(values, append=parameters.first(b"urlappend") or b"", now=int(time()))


def _redirect(location: Location) -> Response:
    headers = {
        "Location": location.uri,
        "Expires": formatdate(time() + location.ttl_seconds, usegmt=True),
    }
    return _html(302, redirect_page(location.uri), headers)


def _html(status: int, page: bytes, headers: dict[str, str] | None = None) -> Response:
    fixed = {
        "Content-Type": HTML_TYPE,
        "Content-Security-Policy": POLICY,
        "X-Content-Type-Options": "nosniff",
    }
    return Response(page, status, {**(headers or {}), **fixed})


def _words(request: Request) -> Wording:
    chinese = prefers_chinese(request.headers.get("accept-language", ""))
    return CHINESE if chinese else ENGLISH
