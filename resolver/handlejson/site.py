"""HS_SITE data as Handle JSON, and back; the site object of `/api/site` too (features-and-contracts §2.4)."""

from ipaddress import IPv4Address, IPv6Address, ip_address

from resolver.handlejson.fields import (
    MAX_INDEX,
    HandleJsonError,
    Json,
    expect_list,
    expect_object,
    read_base64,
    read_number,
    read_text,
    write_text,
)
from resolver.handlejson.typed import key_from_json, public_key_to_json
from resolver.wire import (
    HashOption,
    InterfaceKind,
    SiteData,
    SiteInterface,
    SiteServer,
    Transport,
    encode_public_key,
)

MAX_SITE_PARTS = 256  # attributes, servers, interfaces of a server: each

_ADDRESS_BYTES = 16
_IPV4_BYTES = 4
_KNOWN_KINDS = InterfaceKind.ADMIN | InterfaceKind.QUERY


def site_to_json(site: SiteData) -> Json:
    """Return the object of an HS_SITE value and of `/api/site`.  Raises HandleJsonError."""
    found: Json = {
        "version": site.format_version,
        "protocolVersion": f"{site.major}.{site.minor}",
        "serialNumber": site.serial,
        "primarySite": site.primary,
        "multiPrimary": site.multi_primary,
    }
    if site.hash_option != HashOption.WHOLE_HANDLE:
        found["hashOption"] = site.hash_option
    if site.hash_filter:
        found["hashFilter"] = write_text(site.hash_filter)
    found["attributes"] = [
        {"name": write_text(n), "value": write_text(v)} for n, v in site.attributes
    ]
    found["servers"] = [_server_to_json(each) for each in site.servers]
    return found


def site_from_json(value: object) -> SiteData:
    """Read the object of an HS_SITE value.  Raises HandleJsonError."""
    site = expect_object(value, "a site")
    major, minor = _read_version(site.get("protocolVersion", "2.11"))
    attributes = expect_list(site.get("attributes", []), "attributes", MAX_SITE_PARTS)
    servers = expect_list(site.get("servers", []), "servers", MAX_SITE_PARTS)
    return SiteData(
        major=major,
        minor=minor,
        serial=read_number(site.get("serialNumber", 1), "serialNumber", 0xFFFF),
        primary=_read_flag(site, "primarySite", default=True),
        multi_primary=_read_flag(site, "multiPrimary", default=False),
        hash_option=read_number(
            site.get("hashOption", int(HashOption.WHOLE_HANDLE)), "hashOption", 0xFF
        ),
        hash_filter=read_text(site.get("hashFilter", ""), "hashFilter"),
        attributes=tuple([_attribute_from_json(each) for each in attributes]),
        servers=tuple([_server_from_json(each) for each in servers]),
        format_version=read_number(site.get("version", 1), "version", 0xFFFF),
    )


def _server_to_json(server: SiteServer) -> Json:
    found: Json = {"serverId": server.server_id, "address": _address_text(server.address)}
    if server.public_key:
        found["publicKey"] = public_key_to_json(server.public_key)
    found["interfaces"] = [_interface_to_json(each) for each in server.interfaces]
    return found


def _server_from_json(value: object) -> SiteServer:
    server = expect_object(value, "a server")
    interfaces = expect_list(server.get("interfaces", []), "interfaces", MAX_SITE_PARTS)
    return SiteServer(
        server_id=read_number(server.get("serverId", 1), "serverId", MAX_INDEX),
        address=_read_address(server.get("address")),
        public_key=_read_public_key(server.get("publicKey")),
        interfaces=tuple([_interface_from_json(each) for each in interfaces]),
    )


def _read_public_key(value: object) -> bytes:
    if value is None:
        return b""
    key = expect_object(value, "publicKey")
    if key.get("format") == "base64":
        return read_base64(key.get("value"), "publicKey")
    return encode_public_key(key_from_json(key.get("value", key)))


def _interface_to_json(interface: SiteInterface) -> Json:
    if interface.protocol not in list(Transport) or interface.kind & ~_KNOWN_KINDS:
        raise HandleJsonError("an interface of an unknown kind or transport has no JSON form")
    return {
        "query": bool(interface.kind & InterfaceKind.QUERY),
        "admin": bool(interface.kind & InterfaceKind.ADMIN),
        "protocol": Transport(interface.protocol).name,
        "port": interface.port,
    }


def _interface_from_json(value: object) -> SiteInterface:
    interface = expect_object(value, "an interface")
    name = str(interface.get("protocol")).upper()
    if name not in Transport.__members__:
        raise HandleJsonError(f"protocol is {name!r:.40}; write UDP, TCP, HTTP or HTTPS")
    query = InterfaceKind.QUERY if _read_flag(interface, "query", default=False) else 0
    admin = InterfaceKind.ADMIN if _read_flag(interface, "admin", default=False) else 0
    port = read_number(interface.get("port"), "port", 0xFFFF)
    return SiteInterface(int(query | admin), int(Transport[name]), port)


def _attribute_from_json(value: object) -> tuple[bytes, bytes]:
    attribute = expect_object(value, "an attribute")
    name = read_text(attribute.get("name"), "the name of an attribute")
    return name, read_text(attribute.get("value"), "the value of an attribute")


def _address_text(address: bytes) -> str:
    """IPv4 stands right-aligned; of what could be either, only `::1` is IPv6."""
    number = int.from_bytes(address, "big")
    if number >> (8 * _IPV4_BYTES) or number == 1:
        return str(IPv6Address(number))
    return str(IPv4Address(number))


def _read_address(value: object) -> bytes:
    try:
        packed = ip_address(value).packed if isinstance(value, str) else None
    except ValueError:
        packed = None
    if packed is None:
        raise HandleJsonError(f"address is {value!r:.60}; write an IPv4 or IPv6 address")
    return packed.rjust(_ADDRESS_BYTES, b"\0")


def _read_version(value: object) -> tuple[int, int]:
    major, _, minor = str(value).partition(".")
    what = "protocolVersion (such as 2.11)"
    return read_number(major, what, 0xFF), read_number(minor, what, 0xFF)


def _read_flag(container: Json, name: str, *, default: bool) -> bool:
    value = container.get(name, default)
    if not isinstance(value, bool):
        raise HandleJsonError(f"{name} must be true or false, not {value!r:.40}")
    return value
