"""Writing over the Handle JSON API: every form of PUT and DELETE, every code, and the order in which they are told."""

import json

import pytest

from resolver.wire import HandleValue
from tests.support.web import Web
from tests.support.web_writing import (
    ADMIN,
    EMAIL,
    GUEST,
    OWNER,
    PREFIX,
    ROOT,
    URL,
    ask,
    put,
    told,
    web_with_admin,
)

NEW = f"{PREFIX}/new"
ITEM = f"{PREFIX}/Item-1"


@pytest.fixture
async def web() -> Web:
    web = web_with_admin()
    reply = await put(web, ITEM, [URL, EMAIL, OWNER])
    assert reply.status_code == 201
    return web


async def indexes(web: Web, handle: str = ITEM) -> list[int]:
    reply = await ask(web, "GET", ROOT + handle, user="")
    return [value["index"] for value in reply.json().get("values", [])]


# Whole records


async def test_new_record_is_201_and_a_replaced_one_200_with_its_version(web: Web) -> None:
    created = await put(web, NEW, [URL, OWNER])
    replaced = await put(web, NEW, [EMAIL, OWNER])

    assert told(created) == (201, 1)
    assert told(replaced) == (200, 1)
    assert created.json() == replaced.json() == {"responseCode": 1, "handle": NEW}
    assert [created.headers["etag"], replaced.headers["etag"]] == ['"1"', '"2"']
    assert created.headers["cache-control"] == "no-store"
    assert await indexes(web, NEW) == [2, 100]


async def test_every_answer_to_a_write_says_that_keys_are_honoured(web: Web) -> None:
    answers = [
        await put(web, NEW, [URL, OWNER]),
        await put(web, f"{NEW}?overwrite=false", [URL]),
        await ask(web, "PUT", ROOT + NEW),
        await ask(web, "DELETE", ROOT + NEW, user=""),
        await ask(web, "DELETE", ROOT + NEW),
    ]

    assert [each.status_code for each in answers] == [201, 409, 400, 401, 200]
    assert {each.headers["idempotency-key-honoured"] for each in answers} == {"true"}


@pytest.mark.parametrize(
    ("word", "code"),
    [("false", 101), ("yes", 101), ("", 101), ("1", 101), ("true", 1), ("TRUE", 1)],
)
async def test_overwrite_is_the_word_true_alone(web: Web, word: str, code: int) -> None:
    reply = await put(web, f"{ITEM}?overwrite={word}", [OWNER])

    assert told(reply) == (200 if code == 1 else 409, code)
    assert reply.json()["handle"] == ITEM


@pytest.mark.parametrize(
    "body",
    [
        [URL],
        {"values": [URL]},
        {"handle": NEW, "values": [URL]},
        {"handle": NEW.upper(), "values": [URL]},
        {**URL, "handle": NEW},
        URL,
    ],
)
async def test_body_is_a_list_an_object_with_one_or_a_single_value(web: Web, body: object) -> None:
    assert told(await put(web, NEW, body)) == (201, 1)
    assert await indexes(web, NEW) == [1]


async def test_record_without_values_can_be_created(web: Web) -> None:
    assert told(await put(web, NEW, [])) == (201, 1)

    shown = await ask(web, "GET", ROOT + NEW, user="")
    assert told(shown) == (200, 200)
    assert shown.json()["values"] == []


