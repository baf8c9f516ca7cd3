"""The machine's limit for a Python event loop: uvloop protocols that do nothing but send bytes back.

`python -m loadtest.baselines.echo --host 127.0.0.1` prints the three ports that it took, as one JSON line, and runs
until it is killed.
"""

import argparse
import asyncio
import gc
import json
import socket
from contextlib import suppress
from typing import cast

import uvloop

UDP_BUFFER_BYTES = 4 << 20  # as the node has
_SO_RCVBUFFORCE = 33  # Linux: beyond net.core.rmem_max
BODY_BYTES = 408  # the JSON answer of an ordinary record
BODY = b"x" * BODY_BYTES
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % BODY_BYTES
    + BODY
)


class UdpEcho(asyncio.DatagramProtocol):
    """Sends every datagram back."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._send = cast(asyncio.DatagramTransport, transport).sendto

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Send it back."""
        self._send(data, addr)


class TcpEcho(asyncio.Protocol):
    """Sends back whatever comes, as it comes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._write = cast(asyncio.Transport, transport).write

    def data_received(self, data: bytes) -> None:
        """Send it back."""
        self._write(data)


class HttpFixed(TcpEcho):
    """Answers every read (one whole request, by assumption) with the same response."""

    def data_received(self, data: bytes) -> None:
        """Send the fixed response."""
        self._write(ANSWER)


def _port(server: asyncio.Server) -> int:
    return int(server.sockets[0].getsockname()[1])


def _widen(udp: socket.socket) -> None:
    """Have as much room for datagrams as the node's sockets have; without the right to it, what everybody may."""
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UDP_BUFFER_BYTES)
    with suppress(PermissionError):
        udp.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, UDP_BUFFER_BYTES)


async def _serve(host: str) -> None:
    loop = asyncio.get_running_loop()
    udp, _ = await loop.create_datagram_endpoint(UdpEcho, local_addr=(host, 0))
    tcp = await loop.create_server(TcpEcho, host, 0)
    http = await loop.create_server(HttpFixed, host, 0)
    _widen(udp.get_extra_info("socket"))
    udp_port = udp.get_extra_info("sockname")[1]
    print(json.dumps({"udp": udp_port, "tcp": _port(tcp), "http": _port(http)}), flush=True)
    gc.collect()
    gc.freeze()
    await asyncio.Event().wait()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    uvloop.run(_serve(parser.parse_args().host))


if __name__ == "__main__":
    main()
