"""A small server that answers, over UDP, TCP or HTTP, and does with each answer what a test says."""

import selectors
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from loadtest.exchange import frame_length

HTTP_BODY = b'{"responseCode":1}' + 100 * b" " + b"!"
_HTTP_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(HTTP_BODY), HTTP_BODY)
_WAKE = b"wake"

Treat = Callable[[int, bytes], bytes | None]
"""(question number in order of arrival, right answer) -> what is sent; b"" is nothing, None breaks the connection."""


def echo(_number: int, answer: bytes) -> bytes:
    """Answer rightly."""
    return answer


class _Server:
    def __init__(self, transport: str, treat: Treat) -> None:
        self._transport, self._treat, self._number = transport, treat, 0
        kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
        self._listener = socket.socket(socket.AF_INET, kind)
        self._listener.bind(("127.0.0.1", 0))
        if kind is socket.SOCK_STREAM:
            self._listener.listen(64)
        self.address: tuple[str, int] = self._listener.getsockname()
        self._ours, self.theirs = socket.socketpair()
        self._partial: dict[socket.socket, bytes] = {}

    def serve(self) -> None:
        """Serve until something is written into `theirs`."""
        with selectors.DefaultSelector() as selector:
            for each in (self._listener, self._ours):
                selector.register(each, selectors.EVENT_READ)
            while self._ours not in (ready := [key.fileobj for key, _ in selector.select()]):
                for owner in ready:
                    assert isinstance(owner, socket.socket)
                    self._attend(owner, selector)
        for owner in (*self._partial, self._listener, self._ours, self.theirs):
            owner.close()

    def _attend(self, owner: socket.socket, selector: selectors.BaseSelector) -> None:
        if owner is not self._listener:
            if not self._converse(owner):
                selector.unregister(owner)
                owner.close()
                del self._partial[owner]
        elif self._transport == "udp":
            data, sender = owner.recvfrom(4096)
            if answer := self._answer(data):
                owner.sendto(answer, sender)
        else:
            accepted = owner.accept()[0]
            self._partial[accepted] = b""
            selector.register(accepted, selectors.EVENT_READ)

    def _converse(self, owner: socket.socket) -> bool:
        """Answer what came on a connection; False when it is over."""
        data = b""
        with suppress(ConnectionError):
            data = owner.recv(1 << 16)
        if not data:
            return False
        data = self._partial[owner] + data
        while length := self._whole(data):
            answer = self._answer(data[:length])
            if answer is None:
                return False
            owner.sendall(answer)
            data = data[length:]
        self._partial[owner] = data
        return True

    def _whole(self, data: bytes) -> int:
        """Return the length of the first whole question, 0 when there is none."""
        if self._transport == "http":
            end = data.find(b"\r\n\r\n")
            return end + 4 if end >= 0 else 0
        length = frame_length(data) if len(data) >= 20 else 0
        return length if length <= len(data) else 0

    def _answer(self, question: bytes) -> bytes | None:
        number, self._number = self._number, self._number + 1
        return self._treat(number, _HTTP_ANSWER if self._transport == "http" else question)


@contextmanager
def running_unruly(transport: str, treat: Treat) -> Iterator[tuple[str, int]]:
    """Yield its address."""
    server = _Server(transport, treat)
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield server.address
    finally:
        server.theirs.sendall(_WAKE)
        thread.join()
