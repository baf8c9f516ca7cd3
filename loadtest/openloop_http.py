"""Open loop over HTTP: one question under way on each kept-open connection; who finds none free waits for the next.

The waiting counts, since a question's latency begins when it is due.  What was under way on a connection that breaks,
or that says nothing for the plan's patience, is lost, and another takes its place.
"""

from collections import deque
from collections.abc import Sequence
from time import perf_counter

from loadtest.exchange import Exchange
from loadtest.generator_http import check_http
from loadtest.openstreams import READ_BYTES, OpenStream, Streams
from loadtest.pace import Pace
from loadtest.plan import Plan, Tally
from loadtest.streams import WrongAnswer

_SILENT_TURNS = 4096  # how often silent connections are looked for: every few thousand turns


class OpenHttp(Pace):
    """Asks one server; made by `prepare_open`, used once."""

    def __init__(
        self, address: tuple[str, int], exchanges: Sequence[Exchange], plan: Plan, connections: int
    ) -> None:
        """Raises ValueError when there is nothing to ask."""
        if not exchanges:
            raise ValueError("no exchanges")
        super().__init__(plan, Tally(plan))
        self._requests = [exchange.request for exchange in exchanges]
        self._check = check_http(exchanges)
        self._right: list[bytes | None] = [None] * len(
            exchanges
        )  # answers that the check found right
        self._streams = Streams(address, self.epoll, connections)
        self._free = deque(self._streams.all)

    def is_owed(self) -> bool:
        """True while answers are under way."""
        return len(self._free) < len(self._streams.all)

    def close(self) -> None:
        """Close the connections, and count what is still under way as lost."""
        for stream in self._streams.all:
            self._lose(stream)
        self._streams.close()

    def send(self, now: float) -> int:
        """Send what is due, a question over each free connection."""
        due = min(int((now - self.tally.begin) * self.plan.rate) + 1, self.plan.total)
        first, free, requests, right = self.sent, self._free, self._requests, self._right
        number, keys = first, len(requests)
        while number < due and free:
            stream, slot = free.popleft(), number % keys
            stream.number, stream.began, stream.expected = number, now, right[slot]
            number += 1
            try:
                stream.send(requests[slot])
            except OSError:  # it broke while it was free: seen when it is read
                continue
        if number > first:
            self.sent = number
            self.tally.sent(first, number - first, now)
        return number - first

    def receive(self) -> int:
        """Take what came on every connection; return on how many."""
        ready = self.epoll.poll(0)
        run = self.tally.run
        run.polls += 1
        if not run.polls % _SILENT_TURNS:
            self._replace_silent(perf_counter())
        if ready:
            self._take([self._streams.by_fd[fd] for fd, _ in ready], perf_counter())
        return len(ready)

    def _take(self, ready: list[OpenStream], now: float) -> None:
        elapsed, interval, warm = now - self.tally.begin, 1 / self.plan.rate, self.plan.warm
        free, waits = self._free, []
        for stream in ready:
            try:
                data = stream.receive(READ_BYTES)
            except OSError:
                data = b""
            if data != stream.expected and not self._is_right(stream, data):
                continue
            number = stream.number
            stream.number, stream.expected = -1, None
            free.append(stream)
            if number >= warm:
                waits.append(elapsed - number * interval)
            else:
                self.tally.run.warm_answers += 1
        self.tally.right(waits, now)

    def _is_right(self, stream: OpenStream, data: bytes) -> bool:
        """Look closer at what is not, byte for byte, an answer that was found right before."""
        if not data or stream.number < 0:
            self._replace(stream)
            return False
        data, slot = stream.partial + data, stream.number % len(self._requests)
        stream.partial = data
        try:
            if not self._check(data, slot):
                return False
        except WrongAnswer as wrong:
            self.tally.run.fault(str(wrong))
            stream.number = -1
            self._replace(stream)
            return False
        stream.partial = b""
        self._right[slot] = data
        return True

    def _replace_silent(self, now: float) -> None:
        for stream in list(self._streams.all):
            if stream.number >= 0 and now - stream.began > self.plan.patience:
                self._replace(stream)

    def _replace(self, stream: OpenStream) -> None:
        """Lose what is under way on a connection, and open another; it was closed, or cannot be understood."""
        self._lose(stream)
        if stream in self._free:
            self._free.remove(stream)
        self.tally.run.reconnects += 1
        self._free.append(self._streams.replace(stream))

    def _lose(self, stream: OpenStream) -> None:
        if stream.number >= self.plan.warm:
            self.tally.lost(1)
        stream.number = -1
