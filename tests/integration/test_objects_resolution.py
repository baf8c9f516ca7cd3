"""What steps of objects do to resolution, as a worker sees it: homed, delegated, answered by nobody."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address

import pytest

from node.model.enterprise import EnterpriseAction
from node.model.hosting import HostingAction
from node.model.site import Site
from node.model.stage import PrefixAction
from node.readpath import ReadPath
from node.registry.objects import Objects
from node.store.database import Database
from resolver.answer import Answer, Question, Status
from resolver.observe import CELL_COUNT, Tally
from resolver.registrar import Operation
from resolver.service import Resolver
from resolver.wire import HandleValue, ResponseCode, decode_site, decode_values, encode_site
from tests.support.objects import (
    EVERYBODY,
    THERE,
    THERE_6,
    admit,
    delegate,
    everything,
    grant,
    host,
    objects_on,
    synced,
)
from tests.support.registry import ROOT, do, named, registrar_on, url
from tests.support.tasks import spawning
from tests.support.web import SITE

pytestmark = pytest.mark.db

Ask = Callable[[str], Awaitable[Answer]]
SITE_DATA = encode_site(SITE)  # where this node is
PREFIX, RECORD = "88.118.8", "88.118.8/JXDY2106023"


@pytest.fixture
async def objects(database: Database) -> Objects:
    """With the enterprise `e1`, admitted."""
    found = objects_on(database)
    await admit(found)
    return found


@asynccontextmanager
async def worker(database_url: str) -> AsyncIterator[Ask]:
    """A worker's view, caught up with the change feed before each question."""
    tally = Tally([0] * CELL_COUNT)
    async with spawning() as spawn:
        path = ReadPath(database_url, None, tally, spawn, hot_entries=100, memory_entries=100)
        spawn(path.records.run())
        service = Resolver(path.memory, path.vault, path.prefixes, SITE)

        async def ask(handle: str) -> Answer:
            await path.feed.drain()
            return await service.resolve(Question(named(handle), public_only=True))

        try:
            yield ask
        finally:
            await path.close()


def sites_in(answer: Answer) -> list[tuple[str, dict[int, int]]]:
    """Return the addresses and ports, by protocol, to which the HS_SITE values of an answer lead."""
    values = answer.values
    if values is None and answer.stored is not None:
        values = decode_values(answer.stored.wire)
    found = []
    for value in values or ():
        if value.type in (b"HS_SITE", b"HS_SITE.6"):
            (server,) = decode_site(value.data).servers
            size = 16 if value.type == b"HS_SITE.6" else 4
            address = str(ip_address(server.address[-size:]))
            found.append((address, {each.protocol: each.port for each in server.interfaces}))
    return found


async def register(database: Database, *values: HandleValue) -> ResponseCode:
    async with registrar_on(database) as registrar:
        return (await do(registrar, Operation.CREATE, RECORD, *values)).code


async def test_a_prefix_is_answered_by_nobody_until_it_is_active(
    objects: Objects, database: Database, database_url: str
) -> None:
    async with worker(database_url) as ask:
        await grant(objects, PREFIX)
        await objects.step_hosting(PREFIX, HostingAction.APPLY, EVERYBODY)
        await objects.step_hosting(PREFIX, HostingAction.APPROVE, EVERYBODY, server="main")

        assert (await ask(RECORD)).status is Status.NOT_RESPONSIBLE
        assert await register(database, url()) is ResponseCode.SERVER_NOT_RESPONSIBLE
        assert await synced(database, "7") == []


async def test_a_hosted_prefix_is_answered_here_and_leads_here(
    objects: Objects, database: Database, database_url: str
) -> None:
    async with worker(database_url) as ask:
        await host(objects, PREFIX)

        assert await register(database, url()) is ResponseCode.SUCCESS
        found, prefix = await ask(RECORD), await ask(f"0.NA/{PREFIX}")

    assert (found.status, prefix.status) == (Status.FOUND, Status.FOUND)
    assert [value.data for value in prefix.values or ()] == [SITE_DATA]
    assert await synced(database, "7") == [f"vaa|{PREFIX}"]


