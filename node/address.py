"""The addresses that settings speak of: where to listen, and what to tell the world; read and written as text."""

import re
from ipaddress import ip_address
from typing import NamedTuple


class Endpoint(NamedTuple):
    """Where to listen: a host name or address, and a port (0 lets the kernel choose)."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def overlaps(self, other: "Endpoint") -> bool:
        """True when both mean the same port of one address, be it that one of them means all addresses.

        Names are compared as text: give addresses to know for certain.
        """
        if self.port != other.port:
            return False
        if self.host == other.host:
            return True
        try:
            ours, theirs = ip_address(self.host), ip_address(other.host)
        except ValueError:
            return False
        both = ours.is_unspecified or theirs.is_unspecified
        return ours == theirs or (ours.version == theirs.version and both)


class PublicAddress(NamedTuple):
    """What our HS_SITE tells clients to connect to; a port of 0 stands for the listener's own."""

    host: str
    native_port: int
    http_port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.native_port}:{self.http_port}"


def _endpoint(text: str) -> Endpoint:
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%\w]+)\]|([^\[\]:\s]+)):(\d{1,5})", text.strip())
    if match is None or int(match[3]) > 65_535:
        raise ValueError("must be host:port, such as 127.0.0.1:8000 or [::1]:8000")
    return Endpoint(match[1] or match[2], int(match[3]))


def read_endpoints(text: str) -> tuple[Endpoint, ...]:
    """Read `host:port,host:port`; ValueError says what it must be."""
    found = tuple(_endpoint(part) for part in text.split(",") if part.strip())
    if not found:
        raise ValueError("needs at least one host:port, such as 127.0.0.1:8000")
    return found


def read_public_address(text: str) -> PublicAddress | None:
    """Read `address[:native port[:http port]]`, or nothing; ValueError says what it must be."""
    if not text.strip():
        return None
    match = re.fullmatch(
        r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:\s]+))(?::(\d{1,5}))?(?::(\d{1,5}))?", text.strip()
    )
    problem = "must be an IP address, then the native and the HTTP port if they are not the listeners', such as"
    if match is None or max(int(match[3] or 0), int(match[4] or 0)) > 65_535:
        raise ValueError(f"{problem} 203.0.113.7:2641:80")
    try:
        host = str(ip_address(match[1] or match[2]))
    except ValueError:
        raise ValueError(f"{problem} 203.0.113.7 or [2001:db8::7]:2641:80") from None
    return PublicAddress(host, int(match[3] or 0), int(match[4] or 0))


def loopback_if_any(host: str) -> str:
    """Return the address, or the loopback address if it means all addresses or is a name."""
    try:
        address = ip_address(host)
    except ValueError:
        return "127.0.0.1"
    if not address.is_unspecified:
        return str(address)
    return "127.0.0.1" if address.version == 4 else "::1"
