"""`/v1/jobs` and `/v1/export` without sockets: what is refused with which status, and that nothing is left behind."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from node.registry import jobfiles
from node.registry.operators import Operators
from node.registry.preparation import Policy
from node.store.database import Database
from node.web import exports as exports_module
from node.web import jobs as jobs_module
from node.web.asked import AdminDesk
from node.web.exports import ExportApi
from node.web.jobs import JobsApi
from node.web.operators import OperatorDesk
from node.web.routes import build_admin_app
from resolver.authentication import TOKEN_MARK, Token
from resolver.registrar import Scope
from resolver.service import Resolver
from resolver.wire import HandleValue, Reference
from tests.support.identities import Gate
from tests.support.jobs import JobBench, canonical
from tests.support.memory import MemoryStore
from tests.support.web import SITE

pytestmark = pytest.mark.db

OPERATOR, OPERATES, WRITES = (TOKEN_MARK + each for each in ("operator", "operates", "writes"))
LINE = b'{"handle": "0.NA/88.118.8", "values": []}\n'


class Counter:
    """An admin application with jobs and exports, asked as somebody."""

    def __init__(self, bench: JobBench, *server_admins: Reference) -> None:
        self.bench = bench
        self.woken = 0
        gate, store = Gate(), MemoryStore()
        key = HandleValue(300, b"HS_SECKEY", b"x", permissions=12)
        gate.identities.put("88.118.8/ADMIN", key)
        gate.identities.put_token(OPERATOR, Token(b"0.NA/ROOT", 0, is_operator=True))
        for text, scope in ((OPERATES, Scope.OPERATE), (WRITES, Scope.WRITE)):
            token = Token(b"88.118.8/ADMIN", 300, scopes=frozenset({scope}))
            gate.identities.put_token(text, token)
        service = Resolver(store, store, store, SITE)
        operators = Operators(Policy(server_admins, canonical), gate.identities)
        desk = OperatorDesk(AdminDesk(gate.login, service), operators)
        self.exports = ExportApi(bench.database.dsn, desk, service.identify, case_sensitive=False)
        jobs = JobsApi(bench.jobs, desk, self._wake)
        self.app = build_admin_app(bytes, list, jobs=jobs, exports=self.exports)

    def _wake(self) -> None:
        self.woken += 1

    def client(self, token: str = OPERATOR) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.AsyncClient(transport=transport, base_url="http://admin.test", headers=headers)

    def files(self) -> list[Path]:
        return list((self.bench.files.upload("x").parent).glob("*"))


@pytest.fixture
def counter(database: Database, tmp_path: Path) -> Counter:
    return Counter(JobBench(database, tmp_path))


@pytest.fixture
async def client(counter: Counter) -> AsyncIterator[httpx.AsyncClient]:
    async with counter.client() as client:
        yield client


async def test_a_job_wakes_the_runner(counter: Counter, client: httpx.AsyncClient) -> None:
    reply = await client.post(
        "/v1/jobs", content=LINE, headers={"Content-Type": "application/x-ndjson"}
    )
    assert (reply.status_code, counter.woken) == (202, 1)
    assert reply.json()["format"] == "ndjson"
    assert reply.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("token", [OPERATES, WRITES])
async def test_a_token_of_somebody_else_is_turned_away(counter: Counter, token: str) -> None:
    async with counter.client(token) as client:
        submitted = await client.post("/v1/jobs?format=ndjson", content=LINE)
        exported = await client.get("/v1/export")
    assert (submitted.status_code, exported.status_code) == (403, 403)
    assert not counter.files()


async def test_a_token_to_operate_the_node_does_in_bulk_no_more_than_it_is_for(
    counter: Counter,
) -> None:
    chief = Counter(counter.bench, Reference(b"88.118.8/ADMIN", 300))
    async with chief.client(OPERATES) as client:
        refused = [
            await client.post("/v1/jobs?format=ndjson", content=LINE),
            await client.get("/v1/export"),
        ]
        listed = await client.get("/v1/jobs")
    assert [each.status_code for each in refused] == [403, 403]
    assert (listed.status_code, listed.json()) == (200, {"jobs": []})


async def test_what_is_too_large_leaves_nothing_behind(
    counter: Counter, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobfiles, "MAX_UPLOAD_BYTES", 10)
    reply = await client.post("/v1/jobs?format=ndjson", content=LINE)
    assert (reply.status_code, reply.json()["type"]) == (413, "/docs#content_too_large")
    assert not counter.files()


async def test_a_disk_that_is_nearly_full_takes_no_jobs(
    counter: Counter, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobfiles, "RESERVE_BYTES", 1 << 62)
    reply = await client.post("/v1/jobs?format=ndjson", content=LINE)
    assert (reply.status_code, reply.json()["type"]) == (507, "/docs#insufficient_storage")
    assert not counter.files()


async def test_an_upload_that_comes_to_a_standstill_is_given_up(
    counter: Counter, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs_module, "BLOCK_SECONDS", 0.05)

    async def slowly() -> AsyncIterator[bytes]:
        yield LINE
        await asyncio.sleep(30)

    reply = await client.post("/v1/jobs?format=ndjson", content=slowly())
    assert reply.status_code == 408
    assert not counter.files()


async def test_too_many_jobs_are_refused(
    counter: Counter, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.store.jobs.MAX_WAITING", 1)
    await client.post("/v1/jobs?format=ndjson", content=LINE)
    reply = await client.post("/v1/jobs?format=ndjson", content=LINE)
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
    assert len(counter.files()) == 1


async def test_only_so_many_exports_run_at_once_and_each_lets_go(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(exports_module.MAX_EXPORTS + 1):
        assert (await client.get("/v1/export")).status_code == 200
    monkeypatch.setattr(exports_module, "MAX_EXPORTS", 0)
    assert (await client.get("/v1/export")).status_code == 503


async def test_a_job_without_results_yet_says_so(client: httpx.AsyncClient) -> None:
    job = (await client.post("/v1/jobs?format=ndjson", content=LINE)).json()
    reply = await client.get(f"/v1/jobs/{job['id']}/results")
    assert (reply.status_code, reply.json()["type"]) == (404, "/docs#no_results")
