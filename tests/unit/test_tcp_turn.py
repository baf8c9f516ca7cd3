"""What several connections are answered in one turn of the event loop: recorded as one batch, before it is written."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import chain
from time import perf_counter_ns

import pytest
import uvloop

from node.serving import survive
from resolver.freshness import Freshness
from resolver.frontends.tcp import TcpConnection
from resolver.frontends.turn import WORTH_IT, Turn
from resolver.guard import Guard
from resolver.hot.wire import HotWire
from resolver.observe import CELL_COUNT, Event, Tally, event_cell
from resolver.recorder import MOST_AT_ONCE, Answered, NoRecorder
from resolver.responder import Origin, Reply
from resolver.wire import Envelope, Header, Message, NameRequest, Opcode, ResponseCode
from tests.support.waiting import until
from tests.support.web import Web

KEY = b"88.1.1/x"


def message(number: int, code: int = 0) -> bytes:
    body = NameRequest(KEY).encode()
    header = Header(Opcode.RESOLUTION, code, 0, 0xFFFF, 0, 0, len(body))
    return Message(Envelope(2, 11, 2, 11, 0, number), header, body).encode()


def site_request(number: int) -> bytes:
    """Return a request whose answer is never ready."""
    body = NameRequest(b"/").encode()
    header = Header(Opcode.GET_SITE_INFO, 0, 0, 0xFFFF, 0, 0, len(body))
    return Message(Envelope(2, 11, 2, 11, 0, number), header, body).encode()


class Lane(NoRecorder):
    """Keeps what it records: the numbers of the requests, in the batches that they came in."""

    def __init__(self, room: int = 1_000) -> None:
        self.batches: list[list[int]] = []
        self._room = room

    def natives(self, answers: Sequence[Answered], now_ns: int) -> int:
        kept = answers[: self._room]
        self.batches.append([int.from_bytes(asked[2:], "big") for _, asked, _, _ in kept])
        return len(kept)


@dataclass
class Client:
    """Both ends of a connection: the front end's, and the client's."""

    front: TcpConnection
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def answers(self, count: int) -> list[Message]:
        length = len(message(0))
        return [Message.decode(await self.reader.readexactly(length)) for _ in range(count)]

    async def numbers(self, count: int) -> list[int]:
        return [each.envelope.request_id for each in await self.answers(count)]


@dataclass
class Desk:
    """A TCP front end that has an answer ready."""

    lane: Lane = field(default_factory=Lane)
    tally: Tally = field(default_factory=lambda: Tally([0] * CELL_COUNT))

    @asynccontextmanager
    async def clients(self, count: int) -> AsyncIterator[list[Client]]:
        made: list[TcpConnection] = []
        guard = Guard(
            self.tally,
            connections_max=100,
            connections_per_source=100,
            request_seconds=9,
            idle_seconds=9,
            udp_answers_per_second=0,
            udp_answers_burst=0,
        )
        async with asyncio.TaskGroup() as tasks:
            factory = self._factory(made, guard, tasks)
            server = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0)
            streams = [
                await asyncio.open_connection(*server.sockets[0].getsockname())
                for _ in range(count)
            ]
            await until(lambda: len(guard.connections) == count)
            ports = {each._transport.get_extra_info("peername")[1]: each for each in made}
            yield [
                Client(ports[writer.get_extra_info("sockname")[1]], reader, writer)
                for reader, writer in streams
            ]
            for _, writer in streams:
                writer.close()
            server.close()
            await server.wait_closed()

    def _factory(
        self, made: list[TcpConnection], guard: Guard, tasks: asyncio.TaskGroup
    ) -> Callable[[], TcpConnection]:
        hot, responder = HotWire(Freshness(), max_entries=10, max_bytes=10_000), Web().responder
        hot.remember(
            message(0),
            message(0, code=ResponseCode.SUCCESS),
            public_only=False,
            restricted=False,
            expires_ns=perf_counter_ns() + 10**15,
            cell=0,
            key=KEY,
            serial=1,
            era=0,
        )
        turn = Turn(self.lane.natives, self.tally)

        def connection() -> TcpConnection:
            made.append(
                TcpConnection(responder, hot, guard, self.tally, self.lane, turn, tasks.create_task)
            )
            return made[-1]

        return connection


async def test_answers_of_one_turn_are_recorded_together() -> None:
    desk = Desk()
    async with desk.clients(5) as clients:
        for number, client in enumerate(clients):
            client.front.data_received(message(number))
        assert desk.lane.batches == []

        assert [await client.numbers(1) for client in clients] == [[0], [1], [2], [3], [4]]
    assert desk.lane.batches == [[0, 1, 2, 3, 4]]


async def test_where_few_come_in_a_turn_they_do_not_wait() -> None:
    desk, recorded = Desk(), []
    async with desk.clients(1) as [client]:
        for number in range(WORTH_IT):
            client.front.data_received(message(number))
            recorded.append(len(desk.lane.batches))
            await client.numbers(1)
    assert recorded == [0, 2, 3]


async def test_whether_many_come_is_tried_again() -> None:
    desk, waited = Desk(), 0
    async with desk.clients(1) as [client]:
        for number in range(100):
            client.front.data_received(message(number))
            waited += len(desk.lane.batches) == number
            assert await client.numbers(1) == [number]
    assert 1 < waited < 10
    assert list(chain(*desk.lane.batches)) == list(range(100))


async def test_no_more_are_recorded_together_than_both_counts_may_be_apart() -> None:
    desk = Desk()
    async with desk.clients(1) as [client]:
        for number in range(MOST_AT_ONCE + 6):
            client.front.data_received(message(number))

        assert await client.numbers(MOST_AT_ONCE + 6) == list(range(MOST_AT_ONCE + 6))
    assert [len(batch) for batch in desk.lane.batches] == [MOST_AT_ONCE, 6]


async def test_answers_of_one_connection_keep_their_order() -> None:
    """The second message is not answered from ready bytes, and the third came together with it."""
    desk = Desk()
    async with desk.clients(1) as [client]:
        client.front.data_received(message(1))
        client.front.data_received(message(2) + message(3))

        assert await client.numbers(3) == [1, 2, 3]
    assert desk.lane.batches == [[1], [2, 3]]


async def test_who_says_at_once_that_he_asks_no_more_is_answered() -> None:
    desk = Desk()
    async with desk.clients(1) as [client]:
        client.front.data_received(message(1))
        if not client.front.eof_received():
            client.front._transport.close()

        assert await client.numbers(1) == [1]
        assert await client.reader.read() == b""


async def test_a_connection_whose_answer_breaks_off_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else its client would wait for the rest for ever, as would what it asked behind that."""

    async def rest() -> AsyncIterator[bytes]:
        yield message(1)
        raise EOFError  # such as of a sibling that had the session, and has gone

    async def respond(_data: bytes, _origin: Origin) -> Reply:
        return Reply(message(1), more=rest())

    desk = Desk()
    async with desk.clients(1) as [client]:
        front, answers = client.front, asyncio.TaskGroup()
        monkeypatch.setattr(front._responder, "respond", respond)
        async with answers:
            monkeypatch.setattr(
                front, "_spawn", lambda answer: answers.create_task(survive(answer))
            )
            front.data_received(2 * site_request(1))

        assert await client.numbers(2) == [1, 1]
        async with asyncio.timeout(10):
            assert await client.reader.read() == b""


