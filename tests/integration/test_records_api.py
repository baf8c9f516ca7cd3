"""`/v1/records`, `/v1/history` and `/v1/revert` over a real database: every word, every refusal, who may."""

from collections.abc import AsyncIterator

import httpx
import pytest

from node.registry.registrar import RecordRegistrar
from node.store.database import Database
from node.web.records import RecordsApi
from node.web.routes import build_admin_app
from resolver.service import Resolver
from tests.support.identities import Gate
from tests.support.memory import MemoryStore
from tests.support.office import (
    ADMIN_NAME,
    ADMIN_SECRET,
    OPERATOR,
    OTHER_NAME,
    OTHER_SECRET,
    Office,
    open_office,
)
from tests.support.registry import registrar_on
from tests.support.web import SITE

pytestmark = pytest.mark.db

NAME = "/v1/records/88.1/x"
URL = {"index": 1, "type": "URL", "data": {"format": "string", "value": "https://example.org/1"}}
NOTE = {"index": 2, "type": "NOTE", "data": "two"}
HIDDEN = {"index": 3, "type": "NOTE", "data": "three", "permissions": "1100"}
SECRET = {"index": 300, "type": "HS_SECKEY", "data": "nobody may see this"}


@pytest.fixture
async def office(database: Database, database_url: str) -> AsyncIterator[Office]:
    async with open_office(database, database_url) as opened:
        yield opened


@pytest.fixture
async def operator(office: Office) -> AsyncIterator[httpx.AsyncClient]:
    async with office.client(token=OPERATOR) as client:
        yield client


def indexes(reply: httpx.Response) -> list[int]:
    return [value["index"] for value in reply.json()["values"]]


def kind(reply: httpx.Response) -> str:
    assert reply.headers["content-type"] == "application/problem+json", reply.text
    assert reply.json()["status"] == reply.status_code
    assert reply.json()["detail"]
    return str(reply.json()["type"]).removeprefix("/docs#")


async def test_record_is_created_read_and_replaced(operator: httpx.AsyncClient) -> None:
    created = await operator.put(NAME, json=[URL, NOTE])
    shown = await operator.get("/v1/records/88.1/X")
    replaced = await operator.put(NAME, json={"values": [URL]})

    assert (created.status_code, created.headers["etag"]) == (201, '"1"')
    assert created.headers["location"] == NAME
    assert created.json() == {
        "identifier": "88.1/x",
        "handle": "88.1/x",
        "version": 1,
        "created": True,
    }
    assert (shown.status_code, shown.headers["etag"], indexes(shown)) == (200, '"1"', [1, 2])
    assert (shown.json()["identifier"], shown.json()["handle"]) == ("88.1/X", "88.1/x")
    assert (replaced.status_code, replaced.json()["version"]) == (200, 2)
    assert indexes(await operator.get(NAME)) == [1]
    assert shown.headers["cache-control"] == "no-store"


async def test_what_the_caller_has_already_is_not_sent_again(operator: httpx.AsyncClient) -> None:
    await operator.put(NAME, json=[URL])

    same = await operator.get(NAME, headers={"If-None-Match": '"1"'})
    other = await operator.get(NAME, headers={"If-None-Match": '"2"'})

    assert (same.status_code, same.content, other.status_code) == (304, b"", 200)


async def test_terms_of_a_write_hold(operator: httpx.AsyncClient) -> None:
    await operator.put(NAME, json=[URL])

    exists = await operator.put(f"{NAME}?overwrite=false", json=[URL])
    is_there = await operator.put(NAME, json=[URL], headers={"If-None-Match": "*"})
    stale = await operator.put(NAME, json=[NOTE], headers={"If-Match": '"7"'})
    missing = await operator.put(f"{NAME}-none", json=[NOTE], headers={"If-Match": "*"})
    right = await operator.put(NAME, json=[NOTE], headers={"If-Match": '"1"'})

    assert [each.status_code for each in (exists, is_there, stale, missing, right)] == [
        *(409, 412, 412, 412, 200)
    ]
    assert (kind(exists), exists.json()["responseCode"]) == ("record_exists", 101)
    assert (kind(stale), stale.json()["version"]) == ("condition_failed", 1)
    assert missing.json()["version"] == 0
    assert right.headers["etag"] == '"2"'


async def test_retried_write_is_told_the_same_and_carried_out_once(
    operator: httpx.AsyncClient,
) -> None:
    await operator.put(NAME, json=[URL])
    headers = {"Idempotency-Key": "once"}

    first = await operator.patch(NAME, json={"add": [NOTE]}, headers=headers)
    second = await operator.patch(NAME, json={"add": [NOTE]}, headers=headers)
    another = await operator.patch(NAME, json={"add": [HIDDEN]}, headers=headers)

    assert (first.status_code, first.json()) == (second.status_code, second.json())
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"
    assert 400 <= another.status_code < 500
    assert indexes(await operator.get(NAME)) == [1, 2]


