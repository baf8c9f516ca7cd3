"""A record's row: its values, encoded once when they are written, so that a read moves bytes."""

from collections.abc import Sequence
from dataclasses import replace

from node.store.load import RecordRow
from node.store.records import is_secret
from resolver.answer import MAX_TTL_SECONDS
from resolver.handlejson import values_to_json
from resolver.identifier import PREFIX_HANDLE, Identifier
from resolver.wire import (
    MAX_HANDLE_BYTES,
    MAX_MESSAGE_BYTES,
    HandleValue,
    Permission,
    TtlType,
    decode_values,
    encode_values,
)

# What a message needs besides the values: envelope, header, digest, handle, credential.
MAX_RECORD_BYTES = MAX_MESSAGE_BYTES - MAX_HANDLE_BYTES - 2_048

_PUBLIC_READ = int(Permission.PUBLIC_READ)
_ABSOLUTE = int(TtlType.ABSOLUTE)
_ZERO_NA = PREFIX_HANDLE.rstrip(b"/")


class RecordTooLong(ValueError):
    """The values do not fit one message of the Handle protocol, so nobody could be answered."""


def encode_record(
    identifier: Identifier, values: Sequence[HandleValue], loaded: bytes | None = None
) -> RecordRow:
    """Return the row of a record.  Raises RecordTooLong.

    A secret key (HS_SECKEY) is never public, whatever its permissions say.  It lies in `whole` as
    it was given; encryption at rest comes with administration over the Handle protocol.
    """
    values = [_hide_secret(value) for value in values]
    public = [value for value in values if value.permissions & _PUBLIC_READ]
    wire = encode_values(public)
    whole = None if len(public) == len(values) else encode_values(values)
    if len(whole or wire) > MAX_RECORD_BYTES:
        raise RecordTooLong(f"the values are longer than {MAX_RECORD_BYTES} bytes in all")
    ttl, expires = _life(public)
    return RecordRow(
        key=identifier.key,
        prefix=_ZERO_NA if identifier.is_prefix_handle else identifier.prefixes[0],
        handle=spelling_of(identifier),
        ttl=ttl,
        expires=expires,
        wire=wire,
        json=values_to_json(public),
        whole=whole,
        loaded=loaded,
    )


def spelling_of(identifier: Identifier) -> bytes:
    """Return the handle as it is stored: as it was written, and a prefix's with its `0.NA/`."""
    spelling = identifier.text.encode()
    if identifier.is_prefix_handle and b"/" not in spelling:
        return PREFIX_HANDLE + spelling
    return spelling


def keep_timestamps(row: RecordRow, stored: bytes, now: int) -> RecordRow:
    """Return the row with the stored timestamps of those values stamped `now` that did not change.

    So a timestamp says when its value last changed, and not when a file was last loaded.
    """
    before = {value.index: value for value in decode_values(stored)}
    values = decode_values(row.whole or row.wire)
    kept = [_keep_timestamp(value, before.get(value.index), now) for value in values]
    public = [value for value in kept if value.permissions & _PUBLIC_READ]
    return row._replace(
        wire=encode_values(public),
        json=values_to_json(public),
        whole=None if row.whole is None else encode_values(kept),
    )


def _keep_timestamp(value: HandleValue, before: HandleValue | None, now: int) -> HandleValue:
    if before is None or value.timestamp != now:
        return value
    same = replace(value, timestamp=before.timestamp)
    return same if same == before else value


def _hide_secret(value: HandleValue) -> HandleValue:
    if value.permissions & _PUBLIC_READ and is_secret(value):
        return replace(value, permissions=value.permissions & ~_PUBLIC_READ)
    return value


def _life(values: Sequence[HandleValue]) -> tuple[int, int | None]:
    """Return the least relative TTL in seconds, and the least absolute one as epoch second."""
    ttl, expires = MAX_TTL_SECONDS, None
    for value in values:
        if value.ttl_type == _ABSOLUTE:
            expires = value.ttl if expires is None else min(expires, value.ttl)
        elif value.ttl < ttl:
            ttl = value.ttl
    return ttl, expires
