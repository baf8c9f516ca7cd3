"""Transport: messages, EPP and heartbeats over HTTPS with certificates on both sides, each signed.

    POST {url}/sync/v1/messages    a message, canonical JSON      → 200, its reply
    POST {url}/epp                 an EPP frame, XML              → 200, the frame that answers
    POST {url}/sync/v1/heartbeat   how the sender is, JSON        → 204

Any other status has a problem document (RFC 9457), whose `detail` is told: 400 no message, 401 not rightly signed,
403 a certificate or key that may not do this, 413 too long, 503 later.  Every request and answer says its sender's time
in `Idnode-Time` (POSIX seconds, with decimals; else `Date` is taken), by which clocks are compared; nothing is decided
by it.  All of this is our proposal.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterable, Callable, Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from math import isfinite
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

import httpx
import orjson

from sync.change import canonical
from sync.message import (
    MAX_MESSAGE_BYTES,
    Message,
    MessageError,
    PeerUnavailable,
    Reply,
    encode,
    parse_reply,
)
from sync.signature import Answer, Awaited, Request, SignatureFailed, Signer, Verifier, sign, verify

MESSAGES_PATH, EPP_PATH, HEARTBEAT_PATH = "/sync/v1/messages", "/epp", "/sync/v1/heartbeat"
TIME_HEADER = "Idnode-Time"
JSON_TYPE, EPP_TYPE = "application/json", "application/epp+xml; charset=utf-8"
EXCHANGE_SECONDS = 30.0  # for each wait
WAITS = 2  # that an exchange may come to in all: a peer may drip
KEPT_SECONDS = 4.0  # that an idle connection is kept: servers close theirs after five or more
ENDING_SECONDS = 1.0
HTTPS_PORT = 443
MAX_QUOTED = 300  # characters of a peer's sentence that go into ours

_WORDLESS = "the peer ends TLS without a word: it may not accept our certificate"
_BROKEN = (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)
_ALERTS = {
    "CERTIFICATE_EXPIRED": "it has expired",
    "CERTIFICATE_REVOKED": "it was revoked",
    "CERTIFICATE_UNKNOWN": "it is not known there",
    "UNKNOWN_CA": "no authority that is known there issued it",
    "CERTIFICATE_REQUIRED": "none was shown",
    "BAD_CERTIFICATE": "it is a bad one",
    "ACCESS_DENIED": "access is denied",
}


class Opening:
    """What is connected and not yet TLS: httpx forgets it, open, when it is cancelled during the handshake."""

    def __init__(self) -> None:
        self._connected: list[Closable] = []

    async def note(self, event: str, values: Mapping[str, Any]) -> None:
        """Be told by httpcore what it does; see its extension `trace`."""
        if event == "connection.connect_tcp.complete":
            self._connected.append(values["return_value"])
        elif event == "connection.start_tls.complete":
            self._connected.clear()  # the connection has it now, and is closed by its pool

    async def close(self) -> None:
        """Close what nobody else does."""
        for stream in self._connected:
            await stream.aclose()


class Closable(Protocol):
    """A stream of httpcore."""

    async def aclose(self) -> None:
        """Close it."""


class Clocks(NamedTuple):
    """How far the peer's clock is ahead of ours, give or take, both in seconds; as of the newest answer."""

    skew_seconds: float
    uncertain_seconds: float