async def test_values_are_added_modified_and_removed(operator: httpx.AsyncClient) -> None:
    await operator.put(NAME, json=[URL])

    added = await operator.patch(NAME, json={"add": [NOTE]})
    taken = await operator.patch(NAME, json={"add": [NOTE]})
    over = await operator.patch(NAME, json={"add": [{**NOTE, "data": "2"}], "overwrite": True})
    modified = await operator.patch(NAME, json={"modify": [{**URL, "data": "https://e.org/2"}]})
    absent = await operator.patch(NAME, json={"modify": [HIDDEN]})
    removed = await operator.patch(NAME, json={"remove": [2]})
    gone = await operator.patch(NAME, json={"remove": [2]})

    statuses = [each.status_code for each in (added, taken, over, modified, absent, removed, gone)]
    assert statuses == [201, 409, 200, 200, 404, 200, 404]
    assert (kind(taken), kind(absent), kind(gone)) == (
        "value_exists",
        "no_such_value",
        "no_such_value",
    )
    shown = await operator.get(NAME)
    assert [value["data"]["value"] for value in shown.json()["values"]] == ["https://e.org/2"]


async def test_deleted_record_says_when_and_why_and_can_be_brought_back(
    operator: httpx.AsyncClient,
) -> None:
    await operator.put(NAME, json=[URL])

    deleted = await operator.delete(NAME, params={"reason": "sold & 停产"})
    gone = await operator.get(NAME)
    never = await operator.get(f"{NAME}-never")
    back = await operator.post("/v1/revert/88.1/x?version=1&reason=mistake")

    assert (deleted.status_code, deleted.json()["version"]) == (200, 2)
    assert (gone.status_code, kind(gone), gone.json()["reason"]) == (410, "gone", "sold & 停产")
    assert gone.json()["at"].endswith("Z")
    assert (never.status_code, kind(never)) == (404, "no_such_handle")
    assert (back.status_code, back.json()["version"]) == (201, 3)
    assert indexes(await operator.get(NAME)) == [1]


async def test_history_tells_everything_but_secrets(operator: httpx.AsyncClient) -> None:
    await operator.put(NAME, json=[URL, SECRET])
    await operator.patch(NAME, json={"add": [NOTE]}, params={"reason": "a note"})
    await operator.delete(NAME)

    found = (await operator.get("/v1/history/88.1/x")).json()

    deletion, addition, creation = found["revisions"]
    assert "before" not in found
    assert [each["version"] for each in found["revisions"]] == [3, 2, 1]
    assert (deletion["operation"], deletion["values"]) == ("delete", None)
    assert (addition["operation"], addition["reason"]) == ("add", "a note")
    assert (addition["caller"], addition["means"]) == ("0:0.NA/ROOT", "operator")
    assert addition["origin"] == "http 127.0.0.1"
    assert addition["at"].endswith("Z")
    assert addition["serial"] < deletion["serial"]
    assert [value["index"] for value in addition["values"]] == [1, 2]
    assert [value["index"] for value in creation["values"]] == [1]


async def test_reason_may_come_in_a_header(operator: httpx.AsyncClient) -> None:
    await operator.put(NAME, json=[URL], headers={"X-Idnode-Reason": "%E5%81%9C%E4%BA%A7"})

    found = (await operator.get("/v1/history/88.1/x")).json()
    assert found["revisions"][0]["reason"] == "停产"


async def test_openapi_document_tells_every_operation(operator: httpx.AsyncClient) -> None:
    paths = (await operator.get("/openapi.json")).json()["paths"]

    told = {path: sorted(paths[path]) for path in paths if path.startswith("/v1/")}
    assert told == {
        "/v1/records": ["get"],
        "/v1/records/{identifier}": ["delete", "get", "patch", "put"],
        "/v1/history/{identifier}": ["get"],
        "/v1/revert/{identifier}": ["post"],
    }
    operations = [each for path in told for each in paths[path].values()]
    assert len({each["operationId"] for each in operations}) == len(operations)


async def test_history_is_paged(operator: httpx.AsyncClient) -> None:
    for number in range(5):
        await operator.put(NAME, json=[{**URL, "data": f"https://e.org/{number}"}])

    before, seen = "", []
    while True:
        page = (await operator.get(f"/v1/history/88.1/x?limit=2{before}")).json()
        seen.append([each["version"] for each in page["revisions"]])
        if "before" not in page:
            break
        before = f"&before={page['before']}"

    assert seen == [[5, 4], [3, 2], [1]]


