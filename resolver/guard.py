"""Guard: what one source may take of a worker; connections in all and per source, idle time, UDP answers a second.

A source is a customer network: an IPv4 address, or the /64 that an IPv6 address is of.
One per worker, shared by its front ends.  Time comes in as `time.perf_counter_ns`.  UDP source addresses can be forged,
so the limit protects whoever is behind the address as much as us; what is refused is dropped and counted, and an honest
client comes back over TCP.
"""

from typing import Protocol

from resolver.observe import Event, Gauge, Tally
from resolver.tries import source_of

_NS = 1_000_000_000


class Connection(Protocol):
    """What the guard needs of an open connection."""

    last_used_ns: int
    request_began_ns: int  # when the first byte of an unfinished request came; 0 when there is none
    unread_since_ns: int  # since when the client has not read what was written; 0 when it reads

    def is_held(self) -> bool:
        """True while we do not read from it, because it has asked enough for now."""
        ...

    def is_answering(self) -> bool:
        """True while an answer is being made or written."""
        ...

    def close_idle(self) -> None:
        """Close: nothing came in time."""
        ...


class Guard:
    """Counts connections and UDP answers, and sweeps what idles."""

    def __init__(
        self,
        tally: Tally,
        *,
        connections_max: int,
        connections_per_source: int,
        request_seconds: int,
        idle_seconds: int,
        udp_answers_per_second: int,
        udp_answers_burst: int,
    ) -> None:
        """`udp_answers_per_second` 0 lifts the limit; `request_seconds` is how long a request may take to arrive."""
        self._tally = tally
        self._connections: dict[Connection, str] = {}
        self._per_source: dict[str, int] = {}
        self._max = connections_max
        self._max_per_source = connections_per_source
        self._request_ns = request_seconds * _NS
        self._idle_ns = idle_seconds * _NS
        self._udp_rate = udp_answers_per_second
        burst = max(udp_answers_burst, udp_answers_per_second)
        self.udp_burst = burst if udp_answers_per_second else 2**62
        self.udp_spent: dict[str, int] = {}  # by `network_of`

    def admit(self, connection: Connection, address: str) -> bool:
        """Take in a new connection, or say that there are too many; a refused one is counted."""
        source = network_of(address)
        mine = self._per_source.get(source, 0)
        if len(self._connections) >= self._max or mine >= self._max_per_source:
            self._tally.happened(Event.CONNECTION_REFUSED)
            return False
        self._per_source[source] = mine + 1
        self._connections[connection] = source
        self._tally.level(Gauge.CONNECTIONS, len(self._connections))
        return True

    def release(self, connection: Connection) -> None:
        """Forget a connection that is gone; harmless for one that was refused."""
        source = self._connections.pop(connection, None)
        if source is None:
            return
        left = self._per_source[source] - 1
        if left:
            self._per_source[source] = left
        else:
            del self._per_source[source]
        self._tally.level(Gauge.CONNECTIONS, len(self._connections))

    @property
    def connections(self) -> tuple[Connection, ...]:
        """The connections that are open."""
        return tuple(self._connections)

    def is_busy(self) -> bool:
        """True while an answer is being made or written on some connection."""
        return any(connection.is_answering() for connection in self._connections)

    def allow_datagrams(self, address: str, count: int) -> bool:
        """True when who is behind this address may have so many more UDP answers now; they are charged."""
        source = network_of(address)
        spent = self.udp_spent.get(source, 0)
        if spent >= self.udp_burst:
            self._tally.happened(Event.UDP_RATE_LIMITED)
            return False
        self.udp_spent[source] = spent + count
        return True

    def tick(self) -> None:
        """Once a second: give every source its rate back."""
        rate = self._udp_rate
        spent = {source: used - rate for source, used in self.udp_spent.items() if used > rate}
        self.udp_spent.clear()
        self.udp_spent.update(spent if rate else {})

    def sweep(self, now_ns: int) -> None:
        """Close the connections that have been silent, slow, or deaf for too long."""
        for connection in list(self._connections):
            event = self._fault_of(connection, now_ns)
            if event is not None:
                self._tally.happened(event)
                connection.close_idle()

    def end(self) -> None:
        """Close what is still open when the worker stops: what came in now could not be answered any more."""
        for connection in list(self._connections):
            connection.close_idle()

    def _fault_of(self, connection: Connection, now_ns: int) -> Event | None:
        unread, began = connection.unread_since_ns, connection.request_began_ns
        if unread and now_ns - unread > self._idle_ns:
            return Event.IDLE_CLOSED
        if began and not connection.is_held():
            return Event.REQUEST_TIMEOUT_CLOSED if now_ns - began > self._request_ns else None
        if connection.is_answering() or now_ns - connection.last_used_ns <= self._idle_ns:
            return None
        return Event.IDLE_CLOSED


def network_of(address: str) -> str:
    """Return the source that an address counts as; of IPv4 the address itself, at no cost."""
    return source_of(address) if ":" in address else address
