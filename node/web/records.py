"""`/v1/records/…` on the admin listener: records of every scheme, read and written; their history, and its undoing.

A record is put, patched and deleted at its identifier.  A patch is one of `{"add": values}`, `{"modify": values}` and
`{"remove": indexes}`: what must be there and what must not is said by the word, so one write is one of them.  The
reason of a write is the parameter `reason`, the terms are the headers that `resolver.precondition` reads.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from time import time
from typing import NamedTuple
from urllib.parse import quote

import orjson
from fastapi import Request
from fastapi.responses import Response

from node.web.asked import Act, AdminDesk, Asked, Told, read_json, respond, told
from resolver.answer import Question
from resolver.handlejson import values_from_json, values_to_json
from resolver.handlejson.fields import MAX_INDEX, expect_list, read_number
from resolver.httplogin import HttpLogin, origin_of
from resolver.identifier import PREFIX_HANDLE, Identifier
from resolver.precondition import KEYS_HONOURED, etag, read_precondition, read_reason
from resolver.problem import Problem
from resolver.registrar import Operation, Registrar, Revision, Verdict, Write
from resolver.service import Resolver
from resolver.target import TargetError
from resolver.tombstone import tombstone_of
from resolver.wire import MAX_VALUES, HandleValue, ResponseCode

RECORDS, HISTORY, REVERT = b"/v1/records", b"/v1/history", b"/v1/revert"
MAX_NAMES = 1_000  # of one page
MAX_REVISIONS = 100
MAX_BODY_BYTES = 1 << 20  # a record of 262,144 bytes, escaped and described
MAX_VERSION = 2**31 - 1

_PATCHES = {"add": Operation.ADD, "modify": Operation.MODIFY, "remove": Operation.REMOVE}
Json = dict[str, object]


class RecordsApi:
    """The endpoints; each is handed a request and returns the response."""

    def __init__(self, registrar: Registrar, login: HttpLogin, service: Resolver) -> None:
        self._registrar = registrar
        self._service = service
        self._desk = AdminDesk(login, service)

    async def show(self, request: Request) -> Response:
        """GET and HEAD of a record: all values that the caller may read, from the database itself."""
        return await self._desk.serve(request, RECORDS, self._show)

    async def put(self, request: Request) -> Response:
        """PUT: create a record, or replace it."""
        return await self._serve_write(request, RECORDS, self._put)

    async def patch(self, request: Request) -> Response:
        """PATCH: add, modify or remove values."""
        return await self._serve_write(request, RECORDS, self._patch)

    async def delete(self, request: Request) -> Response:
        """DELETE: leave a tombstone."""
        return await self._serve_write(request, RECORDS, self._delete)

    async def list(self, request: Request) -> Response:
        """GET `/v1/records?prefix=`: names, in the order of their keys."""
        return await self._desk.serve(request, RECORDS, self._list)

    async def history(self, request: Request) -> Response:
        """GET: who has done what to a record, the newest first."""
        return await self._desk.serve(request, HISTORY, self._history)

    async def revert(self, request: Request) -> Response:
        """POST: make a record what it was at a version."""
        return await self._serve_write(request, REVERT, self._revert)

    async def _serve_write(self, request: Request, root: bytes, act: Act) -> Response:
        response = await self._desk.serve(request, root, act)
        response.headers.update(KEYS_HONOURED)
        return response

    async def _show(self, asked: Asked) -> Response:
        identifier = self._desk.identify(asked)
        reading = await self._registrar.read(identifier, asked.caller)
        if reading.code is ResponseCode.HANDLE_NOT_FOUND:
            await self._tell_if_gone(identifier)
        if reading.code not in (ResponseCode.SUCCESS, ResponseCode.VALUES_NOT_FOUND):
            raise told(reading.code, reading.message)
        headers = {"ETag": etag(reading.version)}
        if asked.request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        body = _head(asked, reading.handle, reading.version) | _values(reading.values)
        return respond(200, body, headers)

    async def _put(self, asked: Asked) -> Response:
        mint = asked.parameters.flag(b"mint")
        if mint and asked.name.find("/") == len(asked.name) - 1:
            asked = replace(asked, name=asked.name[:-1])  # `88.1/` means the prefix itself
        overwrite = asked.parameters.flag(b"overwrite", absent=not mint)
        content = await read_json(asked.request, MAX_BODY_BYTES)
        values = _read_values(content.get("values") if isinstance(content, dict) else content)
        write = self._write(asked, Operation.CREATE)
        return await self._carry_out(
            asked, replace(write, values=values, overwrite=overwrite, mint=mint)
        )

    async def _patch(self, asked: Asked) -> Response:
        patch = _read_patch(await read_json(asked.request, MAX_BODY_BYTES))
        write = self._write(asked, patch.operation)
        return await self._carry_out(
            asked,
            replace(write, values=patch.values, indexes=patch.indexes, overwrite=patch.overwrite),
        )

    async def _delete(self, asked: Asked) -> Response:
        return await self._carry_out(asked, self._write(asked, Operation.DELETE))

    async def _revert(self, asked: Asked) -> Response:
        version = _number(asked, b"version", MAX_VERSION)
        if not version:
            raise TargetError("version is missing; the history of the record lists them")
        write = self._write(asked, Operation.REVERT)
        return await self._carry_out(asked, replace(write, to_version=version))

    async def _list(self, asked: Asked) -> Response:
        name = asked.parameters.first(b"prefix")
        if not name:
            raise TargetError("prefix is missing, such as ?prefix=88.118")
        prefix = name if name.upper().startswith(PREFIX_HANDLE) else PREFIX_HANDLE + name
        listing = await self._registrar.list_handles(
            self._service.identify(prefix),
            asked.caller,
            after=asked.parameters.first(b"after") or b"",
            limit=_number(asked, b"limit", MAX_NAMES) or MAX_NAMES,
            count=asked.parameters.flag(b"count"),
        )
        if listing.code is not ResponseCode.SUCCESS:
            raise told(listing.code, listing.message)
        body: Json = {"prefix": _text(name), "handles": [_text(each) for each in listing.names]}
        body |= {"total": listing.total} if listing.total >= 0 else {}
        body |= {"after": _text(listing.last)} if listing.last else {}
        return respond(200, body)

    async def _history(self, asked: Asked) -> Response:
        limit = _number(asked, b"limit", MAX_REVISIONS) or MAX_REVISIONS
        history = await self._registrar.history(
            self._desk.identify(asked),
            asked.caller,
            before=_number(asked, b"before", MAX_VERSION),
            limit=limit,
        )
        if history.code is not ResponseCode.SUCCESS:
            raise told(history.code, history.message)
        shown = history.revisions
        body: Json = {"identifier": asked.name, "revisions": [_revision(each) for each in shown]}
        is_more = len(shown) == limit and shown[-1].version > 1
        return respond(200, body | ({"before": shown[-1].version} if is_more else {}))

    def _write(self, asked: Asked, operation: Operation) -> Write:
        headers = asked.request.headers
        precondition = read_precondition(
            headers.get("if-match"), headers.get("if-none-match"), headers.get("idempotency-key")
        )
        header = dict(asked.request.scope["headers"]).get(b"x-idnode-reason")
        return Write(
            operation=operation,
            identifier=self._desk.identify(asked),
            caller=asked.caller,
            origin=origin_of(asked.request.scope),
            reason=read_reason(asked.parameters, header),
            if_version=precondition.if_version,
            idempotency_key=precondition.idempotency_key,
        )

    async def _carry_out(self, asked: Asked, write: Write) -> Response:
        verdict = await self._registrar.write(write)
        if verdict.condition_failed:
            raise _condition_failed(verdict)
        if verdict.code is not ResponseCode.SUCCESS:
            raise told(verdict.code, verdict.message)
        headers = {"ETag": etag(verdict.version)}
        if verdict.created:
            headers["Location"] = f"{RECORDS.decode()}/{quote(verdict.handle, safe='/:')}"
        body = _head(asked, verdict.handle, verdict.version) | {"created": verdict.created}
        headers |= {"Idempotent-Replayed": "true"} if verdict.replayed else {}
        return respond(201 if verdict.created else 200, body, headers)

    async def _tell_if_gone(self, identifier: Identifier) -> None:
        """Raise Told for a record that was deleted."""
        answer = await self._service.resolve(Question(identifier, authoritative=True))
        tombstone = tombstone_of(answer)
        if tombstone is not None:
            problem = Problem(410, "gone", tombstone.sentence())
            code = int(ResponseCode.HANDLE_NOT_FOUND)
            members = {"at": tombstone.moment, "reason": tombstone.reason}
            raise Told(problem, responseCode=code, **members)


class _Patch(NamedTuple):
    operation: Operation
    values: tuple[HandleValue, ...] = ()
    indexes: tuple[int, ...] = ()
    overwrite: bool = False


def _read_values(content: object) -> tuple[HandleValue, ...]:
    return values_from_json(content, now=int(time()), judge_indexes=False)


def _read_patch(content: object) -> _Patch:
    words = [word for word in _PATCHES if isinstance(content, dict) and word in content]
    if not isinstance(content, dict) or len(words) != 1:
        raise TargetError('the body must be one of {"add": []}, {"modify": []} and {"remove": []}')
    word = words[0]
    if word == "remove":
        items = expect_list(content[word], "remove", MAX_VALUES)
        indexes = tuple(read_number(item, "an index", MAX_INDEX) for item in items)
        return _Patch(Operation.REMOVE, indexes=indexes)
    overwrite = content.get("overwrite", False)
    if not isinstance(overwrite, bool):
        raise TargetError("overwrite must be true or false")
    return _Patch(_PATCHES[word], _read_values(content[word]), overwrite=overwrite)


def _number(asked: Asked, name: bytes, limit: int) -> int:
    """Return a number from 1 to `limit`; 0 when it is not given.  Raises TargetError."""
    found = asked.parameters.indexes(name)
    if not found:
        return 0
    if not 1 <= found[0] <= limit:
        raise TargetError(f"{name.decode()} must be from 1 to {limit}")
    return found[0]


def _condition_failed(verdict: Verdict) -> Told:
    now = f"is at version {verdict.version}" if verdict.version else "does not exist"
    problem = Problem(412, "condition_failed", f"The record {now}; read it again before you write")
    return Told(problem, version=verdict.version, responseCode=int(verdict.code))


def _head(asked: Asked, handle: bytes, version: int) -> Json:
    return {"identifier": asked.name, "handle": _text(handle), "version": version}


def _values(values: Sequence[HandleValue]) -> Json:
    return {"values": orjson.Fragment(values_to_json(values))}


def _revision(revision: Revision) -> Json:
    return {
        "version": revision.version,
        "serial": revision.serial,
        "at": datetime.fromtimestamp(revision.at, UTC).isoformat()[:19] + "Z",
        "operation": revision.operation.value,
        "caller": revision.caller,
        "means": revision.means,
        "origin": revision.origin,
        "reason": revision.reason,
        **({"values": None} if revision.values is None else _values(revision.values)),
    }


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
