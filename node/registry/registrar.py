"""RecordRegistrar: the use cases of records, and of prefixes homed here; every edge calls these and nothing else."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

from node.registry.facts import MAX_ROUNDS, TOO_DEEP
from node.registry.preparation import (
    BatchFacts,
    Policy,
    minted_name,
    read_more,
    repeatable_suffix,
    take_in,
    who_and_why,
)
from node.registry.reading import RecordReader
from node.registry.rules import Plan, decide
from node.registry.writequeue import OnWritten, Spawn, WriteQueue
from node.store.changes import ChangeKind, append_changes
from node.store.database import Connection, Database, StoreError, StoreUnavailable
from node.store.objects import hold_prefix_names
from node.store.writing import append_prefix_version, set_prefix
from resolver.access import Missing
from resolver.identifier import IdentifierError
from resolver.keys.seal import Seal
from resolver.observe import Event
from resolver.registrar import Operation, Registrar, Verdict, Write
from resolver.schemes import parse_handle
from resolver.wire import MAX_HANDLE_BYTES, ResponseCode

MINT_LABEL = b"minted handles"

_PREFIX_OPERATIONS = frozenset({Operation.HOME, Operation.UNHOME})


class RecordRegistrar(RecordReader, Registrar):
    """Implements `resolver.registrar.Registrar` over Postgres; one a process."""

    def __init__(
        self,
        database: Database,
        listing: Database,
        policy: Policy,
        seal: Seal,
        *,
        spawn: Spawn,
        on_written: OnWritten,
        unique: Callable[[], UUID],
        count: Callable[[Event], None] = lambda _: None,
        registered: Callable[[int], None] = lambda _: None,
        case_sensitive: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`on_written` is told of each commit of this process, `count` of what became of each write.

        `registered` is told how many nanoseconds each creation of a record took, once it is committed.
        `unique` gives the suffixes of minted handles.
        """
        super().__init__(database, listing, policy, clock)
        self._seal = seal
        self._mint_key = seal.derive(MINT_LABEL)
        self._unique = unique
        self._count = count
        self._registered = registered
        self._case_sensitive = case_sensitive
        self._queue = WriteQueue(database, policy, clock=clock, spawn=spawn, on_written=on_written)

    async def write(self, write: Write) -> Verdict:
        """Carry out a write; see `Registrar`.  It is finished even when who asked goes away meanwhile."""
        begun = time.perf_counter_ns()
        try:
            verdict = await self._write(write)
        except StoreUnavailable:
            self._count(Event.WRITE_FAILED)
            raise
        is_done = verdict.code is ResponseCode.SUCCESS
        if is_done and write.operation is Operation.CREATE:
            self._registered(time.perf_counter_ns() - begun)
        self._count(Event.WRITTEN if is_done else Event.WRITE_REFUSED)
        return verdict

    async def _write(self, write: Write) -> Verdict:
        fault = _name_fault(write)
        if fault:
            return Verdict(ResponseCode.INVALID_HANDLE, fault)
        if write.operation in _PREFIX_OPERATIONS:
            return await asyncio.shield(self._write_prefix(write))
        intake = take_in(write, self._seal)
        if not write.mint:
            return await self._queue.submit(intake)
        suffix = repeatable_suffix(intake, self._mint_key) or self._unique()
        verdict = await self._mint(write, intake.digest, suffix)
        if (
            verdict.code is ResponseCode.HANDLE_ALREADY_EXISTS
        ):  # by the same key, more than a day ago
            verdict = await self._mint(write, intake.digest, self._unique())
        return verdict

    async def _mint(self, write: Write, digest: bytes, suffix: UUID) -> Verdict:
        """Write under a minted name, for which secrets are sealed: `write` has them as they were given."""
        name = minted_name(write.identifier, str(suffix))
        try:
            identifier = parse_handle(name, case_sensitive=self._case_sensitive)
        except IdentifierError as error:
            return Verdict(ResponseCode.INVALID_HANDLE, str(error))
        minted = take_in(replace(write, identifier=identifier), self._seal)
        return await self._queue.submit(replace(minted, digest=digest))

    async def _write_prefix(self, write: Write) -> Verdict:
        try:
            async with self._database.transaction() as connection:
                plan = await self._plan_prefix(connection, write)
                if isinstance(plan, Verdict):
                    return plan
                if plan.is_change:
                    await _store_prefix(connection, write, plan)
                return plan.verdict
        except StoreError as error:
            raise StoreUnavailable(str(error)) from error

    async def _plan_prefix(self, connection: Connection, write: Write) -> Plan | Verdict:
        facts, intake = BatchFacts(int(self._clock())), take_in(write, self._seal)
        facts.kept = await hold_prefix_names(connection, write.identifier.prefixes[:1])
        await read_more(connection, facts, intake.keys, write.identifier.prefixes)
        for _ in range(MAX_ROUNDS):
            found = decide(write, facts.of(intake, self._policy))
            if not isinstance(found, Missing):
                return found
            await read_more(connection, facts, found.keys)
        return TOO_DEEP


async def _store_prefix(connection: Connection, write: Write, plan: Plan) -> None:
    name = write.identifier.prefixes[0]
    spelling = minted_name(write.identifier, "").decode().rstrip("/")
    await set_prefix(connection, name, spelling, plan.prefix)
    serial = await append_changes(connection, [name], [ChangeKind.PREFIX])
    await append_prefix_version(connection, name, serial, who_and_why(write))


def _name_fault(write: Write) -> str:
    """Say what is wrong with a handle that nobody could ask for."""
    text = write.identifier.text
    if len(text.encode()) > MAX_HANDLE_BYTES:
        return f"A handle has at most {MAX_HANDLE_BYTES} bytes"
    if not text.isprintable() and write.operation is Operation.CREATE:
        return "A character of the handle cannot be printed; use visible characters and spaces"
    return ""
