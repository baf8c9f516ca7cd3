"""Lists over the Handle JSON API: handles of a prefix, in pages and beyond; prefixes, homed and let go."""

from urllib.parse import quote

import pytest

from resolver.wire import HandleValue, Reference
from tests.support.web import Web
from tests.support.web_writing import ADMIN, GUEST, PREFIX, ask, login_of, told, web_with_admin

NAMES = [f"{PREFIX}/{name}" for name in ("ADMIN", "GUEST", "a b", "b+", "C", "产品")]
LIST = f"/api/handles?prefix={PREFIX}"


@pytest.fixture
def web() -> Web:
    web = web_with_admin()
    for name in NAMES[2:]:
        web.store.put(name, (HandleValue(1, b"URL", b"x"),))
    return web


def chief(web: Web) -> Web:
    """Make the administrator of the prefix one of the server."""
    web.registrar.server_admins = (Reference(ADMIN.partition(":")[2].encode(), 300),)
    return web


async def listed(web: Web, query: str) -> dict[str, object]:
    reply = await ask(web, "GET", LIST + query)
    assert told(reply) == (200, 1), reply.text
    assert reply.headers["cache-control"] == "no-store"
    found: dict[str, object] = reply.json()
    return found


async def test_whole_list_is_in_the_order_of_the_canonical_names(web: Web) -> None:
    assert await listed(web, "") == {
        "responseCode": 1,
        "prefix": PREFIX,
        "totalCount": "6",
        "handles": [NAMES[2], NAMES[0], NAMES[3], NAMES[4], NAMES[1], NAMES[5]],
    }


@pytest.mark.parametrize(
    "path", [f"/api/handles/?prefix=0.NA/{PREFIX}", f"/api/handles?prefix=0.na/{PREFIX}"]
)
async def test_prefix_may_be_named_by_its_handle(web: Web, path: str) -> None:
    reply = await ask(web, "GET", path)

    assert reply.json()["totalCount"] == "6"
    assert reply.json()["prefix"] == path.partition("=")[2]


async def test_post_is_get_for_lists_too(web: Web) -> None:
    login = login_of(ADMIN)
    async with web.client(secure=True) as client:
        form = await client.post("/api/handles", data={"prefix": PREFIX}, headers=login)
        body = await client.post(
            "/api/handles/", json={"prefix": PREFIX, "page": 0, "pageSize": 1}, headers=login
        )

    assert form.json() == await listed(web, "")
    assert body.json() == await listed(web, "&page=0&pageSize=1")


@pytest.mark.parametrize(
    ("page", "size", "names"), [(0, 4, 4), (1, 4, 2), (2, 4, 0), (0, 6, 6), (0, 0, 0), (7, 0, 0)]
)
async def test_pages_say_where_they_are_and_how_many_there_are(
    web: Web, page: int, size: int, names: int
) -> None:
    found = await listed(web, f"&page={page}&pageSize={size}")

    assert list(found) == ["responseCode", "prefix", "totalCount", "page", "pageSize", "handles"]
    assert (found["totalCount"], found["page"], found["pageSize"]) == ("6", page, size)
    assert len(found["handles"]) == names  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "query", ["&page=0", "&pageSize=2", "&page=-1&pageSize=2", "&page=1&pageSize=-1"]
)
async def test_half_a_page_is_none(web: Web, query: str) -> None:
    assert await listed(web, query) == await listed(web, "")


async def test_list_is_gone_through_by_next_without_a_count(web: Web) -> None:
    found: list[str] = []
    query = "&limit=4"
    while query:
        part = (await ask(web, "GET", LIST + query)).json()
        assert "totalCount" not in part
        found += part["handles"]
        query = f"&limit=4&after={quote(part['next'])}" if "next" in part else ""

    assert sorted(found) == sorted(NAMES)
    assert len(found) == len(NAMES)


@pytest.mark.parametrize(
    "query",
    [
        "&page=x&pageSize=1",
        "&page=0&pageSize=10001",
        "&page=1000&pageSize=10000",
        "&page=1&pageSize=99999999999",
        "&limit=0",
        "&limit=10001",
        "&limit=-1",
        "&limit=",
    ],
)
async def test_page_that_cannot_be_given_is_refused(web: Web, query: str) -> None:
    reply = await ask(web, "GET", LIST + query)

    assert told(reply) == (400, 4)
    assert reply.json()["message"]


