"""Any request to the public listener is answered or refused: never a fault of ours, and counted at most once."""

import asyncio
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import Message, Scope

from resolver.wire import HandleValue
from tests.support.web import Web

STARTS = (
    b"/ /api /api/handles /api/handles/ /api/site /api/prefixes/ /api/sessions/ /v1/resolve/ /docs/ /healthz"
    b" /88.118.8/ /api/handles/88.118.8/ /01/ /hdl: /info:doi/ // /urn:hdl:"
).split()
METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW"]
NAMES = (
    b"type index auth publicOnly pretty callback prefix scheme hdl noredirect urlappend doNotRefer"
).split()
TYPES = (
    b"application/json application/x-www-form-urlencoded application/x-hdl-message text/html */*"
).split()

ascii_bytes = st.binary(max_size=40).map(lambda data: bytes(byte % 0x5F + 0x20 for byte in data))
paths = st.builds(
    lambda start, rest: start + rest.replace(b"?", b"%3f"), st.sampled_from(STARTS), ascii_bytes
)
queries = st.lists(st.tuples(st.sampled_from(NAMES), ascii_bytes), max_size=4).map(
    lambda pairs: b"&".join(name + b"=" + value for name, value in pairs)
)
headers = st.fixed_dictionaries(
    {},
    optional={
        b"accept": st.sampled_from(TYPES) | ascii_bytes,
        b"content-type": st.sampled_from(TYPES) | ascii_bytes,
        b"accept-language": ascii_bytes,
        b"origin": ascii_bytes,
        b"accept-encoding": st.sampled_from([b"gzip", b"br"]),
        b"access-control-request-method": st.just(b"PUT"),
    },
)
bodies = st.sampled_from([b"", b"{}", b"[]", b'{"values":[]}', b"type=URL"]) | st.binary(max_size=100)  # fmt: skip


@pytest.fixture(scope="module")
def web() -> Web:
    web = Web()
    web.store.put("0.NA/88.118.8", ())
    web.store.put("88.118.8/A", (HandleValue(1, b"URL", b"https://example.org/1"),))
    return web


async def call(web: Web, scope: Scope, body: bytes) -> tuple[int, dict[bytes, bytes]]:
    """Put one request to the application as a server would; return its status and headers."""
    started: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            started.append(message)

    await web.app(scope, receive, send)
    return started[0]["status"], dict(started[0]["headers"])


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(METHODS), paths, queries, headers, bodies)
def test_any_request_is_answered_or_refused(
    web: Web, method: str, path: bytes, query: bytes, fields: dict[bytes, bytes], body: bytes
) -> None:
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path.decode()),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": list(fields.items()),
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 1),
    }
    counted = sum(web.counted().values())

    status, answered = asyncio.run(call(web, scope, body))

    assert status < 500 or status == 501
    assert answered[b"access-control-allow-origin"] == b"*"
    assert all(b"\n" not in value and b"\r" not in value for value in answered.values())
    assert sum(web.counted().values()) - counted in (0, 1)
