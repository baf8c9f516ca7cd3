"""What is counted, and the one place where an answer is counted.

Every series of the resolver is a cell in one flat array of unsigned 64-bit integers.  The node gives each worker an
array in a mapped file, so that nothing is lost when a worker is killed and any process can sum them; a test gives a
list.  Cells are numbered once, at import; front ends look theirs up beforehand and pay two additions an answer.
"""

from collections.abc import Sequence
from enum import StrEnum
from itertools import product
from typing import Protocol as Interface

from resolver.answer import Status, Tier
from resolver.identifier import Scheme


class Protocol(StrEnum):
    """How the question came."""

    HTTP_JSON = "http_json"
    HTTP_PAGE = "http_page"
    UDP = "udp"
    TCP = "tcp"
    NATIVE_HTTP = "native_http"
    BATCH = "batch"  # one item of many in one request


class Event(StrEnum):
    """Things that happen and are not answers; each is a counter."""

    UDP_RUNT = "udp_runt"
    UDP_UNREADABLE = "udp_unreadable"
    UDP_TOO_LONG = "udp_too_long"
    UDP_RATE_LIMITED = "udp_rate_limited"
    OVERLOADED = "overloaded"
    TCP_UNREADABLE = "tcp_unreadable"
    IDLE_CLOSED = "idle_closed"
    CONNECTION_REFUSED = "connection_refused"
    REQUEST_TIMEOUT_CLOSED = "request_timeout_closed"
    CACHE_INVALIDATED = "cache_invalidated"
    REDIS_ERROR = "redis_error"
    POSTGRES_ERROR = "postgres_error"
    FEED_ERROR = "feed_error"
    REPLICA_ERROR = "replica_error"
    REPLICA_TOO_OLD = "replica_too_old"
    LOGIN_FAILED = "login_failed"
    LOGIN_REFUSED = "login_refused"
    WRITTEN = "written"
    WRITE_REFUSED = "write_refused"
    WRITE_FAILED = "write_failed"
    HEAD_COSIGNED = "head_cosigned"
    WITNESS_FAILED = "witness_failed"
    WITNESS_REFUSED = "witness_refused"
    LEDGER_UNCOUNTED = "ledger_uncounted"
    LEDGER_SYNC_FAILED = "ledger_sync_failed"
    LEDGER_OPEN_FAILED = "ledger_open_failed"
    LEDGER_CLOCK_STEPPED = "ledger_clock_stepped"


class Gauge(StrEnum):
    """Levels of one worker; the newest value stands."""

    HOT_ENTRIES = "hot_entries"
    HOT_BYTES = "hot_bytes"
    MEMORY_ENTRIES = "memory_entries"
    MEMORY_BYTES = "memory_bytes"
    CONNECTIONS = "connections"
    POOL_SIZE = "pool_size"
    POOL_IDLE = "pool_idle"
    FEED_SERIAL = "feed_serial"
    FEED_READ_AT = "feed_read_at"  # epoch seconds of the last successful read of the change feed
    REDIS_UP = "redis_up"
    REPLICA_STATE = "replica_state"
    REPLICA_BEHIND = "replica_behind"
    STARTED_AT = "started_at"
    CAMPAIGN = "campaign"  # number of the newest load test that the worker goes by


_FINEST_BITS = 12
LATENCY_BOUNDS_NS = tuple(2**bits for bits in range(_FINEST_BITS, 31))
"""Upper bounds of the latency buckets, 4.1 µs to 1.07 s: powers of two, so that finding one costs next to nothing."""

PROTOCOLS, SCHEMES, STATUSES, TIERS = tuple(Protocol), tuple(Scheme), tuple(Status), tuple(Tier)
RESOLUTIONS = tuple(product(PROTOCOLS, SCHEMES, STATUSES, TIERS))  # position = cell number

_PER_PROTOCOL = len(RESOLUTIONS) // len(PROTOCOLS)
_BUCKETS = (
    64 - _FINEST_BITS
)  # no 64-bit time falls outside; those above the last bound are shown as one
_ROW = _BUCKETS + 1  # and the sum
LATENCY_BASE = len(RESOLUTIONS)
_REGISTRATION_BASE = LATENCY_BASE + _ROW * len(
    PROTOCOLS
)  # registrations are timed in a row of their own
EVENT_BASE = _REGISTRATION_BASE + _ROW
GAUGE_BASE = EVENT_BASE + len(Event)
CELL_COUNT = GAUGE_BASE + len(Gauge)