async def test_a_delegated_prefix_leads_to_the_enterprises_servers(
    objects: Objects, database_url: str
) -> None:
    async with worker(database_url) as ask:
        await delegate(objects, PREFIX, THERE, THERE_6)

        referral, prefix = await ask(RECORD), await ask(f"0.NA/{PREFIX}")

    assert referral.status is Status.SERVICE_REFERRAL
    assert referral.referral == b"0.NA/88.118.8"
    wanted = [("192.0.2.20", {1: 2642, 0: 2643}), ("2001:db8::20", {1: 2642, 2: 8080})]
    assert sites_in(referral) == sites_in(prefix) == wanted


async def test_new_sites_take_the_place_of_old_ones_and_of_nothing_else(
    objects: Objects, database: Database, database_url: str
) -> None:
    async with worker(database_url) as ask:
        await delegate(objects, PREFIX, THERE, THERE_6)
        async with registrar_on(database) as registrar:
            await do(registrar, Operation.HOME, "0.NA/88.118")
            await do(registrar, Operation.ADD, f"0.NA/{PREFIX}", url(1001, b"https://own/"))
        before = await ask(f"0.NA/{PREFIX}")
        moved = Site(ip_type=THERE.ip_type, ip="192.0.2.21", tcp_port=2641)

        await objects.configure_prefix(PREFIX, (THERE_6, moved), EVERYBODY)
        after = await ask(f"0.NA/{PREFIX}")

    assert before.stored is not None
    assert after.stored is not None
    old = {value.index: value for value in decode_values(before.stored.wire)}
    new = {value.index: value for value in decode_values(after.stored.wire)}
    assert sites_in(after) == [("2001:db8::20", {1: 2642, 2: 8080}), ("192.0.2.21", {1: 2641})]
    assert (new[2], new[1001]) == (old[2], old[1001])  # with their times


@pytest.mark.parametrize("way", ["stop", "suspend", "disable"])
@pytest.mark.parametrize("service", [host, delegate])
async def test_a_stopped_prefix_is_answered_by_nobody_and_comes_back_as_it_was(
    objects: Objects,
    database: Database,
    database_url: str,
    service: Callable[[Objects, str], Awaitable[object]],
    way: str,
) -> None:
    async with worker(database_url) as ask:
        await service(objects, PREFIX)
        before = (await ask(RECORD)).status

        await stop(objects, way)
        stopped, prefix = await ask(RECORD), await ask(f"0.NA/{PREFIX}")
        told = await synced(database, "7")
        await start(objects, way)
        after = (await ask(RECORD)).status

    assert (stopped.status, prefix.status) == (Status.NOT_RESPONSIBLE, Status.NOT_RESPONSIBLE)
    assert (told, await synced(database, "7")) == ([], [f"vaa|{PREFIX}"])
    assert after is before
    assert before in (Status.NO_SUCH_HANDLE, Status.SERVICE_REFERRAL)


async def stop(objects: Objects, way: str) -> None:
    if way == "disable":
        action = EnterpriseAction.DISABLE
        await objects.step_enterprise("e1", action, EVERYBODY, reason="注销")
    else:
        await objects.step_prefix(PREFIX, PrefixAction(way), EVERYBODY, reason="检修")


async def start(objects: Objects, way: str) -> None:
    if way == "disable":
        await objects.step_enterprise("e1", EnterpriseAction.ENABLE, EVERYBODY)
        return
    if way == "suspend":
        await objects.step_prefix(PREFIX, PrefixAction.LIFT, EVERYBODY)
    await objects.step_prefix(PREFIX, PrefixAction.ACTIVATE, EVERYBODY)


async def test_records_of_a_stopped_prefix_are_kept_and_answered_again(
    objects: Objects, database: Database, database_url: str
) -> None:
    async with worker(database_url) as ask:
        await host(objects, PREFIX)
        await register(database, url())
        await objects.step_prefix(PREFIX, PrefixAction.STOP, EVERYBODY, reason="检修")
        await objects.step_prefix(PREFIX, PrefixAction.ACTIVATE, EVERYBODY)

        assert (await ask(RECORD)).status is Status.FOUND


async def test_a_prefix_changes_hands_while_it_is_active(
    objects: Objects, database: Database, database_url: str
) -> None:
    async with worker(database_url) as ask:
        await host(objects, PREFIX)
        await register(database, url())

        reason = "自建企业节点"
        await objects.step_hosting(
            PREFIX, HostingAction.END, EVERYBODY, reason=reason, sites=(THERE,)
        )
        elsewhere = await ask(RECORD)
        await objects.step_hosting(PREFIX, HostingAction.APPLY, EVERYBODY)
        await objects.step_hosting(PREFIX, HostingAction.APPROVE, EVERYBODY, server="main")
        here, prefix = await ask(RECORD), await ask(f"0.NA/{PREFIX}")

    assert (elsewhere.status, here.status) == (Status.SERVICE_REFERRAL, Status.FOUND)
    assert [value.data for value in prefix.values or ()] == [SITE_DATA]


