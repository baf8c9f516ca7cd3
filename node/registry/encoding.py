"""A record's row: its values, encoded once when they are written, so that a read moves bytes."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import orjson

from node.store.load import RecordRow
from node.store.records import is_secret
from resolver.answer import MAX_TTL_SECONDS
from resolver.handlejson import values_from_json, values_to_json
from resolver.identifier import PREFIX_HANDLE, Identifier
from resolver.keys.seal import Seal
from resolver.wire import (
    MAX_HANDLE_BYTES,
    MAX_MESSAGE_BYTES,
    MAX_VALUES,
    HandleValue,
    Permission,
    TtlType,
    decode_values,
    encode_value,
)

# What a message needs besides the values: envelope, header, digest, handle, credential.
MAX_RECORD_BYTES = MAX_MESSAGE_BYTES - MAX_HANDLE_BYTES - 2_048
REMEMBERED_VALUES = 20_000
REMEMBERED_BYTES = 512  # a longer value is hardly ever the same in two records

_TEXT_FIELDS = frozenset({"index", "type", "data"})
_COUNT_BYTES = 4
_NONE = bytes(_COUNT_BYTES)  # a count of zero
_ONE = (1).to_bytes(_COUNT_BYTES, "big")
_NO_TEXT = b'"value":""'
_PUBLIC_READ = int(Permission.PUBLIC_READ)
_ABSOLUTE = int(TtlType.ABSOLUTE)
_ZERO_NA = PREFIX_HANDLE.rstrip(b"/")


class RecordTooLong(ValueError):
    """The values do not fit one message of the Handle protocol, so nobody could be answered."""


class EncodedValue(NamedTuple):
    """One value in the forms that a row is put together from; sorts by index.

    `ttl` is in seconds; `expires` an epoch second, 0 when the TTL is relative.
    """

    number: int  # the value's index
    is_public: bool
    ttl: int
    expires: int
    wire: bytes
    json: bytes
    is_secret: bool = False


class ValueReader:
    """Reads Handle JSON values and encodes them, remembering what it did.

    Records of one enterprise share most of their values (administrator, product, maker), and
    looking one up costs a tenth of encoding it.
    """

    def __init__(self, now: int) -> None:
        self._now = now
        self._known: dict[bytes, EncodedValue] = {}
        self._frames: dict[tuple[int, str], Frame] = {}

    def read(self, items: object) -> list[EncodedValue]:
        """Read an array of values, those without a timestamp stamped `now`.

        Raises HandleJsonError as `values_from_json`.
        """
        if isinstance(items, list):
            found = [self._look_up(item) for item in items]
            if len({value.number for value in found}) == len(items) <= MAX_VALUES:
                return found
        values = values_from_json(items, now=self._now, keep_timestamps=True)
        return [encode_part(value) for value in values]

    def _look_up(self, item: object) -> EncodedValue:
        try:
            spelling = orjson.dumps(item)
        except TypeError:  # nested too deeply to be written, so hardly a value
            spelling = b""
        known = self._known.get(spelling)
        if known is None:
            known = self._read_text(item) or self.read_one(item)
            if len(self._known) >= REMEMBERED_VALUES:
                self._known.clear()
            if 0 < len(spelling) <= REMEMBERED_BYTES:
                self._known[spelling] = known
        return known

    def read_one(self, item: object) -> EncodedValue:
        """Read one value.  Raises HandleJsonError as `values_from_json`."""
        (value,) = values_from_json([item], now=self._now, keep_timestamps=True)
        return encode_part(value)

    def _read_text(self, item: object) -> EncodedValue | None:
        """Encode a value of plain text as the empty one of its kind with the text put in.

        None for any other value, and for text that the codec may write in another way.
        """
        if not isinstance(item, dict) or item.keys() != _TEXT_FIELDS:
            return None
        index, kind, text = item["index"], item["type"], item["data"]
        if type(index) is not int or type(kind) is not str or type(text) is not str:
            return None
        if len(text) > REMEMBERED_BYTES or not text.isprintable() or kind[:3].upper() == "HS_":
            return None
        frame = self._frames.get((index, kind))
        if frame is None:
            frame = self._frames[index, kind] = Frame.around(self.read_one({**item, "data": ""}))
            if len(self._frames) > REMEMBERED_VALUES:
                self._frames.clear()
        return frame.fill(text)


class Frame(NamedTuple):
    """What surrounds the text in the forms of a value of plain text."""

    empty: EncodedValue
    wire_head: bytes
    json_head: bytes
    json_tail: bytes

    @classmethod
    def around(cls, empty: EncodedValue) -> "Frame":
        """Take a value without data apart: its wire form ends in two counts of zero."""
        json_head, _, json_tail = empty.json.partition(_NO_TEXT)
        return cls(empty, empty.wire[: -2 * _COUNT_BYTES], json_head, json_tail)

    def fill(self, text: str) -> EncodedValue:
        """Return the value with this text for data."""
        data = text.encode()
        wire = b"%b%b%b%b" % (self.wire_head, len(data).to_bytes(_COUNT_BYTES, "big"), data, _NONE)
        json = b'%b"value":%b%b' % (self.json_head, orjson.dumps(text), self.json_tail)
        number, is_public, ttl, expires, _, _, is_secret = self.empty
        return EncodedValue(number, is_public, ttl, expires, wire, json, is_secret)


def encode_part(value: HandleValue) -> EncodedValue:
    """Encode one value.  A secret key (HS_SECKEY) is never public, whatever its permissions say."""
    if value.permissions & _PUBLIC_READ and is_secret(value):
        value = replace(value, permissions=value.permissions & ~_PUBLIC_READ)
    absolute = value.ttl_type == _ABSOLUTE
    return EncodedValue(
        number=value.index,
        is_public=bool(value.permissions & _PUBLIC_READ),
        ttl=MAX_TTL_SECONDS if absolute else min(value.ttl, MAX_TTL_SECONDS),
        expires=value.ttl if absolute else 0,
        wire=encode_value(value),
        json=values_to_json((value,))[1:-1],
        is_secret=is_secret(value),
    )


def seal_secrets(seal: Seal, key: bytes, values: Iterable[HandleValue]) -> tuple[HandleValue, ...]:
    """Return the values of a record as they are kept: secret keys (HS_SECKEY) sealed."""
    return tuple([_sealed(seal, key, value) if is_secret(value) else value for value in values])


def encode_record(
    identifier: Identifier,
    values: Iterable[HandleValue],
    loaded: bytes | None = None,
    *,
    seal: Seal | None = None,
) -> RecordRow:
    """Return the row of a record; see `join_record`.  Raises RecordTooLong."""
    return join_record(identifier, [encode_part(value) for value in values], loaded, seal=seal)


def join_record(
    identifier: Identifier,
    values: Sequence[EncodedValue],
    loaded: bytes | None = None,
    *,
    seal: Seal | None = None,
) -> RecordRow:
    """Return the row of a record whose values are encoded.  Raises RecordTooLong.

    Without a `seal` the secret keys among them must be sealed already.
    """
    if seal is not None and any(value.is_secret for value in values):
        values = [_seal_part(seal, identifier.key, value) for value in values]
    wire, json, whole, ttl, expires = _join_values(values)
    return RecordRow(
        identifier.key,
        _ZERO_NA if identifier.is_prefix_handle else identifier.prefixes[0],
        spelling_of(identifier),
        ttl,
        expires,
        wire,
        json,
        whole,
        loaded,
    )


def spelling_of(identifier: Identifier) -> bytes:
    """Return the handle as it is stored: as it was written, and a prefix's with its `0.NA/`."""
    spelling = identifier.text.encode()
    if identifier.is_prefix_handle and b"/" not in spelling:
        return PREFIX_HANDLE + spelling
    return spelling


