"""Reading records over the Handle JSON API, as the reference server gives them (spec "Handle JSON HTTP API").

The text after `/api/handles/` is always a handle.  Strangers get public values, from wherever they are found first; a
caller who is known gets what he may read, from the database itself, and nobody keeps that.
"""

from dataclasses import replace

import orjson
from fastapi import Request
from fastapi.responses import Response

from resolver.answer import Answer, Question, Status, Stored, Tier
from resolver.handlejson import site_to_json
from resolver.hot.http import HotHttp
from resolver.identifier import Identifier, IdentifierError, Scheme
from resolver.jsonapi import (
    HANDLES,
    Act,
    Asked,
    Desk,
    Form,
    name_in_path,
    read_parameters,
    refuse,
    respond,
)
from resolver.observe import Protocol, cell
from resolver.precondition import etag
from resolver.recorder import HttpCount
from resolver.registrar import Caller, Registrar
from resolver.render import REFERRALS, json_answer, outcome_of
from resolver.service import BUSY, Resolver, select
from resolver.source import SourceUnavailable
from resolver.wire import ResponseCode

_FROM_RECORDS = frozenset({Status.FOUND, Status.NO_SUCH_VALUE, Status.NO_SUCH_HANDLE})


class HandlesApi:
    """GET, HEAD and POST of `/api/handles/…`, and `/api/site`."""

    def __init__(
        self,
        desk: Desk,
        service: Resolver,
        registrar: Registrar,
        count: HttpCount,
        list_handles: Act,
        hot: HotHttp | None = None,
    ) -> None:
        """`list_handles` answers for a prefix; `hot` remembers plain answers, so that the next need not come here."""
        self._desk = desk
        self._service = service
        self._registrar = registrar
        self._count = count
        self._list_handles = list_handles
        self._hot = hot

    async def show(self, request: Request) -> Response:
        """GET and HEAD of a record or a list; POST is GET with the parameters in a form or JSON body."""
        return await self._desk.serve(request, name_in_path(request), self._show)

    async def site(self, request: Request) -> Response:
        """GET `/api/site`: where this server is, and its public key."""
        parameters, fault = await read_parameters(request)
        form = Form.of(parameters)
        if fault:
            return refuse(ResponseCode.PROTOCOL_ERROR, fault, None, form)
        body = {"responseCode": 1, "site": site_to_json(self._service.site())}
        return respond(200, orjson.dumps(body), form)

    async def _show(self, asked: Asked) -> Response:
        if not asked.name and asked.parameters.first(b"prefix") is not None:
            return await self._list_handles(asked)
        asked.parameters.indexes()  # a bad number is told before a bad handle
        scheme, era = Scheme.HANDLE, self._hot.era if self._hot is not None else 0
        key, party = asked.name, self._count.party(asked.request.scope)
        try:
            identifier = self._service.identify(asked.name)
        except IdentifierError as error:
            answer = Answer(Status.INVALID_HANDLE, message=str(error))
            response = self._tell(asked, answer, is_prefix=False)
        else:
            answer = await self._answer(asked, identifier)
            response = self._tell(asked, answer, is_prefix=identifier.is_prefix_handle)
            scheme, key = identifier.scheme, identifier.key
            self._remember(asked, identifier, answer, response, era)
        counted = cell(Protocol.HTTP_JSON, scheme, answer.status, answer.tier)
        if await self._count.answered(party, key, counted, asked.started_ns):
            return response
        return self._tell(asked, Answer(Status.UNAVAILABLE, message=BUSY), is_prefix=False)

    async def _answer(self, asked: Asked, identifier: Identifier) -> Answer:
        parameters = asked.parameters
        question = Question(
            identifier=identifier,
            types=parameters.all(b"type"),
            indexes=parameters.indexes(),
            public_only=parameters.flag(b"publicOnly", absent=asked.caller is None),
            authoritative=parameters.flag(b"auth"),
        )
        if asked.caller is not None and not question.public_only:
            answer = await self._read(question, asked.caller)
        else:
            answer = await self._service.resolve(question)
        if answer.status in REFERRALS and parameters.flag(b"doNotRefer"):
            return Answer(Status.NOT_RESPONSIBLE)
        return answer

    async def _read(self, question: Question, caller: Caller) -> Answer:
        """What this caller may read; the service says whether the record is here at all."""
        public = await self._service.resolve(replace(question, public_only=True))
        if public.status not in _FROM_RECORDS:
            return public
        try:
            reading = await self._registrar.read(question.identifier, caller)
        except SourceUnavailable:
            return Answer(Status.UNAVAILABLE, message=BUSY)
        if reading.code is not ResponseCode.SUCCESS:
            return Answer(outcome_of(reading.code), Tier.POSTGRES, message=reading.message)
        values = select(reading.values, question)
        status = Status.FOUND if values else Status.NO_SUCH_VALUE
        stored = Stored(0, reading.handle, 0, True, b"", b"", Tier.POSTGRES, reading.version)
        return Answer(status, Tier.POSTGRES, stored, values)

    def _tell(self, asked: Asked, answer: Answer, *, is_prefix: bool) -> Response:
        if answer.status is Status.AUTHENTICATION_NEEDED:
            return self._desk.ask_for_login(asked, asked.handle)
        status, body = json_answer(answer, asked.handle)
        tag = _tag_of(answer)
        headers = {"ETag": tag} if tag else {}
        if tag and asked.caller is None and not is_prefix and _knows(asked.request, tag):
            return Response(status_code=304, headers=headers)
        return respond(status, body, asked.form, headers)

    def _remember(
        self,
        asked: Asked,
        identifier: Identifier,
        answer: Answer,
        response: Response,
        era: int,
    ) -> None:
        """Keep the answer to a plain GET, under its path, when it is spelled as stored (answers echo the spelling)."""
        scope, stored = asked.request.scope, answer.stored
        raw_path = scope["raw_path"]
        if (
            self._hot is not None
            and asked.caller is None
            and asked.request.method == "GET"
            and response.status_code == 200
            and not scope["query_string"]
            and raw_path.startswith(HANDLES + b"/")
            and stored is not None
            and stored.handle == asked.name
        ):
            counted = cell(Protocol.HTTP_JSON, identifier.scheme, answer.status, Tier.MEMORY)
            path, body = raw_path[len(HANDLES) + 1 :], bytes(response.body)
            self._hot.remember(path, body, answer, identifier.key, counted, era)


def _knows(request: Request, tag: str) -> bool:
    """True for a GET or HEAD that says it has this already (RFC 9110 §13.1.2)."""
    known = request.headers.get("if-none-match", "").split(",")
    return request.method != "POST" and tag in [each.strip().removeprefix("W/") for each in known]


def _tag_of(answer: Answer) -> str:
    """Return the ETag of an answer from a record, empty for others."""
    is_read = answer.status in (Status.FOUND, Status.NO_SUCH_VALUE)
    version = answer.stored.version if is_read and answer.stored is not None else 0
    return etag(version) if version else ""
