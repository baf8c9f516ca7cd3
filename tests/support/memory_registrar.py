"""A registrar over a record store in memory: writing without a database.

What may be done is decided by the node's own rules; only what is read and stored is here.
"""

from collections.abc import Iterable
from dataclasses import replace

from node.registry.facts import Facts, RecordState, Refused, may
from node.registry.rules import Plan, decide
from node.store.prefixes import PrefixState
from resolver.identifier import PREFIX_HANDLE, Identifier
from resolver.registrar import Caller, History, Listing, Operation, Reading, Scope, Verdict, Write
from resolver.schemes import parse_handle
from resolver.source import SourceUnavailable
from resolver.wire import AdminPermission, HandleValue, Permission, Reference, ResponseCode
from tests.support.memory import MemoryStore

NOW = 1_700_000_000
MINTED = "minted"  # the suffix of every minted handle
_ROOT = parse_handle(b"0.NA/0.NA")


class _AllRead(dict[bytes, RecordState | None]):
    """Records of which none has to be read first."""

    def __contains__(self, key: object) -> bool:
        return True


class MemoryRegistrar:
    """Implements `resolver.registrar.Registrar`, without histories and idempotency."""

    def __init__(self, store: MemoryStore, server_admins: tuple[Reference, ...] = ()) -> None:
        self.store = store
        self.server_admins = server_admins
        self.writes: list[Write] = []

    async def write(self, write: Write) -> Verdict:
        """See `Registrar`."""
        self._check_up()
        self.writes.append(write)
        if write.mint:
            write = replace(write, identifier=_minted(write.identifier))
        found = decide(write, self._facts())
        if isinstance(found, Verdict):
            return found
        assert isinstance(found, Plan)
        self._store(write, found)
        return found.verdict._replace(handle=write.identifier.text.encode())

    async def read(self, identifier: Identifier, caller: Caller | None) -> Reading:
        """See `Registrar`."""
        self._check_up()
        values = self.store.values_by_key.get(identifier.key)
        if values is None:
            return Reading(ResponseCode.HANDLE_NOT_FOUND)
        right = AdminPermission.AUTHORIZED_READ
        allowed = caller is not None and may(
            caller, right, identifier, values, self._facts(), Scope.READ
        )
        shown = tuple(value for value in values if _is_shown(value, allowed=allowed))
        spelling, version = self.store.spellings[identifier.key], self._version(identifier.key)
        return Reading(ResponseCode.SUCCESS, "", spelling, shown, version)

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
        """See `Registrar`."""
        if prefix.prefixes[0] not in self.store.homed:
            return Listing(ResponseCode.SERVER_NOT_RESPONSIBLE)
        admins = self.store.values_by_key.get(prefix.key, ())
        below = prefix.prefixes[0] + b"/"
        names = {key: self.store.spellings[key] for key in self.store.values_by_key}
        names = {key: name for key, name in names.items() if key.startswith(below)}
        refusal = self._refusal(caller, prefix, admins)
        return refusal or _part(names, after, skip, limit, count=count)

    async def list_prefixes(
        self,
        caller: Caller | None,
        *,
        after: bytes = b"",
        skip: int = 0,
        limit: int = 1_000,
        count: bool = False,
    ) -> Listing:
        """See `Registrar`."""
        names = {name: name for name in self.store.homed}
        refusal = self._refusal(caller, _ROOT, ())
        return refusal or _part(names, after, skip, limit, count=count)

    async def history(
        self, identifier: Identifier, caller: Caller | None, *, before: int = 0, limit: int = 100
    ) -> History:
        """There are none."""
        del identifier, caller, before, limit
        return History(ResponseCode.OPERATION_NOT_SUPPORTED)

    def _refusal(
        self, caller: Caller | None, prefix: Identifier, admins: Iterable[HandleValue]
    ) -> Listing | None:
        self._check_up()
        if caller is None:
            return Listing(ResponseCode.AUTHENTICATION_NEEDED)
        right, facts = AdminPermission.LIST_HANDLES, self._facts()
        try:
            allowed = may(caller, right, prefix, tuple(admins), facts, Scope.LIST)
        except Refused as refused:
            return Listing(refused.verdict.code, refused.verdict.message)
        return None if allowed else Listing(ResponseCode.NOT_ADMINISTRATOR)

    def _facts(self) -> Facts:
        store, records = self.store, _AllRead()
        for key, values in store.values_by_key.items():
            records[key] = RecordState(self._version(key), False, store.spellings[key], values)
        prefixes = dict.fromkeys(store.homed, PrefixState.HOMED)
        prefixes |= dict.fromkeys(store.delegated, PrefixState.DELEGATED)
        return Facts(
            records, prefixes, NOW, self.server_admins, lambda name: parse_handle(name).key
        )

    def _store(self, write: Write, plan: Plan) -> None:
        key, store = write.identifier.key, self.store
        if write.operation is Operation.HOME:
            store.homed.add(key.removeprefix(PREFIX_HANDLE))
        elif write.operation is Operation.UNHOME:
            store.homed.discard(key.removeprefix(PREFIX_HANDLE))
        elif plan.values is None:
            store.values_by_key.pop(key, None)
        elif plan.is_change:
            store.put(write.identifier.text, plan.values)
            store.versions[key] = plan.verdict.version

    def _version(self, key: bytes) -> int:
        return self.store.versions.get(key, 1)

    def _check_up(self) -> None:
        if self.store.is_down:
            raise SourceUnavailable


def _minted(start: Identifier) -> Identifier:
    name = start.text + "/" if start.is_prefix_handle else start.text
    return parse_handle(f"{name}{MINTED}".encode())


def _is_shown(value: HandleValue, *, allowed: bool) -> bool:
    if value.type == b"HS_SECKEY":
        return False
    return value.is_public or (allowed and bool(value.permissions & Permission.ADMIN_READ))


def _part(
    names: dict[bytes, bytes], after: bytes, skip: int, limit: int, *, count: bool
) -> Listing:
    keys = [key for key in sorted(names) if key > after][skip : skip + limit]
    last = keys[-1] if keys and len(keys) == limit else b""
    found, total = tuple(names[key] for key in keys), len(names) if count else -1
    return Listing(ResponseCode.SUCCESS, names=found, total=total, last=last)
