"""Load of writes: many kept-open connections, one write under way on each, every one of another record.

Over HTTP and in native sessions alike.  Every answer must say that the write was done; every latency is kept, since the
longest matters as well.  Unlike the generators of questions it sleeps while nothing comes: stores and workers need the
cores.
"""

import asyncio
import os
import select
import socket
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from time import perf_counter

from loadtest.administrators import ADMIN, HOME, Login
from loadtest.exchange import frame_length
from loadtest.generator_http import response_splitter
from loadtest.http_writes import put
from loadtest.native_session import NativeConnection, values_body
from loadtest.run import Prepared, Run
from loadtest.streams import SILENCE_SECONDS, Address, NoAnswer, WrongAnswer
from resolver.wire import Opcode

TEXT = "https://example.org/products/item?lot=20260731&line=4"
_READ = 1 << 16

Judge = Callable[[bytes], bool]
"""What was received so far -> it is a whole answer; raises WrongAnswer when it is not that of a write that was done."""


@dataclass(slots=True)
class Way:
    """One connection: its socket, what it sends next, when it sent the last, and what of the answer is here."""

    owner: socket.socket
    make: Callable[[], bytes]
    began: float = 0.0
    partial: bytes = b""


class WriteGenerator:
    """Writes over all ways for a while; used once."""

    def __init__(self, ways: list[Way], judge: Judge) -> None:
        self._ways = {way.owner.fileno(): way for way in ways}
        self._judge = judge
        self._run = Run()

    def run(self, seconds: float) -> Run:
        """Write for so long, then wait for what is under way.  Raises NoAnswer."""
        epoll = select.epoll()
        for fd, way in self._ways.items():
            epoll.register(fd, select.EPOLLIN)
            _send(way)
        begin, under_way = perf_counter(), len(self._ways)
        while under_way:
            before = perf_counter()
            ready = epoll.poll(SILENCE_SECONDS)
            self._run.waited += perf_counter() - before
            if not ready:
                raise NoAnswer(f"{under_way} writes without answer for {SILENCE_SECONDS:.0f} s")
            for fd, _ in ready:
                if self._take(self._ways[fd]):
                    if perf_counter() - begin < seconds:
                        _send(self._ways[fd])
                    else:
                        under_way -= 1
        self._run.seconds = perf_counter() - begin
        for way in self._ways.values():
            way.owner.close()
        epoll.close()
        return self._run

    def _take(self, way: Way) -> bool:
        """Receive; True when the answer is whole."""
        data = way.owner.recv(_READ)
        if not data:
            raise NoAnswer("the server closed a kept-open connection")
        way.partial += data
        try:
            if not self._judge(way.partial):
                return False
            self._run.answers += 1
            self._run.latencies.append(perf_counter() - way.began)
        except WrongAnswer as wrong:
            self._run.fault(str(wrong))
        way.partial = b""
        return True


def _send(way: Way) -> None:
    way.began = perf_counter()
    way.owner.sendall(way.make())


def prepare_puts(
    address: Address,
    name: str,
    *headers: str,
    connections: int,
    seconds: float,
    with_keys: bool = False,
) -> Prepared:
    """Return a run of PUTs over HTTP; `name` keeps the records of one run apart from those of others."""

    def way(number: int) -> Way:
        numbers = count()

        def make() -> bytes:
            handle = f"{HOME}/{name}-{number}-{next(numbers)}"
            key = (f"Idempotency-Key: {handle}",) if with_keys else ()
            return put(handle, [(1, TEXT), (2, handle)], *headers, *key)

        owner = socket.create_connection(address, timeout=SILENCE_SECONDS)
        owner.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Way(owner, make)

    generator = WriteGenerator([way(number) for number in range(connections)], _judge_http())
    return lambda: generator.run(seconds)


def prepare_native(
    address: Address, name: str, *, connections: int, seconds: float, login: Login = ADMIN
) -> Prepared:
    """Return a run of creations over TCP, each connection in a session of its own."""
    opened = asyncio.run(_open_sessions(address, login, connections))

    def way(number: int, owner: socket.socket, connection: NativeConnection) -> Way:
        numbers, pack = count(), connection.session.pack

        def make() -> bytes:
            handle = f"{HOME}/{name}-{number}-{next(numbers)}"
            return pack(Opcode.CREATE_HANDLE, values_body(handle, [(1, TEXT), (2, handle)]))

        return Way(owner, make)

    ways = [way(number, *each) for number, each in enumerate(opened)]
    generator = WriteGenerator(ways, _judge_native)
    return lambda: generator.run(seconds)


async def _open_sessions(
    address: Address, login: Login, connections: int
) -> list[tuple[socket.socket, NativeConnection]]:
    """Begin sessions, and take their sockets out of the event loop."""
    opened = []
    for _ in range(connections):
        connection = await NativeConnection.open(address, login)
        owner = socket.socket(fileno=os.dup(connection.fileno()))
        owner.setblocking(True)
        opened.append((owner, connection))
    return opened


def _judge_http() -> Judge:
    split = response_splitter()

    def judge(data: bytes) -> bool:
        if not split(data):
            return False
        if not data.startswith((b"HTTP/1.1 201", b"HTTP/1.1 200")):
            raise WrongAnswer(f"a write was not done: {data[:1024]!r}")
        return True

    return judge


def _judge_native(data: bytes) -> bool:
    if len(data) < 28 or len(data) < frame_length(data):
        return False
    if data[24:28] != b"\0\0\0\1":
        raise WrongAnswer(f"a write was not done: {data[:1024].hex()}")
    return True
