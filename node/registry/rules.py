"""What becomes of a write: the rules of the Handle protocol, as one pure function of the write and what is stored.

`decide` gives a verdict (refused), a plan (what is to be stored), or what must be read first.  The order of the checks
is part of the contract, since clients notice it: what is wrong without regard to who asks is told first, then that
somebody must prove who asks (402), then what is there (100, 200, 201), then rights (400, 401), then conditions.
Sources: RFC 3652 §3; spec features-and-contracts §2.6–2.8, handle-protocol §8.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from node.model.stage import PREFIX_LIFE, PrefixAction
from node.registry.facts import (
    Facts,
    RecordState,
    Refused,
    Unread,
    Values,
    check_homed,
    check_scope,
    is_server_admin,
    may,
    no_right,
    not_here,
    prefix_admins,
)
from node.store.prefixes import PrefixState
from resolver.access import (
    NO_RIGHTS,
    Missing,
    is_writable,
    needed_to_add,
    needed_to_modify,
    needed_to_remove,
)
from resolver.registrar import MUST_EXIST, Caller, Operation, Scope, Verdict, Write
from resolver.wire import MAX_VALUES, AdminPermission, HandleValue, ResponseCode

MAX_INDEX = 2**31 - 1
MAX_PREFIX_BYTES = 255


class Plan(NamedTuple):
    """What is to be stored: `values` (None: a tombstone), in the place of version `replaces` (0: of nothing).

    `is_change` is False when all is as it should be already.  `prefix` is the new state of a prefix, UNHOMED when it
    is to go.
    """

    verdict: Verdict
    values: Values | None = None
    replaces: int = 0
    is_change: bool = True
    prefix: PrefixState | None = None


def decide(write: Write, facts: Facts) -> Verdict | Missing | Plan:
    """Return what becomes of a write; its values' secret keys are sealed already."""
    try:
        return _RULES[write.operation](write, facts)
    except Refused as refused:
        return refused.verdict
    except Unread as unread:
        return unread.missing


def _create(write: Write, facts: Facts) -> Plan:
    check_homed(write.identifier, facts)
    _check_values(write.values)
    before = facts.alive(write.identifier.key)
    if before and not write.overwrite:
        raise Refused(ResponseCode.HANDLE_ALREADY_EXISTS)
    caller = _proven(write)
    if before is None:
        _check_new(write, caller, facts)
        values = _stamped(write.values, (), facts.now)
    else:
        _check_replacement(write, caller, before, facts)
        values = _stamped(write.values, before.values, facts.now)
    return _plan(write, facts, values, created=before is None)


def _add(write: Write, facts: Facts) -> Plan:
    check_homed(write.identifier, facts)
    _check_values(write.values, may_be_empty=False)
    caller, before = _proven(write), _existing(write, facts)
    stored = {value.index: value for value in before.values}
    hits = [value for value in write.values if value.index in stored]
    if hits and not write.overwrite:
        raise Refused(ResponseCode.VALUE_ALREADY_EXISTS, f"Index conflict for {hits[0].index}")
    needed = NO_RIGHTS
    for value in write.values:
        old = stored.get(value.index)
        needed |= needed_to_modify(old, value) if old else needed_to_add(value)
    _check_rights(write, caller, needed, before, facts, touched=[stored[v.index] for v in hits])
    values = _merged(before.values, write.values, facts.now)
    return _plan(write, facts, values, created=not hits)


def _modify(write: Write, facts: Facts) -> Plan:
    check_homed(write.identifier, facts)
    _check_values(write.values, may_be_empty=False)
    known = facts.alive(write.identifier.key)
    stored = {value.index: value for value in known.values} if known else {}
    if known and any(value.index not in stored for value in write.values):
        raise Refused(ResponseCode.VALUES_NOT_FOUND)
    caller, before = _proven(write), _existing(write, facts)
    needed = NO_RIGHTS
    for value in write.values:
        needed |= needed_to_modify(stored[value.index], value)
    touched = [stored[value.index] for value in write.values]
    _check_rights(write, caller, needed, before, facts, touched=touched)
    return _plan(write, facts, _merged(before.values, write.values, facts.now))


def _remove(write: Write, facts: Facts) -> Plan:
    check_homed(write.identifier, facts)
    if not write.indexes:
        raise Refused(ResponseCode.INVALID_VALUE, "No indexes; name the values to remove")
    caller, before = _proven(write), _existing(write, facts)
    wanted = set(write.indexes)
    touched = [value for value in before.values if value.index in wanted]
    if len(touched) < len(wanted):
        raise Refused(ResponseCode.VALUES_NOT_FOUND)
    needed = NO_RIGHTS
    for value in touched:
        needed |= needed_to_remove(value)
    _check_rights(write, caller, needed, before, facts, touched=touched)
    values = tuple(value for value in before.values if value.index not in wanted)
    return _plan(write, facts, values)


