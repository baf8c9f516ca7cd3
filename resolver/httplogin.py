"""HTTP login: from the headers and the connection of a request to who is asking.

Laws: what was sent over a connection that others can read is refused before it is looked at.  Only TLS as this server
sees it, or a peer on this machine, counts: what a proxy says of the client (`X-Forwarded-…`) is never believed.  What a
browser sends by itself (a password it remembers, a certificate) counts for nothing in a POST that another site's page
made.  Source: features-and-contracts §2.8.
"""

from collections.abc import Mapping
from typing import Any

from resolver.authentication import AuthenticationFailed, Authenticator
from resolver.authorization import (
    BearerToken,
    CredentialError,
    Credentials,
    Password,
    Proof,
    SessionFields,
    read_authorization,
)
from resolver.httpsession import Challenge, HttpSessions, SessionEnded
from resolver.labour import Overworked
from resolver.registrar import Caller
from resolver.tries import is_loopback
from resolver.wire import ResponseCode

Scope = Mapping[str, Any]
"""What ASGI says of a request; `client_certificate`, if there, is the DER of a certificate that TLS has verified."""

CERTIFICATE = "client_certificate"
REALM = 'Basic realm="handle"'
RETRY_AFTER_SECONDS = 1  # when too many proofs wait
ENDED = "The session has ended, or never was; begin a new one"
INSECURE = (
    "Credentials are not taken over plain HTTP from another machine; use https://, or see the setting "
    "allow_cleartext_login"
)


