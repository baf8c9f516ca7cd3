"""Open loop over UDP: what is due is sent in one sendmmsg, what came is taken with one recvmmsg.

Batches go to the sockets in turn, so that the kernel spreads them over several workers.
"""

import select
import socket
from collections.abc import Sequence
from time import perf_counter

from loadtest.datagrams import STRIDE, Inbox, Requests
from loadtest.exchange import BODY_AT, Exchange
from loadtest.pace import Pace
from loadtest.plan import CATCH_UP, Plan, Tally
from loadtest.ring import Ring
from loadtest.source import bind_source

MOST_AT_ONCE = 256
SLOTS = 128
_BUFFER_BYTES = 1 << 22
_PATIENCE_SECONDS = (
    0.005  # while it catches up: what is under way for so long in silence is not waited for
)


class OpenUdp(Pace):
    """Asks one server; made by `prepare_open`, used once."""

    def __init__(
        self, address: tuple[str, int], exchanges: Sequence[Exchange], plan: Plan, sockets: int
    ) -> None:
        super().__init__(plan, Tally(plan))
        self._ring = Ring(exchanges, plan, self.tally)
        self._requests = Requests(self._ring.requests)
        self._sockets = [_connected(address) for _ in range(sockets)]
        self._fds = [each.fileno() for each in self._sockets]
        for fd in self._fds:
            self.epoll.register(fd, select.EPOLLIN)
        self._inbox = Inbox(SLOTS)
        self._turn = self._owed = 0  # `owed` guides the catching up, and may be too low
        self._heard = 0.0

    def is_owed(self) -> bool:
        """True while answers are under way."""
        return self._ring.is_owed

    def close(self) -> None:
        """Close the sockets, and count what is still under way as lost."""
        for each in self._sockets:
            each.close()
        self._ring.finish()

    def send(self, now: float) -> int:
        """Send what is due from the next socket; when it is behind, only as much as may be under way."""
        count = self._ring.due(now, MOST_AT_ONCE)
        if count and self.tally.is_behind(self.sent, now):
            count = min(count, self._room(now))
        if not count:
            return 0
        fd = self._fds[self._turn % len(self._fds)]
        self._turn += 1
        count = self._requests.send(fd, self._ring.cursor, count)
        if count:
            self._ring.take(count, now)
            self._owed += count
            self.sent = self._ring.sent
        return count

    def _room(self, now: float) -> int:
        if now - self._heard > _PATIENCE_SECONDS:
            self._owed, self._heard = 0, now
        return max(0, CATCH_UP - self._owed)

    def receive(self) -> int:
        """Take what came on every socket; return how many datagrams."""
        if len(self._fds) == 1:
            return self._take(self._fds[0])
        return sum(self._take(fd) for fd, _ in self.epoll.poll(0))

    def _take(self, fd: int) -> int:
        came = self._inbox.receive(fd)
        self.tally.run.polls += 1
        if came:
            now = self._heard = perf_counter()
            self._owed = max(0, self._owed - came)
            self._judge(came, now)
        return came

    def _judge(self, came: int, now: float) -> None:
        ring, starts_with = self._ring, self._inbox.data.startswith
        size, owed, lengths, heads, tails = (
            ring.size, ring.marks, ring.lengths, ring.heads, ring.tails,
        )  # fmt: skip
        slots, marks, at = [], [], 0
        for slot, length in zip(*self._inbox.batch(came), strict=True):
            if (
                slot < size
                and length == lengths[slot]
                and starts_with(heads[slot], at)
                and starts_with(tails[slot], at + BODY_AT)
                and owed[slot]
            ):
                slots.append(slot)
                marks.append(owed[slot])
                owed[slot] = 0
            else:
                ring.odd(bytes(self._inbox.data[at : at + min(length, STRIDE)]), slot)
            at += STRIDE
        ring.right(slots, marks, now)


def _connected(address: tuple[str, int]) -> socket.socket:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    owner = socket.socket(family, socket.SOCK_DGRAM)
    owner.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
    bind_source(owner)
    owner.connect(address)
    return owner
