"""`POST /v1/resolve` from outside: many identifiers in one request, each answered by itself."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from contextlib import suppress
from typing import Any

import httpx
import pytest

from resolver.answer import Stored
from resolver.frontends.bulk import ITEMS_AT_ONCE, MAX_BATCHES, MAX_BODY_BYTES, MAX_ITEMS
from resolver.wire import HandleValue
from tests.support.memory import MemoryStore
from tests.support.sources import turns
from tests.support.web import Web

URL = HandleValue(1, b"URL", b"https://example.org/1", timestamp=1)


@pytest.fixture
def web() -> Web:
    web = Web()
    web.store.put("0.NA/88.118.8", ())
    web.store.put("88.118.8/item", (URL, HandleValue(2, b"NOTE", b"x")))
    web.store.put("88.118.8/水泵", (URL,))
    web.store.homed |= {b"GS1:9506000"}
    web.store.put("gs1:01/09506000134352", (URL,))
    return web


async def post(web: Web, body: bytes | str) -> httpx.Response:
    async with web.client() as client:
        return await client.post("/v1/resolve", content=body)


def lines(reply: httpx.Response) -> list[dict[str, Any]]:
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in reply.text.splitlines()]


async def test_each_item_gets_the_body_that_get_gives_in_the_order_of_the_items(web: Web) -> None:
    identifiers = [
        "88.118.8/ITEM",
        "88.118.8/no",
        "88.118.8/水泵",
        "99.9/x",
        "(01)09506000134352",
        "",
    ]
    async with web.client() as client:
        alone = [await client.get(f"/v1/resolve/{each}") for each in identifiers]
        reply = await client.post("/v1/resolve", content="\n".join(map(json.dumps, identifiers)))

    assert reply.text.splitlines() == [each.text for each in alone]
    assert [each.status_code for each in alone] == [200, 404, 200, 404, 200, 400]


async def test_array_is_answered_as_lines_too(web: Web) -> None:
    reply = await post(web, ' [\n"88.118.8/item", {"identifier": "88.118.8/no"}]')
    assert [line["status"] for line in lines(reply)] == ["found", 404]


async def test_lines_may_end_in_any_way_and_be_blank(web: Web) -> None:
    reply = await post(web, '\r\n"88.118.8/item"\r\n\n  \n"88.118.8/item"')
    assert len(lines(reply)) == 2


async def test_item_may_name_scheme_types_and_indexes(web: Web) -> None:
    items = [
        {"identifier": "88.118.8/item", "types": ["URL"]},
        {"identifier": "88.118.8/item", "indexes": [2]},
        {"identifier": "88.118.8/item", "types": ["url"], "indexes": [2]},
        {"identifier": "09506000134352", "scheme": "GS1"},
        {"identifier": "88.118.8/item", "types": ["EMAIL"]},
    ]
    found = lines(await post(web, json.dumps(items)))
    assert [[value["index"] for value in each.get("values", ())] for each in found] == [
        [1], [2], [1, 2], [1], [],
    ]  # fmt: skip
    assert found[4]["type"] == "/docs#no_such_value"


BAD_ITEMS = [
    "not json",
    "7",
    "null",
    "{}",
    '{"identifier": 7}',
    '{"identifier": "88.118.8/item", "more": 1}',
    '{"identifier": "88.118.8/item", "types": "URL"}',
    '{"identifier": "88.118.8/item", "types": [1]}',
    '{"identifier": "88.118.8/item", "indexes": ["1"]}',
    '{"identifier": "88.118.8/item", "indexes": [true]}',
    '{"identifier": "88.118.8/item", "indexes": [4294967296]}',
    '{"identifier": "88.118.8/item", "indexes": ' + json.dumps([1] * 513) + "}",
    '{"identifier": "88.118.8/item", "scheme": "isbn"}',
    '"\\ud800"',
]


@pytest.mark.parametrize("bad", BAD_ITEMS)
async def test_bad_item_fails_alone_and_says_what_is_wrong(web: Web, bad: str) -> None:
    found = lines(await post(web, f'"88.118.8/item"\n{bad}\n"88.118.8/item"'))
    assert [found[0]["status"], found[2]["status"]] == ["found", "found"]
    assert (found[1]["status"], found[1]["type"]) == (400, "/docs#bad_request")
    assert found[1]["detail"]


async def test_record_that_cannot_be_answered_fails_alone(web: Web) -> None:
    web.store.put("88.118.8/broken", (URL,))
    del web.store.spellings[
        b"88.118.8/BROKEN"
    ]  # so that reading it fails in a way nobody thought of
    body = '"88.118.8/item"\n"88.118.8/broken"\n{"identifier":"88.118.8/item"}'

    found = lines(await post(web, body))

    assert [each["status"] for each in found] == ["found", 500, "found"]
    assert found[1]["identifier"] == "88.118.8/broken"
    assert "KeyError" not in json.dumps(found)


async def test_every_item_is_counted_once_by_what_became_of_it(web: Web) -> None:
    await post(web, '"88.118.8/item"\n"88.118.8/no"\nbad\n""\n"09506000134352"')
    assert web.counted() == {
        ("batch", "handle", "found", "postgres"): 1,
        ("batch", "handle", "no_such_handle", "postgres"): 1,
        ("batch", "handle", "invalid_handle", "none"): 2,
        ("batch", "gs1", "found", "postgres"): 1,
    }


async def test_store_that_is_away_makes_each_item_try_again(web: Web) -> None:
    web.store.is_down = True
    assert [line["status"] for line in lines(await post(web, '"88.118.8/item"'))] == [503]


@pytest.mark.parametrize("body", ["", "\n \n", "[", '["a"', "[1]x"])
async def test_body_that_holds_no_items_is_refused(web: Web, body: str) -> None:
    reply = await post(web, body)
    assert (reply.status_code, reply.json()["type"]) == (400, "/docs#bad_request")


async def test_empty_array_has_an_empty_answer(web: Web) -> None:
    assert lines(await post(web, "[]")) == []


async def test_as_many_items_as_are_allowed_are_answered_and_no_more(web: Web) -> None:
    assert len(lines(await post(web, '"88.118.8/item"\n' * MAX_ITEMS))) == MAX_ITEMS
    for body in ('"88.118.8/item"\n' * (MAX_ITEMS + 1), json.dumps(["a"] * (MAX_ITEMS + 1))):
        reply = await post(web, body)
        assert (reply.status_code, reply.json()["type"]) == (413, "/docs#too_many_items")


async def test_body_that_is_too_long_is_refused(web: Web) -> None:
    reply = await post(web, b" " * (MAX_BODY_BYTES + 1))
    assert reply.status_code == 413


class SlowStore(MemoryStore):
    """Answers when it is told to, but at once what is called so; `waiting` counts what had to wait."""

    def __init__(self) -> None:
        super().__init__()
        self.may_answer = asyncio.Event()
        self.waiting = 0

    async def lookup(self, key: bytes, *, at_least: int = 0) -> Stored:
        if not key.endswith(b"/AT ONCE"):
            self.waiting += 1
            await self.may_answer.wait()
        return await super().lookup(key, at_least=at_least)


async def test_batches_at_once_are_bounded_and_places_become_free_again() -> None:
    store = SlowStore()
    store.put("0.NA/88.118.8", ())
    web = Web(store=store)
    async with web.client() as client:

        def ask() -> Coroutine[Any, Any, httpx.Response]:
            return client.post("/v1/resolve", content='"88.118.8/item"')

        waiting = [asyncio.create_task(ask()) for _ in range(MAX_BATCHES)]
        await turns(1_000)
        refused = await ask()
        store.may_answer.set()
        served = [(await each).status_code for each in waiting]
        again = await ask()
    assert served == [200] * MAX_BATCHES
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert again.status_code == 200


async def test_items_of_a_batch_are_looked_up_together_but_not_all_at_once() -> None:
    store = SlowStore()
    store.put("0.NA/88.118.8", ())
    web = Web(store=store)
    asked = asyncio.create_task(post(web, '"88.118.8/item"\n' * 100))
    await turns(1_000)
    waiting = store.waiting
    store.may_answer.set()
    assert waiting == ITEMS_AT_ONCE
    assert len(lines(await asked)) == 100
    assert store.waiting == 100


async def test_first_answers_are_sent_before_the_last_are_known() -> None:
    store = SlowStore()
    store.put("0.NA/88.118.8", ())
    web, sent = Web(store=store), bytearray()

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.extend(message.get("body", b""))

    body = '"88.118.8/at once"\n' * ITEMS_AT_ONCE + '"88.118.8/item"'
    serving = asyncio.create_task(web.app(SCOPE, received(body.encode()), send))
    await turns(1_000)
    early = sent.count(b"\n")
    store.may_answer.set()
    await serving
    assert early == ITEMS_AT_ONCE
    assert sent.count(b"\n") == ITEMS_AT_ONCE + 1


SCOPE = {
    "type": "http", "method": "POST", "path": "/v1/resolve", "raw_path": b"/v1/resolve",
    "query_string": b"", "headers": [], "scheme": "http", "server": ("idnode.test", 80),
    "client": ("192.0.2.1", 1), "http_version": "1.1", "root_path": "",
}  # fmt: skip


def received(body: bytes) -> Callable[[], Awaitable[dict[str, object]]]:
    """What a client sends that then waits for ever."""
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> dict[str, object]:
        for message in messages:
            return message
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    return receive


async def test_place_becomes_free_when_the_client_goes_away(web: Web) -> None:
    """The application itself, without a server: the client is gone before the first line."""

    async def send(_message: object) -> None:
        raise OSError("gone")

    for _ in range(MAX_BATCHES + 1):
        with suppress(Exception):  # whatever the framework makes of it
            await web.app(SCOPE, received(b'"88.118.8/item"'), send)
    assert (await post(web, '"88.118.8/item"')).status_code == 200
