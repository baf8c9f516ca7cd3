"""A registrar over a database of a test, and the writes that tests make."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from uuid import uuid4

from node.registry.preparation import Policy
from node.registry.registrar import RecordRegistrar
from node.store.changes import ChangeKind, append_changes
from node.store.database import Database
from node.store.prefixes import PrefixRow, PrefixState, write_prefixes
from resolver.identifier import Identifier, IdentifierError
from resolver.keys.seal import Seal
from resolver.registrar import Caller, Operation, Registrar, Verdict, Write
from resolver.schemes import parse_handle
from resolver.wire import AdminData, AdminPermission, HandleValue, Reference, encode_admin

SEAL = Seal(bytes(range(32)))
ROOT = Caller(b"0.NA/ROOT", 300, "operator", is_operator=True)
ADMIN = Caller(b"88.1/ADMIN", 300, "basic")
OTHER = Caller(b"88.1/OTHER", 300, "basic")
ALL = AdminPermission(0xFFF)
SERVER_ADMIN = Reference(b"88.1/CHIEF", 300)


def named(handle: str) -> Identifier:
    """Read a handle."""
    return parse_handle(handle.encode(), case_sensitive=False)


def canonical(handle: bytes) -> bytes | None:
    """Return a handle's canonical key."""
    try:
        return parse_handle(handle, case_sensitive=False).key
    except IdentifierError:
        return None


def url(
    index: int = 1,
    data: bytes = b"https://example.org/",
    *,
    permissions: int = 14,
    timestamp: int = 0,
) -> HandleValue:
    """Return a URL value."""
    return HandleValue(index, b"URL", data, permissions=permissions, timestamp=timestamp)


def admin(
    who: Caller | Reference = ADMIN, rights: int = ALL, index: int = 100, *, at: int | None = None
) -> HandleValue:
    """Return an HS_ADMIN value that names somebody."""
    data = AdminData(int(rights), who.handle, who.index if at is None else at)
    return HandleValue(index, b"HS_ADMIN", encode_admin(data))


@asynccontextmanager
async def registrar_on(
    database: Database,
    *,
    listing: Database | None = None,
    written: list[tuple[bytes, int]] | None = None,
    server_admins: tuple[Reference, ...] = (SERVER_ADMIN,),
    times: list[int] | None = None,
) -> AsyncIterator[RecordRegistrar]:
    """A registrar while the block runs; what it commits is added to `written`, what a creation takes to `times`."""
    told = [] if written is None else written

    async def note(changes: Iterable[tuple[bytes, int]]) -> None:
        told.extend(changes)

    async with asyncio.TaskGroup() as tasks:
        yield RecordRegistrar(
            database,
            listing or database,
            Policy(server_admins, canonical),
            SEAL,
            spawn=tasks.create_task,
            on_written=note,
            unique=uuid4,
            registered=([] if times is None else times).append,
        )


async def home(database: Database, *names: str) -> None:
    """Home prefixes."""
    rows = [PrefixRow(name.upper().encode(), name, PrefixState.HOMED) for name in names]
    async with database.transaction() as connection:
        changed = await write_prefixes(connection, rows)
        await append_changes(connection, changed, [ChangeKind.PREFIX] * len(changed))


async def do(
    registrar: Registrar,
    operation: Operation,
    handle: str,
    *values: HandleValue,
    caller: Caller | None = ROOT,
    **fields: object,
) -> Verdict:
    """Carry out a write."""
    write = Write(
        operation=operation,
        identifier=named(handle),
        values=values,
        caller=caller,
        **fields,  # type: ignore[arg-type]  # the fields of Write, as a test names them
    )
    return await registrar.write(write)
