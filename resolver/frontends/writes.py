"""Writing records over the Handle JSON API: PUT and DELETE of `/api/handles/…` (spec "PUT", "DELETE").

This side says what is wanted; the registrar decides, in its order.  What is wrong with the request itself is told
first: content type, JSON, a handle or indexes inside that are not those outside.
"""

from dataclasses import dataclass, replace

import orjson
from fastapi import Request
from fastapi.responses import Response

from resolver.handlejson import HandleJsonError, values_from_json
from resolver.identifier import Identifier, IdentifierError
from resolver.jsonapi import Act, Asked, Desk, name_in_path, respond, show
from resolver.precondition import KEYS_HONOURED, Precondition, etag, read_precondition
from resolver.registrar import Operation, Registrar, Verdict, Write
from resolver.render import json_error, write_status
from resolver.service import Resolver
from resolver.target import Parameters, TargetError, read_body
from resolver.wire import MAX_MESSAGE_BYTES, HandleValue, ResponseCode

VARIOUS = b"various"
_REGISTRAR_STAMPS = 0  # timestamps are the registrar's


@dataclass(frozen=True, slots=True)
class PutBody:
    """What the body of a PUT holds: values, and the handle they are for when it says so."""

    values: tuple[HandleValue, ...]
    handle: bytes | None


class WritesApi:
    """PUT and DELETE."""

    def __init__(self, desk: Desk, service: Resolver, registrar: Registrar) -> None:
        self._desk = desk
        self._service = service
        self._registrar = registrar

    async def put(self, request: Request) -> Response:
        """Create or replace a record; with `index`, add or replace some of its values."""
        return await self._serve(request, self._put)

    async def delete(self, request: Request) -> Response:
        """Delete a record; with `index`, remove some of its values."""
        return await self._serve(request, self._delete)

    async def _serve(self, request: Request, act: Act) -> Response:
        response = await self._desk.serve(request, name_in_path(request), act)
        response.headers.update(KEYS_HONOURED)
        return response

    async def _put(self, asked: Asked) -> Response:
        data = await read_body(asked.request.stream(), MAX_MESSAGE_BYTES)
        body = read_put(asked.request.headers.get("content-type", ""), data)
        parameters = asked.parameters
        is_partial = parameters.first(b"index") is not None
        mint = is_java_true(parameters.first(b"mintNewSuffix"), absent=False)
        if is_partial:
            _check_indexes(parameters, body.values)
        if is_partial and mint:
            raise TargetError("mintNewSuffix makes a whole record; leave index out")
        identifier = self._start(asked.name) if mint else self._service.identify(asked.name)
        if body.handle is not None and not self._names(body.handle, asked.name, identifier):
            raise TargetError("Mismatched handle in PUT request")
        overwrite = is_java_true(parameters.first(b"overwrite"), absent=True)
        operation = Operation.ADD if is_partial else Operation.CREATE
        write = _written(asked, operation, identifier)
        return await self._carry_out(
            asked, replace(write, values=body.values, overwrite=overwrite, mint=mint)
        )

    async def _delete(self, asked: Asked) -> Response:
        indexes = asked.parameters.indexes()
        operation = Operation.REMOVE if indexes else Operation.DELETE
        write = _written(asked, operation, self._service.identify(asked.name))
        return await self._carry_out(asked, replace(write, indexes=indexes))

    async def _carry_out(self, asked: Asked, write: Write) -> Response:
        verdict = await self._registrar.write(write)
        handle = show(verdict.handle) if write.mint and verdict.handle else asked.handle
        if verdict.code is ResponseCode.AUTHENTICATION_NEEDED:
            return self._desk.ask_for_login(asked, handle, verdict.message)
        body = json_error(verdict.code, verdict.message, handle)
        return respond(write_status(verdict), body, asked.form, _headers(write, verdict))

    def _start(self, name: bytes) -> Identifier:
        """Return the identifier of what a minted suffix is appended to, such as `88.1`, `88.1/` or `88.1/pump-`.

        Raises IdentifierError.
        """
        if b"/" not in name:
            return self._service.identify(name)
        made = self._service.identify(name + b"0")
        return replace(made, text=made.text[:-1], key=made.key[:-1])

    def _names(self, inside: bytes, name: bytes, identifier: Identifier) -> bool:
        if inside == name:
            return True
        try:
            return self._service.identify(inside).key == identifier.key
        except IdentifierError:
            return False


def read_put(content_type: str, data: bytes) -> PutBody:
    """Read the body of a PUT: an array of values, an object that holds one, or a single value.

    Raises TargetError, which says what is wrong with it.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise TargetError(f"Unsupported media type {media_type or '(none)'}; use application/json")
    try:
        content = orjson.loads(data)
        items = content.get("values", [content]) if isinstance(content, dict) else content
        values = values_from_json(items, now=_REGISTRAR_STAMPS, judge_indexes=False)
    except orjson.JSONDecodeError as error:
        raise TargetError(f"Invalid JSON in PUT request: {error}") from error
    except HandleJsonError as error:
        raise TargetError(f"Invalid JSON in PUT request: {error}") from error
    inside = content.get("handle") if isinstance(content, dict) else None
    if inside is not None and not isinstance(inside, str):
        raise TargetError("Mismatched handle in PUT request")
    return PutBody(values, None if inside is None else inside.encode())


def is_java_true(value: bytes | None, *, absent: bool) -> bool:
    """Read a boolean as Java does: the word true in any case, and nothing else."""
    return absent if value is None else value.lower() == b"true"


def _check_indexes(parameters: Parameters, values: tuple[HandleValue, ...]) -> None:
    """The indexes outside must be those inside, unless they are `various`.  Raises TargetError."""
    if VARIOUS in parameters.all(b"index"):
        return
    indexes = {max(index, 0) for index in parameters.indexes()}
    if indexes != {value.index for value in values} and values:
        raise TargetError("Mismatched indexes in PUT request")


def _written(asked: Asked, operation: Operation, identifier: Identifier) -> Write:
    """Return the write with all that is read alike for every one.  Raises TargetError."""
    terms = _terms(asked.request)
    return Write(
        operation=operation,
        identifier=identifier,
        caller=asked.caller,
        origin=asked.origin,
        reason=asked.reason,
        if_version=terms.if_version,
        idempotency_key=terms.idempotency_key,
    )


def _terms(request: Request) -> Precondition:
    get = request.headers.get
    return read_precondition(get("if-match"), get("if-none-match"), get("idempotency-key"))


def _headers(write: Write, verdict: Verdict) -> dict[str, str]:
    headers = {}
    is_written = verdict.code is ResponseCode.SUCCESS and write.operation is not Operation.DELETE
    if verdict.version and (is_written or verdict.condition_failed):
        headers["ETag"] = etag(verdict.version)
    if verdict.replayed:
        headers["Idempotent-Replayed"] = "true"
    return headers
