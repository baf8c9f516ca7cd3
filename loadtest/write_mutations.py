"""Writes, lists, prefixes and sessions over HTTP for the fuzzing of ports: as nobody, as NOBODY, with false proofs."""

import json
from base64 import b64encode
from collections.abc import Sequence
from random import Random

from loadtest.administrators import ADMIN, NOBODY, Login

_PATHS = (
    "/api/handles/20.500.12345/h000001",
    "/api/handles/20.500.12345/h000001?index=1",
    "/api/handles/20.500.12345/h000001?index=various&overwrite=true",
    "/api/handles/20.500.12345/new-one?overwrite=false",
    "/api/handles/20.500.12345/lot-?mintNewSuffix=true",
    "/api/handles/20.500.12345?mintNewSuffix=true",
    "/api/handles/0.NA/20.500.12345",
    "/api/handles/0.NA/88.9999.7?overwrite=TRUE",
    f"/api/handles/{ADMIN.handle}",
    f"/api/handles/{NOBODY.handle}?index=301",
    "/api/handles/99.9/elsewhere",
    "/api/handles/88.608.8889/%E6%A3%9A%00",
    "/api/handles?prefix=20.500.12345&page=0&pageSize=2",
    "/api/handles?prefix=0.NA/20.500.12345&after=x&limit=-1",
    "/api/prefixes",
    "/api/prefixes/88.9999.7",
    "/api/prefixes?prefix=20.500.12345",
    "/api/sessions",
    "/api/sessions/this",
    "/api/verifications/20.500.12345/h000001",
    "/v1/resolve",
    "/hrls/handles?URL=*&limit=99999",
    "/v1/records/20.500.12345/h000001",
    "/v1/jobs",
    "/v1/tokens",
)  # fmt: skip
_METHODS = ("PUT", "PUT", "PUT", "DELETE", "DELETE", "POST", "GET", "PATCH")
_ADMIN = {"handle": NOBODY.handle, "index": NOBODY.index, "permissions": "1" * 12}
_BODIES: Sequence[object] = (
    [{"index": 1, "type": "URL", "data": "https://example.org/changed"}],
    {"values": [{"index": 100, "type": "HS_ADMIN", "data": {"format": "admin", "value": _ADMIN}}]},
    {"index": 300, "type": "HS_SECKEY", "data": "mine now"},
    {"handle": "20.500.12345/h000001", "values": []},
    [{"index": 0, "type": "URL", "data": "x"}, {"index": 0, "type": "", "data": {"format": "hex", "value": "zz"}}],
    [{"index": 1, "type": "URL", "data": "x", "ttl": "never", "timestamp": -1, "permissions": "2222"}],
    {"prefix": "88.9999.7"},
    {"sessionId": "x", "id": ADMIN.name, "type": "HS_SECKEY", "signature": "AAAA", "alg": "SHA256"},
    {"identifiers": ["20.500.12345/h000001"] * 3},
    "20.500.12345/h000001\n88.1/x\n",
    [[[[]]]],
    None,
)  # fmt: skip


class WriteRequests:
    """Makes requests; `tokens` are API tokens of NOBODY."""

    def __init__(self, seed: int, tokens: Sequence[str] = ()) -> None:
        self._random = Random(f"writes {seed}")
        self._tokens = tokens
        self._number = 0

    def make(self) -> bytes:
        """Return the next request."""
        choose = self._random.choice
        content = choose(_BODIES)
        body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        kind = choose(
            ("application/json",) * 4 + ("text/plain", "application/x-www-form-urlencoded")
        )
        lines = [
            f"{choose(_METHODS)} {choose(_PATHS)} HTTP/1.1",
            "Host: localhost",
            f"Content-Type: {kind}",
            f"Content-Length: {len(body)}",
            *self._login(),
            *self._terms(),
        ]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace") + body

    def _login(self) -> list[str]:
        """Return who asks: most often NOBODY, rightly."""
        draw = self._random.random()
        if draw < 0.45:
            return [NOBODY.header]
        if draw < 0.55 and self._tokens:
            return [f"Authorization: Bearer {self._random.choice(self._tokens)}"]
        if draw < 0.65:
            return [Login(ADMIN.handle, ADMIN.index, self._garbage()).header]
        if draw < 0.75:
            return [self._handle_header()]
        return ["Authorization: Bearer idnt_" + self._garbage()] if draw < 0.8 else []

    def _handle_header(self) -> str:
        proof = b64encode(self._random.randbytes(32)).decode()
        return (
            f'Authorization: Handle version="0", sessionId="{self._garbage()}", cnonce="{proof}", '
            f'id="{ADMIN.name.replace(":", "%3A")}", type="HS_SECKEY", alg="HMAC-SHA256", signature="{proof}"'
        )

    def _terms(self) -> list[str]:
        self._number += 1
        offered = (
            'If-Match: "1"',
            "If-Match: *",
            "If-None-Match: *",
            'If-Match: W/"x',
            f"Idempotency-Key: k{self._number % 50}",
            "Idempotency-Key: " + "x" * 300,
            "X-Idnode-Reason: %00%ff",
            "X-Requested-With: XMLHttpRequest",
            "Expect: 100-continue",
            "Accept-Encoding: gzip",
        )
        return self._random.sample(offered, self._random.choice((0, 0, 1, 2)))

    def _garbage(self) -> str:
        return self._random.randbytes(self._random.choice((0, 6, 24))).hex()
