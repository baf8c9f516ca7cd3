"""How long a request over TCP has been under way: each is timed by itself, whatever arrives together with it."""

import asyncio

from resolver.freshness import Freshness
from resolver.frontends.tcp import TcpConnection
from resolver.frontends.turn import Turn
from resolver.guard import Guard
from resolver.hot.wire import HotWire
from resolver.observe import CELL_COUNT, Tally
from resolver.recorder import NoRecorder
from resolver.wire import Envelope, Header, Message, NameRequest, Opcode
from tests.support.waiting import until
from tests.support.web import Web


def site_request() -> bytes:
    body = NameRequest(b"/").encode()
    header = Header(Opcode.GET_SITE_INFO, 0, 0, 0xFFFF, 0, 0, len(body))
    return Message(Envelope(2, 11, 2, 11, 0, 1), header, body).encode()


async def test_client_that_always_has_begun_its_next_request_is_not_slow() -> None:
    """Long streams are read in chunks that end anywhere; the time-out is for one request."""
    tally = Tally([0] * CELL_COUNT)
    guard = Guard(
        tally,
        connections_max=1,
        connections_per_source=1,
        request_seconds=1,
        idle_seconds=1,
        udp_answers_per_second=0,
        udp_answers_burst=0,
    )
    hot = HotWire(Freshness(), max_entries=0, max_bytes=0)
    request = site_request()
    async with asyncio.TaskGroup() as tasks:
        responder, recorder = Web().responder, NoRecorder()
        turn = Turn(recorder.natives, tally)
        connection = TcpConnection(responder, hot, guard, tally, recorder, turn, tasks.create_task)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: connection, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(request[:30])
        await until(lambda: connection.request_began_ns > 0)
        first_began = connection.request_began_ns

        writer.write(request[30:] + request[:30])
        await reader.readexactly(100)

        assert connection.request_began_ns > first_began
        writer.write(request[30:])
        await until(lambda: connection.request_began_ns == 0)
        writer.close()
        server.close()
        await server.wait_closed()