def _delete(write: Write, facts: Facts) -> Plan:
    check_homed(write.identifier, facts)
    caller, before = _proven(write), _existing(write, facts)
    identifier = write.identifier
    own = may(caller, AdminPermission.DELETE_HANDLE, identifier, before.values, facts, Scope.WRITE)
    if not own and not _may_drop_derived(write, caller, facts):
        raise no_right()
    return _plan(write, facts, None)


def _revert(write: Write, facts: Facts) -> Plan:
    """Which versions there are is told to nobody who may not change the record."""
    check_homed(write.identifier, facts)
    caller, before = _proven(write), facts.alive(write.identifier.key)
    if facts.to_values is None:
        if before is None:
            _check_new(write, caller, facts)
        else:
            _check_is_administrator(write, caller, before, facts)
        raise Refused(
            ResponseCode.VALUES_NOT_FOUND, f"There are no values of version {write.to_version}"
        )
    return _create(replace(write, values=facts.to_values, overwrite=True), facts)


def _home(write: Write, facts: Facts) -> Plan:
    name = _prefix_name(write)
    if not is_server_admin(_proven(write, Scope.OPERATE), facts):
        raise no_right()
    is_change = facts.prefixes.get(name) is not PrefixState.HOMED
    if is_change:
        _check_not_kept(name, facts, PrefixAction.ACTIVATE)
    verdict = Verdict(ResponseCode.SUCCESS, created=is_change)
    return Plan(verdict, is_change=is_change, prefix=PrefixState.HOMED)


def _unhome(write: Write, facts: Facts) -> Plan:
    name = _prefix_name(write)
    if not is_server_admin(_proven(write, Scope.OPERATE), facts):
        raise no_right()
    if name not in facts.prefixes:
        raise not_here()
    _check_not_kept(name, facts, PrefixAction.STOP)
    return Plan(Verdict(ResponseCode.SUCCESS))


_RULES: dict[Operation, Callable[[Write, Facts], Plan]] = {
    Operation.CREATE: _create,
    Operation.ADD: _add,
    Operation.MODIFY: _modify,
    Operation.REMOVE: _remove,
    Operation.DELETE: _delete,
    Operation.REVERT: _revert,
    Operation.HOME: _home,
    Operation.UNHOME: _unhome,
}


def _check_values(values: Values, *, may_be_empty: bool = True) -> None:
    if not values and not may_be_empty:
        raise Refused(ResponseCode.INVALID_VALUE, "No values were given")
    if len(values) > MAX_VALUES:
        raise Refused(ResponseCode.INVALID_VALUE, f"More than {MAX_VALUES} values in one record")
    seen = set()
    for value in values:
        if not 0 < value.index <= MAX_INDEX:
            raise Refused(ResponseCode.INVALID_VALUE, "Value indexes must be positive")
        if value.index in seen:
            raise Refused(ResponseCode.VALUE_ALREADY_EXISTS, f"Index conflict for {value.index}")
        seen.add(value.index)


def _proven(write: Write, scope: Scope = Scope.WRITE) -> Caller:
    if write.caller is None:
        raise Refused(ResponseCode.AUTHENTICATION_NEEDED)
    check_scope(write.caller, write.identifier, scope)
    return write.caller


def _existing(write: Write, facts: Facts) -> RecordState:
    before = facts.alive(write.identifier.key)
    if before is None:
        raise Refused(ResponseCode.HANDLE_NOT_FOUND)
    return before


def _check_new(write: Write, caller: Caller, facts: Facts) -> None:
    identifier = write.identifier
    derived = identifier.is_prefix_handle
    needed = AdminPermission.ADD_DERIVED_PREFIX if derived else AdminPermission.ADD_HANDLE
    admins = prefix_admins(identifier, facts)
    if not may(caller, needed, identifier, admins, facts, Scope.WRITE):
        raise no_right()


def _check_replacement(write: Write, caller: Caller, before: RecordState, facts: Facts) -> None:
    """The rights to what really changes; or to add administrators; or to delete it and make it anew.

    A value that is not public counts as changed whenever it is given: else its content could be guessed, and the
    verdict would say whether the guess is right.
    """
    stored = {value.index: value for value in before.values}
    given = {value.index: value for value in write.values}
    needed = NO_RIGHTS
    touched = []
    for index, value in given.items():
        old = stored.get(index)
        if old is None:
            needed |= needed_to_add(value)
        elif not old.is_public or replace(value, timestamp=old.timestamp) != old:
            needed |= needed_to_modify(old, value)
            touched.append(old)
    for index, old in stored.items():
        if index not in given:
            needed |= needed_to_remove(old)
            touched.append(old)
    try:
        if not touched and not needed:  # nothing changes; but who may change nothing is told so
            _check_is_administrator(write, caller, before, facts)
        _check_rights(write, caller, needed, before, facts, touched=touched)
    except Refused as refused:
        if not _may_replace_whole(write, caller, before, facts, refused.verdict.code):
            raise
        _check_unlocked(caller, facts, touched)