async def test_names_are_listed_by_key(operator: httpx.AsyncClient) -> None:
    names = [f"88.1/{name}" for name in ("a", "B", "c", "d 工")]
    for name in reversed(names):
        await operator.put(f"/v1/records/{name}", json=[URL])

    first = (await operator.get("/v1/records?prefix=88.1&limit=3&count")).json()
    rest = await operator.get(
        "/v1/records", params={"prefix": "0.NA/88.1", "after": first["after"]}
    )

    assert (first["handles"], first["total"]) == (names[:3], 4)
    assert rest.json() == {"prefix": "0.NA/88.1", "handles": names[3:]}


@pytest.mark.parametrize(
    ("identifier", "scheme"),
    [
        ("oid:1.2.156.1000.7", ""),
        ("1.2.156.1000.7", "oid"),
        ("(01)09506000134352", ""),
        ("https://id.example.org/01/09506000134352", ""),
        ("did:bid:ef214PmkhKndUcArDQPgD5J4fFVwqJFPt", ""),
        ("ecode:11234031000000000011", ""),
    ],
)
async def test_record_of_every_scheme_can_be_written(
    operator: httpx.AsyncClient, identifier: str, scheme: str
) -> None:
    path, query = f"/v1/records/{identifier}", {"scheme": scheme} if scheme else {}

    created = await operator.put(path, json=[URL], params=query)
    shown = await operator.get(path, params=query)
    history = await operator.get(f"/v1/history/{identifier}", params=query)

    assert (created.status_code, shown.status_code) == (201, 200), created.text
    assert created.json()["identifier"] == identifier
    assert len(history.json()["revisions"]) == 1


async def test_name_is_minted(operator: httpx.AsyncClient) -> None:
    made = [
        await operator.put(f"/v1/records/{start}?mint", json=[URL])
        for start in ("88.1", "88.1/", "88.1/pump-")
    ]

    handles = [each.json()["handle"] for each in made]
    assert [each.status_code for each in made] == [201] * 3
    assert len(set(handles)) == 3
    assert all(len(handle.rpartition("/")[2]) >= 36 for handle in handles)
    assert handles[2].startswith("88.1/pump-")
    assert (await operator.get(made[0].headers["location"])).status_code == 200


async def test_who_may_is_asked_before_a_write_and_before_secrets(office: Office) -> None:
    async with office.client(basic=(ADMIN_NAME, ADMIN_SECRET)) as admin:
        owner = _administered_by(ADMIN_NAME)
        assert (await admin.put(NAME, json=[URL, owner])).status_code == 201
        again = await admin.put(NAME, json=[URL, HIDDEN, SECRET, owner])
        assert again.status_code == 200, again.text
        assert indexes(await admin.get(NAME)) == [1, 3, 100]
        history = (await admin.get("/v1/history/88.1/x")).json()["revisions"][0]
        assert (history["caller"], history["means"]) == (ADMIN_NAME, "basic")
    async with office.client() as nobody:
        assert indexes(await nobody.get(NAME)) == [1, 100]
        for reply in await every_write(nobody):
            assert (reply.status_code, kind(reply)) == (401, "authentication_needed")
            assert "Basic" in reply.headers["www-authenticate"]
    async with office.client(basic=(OTHER_NAME, OTHER_SECRET)) as other:
        assert indexes(await other.get(NAME)) == [1, 100]
        for reply in await every_write(other):
            assert (reply.status_code, kind(reply)) == (403, "not_permitted")
    async with office.client(basic=(OTHER_NAME, "wrong")) as wrong:
        for reply in [await wrong.get(NAME), *await every_write(wrong)]:
            assert reply.status_code in (401, 429)
            assert kind(reply) == "login_failed"
    async with office.client(token=OPERATOR) as operator:
        assert (await operator.get(NAME)).headers["etag"] == '"2"'


async def every_write(client: httpx.AsyncClient) -> list[httpx.Response]:
    return [
        await client.put(NAME, json=[URL]),
        await client.patch(NAME, json={"add": [NOTE]}),
        await client.patch(NAME, json={"modify": [{**URL, "data": "x"}]}),
        await client.patch(NAME, json={"remove": [1]}),
        await client.delete(NAME),
        await client.post("/v1/revert/88.1/x?version=1"),
        await client.get("/v1/history/88.1/x"),
        await client.get("/v1/records?prefix=88.1"),
    ]


