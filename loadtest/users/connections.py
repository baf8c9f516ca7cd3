"""Connections of users, over blocking sockets: one question, one answer.  Under locust, waiting lets other users run.

Each is opened when it is first needed, and again after it broke.  What goes wrong is an OSError, or a WireError for
bytes that are no message.
"""

import socket
from collections.abc import Mapping
from functools import lru_cache
from struct import Struct
from urllib.parse import quote

from loadtest.generator_http import response_splitter
from node.ledger.headers import CAMPAIGN_HEADER
from resolver.wire import (
    DatagramJoiner,
    Envelope,
    Flag,
    FrameBuffer,
    Header,
    Message,
    Opcode,
    ResolutionRequest,
)

Address = tuple[str, int]

ANSWER_SECONDS = 5.0
_READ_BYTES = 1 << 16
_MOST_IDS = 1 << 31
_PATHS_KEPT = 1 << 16
_VERSION = (2, 11, 2, 11)
_request_id = Struct(">8xI").unpack_from


class Broken(OSError):
    """The server closed the connection instead of an answer."""


class Connection:
    """A stream, opened when it is needed."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._socket: socket.socket | None = None

    def let_go(self) -> None:
        """Let go of the socket."""
        found, self._socket = self._socket, None
        if found is not None:
            found.close()

    def send(self, data: bytes) -> None:
        """Send all, after opening the connection if need be."""
        if self._socket is None:
            self._socket = socket.create_connection(self._address, ANSWER_SECONDS)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(data)

    def receive(self) -> bytes:
        """Return what comes next.  Raises Broken when nothing more will."""
        if self._socket is None or not (data := self._socket.recv(_READ_BYTES)):
            raise Broken("the connection was closed")
        return data


class HttpStream(Connection):
    """HTTP/1.1 by hand: the smallest header block, answers with a Content-Length."""

    def __init__(self, address: Address, headers: Mapping[str, str] | None = None) -> None:
        """`headers` go with every request."""
        super().__init__(address)
        lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        self._rest = f" HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\n{lines}\r\n"
        self._split = response_splitter()

    def get(self, path: str) -> tuple[int, bytes]:
        """Return status and body."""
        self.send(f"GET {path}{self._rest}".encode())
        data = self.receive()
        while not (at := self._split(data)):
            data += self.receive()
        return int(data[9:12]), data[at:]


class NativeStream(Connection):
    """The Handle protocol over TCP."""

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        self._frames = FrameBuffer()

    def ask(self, request: bytes) -> bytes:
        """Return the next whole message.  Raises WireError."""
        self.send(request)
        while (message := self._frames.next_message()) is None:
            self._frames.feed(self.receive())
        return message

    def let_go(self) -> None:
        """Let go of the socket, and of what it brought."""
        super().let_go()
        self._frames = FrameBuffer()


class NativeDatagrams:
    """The Handle protocol over UDP; an answer in several datagrams is joined, one to an older question passed over."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._socket = self._open()

    def _open(self) -> socket.socket:
        address = self._address
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        opened = socket.socket(family, socket.SOCK_DGRAM)
        opened.settimeout(ANSWER_SECONDS)
        opened.connect(address)
        return opened

    def ask(self, request: bytes) -> bytes:
        """Return the answer to this request.  Raises WireError; TimeoutError when none comes."""
        self.send(request)
        joiner = DatagramJoiner()
        while True:
            message = joiner.add(None, self._socket.recv(_READ_BYTES), 0.0)
            if message is not None and _request_id(message) == _request_id(request):
                return message

    def send(self, request: bytes) -> None:
        """Send a request."""
        self._socket.send(request)

    def let_go(self) -> None:
        """Take another socket, at which no old answer arrives."""
        self._socket.close()
        self._socket = self._open()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class RequestPacker:
    """Makes resolution requests with ids that count up, through the codec of the node."""

    def __init__(self, first_id: int) -> None:
        self._next = first_id % _MOST_IDS

    def pack(self, handle: str) -> bytes:
        """Return a request for all public values."""
        self._next = (self._next + 1) % _MOST_IDS
        body = ResolutionRequest(handle.encode()).encode()
        envelope = Envelope(*_VERSION, request_id=self._next)
        header = Header(Opcode.RESOLUTION, flags=Flag.PUBLIC_ONLY)
        return Message(envelope, header, body).encode()


def campaign_headers(token: str) -> dict[str, str]:
    """Return the header that shows the token of an announced load test; none without a token."""
    return {CAMPAIGN_HEADER.decode(): token} if token else {}


@lru_cache(_PATHS_KEPT)
def handle_path(handle: str) -> str:
    """Return the path of a handle in the Handle JSON API."""
    return f"/api/handles/{quote(handle, safe='/:.-_~()')}"
