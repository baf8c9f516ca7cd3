"""A deleted record: 410 with when and why on the web side, a record that does not exist to Handle clients."""

import httpx
import pytest

from tests.support.web import Web

DELETED_AT = 1_767_323_045  # 2026-01-02T03:04:05Z


@pytest.fixture
def web() -> Web:
    web = Web()
    web.store.put("0.NA/88.118.8", ())
    web.store.put("88.118.8/item", ())
    web.store.bury("88.118.8/item", DELETED_AT, "recalled <b>& scrapped</b>")
    web.store.bury("88.118.8/silent", DELETED_AT, "")
    return web


async def get(web: Web, path: str, **headers: str) -> httpx.Response:
    async with web.client() as client:
        return await client.get(path, headers=headers)


async def test_our_interface_says_when_and_why(web: Web) -> None:
    reply = await get(web, "/v1/resolve/88.118.8/ITEM")

    assert (reply.status_code, reply.headers["content-type"]) == (410, "application/problem+json")
    problem = reply.json()
    assert problem["type"] == "/docs#gone"
    assert problem["identifier"] == "88.118.8/ITEM"
    assert (problem["at"], problem["reason"]) == (
        "2026-01-02T03:04:05Z",
        "recalled <b>& scrapped</b>",
    )
    assert "2026-01-02T03:04:05Z, because: recalled" in problem["detail"]


async def test_deletion_without_a_reason_is_told_without_one(web: Web) -> None:
    problem = (await get(web, "/v1/resolve/88.118.8/silent")).json()

    assert problem["reason"] == ""
    assert "because" not in problem["detail"]


@pytest.mark.parametrize(
    ("language", "words"),
    [("en", ["Identifier deleted", "Deleted (UTC)", "Reason"]), ("zh-CN", ["标识已删除", "原因"])],
)
async def test_page_says_when_and_why_in_both_languages(
    web: Web, language: str, words: list[str]
) -> None:
    reply = await get(web, "/88.118.8/item", **{"Accept-Language": language})

    assert reply.status_code == 410
    for word in [*words, "2026-01-02T03:04:05Z", "recalled &lt;b&gt;&amp; scrapped&lt;/b&gt;"]:
        assert word in reply.text


async def test_script_at_the_page_gets_the_code_of_the_json_api(web: Web) -> None:
    reply = await get(web, "/88.118.8/item", Accept="application/json")

    assert (reply.status_code, reply.json()["responseCode"]) == (410, 100)


async def test_handle_json_api_knows_no_such_record(web: Web) -> None:
    reply = await get(web, "/api/handles/88.118.8/item")

    assert (reply.status_code, reply.json()) == (
        404,
        {"responseCode": 100, "handle": "88.118.8/item"},
    )


async def test_record_that_is_made_again_is_there_again(web: Web) -> None:
    web.store.put("88.118.8/item", ())

    assert (await get(web, "/v1/resolve/88.118.8/item")).status_code == 404
    assert (await get(web, "/88.118.8/never")).status_code == 404
