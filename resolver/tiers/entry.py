"""What stands in Redis under a key: a record, or the tombstone of an older one; and the state, two serials.

A value begins with the serial it is true for, in 16 hexadecimal digits, which scripts read; a tombstone is nothing
else.  What is not of our making is as good as nothing.
"""

import struct
from typing import Any, NamedTuple

from resolver.answer import Stored, Tier
from resolver.quickly import quickly

LAYOUT = 2  # of names and values; another version of the node may use another one beside it
_PACK = struct.Struct(">BIdIHI")  # flags, ttl, expiry (epoch s), version, handle and wire length
_FOUND, _RESTRICTED = 1, 2
_SERIAL_CHARS = 16


class State(NamedTuple):
    """The two serials of the state, as the head of `resolver.tiers.redis` explains them; -1 when there is none."""

    base: int
    applied: int


NO_STATE = State(-1, -1)


def encode(stored: Stored, expires: float) -> bytes:
    """Return the value of a record that holds until an epoch second."""
    handle = stored.handle or b""
    flags = _FOUND * (stored.handle is not None) + _RESTRICTED * stored.restricted
    sizes = (len(handle), len(stored.wire))
    head = _PACK.pack(flags, stored.ttl_seconds, expires, stored.version, *sizes)
    return b"%016x" % stored.serial + head + handle + stored.wire + stored.json


def decode(value: bytes, state: State, floor: int, now: float) -> Stored | None:
    """Return the record, or None for a tombstone, for what is too old, and for what is not ours."""
    try:
        put_at = int(value[:_SERIAL_CHARS], 16)
        serial = max(put_at, state.applied)
        if put_at < state.base or serial < floor or len(value) == _SERIAL_CHARS:
            return None
        flags, _, expires, version, handle_end, wire_end = _PACK.unpack_from(value, _SERIAL_CHARS)
    except (ValueError, struct.error):
        return None
    if (left := int(expires - now)) <= 0:
        return None
    start = _SERIAL_CHARS + _PACK.size
    handle_end += start
    wire_end += handle_end
    handle = value[start:handle_end] if flags & _FOUND else None
    wire, json = value[handle_end:wire_end], value[wire_end:]
    is_restricted = bool(flags & _RESTRICTED)
    return quickly(Stored, (serial, handle, left, is_restricted, wire, json, Tier.REDIS, version))


def decode_state(data: Any) -> State:
    """Return the state, or NO_STATE for what is none."""
    try:
        return State(int(data[:_SERIAL_CHARS], 16), int(data[_SERIAL_CHARS:], 16))
    except (TypeError, ValueError):
        return NO_STATE
