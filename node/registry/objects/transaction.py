"""Transaction: one step, or several that belong together: objects, rows, resolution and versions, or nothing of it.

The order: objects are held (owners first), written, and their claims; then prefix records and prefixes; then the rows
that are synced, with the serials of all changes; then versions.  Nothing is told to anybody before the commit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from node.model.enterprise import Enterprise
from node.model.prefix import Prefix
from node.model.rule import ModelError, Rule
from node.model.site import Site
from node.registry.objects.bodies import pack, state_of, unpack
from node.registry.objects.effects import Answered, carry_out
from node.registry.objects.held import (
    Actor,
    Held,
    ObjectExists,
    ObjectKind,
    ObjectMissing,
    Value,
    VersionMoved,
)
from node.registry.objects.identity import canonical_id, id_of, kind_of
from node.registry.objects.rows import photos_of, row_of
from node.store.answering import add_versions
from node.store.changes import ChangeKind
from node.store.database import Connection
from node.store.files import name_files
from node.store.objects import (
    ObjectRow,
    StepLine,
    add_steps,
    claim,
    insert_object,
    lock_object,
    lock_objects_of,
    set_answerers,
    update_object,
)
from node.store.synced import RowChange, SyncedRows
from node.store.writing import WhoAndWhy
from resolver.keys.seal import Seal


class Means(NamedTuple):
    """What steps need: the key of what is personal, who writes rows, where this node answers, the epoch second."""

    seal: Seal
    rows: SyncedRows
    here: Sequence[Site]
    clock: Callable[[], float]


class Deed(NamedTuple):
    """What is done, by whom, and why; the action is a rule's name, such as `prefix.activate`."""

    action: str
    actor: Actor
    reason: str = ""

    @property
    def who(self) -> WhoAndWhy:
        """What the version of an object says."""
        actor = self.actor
        return WhoAndWhy(self.action, actor.caller, actor.means, actor.origin, self.reason)

    @property
    def who_as_effect(self) -> WhoAndWhy:
        """What the versions of records and prefixes say, which know no such actions: the reason names it."""
        reason = f"{self.action}: {self.reason}" if self.reason else self.action
        return self.who._replace(reason=reason)


class Whose(NamedTuple):
    """What an object's row is made of besides its value.

    `enterprise`: empty for the node's own; `owner`: the enterprise of a prefix; `is_kept`: False for a route that goes.
    """

    enterprise: str = ""
    owner: Enterprise | None = None
    is_kept: bool = True


