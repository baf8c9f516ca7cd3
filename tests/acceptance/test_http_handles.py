"""The Handle JSON API from outside: parameters, methods, errors, CORS; beyond what was recorded."""

import gzip
import json

import httpx
import pytest

from resolver.wire import HandleValue
from tests.support.web import Web

RECORD = (
    HandleValue(2, b"EMAIL", b"a@example.org", timestamp=1),
    HandleValue(1, b"URL", b"https://example.org/1", timestamp=1),
    HandleValue(3, b"URL.MIRROR", "https://example.org/镜".encode(), timestamp=1),
    HandleValue(4, b"NOTE", b"for us", permissions=0b1100, timestamp=1),
)
SITE = HandleValue(1, b"HS_SITE", b"no site", timestamp=1)


@pytest.fixture
def web() -> Web:
    web = Web()
    web.store.put("0.NA/88.118.8", ())
    web.store.put("88.118.8/Item-1", RECORD)
    web.store.put("88.118.8/plain", RECORD[:1])
    web.store.put("88.118.8/工业", RECORD[:1])
    web.store.put("0.NA/88.300", (SITE,))
    web.store.homed.discard(b"88.300")
    web.store.delegated.add(b"88.300")
    return web


async def get(web: Web, path: str, **headers: str) -> httpx.Response:
    async with web.client() as client:
        return await client.get(path, headers=headers)


def indexes(reply: httpx.Response) -> list[int]:
    return [value["index"] for value in reply.json()["values"]]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", [1, 2, 3]),
        ("?type=url", [1]),
        ("?type=URL.", [1, 3]),
        ("?type=URL&index=2", [1, 2]),
        ("?index=3&index=1", [1, 3]),
        ("?type=", []),
        ("?index=99", []),
        ("?index=4", []),
    ],
)
async def test_values_are_chosen_by_the_union_of_types_and_indexes(
    web: Web, query: str, found: list[int]
) -> None:
    reply = await get(web, f"/api/handles/88.118.8/Item-1{query}")

    assert reply.status_code == 200
    assert reply.json()["responseCode"] == (1 if found else 200)
    assert indexes(reply) == found


@pytest.mark.parametrize(
    ("path", "handle"),
    [
        ("88.118.8/ITEM-1", "88.118.8/ITEM-1"),
        ("88.118.8%2fitem%2D1", "88.118.8/item-1"),
        ("88.118.8/%E5%B7%A5%E4%B8%9A", "88.118.8/工业"),
    ],
)
async def test_any_spelling_finds_the_record_and_is_echoed(
    web: Web, path: str, handle: str
) -> None:
    reply = await get(web, f"/api/handles/{path}")

    assert (reply.status_code, reply.json()["handle"]) == (200, handle)


@pytest.mark.parametrize("path", ["88.118.8/item+1", "88.118.8//item-1", "88.118.8/item-1/"])
async def test_plus_and_slashes_are_part_of_the_name(web: Web, path: str) -> None:
    reply = await get(web, f"/api/handles/{path}")

    assert reply.status_code == 404
    assert reply.json() == {"responseCode": 100, "handle": path}


@pytest.mark.parametrize("path", ["/api/handles/", "/api/handles", "/api/handles/?URL=*"])
async def test_empty_handle_is_invalid(web: Web, path: str) -> None:
    reply = await get(web, path)

    assert (reply.status_code, reply.json()["responseCode"]) == (400, 102)


async def test_name_without_slash_is_a_prefix_and_shows_where_it_is_served(web: Web) -> None:
    reply = await get(web, "/api/handles/88.118.8")

    assert reply.json()["handle"] == "88.118.8"
    assert [value["type"] for value in reply.json()["values"]] == ["HS_SITE"]


@pytest.mark.parametrize("path", ["88.118.8/a%0Ab", "88.118.8/a%0A"])
async def test_name_with_a_line_end_is_not_a_handle(web: Web, path: str) -> None:
    reply = await get(web, f"/api/handles/{path}")

    assert (reply.status_code, reply.json()["responseCode"]) == (400, 102)


