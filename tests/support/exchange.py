"""Raw sockets to a node: bytes as given, in the pieces as given, and all that comes back."""

import select
import socket
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

import httpx

from node.config import Settings
from resolver.wire import DatagramJoiner, FrameBuffer
from tests.support.nodes import eventually

ANSWER_SECONDS = 10.0
_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST = 4, 20, 1


class Asker:
    """A UDP socket that is connected to a node."""

    def __init__(self, socket_: socket.socket) -> None:
        self._socket = socket_
        self._joiner = DatagramJoiner()

    def send(self, *datagrams: bytes) -> None:
        """Send datagrams, in order."""
        for datagram in datagrams:
            self._socket.send(datagram)

    def receive(self) -> tuple[bytes, list[bytes]]:
        """Return the next whole message, and the datagrams it came in.  Raises TimeoutError."""
        datagrams: list[bytes] = []
        message = None
        while message is None:
            datagrams.append(self._socket.recv(65_536))
            message = self._joiner.add("answer", datagrams[-1], 0.0)
        return message, datagrams

    def ask(self, *datagrams: bytes) -> bytes:
        """Send one message and return the next."""
        self.send(*datagrams)
        return self.receive()[0]

    def is_silent(self, seconds: float = 0) -> bool:
        """True when nothing lies in the socket at this moment, nor comes in so many seconds."""
        readable, _, _ = select.select([self._socket], [], [], seconds)
        return not readable


@contextmanager
def asking(endpoint: tuple[str, int], source: str = "") -> Iterator[Asker]:
    """Lend a UDP socket that is connected to an endpoint, from an address if one is given."""
    family = socket.AF_INET6 if ":" in endpoint[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as made:
        made.settimeout(ANSWER_SECONDS)
        if source:
            made.bind((source, 0))
        made.connect(endpoint)
        yield Asker(made)


class Stream:
    """A TCP connection to a node."""

    def __init__(self, socket_: socket.socket) -> None:
        self._socket = socket_
        self._ends = socket_.getpeername(), socket_.getsockname()
        self._frames = FrameBuffer()

    def send(self, *pieces: bytes) -> None:
        """Send the pieces; each but the last is taken by the node before the next is sent."""
        for position, piece in enumerate(pieces):
            if position:
                eventually(self._is_taken, ANSWER_SECONDS)
            self._socket.sendall(piece)

    def receive(self) -> bytes | None:
        """Return the next whole native message, or None when the node has closed.  Raises TimeoutError."""
        while (message := self._frames.next_message()) is None:
            chunk = self.read()
            if not chunk:
                return None
            self._frames.feed(chunk)
        return message

    def read(self) -> bytes:
        """Return some bytes; empty when the node has closed, in whatever way."""
        with suppress(ConnectionResetError):
            return self._socket.recv(65_536)
        return b""

    def read_to_end(self) -> bytes:
        """Return all bytes until the node closes."""
        return b"".join(iter(self.read, b""))

    def finish(self) -> None:
        """Close the sending half."""
        self._socket.shutdown(socket.SHUT_WR)

    def _is_taken(self) -> bool:
        """True when nothing of what was sent waits in the node's socket (or that is gone)."""
        return _waiting_bytes(*self._ends) == 0


def _waiting_bytes(local: tuple[str, int], remote: tuple[str, int]) -> int:
    """Ask the kernel how many bytes wait to be read from a TCP socket of this machine (sock_diag(7); IPv4).

    0 when there is none.  /proc/net/tcp says the same, slowly: it lists every connection that was closed lately.
    """
    hosts = [socket.inet_aton(host) for host, _ in (local, remote)]
    names = struct.pack("!HH4s12x4s12x", local[1], remote[1], *hosts) + bytes(4) + b"\xff" * 8
    asked = struct.pack("=BBxxI", socket.AF_INET, socket.IPPROTO_TCP, 0xFFFF_FFFF) + names
    head = struct.pack("=IHHII", 16 + len(asked), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_SOCK_DIAG) as kernel:
        kernel.send(head + asked)
        answer = kernel.recv(4_096)
    (kind,) = struct.unpack_from("=4xH", answer)
    (waiting,) = struct.unpack_from("=I", answer, 72) if kind == _SOCK_DIAG_BY_FAMILY else (0,)
    return int(waiting)


@contextmanager
def connected(endpoint: tuple[str, int]) -> Iterator[Stream]:
    """Lend a connection that sends each piece as a segment of its own."""
    with socket.create_connection(endpoint, ANSWER_SECONDS) as made:
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield Stream(made)


def metrics(settings: Settings) -> dict[str, float]:
    """Return every series of a node by its name and labels."""
    host, port = settings.admin_listen[0]
    text = httpx.get(f"http://{host}:{port}/metrics", trust_env=False).raise_for_status().text
    lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}


def happened(settings: Settings, event: str) -> int:
    """Return how often something happened that is not an answer."""
    return int(metrics(settings)[f'idnode_events_total{{event="{event}"}}'])


def answered(settings: Settings, protocol: str, tiers: Iterable[str] = ()) -> int:
    """Return how many resolutions came by a protocol, from these tiers or from all."""
    wanted = tuple(f'tier="{tier}"' for tier in tiers) or ("tier=",)
    return int(
        sum(
            value
            for name, value in metrics(settings).items()
            if name.startswith("idnode_resolutions_total")
            and f'protocol="{protocol}"' in name
            and any(tier in name for tier in wanted)
        )
    )
