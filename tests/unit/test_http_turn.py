"""HTTP: what several connections are answered in one turn of the event loop is recorded as one batch, in order.

Answers say in their bodies which way they came: ready, read past the framework, or the ordinary way.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import chain
from time import perf_counter_ns

import pytest
import uvloop
from starlette.types import Receive, Scope, Send

from resolver.answer import Answer, Status, Stored, Tier
from resolver.freshness import Freshness
from resolver.frontends.fast import FastHttp
from resolver.frontends.server import HttpServer
from resolver.frontends.turn import WORTH_IT, Turn
from resolver.guard import Guard
from resolver.hot.http import HotHttp
from resolver.identifier import Scheme
from resolver.observe import CELL_COUNT, Event, Protocol, Tally, cell, event_cell
from resolver.plain import PlainAnswer
from resolver.recorder import (
    MOST_AT_ONCE,
    REFUSED,
    Answered,
    HttpCount,
    NoRecorder,
    Party,
    Prefixes,
    Subject,
)
from tests.support.waiting import until

READY = [b"88.1.1/a", b"88.1.1/b", b"88.1.1/c"]
CELL = cell(Protocol.HTTP_JSON, Scheme.HANDLE, Status.FOUND, Tier.MEMORY)
READ = cell(Protocol.HTTP_JSON, Scheme.HANDLE, Status.FOUND, Tier.POSTGRES)
ORDINARY = cell(Protocol.HTTP_PAGE, Scheme.HANDLE, Status.FOUND, Tier.MEMORY)
LENGTH = re.compile(rb"(?i)\r\ncontent-length: (\d+)")


def get(name: bytes, *headers: bytes, method: bytes = b"GET") -> bytes:
    lines = b"".join(b"%b\r\n" % header for header in headers)
    return b"%b /api/handles/%b HTTP/1.1\r\nHost: x\r\n%b\r\n" % (method, name, lines)


UNKNOWN_HEADER = b"X-Of-No-Meaning: 1"  # only the ordinary way reads it


class Lane(NoRecorder):
    """Keeps what it records: keys in the batches that they came in, and whose they were."""

    def __init__(
        self, room: int = 10_000, *, room_behind: int = 10_000, is_strict: bool = False
    ) -> None:
        """`room` is that for the first batch that is not given whole, `room_behind` that for what comes after it."""
        self.is_strict = is_strict
        self._room_behind = room_behind
        self.batches: list[list[bytes]] = []
        self.others: list[bytes] = []
        self.parties: list[Party] = []
        self.asked: set[bytes] = set()
        self._room = room

    def subject(self, key: bytes, prefixes: Prefixes = ()) -> Subject:
        return key

    def party_of_block(self, peer: str, block: bytes) -> Party:
        return peer, block

    def http(self, party: Party, subject: Subject, cell: int, now_ns: int) -> int:
        if not self._room:
            return REFUSED
        self._room -= 1
        self.others.append(subject)
        return 1

    def http_all(self, answers: Sequence[Answered], now_ns: int) -> int:
        kept = answers[: self._room]
        self._room = self._room_behind if len(kept) < len(answers) else self._room - len(kept)
        self.batches.append([subject for _, _, subject, _ in kept])
        self.parties += [party for party, _, _, _ in kept]
        self.asked |= {asked for _, asked, _, _ in kept}
        return len(kept)


class Reads:
    """Reads records past the framework, each a turn of the loop after it was asked for."""

    async def read(self, path: bytes) -> PlainAnswer | None:
        await asyncio.sleep(0)
        body = b"read " + path
        head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body)
        return PlainAnswer(head + body, READ, path) if path.startswith(b"88") else None


@dataclass
class Client:
    """Both ends of a connection: the front end's, and the client's."""

    front: FastHttp
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def bodies(self, count: int) -> list[bytes]:
        return [await self._body() for _ in range(count)]

    async def _body(self) -> bytes:
        async with asyncio.timeout(10):
            head = await self.reader.readuntil(b"\r\n\r\n")
            found = LENGTH.search(head)
            return await self.reader.readexactly(int(found[1]) if found else 0)


@dataclass
class Desk:
    """The HTTP front end of a worker that has answers ready, before an application that says what it was asked."""

    lane: Lane = field(default_factory=Lane)
    reads: Reads | None = None
    tally: Tally = field(default_factory=lambda: Tally([0] * CELL_COUNT))
    made: list[FastHttp] = field(default_factory=list)

    @asynccontextmanager
    async def clients(self, count: int) -> AsyncIterator[list[Client]]:
        async with asyncio.TaskGroup() as tasks:
            factory = self._factory(tasks)
            server = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0)
            address = server.sockets[0].getsockname()
            streams = [await asyncio.open_connection(*address) for _ in range(count)]
            await until(lambda: len(self.made) == count and all(each.flow for each in self.made))
            ports = {each.transport.get_extra_info("peername")[1]: each for each in self.made}
            yield [
                Client(ports[writer.get_extra_info("sockname")[1]], reader, writer)
                for reader, writer in streams
            ]
            for _, writer in streams:
                writer.close()
            server.close()
            await server.wait_closed()
            await until(lambda: all(each.transport.is_closing() for each in self.made))

    def _factory(self, tasks: asyncio.TaskGroup) -> Callable[[], asyncio.Protocol]:
        members = {
            "hot": self._hot(),
            "guard": self._guard(),
            "tally": self.tally,
            "recorder": self.lane,
            "turn": Turn(self.lane.http_all, self.tally),
            "reads": self.reads,
            "spawn": staticmethod(tasks.create_task),
        }
        protocol = type("TestedHttp", (FastHttp,), members)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await self._answer(scope, send)

        server = HttpServer.of(app, protocol, idle_seconds=60, drain_seconds=1)
        server.config.load()
        server.lifespan = server.config.lifespan_class(server.config)

        def connection() -> FastHttp:
            self.made.append(protocol(server.config, server.server_state, {}))
            return self.made[-1]

        return connection

    def _hot(self) -> HotHttp:
        hot = HotHttp(Freshness(), max_entries=100, max_bytes=100_000)
        hot.subject_of = self.lane.subject
        hot.tick(0)
        for key in READY:
            stored = Stored(1, key, 86_400, False, b"", b"", Tier.MEMORY)
            answer = Answer(Status.FOUND, Tier.MEMORY, stored)
            hot.remember(key, b"ready " + key, answer, key, CELL, 0)
        return hot

    def _guard(self) -> Guard:
        return Guard(
            self.tally,
            connections_max=100,
            connections_per_source=100,
            request_seconds=9,
            idle_seconds=9,
            udp_answers_per_second=0,
            udp_answers_burst=0,
        )

    async def _answer(self, scope: Scope, send: Send) -> None:
        name, counts = scope["path"].removeprefix("/api/handles/"), HttpCount(self.tally, self.lane)
        await asyncio.sleep(0)
        party, key = counts.party(scope), name.encode()
        is_given = await counts.answered(party, key, ORDINARY, perf_counter_ns())
        body = f"ordinary {name}" if is_given else f"busy {name}"
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body.encode()})


async def test_answers_of_one_turn_are_recorded_together() -> None:
    desk = Desk()
    async with desk.clients(3) as clients:
        for client, key in zip(clients, READY, strict=True):
            client.front.data_received(get(key))
        assert desk.lane.batches == []

        bodies = [await client.bodies(1) for client in clients]

    assert bodies == [[b"ready " + key] for key in READY]
    assert (desk.lane.batches, desk.lane.asked) == ([READY], {b""})
    assert desk.tally.cells[CELL] == 3


async def test_where_few_come_in_a_turn_they_do_not_wait() -> None:
    desk, recorded = Desk(), []
    async with desk.clients(1) as [client]:
        for key in READY[:WORTH_IT]:
            client.front.data_received(get(key))
            recorded.append(len(desk.lane.batches))
            await client.bodies(1)
    assert recorded == [0, 2, 3]


async def test_whether_many_come_is_tried_again() -> None:
    desk, waited = Desk(), 0
    async with desk.clients(1) as [client]:
        for number in range(100):
            client.front.data_received(get(READY[0]))
            waited += len(desk.lane.batches) == number
            assert await client.bodies(1) == [b"ready " + READY[0]]
    assert 1 < waited < 10
    assert list(chain(*desk.lane.batches)) == [READY[0]] * 100
    assert desk.tally.cells[CELL] == 100


async def test_no_more_are_recorded_together_than_both_counts_may_be_apart() -> None:
    desk = Desk()
    async with desk.clients(1) as [client]:
        for _ in range(MOST_AT_ONCE + 6):
            client.front.data_received(get(READY[0]))
        await client.bodies(MOST_AT_ONCE + 6)
    assert [len(batch) for batch in desk.lane.batches] == [MOST_AT_ONCE, 6]


async def test_answers_of_one_connection_keep_their_order_whichever_way_they_come() -> None:
    desk, asked = Desk(reads=Reads()), []
    async with desk.clients(1) as [client]:
        for key, *headers in (
            (READY[0],),
            (b"88.1.1/read",),
            (READY[1],),
            (b"99/ordinary",),
            (READY[2],),
            (READY[0], UNKNOWN_HEADER),
            (READY[1],),
        ):
            client.front.data_received(get(key, *headers))
            asked.append(key)

        bodies = await client.bodies(len(asked))

    assert [body.split(b" ")[1] for body in bodies] == asked
    assert bodies[:2] == [b"ready " + READY[0], b"read 88.1.1/read"]
    assert sum(len(batch) for batch in desk.lane.batches) + len(desk.lane.others) == len(asked)


@pytest.mark.parametrize("cut", [3, 30, 60])
async def test_requests_that_come_in_other_pieces_are_answered_in_order(cut: int) -> None:
    """The first is ready, the second begins in its bytes or goes on in the next ones."""
    first, second, third = (get(key) for key in READY)
    desk = Desk()
    async with desk.clients(1) as [client]:
        client.front.data_received(first)
        client.front.data_received((second + third)[:cut])
        client.front.data_received((second + third)[cut:])

        bodies = await client.bodies(3)

    assert [body.split(b" ")[1] for body in bodies] == READY


async def test_another_method_or_header_block_is_not_taken_for_the_one_before() -> None:
    desk = Desk()
    async with desk.clients(1) as [client]:
        client.front.data_received(get(READY[0]))
        client.front.data_received(get(READY[1], method=b"PUT"))
        assert await client.bodies(2) == [b"ready 88.1.1/a", b"ordinary 88.1.1/b"]
        client.front.data_received(get(READY[1], b"User-Agent: curl"))
        client.front.data_received(get(READY[2]))
        client.front.data_received(get(READY[2])[:-2] + get(READY[2]))  # a header named GET …
        assert (await client.bodies(2))[1] == b"ready 88.1.1/c"

        blocks = [block for _, block in desk.lane.parties]

    assert blocks == [
        b"Host: x\r\n\r\n",
        b"Host: x\r\nUser-Agent: curl\r\n\r\n",
        b"Host: x\r\n\r\n",
    ]


async def test_who_says_at_once_that_he_asks_no_more_is_answered() -> None:
    desk = Desk()
    async with desk.clients(1) as [client]:
        client.front.data_received(get(READY[0]))
        client.front.eof_received()
        client.front.transport.close()  # as the event loop does

        assert await client.bodies(1) == [b"ready 88.1.1/a"]


async def test_who_is_being_left_has_what_he_asked_for_first() -> None:
    desk = Desk()
    async with desk.clients(2) as clients:
        for client in clients:
            client.front.data_received(get(READY[0]))
        clients[0].front.shutdown()
        clients[1].front.close_soon(0)

        assert [await each.bodies(1) for each in clients] == [[b"ready 88.1.1/a"]] * 2
        assert [await each.reader.read() for each in clients] == [b"", b""]


async def test_what_is_given_up_is_not_recorded() -> None:
    desk = Desk()
    async with desk.clients(3) as clients:
        for client, key in zip(clients, READY, strict=True):
            client.front.data_received(get(key))
        clients[0].front.close_idle()
        clients[1].front.connection_lost(ConnectionResetError())

        assert await clients[2].bodies(1) == [b"ready 88.1.1/c"]
    assert desk.lane.batches == [[READY[2]]]
    assert desk.tally.cells[CELL] == 1


def test_a_client_that_breaks_off_takes_no_answer_from_the_others() -> None:
    """With the worker's event loop."""

    async def breaks_off() -> None:
        async with Desk().clients(3) as clients:
            for client in clients:
                client.front.data_received(get(READY[0]))
            clients[1].front.transport.abort()
            for place in (0, 2):
                assert await clients[place].bodies(1) == [b"ready 88.1.1/a"]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(breaks_off())


