"""Lists over the Handle JSON API: the handles of a prefix, and the prefixes homed here; homing them, too.

The reference gives a whole list when no page is asked for.  Here that is the first MAX_LISTED, and `next` says where
to go on: `after=…` with that text continues from there, at any depth for the same price.
"""

from collections.abc import Callable
from dataclasses import dataclass

import orjson
from fastapi import Request
from fastapi.responses import Response

from resolver.identifier import PREFIX_HANDLE, Identifier
from resolver.jsonapi import Asked, Desk, name_in_path, refuse, respond, show
from resolver.registrar import Listing, Operation, Registrar, Write
from resolver.render import json_error, write_status
from resolver.service import Resolver
from resolver.target import Parameters, TargetError
from resolver.wire import ResponseCode

PREFIXES = b"/api/prefixes"
MAX_LISTED = 10_000
DEFAULT_LIMIT = 1_000
MAX_SKIPPED = 1_000_000  # each one is read and thrown away
_MAX_DIGITS = 9


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of a list is wanted; `page` and `size` only when the caller counts in pages."""

    after: bytes = b""
    skip: int = 0
    limit: int = MAX_LISTED
    count: bool = True
    page: int = -1
    size: int = -1


class ListingApi:
    """GET of `/api/handles?prefix=…` and `/api/prefixes`; POST and DELETE of the latter."""

    def __init__(self, desk: Desk, service: Resolver, registrar: Registrar) -> None:
        self._desk = desk
        self._service = service
        self._registrar = registrar

    async def handles(self, asked: Asked) -> Response:
        """The handles of the prefix that the parameters name.  Raises as `Desk.serve` wants it."""
        text = asked.parameters.first(b"prefix") or b""
        prefix = self._prefix(text)
        part = read_part(asked.parameters, lambda after: self._service.identify(after).key)
        listing = await self._registrar.list_handles(
            prefix,
            asked.caller,
            after=part.after,
            skip=part.skip,
            limit=part.limit,
            count=part.count,
        )
        return self._tell(asked, listing, part, "handles", show(text))

    async def prefixes(self, request: Request) -> Response:
        """GET lists the prefixes homed here, POST homes one, DELETE unhomes it."""
        name = name_in_path(request, PREFIXES)
        act = self._list_prefixes if request.method in ("GET", "HEAD") else self._home
        return await self._desk.serve(request, name, act)

    async def _list_prefixes(self, asked: Asked) -> Response:
        if asked.parameters.first(b"prefix") is not None:
            return _no_such_method(asked)
        part = read_part(asked.parameters, lambda after: self._prefix(after).prefixes[0])
        listing = await self._registrar.list_prefixes(
            asked.caller, after=part.after, skip=part.skip, limit=part.limit, count=part.count
        )
        return self._tell(asked, listing, part, "prefixes", None)

    async def _home(self, asked: Asked) -> Response:
        text = asked.name or asked.parameters.first(b"prefix")
        if not text:
            raise TargetError("which prefix? Name it in the path or as parameter prefix")
        operation = Operation.UNHOME if asked.request.method == "DELETE" else Operation.HOME
        prefix = self._prefix(text)
        write = Write(
            operation=operation,
            identifier=prefix,
            caller=asked.caller,
            origin=asked.origin,
            reason=asked.reason,
        )
        verdict = await self._registrar.write(write)
        if verdict.code is ResponseCode.AUTHENTICATION_NEEDED:
            return self._desk.ask_for_login(asked, show(text), verdict.message)
        body = json_error(verdict.code, verdict.message, show(text))
        return respond(write_status(verdict), body, asked.form)

    def _tell(
        self, asked: Asked, listing: Listing, part: Part, what: str, prefix: str | None
    ) -> Response:
        if listing.code is ResponseCode.AUTHENTICATION_NEEDED:
            return self._desk.ask_for_login(asked, prefix, listing.message)
        if listing.code is not ResponseCode.SUCCESS:
            return refuse(listing.code, listing.message, prefix, asked.form)
        body: dict[str, object] = {"responseCode": int(listing.code)}
        if prefix is not None:
            body["prefix"] = prefix
        if part.count:
            body["totalCount"] = str(listing.total)
        if part.page >= 0:
            body |= {"page": part.page, "pageSize": part.size}
        body[what] = [show(name) for name in listing.names]
        if listing.last and part.page < 0:
            body["next"] = show(listing.last)
        return respond(200, orjson.dumps(body), asked.form)

    def _prefix(self, text: bytes) -> Identifier:
        """Return the prefix handle of a prefix, given as `88.1` or `0.NA/88.1`.  Raises IdentifierError."""
        is_whole = text[: len(PREFIX_HANDLE)].upper() == PREFIX_HANDLE
        return self._service.identify(text if is_whole else PREFIX_HANDLE + text)


def read_part(parameters: Parameters, canonical: Callable[[bytes], bytes]) -> Part:
    """Read which part of a list is wanted; `canonical` reads the name after which it begins.

    `page` and `pageSize` work together, as on the reference server; `after` and `limit` are ours.
    Raises TargetError, and what `canonical` raises.
    """
    page, size = _number(parameters, b"page"), _number(parameters, b"pageSize")
    after, limit = parameters.first(b"after"), _number(parameters, b"limit")
    if page is not None and size is not None and page >= 0 and size >= 0:
        if size > MAX_LISTED or page * size > MAX_SKIPPED:
            raise TargetError(
                f"pageSize may be {MAX_LISTED}, and {MAX_SKIPPED} names skipped; beyond that use after and limit"
            )
        return Part(b"", page * size, size, count=True, page=page, size=size)
    if after is None and limit is None:
        return Part()
    limit = DEFAULT_LIMIT if limit is None else limit
    if not 1 <= limit <= MAX_LISTED:
        raise TargetError(f"limit must be from 1 to {MAX_LISTED}")
    return Part(canonical(after) if after else b"", 0, limit, count=False)


def _no_such_method(asked: Asked) -> Response:
    """A prefix is homed and unhomed; there is nothing to read of it here."""
    message = f"Unknown HTTP API endpoint GET {PREFIXES.decode()} with a prefix"
    body = json_error(ResponseCode.PROTOCOL_ERROR, message)
    return respond(405, body, asked.form, {"Allow": "POST, DELETE, OPTIONS"})


def _number(parameters: Parameters, name: bytes) -> int | None:
    text = parameters.first(name)
    if text is None:
        return None
    digits = text.removeprefix(b"-")
    if not digits.isdigit() or len(digits) > _MAX_DIGITS:
        raise TargetError(f"{name.decode()} {show(text)!r:.40} is not a number")
    return int(text)
