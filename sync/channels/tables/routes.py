"""表2 and 表7: where the node and its enterprises answer.

The guide names the identifier types and the protocols without codes; the words here, in lower case, are ours.  A
prefix that is stopped has no row: its row is deleted.
"""

from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import cast

from sync.channels.cadence import Cadence
from sync.channels.tables.kind import (
    Address,
    Choice,
    Code,
    Fault,
    Field,
    Many,
    Number,
    Part,
    Row,
    Text,
)
from sync.channels.tables.table import Table

_PORTS = ("tcp_port", "udp_port", "http_port")
_PORT = Number(1, 65_535)


def _site_fits(row: Row, above: str) -> None:
    if str(ip_address(cast("str", row["ip"])).version) != row["ip_type"]:
        raise Fault(Code.INCONSISTENT, f"{above}ip", f"this is no IPv{row['ip_type']} address")
    if not any(port in row for port in _PORTS):
        raise Fault(Code.MISSING, f"{above}tcp_port", f"give at least one of {', '.join(_PORTS)}")


def _sites_differ(row: Row, above: str) -> None:
    sites = cast("Sequence[Mapping[str, object]]", row["sites"])
    if len({ip_address(cast("str", site["ip"])) for site in sites}) < len(sites):
        raise Fault(
            Code.INCONSISTENT, f"{above}sites", "give each address once, with all its ports"
        )


SITE = Part(
    "site",
    (
        Field("ip_type", "IP 类型", Choice(("4", "6"))),
        Field("ip", "IP 地址", Address()),
        Field("tcp_port", "TCP 端口", _PORT, required=False),
        Field("udp_port", "UDP 端口", _PORT, required=False),
        Field("http_port", "HTTP 端口", _PORT, required=False),
    ),
    _site_fits,
)
_ROUTE = (
    Field(
        "identifier_type",
        "标识类型",
        Choice(("handle", "oid", "did:bid", "vaa", "ecode", "gs1")),
    ),
    Field("prefix", "标识前缀或号段", Text(255)),
    Field("sites", "解析服务地址", Many(SITE, 8)),
)

NODE_ROUTE = Table(
    number="2",
    name="node_route",
    chinese="二级节点解析配置数据",
    cadence=Cadence.REAL_TIME,
    key=("identifier_type", "prefix"),
    fields=_ROUTE,
    check_together=_sites_differ,
)
ENTERPRISE_ROUTE = Table(
    number="7",
    name="enterprise_route",
    chinese="企业解析路由数据",
    cadence=Cadence.HOURLY,
    key=("identifier_type", "prefix"),
    fields=(
        Field("enterprise", "企业编号（本节点）", Text(32, "[0-9A-Za-z_-]+")),
        *_ROUTE,
    ),
    check_together=_sites_differ,
)
