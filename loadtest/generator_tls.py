"""HTTPS load: the HTTP generator over TLS connections that are kept open, handshakes done before the run."""

import select
import socket
import ssl
from functools import partial

from loadtest.generator_http import prepare_http, response_splitter
from loadtest.source import source_address
from loadtest.streams import SILENCE_SECONDS, Address

_FIRST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
_READ = 1 << 16


class _PatientSocket(ssl.SSLSocket):
    """Waits for the rest of a record of which a part is here; such a read has nothing to give yet."""

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        while True:
            try:
                return super().recv(buflen, flags)
            except ssl.SSLWantReadError:
                select.select([self], [], [], SILENCE_SECONDS)


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


prepare_tls = partial(prepare_http, connect=_connect)
"""A run over HTTPS; see `prepare_streams`."""