class LoginFailed(Exception):
    """The credentials of a request were refused: HTTP status, response code of the body, and a sentence.

    401: not proven; 403: sent over plain HTTP; 429: too many wrong tries; 503: too many proofs wait.
    `headers` belong into the answer.
    """

    def __init__(
        self,
        status: int,
        code: ResponseCode,
        message: str,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers


class HttpLogin:
    """Finds out who makes a request."""

    def __init__(
        self, authenticator: Authenticator, sessions: HttpSessions, *, allow_cleartext: bool = False
    ) -> None:
        """`allow_cleartext` as the setting `allow_cleartext_login`."""
        self.authenticator = authenticator
        self.sessions = sessions
        self._allow_cleartext = allow_cleartext

    def is_secure(self, scope: Scope) -> bool:
        """True when nobody but the peer can read what is sent, or the operator says so."""
        if scope["scheme"] == "https" or self._allow_cleartext:
            return True
        client = scope.get("client")
        return client is not None and is_loopback(client[0])

    async def caller(self, scope: Scope) -> Caller | None:
        """Return who makes the request, None when it brings no credentials.

        Raises LoginFailed, SourceUnavailable.
        """
        credentials = self.credentials(scope)
        if credentials is None or (
            _is_forgeable(scope) and not isinstance(credentials, BearerToken)
        ):
            return None
        return await self.prove(scope, credentials)

    def credentials(self, scope: Scope) -> Credentials | None:
        """Read what the request brings, None for nothing.  Raises LoginFailed."""
        headers = [value for name, value in scope["headers"] if name == b"authorization"]
        if not headers:
            return SessionFields(client_certificate=True) if scope.get(CERTIFICATE) else None
        if not self.is_secure(scope):
            raise LoginFailed(403, ResponseCode.AUTHENTICATION_NEEDED, INSECURE)
        try:
            if len(headers) > 1:
                raise CredentialError("there is more than one Authorization header")
            return read_authorization(headers[0].decode("utf-8", "surrogateescape"))
        except CredentialError as error:
            raise self._refused(scope, ResponseCode.INVALID_CREDENTIAL, str(error)) from error

    async def prove(self, scope: Scope, credentials: Credentials) -> Caller | None:
        """Return whom the credentials prove; None when they prove nobody and do not want to.

        Raises LoginFailed, SourceUnavailable.
        """
        try:
            return await self._prove(scope, credentials, origin_of(scope))
        except SessionEnded as error:
            raise self._refused(scope, ResponseCode.AUTHENTICATION_FAILED, ENDED) from error
        except AuthenticationFailed as error:
            if error.retry_after:
                raise _limited(error) from error
            raise self._refused(scope, error.code, error.message) from error
        except Overworked as error:
            raise _busy(error) from error

    async def verifies(self, scope: Scope, proof: Proof, message: bytes) -> bool:
        """Say whether a MAC was made with a secret key held here; who asks does not matter.

        Raises LoginFailed after too many that were not and when too many wait, SourceUnavailable.
        """
        try:
            return await self.authenticator.verifies_named(proof, message, origin_of(scope))
        except AuthenticationFailed as error:
            raise _limited(error) from error
        except Overworked as error:
            raise _busy(error) from error

    def challenge(
        self, scope: Scope, error: str = "", challenge: Challenge | None = None
    ) -> list[tuple[str, str]]:
        """Return the WWW-Authenticate headers of a 401; none where credentials would not be taken.

        A script (`X-Requested-With`) is not offered Basic, nor is who came with something else: a browser would ask
        its user for a password.
        """
        if not self.is_secure(scope):
            return []
        session, nonce = challenge or self.sessions.challenge()
        handle = f'Handle sessionId="{session}", nonce="{nonce}"'
        if error:
            handle += f', error="{_quoted(error)}"'
        basic = [("WWW-Authenticate", REALM)] if _wants_basic(scope) else []
        return [*basic, ("WWW-Authenticate", handle)]

    async def _prove(self, scope: Scope, credentials: Credentials, origin: str) -> Caller | None:
        match credentials:
            case Password(name, password):
                return await self.authenticator.password(name.handle, name.index, password, origin)
            case BearerToken(text):
                return await self.authenticator.token(text, origin)
            case SessionFields(session, Proof() as proof):
                return await self._prove_in(session, proof, origin)
            case SessionFields(client_certificate=True):
                return await self._certificate(scope, origin)
            case SessionFields(session) if session:
                return await self.sessions.caller(session)
        return None

    async def _prove_in(self, session: str, proof: Proof, origin: str) -> Caller:
        """Check an answer to a session's nonce; the session stands for the caller from then on."""
        nonce = await self.sessions.nonce(session)
        caller = await self.authenticator.named_proof(proof, nonce + proof.cnonce, origin)
        await self.sessions.open(session, caller)
        return caller

    async def _certificate(self, scope: Scope, origin: str) -> Caller:
        der: bytes | None = scope.get(CERTIFICATE)
        if der is None:
            message = "The connection has no client certificate that this server issued"
            raise AuthenticationFailed(ResponseCode.INVALID_CREDENTIAL, message)
        return await self.authenticator.certificate(der, origin)

    def _refused(self, scope: Scope, code: ResponseCode, message: str) -> LoginFailed:
        return LoginFailed(401, code, message, tuple(self.challenge(scope, message)))


def _limited(error: AuthenticationFailed) -> LoginFailed:
    headers = (("Retry-After", str(error.retry_after)),)
    return LoginFailed(429, error.code, error.message, headers)


def _busy(error: Overworked) -> LoginFailed:
    headers = (("Retry-After", str(RETRY_AFTER_SECONDS)),)
    return LoginFailed(503, ResponseCode.SERVER_BUSY, str(error), headers)


def origin_of(scope: Scope) -> str:
    """Return where a request comes from, as versions and logs have it: `http 192.0.2.7`."""
    client = scope.get("client")
    return f"{scope['scheme']} {client[0]}" if client else f"{scope['scheme']} -"


def header_of(scope: Scope, name: bytes) -> str:
    """Return the first header of this name (lower case), empty when there is none."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def _wants_basic(scope: Scope) -> bool:
    authorization = header_of(scope, b"authorization").lower()
    is_other = bool(authorization) and not authorization.startswith("basic")
    return not is_other and header_of(scope, b"x-requested-with").lower() != "xmlhttprequest"


def _is_forgeable(scope: Scope) -> bool:
    """True for a POST that a page of another site may have made without leave: it needs no preflight.

    A page that may set X-Requested-With was given leave by CORS, and then the browser sends nothing by itself.
    """
    if scope["method"] != "POST" or header_of(scope, b"x-requested-with"):
        return False
    site = header_of(scope, b"sec-fetch-site")
    if site:
        return site not in ("same-origin", "none")
    origin = header_of(scope, b"origin")
    return bool(origin) and (origin.partition("://")[2] or origin) != header_of(scope, b"host")


def _quoted(text: str) -> str:
    plain = text.encode("ascii", "replace").decode()
    return "".join(char for char in plain if char.isprintable() and char not in '"\\')
