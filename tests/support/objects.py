"""Objects of the model over a database of a test, and the lives that tests play there."""

from collections.abc import Iterable, Sequence
from datetime import date
from itertools import count
from typing import Any
from uuid import UUID

from node.model.certificate import credit_code_check
from node.model.enterprise import EnterpriseAction, Verification
from node.model.entity import Entity
from node.model.form import read
from node.model.hosting import HostingAction
from node.model.role import Role
from node.model.site import Site
from node.model.stage import PrefixAction
from node.registry.objects import Actor, Held, Objects
from node.store.database import Connection, Database
from node.store.synced import SyncedRows
from tests.support.model import entity_form
from tests.support.registry import SEAL

EVERYBODY = Actor(frozenset(Role) - {Role.AUDITOR}, "300:88.118/ADMIN", "token", "http 192.0.2.7")
"""One who may take every step, so that a test need not say who takes which."""

HERE = read(
    Site, {"ip_type": "4", "ip": "192.0.2.10", "tcp_port": 2641, "udp_port": 2641, "http_port": 80}
)
THERE = read(Site, {"ip_type": "4", "ip": "192.0.2.20", "tcp_port": 2642, "udp_port": 2643})
THERE_6 = read(Site, {"ip_type": "6", "ip": "2001:db8::20", "tcp_port": 2642, "http_port": 8080})
PASSED = Verification(passed=True, on=date(2026, 1, 31), method="营业执照核验")


class Minutes:
    """A clock that goes on by a minute whenever it is looked at."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        self.now += 60
        return self.now


def objects_on(
    database: Database,
    *,
    written: list[tuple[bytes, int]] | None = None,
    here: Sequence[Site] = (HERE,),
) -> Objects:
    """Return the use cases over a database; the records that steps change are added to `written`."""
    told = [] if written is None else written
    numbers = count(1)

    async def note(changes: Iterable[tuple[bytes, int]]) -> None:
        told.extend(changes)

    return Objects(
        database,
        SEAL,
        SyncedRows(SEAL),
        secondary="88.118",
        here=here,
        clock=Minutes(),
        unique=lambda: UUID(int=next(numbers)),
        on_written=note,
    )


def credit_code(number: int) -> str:
    """Return a credit code of its own for each number."""
    first = f"91370700MA{number:07d}"
    return first + credit_code_check(first)


def form_of(number: int, **contact: Any) -> Entity:
    """Return the form of an enterprise with its own certificate, and a contact as a test needs it."""
    form = entity_form()
    form["organisation"]["certificate_number"] = credit_code(number)
    form["organisation"]["contact"].update(contact)
    return read(Entity, form)


async def admit(objects: Objects, number: int = 1) -> Held:
    """Have the enterprise `e1` apply, be verified and approved."""
    name = f"e{number}"
    await objects.apply_enterprise(form_of(number), EVERYBODY, id=name)
    return await approve(objects, name)


async def approve(objects: Objects, name: str) -> Held:
    """Have what an enterprise handed in verified and approved."""
    await objects.verify_enterprise(name, PASSED, EVERYBODY)
    await objects.step_enterprise(name, EnterpriseAction.BEGIN_REVIEW, EVERYBODY)
    return await objects.step_enterprise(name, EnterpriseAction.APPROVE, EVERYBODY)


async def grant(objects: Objects, prefix: str, enterprise: str = "e1") -> Held:
    """Have a prefix applied for, approved here and granted by the top-level node."""
    await objects.apply_prefix(prefix, enterprise, EVERYBODY)
    for action in (
        PrefixAction.BEGIN_REVIEW,
        PrefixAction.APPROVE,
        PrefixAction.SEND,
        PrefixAction.GRANT,
    ):
        held = await objects.step_prefix(prefix, action, EVERYBODY)
    return held


async def host(objects: Objects, prefix: str, enterprise: str = "e1") -> Held:
    """Have a prefix hosted here, and active."""
    await grant(objects, prefix, enterprise)
    await objects.step_hosting(prefix, HostingAction.APPLY, EVERYBODY)
    await objects.step_hosting(prefix, HostingAction.APPROVE, EVERYBODY, server="main")
    return await objects.step_prefix(prefix, PrefixAction.ACTIVATE, EVERYBODY)


async def delegate(objects: Objects, prefix: str, *sites: Site, enterprise: str = "e1") -> Held:
    """Have a prefix delegated to its enterprise's servers, and active."""
    await grant(objects, prefix, enterprise)
    await objects.configure_prefix(prefix, sites or (THERE,), EVERYBODY)
    return await objects.step_prefix(prefix, PrefixAction.ACTIVATE, EVERYBODY)


async def everything(database: Database) -> dict[str, list[tuple[object, ...]]]:
    """Return every row of every table, as a copy of the database has them."""
    async with database.connection() as connection:
        tables = await connection.fetch(
            "select tablename from pg_tables where schemaname = 'public' order by 1"
        )
        return {name: await _rows(connection, name) for (name,) in tables}


async def _rows(connection: Connection, table: str) -> list[tuple[object, ...]]:
    found = await connection.fetch(f"select * from {table}")  # noqa: S608  of the catalogue
    return sorted([tuple(row) for row in found], key=repr)


async def synced(database: Database, table: str) -> list[str]:
    """Return the keys of the rows of a table that the top-level node is sent."""
    async with database.connection() as connection:
        rows = await connection.fetch(
            "select key from sync_row where number = $1 order by key", table
        )
    return [row["key"] for row in rows]
