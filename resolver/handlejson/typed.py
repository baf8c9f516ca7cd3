"""Administrators, references and keys as Handle JSON, and back (features-and-contracts §2.3).

Each has a pair: `…_to_json` gives what orjson writes, in the reference's key order; `…_from_json` takes what orjson
read.  Whatever has no JSON form (a name that is no UTF-8, a key without JWK) is a HandleJsonError, and the caller falls
back to base64.
"""

import base64
import binascii
from collections.abc import Sequence

from resolver.handlejson.fields import (
    MAX_INDEX,
    HandleJsonError,
    Json,
    expect_list,
    expect_object,
    read_number,
    read_text,
    write_text,
)
from resolver.wire import (
    MAX_HANDLE_BYTES,
    AdminData,
    DsaPublicKey,
    PublicKey,
    Reference,
    RsaPublicKey,
    WireError,
    decode_public_key,
)

MAX_REFERENCES = 2048
MAX_KEY_NUMBER_BYTES = 2048  # 16 384 bits

_ADMIN_BITS = 12
_ADMIN_FIELD_BITS = 16  # the four above the known ones are kept
_ALL_ADMIN_PERMISSIONS = (1 << _ADMIN_BITS) - 1


def admin_to_json(admin: AdminData) -> Json:
    """Return the object of an HS_ADMIN value; permissions most significant bit first."""
    found: Json = {
        "handle": write_text(admin.handle),
        "index": admin.index,
        "permissions": f"{admin.permissions:0{_ADMIN_BITS}b}",
    }
    if admin.legacy:
        found["legacyByteLength"] = True
    return found


def admin_from_json(value: object) -> AdminData:
    """Read the object of an HS_ADMIN value.  Raises HandleJsonError."""
    admin = expect_object(value, "an admin value")
    return AdminData(
        permissions=_read_permissions(admin.get("permissions")),
        handle=_read_handle(admin),
        index=read_number(admin.get("index"), "the index of an administrator", MAX_INDEX),
        legacy=admin.get("legacyByteLength") is True,
    )


def references_to_json(references: Sequence[Reference]) -> list[Json]:
    """Return the array of an HS_VLIST value, or of a value's references."""
    return [{"handle": write_text(each.handle), "index": each.index} for each in references]


def references_from_json(value: object) -> tuple[Reference, ...]:
    """Read an array of `{"handle", "index"}`, at most MAX_REFERENCES.  Raises HandleJsonError."""
    found = []
    for item in expect_list(value, "a list of references", MAX_REFERENCES):
        each = expect_object(item, "a reference")
        index = read_number(each.get("index"), "the index of a reference", MAX_INDEX)
        found.append(Reference(_read_handle(each), index))
    return tuple(found)


def key_to_json(key: PublicKey) -> Json:
    """Return a public key as a JWK (RSA as in RFC 7517; DSA as the reference server writes it).

    Raises HandleJsonError for a key without such a form.
    """
    match key:
        case RsaPublicKey(exponent, modulus):
            return {"kty": "RSA", "n": _number_text(modulus), "e": _number_text(exponent)}
        case DsaPublicKey(q, p, g, y):
            numbers = [_number_text(number) for number in (y, p, q, g)]
            return {"kty": "DSA", **dict(zip("ypqg", numbers, strict=True))}
        case _:
            raise HandleJsonError(f"{type(key).__name__} has no JWK form; give it as base64")


def key_from_json(value: object) -> PublicKey:
    """Read a JWK of kty RSA or DSA.  Raises HandleJsonError."""
    key = expect_object(value, "a key")
    match key.get("kty"):
        case "RSA":
            return RsaPublicKey(exponent=_key_number(key, "e"), modulus=_key_number(key, "n"))
        case "DSA":
            q, p, g, y = (_key_number(key, name) for name in "qpgy")
            return DsaPublicKey(q=q, p=p, g=g, y=y)
        case other:
            raise HandleJsonError(f"kty is {other!r:.40}; RSA and DSA are known, others as base64")


def public_key_to_json(data: bytes) -> Json:
    """Return HS_PUBKEY data in format `key`, or `base64` where there is no JWK for it."""
    try:
        return {"format": "key", "value": key_to_json(decode_public_key(data))}
    except (WireError, HandleJsonError):
        return {"format": "base64", "value": base64.b64encode(data).decode()}


def _read_handle(container: Json) -> bytes:
    handle = read_text(container.get("handle"), "handle")
    if len(handle) > MAX_HANDLE_BYTES:
        raise HandleJsonError(f"handle is longer than {MAX_HANDLE_BYTES} bytes")
    return handle


def _read_permissions(value: object) -> int:
    """Read any form the reference takes: `*`, a bit string, true or false, a number, an array of bits."""
    if isinstance(value, list):
        value = "".join(["1" if bit in (True, "1") else "0" for bit in value])
    if value is True or value == "*":
        return _ALL_ADMIN_PERMISSIONS
    if value is False:
        return 0
    if isinstance(value, int) and 0 <= value < 1 << _ADMIN_FIELD_BITS:
        return value
    if isinstance(value, str) and 0 < len(value) <= _ADMIN_FIELD_BITS and set(value) <= {"0", "1"}:
        return int(value, 2)
    raise HandleJsonError(
        f"permissions of an administrator are {_ADMIN_BITS} characters 0 or 1, or `*`,"
        f" not {value!r:.40}"
    )


def _key_number(key: Json, name: str) -> int:
    text = read_text(key.get(name), f"{name} of the key").rstrip(b"=")
    try:
        number = base64.b64decode(text + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise HandleJsonError(f"{name} of the key is not base64url: {error}") from error
    if len(number) > MAX_KEY_NUMBER_BYTES:
        raise HandleJsonError(f"{name} of the key is longer than {MAX_KEY_NUMBER_BYTES} bytes")
    return int.from_bytes(number, "big")


def _number_text(number: int) -> str:
    data = number.to_bytes(max(1, (number.bit_length() + 7) // 8), "big")
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
