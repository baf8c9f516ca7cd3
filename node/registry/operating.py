"""Carrying out rows of operations by the registrar's rules, many in a transaction, each with its own result.

Laws: rows are carried out in the order of the file; a record is in a transaction once, so a second row about it begins
the next one; a transaction is decided on what is there, and decided again when another writer was faster.  The change
counter is its last lock (see `node.store.changes`).  A dry run decides the same, on what its earlier rows would have
left behind, and stores nothing.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

from node.registry.encoding import RecordTooLong
from node.registry.facts import MAX_ROUNDS, TOO_DEEP, RecordState
from node.registry.merging import Difference, difference_of
from node.registry.outcomes import Outcome, RowResult
from node.registry.preparation import (
    BatchFacts,
    Intake,
    Policy,
    Prepared,
    minted_name,
    prepare,
    read_batch,
    read_more,
    take_in,
    who_and_why,
)
from node.registry.rowwrites import RowWrite
from node.registry.rules import Plan, decide
from node.store.changes import ChangeKind, append_changes
from node.store.database import Connection, OwnConnection, StoreUnavailable, store_errors
from node.store.load import KeyTaken, load_transaction
from node.store.objects import hold_prefix_names
from node.store.prefixes import PrefixState
from node.store.writing import append_prefix_version, commit, set_prefix
from resolver.keys.seal import Seal
from resolver.registrar import Operation, Verdict
from resolver.wire import ResponseCode

GROUP_ROWS = 500  # in one transaction, which must stay below 250 ms
MAX_TRIES = 20  # while others write the same records
PLANNED_RECORDS = (
    100_000  # that a dry run remembers; of the oldest it forgets what it would have done
)

_ON_PREFIXES = frozenset({Operation.HOME, Operation.UNHOME})

AndAlso = Callable[[Connection, Sequence[RowResult]], Awaitable[None]]
"""What belongs into the transaction of a group: how far the job has come."""


@dataclass(frozen=True, slots=True)
class _Decided:
    """One row with what is to become of it."""

    row: RowWrite
    intake: Intake
    found: Verdict | Prepared


def groups(rows: Sequence[RowWrite]) -> Iterator[list[RowWrite]]:
    """Cut rows into groups that can share a transaction; what is done to a prefix stands alone."""
    group: list[RowWrite] = []
    keys: set[bytes] = set()
    for row in rows:
        key, alone = row.write.identifier.key, row.write.operation in _ON_PREFIXES
        if group and (alone or key in keys or len(group) >= GROUP_ROWS):
            yield group
            group, keys = [], set()
        group.append(row)
        keys.add(key)
        if alone:
            yield group
            group, keys = [], set()
    if group:
        yield group


class OperationWriter:
    """Carries out groups of rows over one connection."""

    def __init__(
        self,
        connection: OwnConnection,
        policy: Policy,
        seal: Seal,
        clock: Callable[[], float],
    ) -> None:
        self._connection = connection
        self._policy = policy
        self._seal = seal
        self._clock = clock
        self._planned: dict[bytes, RecordState] = {}  # of a dry run
        self._planned_prefixes: dict[bytes, PrefixState | None] = {}

    async def write(self, rows: list[RowWrite], and_also: AndAlso) -> None:
        """Carry out a group.  Raises StoreUnavailable, StoreError."""
        for _ in range(MAX_TRIES):
            try:
                with store_errors():
                    async with load_transaction(self._connection):
                        await self._carry_out(rows, and_also)
                    return
            except KeyTaken:  # somebody else writes the same records at this moment
                continue
        raise StoreUnavailable("others keep writing the same records")

    async def plan(self, rows: list[RowWrite]) -> list[RowResult]:
        """Return what a group would do, after the groups planned before.  Raises StoreUnavailable, StoreError."""
        with store_errors():
            facts, decided = await self._decide(rows)
        for each in decided:
            self._remember(each, facts)
        return [_result(each, facts) for each in decided]

    async def _carry_out(self, rows: list[RowWrite], and_also: AndAlso) -> None:
        facts, decided = await self._decide(rows)
        await and_also(self._connection, [_result(each, facts) for each in decided])
        planned = [each.found for each in decided if isinstance(each.found, Prepared)]
        if rows[0].write.operation in _ON_PREFIXES:
            for each in decided:
                await self._store_prefix(each)
            return
        lines = [each.line for each in planned if each.line is not None]
        written = await commit(self._connection, lines, []) if lines else {}
        if len(written) < len(lines):
            raise KeyTaken

    async def _store_prefix(self, decided: _Decided) -> None:
        plan = decided.found.plan if isinstance(decided.found, Prepared) else None
        if plan is None or not plan.is_change:
            return
        write = decided.row.write
        name = write.identifier.prefixes[0]
        spelling = minted_name(write.identifier, "").decode().rstrip("/")
        await set_prefix(self._connection, name, spelling, plan.prefix)
        serial = await append_changes(self._connection, [name], [ChangeKind.PREFIX])
        await append_prefix_version(self._connection, name, serial, who_and_why(write))

    async def _decide(self, rows: list[RowWrite]) -> tuple[BatchFacts, list[_Decided]]:
        intakes = [take_in(row.write, self._seal) for row in rows]
        on_prefixes = [row.write for row in rows if row.write.operation in _ON_PREFIXES]
        names = [name for write in on_prefixes for name in write.identifier.prefixes[:1]]
        kept = await hold_prefix_names(self._connection, names) if names else {}
        facts = await read_batch(self._connection, intakes, int(self._clock()))
        facts.kept = kept
        self._lay_over(facts)
        decided = []
        for row, intake in zip(rows, intakes, strict=True):
            decided.append(_Decided(row, intake, await self._decide_one(intake, facts)))
        return facts, decided

    async def _decide_one(self, intake: Intake, facts: BatchFacts) -> Verdict | Prepared:
        for _ in range(MAX_ROUNDS):
            found = decide(intake.write, facts.of(intake, self._policy))
            if isinstance(found, Verdict):
                return found
            if isinstance(found, Plan):
                return _prepared(intake, found, facts)
            await read_more(self._connection, facts, found.keys)
            self._lay_over(facts)
        return TOO_DEEP

    def _lay_over(self, facts: BatchFacts) -> None:
        """Put what a dry run would have done over what is stored."""
        for key in facts.records.keys() & self._planned.keys():
            facts.records[key] = self._planned[key]
        for name, state in self._planned_prefixes.items():
            if state is None:
                facts.prefixes.pop(name, None)
            else:
                facts.prefixes[name] = state

    def _remember(self, decided: _Decided, facts: BatchFacts) -> None:
        if not isinstance(decided.found, Prepared) or not decided.found.plan.is_change:
            return
        plan, write = decided.found.plan, decided.row.write
        if write.operation in _ON_PREFIXES:
            self._planned_prefixes[write.identifier.prefixes[0]] = plan.prefix
            return
        key = decided.intake.key
        while len(self._planned) >= PLANNED_RECORDS:
            del self._planned[next(iter(self._planned))]
        handle = decided.found.verdict.handle
        version = plan.replaces + 1
        self._planned[key] = RecordState(version, plan.values is None, handle, plan.values or ())


def _prepared(intake: Intake, plan: Plan, facts: BatchFacts) -> Verdict | Prepared:
    if intake.write.operation in _ON_PREFIXES:
        return Prepared(plan, plan.verdict, None, None)
    try:
        return prepare(intake, plan, facts)
    except RecordTooLong as error:
        return Verdict(ResponseCode.INVALID_VALUE, str(error))


def _result(decided: _Decided, facts: BatchFacts) -> RowResult:
    row, found = decided.row, decided.found
    if isinstance(found, Verdict):
        return _refused(row, found)
    plan, operation = found.plan, row.write.operation
    if not plan.is_change:
        return RowResult(row.row, row.handle, Outcome.UNCHANGED)
    if operation in _ON_PREFIXES:
        return RowResult(row.row, row.handle, Outcome.CHANGED)
    if plan.values is None:
        return RowResult(row.row, row.handle, Outcome.DELETED)
    state = facts.records.get(decided.intake.key)
    if state is None or state.is_gone:
        return RowResult(row.row, row.handle, Outcome.CREATED)
    difference = difference_of(state.values, plan.values)
    return RowResult(row.row, row.handle, Outcome.CHANGED, difference)


def _refused(row: RowWrite, verdict: Verdict) -> RowResult:
    code = verdict.code
    said = verdict.message or code.name.lower().replace("_", " ")
    return RowResult(row.row, row.handle, Outcome.REFUSED, Difference(), said, int(code))
