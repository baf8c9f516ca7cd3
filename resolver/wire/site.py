"""HS_SITE data: where the servers of a service are (RFC 3651 §3.2.2).  A site-info answer too."""

from dataclasses import dataclass
from struct import Struct

from resolver.wire.constants import MAX_U16, MAX_U32, HashOption, SitePrimary
from resolver.wire.cursor import Reader, Writer

ADDRESS_BYTES = 16
SITE_FORMAT = 1

_SITE_HEAD = Struct(">HBBHBB")  # format, major, minor, serial, primary mask, hash option
_INTERFACE = Struct(">BBI")  # kind, protocol, port
_SMALLEST_ATTRIBUTE = 4 + 4
_SMALLEST_SERVER = 4 + ADDRESS_BYTES + 4 + 4
_MAX_U8 = 0xFF


@dataclass(frozen=True, slots=True)
class SiteInterface:
    """One port of a server: `kind` is of `InterfaceKind` bits, `protocol` a `Transport`."""

    kind: int
    protocol: int
    port: int

    def __post_init__(self) -> None:
        if not (0 <= self.kind <= _MAX_U8 and 0 <= self.protocol <= _MAX_U8):
            raise ValueError("the kind or protocol of an interface is out of range")
        if not 0 <= self.port <= MAX_U32:
            raise ValueError(f"an interface on port {self.port} is out of range")


@dataclass(frozen=True, slots=True)
class SiteServer:
    """One server of a site.  `address` is 16 bytes, IPv4 right-aligned; the key HS_PUBKEY data."""

    server_id: int
    address: bytes
    public_key: bytes
    interfaces: tuple[SiteInterface, ...]

    def __post_init__(self) -> None:
        if len(self.address) != ADDRESS_BYTES or not 0 <= self.server_id <= MAX_U32:
            raise ValueError(f"a server's address takes {ADDRESS_BYTES} bytes and its id four")


@dataclass(frozen=True, slots=True)
class SiteData:
    """The data of an HS_SITE value; `major.minor` is the newest version that its servers speak."""

    major: int
    minor: int
    serial: int
    primary: bool
    multi_primary: bool
    hash_option: int = int(HashOption.WHOLE_HANDLE)
    hash_filter: bytes = b""
    attributes: tuple[tuple[bytes, bytes], ...] = ()
    servers: tuple[SiteServer, ...] = ()
    format_version: int = SITE_FORMAT

    def __post_init__(self) -> None:
        if not (0 <= self.major <= _MAX_U8 and 0 <= self.minor <= _MAX_U8):
            raise ValueError("a site's protocol version is out of range")
        if not (0 <= self.serial <= MAX_U16 and 0 <= self.format_version <= MAX_U16):
            raise ValueError("a site's serial or format is out of range")
        if not 0 <= self.hash_option <= _MAX_U8:
            raise ValueError("a site's hash option is out of range")


def encode_site(site: SiteData) -> bytes:
    """Return the bytes of HS_SITE data."""
    primary = SitePrimary.PRIMARY if site.primary else 0
    multiple = SitePrimary.MULTI_PRIMARY if site.multi_primary else 0
    writer = Writer().fields(
        _SITE_HEAD,
        site.format_version,
        site.major,
        site.minor,
        site.serial,
        primary | multiple,
        site.hash_option,
    )
    writer.string(site.hash_filter).u32(len(site.attributes))
    for name, value in site.attributes:
        writer.string(name).string(value)
    writer.u32(len(site.servers))
    for server in site.servers:
        _write_server(writer, server)
    return bytes(writer)


def decode_site(data: bytes) -> SiteData:
    """Return what HS_SITE data says; nothing may follow it.  Raises WireError.

    Unknown bits of the primary mask are dropped.
    """
    reader = Reader(data)
    format_version, major, minor, serial, mask, hash_option = reader.fields(_SITE_HEAD)
    hash_filter = reader.string()
    attributes = reader.items(_read_attribute, _SMALLEST_ATTRIBUTE)
    servers = reader.items(_read_server, _SMALLEST_SERVER)
    reader.finish()
    return SiteData(
        major=major,
        minor=minor,
        serial=serial,
        primary=bool(mask & SitePrimary.PRIMARY),
        multi_primary=bool(mask & SitePrimary.MULTI_PRIMARY),
        hash_option=hash_option,
        hash_filter=hash_filter,
        attributes=attributes,
        servers=servers,
        format_version=format_version,
    )


def _write_server(writer: Writer, server: SiteServer) -> None:
    writer.u32(server.server_id).raw(server.address).string(server.public_key)
    writer.u32(len(server.interfaces))
    for interface in server.interfaces:
        writer.fields(_INTERFACE, interface.kind, interface.protocol, interface.port)


def _read_attribute(reader: Reader) -> tuple[bytes, bytes]:
    return reader.string(), reader.string()


def _read_server(reader: Reader) -> SiteServer:
    server_id, address, public_key = reader.u32(), reader.take(ADDRESS_BYTES), reader.string()
    return SiteServer(
        server_id, address, public_key, reader.items(_read_interface, _INTERFACE.size)
    )


def _read_interface(reader: Reader) -> SiteInterface:
    return SiteInterface(*reader.fields(_INTERFACE))
