"""`/v1/enterprises` and its neighbours over a real database: who may, what is refused and how, what is never shown."""

import logging
from collections.abc import AsyncIterator
from copy import deepcopy
from typing import Any

import httpx
import orjson
import pytest
from starlette.routing import Route

from node.model.entity import Entity
from node.model.form import read
from node.model.personal import personal_texts
from node.registry.operators import Operators
from node.registry.preparation import Policy
from node.store.database import Database
from node.web.asked import AdminDesk
from node.web.examples import example
from node.web.object_rows import object_section
from node.web.objectdesk import MAX_BODY_BYTES
from node.web.operators import OperatorDesk
from node.web.routes import build_admin_app
from resolver.authentication import TOKEN_MARK, Token
from resolver.registrar import Scope
from resolver.service import Resolver
from tests.support.identities import Gate
from tests.support.jobs import canonical
from tests.support.memory import MemoryStore
from tests.support.model import PERSONAL, entity_form, template_form
from tests.support.objects import EVERYBODY, credit_code, form_of, grant, objects_on
from tests.support.web import SITE

pytestmark = pytest.mark.db

OPERATOR, STRANGER = (TOKEN_MARK + each for each in ("operator", "stranger"))
E1, P1 = "/v1/enterprises/e1", "/v1/prefixes/88.118.8"
T1 = "/v1/templates/88.118.8/META_BEARING%7C1.0"
PASSED = {"passed": True, "on": "2026-01-31", "method": "营业执照核验"}


class Hall:
    """The admin application over the objects of a database."""

    def __init__(self, database: Database) -> None:
        gate, store = Gate(), MemoryStore()
        gate.identities.put_token(OPERATOR, Token(b"0.NA/ROOT", 0, is_operator=True))
        gate.identities.put_token(
            STRANGER, Token(b"88.118.8/ADMIN", 300, scopes=frozenset({Scope.OPERATE}))
        )
        desk = AdminDesk(gate.login, Resolver(store, store, store, SITE))
        operators = OperatorDesk(desk, Operators(Policy((), canonical), gate.identities))
        self.objects = objects_on(database)
        section = object_section(self.objects, operators)
        self.app = build_admin_app(bytes, list, sections=[section])

    def client(self, token: str = OPERATOR) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.AsyncClient(transport=transport, base_url="http://admin.test", headers=headers)


@pytest.fixture
def hall(database: Database) -> Hall:
    return Hall(database)


@pytest.fixture
async def client(hall: Hall) -> AsyncIterator[httpx.AsyncClient]:
    async with hall.client() as client:
        yield client


async def apply(client: httpx.AsyncClient, number: int = 1) -> httpx.Response:
    form = entity_form()
    form["organisation"]["certificate_number"] = credit_code(number)
    return await client.post("/v1/enterprises", params={"id": f"e{number}"}, json=form)


async def step(client: httpx.AsyncClient, path: str, action: str, **more: Any) -> httpx.Response:
    return await client.post(f"{path}/steps", json={"action": action, **more})


async def admit(client: httpx.AsyncClient, number: int = 1) -> None:
    path = f"/v1/enterprises/e{number}"
    await apply(client, number)
    await client.put(f"{path}/verification", json=PASSED)
    await step(client, path, "begin_review")
    assert (await step(client, path, "approve")).json()["state"] == "approved"


def refused(reply: httpx.Response) -> tuple[int, str, str]:
    """The status, the kind of problem, and the rule."""
    problem = reply.json()
    assert reply.headers["content-type"] == "application/problem+json"
    assert problem["status"] == reply.status_code
    return reply.status_code, problem["type"].partition("#")[2], problem.get("rule", "")


