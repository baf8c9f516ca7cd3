"""Facts: what has been read for a write, and who may by it; pure.

What a question needs and has not been read raises `Unread`; what is not allowed raises `Refused`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from node.store.prefixes import PrefixState
from resolver.access import NO_RIGHTS, Canonical, Missing, admits_any, rights
from resolver.identifier import PREFIX_HANDLE, Identifier, Scheme
from resolver.registrar import Caller, Scope, Verdict
from resolver.service import NOT_HERE
from resolver.wire import AdminPermission, HandleValue, Reference, ResponseCode

MAX_ROUNDS = 20  # of reading what a question needs: groups within groups
TOO_DEEP = Verdict(ResponseCode.NOT_ADMINISTRATOR, "Groups are nested too deeply")

_WHOLE_NAMES = frozenset({Scheme.HANDLE, Scheme.DOI})

Values = tuple[HandleValue, ...]


class RecordState(NamedTuple):
    """A record as stored, secret keys sealed; a tombstone has no values."""

    version: int
    is_gone: bool
    handle: bytes
    values: Values


@dataclass(frozen=True, slots=True)
class Facts:
    """What has been read: records by canonical key (None: there is none; absent: not read), and prefixes.

    `now` is an epoch second; `to_values` what a REVERT goes back to (None: there is no such version, or no record
    then); `kept` how the model has the prefixes that it knows answered (None: by nobody), read for HOME and UNHOME.
    """

    records: Mapping[bytes, RecordState | None]
    prefixes: Mapping[bytes, PrefixState]
    now: int
    server_admins: tuple[Reference, ...]
    canonical: Canonical
    to_values: Values | None = None
    kept: Mapping[bytes, PrefixState | None] = field(default_factory=dict)

    def alive(self, key: bytes) -> RecordState | None:
        """Return the record if it has been read and is there."""
        state = self.records.get(key)
        return None if state is None or state.is_gone else state

    @property
    def groups(self) -> "Groups":
        """The records that have been read, for following HS_VLIST values."""
        return Groups(self.records)


class Groups(Mapping[bytes, Values | None]):
    """The values of records that have been read: a view, since a batch has many records and a question asks for few."""

    __slots__ = ("_records",)

    def __init__(self, records: Mapping[bytes, RecordState | None]) -> None:
        self._records = records

    def __getitem__(self, key: bytes) -> Values | None:
        state = self._records[key]
        return state.values if state else None

    def __contains__(self, key: object) -> bool:
        return key in self._records

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._records)

    def __len__(self) -> int:
        return len(self._records)


class Refused(Exception):
    """The write is not carried out; the verdict says why."""

    def __init__(self, code: ResponseCode, message: str = "") -> None:
        super().__init__(message)
        self.verdict = Verdict(code, message)


class Unread(Exception):
    """Records must be read before there is a verdict."""

    def __init__(self, missing: Missing) -> None:
        super().__init__()
        self.missing = missing


def may(
    caller: Caller,
    needed: AdminPermission,
    identifier: Identifier,
    admins: Values,
    facts: Facts,
    scope: Scope,
) -> bool:
    """Whether the caller has these rights by the HS_ADMIN values among `admins`.  Raises Unread."""
    check_scope(caller, identifier, scope)
    if is_server_admin(caller, facts):
        return True
    found = rights(caller, admins, facts.groups, facts.canonical)
    if isinstance(found, Missing):
        raise Unread(found)
    return needed & ~found == NO_RIGHTS and bool(found)


def is_server_admin(caller: Caller, facts: Facts) -> bool:
    """Whether the caller may do everything here.  Raises Unread."""
    if caller.is_operator:
        return True
    found = admits_any(caller, facts.server_admins, facts.groups, facts.canonical)
    if isinstance(found, Missing):
        raise Unread(found)
    return found


def is_homed(identifier: Identifier, facts: Facts) -> bool:
    """Whether records of this identifier are kept here.

    A prefix record is kept where its prefix, or one above it, is known; any other under the whole prefix of a handle,
    or the nearest namespace of another scheme.
    """
    if identifier.is_prefix_handle:
        return any(name in facts.prefixes for name in identifier.prefixes)
    whole = identifier.scheme in _WHOLE_NAMES
    for name in identifier.prefixes[:1] if whole else identifier.prefixes:
        if name in facts.prefixes:
            return facts.prefixes[name] is PrefixState.HOMED
    return False


def prefix_admins(identifier: Identifier, facts: Facts) -> Values:
    """Return the values that say who administers the prefix an identifier stands under: of `0.NA/` and the nearest
    prefix that is known, and for a prefix record of those above it.  Raises Unread.
    """
    names = identifier.prefixes[1:] if identifier.is_prefix_handle else identifier.prefixes
    known = next((name for name in names if name in facts.prefixes), None)
    if known is None:
        return ()
    return _admins_of(PREFIX_HANDLE + known, facts)


def _admins_of(key: bytes, facts: Facts) -> Values:
    if key not in facts.records:
        raise Unread(Missing(frozenset({key})))
    state = facts.alive(key)
    return state.values if state else ()


def check_scope(caller: Caller, identifier: Identifier, scope: Scope) -> None:
    """Hold a token to what it is for.  Raises Refused."""
    if caller.scopes is not None and scope not in caller.scopes:
        raise Refused(
            ResponseCode.INSUFFICIENT_PERMISSIONS, f"This token is not for this ({scope.value})"
        )
    if caller.prefixes and not set(caller.prefixes) & set(identifier.prefixes):
        raise Refused(ResponseCode.INSUFFICIENT_PERMISSIONS, "This token is not for this prefix")


def check_homed(identifier: Identifier, facts: Facts) -> None:
    """Raise Refused for an identifier whose records are not kept here."""
    if not is_homed(identifier, facts):
        raise not_here()


def not_here() -> Refused:
    """Return the refusal of what is under a prefix of another server."""
    return Refused(ResponseCode.SERVER_NOT_RESPONSIBLE, NOT_HERE)


def no_right() -> Refused:
    """Return the refusal of a caller who lacks a right."""
    return Refused(
        ResponseCode.NOT_ADMINISTRATOR, "Who asks is no administrator with the right to do this"
    )
