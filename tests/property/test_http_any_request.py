"""Any request to the public listener is answered or refused: never a fault of ours, and counted at most once.

Nobody changes anything without a login, and with one nothing but below his own prefix.
"""

import asyncio
import json
from urllib.parse import unquote

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from starlette.types import Message, Scope

from resolver.wire import HandleValue
from tests.support.web import Web
from tests.support.web_writing import ADMIN, EMAIL, OWNER, URL, login_of, web_with_admin

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
    json.dumps([URL, OWNER]).encode(),
    json.dumps({"handle": "88.118.8/A", "values": [OWNER, EMAIL]}).encode(),
    json.dumps(EMAIL).encode(),
    b'[{"index":-1,"type":"URL","data":{"format":"hex","value":"00"}}]',
    b'[{"index":1,"type":"A","data":"x"},{"index":1,"type":"B","data":"x","ttl":"2030-01-01T00:00:00Z"}]',
)

ascii_bytes = st.binary(max_size=40).map(lambda data: bytes(byte % 0x5F + 0x20 for byte in data))
paths = st.builds(
    lambda start, rest: start + rest.replace(b"?", b"%3f"), st.sampled_from(STARTS), ascii_bytes
)
write_paths = st.sampled_from(
    [
        b"/api/handles/88.118.8/A",
        b"/api/handles/88.118.8/b",
        b"/api/handles/88.118.8",
        b"/api/handles/88.2/x",
    ]
)
write_queries = st.sampled_from(
    [b"", b"index=1", b"index=various", b"overwrite=false", b"mintNewSuffix=true", b"index=x"]
)
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
    },
)
terms = st.fixed_dictionaries(
    {},
    optional={
        b"if-match": st.sampled_from([b"*", b'"1"', b'"2"', b"x"]),
        b"if-none-match": st.sampled_from([b"*", b'"1"']),
        b"idempotency-key": st.sampled_from([b"k-1", b"k-2", b"k 3"]),
        b"x-idnode-reason": st.sampled_from([b"why", b"%ff", b"%E6%94%B9"]),
    },
)
bodies = st.sampled_from(BODIES + PUTS) | st.binary(max_size=100)
puts = st.sampled_from(PUTS)
logins = st.sampled_from(
    [LOGIN, LOGIN, LOGIN, None, LOGIN[:-4], b"Bearer x", b'Handle sessionId="x"']
)


@pytest.fixture(scope="module")
def web() -> Web:
    web = web_with_admin()
    owner = web.store.values_by_key[b"0.NA/88.118.8"]
    web.store.put("88.118.8/A", (HandleValue(1, b"URL", b"https://example.org/1"), *owner))
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


def scope_of(
    method: str, path: bytes, query: bytes, fields: dict[bytes, bytes], login: bytes | None
) -> Scope:
    known = {} if login is None else {b"authorization": login}
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path.decode()),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": list((fields | known).items()),
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 1),
    }


def check(web: Web, scope: Scope, body: bytes) -> bool:
    """Make the request; return whether it changed something, which only the administrator may."""
    counted, before = sum(web.counted().values()), dict(web.store.values_by_key)

    status, answered = asyncio.run(call(web, scope, body))

    assert status < 500 or status == 501
    assert answered[b"access-control-allow-origin"] == b"*"
    assert all(b"\n" not in value and b"\r" not in value for value in answered.values())
    assert sum(web.counted().values()) - counted in (0, 1)
    changed = {key for key, _ in before.items() ^ web.store.values_by_key.items()}
    assert not changed or (b"authorization", LOGIN) in scope["headers"]
    assert all(key.startswith((b"88.118.8/", b"0.NA/88.118.8")) for key in changed)
    assert web.store.homed == {b"88.118.8"}
    return bool(changed)


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
    check(web, scope_of(method, path, query, fields, login), body)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["PUT", "DELETE"]), write_paths, write_queries, terms, puts, logins)
def test_any_write_is_done_or_refused(
    web: Web,
    method: str,
    path: bytes,
    query: bytes,
    fields: dict[bytes, bytes],
    body: bytes,
    login: bytes | None,
) -> None:
    scope = scope_of(method, path, query, {b"content-type": b"application/json"} | fields, login)
    event(f"changed: {check(web, scope, body)}")
