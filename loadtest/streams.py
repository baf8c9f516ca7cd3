"""Load over kept-open streams: many connections, each with one block of requests under way.

What a block is, and when its answer is whole and right, is the business of the transport (`generator_tcp`,
`generator_http`), which gives a `Check`.  The loop costs one receive, one check and one send a block.

Law: all that is ready is received before anything is sent, and the generator waits busily before it sleeps.  Waking an
idle core costs the waker (in a virtual machine, up to 20 µs a send): answers taken one by one would let the server fall
asleep between two requests and make every send pay for it, and a sleeping generator would make the server pay.
"""

import select
import socket
from collections.abc import Callable, Sequence
from math import inf
from time import perf_counter

from loadtest.exchange import Exchange
from loadtest.run import Prepared, Run
from loadtest.source import source_address

SILENCE_SECONDS = 10.0  # a kept-open stream that owes answers for so long is broken
SPINS = 200  # empty polls before the generator sleeps
_READ = 1 << 16  # more, and each read would ask the kernel for fresh memory

Address = tuple[str, int]

Check = Callable[[bytes, int], bool]
"""(received so far, block number) -> the answer is whole; raises WrongAnswer."""


class WrongAnswer(Exception):
    """What came is not the right answer and cannot become it; the message shows both."""


class NoAnswer(RuntimeError):
    """The server said nothing for SILENCE_SECONDS although it owes answers."""


class _Stream:
    """One connection; `began` is when its block was sent."""

    __slots__ = ("began", "block", "fd", "owner", "partial", "receive", "send")

    def __init__(self, owner: socket.socket) -> None:
        self.owner = owner
        self.fd = owner.fileno()
        self.receive, self.send = owner.recv, owner.send
        self.block, self.began, self.partial = 0, 0.0, b""


def connect(address: Address) -> socket.socket:
    """Return a connection that does not block.  Raises OSError."""
    owner = socket.create_connection(address, SILENCE_SECONDS, source_address())
    owner.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    owner.setblocking(False)
    return owner


class StreamGenerator:
    """Asks one server over `connections` streams, `depth` requests a block; used once."""

    def __init__(
        self,
        address: tuple[str, int],
        blocks: Sequence[bytes],
        check: Check,
        *,
        connections: int,
        depth: int,
        connect: Callable[[Address], socket.socket] = connect,
    ) -> None:
        """`connect` makes the connections, TCP by default; it may raise OSError."""
        self._connect = connect
        self._address, self._blocks, self._check, self._depth = address, blocks, check, depth
        self._next, self._left = 0, 0
        self._run = Run()
        self._epoll = select.epoll()
        self._streams: dict[int, _Stream] = {}
        for _ in range(min(connections, len(blocks))):
            self._open()

    def run(self, seconds: float, *, once: bool) -> Run:
        """Ask round and round, or every block once, for so long at most; then wait for what is under way."""
        return self._drive(perf_counter() + seconds, len(self._blocks) if once else 1 << 62)

    def _open(self) -> _Stream:
        stream = _Stream(self._connect(self._address))
        self._streams[stream.fd] = stream
        self._epoll.register(stream.fd, select.EPOLLIN)
        return stream

    def _drive(self, deadline: float, blocks: int) -> Run:
        begin = now = heard = perf_counter()
        self._left = blocks
        under_way = sum(self._ask(stream, now) for stream in list(self._streams.values()))
        poll, streams, spins = self._epoll.poll, self._streams, 0
        while under_way:
            ready = poll(0 if spins < SPINS else SILENCE_SECONDS)
            before, now = now, perf_counter()
            if spins:  # else `before` is when we began to work
                self._run.waited += now - before
            if not ready:
                spins += 1
                self._refuse_silence(now - heard, under_way)
                continue
            spins, heard = 0, now
            self._run.polls += 1
            if now >= deadline:
                self._left = 0
            answered = self._take([streams[fd] for fd, _ in ready], now)
            under_way -= sum(not self._ask(stream, now) for stream in answered)
        self._run.seconds = perf_counter() - begin
        for stream in self._streams.values():
            stream.owner.close()
        self._epoll.close()
        return self._run

    def _refuse_silence(self, seconds: float, under_way: int) -> None:
        if seconds >= SILENCE_SECONDS:
            raise NoAnswer(f"{under_way} blocks without answer for {seconds:.0f} s")

    def _take(self, ready: list[_Stream], now: float) -> list[_Stream]:
        """Receive and check what came; return the streams that may ask again."""
        check, latencies = self._check, self._run.latencies
        sampled = not self._run.polls & 7
        answered = []
        for stream in ready:
            data = stream.receive(_READ)
            if stream.partial or not data:
                data = self._continue(stream, data)
            try:
                if not check(data, stream.block):
                    stream.partial = data
                    continue
            except WrongAnswer as wrong:
                self._run.fault(str(wrong))
                answered.append(self._replace(stream))
                continue
            stream.partial = b""
            answered.append(stream)
            self._run.answers += self._depth
            if sampled:
                latencies.append(now - stream.began)
        return answered

    def _ask(self, stream: _Stream, now: float) -> bool:
        """Send the next block; False when all have been sent."""
        if self._left <= 0:
            return False
        self._left -= 1
        number = self._next
        self._next = number + 1 if number + 1 < len(self._blocks) else 0
        stream.block, stream.began = number, now
        request = self._blocks[number]
        if stream.send(request) != len(request):
            raise NoAnswer("the server does not read: its receive buffer is full")
        return True

    def _continue(self, stream: _Stream, data: bytes) -> bytes:
        if not data:
            raise NoAnswer("the server closed a kept-open connection")
        return stream.partial + data

    def _replace(self, stream: _Stream) -> _Stream:
        """Open a new connection instead of one whose answers can no longer be told apart."""
        del self._streams[stream.fd]
        self._epoll.unregister(stream.fd)
        stream.owner.close()
        self._run.reconnects += 1
        return self._open()


def prepare_streams(
    address: Address,
    exchanges: Sequence[Exchange],
    *,
    check: Callable[[Sequence[Exchange]], Check],
    connections: int,
    connect: Callable[[Address], socket.socket] = connect,
    seconds: float = inf,
    once: bool = False,
) -> Prepared:
    """Return a run over the exchanges, round and round, or each `once`, that ends after `seconds` at the latest."""
    requests = [exchange.request for exchange in exchanges]
    generator = StreamGenerator(
        address, requests, check(exchanges), connections=connections, depth=1, connect=connect
    )
    return lambda: generator.run(seconds, once=once)