@pytest.mark.parametrize("room", [0, 2])
async def test_what_cannot_be_recorded_goes_the_ordinary_way_which_refuses_it(room: int) -> None:
    desk = Desk(Lane(room, room_behind=0))
    async with desk.clients(3) as clients:
        for client, key in zip(clients, READY, strict=True):
            client.front.data_received(get(key))
        bodies = [(await client.bodies(1))[0] for client in clients]

    given, refused = (
        [b"ready " + key for key in READY[:room]],
        [b"busy " + key for key in READY[room:]],
    )
    assert bodies == given + refused
    assert desk.tally.cells[event_cell(Event.OVERLOADED)] == 3 - room
    assert desk.tally.cells[CELL] == room


@pytest.mark.parametrize("room", [0, 1, 2])
async def test_nothing_overtakes_refused_answers_of_its_connection(room: int) -> None:
    """What comes behind them may be read past the framework, or arrive in pieces, and there is room again for it."""
    for behind in ([get(b"88.1.1/next")], [get(b"99/next")[:30], get(b"99/next")[30:]]):
        desk = Desk(Lane(room), Reads())
        async with desk.clients(1) as [client]:
            for data in (*map(get, READY), *behind):
                client.front.data_received(data)
            bodies = await client.bodies(len(READY) + 1)

        ways = [b"ready"] * room + [b"ordinary"] * (len(READY) - room)
        assert bodies[:-1] == [way + b" " + key for way, key in zip(ways, READY, strict=True)]
        assert bodies[-1].endswith(b"/next")
        assert desk.tally.cells[CELL] == room