@pytest.mark.parametrize(
    ("start", "made"),
    [
        (f"{PREFIX}/", f"{PREFIX}/minted"),
        (f"{PREFIX}/pump-", f"{PREFIX}/pump-minted"),
        (PREFIX, f"{PREFIX}/minted"),
    ],
)
async def test_minted_handle_is_told(web: Web, start: str, made: str) -> None:
    reply = await put(web, f"{start}?mintNewSuffix=true", [URL])

    assert told(reply) == (201, 1)
    assert reply.json()["handle"] == made
    assert await indexes(web, made) == [1]


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("", {"handle": f"{PREFIX}/other", "values": [URL]}),
        ("", {"handle": "", "values": [URL]}),
        ("", {"handle": 7, "values": [URL]}),
        ("?index=1", [EMAIL]),
        ("?index=1&index=2", [URL]),
        ("?index=2", [URL, EMAIL]),
        ("?index=one", [URL]),
        ("?index=", [URL]),
        ("?index=1&mintNewSuffix=true", [URL]),
        ("", {}),
        ("", {"values": {}}),
        ("", [[]]),
        ("", "URL"),
        ("", None),
        ("", [{"index": "x", "type": "URL", "data": "y"}]),
        ("", [{"type": "URL", "data": "y"}]),
        ("", [{"index": 1, "data": "y"}]),
        ("", [{"index": 1, "type": "", "data": "y"}]),
        ("", [{"index": 1, "type": "URL"}]),
        ("", [{"index": 2**31, "type": "URL", "data": "y"}]),
        ("", [{**URL, "data": {"format": "xml", "value": "y"}}]),
        ("", [{**URL, "data": {"format": "hex", "value": "xy"}}]),
        ("", [{**URL, "permissions": "11"}]),
        ("", [{**URL, "ttl": -1}]),
        ("?reason=%ff", [URL]),
    ],
)
@pytest.mark.parametrize("user", [ADMIN, ""])
async def test_request_that_is_wrong_in_itself_is_told_so_to_anybody(
    web: Web, query: str, body: object, user: str
) -> None:
    reply = await put(web, ITEM + query, body, user=user)

    assert told(reply) == (400, 4)
    assert reply.json()["message"]
    assert "handle" not in reply.json()


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded"])
async def test_body_of_another_type_is_refused(web: Web, kind: str) -> None:
    async with web.client(secure=True) as client:
        reply = await client.put(ROOT + NEW, content=b"[]", headers={"Content-Type": kind})

    assert told(reply) == (400, 4)
    assert reply.json()["message"].startswith("Unsupported media type")


# Some values


@pytest.mark.parametrize(
    ("query", "body", "status", "code", "left"),
    [
        ("index=3", [{**EMAIL, "index": 3}], 201, 1, [1, 2, 3, 100]),
        ("index=2", [{**EMAIL, "data": "b@example.org"}], 200, 1, [1, 2, 100]),
        ("index=2&index=3", [EMAIL, {**EMAIL, "index": 3}], 200, 1, [1, 2, 3, 100]),
        ("index=various", [{**EMAIL, "index": 9}], 201, 1, [1, 2, 9, 100]),
        ("index=various&index=1", [{**EMAIL, "index": 9}], 201, 1, [1, 2, 9, 100]),
        ("index=2&overwrite=false", [EMAIL], 409, 201, [1, 2, 100]),
        ("index=3&overwrite=false", [{**EMAIL, "index": 3}], 201, 1, [1, 2, 3, 100]),
        ("index=various", [], 400, 202, [1, 2, 100]),
        ("index=1", [], 400, 202, [1, 2, 100]),
        ("index=3", [{**EMAIL, "index": 3}] * 2, 409, 201, [1, 2, 100]),
    ],
)
async def test_values_are_put_beside_the_others(
    web: Web, query: str, body: object, status: int, code: int, left: list[int]
) -> None:
    reply = await put(web, f"{ITEM}?{query}", body)

    assert told(reply) == (status, code)
    assert reply.json()["handle"] == ITEM
    assert await indexes(web) == left


async def test_values_cannot_be_put_into_a_record_that_is_not_there(web: Web) -> None:
    reply = await put(web, f"{NEW}?index=1", [URL])

    assert told(reply) == (404, 100)
    assert reply.json() == {"responseCode": 100, "handle": NEW}


@pytest.mark.parametrize("index", [0, -1, -(2**40)])
@pytest.mark.parametrize("query", ["", "?index=various"])
async def test_index_below_one_is_an_invalid_value(web: Web, index: int, query: str) -> None:
    assert told(await put(web, ITEM + query, [{**URL, "index": index}])) == (400, 202)