async def test_disabling_an_enterprise_stops_all_its_prefixes_and_no_others(
    objects: Objects, database: Database, database_url: str
) -> None:
    await admit(objects, 2)
    own = [f"88.118.{number}" for number in range(10, 20)]
    for name in own:
        await (host if name < "88.118.15" else delegate)(objects, name)
    await host(objects, "88.118.2", "e2")
    async with worker(database_url) as ask:
        await objects.step_enterprise("e1", EnterpriseAction.DISABLE, EVERYBODY, reason="注销")

        found = {name: (await ask(f"{name}/x")).status for name in own}
        others = (await ask("88.118.2/x")).status

    assert set(found.values()) == {Status.NOT_RESPONSIBLE}
    assert others is Status.NO_SUCH_HANDLE
    assert await synced(database, "7") == ["vaa|88.118.2"]
    async with database.connection() as connection:
        changes = await connection.fetch(
            "select key from version where operation = 'unhome' and reason like 'enterprise.%'"
            " and caller = $1",
            EVERYBODY.caller,
        )
    assert len(changes) == len(own)  # who stopped each, and why


async def test_whose_records_changed_is_told_after_the_commit(database: Database) -> None:
    told: list[tuple[bytes, int]] = []
    objects = objects_on(database, written=told)
    await admit(objects)
    await grant(objects, PREFIX)
    await objects.configure_prefix(PREFIX, (THERE,), EVERYBODY)
    assert told == []

    await objects.step_prefix(PREFIX, PrefixAction.ACTIVATE, EVERYBODY)

    async with database.connection() as connection:
        serial = await connection.fetchval(
            "select serial from change where key = $1 and kind = 0", b"0.NA/88.118.8"
        )
        version = await connection.fetchval(
            "select serial from version where key = $1", b"0.NA/88.118.8"
        )
    assert told == [(b"0.NA/88.118.8", serial)]
    assert version == serial


async def test_a_prefix_record_that_was_there_keeps_its_values_and_history(
    objects: Objects, database: Database, database_url: str
) -> None:
    async with registrar_on(database) as registrar:
        await do(registrar, Operation.HOME, "0.NA/88.118")
        made = await do(registrar, Operation.CREATE, f"0.NA/{PREFIX}", url(1, b"https://own/"))
        assert made.code is ResponseCode.SUCCESS
        async with worker(database_url) as ask:
            await delegate(objects, PREFIX)
            prefix = await ask(f"0.NA/{PREFIX}")
        history = await registrar.history(named(f"0.NA/{PREFIX}"), ROOT)

    assert prefix.stored is not None
    kinds = [(value.index, value.type) for value in decode_values(prefix.stored.wire)]
    assert kinds == [(1, b"URL"), (2, b"HS_SITE")]
    assert [(each.version, each.reason) for each in history.revisions] == [
        (2, "prefix.activate"),
        (1, ""),
    ]


async def test_a_node_that_has_moved_tells_where_it_answers_now(
    objects: Objects, database: Database, database_url: str
) -> None:
    await host(objects, PREFIX)
    await delegate(objects, "88.118.9")
    await grant(objects, "88.118.10")
    before = await everything(database)

    await objects.refresh_routes()
    assert await everything(database) == before  # it has not moved

    moved = objects_on(database, here=(THERE_6,))
    await moved.refresh_routes()
    after = await everything(database)
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"sync_row", "change", "change_counter"}
    assert len(after["change"]) == len(before["change"]) + 1  # that of the hosted one


async def test_what_was_changed_past_the_model_is_put_right_at_the_next_start(
    objects: Objects, database: Database, database_url: str
) -> None:
    await host(objects, PREFIX)
    await delegate(objects, "88.118.9")
    async with database.connection() as connection:
        await connection.execute("delete from prefix")
    async with worker(database_url) as ask:
        assert (await ask(RECORD)).status is Status.NOT_RESPONSIBLE

        await objects.refresh_routes()

        assert (await ask(RECORD)).status is Status.NO_SUCH_HANDLE
        assert (await ask("88.118.9/x")).status is Status.SERVICE_REFERRAL