async def test_text_that_is_no_utf8_is_not_a_handle(web: Web) -> None:
    reply = await get(web, "/api/handles/88.118.8/%ff")

    assert (reply.status_code, reply.json()["responseCode"]) == (400, 102)
    assert reply.json()["handle"] == "88.118.8/\ufffd"


async def test_bad_index_is_a_protocol_error_without_handle(web: Web) -> None:
    reply = await get(web, "/api/handles/88.118.8/Item-1?index=one")

    assert reply.status_code == 400
    assert reply.json() == {"responseCode": 4, "message": "index 'one' is not a number"}


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("publicOnly=false", 403),
        ("publicOnly=no", 403),
        ("publicOnly", 200),
        ("publicOnly=TRUE", 200),
        ("publicOnly=false&type=URL", 200),
    ],
)
async def test_restricted_values_need_a_login_only_when_asked_for(
    web: Web, query: str, status: int
) -> None:
    reply = await get(web, f"/api/handles/88.118.8/Item-1?{query}")

    assert reply.status_code == status
    assert reply.json()["responseCode"] == (1 if status == 200 else 402)
    assert "for us" not in reply.text


async def test_login_is_asked_for_on_tls(web: Web) -> None:
    reply = await get(web, "https://idnode.test/api/handles/88.118.8/Item-1?publicOnly=false")

    assert reply.status_code == 401
    basic, handle = reply.headers.get_list("www-authenticate")
    assert basic == 'Basic realm="handle"'
    assert handle.startswith('Handle sessionId="')
    assert reply.json() == {"responseCode": 402, "handle": "88.118.8/Item-1"}


async def test_delegated_prefix_is_referred_to_its_site(web: Web) -> None:
    reply = await get(web, "/api/handles/88.300/x")

    assert reply.status_code == 300
    assert reply.json()["responseCode"] == 302
    assert reply.json()["referralHandle"] == "0.NA/88.300"
    assert indexes(reply) == [1]


async def test_caller_who_wants_no_referral_gets_none(web: Web) -> None:
    reply = await get(web, "/api/handles/88.300/x?doNotRefer")

    assert (reply.status_code, reply.json()["responseCode"]) == (400, 301)


async def test_store_that_is_away_is_busy_not_empty(web: Web) -> None:
    web.store.is_down = True

    reply = await get(web, "/api/handles/88.118.8/Item-1")

    assert (reply.status_code, reply.json()["responseCode"]) == (503, 3)


async def test_pretty_is_the_same_indented(web: Web) -> None:
    plain = await get(web, "/api/handles/88.118.8/Item-1")
    pretty = await get(web, "/api/handles/88.118.8/Item-1?pretty=true")

    assert pretty.json() == plain.json()
    assert pretty.text.startswith('{\n  "responseCode": 1,\n')


@pytest.mark.parametrize(
    ("callback", "name"),
    [("cb", "cb"), ("$a_1", "$a_1"), ("alert(1)//", "alert_1___"), ("1x.y", "_x_y"), ("é", "_")],
)
async def test_callback_is_scrubbed(web: Web, callback: str, name: str) -> None:
    async with web.client() as client:
        reply = await client.get("/api/handles/88.118.8/plain", params={"callback": callback})

    assert reply.headers["content-type"] == "application/javascript;charset=utf-8"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.text.startswith(f"{name}(")
    assert json.loads(reply.text[len(name) + 1 : -2])["responseCode"] == 1
    assert reply.text.endswith(");")


async def test_errors_go_to_the_callback_too(web: Web) -> None:
    reply = await get(web, "/api/handles/88.118.8/none?callback=cb&index=x")

    assert reply.text.startswith('cb({"responseCode":4,')


async def test_head_is_get_without_body(web: Web) -> None:
    async with web.client() as client:
        reply = await client.head("/api/handles/88.118.8/Item-1")
        missing = await client.head("/api/handles/88.118.8/none")

    assert reply.status_code == 200
    assert int(reply.headers["content-length"]) > 100
    assert missing.status_code == 404


