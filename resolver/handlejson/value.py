"""Values of a record as Handle JSON, and back.

Both lie on the load path, so the plain value (index, type, string data) takes the shortest way; the type chooses the
format of the data on the way out.  Data of other than the HS_ types is `string`, or `base64` when it is not UTF-8 or
holds control characters.
"""

import base64
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import lru_cache
from operator import attrgetter

import orjson

from resolver.handlejson.fields import (
    MAX_INDEX,
    HandleJsonError,
    Json,
    expect_list,
    expect_object,
    read_base64,
    read_number,
    read_text,
)
from resolver.handlejson.site import site_from_json, site_to_json
from resolver.handlejson.typed import (
    admin_from_json,
    admin_to_json,
    key_from_json,
    public_key_to_json,
    references_from_json,
    references_to_json,
)
from resolver.wire import (
    MAX_VALUES,
    HandleValue,
    Permission,
    TtlType,
    WireError,
    decode_admin,
    decode_site,
    decode_vlist,
    encode_admin,
    encode_public_key,
    encode_site,
    encode_vlist,
)

MAX_TYPE_BYTES = 512
MAX_DATA_BYTES = 262_144  # a value longer than the longest message could not be served
MAX_TTL_SECONDS = 0x7FFF_FFFF
MAX_EPOCH_SECOND = 0xFFFF_FFFF
DEFAULT_TTL_SECONDS = 86_400
DEFAULT_PERMISSIONS = int(Permission.ADMIN_READ | Permission.ADMIN_WRITE | Permission.PUBLIC_READ)

_PERMISSION_CHARACTERS = 4
_MAX_MOMENT_CHARACTERS = 40
_PLAIN_FIELDS = frozenset({"index", "type", "data"})
_BINARY = re.compile(rb"[\x00-\x08\x14-\x1f]")  # the reference lets 0x09 to 0x13 pass as text
_BY_INDEX = attrgetter("index")


def values_from_json(
    items: object, *, now: int, keep_timestamps: bool = False, judge_indexes: bool = True
) -> tuple[HandleValue, ...]:
    """Read an array of Handle JSON values, in the order given.

    `now` (epoch second) stamps every value; with `keep_timestamps` a value that brings a timestamp keeps it.
    Without `judge_indexes` that is left to the registrar: an index may come twice, and one below 1 is read as 0.
    Raises HandleJsonError, which names the value: a bad field, an index used twice, a limit exceeded.
    """
    found = [
        _read_value(item, now, keep_timestamps, judge_indexes)
        for item in expect_list(items, "values", MAX_VALUES)
    ]
    if judge_indexes and len({value.index for value in found}) < len(found):
        indexes = [value.index for value in found]
        twice = next(index for index in indexes if indexes.count(index) > 1)
        raise HandleJsonError(f"index {twice} is used twice; each value needs its own")
    return tuple(found)


def values_to_json(values: Iterable[HandleValue]) -> bytes:
    """Return the JSON array of the values, sorted by index."""
    items = [_value_to_json(value) for value in sorted(values, key=_BY_INDEX)]
    return bytes(memoryview(orjson.dumps(items)))  # exact size: orjson returns a larger buffer


def _read_value(item: object, now: int, keep_timestamps: bool, judge_indexes: bool) -> HandleValue:
    value = expect_object(item, "a value")
    index = value.get("index")
    try:
        if not judge_indexes and type(index) is int and index < 0:
            index = 0
        index = read_number(index, "index", MAX_INDEX)
        kind = _read_bounded(value.get("type"), "type", MAX_TYPE_BYTES)
        if (index == 0 and judge_indexes) or not kind:
            raise HandleJsonError("index must be 1 or more, and type not empty")
        data = _read_data(value.get("data"))
        if value.keys() == _PLAIN_FIELDS:
            return HandleValue(index, kind, data, timestamp=now)
        return _read_rest(value, index, kind, data, now, keep_timestamps)
    except HandleJsonError as error:
        raise HandleJsonError(f"value {index!r:.20}: {error}") from error


def _read_rest(
    value: Json, index: int, kind: bytes, data: bytes, now: int, keep_timestamps: bool
) -> HandleValue:
    ttl_type, ttl = _read_ttl(value.get("ttl", DEFAULT_TTL_SECONDS))
    timestamp = now
    if keep_timestamps and "timestamp" in value:
        timestamp = _read_moment(value["timestamp"], "timestamp")
    permissions, references = value.get("permissions"), value.get("references")
    return HandleValue(
        index,
        kind,
        data,
        ttl_type,
        ttl,
        timestamp,
        DEFAULT_PERMISSIONS if permissions is None else _read_permissions(permissions),
        () if references is None else references_from_json(references),
    )


