"""Workers that hand messages to each other, over real sockets."""

import asyncio
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from node.siblings import HEARD_SECONDS, MAX_FRAME_BYTES, Changes, Siblings
from resolver.exchange import Origin, Reply
from resolver.observe import Protocol

ORIGIN = Origin(Protocol.TCP, "2001:db8::1")


class Node:
    """What one worker does with what it is told."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.asked: list[tuple[bytes, Protocol, str]] = []
        self.learnt: list[tuple[bytes, int]] = []

    async def answer(self, data: bytes, origin: Origin) -> Reply:
        self.asked.append((data, origin.protocol, origin.address))
        return self.reply

    def learn(self, changes: Changes) -> None:
        self.learnt += changes


async def pages(*messages: bytes) -> AsyncIterator[bytes]:
    for message in messages:
        yield message


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    """A directory whose path is too long for a unix socket."""
    directory = tmp_path / ("d" * 100) / ("e" * 100)
    directory.mkdir(parents=True)
    return directory


async def test_a_message_is_answered_by_the_worker_it_is_for(deep: Path) -> None:
    one, two = Siblings(deep, 2, 0), Siblings(deep, 2, 1)
    owner = Node(Reply(b"answer", 7))
    async with (
        one.listening(Node(Reply(b"")).answer, owner.learn),
        two.listening(owner.answer, owner.learn),
    ):
        for _ in range(3):
            assert await one.forward(1, b"question", ORIGIN) == Reply(b"answer", 7)
    assert owner.asked == [(b"question", Protocol.TCP, "2001:db8::1")] * 3


async def test_an_answer_of_several_messages_comes_whole_and_in_order(deep: Path) -> None:
    one, two = Siblings(deep, 2, 0), Siblings(deep, 2, 1)
    owner = Node(Reply(b"first", None, pages(b"second", b"third")))
    async with two.listening(owner.answer, owner.learn):
        reply = await one.forward(1, b"list", ORIGIN)
        assert (reply.message, reply.cell) == (b"first", None)
        assert reply.more is not None
        assert [message async for message in reply.more] == [b"second", b"third"]
        owner.reply = Reply(b"short")
        assert await one.forward(1, b"again", ORIGIN) == Reply(b"short")
    await one.close()


async def test_many_at_once_are_not_mixed_up(deep: Path) -> None:
    one, two = Siblings(deep, 2, 0), Siblings(deep, 2, 1)

    async def echo(data: bytes, _: Origin) -> Reply:
        await asyncio.sleep(len(data) % 3 / 1000)
        return Reply(data)

    async with two.listening(echo, Node(Reply(b"")).learn):
        sent = [b"x" * size for size in range(1, 200)]
        found = await asyncio.gather(*(one.forward(1, data, ORIGIN) for data in sent))
        assert [reply.message for reply in found] == sent
    await one.close()


async def test_a_worker_that_is_not_there_is_told(deep: Path) -> None:
    one = Siblings(deep, 2, 0)
    for slot in (0, 1, 2, 255):
        with pytest.raises(OSError, match=r".+"):
            await one.forward(slot, b"question", ORIGIN)


async def test_a_worker_that_came_back_is_found_again(deep: Path) -> None:
    one = Siblings(deep, 2, 0)
    owner = Node(Reply(b"answer"))
    for _ in range(2):
        async with Siblings(deep, 2, 1).listening(owner.answer, owner.learn):
            assert (await one.forward(1, b"question", ORIGIN)).message == b"answer"
        with pytest.raises(OSError, match=r".+"):
            await one.forward(1, b"question", ORIGIN)
    await one.close()


async def test_what_was_written_is_told_to_all_others(deep: Path) -> None:
    nodes = [Node(Reply(b"")) for _ in range(3)]
    siblings = [Siblings(deep, 3, slot) for slot in range(3)]
    keeper = Siblings(deep, 3)
    async with (
        siblings[0].listening(nodes[0].answer, nodes[0].learn),
        siblings[1].listening(nodes[1].answer, nodes[1].learn),
        siblings[2].listening(nodes[2].answer, nodes[2].learn),
    ):
        first, second = [(b"88.1/A", 5), (b"88.1/B", 6)], [(b"88.1/C", 7)]
        await siblings[1].tell(first)
        assert nodes[0].learnt == nodes[2].learnt == first
        await keeper.tell(second)
        assert all(node.learnt[-1:] == second for node in nodes)
        assert nodes[1].learnt == second
    await keeper.close()


async def test_a_worker_that_does_not_listen_is_waited_for_once_in_a_while(deep: Path) -> None:
    """A stopped process still takes connections; a write must not wait for it each time."""
    one, clock = Siblings(deep, 2, 0), asyncio.get_running_loop().time
    heard = asyncio.Event()

    async def deaf(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await heard.wait()
        writer.close()

    with Siblings(deep, 2)._path(1) as path:
        server = await asyncio.start_unix_server(deaf, path)
    began = clock()
    for number in range(100):
        await one.tell([(b"88.1/A", number)])
    assert clock() - began < 100 * HEARD_SECONDS
    assert await one.count_hearing(HEARD_SECONDS) == 0
    heard.set()
    server.close()
    await one.close()


def hint_of(key: bytes, serial: int) -> bytes:
    content = b"h" + struct.pack(">QI", serial, len(key)) + key
    return struct.pack(">I", len(content)) + content


async def test_what_was_written_is_heard_in_whatever_pieces_it_comes(deep: Path) -> None:
    owner = Node(Reply(b"answer"))
    long = b"88.1/" + b"L" * 300_000
    pieces = [
        hint_of(b"88.1/A", 1),
        hint_of(b"88.1/B", 2) + hint_of(b"88.1/C", 3),
        hint_of(long, 4),
        hint_of(b"88.1/D", 5)[:9],
        hint_of(b"88.1/D", 5)[9:],
        hint_of(b"88.1/E", 6),
    ]
    async with Siblings(deep, 2, 1).listening(owner.answer, owner.learn):
        with Siblings(deep, 2)._path(1) as path:
            reader, writer = await asyncio.open_unix_connection(path)
        for acknowledged, piece in zip((1, 2, 1, 0, 1, 1), pieces, strict=True):
            writer.write(piece)
            await writer.drain()
            for _ in range(acknowledged):
                size = int.from_bytes(await asyncio.wait_for(reader.readexactly(4), 5))
                await asyncio.wait_for(reader.readexactly(size), 5)
        writer.close()

    assert [serial for _, serial in owner.learnt] == [1, 2, 3, 4, 5, 6]
    assert owner.learnt[3][0] == long


async def test_a_worker_that_came_back_is_told_again(deep: Path) -> None:
    one, owner = Siblings(deep, 2, 0), Node(Reply(b""))
    for serial in (1, 2):
        async with Siblings(deep, 2, 1).listening(owner.answer, owner.learn):
            await one.tell([(b"88.1/A", serial)])
            assert owner.learnt[-1] == (b"88.1/A", serial)
        await one.tell([(b"88.1/A", 0)])  # nobody is there, and nobody is waited for
    await one.close()


async def test_what_no_sibling_says_ends_the_connection_and_nothing_else(deep: Path) -> None:
    owner = Node(Reply(b"answer"))
    async with Siblings(deep, 2, 1).listening(owner.answer, owner.learn):
        for junk in (b"\xff" * 64, (MAX_FRAME_BYTES + 1).to_bytes(4, "big"), b"\0\0\0\0"):
            descriptor = Siblings(deep, 2)._path(1)
            with descriptor as path:
                reader, writer = await asyncio.open_unix_connection(path)
            writer.write(junk)
            writer.write_eof()
            assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()
        one = Siblings(deep, 2, 0)
        assert (await one.forward(1, b"question", ORIGIN)).message == b"answer"
        await one.close()


async def test_who_hears_is_counted_as_they_come_and_go(deep: Path) -> None:
    keeper, owner = Siblings(deep, 3), Node(Reply(b""))
    assert await keeper.count_hearing(5.0) == 0

    async with Siblings(deep, 3, 0).listening(owner.answer, owner.learn):
        assert await keeper.count_hearing(5.0) == 1
        async with Siblings(deep, 3, 1).listening(owner.answer, owner.learn):
            assert await keeper.count_hearing(5.0) == 2
        assert await keeper.count_hearing(5.0) == 1
    assert owner.learnt == []
    await keeper.close()