def _may_replace_whole(
    write: Write, caller: Caller, before: RecordState, facts: Facts, code: ResponseCode
) -> bool:
    if code is not ResponseCode.NOT_ADMINISTRATOR:
        return False
    identifier = write.identifier

    def has(right: AdminPermission, admins: Values) -> bool:
        return may(caller, right, identifier, admins, facts, Scope.WRITE)

    if has(AdminPermission.ADD_ADMIN, before.values):
        return True
    return has(AdminPermission.DELETE_HANDLE, before.values) and has(
        AdminPermission.ADD_HANDLE, prefix_admins(identifier, facts)
    )


def _check_rights(
    write: Write,
    caller: Caller,
    needed: AdminPermission,
    before: RecordState,
    facts: Facts,
    *,
    touched: list[HandleValue],
) -> None:
    """Rights to the record, and to each value that is there: one that administrators may not write stays."""
    if needed and not may(caller, needed, write.identifier, before.values, facts, Scope.WRITE):
        raise no_right()
    _check_unlocked(caller, facts, touched)


def _check_unlocked(caller: Caller, facts: Facts, touched: list[HandleValue]) -> None:
    """Whoever may replace a whole record may not replace such a value in it either."""
    locked = [value for value in touched if not is_writable(value)]
    if locked and not is_server_admin(caller, facts):
        raise Refused(
            ResponseCode.INSUFFICIENT_PERMISSIONS,
            f"Value {locked[0].index} may not be written by administrators",
        )


def _check_is_administrator(
    write: Write, caller: Caller, before: RecordState, facts: Facts
) -> None:
    if not may(caller, NO_RIGHTS, write.identifier, before.values, facts, Scope.WRITE):
        raise no_right()


def _may_drop_derived(write: Write, caller: Caller, facts: Facts) -> bool:
    identifier = write.identifier
    if not identifier.is_prefix_handle:
        return False
    right = AdminPermission.DELETE_DERIVED_PREFIX
    return may(caller, right, identifier, prefix_admins(identifier, facts), facts, Scope.WRITE)


def _prefix_name(write: Write) -> bytes:
    identifier = write.identifier
    name = identifier.prefixes[0] if identifier.is_prefix_handle else b""
    if not name or len(name) > MAX_PREFIX_BYTES:
        raise Refused(
            ResponseCode.INVALID_HANDLE,
            "Name a prefix: 0.NA/ and at most 255 bytes, such as 0.NA/88.118",
        )
    return name


def _check_not_kept(name: bytes, facts: Facts, instead: PrefixAction) -> None:
    """A prefix that the model knows is homed and let go by the steps of its life alone, never by hand."""
    if name in facts.kept:
        raise Refused(ResponseCode.INSUFFICIENT_PERMISSIONS, kept_message(instead))


def kept_message(instead: PrefixAction) -> str:
    """Say why a prefix that the model knows is not homed or let go by hand; it begins with the name of the rule."""
    law = PREFIX_LIFE.law_of(instead)
    return f"{PREFIX_LIFE.rule_of(instead)}: {law.sentence}; it is an enterprise's, and not homed or let go by hand"


def _stamped(values: Values, before: Values, now: int) -> Values:
    """Stamp values now; those that are as they were keep their timestamp."""
    stored = {value.index: value for value in before}
    return tuple(_stamp(value, stored.get(value.index), now) for value in values)


def _stamp(value: HandleValue, old: HandleValue | None, now: int) -> HandleValue:
    if old is not None and replace(value, timestamp=old.timestamp) == old:
        return old
    return value.stamped(now)


def _merged(before: Values, given: Values, now: int) -> Values:
    """Put values in their places; new ones come last."""
    new = {value.index: value for value in given}
    kept = tuple(
        _stamp(new.pop(old.index), old, now) if old.index in new else old for old in before
    )
    merged = kept + tuple(value.stamped(now) for value in new.values())
    if len(merged) > MAX_VALUES:
        raise Refused(ResponseCode.INVALID_VALUE, f"More than {MAX_VALUES} values in one record")
    return merged


def _plan(write: Write, facts: Facts, values: Values | None, *, created: bool = False) -> Plan:
    state = facts.records.get(write.identifier.key)
    version = state.version if state else 0
    is_there = state is not None and not state.is_gone
    condition = write.if_version
    if condition is not None and not _holds(condition, version if is_there else 0):
        message = f"The record is at version {version if is_there else 0}"
        verdict = Verdict(
            ResponseCode.PROTOCOL_ERROR, message, version=version, condition_failed=True
        )
        raise _RefusedAs(verdict)
    is_change = not (is_there and state is not None and values == state.values)
    after = version + 1 if is_change else version
    return Plan(
        Verdict(ResponseCode.SUCCESS, created=created, version=after), values, version, is_change
    )


class _RefusedAs(Refused):
    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.code, verdict.message)
        self.verdict = verdict


def _holds(condition: int, version: int) -> bool:
    return version > 0 if condition == MUST_EXIST else condition == version
