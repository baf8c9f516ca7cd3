"""How long a worker that was told to stop waits for what is under way."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from node import app, serving
from node.address import Endpoint
from node.config import Settings
from node.counters import Counters
from node.sockets import Listeners, open_listeners
from resolver.wire import Envelope, Header, Message, NameRequest, Opcode

ANY = (Endpoint("127.0.0.1", 0),)


@pytest.fixture
def listeners(tmp_path: Path) -> Iterator[Listeners]:
    found = open_listeners(
        Settings(http_listen=ANY, native_listen=ANY, admin_listen=ANY, workers=1, data_dir=tmp_path)
    )
    yield found
    found.close()


@asynccontextmanager
async def made_worker(listeners: Listeners, path: Path) -> AsyncIterator[app.Worker]:
    """Make a worker without a database: enough to tell where this server is."""
    counters = Counters.open(path / "counters")
    async with asyncio.TaskGroup() as tasks:
        worker = app.Worker(listeners.settings, 0, path, counters, tasks.create_task)
        yield worker
        await worker.close()
    counters.close()


@contextmanager
def client(endpoint: Endpoint, *, receive_bytes: int = 0) -> Iterator[socket.socket]:
    with socket.socket() as made:
        if receive_bytes:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        made.connect(endpoint)
        made.setblocking(False)
        yield made


def site_request() -> bytes:
    body = NameRequest(b"/").encode()
    header = Header(Opcode.GET_SITE_INFO, 0, 0, 0xFFFF, 0, 0, len(body))
    return Message(Envelope(2, 11, 2, 11, 0, 1), header, body).encode()


async def ask_until_held(native: socket.socket) -> None:
    """Ask, and read no answer, until the server takes no more requests."""
    loop, requests = asyncio.get_running_loop(), site_request() * 100
    try:
        while True:
            await asyncio.wait_for(loop.sock_sendall(native, requests), 0.5)
    except TimeoutError:
        pass


async def test_http_and_native_requests_that_do_not_end_share_one_deadline(
    listeners: Listeners, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One waits for the rest of its body, the other for a client that does not read."""
    monkeypatch.setattr(app, "DRAIN_SECONDS", 2.0)
    monkeypatch.setattr(serving, "DRAIN_SECONDS", 2.0)
    true, loop = listeners.settings, asyncio.get_running_loop()
    async with made_worker(listeners, tmp_path) as worker:
        with (
            client(true.http_listen[0]) as http,
            client(true.native_listen[0], receive_bytes=4_096) as native,
        ):
            async with worker.listening(listeners.slots[0]):
                await ask_until_held(native)
                http.sendall(
                    b"POST /api/handles/1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
                )
                await asyncio.sleep(0.1)
                began = loop.time()
            assert 1.5 < loop.time() - began < 3
            assert not worker.guard.is_busy()  # the native one was cut off


async def test_idle_worker_stops_at_once(listeners: Listeners, tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    async with made_worker(listeners, tmp_path) as worker:
        async with worker.listening(listeners.slots[0]):
            await asyncio.sleep(0.1)
            began = loop.time()
        assert loop.time() - began < 1