async def test_a_connection_that_is_given_away_has_its_answer_first() -> None:
    desk = Desk()
    async with desk.clients(1) as [client]:
        client.front.data_received(message(1))
        client.front.give_away(lambda _descriptor: True)

        assert await client.numbers(1) == [1]
    assert desk.lane.batches == [[1]]


async def test_what_is_given_up_is_not_recorded() -> None:
    desk = Desk()
    async with desk.clients(3) as clients:
        for number, client in enumerate(clients):
            client.front.data_received(message(number))
        clients[0].front.close_idle()
        clients[2].front.connection_lost(ConnectionResetError())

        assert await clients[1].numbers(1) == [1]
    assert desk.lane.batches == [[1]]


def test_a_client_that_breaks_off_takes_no_answer_from_the_others() -> None:
    """With the worker's event loop."""

    async def breaks_off() -> None:
        async with Desk().clients(3) as clients:
            for number, client in enumerate(clients):
                client.front.data_received(message(number))
            clients[1].front._transport.abort()
            assert [await clients[place].numbers(1) for place in (0, 2)] == [[0], [2]]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(breaks_off())


@pytest.mark.parametrize("room", [0, 2])
async def test_what_cannot_be_recorded_is_refused(room: int) -> None:
    desk = Desk(Lane(room))
    async with desk.clients(3) as clients:
        for number, client in enumerate(clients):
            client.front.data_received(message(number))
        said = [Message.decode(await client.reader.read(1_000)) for client in clients]

    codes = [each.header.response_code for each in said]
    busy = [ResponseCode.SERVER_BUSY] * (3 - room)
    assert codes == [ResponseCode.SUCCESS] * room + busy
    assert desk.tally.cells[event_cell(Event.OVERLOADED)] == 3 - room