def with_parts(row: RecordRow, values: Sequence[EncodedValue]) -> RecordRow:
    """Return the row with other values, secret keys among them sealed already.  Raises RecordTooLong."""
    wire, json, whole, ttl, expires = _join_values(values)
    return row._replace(wire=wire, json=json, whole=whole, ttl=ttl, expires=expires)


def _seal_part(seal: Seal, key: bytes, part: EncodedValue) -> EncodedValue:
    if not part.is_secret:
        return part
    (value,) = decode_values(_ONE + part.wire)
    return encode_part(_sealed(seal, key, value))


def _sealed(seal: Seal, key: bytes, value: HandleValue) -> HandleValue:
    """Return a secret key as it is stored, so that one that is given again is seen to be the same."""
    permissions = value.permissions & ~_PUBLIC_READ
    return replace(value, data=seal.seal(key, value.index, value.data), permissions=permissions)


def _join_values(
    values: Sequence[EncodedValue],
) -> tuple[bytes, bytes, bytes | None, int, int | None]:
    """Return wire, json, whole, ttl and expires of a row.  Raises RecordTooLong."""
    public = []
    ttl, expires, last, is_sorted = MAX_TTL_SECONDS, 0, -1, True
    for value in values:  # once: a load does this for every record
        number, is_public, seconds, until, _, _, _ = value
        if is_public:
            public.append(value)
            ttl = min(ttl, seconds)
            if until and (until < expires or not expires):
                expires = until
            if number < last:
                is_sorted = False
            last = number
    wire = _join_wire(public)
    whole = None if len(public) == len(values) else _join_wire(values)
    if len(whole or wire) > MAX_RECORD_BYTES:
        raise RecordTooLong(f"the values are longer than {MAX_RECORD_BYTES} bytes in all")
    json = b"[%b]" % b",".join([value[5] for value in (public if is_sorted else sorted(public))])
    return wire, json, whole, ttl, expires or None


def _join_wire(values: Sequence[EncodedValue]) -> bytes:
    """Put together what `encode_values` writes: a count and the values."""
    return len(values).to_bytes(_COUNT_BYTES, "big") + b"".join([value[4] for value in values])