_CELLS = {labels: position for position, labels in enumerate(RESOLUTIONS)}
_LATENCY_ROW = tuple(
    LATENCY_BASE + _ROW * (cell // _PER_PROTOCOL) for cell in range(len(RESOLUTIONS))
)
_EVENTS = {event: EVENT_BASE + position for position, event in enumerate(Event)}
_GAUGES = {gauge: GAUGE_BASE + position for position, gauge in enumerate(Gauge)}


def cell(protocol: Protocol, scheme: Scheme, status: Status, tier: Tier) -> int:
    """Return the cell that counts these resolutions."""
    return _CELLS[(protocol, scheme, status, tier)]


def shift(one: Protocol, other: Protocol) -> int:
    """Return what to add to a cell of one protocol to get that of the other with the same labels."""
    return (PROTOCOLS.index(other) - PROTOCOLS.index(one)) * _PER_PROTOCOL


def latency_row(protocol: Protocol) -> tuple[range, int]:
    """Return the cells of a protocol's latency buckets (more than there are bounds), and that of the sum in ns."""
    base = LATENCY_BASE + _ROW * PROTOCOLS.index(protocol)
    return range(base, base + _BUCKETS), base + _BUCKETS


def registration_row() -> tuple[range, int]:
    """Return the cells of registrations' latency buckets, as `latency_row`, and that of the sum in ns."""
    base = _REGISTRATION_BASE
    return range(base, base + _BUCKETS), base + _BUCKETS


def bucket_bounds(bucket: int) -> tuple[int, int]:
    """Return the nanoseconds that fall into the nth bucket of a latency row: from the first, below the second."""
    return (1 << _FINEST_BITS + bucket - 1 if bucket else 0), 1 << _FINEST_BITS + bucket


def event_cell(event: Event) -> int:
    """Return the cell that counts an event."""
    return _EVENTS[event]


def gauge_cell(gauge: Gauge) -> int:
    """Return the cell that holds a level."""
    return _GAUGES[gauge]


class Cells(Interface):
    """An array of counters: a list, or a mapped file seen as 64-bit integers."""

    def __getitem__(self, position: int, /) -> int: ...

    def __setitem__(self, position: int, value: int, /) -> None: ...


class Tally:
    """Counts into one array of cells; a worker owns one, and nobody else writes to its array."""

    __slots__ = ("cells",)

    def __init__(self, cells: Cells) -> None:
        self.cells = cells

    def answered(self, resolution: int, elapsed_ns: int) -> None:
        """Count one answered resolution: the cell from `cell()`, and the time it took in nanoseconds."""
        cells = self.cells
        cells[resolution] += 1
        row = _LATENCY_ROW[resolution]
        cells[row + (elapsed_ns >> _FINEST_BITS).bit_length()] += 1
        cells[row + _BUCKETS] += elapsed_ns

    def counted(self, resolutions: Sequence[int]) -> None:
        """Count answers that are about to be sent together; `took` follows."""
        cells = self.cells
        for resolution in set(resolutions):
            cells[resolution] += resolutions.count(resolution)

    def took(self, resolution: int, elapsed_ns: int, times: int = 1) -> None:
        """Tell what so many answers of one protocol took, in nanoseconds each; `resolution` is the cell of one."""
        cells, row = self.cells, _LATENCY_ROW[resolution]
        cells[row + (elapsed_ns >> _FINEST_BITS).bit_length()] += times
        cells[row + _BUCKETS] += elapsed_ns * times

    def registered(self, elapsed_ns: int) -> None:
        """Tell how long a registration took, from the request to the commit, in nanoseconds."""
        cells, row = self.cells, _REGISTRATION_BASE
        cells[row + (elapsed_ns >> _FINEST_BITS).bit_length()] += 1
        cells[row + _BUCKETS] += elapsed_ns

    def happened(self, event: Event, times: int = 1) -> None:
        """Count an event."""
        self.cells[_EVENTS[event]] += times

    def level(self, gauge: Gauge, value: int) -> None:
        """Set a level."""
        self.cells[_GAUGES[gauge]] = value
