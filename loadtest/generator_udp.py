"""UDP load: a window of datagrams is kept under way; a batch costs two system calls (`loadtest.datagrams`).

Request i carries i as its id, in the machine's byte order, so the ids of a batch are read in one go, and every answer
is compared with the right one (all bytes but flags, site serial and expiration).

Whoever waits, waits busily for a moment and then in poll(): a server must not pay for waking the generator.
"""

import select
import socket
from collections.abc import Sequence
from itertools import pairwise
from math import inf
from time import perf_counter

from loadtest.datagrams import STRIDE, Inbox, Requests
from loadtest.exchange import BODY_AT, Exchange, numbered
from loadtest.run import Prepared, Run
from loadtest.source import bind_source

WINDOW = 64
LOST_SECONDS = 0.25  # nothing came for so long: what is under way is lost, and sent again
SPINS = 200  # empty polls before the generator sleeps


class _Lane:
    """One connected socket with its own share of the requests; `under_way` counts its unanswered ones."""

    __slots__ = ("cursor", "end", "fd", "first", "owner", "under_way")

    def __init__(self, address: tuple[str, int], first: int, end: int) -> None:
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.owner = socket.socket(family, socket.SOCK_DGRAM)
        self.owner.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        bind_source(self.owner)
        self.owner.connect(address)
        self.fd = self.owner.fileno()
        self.first = self.cursor = first
        self.end = end
        self.under_way = 0


class UdpGenerator:
    """Asks one server; made by `prepare_udp`, used once."""

    def __init__(
        self, address: tuple[str, int], exchanges: Sequence[Exchange], sockets: int, window: int
    ) -> None:
        mine = [numbered(exchange, number) for number, exchange in enumerate(exchanges)]
        self._requests = Requests([exchange.request for exchange in mine])
        self._heads = [exchange.head for exchange in mine]
        self._tails = [exchange.tail for exchange in mine]
        self._sizes = [BODY_AT + len(exchange.tail) for exchange in mine]
        self._outstanding = bytearray(len(mine))
        self._sent_at = [0.0] * len(mine)
        edges = [len(mine) * part // sockets for part in range(sockets + 1)]
        self._lanes = [_Lane(address, *pair) for pair in pairwise(edges)]
        self._room = max(1, window // sockets)
        self._inbox = Inbox(self._room)
        self._run = Run()

    def run(self, seconds: float, *, once: bool) -> Run:
        """Ask for so long, then wait for what is under way; see `prepare_udp`."""
        begin = perf_counter()
        self._drive(begin + seconds, once=once)
        return self._finish(begin)

    def _finish(self, begin: float) -> Run:
        self._run.seconds = perf_counter() - begin
        for lane in self._lanes:
            lane.owner.close()
        return self._run

    def _drive(self, deadline: float, *, once: bool) -> None:
        poller = select.poll()
        for lane in self._lanes:
            poller.register(lane.fd, select.POLLIN)
        empty, heard = 0, perf_counter()
        while True:
            now = perf_counter()
            came = self._turn(now, sending=now < deadline, once=once)
            if came:
                empty, heard = 0, now
                continue
            self._run.waited += perf_counter() - now
            if not any(lane.under_way for lane in self._lanes):
                return
            empty += 1
            if now - heard > LOST_SECONDS:
                heard = now
                self._repeat(now)
            elif empty > SPINS:
                poller.poll(LOST_SECONDS * 1000)
                self._run.waited += perf_counter() - now

    def _turn(self, now: float, *, sending: bool, once: bool) -> int:
        """Receive and send once on every socket; return how many answers came."""
        total = 0
        for lane in self._lanes:
            came = self._inbox.receive(lane.fd)
            self._run.polls += 1
            if came:
                total += came
                self._check(lane, came, now)
            if sending and lane.under_way < self._room:
                self._send(lane, now, once=once)
        return total

    def _send(self, lane: _Lane, now: float, *, once: bool) -> None:
        first = lane.cursor
        if first == lane.end:
            if once:
                return
            first = lane.first
        end = min(first + self._room - lane.under_way, lane.end)
        if stale := self._outstanding.count(1, first, end):  # a round ago, and never answered
            self._run.lost += stale
            lane.under_way -= stale
        end = first + self._requests.send(lane.fd, first, end - first)
        self._outstanding[first:end] = b"\x01" * (end - first)
        self._sent_at[first:end] = [now] * (end - first)
        lane.under_way += end - first
        lane.cursor = end

    def _check(self, lane: _Lane, count: int, now: float) -> None:
        ids, lengths = self._inbox.batch(count)
        sizes, heads, tails = self._sizes, self._heads, self._tails
        outstanding, starts_with = self._outstanding, self._inbox.data.startswith
        right = at = 0
        for number, length in zip(ids, lengths, strict=True):
            if (
                number < len(sizes)
                and length == sizes[number]
                and starts_with(heads[number], at)
                and starts_with(tails[number], at + BODY_AT)
                and outstanding[number]
            ):
                outstanding[number] = 0
                right += 1
            else:
                self._odd(lane, number, at, length)
            at += STRIDE
        lane.under_way -= right
        self._run.answers += right
        if not self._run.polls & 7:
            sent_at = self._sent_at
            self._run.latencies.extend(
                [now - sent_at[number] for number in ids if number < len(sizes)]
            )

    def _odd(self, lane: _Lane, number: int, at: int, length: int) -> None:
        """Tell a wrong answer from a right one that came twice (its request had been repeated)."""
        data = bytes(self._inbox.data[at : at + min(length, STRIDE)])
        known = number < len(self._sizes)
        if (
            known
            and data[: len(self._heads[number])] == self._heads[number]
            and data[BODY_AT:] == self._tails[number]
        ):
            self._run.strays += 1
            return
        self._run.fault(f"udp request {number}: answer {data.hex()}")
        if known and self._outstanding[number]:
            self._outstanding[number] = 0
            lane.under_way -= 1

    def _repeat(self, now: float) -> None:
        """Count everything under way as lost, and send it again one by one."""
        for lane in self._lanes:
            number = self._outstanding.find(1, lane.first, lane.end)
            while number >= 0:
                self._run.lost += 1
                self._sent_at[number] = now
                self._requests.send(lane.fd, number, 1)
                number = self._outstanding.find(1, number + 1, lane.end)


def prepare_udp(
    address: tuple[str, int],
    exchanges: Sequence[Exchange],
    *,
    seconds: float = inf,
    once: bool = False,
    sockets: int = 1,
    window: int = WINDOW,
) -> Prepared:
    """Return a run over the exchanges, round and round, or each `once`, that ends after `seconds` at the latest.

    `sockets` are source ports, over which the kernel spreads the sockets of several workers.  `window` is the number of
    datagrams under way over all of them (more than about 100 overflow a socket buffer of the usual size).
    """
    generator = UdpGenerator(address, exchanges, sockets, window)
    return lambda: generator.run(seconds, once=once)
