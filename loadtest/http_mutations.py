"""HTTP requests for the fuzzing of ports: what clients send, and what is left of it after a bad journey."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from loadtest.exchange import native_request

WRITES_SHARE = 0.6  # of requests that are no native message; half of them go as they are
_LINE = b"\r\n"
_PATHS = (
    "/api/handles/20.500.12345/h000001?type=URL&index=1&index=2",
    "/api/handles/20.500.12345/h000001?pretty&callback=cb.x",
    "/api/handles/88.608.8889/%E6%A3%9A1.%E6%89%B92",
    "/api/handles/%2F%2F%00?index=99999999999999999999",
    "/api/handles/0.NA/20.500.12345?auth=true&publicOnly=false",
    "/api/handles//a//b?type=%ff%fe",
    "/api/handles/did:bid:by01:ef123?cert",
    "/api/handles?prefix=88.1000.1&page=-1&pageSize=x",
    "/v1/resolve?id=6901234567892",
    "/v1/%F0%9F%98%80",
    "/20.500.12345/h000001?noredirect",
    "/gs1:01/09506000134352/21/1",
    "/openapi.json",
    "/docs",
    "/hrls?URL=*",
    "/healthz",
    "/readyz",
    "/api/site",
    "/api/sessions",
    "/../../etc/passwd",
    "*",
    "http://example.org:99999/api/handles/a/b",
)  # fmt: skip
_HEADERS = (
    b"Connection: close",
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="
    b"\r\nSec-WebSocket-Version: 13",
    b"Expect: 100-continue",
    b"Accept: application/x-hdl-message",
    b"Accept: text/html;q=x, */*;q=2",
    b"Accept-Encoding: gzip, br;q=0",
    b"Authorization: Basic MzAxJTNBMC5OQS8yMC41MDA6eA==",
    b"Authorization: Handle sessionId=\"\\",
    b"Content-Length: 18446744073709551616",
    b"Content-Length: -1",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: chunked, identity",
    b"If-None-Match: *",
    b"Range: bytes=0-1,-5",
    b"Origin: null",
    b"X: " + b"y" * 9_000,
    b": nameless",
    b" folded",
)  # fmt: skip
_METHODS = (
    b"GET",
    b"HEAD",
    b"POST",
    b"PUT",
    b"DELETE",
    b"OPTIONS",
    b"TRACE",
    b"PATCH",
    b"BREW",
    b"get",
)


def read_http_corpus(vectors: Path) -> list[bytes]:
    """Return the recorded HTTP requests, kept-open, and those of `_PATHS`."""
    recorded = json.loads(vectors.read_text("utf-8"))["vectors"]
    texts = [
        one["request_text"].encode("latin-1", "replace")
        for one in recorded
        if "request_text" in one
    ]
    made = [f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() for path in _PATHS]
    return [text.replace(b"Connection: close\r\n", b"") for text in texts] + made


def post(body: bytes, kind: str, path: str = "/20.500.12345/h000001") -> bytes:
    """Return a POST of a body with its right length."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nAccept: {kind}\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body


def chunked(body: bytes) -> bytes:
    """Return a native POST in two chunks."""
    half = len(body) // 2
    head = post(b"", "application/x-hdl-message").replace(
        b"Content-Length: 0", b"Transfer-Encoding: chunked"
    )
    pieces = (
        b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (body[:half], body[half:]) if piece
    )
    return head + b"".join(pieces) + b"0\r\n\r\n"


class HttpMutator:
    """Makes HTTP requests: recorded ones, mutated ones, and native messages (from `native`) in a POST.

    `writes` makes requests that would change something.
    """

    def __init__(
        self,
        corpus: Sequence[bytes],
        seed: int,
        native: Callable[[], bytes],
        writes: Callable[[], bytes] | None = None,
    ) -> None:
        self._corpus, self._random, self._native = corpus, Random(seed), native
        self._writes = writes
        self._mutations = (
            self._flip,
            self._truncate,
            self._splice,
            self._header,
            self._header,
            self._method,
            self._path,
        )

    def make(self) -> bytes:
        """Return the next request."""
        draw = self._random.random()
        if draw < 0.03:
            return self._random.randbytes(self._random.randrange(600))
        if draw < 0.2:
            return post(self._native(), "application/x-hdl-message")
        if draw < 0.25:
            return chunked(self._native() or native_request(b"20.500.12345/h000001"))
        if draw < 0.3:
            return post(self._json(), "application/json", "/api/handles/20.500.12345/h000001")
        is_write = self._writes is not None and self._random.random() < WRITES_SHARE
        data = self._writes() if self._writes and is_write else self._random.choice(self._corpus)
        if draw < 0.4 or (is_write and draw < 0.65):
            return data
        for _ in range(self._random.choice((1, 1, 2, 3))):
            data = self._random.choice(self._mutations)(data)
        return data

    def _json(self) -> bytes:
        return self._random.choice(
            (
                b'{"type":"URL","index":[1,"x"]}',
                b"[" * 5_000,
                b'{"a":' * 300,
                b"\xff\xfe",
                b'{"index":1e400}',
                b"{}",
            )
        )

    def _flip(self, data: bytes) -> bytes:
        changed = bytearray(data)
        for _ in range(self._random.choice((1, 2, 6)) if data else 0):
            changed[self._random.randrange(len(changed))] = self._random.randrange(256)
        return bytes(changed)

    def _truncate(self, data: bytes) -> bytes:
        return data[: self._random.randrange(len(data) + 1)]

    def _splice(self, data: bytes) -> bytes:
        other = self._random.choice(self._corpus)
        return (
            data[: self._random.randrange(len(data) + 1)]
            + other[self._random.randrange(len(other)) :]
        )

    def _header(self, data: bytes) -> bytes:
        first, line, rest = data.partition(_LINE)
        return first + line + self._random.choice(_HEADERS) + _LINE + rest

    def _method(self, data: bytes) -> bytes:
        return self._random.choice(_METHODS) + b" " + data.partition(b" ")[2]

    def _path(self, data: bytes) -> bytes:
        method, _, rest = data.partition(b" ")
        rest = rest.partition(b" HTTP")[2]
        length = self._random.choice((1, 20, 300, 3_000, 70_000))
        if self._random.random() < 0.5:
            tail = "".join(f"%{byte:02X}" for byte in self._random.randbytes(length)).encode()
        else:
            tail = self._random.randbytes(length).replace(b" ", b"+")
        start = self._random.choice((b"/", b"/api/handles/", b"/api/handles/88.1/x?type=", b"/v1/"))
        return method + b" " + start + tail + b" HTTP" + rest