async def test_one_that_does_not_wait_and_cannot_be_recorded_is_refused() -> None:
    desk = Desk(Lane(1, room_behind=0))
    async with desk.clients(1) as [client]:
        for key in READY[:2]:
            client.front.data_received(get(key))
            body = await client.bodies(1)
    assert body == [b"busy 88.1.1/b"]


async def test_who_does_not_read_goes_the_ordinary_way_which_waits_for_him() -> None:
    desk = Desk()
    async with desk.clients(1) as [client]:
        client.front.pause_writing()
        client.front.data_received(get(READY[0]))
        await until(lambda: bool(desk.lane.others))
        client.front.resume_writing()
        assert await client.bodies(1) == [b"ordinary 88.1.1/a"]
        client.front.data_received(get(READY[1]))
        assert await client.bodies(1) == [b"ready 88.1.1/b"]
    assert (desk.lane.batches, desk.lane.others) == ([[READY[1]]], [READY[0]])


async def test_nothing_is_ready_where_answers_wait_for_the_disk_or_a_certificate_is_shown() -> None:
    strict, known = Desk(Lane(is_strict=True)), Desk()
    for desk in (strict, known):
        async with desk.clients(1) as [client]:
            client.front._certificate = b"of somebody" if desk is known else None
            client.front.data_received(get(READY[0]))
            assert await client.bodies(1) == [b"ordinary 88.1.1/a"]


def test_answers_records_and_counts_are_the_same_number_whatever_comes() -> None:
    """Clients that ask ahead, over the worker's event loop; each has its answers in the order of its questions."""
    asked = [READY[0], b"88.1.1/read", READY[1], READY[2], b"99/ordinary", READY[0], READY[0]] * 20

    async def ask(client: Client, ahead: int) -> None:
        for start in range(0, len(asked), ahead):
            names = asked[start : start + ahead]
            for name in names:
                client.writer.write(get(name))
                await asyncio.sleep(0)
            bodies = await client.bodies(len(names))
            assert [body.split(b" ")[1] for body in bodies] == names

    async def all_ask(desk: Desk) -> None:
        async with desk.clients(8) as clients, asyncio.TaskGroup() as tasks:
            for place, client in enumerate(clients):
                tasks.create_task(ask(client, place + 1))

    desk = Desk(reads=Reads())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(all_ask(desk))

    ready, others = list(chain(*desk.lane.batches)), desk.lane.others
    assert len(ready) + len(others) == 8 * len(asked)
    assert sum(desk.tally.cells[each] for each in (CELL, READ, ORDINARY)) == 8 * len(asked)
    assert desk.tally.cells[CELL] == len(ready) > len(asked)
