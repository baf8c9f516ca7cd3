"""HTTPS load: the HTTP generator over TLS connections that are kept open, handshakes done before the run."""

import select
import socket
import ssl
from collections.abc import Sequence
from math import inf
from typing import TypeVar

from loadtest.exchange import Exchange
from loadtest.generator_http import CONNECTIONS, check_http, response_splitter
from loadtest.run import Prepared
from loadtest.source import source_address
from loadtest.streams import SILENCE_SECONDS, Address, StreamGenerator

_FIRST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
_READ = 1 << 16

Wrapped = TypeVar("Wrapped")


class _PatientSocket(ssl.SSLSocket):
    """Waits for the rest of a record of which a part is here; such a read has nothing to give yet."""

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        while True:
            try:
                return super().recv(buflen, flags)
            except ssl.SSLWantReadError:
                select.select([self], [], [], SILENCE_SECONDS)


def prepare_tls(
    address: Address,
    exchanges: Sequence[Exchange],
    *,
    seconds: float = inf,
    once: bool = False,
    connections: int = CONNECTIONS,
) -> Prepared:
    """Return a run over the exchanges, round and round, or each `once`, that ends after `seconds` at the latest."""
    requests = [exchange.request for exchange in exchanges]
    generator = StreamGenerator(
        address,
        requests,
        check_http(exchanges),
        connections=connections,
        depth=1,
        connect=_connect,
    )
    return lambda: generator.run(seconds, once=once)


def _connect(address: Address) -> socket.socket:
    """Connect, shake hands, and ask once: the session tickets come with the first answer.

    The certificate is the node's own for development; a load test has nothing to hide.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.sslsocket_class = _PatientSocket
    plain = socket.create_connection(address, SILENCE_SECONDS, source_address())
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    owner = context.wrap_socket(plain)
    owner.sendall(_FIRST)
    split, data = response_splitter(), b""
    while not split(data):
        data += owner.recv(_READ)
    owner.setblocking(False)
    return owner