FORMATS: list[tuple[str, object, object]] = [
    ("DESC", "直接", {"format": "string", "value": "直接"}),
    ("DESC", {"format": "string", "value": ""}, {"format": "string", "value": ""}),
    ("DESC", {"format": "base64", "value": "AAEC"}, {"format": "base64", "value": "AAEC"}),
    ("DESC", {"format": "hex", "value": "000102"}, {"format": "base64", "value": "AAEC"}),
    ("DESC", {"format": "hex", "value": "4142"}, {"format": "string", "value": "AB"}),
    (
        "HS_VLIST",
        {"format": "vlist", "value": [{"handle": "88.1/a", "index": "200"}]},
        {"format": "vlist", "value": [{"handle": "88.1/a", "index": 200}]},
    ),
    (
        "HS_ADMIN",
        {"format": "admin", "value": {"handle": "88.1/a", "index": 1, "permissions": "*"}},
        {
            "format": "admin",
            "value": {"handle": "88.1/a", "index": 1, "permissions": "111111111111"},
        },
    ),
    (
        "HS_PUBKEY",
        {"format": "key", "value": {"kty": "RSA", "n": "wFSEl_1wc0s", "e": "AQAB"}},
        {"format": "key", "value": {"kty": "RSA", "n": "wFSEl_1wc0s", "e": "AQAB"}},
    ),
]


@pytest.mark.parametrize(("kind", "given", "shown"), FORMATS)
async def test_data_is_taken_in_every_format(
    web: Web, kind: str, given: object, shown: object
) -> None:
    value = {"index": 7, "type": kind, "data": given}

    assert told(await put(web, NEW, [value])) == (201, 1)
    reply = await ask(web, "GET", ROOT + NEW, user="")
    assert reply.json()["values"][0]["data"] == shown


async def test_site_is_taken_as_it_is_shown(web: Web) -> None:
    site = (await ask(web, "GET", "/api/site", user="")).json()["site"]
    value = {"index": 1, "type": "HS_SITE", "data": {"format": "site", "value": site}}

    assert told(await put(web, NEW, [value])) == (201, 1)
    reply = await ask(web, "GET", ROOT + NEW, user="")
    assert reply.json()["values"][0]["data"]["value"] == site


async def test_permissions_ttl_and_references_are_kept(web: Web) -> None:
    reference = [{"handle": "88.1/a", "index": 3}]
    rich = {**URL, "permissions": "0111", "ttl": 60, "references": reference}
    until = {**EMAIL, "ttl": "2030-01-02T03:04:05Z", "timestamp": "1999-01-01T00:00:00Z"}
    assert told(await put(web, NEW, [rich, until])) == (201, 1)

    first, second = (await ask(web, "GET", ROOT + NEW, user="")).json()["values"]

    assert (first["permissions"], first["ttl"], first["references"]) == ("0111", 60, reference)
    assert second["ttl"] == "2030-01-02T03:04:05Z"
    assert second["timestamp"] == "2023-11-14T22:13:20Z", "the server's, not the caller's"


# Deletion


async def test_record_is_deleted_and_then_it_is_not_there(web: Web) -> None:
    deleted = await ask(web, "DELETE", ROOT + ITEM)
    again = await ask(web, "DELETE", ROOT + ITEM)

    assert deleted.json() == {"responseCode": 1, "handle": ITEM}
    assert (deleted.status_code, "etag" in deleted.headers) == (200, False)
    assert told(again) == (404, 100)
    assert again.json() == {"responseCode": 100, "handle": ITEM}
    assert told(await ask(web, "GET", ROOT + ITEM)) == (404, 100)


@pytest.mark.parametrize(
    ("query", "status", "code", "left"),
    [
        ("index=2", 200, 1, [1, 100]),
        ("index=1&index=2", 200, 1, [100]),
        ("index=2&index=2", 200, 1, [1, 100]),
        ("index=2&index=3", 400, 200, [1, 2, 100]),
        ("index=-2", 400, 200, [1, 2, 100]),
        ("index=various", 400, 4, [1, 2, 100]),
    ],
)
async def test_values_are_removed_by_index(
    web: Web, query: str, status: int, code: int, left: list[int]
) -> None:
    reply = await ask(web, "DELETE", f"{ROOT}{ITEM}?{query}")

    assert told(reply) == (status, code)
    assert code == 4 or reply.json()["handle"] == ITEM
    assert await indexes(web) == left