async def test_enterprise_is_refused_corrected_and_approved(client: httpx.AsyncClient) -> None:
    applied = await apply(client)
    await step(client, E1, "begin_review")
    rejected = await step(client, E1, "reject", reason="地址不全")
    form = entity_form() | {"data_escrow": "示例数据托管公司"}
    form["organisation"]["certificate_number"] = credit_code(1)
    corrected = await step(client, E1, "correct", form=form)
    verified = await client.put(f"{E1}/verification", json=PASSED)
    await step(client, E1, "begin_review")
    approved = await step(client, E1, "approve")
    history = (await client.get(f"{E1}/history")).json()

    assert (applied.status_code, applied.headers["location"]) == (201, E1)
    assert [each.headers["etag"] for each in (applied, rejected, corrected)] == [
        '"1"',
        '"3"',
        '"4"',
    ]
    assert rejected.json()["value"]["reason"] == "地址不全"
    assert rejected.json()["actions"] == ["correct", "disable"]
    assert verified.json()["value"]["verification"] == PASSED
    assert approved.json()["value"]["approved"]["data_escrow"] == "示例数据托管公司"
    assert [each["action"] for each in history["steps"]] == [
        "enterprise.apply",
        "enterprise.begin_review",
        "enterprise.reject",
        "enterprise.correct",
        "enterprise.verify",
        "enterprise.begin_review",
        "enterprise.approve",
    ]
    assert history["steps"][2]["reason"] == "地址不全"
    assert history["steps"][2]["caller"] == "0:0.NA/ROOT"


async def test_prefix_goes_its_way_but_for_what_is_up_to_the_top_level_node(
    hall: Hall, client: httpx.AsyncClient
) -> None:
    await admit(client)
    applied = await client.post("/v1/prefixes", json={"prefix": "88.118.8", "enterprise": "e1"})
    await step(client, P1, "begin_review")
    approved = await step(client, P1, "approve")
    granting = await step(client, P1, "grant")
    early = await client.put(f"{P1}/sites", json=example("sites"))
    await grant(hall.objects, "88.118.9")
    delegated = await client.put("/v1/prefixes/88.118.9/sites", json=example("sites"))
    active = await step(client, "/v1/prefixes/88.118.9", "activate")
    hosting = await client.post("/v1/prefixes/88.118.9/hosting", json={"action": "apply"})
    hosted = await client.post(
        "/v1/prefixes/88.118.9/hosting", json={"action": "approve", "server": "main"}
    )
    stopped = await step(client, "/v1/prefixes/88.118.9", "stop", reason="检修")
    listed = await client.get("/v1/prefixes", params={"enterprise": "e1", "state": "stopped"})

    assert (applied.status_code, applied.json()["status"]) == (201, 4)
    assert approved.json()["actions"] == []
    assert refused(granting) == (403, "step_not_yours", "role")
    assert refused(early) == (409, "step_refused", "prefix.configure")
    assert len(delegated.json()["value"]["sites"]) == 2
    assert (active.json()["state"], active.json()["status"]) == ("active", 1)
    assert hosting.json()["hosting_actions"] == ["withdraw", "approve", "reject"]
    assert (hosted.json()["hosting"], "sites" in hosted.json()["value"]) == (4, False)
    assert stopped.json()["status"] == 0
    assert [each["id"] for each in listed.json()["prefixes"]] == ["88.118.9"]


async def test_template_is_created_published_and_only_added_to(client: httpx.AsyncClient) -> None:
    await admit(client)
    form = template_form()
    created = await client.post("/v1/templates?enterprise=e1", json=form)
    again = await client.post("/v1/templates?enterprise=e1", json=form)
    published = await step(client, T1, "publish")
    narrower = deepcopy(form)
    narrower["attributes"].pop()
    taken = await client.put(T1, json=narrower)
    wider = await client.put(T1, json=form | {"description": "轴承"}, headers={"If-Match": '"2"'})
    late = await client.put(T1, json=form, headers={"If-Match": '"2"'})
    other = await client.put(T1, json=form | {"version": "2.0"})

    assert (created.status_code, created.headers["location"], created.json()["state"]) == (
        201,
        T1,
        "draft",
    )
    assert refused(again) == (409, "object_exists", "")
    assert published.json()["actions"] == ["revise", "withdraw"]
    assert refused(taken) == (422, "rule_broken", "kept")
    assert wider.json()["value"]["description"] == "轴承"
    assert refused(late) == (412, "condition_failed", "")
    assert late.json()["version"] == 3
    assert refused(other) == (422, "rule_broken", "kept")


