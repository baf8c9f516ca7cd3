"""What one client may take: a node with short limits, and clients that send without end, or slowly, or never read."""

import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.config import Settings
from resolver.wire import Envelope, Header, Message, ResolutionRequest
from tests.support.exchange import asking, happened, metrics
from tests.support.nodes import eventually, node_in

pytestmark = pytest.mark.slow

FIXTURE = Path(__file__).parents[1] / "conformance" / "handle-fixture.ndjson"
LIMITS = {
    "IDNODE_WORKERS": "1",
    "IDNODE_HTTP_HEADER_SECONDS": "1",
    "IDNODE_IDLE_SECONDS": "2",
}
PATIENCE_SECONDS = 15.0
BIG = ResolutionRequest(b"20.500.12345/BIG").encode()
QUESTION = Message(Envelope(2, 11, 2, 11, request_id=7), Header(1, flags=0x0100_0000), BIG).encode()


@pytest.fixture(scope="module")
def settings() -> Iterator[Settings]:
    directory = Path(tempfile.mkdtemp(prefix="idnode-", dir="/tmp"))
    directory.chmod(0o755)
    try:
        with node_in(directory / "data", **LIMITS) as process:
            started = process.start()
            assert process.run("load", str(FIXTURE)).returncode == 0
            yield started
    finally:
        shutil.rmtree(directory)


def http(settings: Settings) -> socket.socket:
    return socket.create_connection(settings.http_listen[0], timeout=PATIENCE_SECONDS)


def everything(connection: socket.socket) -> bytes:
    """Return all that comes until the node closes; a reset is an end too."""
    found = b""
    try:
        while chunk := connection.recv(65_536):
            found += chunk
    except ConnectionResetError:
        pass
    return found


def open_connections(settings: Settings) -> float:
    return sum(
        value for name, value in metrics(settings).items() if name.startswith("idnode_connections{")
    )


def test_an_answer_that_comes_as_a_question_is_not_answered(settings: Settings) -> None:
    """Else a forged source address would set two servers talking to each other for ever."""
    before = happened(settings, "udp_unreadable")
    with asking(settings.native_listen[0]) as asker:
        answer = asker.ask(Message(Envelope(2, 11, 2, 11), Header(2), bytes(4)).encode())

        asker.send(answer)

        eventually(lambda: happened(settings, "udp_unreadable") == before + 1, PATIENCE_SECONDS)
        assert asker.is_silent()


def test_a_body_that_does_not_come_ends_the_connection(settings: Settings) -> None:
    with http(settings) as connection:
        connection.sendall(
            b"POST /api/handles/20.500.12345/x HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"
        )

        assert everything(connection) == b""

    assert happened(settings, "request_timeout_closed") >= 1


def test_headers_that_trickle_end_the_connection(settings: Settings) -> None:
    with http(settings) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-A: ")

        assert everything(connection) == b""


def test_a_head_without_end_is_refused(settings: Settings) -> None:
    with http(settings) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nX-A: " + b"a" * 70_000)

        assert everything(connection).startswith(b"HTTP/1.1 431 ")


def test_more_pipelined_requests_than_allowed_are_refused(settings: Settings) -> None:
    with http(settings) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 500)

        assert everything(connection).count(b"HTTP/1.1 200") < 500


def test_as_many_pipelined_requests_as_allowed_are_answered(settings: Settings) -> None:
    last = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with http(settings) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 50 + last)

        assert everything(connection).count(b"HTTP/1.1 200") == 51


def test_a_client_that_never_reads_is_let_go(settings: Settings) -> None:
    with socket.create_connection(settings.native_listen[0], timeout=1) as connection:
        eventually(lambda: open_connections(settings) == 1, PATIENCE_SECONDS)
        try:
            while True:
                connection.sendall(QUESTION * 100)
        except (TimeoutError, ConnectionError):
            pass  # all buffers are full, or it was let go already

        eventually(lambda: open_connections(settings) == 0, PATIENCE_SECONDS)
    assert happened(settings, "idle_closed") >= 1
