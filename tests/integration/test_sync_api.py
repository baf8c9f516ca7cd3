"""`/v1/sync` on the admin listener: what operators are told, and nobody else."""

from collections.abc import AsyncIterator

import httpx
import pytest

from node.store.database import Database
from node.store.outbox import PostgresOutbox
from node.web.routes import build_admin_app
from node.web.sync import SyncApi
from node.web.sync_rows import sync_section
from sync.change import EVERYTHING, Rejection
from sync.channels.tables import TABLES
from sync.step import Evidence
from tests.support.operators import desk_on, operator_at
from tests.support.outboxes import office_on
from tests.support.registry import SEAL

pytestmark = pytest.mark.db

KEYS = ("a", "b/c", "标识 d")
PATHS = ("rejected", "retry", "verify", "snapshot")


@pytest.fixture
async def operator(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    """An operator at the admin listener of a node that has no top-level node."""
    api = SyncApi(database, SEAL, None, desk_on(database))
    app = build_admin_app(bytes, list, sections=[sync_section(api)])
    async with operator_at(app, database) as client:
        yield client


async def reject(database: Database, *keys: str) -> PostgresOutbox:
    """Have the peer take these rows of 表6 not."""
    outbox = office_on(database).outbox
    session = (await outbox.standing()).session
    rejected = tuple(Rejection(1, "6", key, "2306", f"no {key}") for key in keys)
    await outbox.settle(session, EVERYTHING, rejected)
    return outbox


async def test_without_a_top_level_node_it_is_off_and_all_tables_are_empty(
    operator: httpx.AsyncClient,
) -> None:
    found = (await operator.get("/v1/sync")).json()
    assert (found["state"], found["verified"]) == ("off", None)
    assert [each["table"] for each in found["tables"]] == list(TABLES)
    assert {each["pending"] + each["rejected"] for each in found["tables"]} == {0}
    for path in ("verify", "snapshot", "retry"):
        answer = await operator.post(f"/v1/sync/{path}")
        assert (answer.status_code, "IDNODE_SYNC_URL" in answer.text) == (409, True)


async def test_what_waits_and_what_the_last_comparison_found_is_told(
    operator: httpx.AsyncClient, database: Database
) -> None:
    office = office_on(database)
    await office.put("6", "a", b"{}")
    session = (await office.outbox.standing()).session
    await office.outbox.finish(Evidence(session, 0, 1, (), 3, 2))
    found = (await operator.get("/v1/sync")).json()
    (table,) = [each for each in found["tables"] if each["table"] == "6"]
    assert (table["pending"], found["serial"], found["acknowledged"]) == (1, 1, 0)
    assert table["lag_seconds"] >= 0
    assert table["oldest_at"].endswith("Z")
    assert (found["verified"]["pages"], found["verified"]["repaired"]) == (3, 2)


async def test_rejected_rows_are_listed_page_by_page(
    operator: httpx.AsyncClient, database: Database
) -> None:
    await reject(database, *KEYS)
    found: list[str] = []
    query = {"limit": "2", "table": "6"}
    while True:
        page = (await operator.get("/v1/sync/rejected", params=query)).json()
        found += [each["key"] for each in page["rejected"]]
        assert all(each["reason"] == f"no {each['key']}" for each in page["rejected"])
        if "after" not in page:
            break
        query["after"] = page["after"]
    assert tuple(found) == KEYS
    none = await operator.get("/v1/sync/rejected", params={"table": "9"})
    assert none.json() == {"rejected": []}


@pytest.mark.parametrize(
    "query", [{"table": "12"}, {"limit": "0"}, {"limit": "x"}, {"after": "6/\0"}]
)
async def test_question_that_cannot_be_is_refused(
    operator: httpx.AsyncClient, query: dict[str, str]
) -> None:
    answer = await operator.get("/v1/sync/rejected", params=query)
    assert answer.status_code == 400, answer.text


@pytest.mark.parametrize("path", ["", *(f"/{each}" for each in PATHS)])
async def test_nobody_else_is_told_anything(operator: httpx.AsyncClient, path: str) -> None:
    method = "GET" if path in ("", "/rejected") else "POST"
    answer = await operator.request(method, f"/v1/sync{path}", headers={"Authorization": ""})
    assert answer.status_code == 401
