"""The fuzzing of ports: what it sends, and what it sees in a server that misbehaves."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from loadtest import port_traffic
from loadtest.exchange import native_request
from loadtest.fuzz_codec import VECTORS
from loadtest.fuzz_ports import listening_processes, log_faults
from loadtest.http_mutations import HttpMutator, chunked, post, read_http_corpus
from loadtest.port_traffic import Counts, Known, PortFault, sources, talk_http, talk_tcp, talk_udp
from loadtest.streams import Address

QUESTION = native_request(b"88.1/x", 7)
HTTP_QUESTION = b"GET /api/handles/88.1/x HTTP/1.1\r\nHost: x\r\n\r\n"
HTTP_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
KNOWN = Known(QUESTION, QUESTION[40:], HTTP_QUESTION, b"{}")

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits of waiting, in numbers for a test."""
    monkeypatch.setattr(port_traffic, "END_SECONDS", 0.3)
    monkeypatch.setattr(port_traffic, "ANSWER_SECONDS", 0.05)
    monkeypatch.setattr(port_traffic, "ASKED_TIMES", 3)


def test_the_same_seed_makes_the_same_requests() -> None:
    corpus = read_http_corpus(VECTORS)
    first, again, other = (
        [HttpMutator(corpus, seed, lambda: QUESTION).make() for _ in range(1)] for seed in (1, 1, 2)
    )
    many = HttpMutator(corpus, 3, lambda: QUESTION)

    assert first == again
    assert first != other
    assert len({many.make() for _ in range(500)}) > 250


def test_a_post_says_how_long_it_is() -> None:
    assert b"Content-Length: 3\r\n\r\nabc" in post(b"abc", "text/plain")
    assert chunked(b"abcd").endswith(b"2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n")


async def test_tcp_conversation_ends_when_the_server_closes_after_our_end() -> None:
    counts = Counts()

    async with _serving(_echo) as address:
        await talk_tcp(address, [QUESTION, QUESTION[:9], QUESTION[9:]], 2, KNOWN, counts)

    assert counts.messages["tcp"] == 2
    assert counts.resets == 0


async def test_a_server_that_keeps_the_connection_after_our_end_is_found() -> None:
    async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(len(QUESTION)))
        await asyncio.sleep(2)

    async with _serving(keep) as address:
        with pytest.raises(PortFault, match="does not close"):
            await talk_tcp(address, [b"x"], 1, KNOWN, Counts())


async def test_a_wrong_answer_to_the_known_question_is_found() -> None:
    async def lie(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.readexactly(len(QUESTION)))[:-1] + b"\1")

    async with _serving(lie) as address:
        with pytest.raises(PortFault, match="wrong answer"):
            await talk_tcp(address, [b"x"], 1, KNOWN, Counts())


async def test_a_torn_frame_is_found() -> None:
    async def tear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(len(QUESTION)))
        writer.write((await reader.readexactly(len(QUESTION)))[:-3])

    async with _serving(tear) as address:
        with pytest.raises(PortFault, match="no whole frames"):
            await talk_tcp(address, [QUESTION], 1, KNOWN, Counts())


async def test_a_server_that_says_nothing_is_found() -> None:
    async def sleep(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(2)

    async with _serving(sleep) as address:
        with pytest.raises(PortFault, match="known question"):
            await talk_http(address, [b"x"], 1, KNOWN, Counts())


async def test_http_500_is_found_and_other_statuses_are_counted() -> None:
    async def fail(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(len(HTTP_QUESTION))
        writer.write(HTTP_ANSWER)
        await reader.readexactly(1)
        writer.write(
            HTTP_ANSWER + b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
        )

    counts = Counts()
    async with _serving(fail) as address:
        await talk_http(address, [b"x"], 1, KNOWN, counts)

    assert counts.statuses == {"200": 1, "500": 1}
    assert "HTTP 500" in counts.faults[0]


async def test_udp_batch_is_done_when_the_known_question_is_answered() -> None:
    counts = Counts()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.setblocking(False)
        asyncio.get_running_loop().add_reader(server, _echo_datagram, server)
        (owner,) = sources(server.getsockname(), 1)
        with owner:
            await talk_udp(owner, [b"a", b"b" * 70_000], KNOWN, 1, counts)
        asyncio.get_running_loop().remove_reader(server)

    assert counts.messages["udp"] == 2


async def test_udp_server_that_no_longer_answers_is_found() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        (owner,) = sources(server.getsockname(), 1)
        with owner, pytest.raises(PortFault, match="no answer"):
            await talk_udp(owner, [b"a"], KNOWN, 1, Counts())


def test_log_lines_that_tell_of_errors_are_found_each_kind_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    events = [
        {"level": "info", "event": "ready"},
        {"level": "error", "event": "failed at 0x1f", "error": "E"},
        {"level": "error", "event": "failed at 0x2e", "error": "E"},
    ]
    text = (
        "\n".join(map(json.dumps, events))
        + "\nidnode is ready\nTraceback (most recent call last):\n"
    )
    log.write_text(text, "utf-8")

    found = list(log_faults(log))

    assert len(found) == 2
    assert found[0].startswith("log, 2 times")


def test_the_processes_behind_a_port_are_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert os.getpid() in listening_processes(listener.getsockname())


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)


def _echo_datagram(server: socket.socket) -> None:
    data, sender = server.recvfrom(65536)
    server.sendto(data, sender)


@asynccontextmanager
async def _serving(serve: Serve) -> AsyncIterator[Address]:
    """A server on a free port; it closes a connection when `serve` returns."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()
