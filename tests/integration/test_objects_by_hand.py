"""Prefixes that the model knows are homed, delegated and let go by the steps of their lives, by no hand and no file."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import pytest

from node.config import Settings
from node.model.enterprise import EnterpriseAction
from node.model.rule import ModelError
from node.model.site import IpType, Site
from node.registry.objects import Objects
from node.registry.records import load_file
from node.store.database import Database, migrate
from node.store.jobs import JobKind
from node.store.prefixes import PrefixState, read_prefixes
from resolver.client import Query, ask_tcp, ask_udp
from resolver.registrar import Operation
from resolver.wire import ResponseCode, Transport, decode_site
from tests.support.jobs import JobBench, Json, lines
from tests.support.objects import EVERYBODY, admit, delegate, everything, host, objects_on
from tests.support.registry import do, home, registrar_on, url
from tests.support.workers import Running, running_worker

pytestmark = pytest.mark.db

VALUE: Json = {"index": 1, "type": "URL", "data": "https://a.example/"}
ROWS: list[Json] = [
    {"handle": "0.NA/88.118.1", "values": [VALUE]},  # waiting
    {"handle": "0.na/88.118.1", "values": None},
    {"handle": "0.NA/88.118.2", "values": [VALUE], "delegated": True},  # hosted here
    {"handle": "0.NA/88.118.2", "values": [VALUE]},
    {"handle": "0.NA/88.118.3", "values": None},  # delegated
    {"handle": "0.NA/88.118.3", "values": None, "delegated": True},
    {"handle": "0.NA/88.118.1", "values": [VALUE], "homed": False},
    {"handle": "0.NA/88.118.9", "values": None},  # nobody's
    {"handle": "88.118.2/x", "values": [VALUE]},
]


@pytest.fixture
async def objects(database: Database) -> Objects:
    """With a prefix that waits, one that is hosted and one that is delegated."""
    found = objects_on(database)
    await admit(found)
    await found.apply_prefix("88.118.1", "e1", EVERYBODY)
    await host(found, "88.118.2")
    await delegate(found, "88.118.3")
    return found


async def states(database: Database) -> dict[bytes, PrefixState]:
    return {row.prefix: row.state for row in await read_prefixes(database)}


@pytest.mark.parametrize("row", ROWS[:3] + ROWS[4:5], ids=str)
async def test_a_row_that_would_home_a_prefix_in_another_way_is_refused_whole(
    objects: Objects, database: Database, tmp_path: Path, row: Json
) -> None:
    bench = JobBench(database, tmp_path)
    before = await everything(database)

    _, planned = await bench.do(lines(row, ROWS[-1]), is_dry_run=True)
    _, results = await bench.do(lines(row, ROWS[-1]))

    after = await everything(database)
    assert [each["outcome"] for each in results] == ["refused", "created"]
    assert planned == results
    assert str(results[0]["reason"]).startswith("prefix.activate: ")
    assert after["prefix"] == before["prefix"]
    assert len(after["record"]) == len(before["record"]) + 1


async def test_a_row_that_was_right_is_refused_once_the_enterprise_is_disabled(
    objects: Objects, database: Database, tmp_path: Path
) -> None:
    action = EnterpriseAction.DISABLE
    await objects.step_enterprise("e1", action, EVERYBODY, reason="注销")

    _, results = await JobBench(database, tmp_path).do(lines(ROWS[3], ROWS[5]))

    assert [each["outcome"] for each in results] == ["refused", "refused"]
    assert await states(database) == {}


@pytest.mark.parametrize("row", [ROWS[3], *ROWS[5:8]], ids=str)
async def test_a_row_that_homes_it_as_it_is_or_not_at_all_is_loaded(
    objects: Objects, database: Database, tmp_path: Path, row: Json
) -> None:
    file = tmp_path / "records.ndjson"
    file.write_bytes(lines(row))
    before = await states(database)

    report = await load_file(database.dsn, str(file), sealing_key=tmp_path / "key")

    assert report.errors == 0, report.first_errors
    found = await states(database)
    assert {name: found[name] for name in before} == before


async def test_operations_of_a_file_do_not_home_or_let_go_either(
    objects: Objects, database: Database, tmp_path: Path
) -> None:
    before = await states(database)
    rows: list[Json] = [
        {"operation": "home", "handle": "0.NA/88.118.1"},
        {"operation": "home", "handle": "0.NA/88.118.2"},
        {"operation": "unhome", "handle": "0.NA/88.118.2"},
        {"operation": "home", "handle": "0.NA/88.118.9"},
        {"operation": "unhome", "handle": "0.NA/88.118.9"},
    ]

    _, results = await JobBench(database, tmp_path).do(lines(*rows), kind=JobKind.OPERATIONS)

    outcomes = [each["outcome"] for each in results]
    assert outcomes == ["refused", "unchanged", "refused", "changed", "changed"]
    assert str(results[2]["reason"]).startswith("prefix.stop: ")
    assert await states(database) == before


async def test_who_homes_a_prefix_by_hand_and_who_applies_for_it_do_not_both_get_it(
    objects: Objects, database: Database
) -> None:
    names = [f"88.118.{number}" for number in range(100, 112)]
    refusals: set[str] = set()
    async with registrar_on(database) as registrar:

        async def homed(name: str) -> bool:
            verdict = await do(registrar, Operation.HOME, f"0.NA/{name}")
            return verdict.code is ResponseCode.SUCCESS

        async def applied(name: str) -> bool:
            try:
                await objects.apply_prefix(name, "e1", EVERYBODY)
            except ModelError as error:
                refusals.add(error.rule)
                return False
            return True

        for name in names:
            both = await asyncio.gather(homed(name), applied(name))
            assert sum(both) == 1, name
    assert refusals <= {"prefix.apply"}


@pytest.fixture
async def enterprises_database(postgres_url: str) -> AsyncIterator[Database]:
    """The database of another node."""
    name = f"enterprise_{uuid4().hex[:12]}"
    async with Database(postgres_url) as server:
        async with server.connection() as connection:
            await connection.execute(f"create database {name}")
        url_of_it = urlunsplit(urlsplit(postgres_url)._replace(path=f"/{name}"))
        await migrate(url_of_it)
        async with Database(url_of_it) as made:
            yield made
        async with server.connection() as connection:
            await connection.execute(f"drop database {name} with (force)")


async def test_a_client_that_follows_a_delegation_gets_the_enterprises_answer(
    objects: Objects, database: Database, enterprises_database: Database, tmp_path: Path
) -> None:
    """Two nodes: the enterprise's homes the prefix by hand, ours delegates it to that one."""
    await home(enterprises_database, "88.118.4")
    async with registrar_on(enterprises_database) as registrar:
        await do(registrar, Operation.CREATE, "88.118.4/x", url())
    async with (
        node_on(enterprises_database, tmp_path / "theirs") as theirs,
        node_on(database, tmp_path / "ours") as ours,
    ):
        there, here = theirs.settings.native_listen[0], ours.settings.native_listen[0]
        site = Site(ip_type=IpType.V4, ip=there.host, tcp_port=there.port, udp_port=there.port)
        await delegate(objects, "88.118.4", site)
        await ours.worker.reading.feed.drain()

        for ask in (ask_udp, ask_tcp):
            referred = await ask(here.host, here.port, Query(b"88.118.4/x"), 1)
            (server,) = decode_site(referred.values[0].data).servers
            port = next(each.port for each in server.interfaces if each.protocol == Transport.TCP)
            address = str(ip_address(server.address[-4:]))
            answer = await ask_tcp(address, port, Query(b"88.118.4/x"), 2)

            assert referred.code == ResponseCode.SERVICE_REFERRAL
            assert referred.referral == b"0.NA/88.118.4"
            assert [value.data for value in answer.values] == [url().data]


@asynccontextmanager
async def node_on(database: Database, directory: Path) -> AsyncIterator[Running]:
    """A worker over a database, without Redis."""
    directory.mkdir()  # noqa: ASYNC240  a moment, in a test
    settings = Settings(database_url=database.dsn)
    async with running_worker(settings, directory) as running:
        yield running