async def test_applications_are_an_enterprise_s_or_the_node_s_own(
    client: httpx.AsyncClient,
) -> None:
    await admit(client)
    form = example("application")
    own = await client.post("/v1/applications", json=form)
    theirs = await client.post("/v1/applications?enterprise=e1", json=form)
    again = await client.post("/v1/applications?enterprise=e1", json=form)
    same = await client.put(theirs.headers["location"], json=form)
    changed = await client.put(theirs.headers["location"], json=form | {"users": 1_300})
    retired = await step(client, own.headers["location"], "retire")
    listed = (await client.get("/v1/applications?enterprise=e1")).json()["applications"]

    assert (own.json()["id"], theirs.json()["id"]) == ("|轴承追溯", "e1|轴承追溯")
    assert refused(again) == (409, "object_exists", "")
    assert (same.status_code, same.headers["etag"]) == (200, '"1"')  # as it was: no step
    assert changed.json()["value"]["users"] == 1_300
    assert retired.json()["state"] == "retired"
    assert [each["id"] for each in listed] == ["e1|轴承追溯"]


async def test_this_node_says_who_runs_it_and_where_it_answers(client: httpx.AsyncClient) -> None:
    nobody = await client.get("/v1/operator")
    put = await client.put("/v1/operator", json=example("operator"))
    foreign = await client.put("/v1/operator", json=example("operator") | {"prefix": "88.119"})
    routes = await client.put("/v1/routes", json=example("routes"))
    none = await client.put("/v1/routes", json={"routes": []})

    assert refused(nobody) == (404, "no_such_object", "")
    assert (put.status_code, put.json()["id"]) == (200, "88.118")
    assert refused(foreign) == (422, "rule_broken", "together")
    assert [each["id"] for each in routes.json()["routes"]] == ["vaa|88.118"]
    assert none.json() == {"routes": []}
    assert (await client.get("/v1/routes")).json() == {"routes": []}


@pytest.mark.parametrize("token", ["", STRANGER])
async def test_only_operators_are_served(hall: Hall, token: str) -> None:
    served = [
        (method, route.path.replace("{id:path}", "x").replace("{id}", "x"))
        for route in hall.app.routes
        if isinstance(route, Route) and route.path.startswith("/v1/")
        for method in route.methods or ()
        if method != "HEAD"
    ]
    async with hall.client(token) as client:
        statuses = {(await client.request(*each)).status_code for each in served}

    assert len(served) > 25
    assert statuses == {403 if token else 401}


async def test_all_faults_of_a_form_are_told_and_nothing_of_what_it_holds(
    client: httpx.AsyncClient,
) -> None:
    form = entity_form()
    planted = "不可外泄的人名"
    form["organisation"]["contact"] |= {"phone": f"{planted}1", "email": planted, "name": ""}
    form["organisation"]["legal_person"]["certificate_number"] = "110105194912310021"
    reply = await client.post("/v1/enterprises", json=form)

    assert refused(reply) == (422, "rule_broken", "check_digit")
    assert [(each["field"], each["rule"]) for each in reply.json()["faults"]] == [
        ("organisation.legal_person.certificate_number", "check_digit"),
        ("organisation.contact.name", "required"),
        ("organisation.contact.phone", "form"),
        ("organisation.contact.email", "form"),
    ]
    assert all(each["message"] for each in reply.json()["faults"])
    assert planted not in reply.text
    assert "110105194912310021" not in reply.text


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"{", {}, 400),
        (b"[]", {}, 422),
        (b"null", {}, 422),
        (b"{}", {"Content-Type": "text/plain"}, 415),
        (b"{}", {"If-Match": "x"}, 422),
        (b" " * (MAX_BODY_BYTES + 1), {}, 413),
        (b'{"action": "approve", "reason": "a\\nb"}', {}, 422),
        (b'{"action": "fly"}', {}, 422),
        (b'{"action": "approve"}', {"If-Match": "x"}, 400),
        (b'{"action": "begin_review"}', {"If-Match": '"7"'}, 412),
        (b'{"action": "correct"}', {}, 422),
    ],
)
async def test_what_cannot_be_understood_changes_nothing(
    client: httpx.AsyncClient, content: bytes, headers: dict[str, str], status: int
) -> None:
    await apply(client)
    headers = {"Content-Type": "application/json"} | headers
    reply = await client.post(f"{E1}/steps", content=content, headers=headers)

    assert reply.status_code == status
    assert reply.json()["detail"]
    assert (await client.get(E1)).json()["version"] == 1


