"""Site and Route (解析路由): where a prefix is answered; what a delegation (HS_SITE) says, and 表2 and 表7 send.

表2 and 表7 name the identifier types and the protocols without codes; our values are those words in lower case.
"""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from typing import Annotated

from node.model.field import Checked, Field
from node.model.form import Part
from node.model.installation import ADDRESS, check_address
from node.model.kind import Choice, Many, Number, Text
from node.model.rule import ModelError, Rule

MAX_SITES = 8
PORT = Number(1, 65_535)


class IdentifierType(StrEnum):
    """The identifier types that the top-level node tells apart (标识类型)."""

    HANDLE = "handle"
    OID = "oid"
    BID = "did:bid"
    VAA = "vaa"
    ECODE = "ecode"
    GS1 = "gs1"


class IpType(StrEnum):
    """The version of the Internet Protocol (IP类型), spelled as the public interface spells it."""

    V4 = "4"
    V6 = "6"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Site(Checked):
    """One address of a server, with the port of each protocol that it speaks; at least one."""

    ip_type: Annotated[IpType, Field("IP类型", Choice(IpType))]
    ip: Annotated[str, Field("IP地址", ADDRESS)]
    tcp_port: Annotated[int | None, Field("TCP端口", PORT)] = None
    udp_port: Annotated[int | None, Field("UDP端口", PORT)] = None
    http_port: Annotated[int | None, Field("HTTP端口", PORT)] = None

    def check_together(self) -> None:
        if check_address(self.ip, "ip") != int(self.ip_type):
            raise ModelError("ip", Rule.ADDRESS, f"this is no IPv{self.ip_type.value} address")
        if self.tcp_port is None and self.udp_port is None and self.http_port is None:
            raise ModelError(
                "tcp_port", Rule.PORTS, "give at least one of tcp_port, udp_port and http_port"
            )


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Route(Checked):
    """One row of 表2 (the node's own) or 表7 (an enterprise's); `prefix` may be a range, in the words of its type."""

    identifier_type: Annotated[IdentifierType, Field("标识类型", Choice(IdentifierType))]
    prefix: Annotated[str, Field("标识前缀或号段", Text(255))]
    sites: Annotated[tuple[Site, ...], Field("解析服务地址", Many(Part(Site), MAX_SITES))]

    def check_together(self) -> None:
        check_sites(self.sites)


def check_sites(sites: tuple[Site, ...]) -> None:
    """Raise ModelError when a site is given twice."""
    if len({ip_address(site.ip) for site in sites}) < len(sites):
        raise ModelError("sites", Rule.UNIQUE, "give each address once, with all its ports")
