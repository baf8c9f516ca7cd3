"""Any request to the public listener is answered or refused: never a fault of ours, and counted at most once.

Nobody changes anything without a login, and with one nothing but below his own prefix.
"""

import asyncio
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import Message, Scope

from resolver.wire import HandleValue
from tests.support.web import Web
from tests.support.web_writing import ADMIN, login_of, web_with_admin

STARTS = (
    b"/ /api /api/handles /api/handles/ /api/site /api/prefixes/ /api/sessions/ /v1/resolve/ /docs/ /healthz"
    b" /88.118.8/ /api/handles/88.118.8/ /01/ /hdl: /info:doi/ // /urn:hdl:"
).split()
METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW"]
NAMES = (
    b"type index auth publicOnly pretty callback prefix scheme hdl noredirect urlappend doNotRefer "
    b"overwrite mintNewSuffix reason page pageSize after limit"
).split()
TYPES = (
    b"application/json application/x-www-form-urlencoded application/x-hdl-message text/html */*"
).split()

WORDS = (b"true", b"false", b"various", b"1", b"0", b"-1", b"88.118.8")
LOGIN = login_of(ADMIN)["Authorization"].encode()
BODIES = (b"", b"{}", b"[]", b'{"values":[]}', b"type=URL", b"prefix=88.118.8")
PUTS = (
    b'[{"index":1,"type":"URL","data":"x"}]',
    b'{"handle":"88.118.8/A","values":[{"index":-1,"type":"URL","data":{"format":"hex","value":"00"}}]}',
    b'{"index":1,"type":"HS_ADMIN","data":{"format":"admin","value":{"handle":"x","index":0,"permissions":"*"}}}',
    b'[{"index":1,"type":"A","data":"x"},{"index":1,"type":"B","data":"x","ttl":"2030-01-01T00:00:00Z"}]',
)

ascii_bytes = st.binary(max_size=40).map(lambda data: bytes(byte % 0x5F + 0x20 for byte in data))
paths = st.builds(
    lambda start, rest: start + rest.replace(b"?", b"%3f"), st.sampled_from(STARTS), ascii_bytes
) | st.sampled_from([b"/api/handles/88.118.8/A", b"/api/handles/88.118.8/b", b"/api/prefixes"])
queries = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(WORDS) | ascii_bytes), max_size=4
).map(lambda pairs: b"&".join(name + b"=" + value for name, value in pairs))
headers = st.fixed_dictionaries(
    {},
    optional={
        b"accept": st.sampled_from(TYPES) | ascii_bytes,
        b"content-type": st.sampled_from(TYPES) | ascii_bytes,
        b"accept-language": ascii_bytes,
        b"origin": ascii_bytes,
        b"accept-encoding": st.sampled_from([b"gzip", b"br"]),
        b"access-control-request-method": st.just(b"PUT"),
        b"if-match": st.sampled_from([b"*", b'"1"', b'"2"']) | ascii_bytes,
        b"if-none-match": st.sampled_from([b"*", b'"1"']) | ascii_bytes,
        b"idempotency-key": ascii_bytes,
        b"x-idnode-reason": ascii_bytes,
    },
)
bodies = st.sampled_from(BODIES + PUTS) | st.binary(max_size=100)
logins = st.sampled_from([None, LOGIN, LOGIN[:-4], b"Bearer x", b'Handle sessionId="x"'])


@pytest.fixture(scope="module")
def web() -> Web:
    web = web_with_admin()
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
@given(st.sampled_from(METHODS), paths, queries, headers, bodies, logins)
def test_any_request_is_answered_or_refused(
    web: Web,
    method: str,
    path: bytes,
    query: bytes,
    fields: dict[bytes, bytes],
    body: bytes,
    login: bytes | None,
) -> None:
    fields = fields if login is None else {**fields, b"authorization": login}
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
    counted, before = sum(web.counted().values()), dict(web.store.values_by_key)

    status, answered = asyncio.run(call(web, scope, body))

    assert status < 500 or status == 501
    assert answered[b"access-control-allow-origin"] == b"*"
    assert all(b"\n" not in value and b"\r" not in value for value in answered.values())
    assert sum(web.counted().values()) - counted in (0, 1)
    changed = {key for key, _ in before.items() ^ web.store.values_by_key.items()}
    assert not changed or login == LOGIN
    assert all(key.startswith((b"88.118.8/", b"0.NA/88.118.8")) for key in changed)
    assert web.store.homed == {b"88.118.8"}
