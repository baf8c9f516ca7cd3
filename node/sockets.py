"""Sockets: every listening socket of the node, opened by the supervisor and handed down by descriptor.

Each worker slot has its own SO_REUSEPORT socket for every listener.  The supervisor keeps them open, so what waits in
the queue of a worker that was killed is served by its successor, and the port is never let go in between.
"""

import errno
import os
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from typing import Self

from node.address import Endpoint
from node.config import LISTEN_SETTINGS, Settings, shared_port
from node.errors import Kind, RegistryError

BACKLOG = 4_096  # connections waiting to be accepted; the kernel caps it at net.core.somaxconn
UDP_BUFFER_BYTES = 4 << 20  # as the measurements used; the kernel may give less
_SO_RCVBUFFORCE = 33  # Linux: beyond net.core.rmem_max, for those with CAP_NET_ADMIN


@dataclass(frozen=True, slots=True)
class Sockets:
    """The listening sockets of one process: those of a worker slot, or the keeper's (`admin` only).  Non-blocking."""

    http: tuple[socket.socket, ...] = ()
    udp: tuple[socket.socket, ...] = ()
    tcp: tuple[socket.socket, ...] = ()
    admin: tuple[socket.socket, ...] = ()

    def describe(self) -> str:
        """Return the descriptors as one argument of a command line, such as `http=5,6;udp=7;tcp=8;admin=`."""
        groups = ((each.name, getattr(self, each.name)) for each in fields(self))
        return ";".join(
            f"{name}={','.join(str(s.fileno()) for s in group)}" for name, group in groups
        )

    @classmethod
    def adopt(cls, description: str) -> Self:
        """Take over the inherited descriptors that `describe` named."""
        groups = (part.partition("=") for part in description.split(";"))
        return cls(
            **{
                name: tuple(
                    socket.socket(fileno=int(number)) for number in numbers.split(",") if number
                )
                for name, _, numbers in groups
            }
        )

    def descriptors(self) -> tuple[int, ...]:
        """Return the numbers of all descriptors."""
        return tuple(each.fileno() for each in self.all())

    def all(self) -> tuple[socket.socket, ...]:
        """Return all sockets."""
        return self.http + self.udp + self.tcp + self.admin

    def close(self) -> None:
        """Close all sockets."""
        for each in self.all():
            each.close()


@dataclass(frozen=True, slots=True)
class Listeners:
    """What the supervisor listens on: sockets for each slot and for the keeper; settings with the true addresses."""

    slots: tuple[Sockets, ...]
    keeper: Sockets
    settings: Settings

    def close(self) -> None:
        """Close all sockets of all slots."""
        for each in (*self.slots, self.keeper):
            each.close()


def open_listeners(settings: Settings) -> Listeners:
    """Open every listening socket; a port of 0 becomes the same true port for all slots, and for UDP and TCP.

    Raises RegistryError when an address is taken, not ours, or not allowed; nothing is left open then.
    """
    opened: list[socket.socket] = []
    try:
        true = _settle_all(settings)

        def group(endpoints: tuple[Endpoint, ...], kind: int) -> tuple[socket.socket, ...]:
            made = tuple(_listen(each, kind) for each in endpoints)
            opened.extend(made)
            return made

        slots = tuple(
            Sockets(
                http=group(true.http_listen, socket.SOCK_STREAM),
                udp=group(true.native_listen, socket.SOCK_DGRAM),
                tcp=group(true.native_listen, socket.SOCK_STREAM),
            )
            for _ in range(settings.workers)
        )
        keeper = Sockets(admin=group(true.admin_listen, socket.SOCK_STREAM))
    except RegistryError:
        for each in opened:
            each.close()
        raise
    return Listeners(slots, keeper, true)


def open_listener(endpoint: Endpoint) -> tuple[socket.socket, Endpoint]:
    """Open one TCP listener, and return it with its true address.  Raises RegistryError as `open_listeners` does."""
    true = _settle(endpoint, socket.SOCK_STREAM)
    return _listen(true, socket.SOCK_STREAM), true


def is_free(endpoint: Endpoint, kind: int) -> bool:
    """True when nobody listens there; `kind` is SOCK_STREAM or SOCK_DGRAM.  Raises RegistryError for other troubles."""
    try:
        _settle(endpoint, kind)
    except RegistryError as error:
        if error.kind is Kind.IN_USE:
            return False
        raise
    return True


