"""The web proxy from outside: redirects, the record page, failures, and what is reserved."""

import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser

import httpx
import pytest

from resolver.wire import (
    Envelope,
    HandleValue,
    Header,
    Message,
    Opcode,
    ResolutionAnswer,
    ResolutionRequest,
    ResponseCode,
    SiteData,
    SiteInterface,
    SiteServer,
    encode_site,
)
from tests.support.web import Web

NASTY = b"<script>alert(1)</script>\"'&"
NODE = SiteData(
    2, 11, 1, True, False,
    servers=(
        SiteServer(
            1, bytes(12) + bytes([192, 0, 2, 7]), b"",
            (SiteInterface(3, 1, 2641), SiteInterface(2, 2, 8080)),
        ),
    ),
)  # fmt: skip
URL = HandleValue(1, b"URL", "https://example.org/产品?a=1".encode(), ttl=600)


@pytest.fixture
def web() -> Web:
    web = Web()
    web.store.put("0.NA/88.118.8", ())
    web.store.put("88.118.8/item", (URL, HandleValue(2, b"EMAIL", b"a@example.org")))
    web.store.put("88.118.8/nasty", (HandleValue(1, b"DESC", NASTY), HandleValue(2, b"<b>", b"x")))
    web.store.put("88.118.8/script", (HandleValue(1, b"URL", b"javascript:alert(1)"),))
    web.store.put("0.NA/88.300", (HandleValue(1, b"HS_SITE", encode_site(NODE)),))
    web.store.homed.discard(b"88.300")
    web.store.delegated.add(b"88.300")
    web.store.homed |= {b"10.1000", b"OID:1.2.156", b"GS1:9506000", b"ECODE:11234"}
    web.store.put("10.1000/abc", (HandleValue(1, b"URL", b"https://example.org/doi"),))
    web.store.put("oid:1.2.156.1", (HandleValue(1, b"URL", b"https://example.org/oid"),))
    gtin = "gs1:01/09506000134352"
    web.store.put(gtin, (HandleValue(1, b"URL", b"https://example.org/gtin"),))
    web.store.put(gtin + "/10/A%2FB", (HandleValue(1, b"URL", b"https://example.org/lot"),))
    return web


async def get(web: Web, path: str, **headers: str) -> httpx.Response:
    async with web.client() as client:
        return await client.get(path, headers={"accept": "text/html", **headers})


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/88.118.8/item", "https://example.org/%E4%BA%A7%E5%93%81?a=1"),
        ("http://idnode.test//88.118.8/ITEM", "https://example.org/%E4%BA%A7%E5%93%81?a=1"),
        ("/hdl:88.118.8/item", "https://example.org/%E4%BA%A7%E5%93%81?a=1"),
        ("/info:hdl/88.118.8/item", "https://example.org/%E4%BA%A7%E5%93%81?a=1"),
        ("/88.118.8/item?urlappend=%26b%3D2", "https://example.org/%E4%BA%A7%E5%93%81?a=1&b=2"),
        ("/88.118.8/item?type=EMAIL;type=URL", "https://example.org/%E4%BA%A7%E5%93%81?a=1"),
        ("/?hdl=88.118.8/item", "https://example.org/%E4%BA%A7%E5%93%81?a=1"),
        ("/doi:10.1000/ABC", "https://example.org/doi"),
        ("/10.1000/abc", "https://example.org/doi"),
        ("/1.2.156.1", "https://example.org/oid"),
        ("/oid:1.2.156.1", "https://example.org/oid"),
        ("/urn:oid:1.2.156.1", "https://example.org/oid"),
        ("/1.2.156.1?scheme=oid", "https://example.org/oid"),
        ("/01/09506000134352", "https://example.org/gtin"),
        ("/01/9506000134352/", "https://example.org/gtin"),
        ("/01/09506000134352/10/A%2FB", "https://example.org/lot"),
        ("/gs1:9506000134352", "https://example.org/gtin"),
        ("/?hdl=https%3A%2F%2Fid.gs1.org%2F01%2F09506000134352", "https://example.org/gtin"),
    ],
)
async def test_identifier_of_any_scheme_leads_to_its_url(
    web: Web, path: str, location: str
) -> None:
    reply = await get(web, path)

    assert (reply.status_code, reply.headers.get("location")) == (302, location)
    assert reply.headers["content-type"] == "text/html;charset=utf-8"