@pytest.mark.parametrize(
    ("query", "user", "status", "code"),
    [
        (PREFIX, "", 401, 402),
        (PREFIX, GUEST, 403, 400),
        ("88.999", ADMIN, 400, 301),
        ("88.999", "", 400, 301),
        (f"{PREFIX}/x", ADMIN, 400, 102),
        ("", ADMIN, 400, 102),
        (f"{PREFIX}&after=%ff", ADMIN, 400, 102),
    ],
)
async def test_list_is_refused(web: Web, query: str, user: str, status: int, code: int) -> None:
    reply = await ask(web, "GET", f"/api/handles?prefix={query}", user=user)

    assert told(reply) == (status, code)
    assert "handles" not in reply.json()
    assert code == 102 or reply.json()["handle"] == query


async def test_list_over_plain_http_is_refused_as_to_a_stranger(web: Web) -> None:
    reply = await ask(web, "GET", LIST, secure=False)

    assert reply.status_code == 403
    assert reply.json() == {"responseCode": 402, "handle": PREFIX}


async def test_database_that_is_away_is_busy(web: Web) -> None:
    web.store.is_down = True

    assert told(await ask(web, "GET", LIST, user="")) == (503, 3)


# Prefixes


async def test_server_administrators_list_the_prefixes_homed_here(web: Web) -> None:
    reply = await ask(chief(web), "GET", "/api/prefixes/")

    assert reply.json() == {"responseCode": 1, "totalCount": "1", "prefixes": [PREFIX]}
    assert (await ask(web, "GET", "/api/prefixes?page=0&pageSize=0")).json()["prefixes"] == []
    assert (await ask(web, "HEAD", "/api/prefixes")).status_code == 200


@pytest.mark.parametrize("path", ["/api/prefixes", "/api/prefixes/"])
async def test_prefix_is_homed_and_let_go(web: Web, path: str) -> None:
    chief(web)
    new = "88.118.9"
    async with web.client(secure=True) as client:
        login = login_of(ADMIN)
        replies = [
            await client.post(path, data={"prefix": new}, headers=login),
            await client.post(path, json={"prefix": new}, headers=login),
            await client.post(f"{path}?prefix={new}&reason=moved", headers=login),
            await client.post(f"{path.rstrip('/')}/0.NA%2F{new}", headers=login),
            await client.delete(f"{path}?prefix={new}", headers=login),
            await client.delete(f"/api/prefixes/{new}", headers=login),
        ]

    assert [told(reply) for reply in replies] == [(201, 1), *[(200, 1)] * 4, (400, 301)]
    assert replies[0].json() == {"responseCode": 1, "handle": new}
    assert [write.reason for write in web.registrar.writes] == ["", "", "moved", "", "", ""]
    assert replies[3].json()["handle"] == f"0.NA/{new}"
    assert web.store.homed == {PREFIX.encode()}


@pytest.mark.parametrize(
    ("method", "path", "user", "status", "code"),
    [
        ("GET", "/api/prefixes", "", 401, 402),
        ("GET", "/api/prefixes", ADMIN, 403, 400),
        ("POST", "/api/prefixes?prefix=88.1", "", 401, 402),
        ("POST", "/api/prefixes?prefix=88.1", ADMIN, 403, 400),
        ("DELETE", f"/api/prefixes/{PREFIX}", ADMIN, 403, 400),
        ("POST", "/api/prefixes", ADMIN, 400, 4),
        ("DELETE", "/api/prefixes/", ADMIN, 400, 4),
        ("POST", "/api/prefixes/88.1/x", ADMIN, 400, 102),
        ("GET", f"/api/prefixes?prefix={PREFIX}", ADMIN, 405, 4),
        ("GET", f"/api/prefixes/{PREFIX}", ADMIN, 405, 4),
    ],
)
async def test_prefixes_are_refused(
    web: Web, method: str, path: str, user: str, status: int, code: int
) -> None:
    reply = await ask(web, method, path, user=user)

    assert told(reply) == (status, code)
    assert web.store.homed == {PREFIX.encode()}
    assert status != 405 or {"POST", "DELETE"} <= set(reply.headers["allow"].split(", "))


async def test_page_of_another_site_homes_nothing(web: Web) -> None:
    """Its form would come with the login that the browser remembers."""
    headers = {**login_of(ADMIN), "Origin": "https://elsewhere.test"}
    async with chief(web).client(secure=True) as client:
        reply = await client.post("/api/prefixes", data={"prefix": "88.9"}, headers=headers)

    assert told(reply) == (401, 402)
    assert web.store.homed == {PREFIX.encode()}
