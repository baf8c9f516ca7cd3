"""Resolution: where an identifier is answered, by the routes that were sent (表7, 表2): a referral, never the record.

The top of the tree knows prefixes alone.  A prefix is answered with its HS_SITE values, an identifier with a referral
to them (303); of several prefixes above a name the longest counts.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import cast

import orjson

from node.toplevel.database import Database
from node.toplevel.shown import read_bodies
from resolver.wire import (
    HandleValue,
    InterfaceKind,
    SiteData,
    SiteInterface,
    SiteServer,
    Transport,
    encode_site,
)
from sync.channels.tables import ENTERPRISE_ROUTE, NODE_ROUTE

MAX_ROUTES = 100_000
NAMING = "0.na/"  # the handles of prefixes
FIRST_INDEX = 500  # of HS_SITE values, as the drafts have it
_VERSION = (2, 11)
_PORTS = {
    "tcp_port": Transport.TCP,
    "udp_port": Transport.UDP,
    "http_port": Transport.HTTP,
}
_IPV4_LEFT = 12  # bytes in front of an IPv4 address


@dataclass(frozen=True, slots=True)
class Site:
    """One address of a service; a port of 0 is not offered."""

    ip: str
    tcp_port: int = 0
    udp_port: int = 0
    http_port: int = 0

    def value(self, index: int) -> HandleValue:
        """Return the HS_SITE value that says this."""
        ports = {"tcp_port": self.tcp_port, "udp_port": self.udp_port, "http_port": self.http_port}
        interfaces = tuple(
            SiteInterface(InterfaceKind.QUERY, _PORTS[name], port)
            for name, port in ports.items()
            if port
        )
        packed = ip_address(self.ip).packed
        address = bytes(_IPV4_LEFT) + packed if len(packed) == 4 else packed
        server = SiteServer(1, address, b"", interfaces)
        site = SiteData(*_VERSION, 1, primary=True, multi_primary=False, servers=(server,))
        kind = b"HS_SITE" if len(packed) == 4 else b"HS_SITE.6"
        return HandleValue(index, kind, encode_site(site))


@dataclass(frozen=True, slots=True)
class Route:
    """Where a prefix is answered; `enterprise` is empty for the node's own."""

    prefix: str
    sites: tuple[Site, ...]
    enterprise: str = ""

    def values(self) -> tuple[HandleValue, ...]:
        """Return the HS_SITE values."""
        return tuple(site.value(FIRST_INDEX + place) for place, site in enumerate(self.sites))

    def plain(self) -> dict[str, object]:
        """Return it as JSON has it."""
        sites = [
            {name: value for name in Site.__slots__ if (value := getattr(site, name))}
            for site in self.sites
        ]
        owner = {"enterprise": self.enterprise} if self.enterprise else {}
        return {
            "prefix": self.prefix,
            "table": "7" if self.enterprise else "2",
            **owner,
            "sites": sites,
        }


class Routes:
    """The routes of the moment, by prefix."""

    def __init__(self, routes: Iterable[Route] = ()) -> None:
        self._routes: Mapping[str, Route] = {route.prefix.lower(): route for route in routes}

    @classmethod
    async def read(cls, database: Database) -> "Routes":
        """Read the routes that are in force; an enterprise's goes before the node's of the same prefix."""
        found = []
        for table in (NODE_ROUTE, ENTERPRISE_ROUTE):
            bodies = await read_bodies(database, table.number, MAX_ROUTES)
            found += [_route(orjson.loads(body)) for body in bodies]
        return cls(found)

    def __iter__(self) -> Iterator[Route]:
        return iter(sorted(self._routes.values(), key=lambda route: route.prefix))

    def __len__(self) -> int:
        return len(self._routes)

    def find(self, name: str) -> Route | None:
        """Return the route of a prefix, of its handle (`0.NA/…`), or of an identifier below it."""
        prefix = prefix_of(name)
        while prefix:
            if prefix in self._routes:
                return self._routes[prefix]
            prefix = prefix.rpartition(".")[0]
        return None


def prefix_of(name: str) -> str:
    """Return the prefix of an identifier, in lower case; of a prefix, or the handle of one, itself."""
    lower = name.lower().removeprefix("hdl:")
    return lower.removeprefix(NAMING).partition("/")[0]


def is_prefix(name: str) -> bool:
    """True for a prefix, and for the handle of one."""
    lower = name.lower().removeprefix("hdl:")
    return lower.startswith(NAMING) or "/" not in lower


def _route(row: Mapping[str, object]) -> Route:
    """The route that a row of 表2 or 表7 says; it was checked when it was taken."""
    sites = tuple(_site(each) for each in cast("Sequence[Mapping[str, object]]", row["sites"]))
    return Route(str(row["prefix"]), sites, str(row.get("enterprise", "")))


def _site(row: Mapping[str, object]) -> Site:
    ports = {name: cast("int", row[name]) for name in _PORTS if name in row}
    return Site(str(row["ip"]), **ports)
