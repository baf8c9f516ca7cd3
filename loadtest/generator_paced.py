"""Paced load: one question at a time, so many a second, and how long each answer took, none left out.

A question has its moment.  Its latency is counted from then, also when the answer before came late: who waits behind a
pause of the server has waited, too.  Native messages over UDP and TCP, and HTTP; several in one write when `depth` is
more than 1.  The generator sleeps until the kernel has an answer, or the next moment is near.
"""

import socket
from collections.abc import Callable, Sequence
from math import inf
from time import perf_counter

from loadtest.doze import sharpen, wait_until
from loadtest.exchange import BODY_AT, Exchange
from loadtest.generator_http import response_splitter
from loadtest.run import Prepared, Run
from loadtest.streams import SILENCE_SECONDS, Address, NoAnswer, WrongAnswer

RATE = 2_000  # writes a second
LATE_SECONDS = 0.01  # behind the plan; no server pauses for so long
_READ = 1 << 16  # more, and each read would ask the kernel for fresh memory

Check = Callable[[bytes, Sequence[Exchange]], bool]
"""(received so far, what was asked) -> all answers are there; raises WrongAnswer."""


def prepare_paced(
    address: Address,
    exchanges: Sequence[Exchange],
    *,
    transport: str,
    seconds: float = inf,
    once: bool = False,
    rate: float = RATE,
    depth: int = 1,
) -> Prepared:
    """Return a run over the exchanges, round and round, or each `once`, that ends after `seconds` at the latest.

    `transport` is udp, tcp or http; `depth` requests go with each write.
    """
    generator = _Paced(address, exchanges, transport, depth)
    return lambda: generator.run(seconds, 1 / rate, once=once)


class _Paced:
    """One connection, or one socket."""

    def __init__(
        self, address: Address, exchanges: Sequence[Exchange], transport: str, depth: int
    ) -> None:
        kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
        self._socket = socket.socket(socket.AF_INET, kind)
        self._socket.connect(address)
        if kind is socket.SOCK_STREAM:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.settimeout(SILENCE_SECONDS)
        self._blocks = [exchanges[at : at + depth] for at in range(0, len(exchanges), depth)]
        self._is_whole: Check = _http_check() if transport == "http" else _native_check
        self._run = Run()

    def run(self, seconds: float, pause: float, *, once: bool) -> Run:
        """Ask."""
        sharpen()
        run, blocks, began = self._run, self._blocks, perf_counter()
        due, number = began, 0
        while due < began + seconds and not (once and number == len(blocks)):
            block = blocks[number % len(blocks)]
            self._ask(block, due)
            number += 1
            due = _next_moment(due + pause, perf_counter())
            run.waited += max(0.0, due - perf_counter())
            run.slept += 0.0 if once else wait_until(due)
        run.seconds = perf_counter() - began
        self._socket.close()
        return run

    def _ask(self, block: Sequence[Exchange], due: float) -> None:
        self._socket.send(b"".join([each.request for each in block]))
        try:
            self._receive(block)
        except WrongAnswer as wrong:
            self._run.fault(str(wrong))
            return
        self._run.answers += len(block)
        self._run.latencies.append(perf_counter() - due)

    def _receive(self, block: Sequence[Exchange]) -> None:
        data = b""
        while not self._is_whole(data, block):
            try:
                more = self._socket.recv(_READ)
            except TimeoutError:
                more = b""
            if not more:
                raise NoAnswer(f"no answer to {block[0].request!r}")
            data += more


def _next_moment(due: float, now: float) -> float:
    """Who is very late was kept from its core by others, and begins its plan anew."""
    return due if now - due < LATE_SECONDS else now


def _native_check(data: bytes, block: Sequence[Exchange]) -> bool:
    """True when all answers are there and right.  Raises WrongAnswer."""
    if len(data) < sum(BODY_AT + len(each.tail) for each in block):
        return False
    at = 0
    for each in block:
        if not (data.startswith(each.head, at) and data.startswith(each.tail, at + BODY_AT)):
            raise WrongAnswer(f"native: {data[at : at + 1024].hex()} to {each.request.hex()}")
        at += BODY_AT + len(each.tail)
    return True


def _http_check() -> Check:
    split = response_splitter()

    def check(data: bytes, block: Sequence[Exchange]) -> bool:
        at, each = split(data), block[0]
        if at and not (data.startswith(each.head) and data[at:] == each.tail):
            raise WrongAnswer(f"http: {data[:1024]!r} to {each.request!r}")
        return bool(at)

    return check