def _settle_all(settings: Settings) -> Settings:
    """Return the settings with true addresses; no two of them are the same, as SO_REUSEPORT would allow.

    The kind of socket makes no difference: every listener has one for TCP.
    """
    seen: dict[Endpoint, tuple[str, Endpoint]] = {}
    settled: dict[str, tuple[Endpoint, ...]] = {}
    for name in LISTEN_SETTINGS:
        settle = _settle_both if name == "native_listen" else _settle_stream
        found = []
        for given in getattr(settings, name):
            true = _settle_apart(settle, name, given, seen)
            seen[true] = (name, given)
            found.append(true)
        settled[name] = tuple(found)
    return replace(
        settings,
        http_listen=settled["http_listen"],
        native_listen=settled["native_listen"],
        admin_listen=settled["admin_listen"],
    )


def _settle_apart(
    settle: Callable[[Endpoint], Endpoint],
    name: str,
    given: Endpoint,
    seen: Mapping[Endpoint, tuple[str, Endpoint]],
) -> Endpoint:
    """Settle an address so that none of those seen overlaps; where the kernel chose the port, it chooses again."""
    while True:
        true = settle(given)
        taken = next((where for other, where in seen.items() if true.overlaps(other)), None)
        if taken is None:
            return true
        if given.port:
            raise shared_port(name, str(given), taken[0], str(taken[1]))


def _settle_stream(endpoint: Endpoint) -> Endpoint:
    return _settle(endpoint, socket.SOCK_STREAM)


def _settle(endpoint: Endpoint, kind: int) -> Endpoint:
    """Check that the address is free, and find the true one: an address for a name, a port for 0.

    Without this a second node of the same user would join our SO_REUSEPORT group and take part of the traffic.
    """
    with _socket(endpoint, kind) as probe:
        if kind == socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _bind(probe, endpoint)
        return Endpoint(*probe.getsockname()[:2])


def _settle_both(endpoint: Endpoint) -> Endpoint:
    settled = _settle(endpoint, socket.SOCK_STREAM)
    return _settle(settled, socket.SOCK_DGRAM)


def _listen(endpoint: Endpoint, kind: int) -> socket.socket:
    opened = _socket(endpoint, kind)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if kind == socket.SOCK_STREAM:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            _widen(opened)
        _bind(opened, endpoint)
        if kind == socket.SOCK_STREAM:
            opened.listen(BACKLOG)
        opened.setblocking(False)
    except BaseException:
        opened.close()
        raise
    return opened


def _widen(udp: socket.socket) -> None:
    """Give the socket as large a receive buffer as we are allowed."""
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UDP_BUFFER_BYTES)
    with suppress(OSError):
        udp.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, UDP_BUFFER_BYTES)


def _socket(endpoint: Endpoint, kind: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(endpoint.host, endpoint.port, type=kind, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise RegistryError(
            Kind.MISCONFIGURED,
            f"Cannot listen on {endpoint}: the host name is not known ({error}).",
        ) from error
    opened = socket.socket(found[0][0], kind)
    if opened.family == socket.AF_INET6:
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return opened


def _bind(unbound: socket.socket, endpoint: Endpoint) -> None:
    try:
        address = (endpoint.host, endpoint.port)
        info = socket.getaddrinfo(*address, family=unbound.family, type=unbound.type)
        unbound.bind(info[0][4])
    except OSError as error:
        raise _refusal(endpoint, unbound.type, error) from error


def _refusal(endpoint: Endpoint, kind: int, error: OSError) -> RegistryError:
    protocol = "UDP" if kind == socket.SOCK_DGRAM else "TCP"
    if error.errno == errno.EADDRINUSE:
        return RegistryError(
            Kind.IN_USE,
            f"Another process already listens on {protocol} {endpoint}; stop it (`ss -lnp` shows which it is) or "
            "choose another address.",
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return RegistryError(
            Kind.MISCONFIGURED,
            f"Cannot listen on {endpoint}: this machine does not have that address.",
        )
    if error.errno == errno.EACCES:
        return RegistryError(
            Kind.FORBIDDEN,
            f"Not allowed to listen on {protocol} {endpoint}: ports below 1024 need CAP_NET_BIND_SERVICE; choose a "
            "higher port.",
        )
    return RegistryError(
        Kind.UNAVAILABLE, f"Cannot listen on {endpoint}: {os.strerror(error.errno or 0)}."
    )
