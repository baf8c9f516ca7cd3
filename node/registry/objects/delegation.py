"""Delegation: the prefix record (`0.NA/…`) of a prefix that the enterprise's own node answers for; pure.

While a prefix is known to the model, the HS_SITE values of its record are the model's: those of its sites when it is
delegated, none when it is hosted (the resolver then adds this node's own).  All other values are left as they are.
"""

from collections.abc import Sequence
from ipaddress import ip_address

from node.model.site import IpType, Site
from resolver.wire import HandleValue, SiteData, SiteInterface, SiteServer, Transport, encode_site
from resolver.wire.constants import HashOption, InterfaceKind

SITE_TYPES = {IpType.V4: b"HS_SITE", IpType.V6: b"HS_SITE.6"}
PROTOCOL_VERSION = (2, 11)

_BOTH = int(InterfaceKind.ADMIN | InterfaceKind.QUERY)
_QUERY = int(InterfaceKind.QUERY)

Values = tuple[HandleValue, ...]


def with_sites(values: Values, sites: Sequence[Site], now: int) -> Values:
    """Return a record's values with these sites and no others; what was there just so keeps its index and time."""
    wanted = [_value(site, is_one_of_many=len(sites) > 1) for site in sites]
    kept, left = [], list(wanted)
    for value in values:
        if value.type.upper() not in SITE_TYPES.values():
            kept.append(value)
        elif same := next((each for each in left if _is_same(each, value)), None):
            kept.append(value)
            left.remove(same)
    taken = {value.index for value in kept}
    free = (index for index in range(1, 2**31) if index not in taken)
    new = [
        HandleValue(index, each.type, each.data) for index, each in zip(free, left, strict=False)
    ]
    return (*kept, *(value.stamped(now) for value in new))


def _is_same(wanted: HandleValue, stored: HandleValue) -> bool:
    return (wanted.type, wanted.data) == (stored.type.upper(), stored.data) and stored.is_public


def _value(site: Site, *, is_one_of_many: bool) -> HandleValue:
    """One HS_SITE an address: each server has all records, so that clients may take any of them."""
    server = SiteServer(1, ip_address(site.ip).packed.rjust(16, b"\0"), b"", _interfaces(site))
    data = SiteData(
        *PROTOCOL_VERSION,
        serial=1,
        primary=True,
        multi_primary=is_one_of_many,
        hash_option=int(HashOption.WHOLE_HANDLE),
        servers=(server,),
    )
    return HandleValue(1, SITE_TYPES[site.ip_type], encode_site(data))


def _interfaces(site: Site) -> tuple[SiteInterface, ...]:
    """TCP stands first: the Chinese clients take the first interface for everything."""
    offered = (
        (_BOTH, Transport.TCP, site.tcp_port),
        (_QUERY, Transport.UDP, site.udp_port),
        (_BOTH, Transport.HTTP, site.http_port),
    )
    return tuple(SiteInterface(kind, transport, port) for kind, transport, port in offered if port)
