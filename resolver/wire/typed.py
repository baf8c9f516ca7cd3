"""What the data of the HS_ types means: administrators and lists of them (RFC 3651 §3.2.1, §3.2.6).

Sites are in `site.py`, keys in `keys.py`.  HS_SECKEY data is the secret's bytes as they are, so it
needs no codec.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from resolver.wire.constants import MAX_U16, MAX_U32
from resolver.wire.cursor import Reader, Writer
from resolver.wire.value import Reference, read_references, write_references

_LEGACY_TAIL = bytes(2)  # a form of HS_ADMIN that old tools wrote


@dataclass(frozen=True, slots=True)
class AdminData:
    """The data of an HS_ADMIN value: who (value `index` of `handle`; 0 is any) may do what.

    `permissions` are `AdminPermission` bits; the four above them are kept.  `legacy` is the form
    with two more bytes.
    """

    permissions: int
    handle: bytes
    index: int
    legacy: bool = False

    def __post_init__(self) -> None:
        if not (0 <= self.permissions <= MAX_U16 and 0 <= self.index <= MAX_U32):
            raise ValueError("an administrator's permissions or index are out of range")


def encode_admin(admin: AdminData) -> bytes:
    """Return the bytes of HS_ADMIN data."""
    writer = Writer().u16(admin.permissions).string(admin.handle).u32(admin.index)
    return bytes(writer.raw(_LEGACY_TAIL) if admin.legacy else writer)


def decode_admin(data: bytes) -> AdminData:
    """Return what HS_ADMIN data says; what stands in the legacy bytes is dropped.  Raises WireError."""
    reader = Reader(data)
    permissions, handle, index = reader.u16(), reader.string(), reader.u32()
    legacy = reader.remaining == len(_LEGACY_TAIL)
    if legacy:
        reader.rest()
    reader.finish()
    return AdminData(permissions, handle, index, legacy)


def encode_vlist(references: Sequence[Reference]) -> bytes:
    """Return the bytes of HS_VLIST data."""
    writer = Writer()
    write_references(writer, references)
    return bytes(writer)


def decode_vlist(data: bytes) -> tuple[Reference, ...]:
    """Return the references of HS_VLIST data.  Raises WireError."""
    reader = Reader(data)
    references = read_references(reader)
    reader.finish()
    return references