class HttpsTransport:
    """The way to one peer.  Implements `sync.sender.Transport`; `clocks` is None until an answer told the time.

    `tls` has our certificate, and the authority of the peer's; `clock` gives POSIX seconds, `nonce` a new text of 16
    to 64 letters each time.  With `peer_keys` (by key id) answers must be signed by one of them.
    """

    def __init__(
        self,
        url: str,
        tls: ssl.SSLContext,
        signer: Signer,
        *,
        clock: Callable[[], float],
        nonce: Callable[[], str],
        peer_keys: Mapping[str, Verifier] | None = None,
        exchange_seconds: float = EXCHANGE_SECONDS,
    ) -> None:
        """Raises ValueError for a URL that is not https://."""
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname:
            raise ValueError("a peer is reached by https://host:port")
        self._url = f"https://{parts.netloc}"
        self._root = parts.path.rstrip("/")
        self._tls = tls
        self._signer = signer
        self._clock = clock
        self._nonce = nonce
        self._peer_keys = peer_keys
        self._seconds = exchange_seconds
        self._http = httpx.AsyncClient(
            trust_env=False,
            verify=tls,
            timeout=exchange_seconds,
            limits=httpx.Limits(max_connections=4, keepalive_expiry=KEPT_SECONDS),
        )
        self.clocks: Clocks | None = None
        self.answered_at = 0.0

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def exchange(self, message: Message) -> Reply:
        """Send a message and return the reply to it.  Raises PeerUnavailable, also for garbage."""
        data = await self._post(MESSAGES_PATH, encode(message), JSON_TYPE)
        try:
            return parse_reply(data)
        except MessageError as error:
            raise PeerUnavailable(f"the peer's answer cannot be read: {error}") from error

    async def epp(self, frame: bytes) -> bytes:
        """Send an EPP command and return the response.  Raises PeerUnavailable: it may have been carried out."""
        return await self._post(EPP_PATH, frame, EPP_TYPE)

    async def heartbeat(self, values: Mapping[str, object]) -> None:
        """Say how we are.  Raises PeerUnavailable, ChangeError for values that have no canonical JSON."""
        await self._post(HEARTBEAT_PATH, canonical(dict(values)), JSON_TYPE)

    async def _post(self, path: str, body: bytes, media_type: str) -> bytes:
        request = Request("POST", self._root + path, body)
        asked_at, nonce = self._clock(), self._nonce()
        signed = sign(request, self._signer, created=int(asked_at), nonce=nonce)
        headers = {
            "Content-Type": media_type,
            "Accept-Encoding": "identity",
            TIME_HEADER: f"{asked_at:.3f}",
            **signed,
        }
        answer, received = await self._send(request, headers)
        self._compare_clocks(received, asked_at)
        self._check(answer, received, nonce)
        return answer.body

    async def _send(
        self, request: Request, headers: dict[str, str]
    ) -> tuple[Answer, httpx.Headers]:
        url, opening = self._url + request.path, Opening()
        try:
            async with (
                asyncio.timeout(WAITS * self._seconds),
                self._http.stream(
                    request.method,
                    url,
                    headers=headers,
                    content=request.body,
                    extensions={"trace": opening.note},
                ) as response,
            ):
                body = await _read(response.aiter_raw())  # compressed it could be of any size
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as error:
            ending = await self._ending() if isinstance(error, _BROKEN) else ""
            raise PeerUnavailable(ending or self._explain(error)) from error
        finally:
            await opening.close()
        return Answer(response.status_code, body), response.headers

    def _check(self, answer: Answer, headers: httpx.Headers, nonce: str) -> None:
        """Raise PeerUnavailable unless this is a good answer of the peer itself."""
        if self._peer_keys is not None:
            now = self._clock()
            try:
                verify(answer, headers, self._peer_keys, now=now, seen=Awaited(nonce))
            except SignatureFailed as error:
                raise PeerUnavailable(
                    f"the peer's answer ({answer.status}) is not rightly signed: {error}"
                ) from error
        if answer.status not in (HTTPStatus.OK, HTTPStatus.NO_CONTENT):
            raise PeerUnavailable(f"the peer answers {answer.status}{_detail(answer.body)}")

    def _compare_clocks(self, headers: httpx.Headers, asked_at: float) -> None:
        now = self._clock()
        self.answered_at = now
        told = _told_time(headers)
        if told is not None:
            half = max(0.0, now - asked_at) / 2
            self.clocks = Clocks(round(told - (now - half), 3), round(half, 3))

    async def _ending(self) -> str:
        """Return why the peer ends TLS, if it does as soon as it has seen our certificate; else nothing.

        Since TLS 1.3 it says so when we have begun to write already, and then resets the connection, whereby its words
        are lost; so they are listened for where nothing is written.  Some peers end it without a word.
        """
        try:
            return await asyncio.to_thread(self._listen)  # its sockets are closed in any case
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return ""
        except ssl.SSLError as error:
            return self._explain(error)
        except OSError:  # a time-out: it waits for a request, as it should
            return ""

    def _listen(self) -> str:
        parts = urlsplit(self._url)
        address = parts.hostname or "", parts.port or HTTPS_PORT
        with (
            socket.create_connection(address, ENDING_SECONDS) as plain,
            self._tls.wrap_socket(plain, server_hostname=parts.hostname) as listening,
        ):
            with suppress(ConnectionError):
                listening.recv(1)
            return _WORDLESS

    def _explain(self, error: Exception) -> str:
        """Say in a sentence why there is no answer."""
        if isinstance(error, TimeoutError):
            return f"no whole answer within {WAITS * self._seconds:g} seconds"
        if isinstance(error, httpx.TimeoutException):
            return f"no answer within {self._seconds:g} seconds ({type(error).__name__})"
        tls = next((each for each in _chain(error) if isinstance(each, ssl.SSLError)), None)
        if isinstance(tls, ssl.SSLCertVerificationError):
            return f"the peer's certificate is not accepted: {tls.verify_message}"
        if tls is not None:
            reason = (tls.reason or "").upper()
            found = next((words for name, words in _ALERTS.items() if name in reason), None)
            if found is not None:
                return f"the peer does not accept our certificate: {found}"
            return f"TLS fails: {reason.lower().replace('_', ' ') or tls}"
        if isinstance(error, httpx.ConnectError):
            return f"no connection: {error}"
        return f"the connection broke: {str(error) or type(error).__name__}"


async def _read(chunks: AsyncIterable[bytes]) -> bytes:
    """Read an answer.  Raises PeerUnavailable when it is too long."""
    data = bytearray()
    async for chunk in chunks:
        data += chunk
        if len(data) > MAX_MESSAGE_BYTES:
            raise PeerUnavailable(f"the peer's answer is longer than {MAX_MESSAGE_BYTES} bytes")
    return bytes(data)


def _told_time(headers: httpx.Headers) -> float | None:
    try:
        if TIME_HEADER in headers:
            told = float(headers[TIME_HEADER])
            return told if isfinite(told) else None
        return parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, ValueError, TypeError, OverflowError):
        return None


def _detail(body: bytes) -> str:
    """What a problem document says, in printable letters."""
    try:
        problem = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    said = problem.get("detail") or problem.get("title") if isinstance(problem, dict) else None
    shown = "".join(each if each.isprintable() else " " for each in str(said or ""))
    return f": {shown[:MAX_QUOTED]}" if shown else ""


def _chain(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found
