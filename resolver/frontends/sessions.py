"""`/api/sessions` and `/api/verifications`: logging in once for many requests, and checking keys for other servers.

A session is named in the header `Authorization: Handle sessionId="…"`, never in a cookie, so no page of another site
can use one.  The fields of that header may stand in a JSON or form body too.  Source: features-and-contracts §2.8.
"""

from base64 import b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import orjson
from fastapi import Request
from fastapi.responses import Response

from resolver.authorization import (
    CredentialError,
    Credentials,
    Name,
    Proof,
    SessionFields,
    read_fields,
    read_name,
)
from resolver.httplogin import HttpLogin, LoginFailed
from resolver.httpsession import Challenge, SessionEnded
from resolver.jsonapi import BUSY, JSON_TYPE, Asked, Desk, Form, name_in_path, refuse, respond
from resolver.registrar import Caller
from resolver.render import json_error
from resolver.source import SourceUnavailable
from resolver.target import MAX_PARAMETER_BYTES, Parameters, TargetError, parse_body, read_body
from resolver.wire import ResponseCode

ROOT = "/api/sessions"
VERIFICATIONS = b"/api/verifications"
NO_SESSION = 'There is no such session; name it: Authorization: Handle sessionId="…"'
SERVER_ALGORITHM = "SHA256"

_OPENING = ("basic", "certificate")  # proofs that have no session yet
_OPEN = ("challenge", "session")

Sign = Callable[[bytes, bool], Awaitable[bytes]]
"""Signs a block with this server's key; True: over SHA-256."""

Json = dict[str, object]


class SessionsApi:
    """The endpoints of sessions; all of them need a connection that nobody else can read."""

    def __init__(self, login: HttpLogin, sign: Sign | None = None) -> None:
        """`sign` proves this server to a client that sends a `cnonce` of its own; without it nothing does."""
        self._login = login
        self._sessions = login.sessions
        self._sign = sign

    async def create(self, request: Request) -> Response:
        """POST `/api/sessions`: a challenge; or a session at once, for credentials that come along."""
        return await self._serve(request, self._create)

    async def answer(self, request: Request) -> Response:
        """PUT and POST `/api/sessions/this`: the answer to the challenge."""
        return await self._serve(request, self._answer)

    async def show(self, request: Request) -> Response:
        """GET `/api/sessions/this`: whether it lives, and for whom."""
        return await self._serve(request, self._show)

    async def end(self, request: Request) -> Response:
        """DELETE `/api/sessions/this`."""
        return await self._serve(request, self._end)

    async def _serve(
        self, request: Request, act: Callable[["_Asked"], Awaitable[Response]]
    ) -> Response:
        if not self._login.is_secure(request.scope):
            return Response(status_code=403)
        try:
            response = await act(await self._read(request))
        except TargetError as error:
            return refuse(ResponseCode.PROTOCOL_ERROR, str(error), None, Form())
        except LoginFailed as failed:
            response = self._failed(request, failed)
        except SessionEnded:
            response = respond(404, json_error(ResponseCode.PROTOCOL_ERROR, NO_SESSION), Form())
        except SourceUnavailable:
            return refuse(ResponseCode.SERVER_BUSY, BUSY, None, Form())
        response.headers["Cache-Control"] = "no-store"
        return response

    async def _create(self, asked: "_Asked") -> Response:
        """An id without an answer to its challenge is passed over: this is about a new session."""
        session = asked.fields.session if asked.fields.proof else ""
        response = await self._log_in(asked, session or self._sessions.challenge().session)
        response.status_code = 201
        response.headers["Location"] = f"{ROOT}/this"
        return response

    async def _answer(self, asked: "_Asked") -> Response:
        return await self._log_in(asked, asked.fields.session or self._sessions.challenge().session)

    async def _log_in(self, asked: "_Asked", session: str) -> Response:
        caller = await self._login.prove(asked.request.scope, asked.credentials(session))
        if caller is not None and caller.means in _OPENING:
            await self._sessions.open(session, caller)
        elif caller is not None and caller.means not in _OPEN:
            raise TargetError("a token needs no session; send it with each request")
        signature = await self._signature(session, asked.fields)
        return _state(self._sessions.challenge_of(session), caller, signature)

    async def _signature(self, session: str, fields: SessionFields) -> Json:
        """Sign nonce and client nonce when the client asks who we are."""
        if not fields.cnonce or fields.proof or self._sign is None:
            return {}
        signed = await self._sign(await self._sessions.nonce(session) + fields.cnonce, True)
        return {"serverAlg": SERVER_ALGORITHM, "serverSignature": b64encode(signed).decode()}

    async def _show(self, asked: "_Asked") -> Response:
        session = asked.fields.session
        caller = await self._sessions.caller(session)
        return _state(self._sessions.challenge_of(session), caller, {})

    async def _end(self, asked: "_Asked") -> Response:
        await self._sessions.close(asked.fields.session)
        return Response(status_code=204)

    def _failed(self, request: Request, failed: LoginFailed) -> Response:
        """Say what was wrong, with a new challenge to try again."""
        challenge = self._sessions.challenge()
        body: Json = {"sessionId": challenge.session, "nonce": challenge.nonce}
        body |= {"error": failed.message, "responseCode": int(failed.code)}
        response = Response(orjson.dumps(body), failed.status, {"Content-Type": JSON_TYPE})
        headers = failed.headers
        if failed.status == 401:
            headers = tuple(self._login.challenge(request.scope, failed.message, challenge))
        for name, value in headers:
            response.headers.append(name, value)
        return response

    async def _read(self, request: Request) -> "_Asked":
        """Return what header and body say together; the header comes first."""
        given = self._login.credentials(request.scope)
        body = await read_body(request.stream(), MAX_PARAMETER_BYTES)
        parameters = parse_body(request.headers.get("content-type", ""), body)
        try:
            inside = read_fields(_texts(parameters))
        except CredentialError as error:
            raise TargetError(str(error)) from error
        if isinstance(given, SessionFields):
            inside = SessionFields(
                given.session or inside.session,
                given.proof or inside.proof,
                given.cnonce or inside.cnonce,
                given.client_certificate or inside.client_certificate,
            )
            given = None
        return _Asked(request, inside, given)


