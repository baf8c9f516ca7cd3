"""`/v1/tokens` on the admin listener: API tokens made, listed and revoked, by who may administrate this node."""

from datetime import datetime

import orjson
from fastapi import Request
from fastapi.responses import Response

from node.errors import Kind, RegistryError
from node.registry.tokens import USUAL_DAYS, TokenOrder, Tokens, read_scopes
from node.store.tokens import TokenRow
from node.web.asked import Asked, Told, respond
from node.web.operators import OperatorAct, OperatorDesk
from resolver.problem import Problem
from resolver.registrar import Caller
from resolver.target import TargetError, read_body

ROOT = b"/v1/tokens"
MAX_BODY_BYTES = 65_536

_MEMBERS = frozenset({"name", "owner", "scopes", "prefixes", "days", "operator"})
_PROBLEMS = {
    Kind.INVALID: (400, "bad_request"),
    Kind.FORBIDDEN: (403, "not_permitted"),
    Kind.NOT_FOUND: (404, "no_such_token"),
}
Json = dict[str, object]


class TokensApi:
    """The endpoints; each is handed a request and returns the response."""

    def __init__(self, tokens: Tokens, desk: OperatorDesk) -> None:
        self._tokens = tokens
        self._desk = desk

    async def list(self, request: Request) -> Response:
        """GET: all tokens, without their texts."""
        return await self._serve(request, self._list)

    async def make(self, request: Request) -> Response:
        """POST: a new token; the answer is the only one that holds its text."""
        return await self._serve(request, self._make)

    async def revoke(self, request: Request) -> Response:
        """DELETE `/v1/tokens/{id}`: it counts for nothing from now on."""
        return await self._serve(request, self._revoke)

    async def _serve(self, request: Request, act: OperatorAct) -> Response:
        async def carry_out(asked: Asked, caller: Caller) -> Response:
            try:
                return await act(asked, caller)
            except RegistryError as error:
                status, kind = _PROBLEMS[error.kind]
                raise Told(Problem(status, kind, error.detail)) from error

        return await self._desk.serve(request, ROOT, carry_out)

    async def _list(self, _asked: Asked, _caller: Caller) -> Response:
        rows = [show_token(row) for row in await self._tokens.list()]
        return respond(200, {"tokens": rows})

    async def _make(self, asked: Asked, caller: Caller) -> Response:
        body = await read_body(asked.request.stream(), MAX_BODY_BYTES)
        made = await self._tokens.make(_order(body), caller)
        return respond(201, {"token": made.text, **show_token(made.row)})

    async def _revoke(self, asked: Asked, _caller: Caller) -> Response:
        await self._tokens.revoke(asked.name)
        return Response(status_code=204)


def show_token(row: TokenRow) -> Json:
    """Return a token as JSON shows it; times in ISO 8601, null: no limit, or never."""
    token = row.token
    return {
        "id": row.id,
        "name": row.name,
        "owner": "" if token.is_operator else f"{token.index}:{token.handle.decode()}",
        "scopes": None if token.scopes is None else sorted(token.scopes),
        "prefixes": [prefix.decode() for prefix in token.prefixes],
        "operator": token.is_operator,
        "made": _time(row.made_at),
        "expires": _time(row.expires_at),
        "revoked": _time(row.revoked_at),
    }


def _order(body: bytes) -> TokenOrder:
    """Read what is wanted.  Raises TargetError, RegistryError."""
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise TargetError(f"the body is no JSON: {error}") from error
    if not isinstance(content, dict) or content.keys() - _MEMBERS:
        raise TargetError(f"the body must be an object with {', '.join(sorted(_MEMBERS))}")
    scopes, days = content.get("scopes"), content.get("days", USUAL_DAYS)
    if isinstance(days, bool) or not isinstance(days, int):
        raise TargetError("days must be a whole number")
    return TokenOrder(
        name=_text(content, "name"),
        owner=_text(content, "owner"),
        scopes=None if scopes is None else read_scopes(_texts(content, "scopes")),
        prefixes=_texts(content, "prefixes"),
        days=days,
        is_operator=content.get("operator") is True,
    )


def _text(content: Json, name: str) -> str:
    value = content.get(name, "")
    if not isinstance(value, str):
        raise TargetError(f"{name} must be text")
    return value


def _texts(content: Json, name: str) -> tuple[str, ...]:
    value = content.get(name) or []
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise TargetError(f"{name} must be a list of texts")
    return tuple(value)


def _time(at: datetime | None) -> str | None:
    return at.isoformat(timespec="seconds") if at else None