async def test_credentials_over_plain_http_from_another_machine_are_refused(office: Office) -> None:
    async with office.client(token=OPERATOR, peer="192.0.2.7") as far:
        reply = await far.put(NAME, json=[URL])
        assert (reply.status_code, reply.headers.get("www-authenticate")) == (403, None)
    async with office.client(peer="192.0.2.7") as stranger:
        reply = await stranger.put(NAME, json=[URL])
        assert (reply.status_code, kind(reply)) == (403, "authentication_needed")
        assert "www-authenticate" not in reply.headers


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "named"),
    [
        ("PUT", NAME, "{", 400, "bad_request"),
        ("PUT", NAME, '"x"', 400, "invalid_value"),
        ("PUT", NAME, "{}", 400, "invalid_value"),
        ("PUT", NAME, '[{"index":0,"type":"URL","data":"u"}]', 400, "invalid_value"),
        (
            "PUT",
            NAME,
            '[{"index":1,"type":"A","data":"u"},{"index":1,"type":"B","data":"u"}]',
            409,
            "value_exists",
        ),
        ("PUT", "/v1/records/88.1", "[]", 0, ""),
        ("PUT", "/v1/records/", "[]", 400, "invalid_identifier"),
        ("PUT", "/v1/records/%ff/x", "[]", 400, "invalid_identifier"),
        ("PUT", "/v1/records/nothing", "[]", 400, "invalid_identifier"),
        ("PUT", "/v1/records/99.9/x", "[]", 404, "not_responsible"),
        ("PUT", f"{NAME}?reason=a%00b", "[]", 400, "bad_request"),
        ("PUT", f"{NAME}?scheme=isbn", "[]", 400, "bad_request"),
        ("PATCH", NAME, "[]", 400, "bad_request"),
        ("PATCH", NAME, "{}", 400, "bad_request"),
        ("PATCH", NAME, '{"add":[],"remove":[1]}', 400, "bad_request"),
        ("PATCH", NAME, '{"remove":["x"]}', 400, "invalid_value"),
        ("PATCH", NAME, '{"remove":[]}', 400, "invalid_value"),
        ("PATCH", NAME, '{"add":[],"overwrite":1}', 400, "bad_request"),
        ("PATCH", f"{NAME}-none", '{"remove":[1]}', 404, "no_such_handle"),
        ("DELETE", f"{NAME}-none", "", 404, "no_such_handle"),
        ("POST", "/v1/revert/88.1/x", "", 400, "bad_request"),
        ("POST", "/v1/revert/88.1/x?version=0", "", 400, "bad_request"),
        ("POST", "/v1/revert/88.1/x?version=99", "", 404, "no_such_value"),
        ("GET", "/v1/history/88.1/x?limit=101", "", 400, "bad_request"),
        ("GET", "/v1/history/88.1/none", "", 404, "no_such_handle"),
        ("GET", "/v1/records", "", 400, "bad_request"),
        ("GET", "/v1/records?prefix=88.1&limit=x", "", 400, "bad_request"),
        ("GET", "/v1/records?prefix=99.9", "", 404, "not_responsible"),
    ],
)
async def test_bad_request_is_told_what_is_wrong(
    operator: httpx.AsyncClient, method: str, path: str, body: str, status: int, named: str
) -> None:
    await operator.put(NAME, json=[URL])
    headers = {"Content-Type": "application/json"}

    reply = await operator.request(method, path, content=body, headers=headers)

    if status:
        assert (reply.status_code, kind(reply)) == (status, named)
    assert reply.status_code < 500
    assert indexes(await operator.get(NAME)) == [1]


async def test_other_bodies_and_headers_are_refused(operator: httpx.AsyncClient) -> None:
    form = await operator.put(NAME, data={"values": "x"})
    long = await operator.put(NAME, json=[{**URL, "data": "x" * (1 << 20)}])
    match = await operator.put(NAME, json=[URL], headers={"If-Match": "W/x"})

    assert (form.status_code, kind(form)) == (415, "unsupported_media_type")
    assert (long.status_code, match.status_code) == (413, 400)
    assert (await operator.get(NAME)).status_code == 404


async def test_database_that_is_away_is_busy() -> None:
    nowhere = Database("postgresql://nobody@127.0.0.1:1/none")
    store, gate = MemoryStore(), Gate()
    async with registrar_on(nowhere) as registrar:
        app = build_admin_app(bytes, list, records=_records(registrar, store, gate))
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://admin.test") as client:
            reply = await client.get(NAME)

    assert (reply.status_code, kind(reply)) == (503, "unavailable")
    assert reply.headers["retry-after"] == "1"


def _records(registrar: RecordRegistrar, store: MemoryStore, gate: Gate) -> RecordsApi:
    return RecordsApi(registrar, gate.login, Resolver(store, store, store, SITE))


def _administered_by(name: str) -> dict[str, object]:
    index, _, handle = name.partition(":")
    value = {"handle": handle, "index": int(index), "permissions": "011111111111"}
    return {"index": 100, "type": "HS_ADMIN", "data": {"format": "admin", "value": value}}
