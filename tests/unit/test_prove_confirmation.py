"""What a proof is told by others, and cannot use: each is a reason that is said, and no traceback."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from socketserver import BaseRequestHandler, TCPServer
from threading import Thread
from typing import cast

import pytest

from loadtest.prove.campaign import is_heard
from loadtest.prove.confirmation import confirm, kept_by_toplevel
from loadtest.prove.scene import NoScene, Scene
from node.ledger.checkpoint import Cosigner
from node.ledger.quorum import Policy, Witness

HEAD = b"HTTP/1.0 200 OK\r\n\r\n"


@contextmanager
def answering(reply: bytes) -> Iterator[tuple[str, int]]:
    """A server that says one thing to everybody; its address."""

    class Handler(BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65_536)
            self.request.sendall(reply)

    with TCPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield "127.0.0.1", server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@dataclass
class Place:
    """As much of a scene as is asked here."""

    admin: tuple[str, int] = ("", 0)
    origin: str = "log.example"
    url: str = ""
    policy_text: bytes = b"quorum none\n"

    @property
    def witness(self) -> Witness:
        Policy.parse(self.policy_text)
        return Witness("toplevel", Cosigner("top.example", bytes(32)).key, self.url)


def scene(place: Place) -> Scene:
    return cast(Scene, place)


def test_a_note_that_is_no_text_is_said_to_be_of_no_use() -> None:
    reply = HEAD + b'{"counts":[{"origin":"log.example","campaign":1,"note":7}]}'
    with answering(reply) as (host, port), pytest.raises(NoScene, match="encode"):
        kept_by_toplevel(scene(Place(url=f"http://{host}:{port}")), 1)


def test_a_policy_that_cannot_be_read_is_a_reason_in_the_report() -> None:
    assert "no quorum line" in confirm(scene(Place(policy_text=b"")), 1, 1).missing


def test_an_empty_reply_of_the_metrics_is_an_error_that_is_told() -> None:
    with answering(b"") as address, pytest.raises(OSError, match="without an answer"):
        is_heard(scene(Place(admin=address)), 1)
