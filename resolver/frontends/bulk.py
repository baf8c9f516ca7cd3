"""`POST /v1/resolve`: many identifiers in one request, NDJSON or a JSON array; the answers are NDJSON, in that order.

An item is an identifier, or an object of `identifier`, `scheme`, `types` and `indexes`.  Each is answered by the body
that `GET /v1/resolve/{identifier}` gives, on a line of its own, and counted; an item's fault is in its own line.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from io import BytesIO
from itertools import islice
from time import perf_counter_ns
from typing import TypeVar

import orjson
from fastapi import Request
from fastapi.responses import Response, StreamingResponse
from starlette.types import Receive, Send
from starlette.types import Scope as AsgiScope

from resolver.answer import Answer, Question, Status
from resolver.document import BAD_REQUEST, Document, answer_document, problem_document
from resolver.identifier import IdentifierError, Scheme
from resolver.observe import Protocol, cell
from resolver.problem import PROBLEM_TYPE, Problem
from resolver.recorder import HttpCount, Party
from resolver.service import Resolver
from resolver.target import MAX_INDEX, read_body

NDJSON_TYPE = "application/x-ndjson"
MAX_ITEMS = 1_000
MAX_BODY_BYTES = 1 << 20
MAX_WANTED = 512  # types and indexes of one item
MAX_BATCHES = 8  # of one worker under way at once
ITEMS_AT_ONCE = 32  # of one batch
BATCH_SECONDS = 60.0  # after which what is left of an answer is cut off
RETRY_AFTER_SECONDS = 1

_MEMBERS = frozenset({"identifier", "scheme", "types", "indexes"})
_ARRAY = b"["
_ITEM = "an item is an identifier, or an object with identifier, scheme, types and indexes"

_T = TypeVar("_T")

log = logging.getLogger(__name__)


class _ItemError(ValueError):
    """An item that cannot be read; `asked` is its identifier, as far as there is one."""

    def __init__(self, message: str, asked: str = "") -> None:
        super().__init__(message)
        self.asked = asked


class BulkApi:
    """POST of `/v1/resolve`."""

    def __init__(self, service: Resolver, count: HttpCount) -> None:
        self._service = service
        self._count = count
        self._batches = 0  # under way

    async def resolve(self, request: Request) -> Response:
        """Resolve all items.  Raises BodyTooLarge."""
        body = await read_body(request.stream(), MAX_BODY_BYTES)
        try:
            items = _split(body)
        except _ItemError as error:
            return _refusal(Problem(400, BAD_REQUEST, str(error)))
        if len(items) > MAX_ITEMS:
            detail = f"at most {MAX_ITEMS} items in one request; send the others in another"
            return _refusal(Problem(413, "too_many_items", detail))
        if self._batches >= MAX_BATCHES:
            detail = f"{MAX_BATCHES} batches are under way; try again"
            return _refusal(Problem(503, "unavailable", detail))
        return _Batch(self, items, self._count.party(request.scope))

    async def answer(self, items: Sequence[object], party: Party) -> AsyncIterator[bytes]:
        """Yield the lines, some at a time."""
        for start in range(0, len(items), ITEMS_AT_ONCE):
            async with asyncio.TaskGroup() as tasks:
                some = [
                    tasks.create_task(self._line(item, party))
                    for item in items[start : start + ITEMS_AT_ONCE]
                ]
            yield b"".join([each.result() for each in some])

    def begin(self) -> None:
        """Count a batch that is under way."""
        self._batches += 1

    def end(self) -> None:
        """Count it no more."""
        self._batches -= 1

    async def _line(self, item: object, party: Party) -> bytes:
        """Answer one item, and count it; a fault of ours is told like any other."""
        started = perf_counter_ns()
        try:
            document, counted, key = await self._resolve(item)
        except Exception:
            log.exception("an item cannot be answered")
            asked = str(item.get("identifier", "")) if isinstance(item, dict) else str(item)
            document = problem_document(
                Problem(500, "internal_server_error", "The server's log has the cause"), asked
            )
            counted, key = _cell(Scheme.HANDLE, Answer(Status.UNAVAILABLE)), asked.encode()
        if not await self._count.answered(party, key, counted, started):
            spelled = key.decode("utf-8", "replace")
            document = answer_document(Answer(Status.UNAVAILABLE), spelled, None)
        return document.body + b"\n"

    async def _resolve(self, item: object) -> tuple[Document, int, bytes]:
        """Return the answer to an item, where it is counted, and the key of what was asked."""
        try:
            asked, question = self._question(item)
        except _ItemError as error:
            problem = Problem(400, BAD_REQUEST, str(error))
            refused = Answer(Status.INVALID_HANDLE)
            counted = _cell(Scheme.HANDLE, refused)
            return problem_document(problem, error.asked), counted, error.asked.encode()
        if isinstance(question, IdentifierError):
            answer = Answer(Status.INVALID_HANDLE, message=str(question))
            document = answer_document(answer, asked, None)
            return document, _cell(Scheme.HANDLE, answer), asked.encode()
        answer, identifier = await self._service.resolve(question), question.identifier
        document = answer_document(answer, asked, identifier)
        return document, _cell(identifier.scheme, answer), identifier.key

    def _question(self, item: object) -> tuple[str, Question | IdentifierError]:
        """Read an item: its identifier, and what is asked or why that is none.  Raises _ItemError."""
        fields = {"identifier": item} if isinstance(item, str) else item
        if isinstance(fields, _Unreadable):
            raise _ItemError(f"the line is no JSON: {fields.reason}")
        if not isinstance(fields, dict) or not isinstance(fields.get("identifier"), str):
            raise _ItemError(_ITEM)
        asked: str = fields["identifier"]
        if not fields.keys() <= _MEMBERS:
            raise _ItemError(f"{_ITEM}, and nothing else", asked)
        types = tuple(each.encode() for each in _list(fields, "types", str, asked))
        indexes = tuple(_list(fields, "indexes", int, asked))
        if any(abs(index) > MAX_INDEX for index in indexes):
            raise _ItemError(f"an index is at most {MAX_INDEX}", asked)
        scheme = _scheme(fields.get("scheme"), asked)
        try:
            return asked, Question(self._service.detect(asked, scheme), types, indexes)
        except IdentifierError as error:
            return asked, error


class _Unreadable:
    """A line that is no JSON."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


