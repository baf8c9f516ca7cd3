"""A step of an object is taken whole or not at all, wherever in its transaction something fails."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from node.model.application import Application
from node.model.enterprise import EnterpriseAction
from node.model.form import read
from node.model.hosting import HostingAction
from node.model.rule import ModelError
from node.model.stage import PrefixAction
from node.registry.objects import ObjectKind, Objects
from node.store.database import Connection, Database, StoreError
from tests.support.objects import (
    EVERYBODY,
    THERE,
    THERE_6,
    admit,
    delegate,
    everything,
    form_of,
    grant,
    host,
    objects_on,
)
from tests.support.tablerows import table_rows

pytestmark = pytest.mark.db

Act = Callable[[Objects], Coroutine[Any, Any, object]]

_FAIL = """
create function fail() returns trigger language plpgsql as $$
begin raise exception 'a failure of the test'; end $$
"""


async def activate(objects: Objects) -> object:
    return await objects.step_prefix("88.118.8", PrefixAction.ACTIVATE, EVERYBODY)


async def disable(objects: Objects) -> object:
    return await objects.step_enterprise(
        "e1", EnterpriseAction.DISABLE, EVERYBODY, reason="营业执照注销"
    )


async def apply_anew(objects: Objects) -> object:
    return await objects.apply_enterprise(form_of(2), EVERYBODY)


async def register(objects: Objects) -> object:
    application = read(Application, table_rows()["5"])
    return await objects.put_application(application, EVERYBODY)


NUMBERED = ("sync_row", "change", "change_counter")
WRITES: list[tuple[Act, tuple[str, ...]]] = [
    (activate, ("object", "object_version", "prefix", "record", "version", *NUMBERED)),
    (disable, ("object", "object_version", "prefix", "version", *NUMBERED)),
    (apply_anew, ("object", "object_claim", "object_version")),
    (register, ("object", "object_version", *NUMBERED)),
]
"""What each step writes to, all of it and nothing else."""


@pytest.mark.parametrize(("act", "tables"), WRITES, ids=lambda each: getattr(each, "__name__", ""))
async def test_a_step_that_fails_anywhere_leaves_everything_as_it_was(
    database: Database, act: Act, tables: tuple[str, ...]
) -> None:
    told: list[tuple[bytes, int]] = []
    objects = objects_on(database, written=told)
    await admit(objects)
    await delegate(objects, "88.118.1")
    await grant(objects, "88.118.8")
    await objects.configure_prefix("88.118.8", (THERE, THERE_6), EVERYBODY)
    before = await everything(database)
    told.clear()
    async with database.connection() as connection:
        await connection.execute(_FAIL)

    for table in tables:
        async with database.connection() as connection:
            await _set_fault(connection, table)
        with pytest.raises(StoreError, match="a failure of the test"):
            await act(objects)
        assert await everything(database) == before, table
        async with database.connection() as connection:
            await connection.execute(f"drop trigger fault on {table}")
    assert told == []

    await act(objects)
    after = await everything(database)
    assert {name for name in after if after[name] != before[name]} == set(tables)


async def _set_fault(connection: Connection, table: str) -> None:
    await connection.execute(
        f"create trigger fault before insert or update or delete on {table}"
        " for each row execute function fail()"
    )


async def test_a_step_that_its_rule_refuses_late_leaves_everything_as_it_was(
    database: Database,
) -> None:
    """The certificate is found to be another's after the object was written."""
    objects = objects_on(database)
    await admit(objects, 1)
    await admit(objects, 2)
    before = await everything(database)

    with pytest.raises(ModelError):
        await objects.step_enterprise("e2", EnterpriseAction.CORRECT, EVERYBODY, form=form_of(1))

    assert await everything(database) == before


async def test_disabling_an_enterprise_and_steps_of_its_prefixes_never_cross(
    database: Database,
) -> None:
    """Whatever comes first: a disabled enterprise has no prefix that is answered, and nobody waits in a circle."""
    objects = objects_on(database)
    await admit(objects)
    names = [f"88.118.{number}" for number in range(1, 9)]
    for name in names:
        await host(objects, name)
        await objects.step_prefix(name, PrefixAction.STOP, EVERYBODY, reason="检修")

    async def start(name: str) -> object:
        return await objects.step_prefix(name, PrefixAction.ACTIVATE, EVERYBODY)

    await asyncio.gather(
        *(start(name) for name in names[:4]),
        disable(objects),
        *(start(name) for name in names[4:]),
        return_exceptions=True,
    )

    tables = await everything(database)
    assert tables["prefix"] == []
    assert [row for row in tables["sync_row"] if row[0] == "7"] == []
    enterprise = await objects.read(ObjectKind.ENTERPRISE, "e1")
    assert enterprise is not None
    assert enterprise.state == "disabled"

    await objects.step_enterprise("e1", EnterpriseAction.ENABLE, EVERYBODY)
    active = {held.value for held in await objects.list(ObjectKind.PREFIX, state="active")}
    assert len((await everything(database))["prefix"]) == len(active)


async def test_a_step_of_a_prefix_waits_for_one_of_its_owner(database: Database) -> None:
    """It is decided by the owner's state, which must not change until it is done."""
    objects = objects_on(database)
    await admit(objects)
    await grant(objects, "88.118.8")
    await objects.configure_prefix("88.118.8", (THERE,), EVERYBODY)

    async with database.transaction() as owner, database.connection() as looking:
        await owner.execute("select from object where kind = 'enterprise' for update")
        stepping = asyncio.create_task(asyncio.wait_for(activate(objects), 30))
        async with asyncio.timeout(10):
            while not await looking.fetchval("select count(*) from pg_locks where not granted"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    await stepping

    assert len((await everything(database))["prefix"]) == 1


async def test_steps_of_many_objects_at_once_are_numbered_without_holes(
    database: Database,
) -> None:
    objects = objects_on(database)
    application = read(Application, table_rows()["5"])

    await asyncio.gather(
        *(
            objects.put_application(replace(application, name=f"应用{number}"), EVERYBODY)
            for number in range(20)
        )
    )

    tables = await everything(database)
    serials = sorted(row[0] for row in tables["change"])  # type: ignore[type-var]
    assert serials == list(range(1, 21))
    assert len(tables["sync_row"]) == len(tables["object_version"]) == 20


async def test_hosting_and_sites_change_hands_in_one_step(database: Database) -> None:
    objects = objects_on(database)
    await admit(objects)
    await host(objects, "88.118.8")

    with pytest.raises(ModelError) as nobody:
        await objects.step_hosting("88.118.8", HostingAction.END, EVERYBODY, reason="迁移")
    ended = await objects.step_hosting(
        "88.118.8", HostingAction.END, EVERYBODY, reason="迁移", sites=(THERE,)
    )

    assert nobody.value.rule == "needs_service"
    assert ended.state == "active"
