"""Exchange: one HTTP request and its answer, asked again until there is one, for a bounded time.

Laws: what was asked is the same every time, its Idempotency-Key too, so that a write is carried out once however often
it had to be sent; one that would do harm twice, and may have been carried out, is sent again only to a server that has
said that it honours such keys; pauses grow, and differ from client to client; nothing of the credentials is in a
message.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from random import SystemRandom
from urllib.parse import quote, quote_from_bytes

import httpx

from resolver.client.failures import UNREADABLE, NodeUnreachable
from resolver.client.handshakes import HandshakeTransport
from resolver.precondition import KEYS_HONOURED
from resolver.target import BodyTooLarge, read_body

ATTEMPTS = 5
ATTEMPT_SECONDS = 10.0  # for one answer, connecting included
ALL_SECONDS = 40.0  # after which nothing is asked again
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
MAX_ANSWER_BYTES = 16 * 1024 * 1024  # a page of history: a hundred revisions, each a record
SERVICE_UNAVAILABLE = 503
KEY_HEADER = "Idempotency-Key"

_NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.LocalProtocolError,
)
_FINAL = (BodyTooLarge, httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError)
_DOTS = frozenset({".", ".."})  # which URL libraries take out of a path

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: `path` is percent-encoded; a `Idempotency-Key` among the headers makes it a write.

    `is_repeatable`: twice is as good as once, even for a server that does not know such keys.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    is_repeatable: bool = True

    @property
    def target(self) -> str:
        """The path with the query."""
        pairs = "&".join(
            f"{quote(name, safe='')}={quote(text, safe='')}" for name, text in self.query
        )
        return f"{self.path}?{pairs}" if pairs else self.path


@dataclass(frozen=True, slots=True)
class Received:
    """An answer; the names of its headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def honours_keys(self) -> bool:
        """True when the server says that it carries out a write once for each idempotency key."""
        return all(self.headers.get(name.lower()) == text for name, text in KEYS_HONOURED.items())

    def wished_pause(self) -> float:
        """Return for how many seconds the server asks to wait, 0 when it does not say."""
        text = self.headers.get("retry-after", "")
        return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0.0


class Exchange:
    """Asks one server over a few kept connections."""

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        context: ssl.SSLContext | None,
        *,
        sleep: Sleep = asyncio.sleep,
        attempt_seconds: float = ATTEMPT_SECONDS,
    ) -> None:
        self._url = url.rstrip("/")
        self._sleep = sleep
        self._attempt_seconds = attempt_seconds
        self._honours_keys = False  # until an answer says so
        self._client = httpx.AsyncClient(
            headers={"Accept": "application/json", **headers},
            transport=HandshakeTransport(
                verify=context if context is not None else False,  # without: plain HTTP
                trust_env=False,
            ),
            trust_env=False,
            timeout=attempt_seconds,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def ask(self, asked: Asked) -> Received:
        """Return the answer, of whatever status.  Raises NodeUnreachable when there is none after the last attempt."""
        loop = asyncio.get_running_loop()
        started, doubtful = loop.time(), False
        pauses = pause_lengths(SystemRandom().random)
        while True:
            received, error = await self._attempt(asked)
            doubtful = doubtful or not isinstance(error, _NEVER_SENT)
            if received is not None:
                self._honours_keys = self._honours_keys or received.honours_keys()
                if received.status != SERVICE_UNAVAILABLE:
                    return received
            pause = next(pauses, None)
            is_over = pause is None or loop.time() - started > ALL_SECONDS or _is_final(error)
            is_once = self._honours_keys and KEY_HEADER in asked.headers
            is_over = is_over or (doubtful and not (asked.is_repeatable or is_once))
            if not is_over and pause is not None:
                wished = received.wished_pause() if received is not None else 0.0
                await self._sleep(min(max(pause, wished), LONGEST_PAUSE_SECONDS))
            elif received is not None:
                return received
            else:
                raise self._unreachable(asked, error, doubtful=doubtful) from error

    async def _attempt(self, asked: Asked) -> tuple[Received | None, Exception | None]:
        try:
            async with (
                asyncio.timeout(self._attempt_seconds),
                self._client.stream(
                    asked.method,
                    self._url + asked.target,
                    headers=dict(asked.headers),
                    content=asked.body,
                ) as response,
            ):
                body = await read_body(response.aiter_bytes(), MAX_ANSWER_BYTES)
                headers = {name.lower(): text for name, text in response.headers.items()}
                return Received(response.status_code, headers, body), None
        except (httpx.HTTPError, httpx.InvalidURL, BodyTooLarge, TimeoutError) as error:
            return None, error

    def _unreachable(
        self, asked: Asked, error: Exception | None, *, doubtful: bool
    ) -> NodeUnreachable:
        if isinstance(error, BodyTooLarge):
            why = f"{UNREADABLE}: {error}"
        elif isinstance(error, TimeoutError | httpx.TimeoutException):
            why = f"no answer in {self._attempt_seconds:g} s"
        else:
            why = str(error) or type(error).__name__
        found = NodeUnreachable(f"cannot ask {self._url}: {why}")
        if doubtful:
            found.idempotency_key = asked.headers.get(KEY_HEADER, "")
        return found


def pause_lengths(jitter: Callable[[], float]) -> Iterator[float]:
    """Yield the seconds before each further attempt: doubled each time, less up to a half by `jitter` (0 to 1)."""
    for attempt in range(ATTEMPTS - 1):
        yield FIRST_PAUSE_SECONDS * 2**attempt * (1 - jitter() / 2)


def path_of(root: str, name: bytes | str) -> str:
    """Return the path of an identifier below `root`, percent-encoded so that it arrives as it is."""
    data = name.encode() if isinstance(name, str) else name
    segments = quote_from_bytes(data, safe="/:").split("/")
    return "/".join(
        [root, *(each.replace(".", "%2E") if each in _DOTS else each for each in segments)]
    )


def _is_final(error: Exception | None) -> bool:
    """True for what does not change by asking again: a certificate that is not trusted, an answer too long."""
    text = str(error).upper()
    untrusted = isinstance(error, httpx.ConnectError) and "CERTIFICATE" in text
    return untrusted or isinstance(error, _FINAL)