class _Batch(StreamingResponse):
    """The answer to a batch: it counts as under way until it is written, or cannot be."""

    def __init__(self, api: BulkApi, items: Sequence[object], party: Party) -> None:
        super().__init__(api.answer(items, party), media_type=NDJSON_TYPE)
        self._api = api
        api.begin()

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout(BATCH_SECONDS):
                await super().__call__(scope, receive, send)
        except (
            TimeoutError
        ):  # who serves it sees that the answer has no end, and closes the connection
            log.warning("a batch took too long and was cut off")
        finally:
            self._api.end()


def _split(body: bytes) -> list[object]:
    """Return the items of an array, or of the lines.  Raises _ItemError when the whole cannot be read."""
    if body.lstrip().startswith(_ARRAY):
        try:
            array: list[object] = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise _ItemError(f"the body is no JSON array: {error}") from error
        return array
    lines = (line for line in BytesIO(body) if line.strip())
    items = [_read(line) for line in islice(lines, MAX_ITEMS + 1)]
    if not items:
        raise _ItemError(f"the body is empty; send one item a line, or a JSON array: {_ITEM}")
    return items


def _read(line: bytes) -> object:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return _Unreadable(str(error))


def _list(fields: dict[str, object], name: str, kind: type[_T], asked: str) -> list[_T]:
    found = fields.get(name, [])
    if not isinstance(found, list) or len(found) > MAX_WANTED:
        raise _ItemError(f"{name} must be a list of at most {MAX_WANTED}", asked)
    if not all(type(each) is kind for each in found):  # true is no number here
        words = "texts" if kind is str else "whole numbers"
        raise _ItemError(f"{name} must be a list of {words}", asked)
    return found


def _scheme(name: object, asked: str) -> Scheme | None:
    if name is None:
        return None
    try:
        return Scheme(str(name).lower())
    except ValueError as error:
        raise _ItemError(f"no such scheme; there are {', '.join(Scheme)}", asked) from error


def _cell(scheme: Scheme, answer: Answer) -> int:
    return cell(Protocol.BATCH, scheme, answer.status, answer.tier)


def _refusal(problem: Problem) -> Response:
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if problem.status == 503 else None
    return Response(problem.encode(), problem.status, headers, media_type=PROBLEM_TYPE)