async def test_values_of_no_record_cannot_be_removed(web: Web) -> None:
    assert told(await ask(web, "DELETE", f"{ROOT}{NEW}?index=1")) == (404, 100)


# The order of the checks


TWICE = [URL, URL]
FOREIGN = "88.999/x"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("PUT", f"{ITEM}?overwrite=false", [URL], 409, 101),
        ("PUT", NEW, [{**URL, "index": 0}], 400, 202),
        ("PUT", NEW, TWICE, 409, 201),
        ("PUT", FOREIGN, [URL], 400, 301),
        ("PUT", f"{FOREIGN}?index=1", [URL], 400, 301),
        ("DELETE", FOREIGN, None, 400, 301),
        ("PUT", NEW, [URL], 401, 402),
        ("PUT", ITEM, [URL], 401, 402),
        ("PUT", f"{NEW}?index=1", [URL], 401, 402),
        ("PUT", f"{ITEM}?index=1&overwrite=false", [URL], 401, 402),
        ("DELETE", NEW, None, 401, 402),
        ("DELETE", f"{ITEM}?index=99", None, 401, 402),
    ],
)
async def test_what_a_stranger_is_told_first(
    web: Web, method: str, path: str, body: object, status: int, code: int
) -> None:
    reply = await ask(web, method, ROOT + path, body, user="")

    assert told(reply) == (status, code)
    assert reply.json()["handle"] == path.partition("?")[0]
    assert ("www-authenticate" in reply.headers) == (status == 401)
    assert await indexes(web) == [1, 2, 100]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("PUT", NEW, [URL], 403, 400),
        ("PUT", ITEM, [URL], 403, 400),
        ("PUT", f"{NEW}?index=1", [URL], 404, 100),
        ("PUT", f"{ITEM}?index=1", [URL], 403, 400),
        ("PUT", f"{ITEM}?index=1&overwrite=false", [URL], 409, 201),
        ("DELETE", NEW, None, 404, 100),
        ("DELETE", ITEM, None, 403, 400),
        ("DELETE", f"{ITEM}?index=1", None, 403, 400),
        ("DELETE", f"{ITEM}?index=99", None, 400, 200),
    ],
)
async def test_who_has_no_right_is_told_what_is_there_first(
    web: Web, method: str, path: str, body: object, status: int, code: int
) -> None:
    reply = await ask(web, method, ROOT + path, body, user=GUEST, headers={"If-Match": '"77"'})

    assert told(reply) == (status, code)
    assert await indexes(web) == [1, 2, 100]


# Who asks


async def test_wrong_password_is_told_before_everything_else(web: Web) -> None:
    async with web.client(secure=True) as client:
        reply = await client.put(ROOT + NEW, content=b"{", auth=("300%3A" + ADMIN[4:], "wrong"))

    assert told(reply) == (401, 403)
    assert reply.json()["handle"] == NEW
    assert [word.split()[0] for word in reply.headers.get_list("www-authenticate")] == [
        "Basic",
        "Handle",
    ]


async def test_credentials_over_plain_http_of_another_machine_are_refused_unseen(web: Web) -> None:
    reply = await put(web, NEW, [URL], secure=False)

    assert told(reply) == (403, 402)
    assert "https" in reply.json()["message"]
    assert "www-authenticate" not in reply.headers
    assert not await indexes(web, NEW)


async def test_who_wrote_from_where_and_why_goes_to_the_registrar(web: Web) -> None:
    await put(
        web, NEW, [URL], headers={"X-Idnode-Reason": "%E6%96%B0 one", "Idempotency-Key": "k-1"}
    )
    await ask(web, "DELETE", f"{ROOT}{NEW}?reason=old+one")

    created, deleted = web.registrar.writes[-2:]
    assert created.caller
    assert created.caller.name == f"300:{PREFIX}/ADMIN"
    assert (created.origin, created.reason) == ("https 192.0.2.77", "新 one")
    assert (created.idempotency_key, deleted.reason) == ("k-1", "old one")