@dataclass(frozen=True, slots=True)
class _Asked:
    """One request: the fields of its session, and a password or token that came beside them."""

    request: Request
    fields: SessionFields
    other: Credentials | None

    def credentials(self, session: str) -> Credentials:
        """Return what is to be proven in this session."""
        return self.other or replace(self.fields, session=session)


class VerificationsApi:
    """`/api/verifications/{index}:{handle}`: was this MAC made with the secret key that is held here?"""

    def __init__(self, desk: Desk, login: HttpLogin) -> None:
        self._desk = desk
        self._login = login

    async def verify(self, request: Request) -> Response:
        """GET and POST: `nonce`, `cnonce`, `alg`, `signature`, and for PBKDF2 `salt`, `iterations`, `length`."""
        name = name_in_path(request, VERIFICATIONS)
        return await self._desk.serve(request, name, self._verify)

    async def _verify(self, asked: Asked) -> Response:
        texts = _texts(asked.parameters)
        fields = {name: texts.get(name, "") for name in ("cnonce", "alg", "signature")}
        pbkdf2 = {name: texts[name] for name in ("salt", "iterations", "length") if name in texts}
        try:
            key = _key(asked)
            whole = dict(fields, id="-", type="HS_SECKEY", **pbkdf2)
            proof = read_fields(whole).proof
            nonce = read_fields({"cnonce": texts.get("nonce", "")}).cnonce
        except CredentialError as error:
            raise TargetError(str(error)) from error
        if proof is None or not nonce:
            raise TargetError("Missing fields in verification request: nonce")
        right = await self._is_right(asked, replace(proof, name=key), nonce)
        body = {"responseCode": int(ResponseCode.SUCCESS), "isValid": right}
        return respond(200, orjson.dumps(body), asked.form)

    async def _is_right(self, asked: Asked, proof: Proof, nonce: bytes) -> bool:
        return await self._login.verifies(asked.request.scope, proof, nonce + proof.cnonce)


def _key(asked: Asked) -> Name:
    """Return which key is meant: `index:handle` in the path, or the parameter `index`; one of them."""
    name, indexes = read_name(asked.name), asked.parameters.indexes()
    if len(indexes) + bool(name.index) != 1:
        raise TargetError("name one key: /api/verifications/INDEX:HANDLE, or the parameter index")
    return Name(name.index or indexes[0], name.handle)


def _state(challenge: Challenge, caller: Caller | None, signature: Json) -> Response:
    body: Json = {"sessionId": challenge.session, "nonce": challenge.nonce, **signature}
    if caller is not None:
        body |= {"authenticated": True, "id": caller.name}
    return Response(orjson.dumps(body), 200, {"Content-Type": JSON_TYPE})


def _texts(parameters: Parameters) -> dict[str, str]:
    """Return the parameters as texts; of a repeated one the first."""
    found: dict[str, str] = {}
    for name, text in parameters.pairs:
        found.setdefault(name.decode("utf-8", "replace"), text.decode("utf-8", "replace"))
    return found
