"""`/v1/resolve`, the probes, the OpenAPI page and the admin listener, from outside."""

import re

import httpx
import pytest
from starlette.routing import Route

from node.web.health import Check
from node.web.routes import build_admin_app
from resolver.wire import HandleValue
from tests.support.web import Web

URL = HandleValue(1, b"URL", b"https://example.org/1", timestamp=1)


@pytest.fixture
def web() -> Web:
    web = Web()
    web.store.put("0.NA/88.118.8", ())
    web.store.put("88.118.8/item", (URL, HandleValue(2, b"NOTE", b"x", permissions=0b1100)))
    web.store.put("0.NA/88.300", (HandleValue(1, b"HS_SITE", b"somewhere"),))
    web.store.homed.discard(b"88.300")
    web.store.delegated.add(b"88.300")
    web.store.homed |= {b"GS1:9506000", b"OID:1.2.156"}
    web.store.put("gs1:01/09506000134352", (URL,))
    return web


async def get(web: Web, path: str) -> httpx.Response:
    async with web.client() as client:
        return await client.get(path)


@pytest.mark.parametrize(
    ("path", "scheme", "handle"),
    [
        ("88.118.8/ITEM", "handle", "88.118.8/item"),
        ("hdl:88.118.8/item?type=URL", "handle", "88.118.8/item"),
        ("9506000134352", "gs1", "gs1:01/09506000134352"),
        ("(01)09506000134352", "gs1", "gs1:01/09506000134352"),
        ("01/09506000134352?scheme=gs1", "gs1", "gs1:01/09506000134352"),
    ],
)
async def test_identifier_of_any_scheme_is_resolved(
    web: Web, path: str, scheme: str, handle: str
) -> None:
    reply = await get(web, f"/v1/resolve/{path}")

    assert reply.status_code == 200
    assert reply.headers["content-type"] == "application/json"
    found = reply.json()
    assert (found["status"], found["scheme"], found["handle"]) == ("found", scheme, handle)
    assert found["identifier"] == path.partition("?")[0]
    assert [value["index"] for value in found["values"]] == [1]


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        ("88.118.8/none", 404, "no_such_handle"),
        ("88.118.8/item?type=NONE", 404, "no_such_value"),
        ("88.118.8/item?index=2", 404, "no_such_value"),
        ("99.9/x", 404, "not_responsible"),
        ("not-an-identifier", 400, "invalid_identifier"),
        ("%ff/x", 400, "invalid_identifier"),
        ("9506000134353?scheme=gs1", 400, "invalid_identifier"),
        ("88.118.8/item?scheme=isbn", 400, "bad_request"),
        ("88.118.8/item?index=x", 400, "bad_request"),
    ],
)
async def test_failure_is_a_problem_document(web: Web, path: str, status: int, kind: str) -> None:
    reply = await get(web, f"/v1/resolve/{path}")

    assert reply.status_code == status
    assert reply.headers["content-type"] == "application/problem+json"
    problem = reply.json()
    assert (problem["status"], problem["type"]) == (status, f"/docs#{kind}")
    assert problem["title"]
    assert problem["detail"]


async def test_referral_names_the_prefix_and_its_sites(web: Web) -> None:
    reply = await get(web, "/v1/resolve/88.300/x")

    assert (reply.status_code, reply.json()["status"]) == (300, "service_referral")
    assert reply.json()["referral"] == "0.NA/88.300"
    assert [value["type"] for value in reply.json()["values"]] == ["HS_SITE"]


async def test_store_that_is_away_is_unavailable(web: Web) -> None:
    web.store.is_down = True

    reply = await get(web, "/v1/resolve/88.118.8/item")

    assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
    assert reply.json()["type"] == "/docs#unavailable"


async def test_each_resolution_is_counted_once(web: Web) -> None:
    for path in ("88.118.8/item", "(01)09506000134352", "not-an-identifier", "88.1/x?index=x"):
        await get(web, f"/v1/resolve/{path}")

    assert web.counted() == {
        ("http_json", "handle", "found", "postgres"): 1,
        ("http_json", "gs1", "found", "postgres"): 1,
        ("http_json", "handle", "invalid_handle", "none"): 1,
    }


async def test_readiness_says_why_not(web: Web) -> None:
    web.checks = [Check("feed", True, "read 0.2 s ago"), Check("postgres", False, "refused")]

    alive, ready = await get(web, "/healthz"), await get(web, "/readyz")

    assert (alive.status_code, alive.json()) == (200, {"status": "ok"})
    assert ready.status_code == 503
    assert ready.json()["ready"] is False
    assert ready.json()["checks"][1] == {"name": "postgres", "ok": False, "reason": "refused"}


async def test_docs_page_loads_from_this_server_only(web: Web) -> None:
    page = await get(web, "/docs")
    policy = page.headers["content-security-policy"]

    assert "http:" not in policy
    assert "https:" not in policy
    assert "*" not in policy
    assert re.search(r"<script>|://", page.text) is None
    for link in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        file = await get(web, link)
        assert file.status_code == 200
        assert len(file.content) > 100
        assert file.headers["content-type"].split(";")[0] in (
            "text/css",
            "text/javascript",
            "image/png",
        )


async def test_openapi_document_tells_every_public_operation(web: Web) -> None:
    document = (await get(web, "/openapi.json")).json()

    told = {
        (method.upper(), path)
        for path, operations in document["paths"].items()
        for method in operations
    }
    assert document["openapi"].startswith("3.1")
    assert ("GET", "/v1/resolve/{identifier}") in told
    assert ("PUT", "/api/handles/{handle}") in told
    assert ("GET", "/{handle}") in told
    names = [
        operation["operationId"]
        for operations in document["paths"].values()
        for operation in operations.values()
    ]
    assert len(names) == len(set(names))


async def test_openapi_parameters_of_the_path_are_those_of_the_route(web: Web) -> None:
    document = (await get(web, "/openapi.json")).json()

    for path, operations in document["paths"].items():
        for operation in operations.values():
            said = [each["name"] for each in operation["parameters"] if each["in"] == "path"]
            assert said == re.findall(r"{(\w+)}", path)
            assert "422" not in operation["responses"]


def test_catch_all_is_the_last_route(web: Web) -> None:
    paths = [route.path for route in web.app.routes if isinstance(route, Route)]

    assert set(paths[paths.index("/{handle:path}") :]) == {"/{handle:path}"}


async def test_admin_listener_serves_metrics_and_health_alone() -> None:
    app = build_admin_app(lambda: b"idnode_up 1\n", lambda: [Check("feed", True, "fresh")])
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://admin.test"
    ) as client:
        metrics = await client.get("/metrics")
        ready = await client.get("/readyz")
        alive = await client.get("/healthz")
        other = await client.get("/88.118.8/item")

    assert metrics.text == "idnode_up 1\n"
    assert metrics.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert (alive.status_code, ready.status_code, other.status_code) == (200, 200, 404)
