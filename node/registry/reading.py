"""RecordReader: what callers may read of records from the database itself: values, lists, histories."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TypeVar

from node.registry.facts import (
    MAX_ROUNDS,
    TOO_DEEP,
    Facts,
    Refused,
    Unread,
    Values,
    check_homed,
    may,
    not_here,
    prefix_admins,
)
from node.registry.preparation import BatchFacts, Policy, read_more
from node.store.database import Connection, Database, StoreError, StoreUnavailable
from node.store.listing import (
    VersionRow,
    count_handles,
    count_homed,
    list_handles,
    list_homed,
    read_history,
)
from node.store.records import is_secret
from resolver.identifier import PREFIX_HANDLE, Identifier
from resolver.registrar import Caller, History, Listing, Operation, Reading, Revision, Scope
from resolver.schemes import parse_handle
from resolver.wire import AdminPermission, HandleValue, Permission, ResponseCode, decode_values

READ_SECONDS = 5.0
MAX_PAGE = 10_000
MAX_SKIP = 10_000_000
NEWEST_VERSION = 2**31 - 1

_ROOT = parse_handle(b"0.NA/0.NA", case_sensitive=False)

Found = TypeVar("Found")


class RecordReader:
    """The reading half of `RecordRegistrar`."""

    def __init__(
        self, database: Database, listing: Database, policy: Policy, clock: Callable[[], float]
    ) -> None:
        """`listing` is for lists, histories and counts, so that they hold up no login and no write."""
        self._database = database
        self._listing = listing
        self._policy = policy
        self._clock = clock

    async def read(self, identifier: Identifier, caller: Caller | None) -> Reading:
        """Return the values that the caller may read; see `Registrar`."""

        def look(facts: Facts) -> Reading:
            check_homed(identifier, facts)
            state = facts.alive(identifier.key)
            if state is None:
                raise Refused(ResponseCode.HANDLE_NOT_FOUND)
            allowed = caller is not None and _may_read(caller, identifier, state.values, facts)
            shown = tuple(value for value in state.values if _is_shown(value, allowed=allowed))
            return Reading(ResponseCode.SUCCESS, "", state.handle, shown, state.version)

        async with _reading(self._database) as connection:
            return await self._ask(connection, identifier, look, Reading)

    async def list_handles(
        self,
        prefix: Identifier,
        caller: Caller | None,
        *,
        after: bytes = b"",
        skip: int = 0,
        limit: int = 1_000,
        count: bool = False,
    ) -> Listing:
        """Return handles under a prefix; see `Registrar`."""

        def look(facts: Facts) -> Listing:
            name = prefix.prefixes[0]
            if not prefix.is_prefix_handle or name not in facts.prefixes:
                raise not_here()
            state = facts.alive(PREFIX_HANDLE + name)
            return _may_list(caller, prefix, state.values if state else (), facts)

        name, size = prefix.prefixes[0], min(limit, MAX_PAGE)

        async def page(connection: Connection) -> Listing:
            found = await list_handles(connection, name, after, min(skip, MAX_SKIP), size)
            total = await count_handles(connection, name) if count else -1
            return _listing(found, total, size)

        async with _reading(self._listing) as connection:
            allowed = await self._ask(connection, prefix, look, Listing)
        if allowed.code is not ResponseCode.SUCCESS:
            return allowed
        with _refusals():
            return await self._listing.read(READ_SECONDS, page)

    async def list_prefixes(
        self,
        caller: Caller | None,
        *,
        after: bytes = b"",
        skip: int = 0,
        limit: int = 1_000,
        count: bool = False,
    ) -> Listing:
        """Return the prefixes homed here; see `Registrar`.  For server administrators."""
        async with _reading(self._listing) as connection:
            allowed = await self._ask(
                connection, _ROOT, lambda facts: _may_list(caller, _ROOT, (), facts), Listing
            )
            if allowed.code is not ResponseCode.SUCCESS:
                return allowed
            size = min(limit, MAX_PAGE)
            found = await list_homed(connection, after, min(skip, MAX_SKIP), size)
            total = await count_homed(connection) if count else -1
            return _listing(found, total, size)

    async def history(
        self, identifier: Identifier, caller: Caller | None, *, before: int = 0, limit: int = 100
    ) -> History:
        """Return the newest revisions of a record; see `Registrar`.

        For who may read all of it now; of a deleted one, for who may create it under its prefix.
        """
        current: list[Values | None] = []

        def look(facts: Facts) -> History:
            check_homed(identifier, facts)
            if caller is None:
                raise Refused(ResponseCode.AUTHENTICATION_NEEDED)
            state = facts.records.get(identifier.key)
            if state is None:
                raise Refused(ResponseCode.HANDLE_NOT_FOUND)
            if not _may_read_history(caller, identifier, facts):
                raise Refused(ResponseCode.NOT_ADMINISTRATOR)
            current[:] = [None if state.is_gone else state.values]
            return History(ResponseCode.SUCCESS)

        async with _reading(self._listing) as connection:
            allowed = await self._ask(connection, identifier, look, History)
            if allowed.code is not ResponseCode.SUCCESS:
                return allowed
            size = max(0, min(limit, MAX_PAGE))
            below = before + 1 if before else NEWEST_VERSION
            rows = await read_history(connection, identifier.key, below, size + 1)
            revisions = _revisions(rows, current[0])
            if before and revisions and revisions[0].version == before:
                revisions = revisions[1:]
            return History(ResponseCode.SUCCESS, revisions=tuple(revisions[:size]))

    async def _ask(
        self,
        connection: Connection,
        identifier: Identifier,
        look: Callable[[Facts], Found],
        refusal: Callable[[ResponseCode, str], Found],
    ) -> Found:
        """Look at the facts, reading more of them until that is possible."""
        facts = BatchFacts(int(self._clock()))
        keys: Iterable[bytes] = (identifier.key, identifier.prefix_key)
        await read_more(connection, facts, keys, identifier.prefixes)
        for _ in range(MAX_ROUNDS):
            try:
                return look(facts.for_reading(self._policy))
            except Unread as unread:
                await read_more(connection, facts, unread.missing.keys)
            except Refused as refused:
                return refusal(refused.verdict.code, refused.verdict.message)
        return refusal(TOO_DEEP.code, TOO_DEEP.message)


@asynccontextmanager
async def _reading(database: Database) -> AsyncIterator[Connection]:
    with _refusals():
        async with database.connection_for(READ_SECONDS) as connection:
            yield connection


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except StoreError as error:
        raise StoreUnavailable(str(error)) from error


def _may_list(caller: Caller | None, prefix: Identifier, admins: Values, facts: Facts) -> Listing:
    if caller is None:
        raise Refused(ResponseCode.AUTHENTICATION_NEEDED)
    if not may(caller, AdminPermission.LIST_HANDLES, prefix, admins, facts, Scope.LIST):
        raise Refused(
            ResponseCode.NOT_ADMINISTRATOR, "Who asks may not list; that takes the list right"
        )
    return Listing(ResponseCode.SUCCESS)


def _may_read(caller: Caller, identifier: Identifier, admins: Values, facts: Facts) -> bool:
    """Whether the caller may read values that only administrators may; a token that is not for it reads public ones."""
    try:
        right = AdminPermission.AUTHORIZED_READ
        return may(caller, right, identifier, admins, facts, Scope.READ)
    except Refused:
        return False


def _may_read_history(caller: Caller, identifier: Identifier, facts: Facts) -> bool:
    state = facts.alive(identifier.key)
    if state is not None:
        return _may_read(caller, identifier, state.values, facts)
    right = AdminPermission.ADD_HANDLE
    return may(caller, right, identifier, prefix_admins(identifier, facts), facts, Scope.READ)


def _is_shown(value: HandleValue, *, allowed: bool) -> bool:
    if is_secret(value):
        return False
    return value.is_public or (allowed and bool(value.permissions & Permission.ADMIN_READ))


def _listing(found: list[tuple[bytes, bytes]], total: int, size: int) -> Listing:
    last = found[-1][0] if found and len(found) == size else b""
    names = tuple(spelling for _, spelling in found)
    return Listing(ResponseCode.SUCCESS, names=names, total=total, last=last)


def _revisions(rows: list[VersionRow], after: Values | None) -> list[Revision]:
    """Return revisions, newest first: what one left behind is what the next one replaced."""
    found = []
    for row in rows:
        shown = None if after is None else tuple(v for v in after if _is_shown(v, allowed=True))
        found.append(
            Revision(
                row.version,
                row.serial,
                int(row.at.timestamp()),
                Operation(row.operation),
                row.caller,
                row.means,
                row.origin,
                row.reason,
                shown,
            )
        )
        after = None if row.before is None else decode_values(row.before)
    return found