async def test_post_is_get_with_the_parameters_in_the_body(web: Web) -> None:
    path = "/api/handles/88.118.8/Item-1"
    async with web.client() as client:
        form = await client.post(path + "?index=2", data={"type": "URL"})
        body = await client.post(path, json={"type": ["URL"], "index": [2]})
        empty = await client.post(path)
        wrong = await client.post(path, content=b"x", headers={"content-type": "text/plain"})

    assert indexes(form) == indexes(body) == [1, 2]
    assert indexes(empty) == [1, 2, 3]
    assert (wrong.status_code, wrong.json()["responseCode"]) == (400, 4)


@pytest.mark.parametrize(
    ("body", "content_type", "status", "message"),
    [
        (b"[]", "application/json", 403, None),
        (b'{"values":[]}', "application/json; charset=utf-8", 403, None),
        (b'{"handle":"88.118.8/NEW","values":[]}', "application/json", 403, None),
        (b'{"index":1,"type":"URL","data":"x"}', "application/json", 403, None),
        (b'{"handle":"88.1/x","values":[]}', "application/json", 400, "Mismatched handle"),
        (b'{"values":[{"index":1}]}', "application/json", 400, "Invalid JSON"),
        (b"{", "application/json", 400, "Invalid JSON"),
        (b"[]", "text/plain", 400, "Unsupported media type text/plain"),
    ],
)
async def test_put_tells_what_is_wrong_before_it_asks_for_a_login(
    web: Web, body: bytes, content_type: str, status: int, message: str | None
) -> None:
    async with web.client() as client:
        reply = await client.put(
            "/api/handles/88.118.8/new", content=body, headers={"content-type": content_type}
        )

    assert reply.status_code == status
    if message:
        assert reply.json()["message"].startswith(message)
    else:
        assert reply.json() == {"responseCode": 402, "handle": "88.118.8/new"}


@pytest.mark.parametrize("query", ["", "?index=1"])
async def test_delete_needs_a_login(web: Web, query: str) -> None:
    async with web.client() as client:
        reply = await client.delete(f"/api/handles/88.118.8/Item-1{query}")

    assert reply.status_code == 403
    assert reply.json() == {"responseCode": 402, "handle": "88.118.8/Item-1"}


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api", 404, 4),
        ("GET", "/api/x", 404, 4),
        ("PUT", "/api/x", 404, 4),
        ("GET", "/api/handlesx", 404, 4),
        ("PUT", "/api/site", 405, 4),
        ("PATCH", "/api/handles/88.118.8/x", 405, 4),
        ("TRACE", "/api/handles/88.118.8/x", 405, 4),
        ("QUERY", "/api/handles/88.118.8/x", 405, 4),
        ("GET", "/api/prefixes/88.118.8", 405, 4),
        ("BREW", "/api/handles/88.118.8/x", 501, 4),
        ("POST", "/api/prefixes?prefix=88.1", 403, 402),
        ("GET", "/api/prefixes/", 403, 402),
    ],
)
async def test_what_is_not_there_is_said_in_json(
    web: Web, method: str, path: str, status: int, code: int
) -> None:
    async with web.client() as client:
        reply = await client.request(method, path)

    assert (reply.status_code, reply.json()["responseCode"]) == (status, code)
    if status in (404, 405):
        assert reply.json()["message"] == f"Unknown HTTP API endpoint {method} {path}"


async def test_allow_names_the_methods_of_a_path(web: Web) -> None:
    async with web.client() as client:
        wrong = await client.put("/api/site")
        asked = await client.options("/api/handles/88.118.8/x")

    assert wrong.headers["allow"] == "GET, HEAD, OPTIONS"
    assert asked.status_code == 200
    assert asked.headers["allow"] == "DELETE, GET, HEAD, OPTIONS, POST, PUT"


async def test_any_origin_may_ask(web: Web) -> None:
    headers = {"origin": "https://shop.example", "access-control-request-method": "PUT"}
    async with web.client() as client:
        reply = await client.options("/api/handles/88.118.8/x", headers=headers)

    assert reply.status_code == 200
    assert reply.headers["access-control-allow-origin"] == "*"
    allowed = reply.headers["access-control-allow-methods"].split(", ")
    assert {"GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS"} == set(allowed)
    assert "Authorization" in reply.headers["access-control-allow-headers"]
    assert reply.headers["access-control-max-age"] == "86400"
    assert "access-control-allow-credentials" not in reply.headers
    assert not web.counted()


