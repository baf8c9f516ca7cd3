"""Objects of the model in Postgres: what they are now, their steps, and what only one of them may have.

Laws: who changes an object holds its row; owners are locked before what is theirs, and rows of one kind in the order of
their ids, so that nobody waits in a circle.  A step's version is written after the serial is known, and last.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from node.store.database import Connection, Database
from node.store.prefixes import PrefixState
from node.store.writing import WhoAndWhy

READ_SECONDS = 5.0
PREFIX_NAMES = 0x69646E70  # "idnp": the class of the advisory locks on names of prefixes

_STATE_OF = {"nobody": None, "here": PrefixState.HOMED, "enterprise": PrefixState.DELEGATED}
_COLUMNS = (
    "kind, id, enterprise, state, answerer, version, serial, changed_at, body::text, personal"
)
_READ = f"select {_COLUMNS} from object where kind = $1 and id = $2"  # noqa: S608  a constant
_LOCK = f"{_READ} for update"
_SHARE = f"{_READ} for share"
_LOCK_OF = f"""
select {_COLUMNS} from object where kind = $1 and enterprise = $2 order by id for update
"""  # noqa: S608  a constant
_OWNER = "select enterprise from object where kind = $1 and id = $2"
_LIST = f"""
select {_COLUMNS} from object
where kind = $1 and id > $2 and ($3::text is null or enterprise = $3)
    and ($4::text is null or state = $4)
order by id limit $5
"""  # noqa: S608  a constant
_STEPS = """
select version, at, action, state, caller, means, origin, reason from object_version
where kind = $1 and id = $2 and version > $3 order by version limit $4
"""
_INSERT = """
insert into object (kind, id, enterprise, state, answerer, version, changed_at, body, personal)
values ($1, $2, $3, $4, $5, $6, $7, $8::text::jsonb, $9)
on conflict (kind, id) do nothing returning id
"""
_UPDATE = """
update object set state = $3, answerer = $4, version = $5, changed_at = $6,
    body = $7::text::jsonb, personal = $8
where kind = $1 and id = $2
"""
_ANSWERERS = """
update object set answerer = line.answerer
from unnest($1::text[], $2::text[]) as line (id, answerer)
where object.kind = 'prefix' and object.id = line.id
"""
_STEPPED = """
with step as (
    select * from unnest($1::text[], $2::text[], $3::int[], $4::timestamptz[], $5::text[],
        $6::text[], $7::text[], $8::bytea[])
    as step (kind, id, version, at, action, state, before, before_personal)
), numbered as (
    update object set serial = $9 from step where (object.kind, object.id) = (step.kind, step.id)
)
insert into object_version (kind, id, version, serial, at, action, state, caller, means, origin,
    reason, before, before_personal)
select kind, id, version, $9, at, action, state, $10, $11, $12, $13, before::jsonb, before_personal
from step
"""
_CLAIM = """
insert into object_claim (claim, kind, id) select claim, $1, $2 from unnest($3::text[]) as claim
on conflict (claim) do nothing
"""
_LET_GO = "delete from object_claim where kind = $1 and id = $2 and claim <> all($3::text[])"
_TAKEN = """
select exists (
    select from object_claim where claim = any($3::text[]) and (kind, id) <> ($1::text, $2::text)
)
"""
_HOLD_NAMES = """
select pg_advisory_xact_lock($1, hashtext(name)) from unnest($2::text[]) as name order by name
"""
_KNOWN = "select id, answerer from object where kind = 'prefix' and id = any($1::text[])"
_WAS = "select exists (select from object_version where kind = $1 and id = $2 and action = $3)"
_IS_NAMED = """
select exists (
    select from record where gone is null and position($1::bytea in coalesce(whole, wire)) > 0
)
"""


class ObjectRow(NamedTuple):
    """A row of the object table; see the migration.  `body` is JSON."""

    kind: str
    id: str
    enterprise: str
    state: str
    answerer: str | None
    version: int
    serial: int
    changed_at: datetime
    body: str
    personal: bytes | None


class StepRow(NamedTuple):
    """A row of an object's history as it is shown: nothing of the value itself."""

    version: int
    at: datetime
    action: str
    state: str
    caller: str
    means: str
    origin: str
    reason: str


class StepLine(NamedTuple):
    """A step that was taken: the object afterwards, by which action, and the object before (None: it is new)."""

    after: ObjectRow
    action: str
    before: ObjectRow | None


async def read_object(database: Database, kind: str, key: str) -> ObjectRow | None:
    """Return an object, within READ_SECONDS.  Raises StoreUnavailable, StoreError."""
    async with database.connection_for(READ_SECONDS) as connection:
        row = await connection.fetchrow(_READ, kind, key)
    return ObjectRow(*row) if row else None


