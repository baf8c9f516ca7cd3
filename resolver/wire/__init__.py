"""The Handle protocol as bytes, and back: no sockets, no clocks, standard library only.

Law: strings stay the UTF-8 `bytes` that came over the wire.  A string that is no UTF-8 is a name
that does not exist, not a broken message.  Any bytes, whole or in pieces, are parsed or refused
with `WireError`.
"""

from resolver.wire.constants import (
    DATAGRAM_BYTES,
    ENVELOPE_BYTES,
    HEADER_BYTES,
    MAX_HANDLE_BYTES,
    MAX_MESSAGE_BYTES,
    MAX_VALUES,
    PIECE_BYTES,
    AdminPermission,
    DigestAlgorithm,
    Flag,
    HashOption,
    InterfaceKind,
    Opcode,
    Permission,
    ResponseCode,
    SessionMode,
    Transport,
    TtlType,
)
from resolver.wire.errors import WireError
from resolver.wire.keys import (
    DhPublicKey,
    DsaPublicKey,
    PublicKey,
    RsaPublicKey,
    Sm2PublicKey,
    decode_public_key,
    encode_public_key,
)
from resolver.wire.site import SiteData, SiteInterface, SiteServer, decode_site, encode_site
from resolver.wire.typed import AdminData, decode_admin, decode_vlist, encode_admin, encode_vlist
from resolver.wire.value import (
    HandleValue,
    Reference,
    decode_values,
    encode_value,
    encode_values,
)

__all__ = [
    "DATAGRAM_BYTES",
    "ENVELOPE_BYTES",
    "HEADER_BYTES",
    "MAX_HANDLE_BYTES",
    "MAX_MESSAGE_BYTES",
    "MAX_VALUES",
    "PIECE_BYTES",
    "AdminData",
    "AdminPermission",
    "DhPublicKey",
    "DigestAlgorithm",
    "DsaPublicKey",
    "Flag",
    "HandleValue",
    "HashOption",
    "InterfaceKind",
    "Opcode",
    "Permission",
    "PublicKey",
    "Reference",
    "ResponseCode",
    "RsaPublicKey",
    "SessionMode",
    "SiteData",
    "SiteInterface",
    "SiteServer",
    "Sm2PublicKey",
    "Transport",
    "TtlType",
    "WireError",
    "decode_admin",
    "decode_public_key",
    "decode_site",
    "decode_values",
    "decode_vlist",
    "encode_admin",
    "encode_public_key",
    "encode_site",
    "encode_value",
    "encode_values",
    "encode_vlist",
]
