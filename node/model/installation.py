"""Installations (系统部署): where the systems of a node are, who built and runs them, and its licences.

The second half of 表1 and 表6.  The codes of systems, deployments and licences are those of the public form of a
secondary node; 表1 names the same things without codes.
"""

from dataclasses import dataclass
from enum import IntEnum
from ipaddress import ip_address
from typing import Annotated

from node.model.field import Checked, Field
from node.model.kind import Choice, Many, Text
from node.model.organisation import REGION, WEBSITE
from node.model.person import FILE
from node.model.regions import check_region, check_within
from node.model.rule import ModelError, Rule

MAX_ADDRESSES = 16  # of one system or website

ENDPOINT = Text(64, r"\[[0-9A-Fa-f:.]+\]:[0-9]{1,5}", "[192.0.2.1]:8443 or [2001:db8::1]:8443")
ADDRESS = Text(45, r"[0-9A-Fa-f:.]+", "192.0.2.1 or 2001:db8::1")
DOMAIN = Text(255, r"(?:[0-9A-Za-z_-]+\.)+[0-9A-Za-z-]+", "id.example.com")


class System(IntEnum):
    """A system of a node (系统类型)."""

    REGISTRATION = 1  # 标识注册系统
    REGISTRATION_DATA = 2  # 注册数据
    REGISTRATION_BACKUP = 3  # 注册数据备份
    RESOLUTION = 4  # 标识解析服务器
    SERVICE_BACKUP = 5  # 服务备份


REQUIRED_SYSTEMS = (
    System.REGISTRATION,
    System.REGISTRATION_DATA,
    System.REGISTRATION_BACKUP,
    System.RESOLUTION,
)


class Deployment(IntEnum):
    """Where a system runs (部署方式)."""

    ON_PREMISES = 1  # 本地部署
    CLOUD = 2  # 云部署


class Undertaker(IntEnum):
    """Who does something (方式)."""

    OWN = 1  # 自行
    ENTRUSTED = 2  # 委托


class LicenceType(IntEnum):
    """What a licence is for (许可类型)."""

    ROOT_SERVER = 1  # 根服务器运行
    REGISTRY = 2  # 注册管理
    REGISTRAR = 3  # 注册服务
    VALUE_ADDED_TELECOM = 4  # 增值电信业务


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Installation(Checked):
    """One system: on premises at an address, or in a named cloud."""

    system: Annotated[System, Field("系统类型", Choice(System))]
    deployment: Annotated[Deployment, Field("部署方式", Choice(Deployment))]
    province: Annotated[str, Field("部署所在省", REGION)] = ""
    city: Annotated[str, Field("部署所在市", REGION)] = ""
    county: Annotated[str, Field("部署所在区县", REGION)] = ""
    address: Annotated[str, Field("部署地址", Text(255))] = ""
    cloud: Annotated[str, Field("云服务商", Text(255))] = ""
    endpoints: Annotated[tuple[str, ...], Field("IP与端口", Many(ENDPOINT, MAX_ADDRESSES))] = ()

    def check_together(self) -> None:
        for place, endpoint in enumerate(self.endpoints):
            host, _, port = endpoint.rpartition(":")
            check_address(host.strip("[]"), f"endpoints.{place}")
            if not 0 < int(port) < 65_536:
                raise ModelError(f"endpoints.{place}", Rule.RANGE, "a port is from 1 to 65535")
        if self.deployment is Deployment.CLOUD:
            _require(self, "cloud")
        else:
            _require(self, "province", "city", "address")
            for field in ("province", "city", "county"):
                if code := getattr(self, field):
                    check_region(code, field)
            check_within(self.province, self.city, self.county)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Undertaking(Checked):
    """Who builds, runs or checks something: the organisation itself, or a named party by a contract."""

    by: Annotated[Undertaker, Field("方式", Choice(Undertaker))]
    party: Annotated[str, Field("受托单位", Text(255))] = ""
    contract: Annotated[str, Field("委托合同", FILE)] = ""

    def check_together(self) -> None:
        if self.by is Undertaker.ENTRUSTED:
            _require(self, "party")
        elif self.party or self.contract:
            raise ModelError("party", Rule.TOGETHER, "give a party only when `by` is 2")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Licence(Checked):
    """A licence that the organisation holds."""

    type: Annotated[LicenceType, Field("许可类型", Choice(LicenceType))]
    number: Annotated[str, Field("许可证号", Text(64))]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Website(Checked):
    """The public website of a node: name, domain, addresses of IPv4 and IPv6."""

    name: Annotated[str, Field("网站名称", Text(255))]
    domain: Annotated[str, Field("网站域名", DOMAIN)]
    addresses: Annotated[tuple[str, ...], Field("网站IP", Many(ADDRESS, MAX_ADDRESSES))] = ()
    url: Annotated[str, Field("网址", WEBSITE)] = ""

    def check_together(self) -> None:
        for place, address in enumerate(self.addresses):
            check_address(address, f"addresses.{place}")


def check_address(address: str, field: str) -> int:
    """Return 4 or 6 for an address that a client could ask.  Raises ModelError.

    Private and loopback addresses are allowed: a closed network, or a trial on one machine, has no others.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        raise ModelError(field, Rule.ADDRESS, "this is no IPv4 or IPv6 address") from None
    if parsed.is_unspecified or parsed.is_multicast or str(parsed) == "255.255.255.255":
        raise ModelError(field, Rule.ADDRESS, "no client can ask there; give the address of a host")
    return parsed.version


def _require(value: Checked, *names: str) -> None:
    for name in names:
        if not getattr(value, name):
            raise ModelError(name, Rule.REQUIRED, "this is required for this choice")