async def test_database_that_is_away_is_busy(web: Web) -> None:
    web.store.is_down = True

    for method in ("PUT", "DELETE"):
        reply = await ask(web, method, ROOT + ITEM, [URL], user="")
        assert told(reply) == (503, 3)
        assert reply.json()["handle"] == ITEM
        assert reply.headers["retry-after"] == "1"
    assert told(await put(web, ITEM, [URL])) == (503, 3), "the login cannot be checked"


# Conditions


@pytest.mark.parametrize(
    ("path", "headers", "status", "tag"),
    [
        (ITEM, {"If-Match": '"1"'}, 200, '"2"'),
        (ITEM, {"If-Match": "*"}, 200, '"2"'),
        (ITEM, {"If-Match": '"2"'}, 412, '"1"'),
        (ITEM, {"If-None-Match": "*"}, 412, '"1"'),
        (NEW, {"If-None-Match": "*"}, 201, '"1"'),
        (NEW, {"If-Match": "*"}, 412, None),
        (NEW, {"If-Match": '"1"'}, 412, None),
    ],
)
async def test_write_on_a_condition(
    web: Web, path: str, headers: dict[str, str], status: int, tag: str | None
) -> None:
    reply = await put(web, path, [OWNER], headers=headers)

    assert reply.status_code == status
    assert reply.headers.get("etag") == tag
    assert reply.json()["responseCode"] == (4 if status == 412 else 1)
    assert reply.json()["handle"] == path
    assert await indexes(web) == ([100] if status == 200 else [1, 2, 100])


async def test_deletion_on_a_condition(web: Web) -> None:
    late = await ask(web, "DELETE", f"{ROOT}{ITEM}?index=1", headers={"If-Match": '"7"'})
    right = await ask(web, "DELETE", f"{ROOT}{ITEM}?index=1", headers={"If-Match": '"1"'})
    whole = await ask(web, "DELETE", ROOT + ITEM, headers={"If-Match": '"2"'})

    assert [late.status_code, right.status_code, whole.status_code] == [412, 200, 200]
    assert right.headers["etag"] == '"2"'


@pytest.mark.parametrize(
    "headers",
    [
        {"If-Match": "1"},
        {"If-Match": '"1"', "If-None-Match": "*"},
        {"If-None-Match": '"1"'},
        {"Idempotency-Key": ""},
        {"Idempotency-Key": "a b"},
        {"Idempotency-Key": "k" * 256},
        {"X-Idnode-Reason": "a%0Ab"},
        {"X-Idnode-Reason": "x" * 1_025},
        {"X-Idnode-Reason": "%ff"},
    ],
)
async def test_terms_that_cannot_be_read_are_refused(web: Web, headers: dict[str, str]) -> None:
    for method in ("PUT", "DELETE"):
        assert told(await ask(web, method, ROOT + ITEM, [URL], headers=headers)) == (400, 4)


# Spellings


@pytest.mark.parametrize(
    ("path", "handle"),
    [
        (f"{PREFIX}%2Fa%2Fb", f"{PREFIX}/a/b"),
        (f"{PREFIX}/a/b%3Fc%23d", f"{PREFIX}/a/b?c#d"),
        (f"{PREFIX}/a+b%2Bc", f"{PREFIX}/a+b+c"),
        (f"{PREFIX}/%E4%BA%A7%E5%93%81%20001", f"{PREFIX}/产品 001"),
        (f"{PREFIX}/%F0%9F%94%A7", f"{PREFIX}/🔧"),
        (f"{PREFIX}//x/", f"{PREFIX}//x/"),
        (f"{PREFIX}/100%25", f"{PREFIX}/100%"),
        (f"{PREFIX}/%252F", f"{PREFIX}/%2F"),
        (f"{PREFIX}/{{a}}&b=c;d", f"{PREFIX}/{{a}}&b=c;d"),
        (f"{PREFIX}/" + "n" * 2_000, f"{PREFIX}/" + "n" * 2_000),
    ],
)
async def test_handle_of_any_spelling_is_written_read_and_echoed(
    web: Web, path: str, handle: str
) -> None:
    replies = [
        await put(web, path, {"handle": handle, "values": [URL, OWNER]}),
        await put(web, f"{path}?index=2", [EMAIL]),
        await ask(web, "GET", ROOT + path, user=""),
        await ask(web, "DELETE", ROOT + path),
    ]

    assert [reply.status_code for reply in replies] == [201, 201, 200, 200]
    assert {reply.json()["handle"] for reply in replies} == {handle}


