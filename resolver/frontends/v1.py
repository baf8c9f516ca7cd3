"""`/v1/resolve/…`: one answer for every identifier scheme; errors are problem documents (RFC 9457).

The scheme is detected, or named by a label in the identifier (`oid:…`) or by `?scheme=`.
"""

from time import perf_counter_ns

from fastapi import Request
from fastapi.responses import Response

from resolver.answer import Answer, Question, Status
from resolver.document import BAD_REQUEST, Document, answer_document, problem_document
from resolver.identifier import IdentifierError, Scheme
from resolver.observe import Protocol, cell
from resolver.problem import Problem
from resolver.recorder import HttpCount
from resolver.service import Resolver
from resolver.target import Parameters, TargetError, decode_path, parse_query

ROOT = b"/v1/resolve/"
RETRY_AFTER_SECONDS = 1


class ResolveApi:
    """GET and HEAD of `/v1/resolve/{identifier}`."""

    def __init__(self, service: Resolver, count: HttpCount) -> None:
        self._service = service
        self._count = count

    async def show(self, request: Request) -> Response:
        """Resolve an identifier of any scheme."""
        started = perf_counter_ns()
        asked = decode_path(request.scope["raw_path"], ROOT)
        spelled = asked.decode("utf-8", "replace")
        try:
            parameters = parse_query(request.scope["query_string"])
            question = self._question(asked, parameters)
        except TargetError as error:
            return _response(problem_document(Problem(400, BAD_REQUEST, str(error)), spelled))
        except IdentifierError as error:
            answer, identifier = Answer(Status.INVALID_HANDLE, message=str(error)), None
        else:
            answer, identifier = await self._service.resolve(question), question.identifier
        response = _response(answer_document(answer, spelled, identifier))
        scheme = identifier.scheme if identifier else Scheme.HANDLE
        counted = cell(Protocol.HTTP_JSON, scheme, answer.status, answer.tier)
        key = identifier.key if identifier else asked
        if await self._count.answered(self._count.party(request.scope), key, counted, started):
            return response
        return _response(answer_document(Answer(Status.UNAVAILABLE), spelled, identifier))

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


def _response(document: Document) -> Response:
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if document.status == 503 else None
    return Response(document.body, document.status, headers, media_type=document.media_type)
