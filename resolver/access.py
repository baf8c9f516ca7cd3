"""Who may: HS_ADMIN values, the groups they name, and the permissions of single values; pure.

A caller has the rights of every HS_ADMIN value that admits it: one that names it, or that names an HS_VLIST which does
(groups within groups are followed, up to MAX_REFERENCES).  Groups stand in records that may have to be read first:
what is missing is told as `Missing`, and the question is put again.  Source: RFC 3651 §3.2.1, §3.2.6; spec §8.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from resolver.registrar import Caller
from resolver.wire import (
    AdminPermission,
    HandleValue,
    Permission,
    Reference,
    WireError,
    decode_admin,
    decode_vlist,
)

HS_ADMIN = b"HS_ADMIN"
HS_VLIST = b"HS_VLIST"
ALL_RIGHTS = AdminPermission(0xFFF)
NO_RIGHTS = AdminPermission(0)
MAX_REFERENCES = 1_000  # followed for one question; what is beyond admits nobody
ANY_INDEX = 0

Groups = Mapping[bytes, Sequence[HandleValue] | None]
"""Canonical key -> the record's values (None: there is no such record)."""

Canonical = Callable[[bytes], bytes | None]
"""A handle as somebody wrote it -> its canonical key; None when it is no handle."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Records that must be read before the question can be answered."""

    keys: frozenset[bytes]


def rights(
    caller: Caller, values: Iterable[HandleValue], groups: Groups, canonical: Canonical
) -> AdminPermission | Missing:
    """Return all rights that the HS_ADMIN values among `values` give the caller, or what must be read to know."""
    found, missing = NO_RIGHTS, frozenset[bytes]()
    for value in values:
        admin = _admin_of(value)
        if admin is None:
            continue
        given, reference = admin
        if given & ~found:
            verdict = _admits(caller, reference, groups, canonical)
            if isinstance(verdict, Missing):
                missing |= verdict.keys
            elif verdict:
                found |= given
    return Missing(missing) if missing else found


def admits_any(
    caller: Caller, references: Iterable[Reference], groups: Groups, canonical: Canonical
) -> bool | Missing:
    """Whether one of these names the caller, directly or as a group, or what must be read to know."""
    missing = frozenset[bytes]()
    for reference in references:
        verdict = _admits(caller, reference, groups, canonical)
        if isinstance(verdict, Missing):
            missing |= verdict.keys
        elif verdict:
            return True
    return Missing(missing) if missing else False


def is_admin(value: HandleValue) -> bool:
    """True for an HS_ADMIN value."""
    return value.type.upper() == HS_ADMIN


def needed_to_add(value: HandleValue) -> AdminPermission:
    """Return the right that adding this value takes."""
    return AdminPermission.ADD_ADMIN if is_admin(value) else AdminPermission.ADD_VALUE


def needed_to_remove(value: HandleValue) -> AdminPermission:
    """Return the right that removing this value takes; none for one that the public may write."""
    if value.permissions & Permission.PUBLIC_WRITE:
        return NO_RIGHTS
    return AdminPermission.REMOVE_ADMIN if is_admin(value) else AdminPermission.REMOVE_VALUE


def needed_to_modify(before: HandleValue, after: HandleValue) -> AdminPermission:
    """Return the right that putting one value in the place of another takes.

    A value that becomes an administrator, or ceases to be one, takes the rights of both.
    """
    if is_admin(before) != is_admin(after):
        return needed_to_remove(before) | needed_to_add(after)
    if is_admin(before):
        return AdminPermission.MODIFY_ADMIN
    if before.permissions & Permission.PUBLIC_WRITE:
        return NO_RIGHTS
    return AdminPermission.MODIFY_VALUE


def is_writable(value: HandleValue) -> bool:
    """False for a value that not even its administrators may change."""
    return bool(value.permissions & (Permission.ADMIN_WRITE | Permission.PUBLIC_WRITE))


def _admin_of(value: HandleValue) -> tuple[AdminPermission, Reference] | None:
    if not is_admin(value):
        return None
    try:
        admin = decode_admin(value.data)
    except WireError:  # what cannot be read gives no rights
        return None
    return AdminPermission(admin.permissions & ALL_RIGHTS), Reference(admin.handle, admin.index)


def _admits(
    caller: Caller, first: Reference, groups: Groups, canonical: Canonical
) -> bool | Missing:
    """Follow references, nearest first, until one names the caller."""
    waiting, seen = deque([first]), {(first.handle, first.index)}
    missing = set()
    while waiting:
        reference = waiting.popleft()
        key = canonical(reference.handle)
        if key is None:
            continue
        if key == caller.handle and reference.index in (ANY_INDEX, caller.index):
            return True
        if key not in groups:
            missing.add(key)
            continue
        for member in _members(groups[key] or (), reference.index):
            if (member.handle, member.index) not in seen and len(seen) < MAX_REFERENCES:
                seen.add((member.handle, member.index))
                waiting.append(member)
    return Missing(frozenset(missing)) if missing else False


def _members(values: Sequence[HandleValue], index: int) -> tuple[Reference, ...]:
    """Return whom the HS_VLIST at this index names; at any index for 0."""
    found: tuple[Reference, ...] = ()
    for value in values:
        if value.type.upper() == HS_VLIST and index in (ANY_INDEX, value.index):
            try:
                found += decode_vlist(value.data)
            except WireError:  # a list that cannot be read names nobody
                continue
    return found