def _read_data(value: object) -> bytes:
    if isinstance(value, str):
        return _read_bounded(value, "data", MAX_DATA_BYTES)
    if value is None:
        raise HandleJsonError("data is missing; give a string, or an object of format and value")
    data = expect_object(value, "data")
    form, content = data.get("format"), data.get("value")
    if form == "string":
        return _read_bounded(content, "data", MAX_DATA_BYTES)
    read = _FORMATS.get(form) if isinstance(form, str) else None
    if read is None:
        known = ", ".join(["string", *_FORMATS])
        raise HandleJsonError(f"format of data is {form!r:.40}; it can be {known}")
    found = read(content)
    if len(found) > MAX_DATA_BYTES:
        raise HandleJsonError(f"data is longer than {MAX_DATA_BYTES} bytes")
    return found


def _read_bounded(value: object, what: str, limit: int) -> bytes:
    found = read_text(value, what)
    if len(found) <= limit:
        return found
    raise HandleJsonError(f"{what} is longer than {limit} bytes")


def _read_hex(value: object) -> bytes:
    try:
        return bytes.fromhex(read_text(value, "data").decode())
    except ValueError as error:
        raise HandleJsonError(f"data is not hex: {error}") from error


_FORMATS: dict[str, Callable[[object], bytes]] = {
    "base64": lambda value: read_base64(value, "data"),
    "hex": _read_hex,
    "admin": lambda value: encode_admin(admin_from_json(value)),
    "vlist": lambda value: encode_vlist(references_from_json(value)),
    "site": lambda value: encode_site(site_from_json(value)),
    "key": lambda value: encode_public_key(key_from_json(value)),
}


def _read_ttl(value: object) -> tuple[int, int]:
    """Return TTL type and TTL: seconds, or the epoch second of an ISO 8601 text."""
    if type(value) is int and 0 <= value <= MAX_TTL_SECONDS:
        return int(TtlType.RELATIVE), value
    if isinstance(value, str) and not value.isdigit():
        return int(TtlType.ABSOLUTE), _read_moment(value, "ttl")
    return int(TtlType.RELATIVE), read_number(value, "ttl", MAX_TTL_SECONDS)


def _read_permissions(value: object) -> int:
    """Read admin read, admin write, public read, public write: all four, unlike the reference.

    (The reference drops the first of four characters.)
    """
    if isinstance(value, str) and len(value) == _PERMISSION_CHARACTERS and set(value) <= {"0", "1"}:
        return int(value, 2)
    raise HandleJsonError(f"permissions are four characters 0 or 1, not {value!r:.40}")


def _read_moment(value: object, what: str) -> int:
    if not isinstance(value, str) or len(value) > _MAX_MOMENT_CHARACTERS:
        raise HandleJsonError(f"{what} must be such as 2026-01-02T03:04:05Z, not {value!r:.40}")
    try:
        return _parse_moment(value)
    except ValueError as error:
        raise HandleJsonError(
            f"{what} must be such as 2026-01-02T03:04:05Z, not {value!r}"
        ) from error


@lru_cache(maxsize=4096)
def _parse_moment(text: str) -> int:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    second = int(moment.timestamp())
    if not 0 <= second <= MAX_EPOCH_SECOND:
        raise ValueError("out of the range of a timestamp")
    return second


@lru_cache(maxsize=4096)
def _moment_text(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat()[:19] + "Z"


def _value_to_json(value: HandleValue) -> Json:
    kind = value.type
    found: Json = {
        "index": value.index,
        "type": kind.decode(errors="replace"),
        "data": _data_to_json(kind, value.data),
    }
    if value.permissions != DEFAULT_PERMISSIONS:
        found["permissions"] = f"{value.permissions:0{_PERMISSION_CHARACTERS}b}"
    found["ttl"] = value.ttl if value.ttl_type != TtlType.ABSOLUTE else _moment_text(value.ttl)
    if value.timestamp:
        found["timestamp"] = _moment_text(value.timestamp)
    if value.references:
        found["references"] = [
            {"handle": each.handle.decode(errors="replace"), "index": each.index}
            for each in value.references
        ]
    return found


def _data_to_json(kind: bytes, data: bytes) -> Json:
    write = _TYPED.get(kind.upper())
    if write is not None:
        try:
            return write(data)
        except (WireError, HandleJsonError):
            pass
    return _plain_data_to_json(data)


def _plain_data_to_json(data: bytes) -> Json:
    try:
        if not _BINARY.search(data):
            return {"format": "string", "value": data.decode()}
    except UnicodeDecodeError:
        pass
    return {"format": "base64", "value": base64.b64encode(data).decode()}


def _admin(data: bytes) -> Json:
    return {"format": "admin", "value": admin_to_json(decode_admin(data))}


def _vlist(data: bytes) -> Json:
    return {"format": "vlist", "value": references_to_json(decode_vlist(data))}


def _site(data: bytes) -> Json:
    return {"format": "site", "value": site_to_json(decode_site(data))}


_TYPED: dict[bytes, Callable[[bytes], Json]] = {
    b"HS_ADMIN": _admin,
    b"HS_VLIST": _vlist,
    b"HS_SITE": _site,
    b"HS_SITE.PREFIX": _site,
    b"HS_NA_DELEGATE": _site,
    b"HS_PUBKEY": public_key_to_json,
}