@pytest.mark.parametrize("path", ["/api/handles/88.118.8/Item-1", "/api/x", "/88.118.8/none"])
async def test_script_of_any_origin_may_read_the_answer(web: Web, path: str) -> None:
    reply = await get(web, path, origin="https://shop.example")

    assert reply.headers["access-control-allow-origin"] == "*"
    exposed = reply.headers["access-control-expose-headers"].split(", ")
    assert "content-length" in exposed
    assert "content-type" not in exposed


async def test_long_answer_is_compressed_for_who_takes_it(web: Web) -> None:
    web.store.put("88.118.8/long", (HandleValue(1, b"DESC", b"x" * 5_000),))
    async with web.client() as client:
        plain = await client.get("/api/handles/88.118.8/long", headers={"accept-encoding": "br"})
        packed = await client.send(
            client.build_request("GET", "/api/handles/88.118.8/long"), stream=True
        )
        raw = b"".join([piece async for piece in packed.aiter_raw()])

    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
    assert gzip.decompress(raw) == plain.content
    assert len(raw) < 500


async def test_body_has_a_limit(web: Web) -> None:
    async with web.client() as client:
        put = await client.put("/api/handles/88.118.8/x", content=b"x" * 262_145)
        post = await client.post("/api/handles/88.118.8/x", content=b"x" * 65_537)

    assert put.status_code == post.status_code == 413
    assert put.json()["responseCode"] == 4


async def test_too_many_parameters_are_a_protocol_error(web: Web) -> None:
    reply = await get(web, "/api/handles/88.118.8/Item-1?" + "index=1&" * 600)

    assert (reply.status_code, reply.json()["responseCode"]) == (400, 4)


async def test_each_resolution_is_counted_once_by_its_outcome(web: Web) -> None:
    for path in ("Item-1", "Item-1?index=99", "none", "none", "Item-1?index=x"):
        await get(web, f"/api/handles/88.118.8/{path}")
    await get(web, "/api/site")
    await get(web, "/api/x")

    assert web.counted() == {
        ("http_json", "handle", "found", "postgres"): 1,
        ("http_json", "handle", "no_such_value", "postgres"): 1,
        ("http_json", "handle", "no_such_handle", "postgres"): 2,
    }


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("88.118.8/plain", True),
        ("88.118.8%2Fplain", True),
        ("88.118.8/%E5%B7%A5%E4%B8%9A", True),
        ("88.118.8/PLAIN", False),
        ("88.118.8/plain?index=1", False),
        ("88.118.8/plain?pretty", False),
        ("88.118.8/none", False),
    ],
)
async def test_plain_answer_in_the_stored_spelling_is_kept_ready(
    web: Web, path: str, kept: bool
) -> None:
    reply = await get(web, f"/api/handles/{path}")

    assert list(web.hot.young) == ([path.encode()] if kept else [])
    assert not kept or next(iter(web.hot.young.values()))[4].endswith(reply.content)


async def test_answers_are_kept_ready_again_after_all_were_dropped(web: Web) -> None:
    web.hot.clear()

    await get(web, "/api/handles/88.118.8/plain")

    assert list(web.hot.young) == [b"88.118.8/plain"]


@pytest.mark.parametrize(("method", "path"), [("HEAD", "/api"), ("GET", "/%61pi")])
async def test_other_ways_to_the_same_record_are_not_kept(web: Web, method: str, path: str) -> None:
    async with web.client() as client:
        reply = await client.request(method, f"{path}/handles/88.118.8/plain")

    assert reply.status_code == 200
    assert not web.hot.young


async def test_fault_of_ours_is_told_in_json_without_its_cause(web: Web) -> None:
    async def broken(key: bytes, *, at_least: int = 0) -> None:
        raise RuntimeError("secret of the house")

    web.store.lookup = broken  # type: ignore[method-assign, assignment]

    reply = await get(web, "/api/handles/88.118.8/Item-1")

    assert (reply.status_code, reply.json()["responseCode"]) == (500, 2)
    assert "secret" not in reply.text
    assert reply.headers["access-control-allow-origin"] == "*"
