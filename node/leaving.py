"""Leaving: through what a worker hears, and how it parts with its connections when a successor has taken its sockets.

A TCP connection is handed over between two messages.  One of HTTP is answered once more, and told that this was the
last; one that asks nothing is closed.  (Handing these over too would leave out those with TLS, whose keys are here.)
"""

import asyncio
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from resolver.frontends.fast import FastHttp
from resolver.frontends.server import HttpServer
from resolver.frontends.tcp import TcpConnection
from resolver.frontends.udp import UdpFrontEnd
from resolver.guard import Guard

IDLE_SECONDS = 2.0  # that an HTTP connection may ask nothing before it is closed
HANDSHAKE_SECONDS = 0.5  # that a TLS handshake under way has to become a connection


class Listeners(NamedTuple):
    """Through what a worker hears."""

    http: HttpServer
    datagrams: Sequence[UdpFrontEnd]
    streams: Sequence[asyncio.Server]

    def leave(self) -> None:
        """Take nothing more from the sockets: another process does."""
        self.http.accept_no_more()
        self.close_streams()
        for front_end in self.datagrams:
            front_end.read_no_more()

    def close_streams(self) -> None:
        """Accept no more on TCP."""
        for server in self.streams:
            server.close()

    def is_busy(self, guard: Guard) -> bool:
        """True while answers are being made."""
        return guard.is_busy() or any(each.is_busy() for each in self.datagrams)

    def close(self) -> None:
        """Close the UDP sockets."""
        for front_end in self.datagrams:
            front_end.close()


class Parting:
    """The end of a worker that has a successor; `give` hands a descriptor to it, and says whether it was taken."""

    def __init__(self, guard: Guard, give: Callable[[int], bool]) -> None:
        self._guard, self._give = guard, give
        self._loop = asyncio.get_running_loop()
        self._until = self._loop.time() + HANDSHAKE_SECONDS

    def goes_on(self) -> bool:
        """Part with what can be parted with now; true while connections are left, or may still be made."""
        for connection in self._guard.connections:
            if isinstance(connection, TcpConnection):
                connection.give_away(self._give)
            elif isinstance(connection, FastHttp) and not connection.is_last:
                connection.close_soon(IDLE_SECONDS)
        return bool(self._guard.connections) or self._loop.time() < self._until


async def hold(protocol: Callable[[], TcpConnection], connection: socket.socket) -> None:
    """Go on with a connection of a predecessor, unless its client has just gone."""
    with suppress(OSError):
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(protocol, connection)