@dataclass(slots=True)
class Transaction:
    """A step in an open transaction.  `told` are the records that it changed, with their serials, once it is closed."""

    connection: Connection
    means: Means
    deed: Deed
    told: list[tuple[bytes, int]] = field(default_factory=list)
    _held: dict[tuple[str, str], ObjectRow] = field(default_factory=dict)
    _steps: list[StepLine] = field(default_factory=list)
    _rows: list[RowChange] = field(default_factory=list)
    _answered: dict[str, Answered] = field(default_factory=dict)  # by the prefix's id

    async def find(self, kind: ObjectKind, key: str, *, share: bool = False) -> Held | None:
        """Return an object and hold it; `share` when it is not to be changed."""
        row = await lock_object(self.connection, kind.value, canonical_id(kind, key), share=share)
        return self._keep(row) if row else None

    async def hold(
        self, kind: ObjectKind, key: str, *, if_version: int | None = None, share: bool = False
    ) -> Held:
        """Return an object and hold it.  Raises ObjectMissing, VersionMoved."""
        held = await self.find(kind, key, share=share)
        if held is None:
            raise ObjectMissing(kind, canonical_id(kind, key))
        check_version(held, if_version)
        return held

    async def hold_all(self, kind: ObjectKind, enterprise: str) -> list[Held]:
        """Return all objects of a kind that are an enterprise's, and hold them."""
        rows = await lock_objects_of(self.connection, kind.value, enterprise)
        return [self._keep(row) for row in rows]

    async def put(self, value: Value, before: Held | None, whose: Whose | None = None) -> Held:
        """Write an object as it is after the step, in the place of `before`.  Raises ObjectExists, ModelError."""
        whose = whose or Whose()
        row = self._row(value, before, whose)
        if before is not None:
            await update_object(self.connection, row)
        elif not await insert_object(self.connection, row):
            raise ObjectExists(ObjectKind(row.kind), row.id)
        if isinstance(value, Enterprise):
            await self._claim(value)
        await name_files(self.connection, photos_of(value))
        if isinstance(value, Prefix) and whose.owner is not None:
            self.answer(value, whose.owner)
        else:
            enterprise, _, is_kept = whose
            self._rows.append(row_of(value, enterprise=enterprise, is_kept=is_kept))
        old = self._held[row.kind, row.id] if before else None
        self._steps.append(StepLine(row, self.deed.action, old))
        return _shown(row, value)

    def answer(self, prefix: Prefix, owner: Enterprise) -> None:
        """Have a prefix that is held answered, and its route told, as its state and its owner's are now."""
        self._answered[id_of(prefix)] = Answered(prefix, prefix.answerer(owner))
        self._rows.append(row_of(prefix, owner=owner, here=self.means.here))

    async def close(self) -> None:
        """Write what follows from the objects.  The last thing before the commit, since it holds up all writers."""
        connection, wanted = self.connection, self._answered
        effects = await carry_out(connection, list(wanted.values()), int(self.means.clock()))
        if wanted:
            answerers = {key: each.answerer.value for key, each in wanted.items()}
            await set_answerers(connection, answerers)
        also = [(each.key, each.kind) for each in effects]
        newest = await self.means.rows.write(connection, self._rows, also)
        first = newest - len(also) + 1
        lines = [each.version._replace(serial=first + n) for n, each in enumerate(effects)]
        await add_versions(connection, lines, self.deed.who_as_effect)
        await add_steps(connection, self._steps, newest, self.deed.who)
        self.told = [
            (each.key, first + n)
            for n, each in enumerate(effects)
            if each.kind is ChangeKind.RECORD
        ]

    def _keep(self, row: ObjectRow) -> Held:
        self._held[row.kind, row.id] = row
        return unpack(row, self.means.seal)

    def _row(self, value: Value, before: Held | None, whose: Whose) -> ObjectRow:
        kind, key = kind_of(value), id_of(value, whose.enterprise)
        body, personal = pack(value, kind, key, self.means.seal)
        enterprise = value.enterprise if isinstance(value, Prefix) else whose.enterprise
        return ObjectRow(
            kind.value,
            key,
            enterprise,
            state_of(value, is_kept=whose.is_kept),
            value.answerer(whose.owner).value
            if isinstance(value, Prefix) and whose.owner
            else None,
            before.version + 1 if before else 1,
            0,
            datetime.fromtimestamp(self.means.clock(), UTC),
            body,
            personal,
        )

    async def _claim(self, value: Enterprise) -> None:
        """The certificate of an organisation is one enterprise's, in its newest form and in the approved one."""
        forms = [form for form in (value.form, value.approved) if form]
        papers = {form.organisation.certificate for form in forms}
        claims = [f"certificate {kind} {number}" for kind, number in sorted(papers)]
        if not await claim(self.connection, ObjectKind.ENTERPRISE.value, value.id, claims):
            raise ModelError(
                "form.organisation.certificate_number",
                Rule.UNIQUE,
                "another enterprise here has this certificate; change that one",
            )


def check_version(held: Held, if_version: int | None) -> None:
    """Raise VersionMoved unless an object is at the version that the step is meant for (None: at any)."""
    if if_version not in (None, held.version):
        raise VersionMoved(held)


def check_new(kind: ObjectKind, key: str, if_version: int | None) -> None:
    """Raise ObjectMissing when a step was meant for a version of an object that is not there."""
    if if_version:
        raise ObjectMissing(kind, key)


def _shown(row: ObjectRow, value: Value) -> Held:
    kind, key, enterprise, state = ObjectKind(row.kind), row.id, row.enterprise, row.state
    return Held(kind, key, enterprise, state, row.version, row.changed_at, value)