@pytest.mark.parametrize(
    "path", ["/v1/enterprises/e9", "/v1/enterprises/a%00b", "/v1/prefixes/88.118.9", T1]
)
async def test_what_is_not_there_is_not_found(client: httpx.AsyncClient, path: str) -> None:
    replies = [await client.get(path), await client.get(f"{path}/history")]
    replies.append(await client.post(f"{path}/steps", json={"action": "delete"}))

    assert [refused(each)[:2] for each in replies[:2]] == [(404, "no_such_object")] * 2
    assert replies[2].status_code in (404, 422)


async def test_personal_data_is_masked_and_who_sees_it_whole_is_noted(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    applied = await apply(client)
    masked = [
        applied,
        await client.get("/v1/enterprises"),
        await client.get("/v1/enterprises?personal=true"),
        await client.get(E1),
        await step(client, E1, "begin_review"),
        await client.get(f"{E1}/history"),
    ]
    before = len(caplog.records)
    whole = await client.get(E1, params={"personal": "true"})
    kept = await client.get(E1, params={"personal": "true"}, headers={"If-None-Match": '"2"'})
    noted = [each for each in caplog.records[before:] if each.name == "node.web.objectview"]
    contact = whole.json()["value"]["form"]["organisation"]["contact"]

    assert [each.text.count(text) for each in masked for text in PERSONAL] == [0] * 6 * len(
        PERSONAL
    )
    assert applied.json()["value"]["form"]["organisation"]["contact"]["name"] == "李*"
    assert all(text in whole.text for text in PERSONAL)
    assert contact["name"] == "李小红"
    assert (kept.status_code, kept.content) == (304, b"")
    assert [each.message for each in noted] == ["personal data is read"]
    assert vars(noted[0])["caller"] == "0:0.NA/ROOT"
    assert vars(noted[0])["object"] == "e1"
    logged = "\n".join(str(vars(each)) for each in caplog.records)
    assert not any(text in logged for text in PERSONAL)


async def test_list_is_read_in_pages(hall: Hall, client: httpx.AsyncClient) -> None:
    for number in range(1, 6):
        await hall.objects.apply_enterprise(form_of(number), EVERYBODY, id=f"e{number}")
    await step(client, E1, "begin_review")
    pages: list[list[str]] = []
    after = ""
    while True:
        given = {"limit": "2"} | ({"after": after} if after else {})
        page = (await client.get("/v1/enterprises", params=given)).json()
        pages.append([each["id"] for each in page["enterprises"]])
        after = page.get("after", "")
        if not after:
            break
    in_review = (await client.get("/v1/enterprises?state=in_review")).json()["enterprises"]

    assert pages == [["e1", "e2"], ["e3", "e4"], ["e5"]]
    assert [each["id"] for each in in_review] == ["e1"]
    for query in ("state=none", "limit=0", "limit=1001", "limit=x"):
        assert (await client.get(f"/v1/enterprises?{query}")).status_code == 400


async def test_every_example_of_the_document_is_accepted(client: httpx.AsyncClient) -> None:
    statuses = [
        await client.post("/v1/enterprises?id=e1", json=example("enterprise")),
        await client.put(f"{E1}/verification", json=example("verification")),
        await step(client, E1, "begin_review"),
        await step(client, E1, "approve"),
        await client.post("/v1/prefixes", json=example("prefix")),
        await client.post("/v1/templates?enterprise=e1", json=example("template")),
        await client.post("/v1/applications?enterprise=e1", json=example("application")),
        await client.put("/v1/operator", json=example("operator")),
        await client.put("/v1/routes", json=example("routes")),
    ]
    assert [each.status_code for each in statuses] == [201, 200, 200, 200, 201, 201, 201, 200, 200]
    assert orjson.loads(statuses[0].content)["value"]["state"] == "submitted"
    people = personal_texts(read(Entity, example("enterprise")))
    assert not any(text in statuses[0].text for text in people)