async def test_form_may_be_posted(web: Web) -> None:
    async with web.client() as client:
        reply = await client.post("/", data={"hdl": " 88.118.8/item "})

    assert reply.status_code == 302


@pytest.mark.parametrize(
    "query", ["noredirect", "action=showvalues", "type=EMAIL", "index=2", "index=x&index=2"]
)
async def test_record_is_shown_where_no_url_is_wanted(web: Web, query: str) -> None:
    reply = await get(web, f"/88.118.8/item?{query}")

    assert reply.status_code == 200
    assert "a@example.org" in reply.text


async def test_url_that_would_run_in_the_browser_is_only_shown(web: Web) -> None:
    reply = await get(web, "/88.118.8/script")

    assert reply.status_code == 200
    assert 'href="javascript' not in reply.text


class Page(HTMLParser):
    """What a page loads, links and shows."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [
            value for name, value in attrs if name in ("href", "src", "action") and value
        ]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize(
    "path",
    ["/", "/88.118.8/nasty", "/88.118.8/%3Cscript%3E", "/99.9/%22%3E", "/88.300/x", "/docsx/'"],
)
async def test_pages_load_nothing_and_escape_everything(web: Web, path: str) -> None:
    reply = await get(web, path)
    page = Page(reply.text)

    assert not page.tags & {"script", "img", "link", "iframe", "b"}
    policy = reply.headers["content-security-policy"]
    assert policy.startswith("default-src 'none';")
    style = re.search(r"<style>(.*?)</style>", reply.text, re.DOTALL)
    assert style is not None
    digest = b64encode(sha256(style[1].encode()).digest()).decode()
    assert f"'sha256-{digest}'" in policy
    assert reply.headers["x-content-type-options"] == "nosniff"


async def test_record_page_shows_each_value_as_it_is(web: Web) -> None:
    page = Page((await get(web, "/88.118.8/nasty")).text)

    assert NASTY.decode() in page.text
    assert "/api/handles/88.118.8/nasty?pretty" in page.links


@pytest.mark.parametrize(
    ("path", "status", "english", "chinese"),
    [
        ("/88.118.8/none", 404, "Identifier not found", "标识不存在"),
        ("/99.9/x", 400, "Not served here", "不由本节点服务"),
        ("/88.118.8/item?type=NONE", 200, "No such values", "没有所请求的标识值"),
        ("/88.300/x", 300, "Served elsewhere", "由其他节点服务"),
        ("/4006381333931", 400, "Not an identifier", "不是有效的标识"),
        ("/", 200, "Identifier resolution", "标识解析"),
        ("/88.118.8/nasty", 200, "Record", "标识记录"),
    ],
)
async def test_outcome_is_told_in_english_and_chinese(
    web: Web, path: str, status: int, english: str, chinese: str
) -> None:
    in_english = await get(web, path)
    in_chinese = await get(web, path, **{"accept-language": "zh-CN,zh;q=0.9,en;q=0.5"})

    assert in_english.status_code == in_chinese.status_code == status
    assert english in in_english.text
    assert chinese in in_chinese.text
    assert '<html lang="zh-CN">' in in_chinese.text


async def test_text_of_two_schemes_is_told_apart_by_the_caller(web: Web) -> None:
    both = await get(web, "/1123412345671")
    ecode = await get(web, "/1123412345671?scheme=ecode")

    assert both.status_code == 400
    assert "ecode" in both.text
    assert "gs1" in both.text
    assert ecode.status_code == 404


async def test_unknown_scheme_is_refused(web: Web) -> None:
    reply = await get(web, "/88.118.8/item?scheme=isbn")

    assert reply.status_code == 400
    assert "no such scheme" in reply.text


async def test_referral_page_leads_to_the_other_server(web: Web) -> None:
    page = Page((await get(web, "/88.300/x y")).text)

    assert "192.0.2.7" in page.text
    assert "http://192.0.2.7:8080/88.300/x%20y" in page.links


async def test_store_that_is_away_is_busy(web: Web) -> None:
    web.store.is_down = True

    reply = await get(web, "/88.118.8/item")

    assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")


@pytest.mark.parametrize(
    ("path", "status", "code"), [("/88.118.8/none", 404, 100), ("/foo/foo/88.118.8/x", 400, 301)]
)
async def test_program_that_takes_json_gets_json(
    web: Web, path: str, status: int, code: int
) -> None:
    reply = await get(web, path, accept="application/json")

    assert (reply.status_code, reply.json()["responseCode"]) == (status, code)


@pytest.mark.parametrize(
    "path", ["/v1", "/v1/x", "/docs/x", "/hrls/x", "/.well-known/x", "/healthz/x", "/docs/"]
)
async def test_reserved_segments_are_no_identifiers(web: Web, path: str) -> None:
    page = await get(web, path)
    problem = await get(web, path, accept="application/json")

    assert page.status_code == problem.status_code == 404
    assert page.headers["content-type"] == "text/html;charset=utf-8"
    assert problem.headers["content-type"] == "application/problem+json"
    assert problem.json()["status"] == 404
    assert not web.counted()


async def test_other_methods_are_refused_with_those_that_are_taken(web: Web) -> None:
    async with web.client() as client:
        reply = await client.put("/88.118.8/item")

    assert reply.status_code == 405
    assert reply.headers["allow"] == "GET, HEAD, OPTIONS, POST"


async def test_robots_and_icons_are_no_resolutions(web: Web) -> None:
    robots, icon = await get(web, "/robots.txt"), await get(web, "/favicon.ico")

    assert "Disallow: /api/" in robots.text
    assert icon.status_code == 204
    assert not web.counted()


async def test_each_answer_is_counted_once_by_scheme(web: Web) -> None:
    for path in ("/88.118.8/item", "/1.2.156.1", "/99.9/x", "/not-an-id", "/"):
        await get(web, path)

    assert web.counted() == {
        ("http_page", "handle", "found", "postgres"): 1,
        ("http_page", "oid", "found", "postgres"): 1,
        ("http_page", "handle", "not_responsible", "none"): 1,
        ("http_page", "handle", "invalid_handle", "none"): 1,
    }


@pytest.mark.parametrize("path", ["/", "/88.118.8/item", "/anything%20at/all"])
async def test_native_message_may_be_posted_to_any_path(web: Web, path: str) -> None:
    envelope = Envelope(2, 11, 2, 11, request_id=42)
    body = ResolutionRequest(b"88.118.8/item").encode()
    request = Message(envelope, Header(Opcode.RESOLUTION), body).encode()
    kind = {"content-type": "application/x-hdl-message"}
    async with web.client() as client:
        reply = await client.post(path, content=request, headers=kind)

    assert reply.status_code == 200
    assert reply.headers["content-type"] == "application/x-hdl-message"
    answer = Message.decode(reply.content)
    assert answer.envelope.request_id == 42
    assert [value.type for value in ResolutionAnswer.decode(answer.body).values] == [
        b"URL",
        b"EMAIL",
    ]
    assert web.counted() == {("native_http", "handle", "found", "postgres"): 1}


async def test_post_that_is_no_message_is_answered_with_an_error_message(web: Web) -> None:
    kind = {"content-type": "application/x-hdl-message"}
    async with web.client() as client:
        reply = await client.post("/", content=b"nonsense", headers=kind)
        large = await client.post("/", content=b"x" * 262_165, headers=kind)

    assert Message.decode(reply.content).header.response_code in (
        ResponseCode.ERROR,
        ResponseCode.PROTOCOL_ERROR,
    )
    assert large.status_code == 413
