"""The daily list of who asked, for operators: networks unless addresses are asked for, page by page."""

import logging
from collections.abc import AsyncIterator
from datetime import date
from ipaddress import ip_address

import httpx
import orjson
import pytest

from node.cli import main
from node.store.database import Database
from node.store.sources import OTHERS, Source, put_sources
from node.web.routes import build_admin_app
from node.web.sources import SourcesApi
from tests.support.operators import desk_on, operator_at

pytestmark = pytest.mark.db

DAY = date(2026, 10, 31)
ONE, NEAR, SIX = map(ip_address, ("203.0.113.7", "203.0.113.9", "2001:db8::1"))
ROWS = [
    Source("88.1", ONE, 5, 4),
    Source("88.1", NEAR, 4, 4),
    Source("88.1", SIX, 7, 0),
    Source("", ONE, 1, 1),
    Source("88.1", OTHERS, 3, 3),
]
NETWORKS = [
    {"prefix": "88.1", "source": "203.0.113.0/24", "requests": 9, "successes": 8},
    {"prefix": "88.1", "source": "2001:db8::/48", "requests": 7, "successes": 0},
    {"prefix": "88.1", "source": "others", "requests": 3, "successes": 3},
    {"prefix": "", "source": "203.0.113.0/24", "requests": 1, "successes": 1},
]


@pytest.fixture
async def operator(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    """An operator at the admin listener of a node whose day is over."""
    async with database.transaction() as connection:
        await put_sources(connection, DAY, ROWS)
    app = build_admin_app(bytes, list, sources=SourcesApi(database, desk_on(database)))
    async with operator_at(app, database) as client:
        yield client


async def test_networks_are_listed_the_busiest_first(operator: httpx.AsyncClient) -> None:
    answer = await operator.get("/v1/sources", params={"day": "2026-10-31"})
    assert answer.status_code == 200
    assert answer.json() == {"day": "2026-10-31", "full": False, "sources": NETWORKS}
    assert answer.headers["cache-control"] == "no-store"
    assert str(ONE) not in answer.text


async def test_addresses_are_listed_for_who_asks_and_that_is_logged(
    operator: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await operator.get("/v1/sources?day=2026-10-31&full&prefix=88.1")
    found = [(each["source"], each["requests"]) for each in answer.json()["sources"]]
    assert found == [(str(SIX), 7), (str(ONE), 5), (str(NEAR), 4), ("others", 3)]
    told = [each for each in caplog.records if each.message == "addresses are listed"]
    assert [each.levelno for each in told] == [logging.WARNING]


async def test_pages_have_all_of_it_once(operator: httpx.AsyncClient) -> None:
    found, after = [], 0
    while True:
        page = (await operator.get(f"/v1/sources?day=2026-10-31&limit=2&after={after}")).json()
        found += page["sources"]
        if "after" not in page:
            break
        after = page["after"]
    assert found == NETWORKS


@pytest.mark.parametrize(
    "query", ["", "day=x", "day=2026-02-30", "day=2026-10-31&limit=0", "day=2026-10-31&after=-1",
              "day=2026-10-31&limit=2000", "day=2026-10-31&prefix=%00"],
)  # fmt: skip
async def test_what_cannot_be_understood_is_told(operator: httpx.AsyncClient, query: str) -> None:
    assert (await operator.get(f"/v1/sources?{query}")).status_code == 400


async def test_strangers_see_nothing(operator: httpx.AsyncClient) -> None:
    headers = {"Authorization": ""}
    answer = await operator.get("/v1/sources?day=2026-10-31", headers=headers)
    assert answer.status_code == 401


def test_command_prints_the_same(
    operator: httpx.AsyncClient,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("IDNODE_DATABASE_URL", database.dsn)
    assert main(["audit", "sources", "2026-10-31", "--output", "json"]) == 0
    assert orjson.loads(capsys.readouterr().out) == NETWORKS
    assert (
        main(["audit", "sources", "2026-10-31", "--full", "--limit", "1", "--output", "csv"]) == 0
    )
    assert f"88.1,{SIX},7,0" in capsys.readouterr().out
    assert main(["audit", "sources", "2026-10-31", "--limit", "0"]) == 2