async def list_objects(
    database: Database,
    kind: str,
    *,
    enterprise: str | None,
    state: str | None,
    after: str,
    limit: int,
) -> list[ObjectRow]:
    """Return objects in the order of their ids.  Raises as `read_object`."""
    async with database.connection_for(READ_SECONDS) as connection:
        rows = await connection.fetch(_LIST, kind, after, enterprise, state, limit)
    return [ObjectRow(*row) for row in rows]


async def list_steps(
    database: Database, kind: str, key: str, *, after: int, limit: int
) -> list[StepRow]:
    """Return the steps of an object after a version, the oldest first.  Raises as `read_object`."""
    async with database.connection_for(READ_SECONDS) as connection:
        rows = await connection.fetch(_STEPS, kind, key, after, limit)
    return [StepRow(*row) for row in rows]


async def lock_object(
    connection: Connection, kind: str, key: str, *, share: bool = False
) -> ObjectRow | None:
    """Return an object and hold it until the open transaction ends; `share`: others may hold it so too."""
    row = await connection.fetchrow(_SHARE if share else _LOCK, kind, key)
    return ObjectRow(*row) if row else None


async def lock_objects_of(connection: Connection, kind: str, enterprise: str) -> list[ObjectRow]:
    """Return all objects of a kind that are an enterprise's, and hold them."""
    return [ObjectRow(*row) for row in await connection.fetch(_LOCK_OF, kind, enterprise)]


async def owner_of(connection: Connection, kind: str, key: str) -> str | None:
    """Return whose an object is; None: there is no such object.  It stays whose it is."""
    owner: str | None = await connection.fetchval(_OWNER, kind, key)
    return owner


async def insert_object(connection: Connection, row: ObjectRow) -> bool:
    """Add an object in the open transaction, and return whether its name was free."""
    given = (row.kind, row.id, row.enterprise, row.state, row.answerer, row.version, row.changed_at)
    return bool(await connection.fetchval(_INSERT, *given, row.body, row.personal))


async def update_object(connection: Connection, row: ObjectRow) -> None:
    """Replace an object that is held."""
    given = (row.kind, row.id, row.state, row.answerer, row.version, row.changed_at)
    await connection.execute(_UPDATE, *given, row.body, row.personal)


async def set_answerers(connection: Connection, answerers: Mapping[str, str]) -> None:
    """Note who answers for prefixes, by id; they are held."""
    await connection.execute(_ANSWERERS, list(answerers), list(answerers.values()))


async def add_steps(
    connection: Connection, steps: Sequence[StepLine], serial: int, who: WhoAndWhy
) -> None:
    """Write the versions of steps, and the serial into their objects; `who.operation` counts for nothing."""
    if not steps:  # nothing was to be changed
        return
    lines = [
        (
            *(each.after.kind, each.after.id, each.after.version, each.after.changed_at),
            *(each.action, each.after.state),
            each.before.body if each.before else None,
            each.before.personal if each.before else None,
        )
        for each in steps
    ]
    columns = [list(column) for column in zip(*lines, strict=True)]
    await connection.execute(_STEPPED, *columns, serial, *who[1:])


async def claim(connection: Connection, kind: str, key: str, claims: Sequence[str]) -> bool:
    """Have an object hold these claims and no others; return False when one is another's."""
    await connection.execute(_LET_GO, kind, key, claims)
    await connection.execute(_CLAIM, kind, key, claims)
    return not await connection.fetchval(_TAKEN, kind, key, claims)


async def hold_prefix_names(
    connection: Connection, names: Sequence[bytes]
) -> dict[bytes, PrefixState | None]:
    """Hold names of prefixes until the open transaction ends, so that nobody else gives them a meaning; return those
    that the model knows, and how it has them answered (None: by nobody).
    """
    texts = [name.decode("utf-8", "replace") for name in names]
    await connection.execute(_HOLD_NAMES, PREFIX_NAMES, texts)
    return {
        row["id"].encode(): _STATE_OF[row["answerer"] or "nobody"]
        for row in await connection.fetch(_KNOWN, texts)
    }


async def was_taken(database: Database, kind: str, key: str, action: str) -> bool:
    """Return whether an object ever took a step.  Raises as `read_object`."""
    async with database.connection_for(READ_SECONDS) as connection:
        return bool(await connection.fetchval(_WAS, kind, key, action))


async def is_named_in_records(database: Database, name: bytes) -> bool:
    """Return whether the values of any record hold these bytes: all records are read.  Raises as `read_object`."""
    async with database.connection() as connection:
        return bool(await connection.fetchval(_IS_NAMED, name))