async def test_case_of_the_request_is_echoed_and_that_of_the_record_stays(web: Web) -> None:
    other = f"{PREFIX}/ITEM-1"

    assert (await put(web, f"{other}?index=3", [{**URL, "index": 3}])).json()["handle"] == other
    assert told(await put(web, f"{other}?overwrite=false", [URL])) == (409, 101)
    assert await indexes(web) == [1, 2, 3, 100]


@pytest.mark.parametrize("path", ["", f"{PREFIX}/%ff", "/x", f"{PREFIX}/"])
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_what_is_no_handle_cannot_be_written(web: Web, path: str, method: str) -> None:
    assert told(await ask(web, method, ROOT + path, [URL])) == (400, 102)


@pytest.mark.parametrize("query", ["pretty", "callback=cb"])
async def test_answer_of_a_write_comes_in_the_form_that_is_wanted(web: Web, query: str) -> None:
    reply = await put(web, f"{NEW}?{query}", [URL])

    text = reply.text.removeprefix("cb(").removesuffix(");")
    assert (reply.status_code, json.loads(text)["responseCode"]) == (201, 1)
    assert text != reply.text or "\n" in text


# Reading with a login


async def test_who_logs_in_reads_what_he_may_and_nobody_keeps_it(web: Web) -> None:
    web.store.put(
        f"{PREFIX}/mine",
        (
            *web.store.values_by_key[f"{PREFIX}/ITEM-1".encode()],
            HandleValue(4, b"PIN", b"1234", permissions=0b1100),
            HandleValue(5, b"SEALED", b"x", permissions=0b0000),
            HandleValue(300, b"HS_SECKEY", b"secret", permissions=0b1100),
        ),
    )

    async def shown(query: str = "", user: str = ADMIN, *, secure: bool = True) -> list[int]:
        path = f"{ROOT}{PREFIX}/mine{query}"
        reply = await ask(web, "GET", path, user=user, secure=secure)
        assert reply.headers.get("cache-control") == ("no-store" if user and secure else None)
        return [value["index"] for value in reply.json()["values"]]

    assert await shown() == [1, 2, 4, 100]
    assert not web.hot.young
    assert await shown("?type=PIN&index=1") == [1, 4]
    assert await shown("?publicOnly=true") == [1, 2, 100]
    assert await shown(user=GUEST) == [1, 2, 100]
    assert await shown(secure=False) == [1, 2, 100]
    assert await shown(user="") == [1, 2, 100]


async def test_script_of_another_site_is_a_stranger(web: Web) -> None:
    """Its browser would send the login that its user once gave."""
    web.store.put(ITEM, (HandleValue(4, b"PIN", b"1234", permissions=0b1100),))

    reply = await ask(web, "GET", f"{ROOT}{ITEM}?callback=cb")
    listed = await ask(web, "GET", f"/api/handles?prefix={PREFIX}&callback=cb")

    assert "1234" not in reply.text
    assert listed.text.startswith('cb({"responseCode":402')


async def test_version_is_told_to_readers_who_need_not_read_again(web: Web) -> None:
    first = await ask(web, "GET", ROOT + ITEM, user="")
    tag = first.headers["etag"]
    again = await ask(web, "GET", ROOT + ITEM, user="", headers={"If-None-Match": f'"x", W/{tag}'})
    known = await ask(web, "GET", ROOT + ITEM, headers={"If-None-Match": tag})
    prefix = await ask(web, "GET", ROOT + PREFIX, user="", headers={"If-None-Match": tag})

    assert tag == '"1"'
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert known.status_code == 200, "what was read before may have been less"
    assert prefix.status_code == 200, "it also says where this server is"
    assert "etag" not in (await ask(web, "GET", ROOT + NEW, user="")).headers
