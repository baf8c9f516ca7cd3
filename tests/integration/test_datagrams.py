"""Datagrams in batches and one by one: both ways take and send the same over real sockets."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from resolver.frontends.datagrams import (
    HAS_BATCHES,
    MAX_REPLY_BYTES,
    MAX_UNSENT,
    SLOTS,
    BatchDatagrams,
    PlainDatagrams,
    open_datagrams,
)

HOSTS = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}
WAYS = [PlainDatagrams, BatchDatagrams]


@pytest.fixture(params=HOSTS, ids=["ipv4", "ipv6"])
def family(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def client(family: int) -> Iterator[socket.socket]:
    with socket.socket(family, socket.SOCK_DGRAM) as made:
        made.bind((HOSTS[socket.AddressFamily(family)], 0))
        made.settimeout(5)
        yield made


def server_of(client: socket.socket) -> socket.socket:
    made = socket.socket(client.family, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    made.bind((client.getsockname()[0], 0))
    return made


def nothing() -> None:
    """Nobody waits."""


@pytest.mark.parametrize("way", WAYS)
async def test_a_batch_is_read_and_each_is_answered(
    client: socket.socket, way: type[PlainDatagrams]
) -> None:
    server = server_of(client)
    with closing(way(server, nothing)) as datagrams:
        sent = [b"%d" % number * (number + 1) for number in range(SLOTS + 6)]
        for each in sent:
            client.sendto(each, server.getsockname())
        first = datagrams.receive()
        datagrams.reply(range(SLOTS), [data for data, _, _ in first])
        second = datagrams.receive()
        datagrams.reply([5, 1], [second[5][0], second[1][0]])
        nothing_more = datagrams.receive()

        got = [client.recvfrom(1_000) for _ in range(SLOTS + 2)]

    assert [data for data, _, _ in [*first, *second]] == sent
    assert not nothing_more
    assert [data for data, _ in got] == [*sent[:SLOTS], sent[SLOTS + 5], sent[SLOTS + 1]]


@pytest.mark.parametrize("way", WAYS)
async def test_names_are_answered_when_another_batch_has_come(
    client: socket.socket, way: type[PlainDatagrams]
) -> None:
    server = server_of(client)
    with (
        closing(way(server, nothing)) as datagrams,
        socket.socket(client.family, socket.SOCK_DGRAM) as other,
    ):
        other.bind((client.getsockname()[0], 0))
        other.settimeout(5)
        names = []
        for each in (client, other):
            each.sendto(b"asked", server.getsockname())
            assert len(datagrams.receive()) == 1
            names.append(datagrams.name(0))
        datagrams.answer(names, [b"one", b"another"])
        got = [client.recv(100), other.recv(100)]
        addresses = [datagrams.address_of(name) for name in names]
        theirs = [client.getsockname(), other.getsockname()]

    assert got == [b"one", b"another"]
    assert addresses == theirs


@pytest.mark.parametrize("way", WAYS)
async def test_it_is_told_who_sent_and_answers_him(
    client: socket.socket, way: type[PlainDatagrams]
) -> None:
    server = server_of(client)
    with closing(way(server, nothing)) as datagrams:
        client.sendto(b"asked", server.getsockname())
        ((data, port, host),) = datagrams.receive()
        address = datagrams.address(0)
        datagrams.sendto(b"answered", address)
        answer = client.recv(100)

    name = client.getsockname()
    assert (data, answer) == (b"asked", b"answered")
    assert port == name[1].to_bytes(2, "big")
    assert host == socket.inet_pton(client.family, name[0])
    assert address == name


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("size", [0, 1, MAX_REPLY_BYTES, 9_000, 65_000])
async def test_datagrams_of_all_lengths_come_whole(
    client: socket.socket, way: type[PlainDatagrams], size: int
) -> None:
    server = server_of(client)
    with closing(way(server, nothing)) as datagrams:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        client.sendto(bytes(size), server.getsockname())
        client.sendto(b"next", server.getsockname())
        found = [data for data, _, _ in datagrams.receive()]

    assert found == [bytes(size), b"next"]


@pytest.mark.parametrize("way", WAYS)
async def test_the_loop_tells_what_has_come_until_it_is_closed(
    client: socket.socket, way: type[PlainDatagrams]
) -> None:
    server, told = server_of(client), asyncio.Event()
    name = server.getsockname()
    datagrams = way(server, told.set)
    client.sendto(b"x", name)
    await asyncio.wait_for(told.wait(), 5)
    datagrams.close()
    datagrams.close()

    assert not datagrams.receive()
    datagrams.sendto(b"late", client.getsockname())
    datagrams.reply([], [])
    with socket.socket(client.family, socket.SOCK_DGRAM) as other:
        other.bind(name)  # it is free again


async def test_what_the_kernel_does_not_take_waits_and_keeps_its_order(tmp_path: Path) -> None:
    near, far = (socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2))
    near.bind(str(tmp_path / "near"))
    far.bind(str(tmp_path / "far"))
    far.settimeout(5)
    wanted = [b"%d" % number for number in range(MAX_UNSENT)]
    with closing(far), closing(PlainDatagrams(near, nothing)) as datagrams:
        for data in wanted:  # far more than a socket of this kind holds
            datagrams.sendto(data, far.getsockname())
        found = [await asyncio.to_thread(far.recv, 100) for _ in wanted]

    assert found == wanted


async def test_the_best_way_that_there_is_is_taken(client: socket.socket) -> None:
    with closing(open_datagrams(server_of(client), nothing)) as datagrams:
        assert isinstance(datagrams, BatchDatagrams) == HAS_BATCHES
