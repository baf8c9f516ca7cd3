"""A worker that is replaced: who answers what from then on, and how its connections end."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import fields
from pathlib import Path

import pytest

from node import leaving
from node.address import Endpoint
from node.app import Worker
from node.config import Settings
from node.counters import Counters
from node.handover import Handover
from node.siblings import Siblings
from node.sockets import Listeners, Sockets, open_listeners
from resolver.wire import Envelope, FrameBuffer, Header, Message, NameRequest, Opcode

ANY = (Endpoint("127.0.0.1", 0),)
ANSWER_SECONDS = 10.0
HTTP_QUESTION = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
SLOW_QUESTION = (
    b"POST /v1/resolve HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Content-Length: 2\r\n\r\n{"  # all but the last byte
)

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
def listeners(tmp_path: Path) -> Iterator[Listeners]:
    found = open_listeners(
        Settings(http_listen=ANY, native_listen=ANY, admin_listen=ANY, workers=1, data_dir=tmp_path)
    )
    yield found
    found.close()


@asynccontextmanager
async def listening_worker(listeners: Listeners, path: Path, lane: int) -> AsyncIterator[Worker]:
    """Run a worker of slot 0 without a database: enough to tell where this server is."""
    counters = Counters.open(path / f"counters-{lane}")
    async with asyncio.TaskGroup() as tasks:
        worker = Worker(listeners.settings, 0, path, counters, tasks.create_task, lane=lane)
        async with worker.listening(inherited(listeners.slots[0])):
            yield worker
        await worker.close()
    counters.close()


def inherited(sockets: Sockets) -> Sockets:
    """Return the sockets as another process has them."""
    groups = {each.name: getattr(sockets, each.name) for each in fields(sockets)}
    return Sockets(**{name: tuple(sock.dup() for sock in group) for name, group in groups.items()})


def site_request(number: int) -> bytes:
    body = NameRequest(b"/").encode()
    header = Header(Opcode.GET_SITE_INFO, 0, 0, 0xFFFF, 0, 0, len(body))
    return Message(Envelope(2, 11, 2, 11, 0, number), header, body).encode()


async def ask_natively(streams: Streams, number: int) -> Message:
    frames = FrameBuffer()
    streams[1].write(site_request(number))
    async with asyncio.timeout(ANSWER_SECONDS):
        while (answer := frames.next_message()) is None:
            chunk = await streams[0].read(65_536)
            assert chunk, "the connection was closed"
            frames.feed(chunk)
    return Message.decode(answer)


async def ask_over_http(streams: Streams) -> bytes:
    """Return the head of the answer."""
    streams[1].write(HTTP_QUESTION)
    async with asyncio.timeout(ANSWER_SECONDS):
        head = await streams[0].readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        await streams[0].readexactly(length)
    return head


async def until_gone(worker: Worker) -> None:
    async with asyncio.timeout(ANSWER_SECONDS):
        while worker.guard.connections:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_native_connection_outlives_its_worker(listeners: Listeners, tmp_path: Path) -> None:
    native = listeners.settings.native_listen[0]
    async with AsyncExitStack() as first, AsyncExitStack() as second:
        before = await first.enter_async_context(listening_worker(listeners, tmp_path, 0))
        client = await asyncio.open_connection(*native)
        assert (await ask_natively(client, 1)).envelope.request_id == 1
        after = await second.enter_async_context(listening_worker(listeners, tmp_path, 1))

        assert (await ask_natively(client, 2)).envelope.request_id == 2  # nobody was told to stop
        await first.aclose()

        assert (await ask_natively(client, 3)).envelope.request_id == 3
        assert not before.guard.connections
        assert len(after.guard.connections) == 1
        client[1].close()
        await until_gone(after)


async def test_half_a_request_stays_until_it_is_whole(listeners: Listeners, tmp_path: Path) -> None:
    native, request = listeners.settings.native_listen[0], site_request(7)
    async with AsyncExitStack() as first, AsyncExitStack() as second:
        await first.enter_async_context(listening_worker(listeners, tmp_path, 0))
        client = await asyncio.open_connection(*native)
        await ask_natively(client, 1)
        after = await second.enter_async_context(listening_worker(listeners, tmp_path, 1))
        client[1].write(request[:30])
        ending = asyncio.create_task(first.aclose())
        await asyncio.sleep(0.1)
        client[1].write(request[30:])

        answer = await asyncio.wait_for(client[0].readexactly(20), ANSWER_SECONDS)

        assert Envelope.decode(answer).request_id == 7
        await ending
        assert len(after.guard.connections) == 1
        client[1].close()
        await until_gone(after)


async def test_slow_question_keeps_no_other_connection_back(
    listeners: Listeners, tmp_path: Path
) -> None:
    native, http = listeners.settings.native_listen[0], listeners.settings.http_listen[0]
    async with AsyncExitStack() as first, AsyncExitStack() as second:
        before = await first.enter_async_context(listening_worker(listeners, tmp_path, 0))
        client, slow = await asyncio.open_connection(*native), await asyncio.open_connection(*http)
        await ask_natively(client, 1)
        slow[1].write(SLOW_QUESTION)
        async with asyncio.timeout(ANSWER_SECONDS):
            while not before.guard.is_busy():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        after = await second.enter_async_context(listening_worker(listeners, tmp_path, 1))
        ending = asyncio.create_task(first.aclose())

        async with asyncio.timeout(ANSWER_SECONDS):
            while not after.guard.connections:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert before.guard.is_busy()  # it did not wait for that question
        slow[1].write(b"}")
        assert b"connection: close" in (await slow[0].readuntil(b"\r\n\r\n")).lower()
        await ending
        assert (await ask_natively(client, 2)).envelope.request_id == 2
        for each in (slow, client):
            each[1].close()
        await until_gone(after)


async def test_http_connection_is_answered_once_more_and_told_so(
    listeners: Listeners, tmp_path: Path
) -> None:
    http = listeners.settings.http_listen[0]
    async with AsyncExitStack() as first, AsyncExitStack() as second:
        await first.enter_async_context(listening_worker(listeners, tmp_path, 0))
        client = await asyncio.open_connection(*http)
        assert b"connection: close" not in (await ask_over_http(client)).lower()
        await second.enter_async_context(listening_worker(listeners, tmp_path, 1))
        ending = asyncio.create_task(first.aclose())
        await asyncio.sleep(0.1)

        assert b"connection: close" in (await ask_over_http(client)).lower()

        assert await asyncio.wait_for(client[0].read(), ANSWER_SECONDS) == b""
        client[1].close()
        await ending
        client = await asyncio.open_connection(*http)
        assert b"connection: close" not in (await ask_over_http(client)).lower()
        client[1].close()


async def test_requests_that_came_together_are_all_answered(
    listeners: Listeners, tmp_path: Path
) -> None:
    http = listeners.settings.http_listen[0]
    async with AsyncExitStack() as first, AsyncExitStack() as second:
        await first.enter_async_context(listening_worker(listeners, tmp_path, 0))
        client = await asyncio.open_connection(*http)
        await ask_over_http(client)
        await second.enter_async_context(listening_worker(listeners, tmp_path, 1))
        ending = asyncio.create_task(first.aclose())
        await asyncio.sleep(0.1)
        client[1].write(HTTP_QUESTION * 3)

        answers = await asyncio.wait_for(client[0].read(), ANSWER_SECONDS)

        assert answers.count(b"HTTP/1.1 200") == 3
        assert answers.lower().count(b"connection: close") == 1
        client[1].close()
        await ending


async def test_idle_http_connection_ends_without_an_error(
    listeners: Listeners, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaving, "IDLE_SECONDS", 0.1)
    http = listeners.settings.http_listen[0]
    async with AsyncExitStack() as first, AsyncExitStack() as second:
        await first.enter_async_context(listening_worker(listeners, tmp_path, 0))
        client = await asyncio.open_connection(*http)
        await ask_over_http(client)
        await second.enter_async_context(listening_worker(listeners, tmp_path, 1))
        ending = asyncio.create_task(first.aclose())

        assert await asyncio.wait_for(client[0].read(), ANSWER_SECONDS) == b""

        client[1].write(HTTP_QUESTION)  # too late: whoever asks so learns of it by the end alone
        assert await client[0].read() == b""
        await ending
        client[1].close()


async def test_predecessor_gives_nothing_older_than_what_others_write(
    listeners: Listeners, tmp_path: Path
) -> None:
    async with AsyncExitStack() as first, AsyncExitStack() as second:
        before = await first.enter_async_context(listening_worker(listeners, tmp_path, 0))
        after = await second.enter_async_context(listening_worker(listeners, tmp_path, 1))
        keeper, key = Siblings(tmp_path, 1), b"88.1.2/X"

        await keeper.tell([(key, 5)])  # only the successor hears it
        async with asyncio.timeout(ANSWER_SECONDS):
            while before.reading.freshness.floor(key) < 5:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await after._written([(key, 6)])
        async with asyncio.timeout(ANSWER_SECONDS):
            while before.reading.freshness.floor(key) < 6:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert before.handover.is_succeeded

        await keeper.close()
        await first.aclose()
        await after._written([(key, 7)])  # nobody is there to hear it


async def test_datagrams_go_to_the_successor(listeners: Listeners, tmp_path: Path) -> None:
    native, loop = listeners.settings.native_listen[0], asyncio.get_running_loop()
    async with AsyncExitStack() as first, AsyncExitStack() as second:
        await first.enter_async_context(listening_worker(listeners, tmp_path, 0))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.connect(native)
            client.setblocking(False)
            for number in range(20):
                if number == 10:
                    await second.enter_async_context(listening_worker(listeners, tmp_path, 1))
                if number == 15:
                    await first.aclose()
                client.send(site_request(number))
                answer = await asyncio.wait_for(loop.sock_recv(client, 2_048), ANSWER_SECONDS)
                assert Envelope.decode(answer[:20]).request_id == number


async def test_worker_whose_successor_is_lost_ends(tmp_path: Path) -> None:
    let_go, abandoned = asyncio.Event(), asyncio.Event()
    handover, successor = Handover(tmp_path, 0), Handover(tmp_path, 0)
    async with handover.waiting(let_go.set, abandoned.set):
        assert await successor.succeed()
        assert let_go.is_set()
        assert handover.is_succeeded
        assert not abandoned.is_set()

        async with successor.waiting(let_go.set, abandoned.set):
            pass  # it ends here

        await asyncio.wait_for(abandoned.wait(), ANSWER_SECONDS)
        assert not handover.give(0)


async def test_first_worker_of_a_slot_succeeds_nobody(tmp_path: Path) -> None:
    handover = Handover(tmp_path, 0)

    assert not await handover.succeed()

    async with handover.waiting(lambda: None, lambda: None):
        pass
    assert not await Handover(tmp_path, 0).succeed()  # the one that was there has gone
