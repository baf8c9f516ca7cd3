"""The kept-open connections of an open loop; one that breaks is replaced."""

import select
import socket

from loadtest.source import source_address

READ_BYTES = 1 << 16  # more, and each read would ask the kernel for fresh memory
CONNECT_SECONDS = 5.0


class OpenStream:
    """One connection: what of its answers is here, what of its questions the kernel did not take yet.

    Over HTTP `number` is the question under way (-1: none), `began` when it was sent, `expected` an answer that is
    known to be right.
    """

    __slots__ = (
        "began", "expected", "fd", "number", "owner", "partial", "receive", "send", "unsent",
    )  # fmt: skip

    def __init__(self, address: tuple[str, int]) -> None:
        self.owner = socket.create_connection(address, CONNECT_SECONDS, source_address())
        self.owner.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.owner.setblocking(False)
        self.fd = self.owner.fileno()
        self.receive, self.send = self.owner.recv, self.owner.send
        self.partial = self.unsent = b""
        self.number, self.began = -1, 0.0
        self.expected: bytes | None = None


class Streams:
    """All connections of one run, `all` of them in order and `by_fd`."""

    def __init__(self, address: tuple[str, int], epoll: select.epoll, connections: int) -> None:
        """Raises OSError when nobody listens."""
        self._address, self._epoll = address, epoll
        self.all = [OpenStream(address) for _ in range(connections)]
        self.by_fd = {stream.fd: stream for stream in self.all}
        for fd in self.by_fd:
            epoll.register(fd, select.EPOLLIN)

    def replace(self, stream: OpenStream) -> OpenStream:
        """Open another connection instead of this one; raises OSError when nobody listens any more."""
        self._epoll.unregister(stream.fd)
        del self.by_fd[stream.fd]
        stream.owner.close()
        fresh = OpenStream(self._address)
        self.all[self.all.index(stream)] = fresh
        self.by_fd[fresh.fd] = fresh
        self._epoll.register(fresh.fd, select.EPOLLIN)
        return fresh

    def close(self) -> None:
        """Close all."""
        for stream in self.all:
            stream.owner.close()
