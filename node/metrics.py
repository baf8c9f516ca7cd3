"""Every Prometheus series, declared once; the numbers are read from the counters of all slots when somebody asks.

Counting costs a worker two additions; the sums are made here, in the keeper.  A worker that was killed leaves its
counts in its file, so a counter never goes backwards while the node runs.
"""

import os
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from itertools import accumulate
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from node.counters import Counters
from resolver.observe import (
    LATENCY_BOUNDS_NS,
    PROTOCOLS,
    RESOLUTIONS,
    Event,
    Gauge,
    event_cell,
    gauge_cell,
    latency_row,
    registration_row,
)
from sync.channels.tables import TABLES

CONTENT_TYPE = CONTENT_TYPE_LATEST

GAUGES = {
    Gauge.HOT_ENTRIES: ("idnode_hot_entries", "Ready replies in memory."),
    Gauge.HOT_BYTES: ("idnode_hot_bytes", "Bytes of ready replies in memory."),
    Gauge.MEMORY_ENTRIES: ("idnode_memory_entries", "Records in memory."),
    Gauge.MEMORY_BYTES: ("idnode_memory_bytes", "Bytes of records in memory."),
    Gauge.CONNECTIONS: ("idnode_connections", "Open HTTP and TCP connections."),
    Gauge.POOL_SIZE: ("idnode_database_connections", "Open connections to Postgres."),
    Gauge.POOL_IDLE: ("idnode_database_connections_idle", "Of these, the idle ones."),
    Gauge.FEED_SERIAL: ("idnode_feed_serial", "Newest change that the worker has seen."),
    Gauge.FEED_READ_AT: (
        "idnode_feed_read_timestamp_seconds",
        "When the change feed was last read, in epoch seconds; 0 before the first time.",
    ),
    Gauge.REDIS_UP: ("idnode_redis_up", "1 while Redis answers the worker, else 0."),
    Gauge.REPLICA_STATE: (
        "idnode_replica_state",
        "The read replica: 0 none, 1 in use; left out: 2 away, 3 far behind, 4 promoted, 5 of another history.",
    ),
    Gauge.REPLICA_BEHIND: (
        "idnode_replica_behind",
        "Changes that the worker has seen and the read replica has not.",
    ),
    Gauge.STARTED_AT: (
        "idnode_worker_start_timestamp_seconds",
        "When the worker was started, in epoch seconds.",
    ),
    Gauge.CAMPAIGN: (
        "idnode_campaign",
        "Number of the newest load test that the worker has heard of, whether it is open, over or not begun; "
        "0 before the first.",
    ),
}


class IndexLevels(NamedTuple):
    """How far the index of reverse look-up is: changes not taken in yet, and whether it is being made."""

    behind: int = 0
    is_incomplete: bool = False


class WitnessLevels(NamedTuple):
    """How far witnesses have cosigned the log: leaves, when a quorum did so last (epoch seconds), and who refuses."""

    size: int = 0
    met_at: float = 0.0
    refusals: int = 0


class LogLevels(NamedTuple):
    """How the log of the ledger stands: leaves published, when (epoch seconds), how many are not yet, whether it has
    been stopped until a person looks, and by worker how many answers are counted here and not there.
    """

    size: int = 0
    published_at: float = 0.0
    behind: int = 0
    is_stopped: bool = False
    apart: Mapping[int, int] = MappingProxyType({})


class TableLevels(NamedTuple):
    """What the top-level node has not acknowledged of a table: how old the oldest change is (seconds), how many there
    are, and how many rows it did not take."""

    lag_seconds: float = 0.0
    pending: int = 0
    rejected: int = 0


class SyncLevels(NamedTuple):
    """How the sync with the top-level node stands; times are epoch seconds, 0 for never, or without such a node."""

    tables: Mapping[str, TableLevels] = MappingProxyType({})
    acknowledged_serial: int = 0
    acknowledged_at: float = 0.0
    answered_at: float = 0.0
    verified_at: float = 0.0
    certificate_end: float = 0.0
    failures: int = 0
    clock_skew_seconds: float = 0.0
    is_sending: bool = False


def exposition(
    readers: Sequence[Counters],
    index: IndexLevels | None = None,
    keeper: Counters | None = None,
    witnesses: WitnessLevels | None = None,
    ledger: LogLevels | None = None,
    sync: SyncLevels | None = None,
) -> bytes:
    """Return all series in the text form (CONTENT_TYPE); `readers` are the counters of every lane, in order.

    Of the `keeper` only what happened is counted: it answers no resolutions.
    """
    registry = CollectorRegistry(auto_describe=False)
    levels = _Levels(
        index or IndexLevels(),
        witnesses or WitnessLevels(),
        ledger or LogLevels(),
        sync or SyncLevels(),
    )
    registry.register(_Node(readers, levels, keeper))
    return generate_latest(registry)


class _Levels(NamedTuple):
    reverse: IndexLevels
    witnesses: WitnessLevels
    ledger: LogLevels
    sync: SyncLevels


class _Node(Collector):
    def __init__(
        self, readers: Sequence[Counters], levels: _Levels, keeper: Counters | None
    ) -> None:
        self._readers = readers
        self._counting = [*readers, *([] if keeper is None else [keeper])]
        self._of_keeper = levels

    def collect(self) -> Iterable[Metric]:
        """Return every family of series, summed over the slots or by worker."""
        sums = [sum(column) for column in zip(*(each.cells for each in self._readers), strict=True)]
        yield _resolutions(sums)
        yield _latency(sums)
        yield _registration([each.cells for each in self._counting])
        yield _events([each.cells for each in self._counting])
        yield from self._levels()
        yield from _index(self._of_keeper.reverse)
        yield from _witnesses(self._of_keeper.witnesses)
        yield from _ledger(self._of_keeper.ledger)
        yield _apart(self._of_keeper.ledger.apart, len(self._readers))
        yield from _sync(self._of_keeper.sync)
        yield from _sync_tables(self._of_keeper.sync.tables)
        yield self._starts()
        yield from _processes(
            {f"worker-{lane}": each.process_id for lane, each in self._occupied()}
            | {"keeper": os.getpid()}
        )
        yield _build()

    def _levels(self) -> Iterator[Metric]:
        for gauge, (name, sentence) in GAUGES.items():
            family = GaugeMetricFamily(name, sentence, labels=["worker"])
            for lane, each in self._occupied():
                family.add_metric([str(lane)], each.cells[gauge_cell(gauge)])
            yield family

    def _occupied(self) -> list[tuple[int, Counters]]:
        """The lanes that a worker belongs to now, with their numbers."""
        return [(lane, each) for lane, each in enumerate(self._readers) if not each.is_vacant]

    def _starts(self) -> Metric:
        family = CounterMetricFamily(
            "idnode_worker_starts",
            "Times a worker was started; 1 until one ends or is replaced.",
            labels=["worker"],
        )
        for lane, each in enumerate(self._readers):
            if each.starts or not each.is_vacant:
                family.add_metric([str(lane)], each.starts)
        return family


def _resolutions(sums: Sequence[int]) -> Metric:
    family = CounterMetricFamily(
        "idnode_resolutions",
        "Resolutions answered, by how they came, what was asked, what was decided, and where from.",
        labels=["protocol", "scheme", "outcome", "tier"],
    )
    for (protocol, scheme, status, tier), count in zip(RESOLUTIONS, sums, strict=False):
        if count:  # most of the thousand combinations never happen
            family.add_metric([protocol.value, scheme.value, status.value, tier.value], count)
    return family


def _latency(sums: Sequence[int]) -> Metric:
    family = HistogramMetricFamily(
        "idnode_resolution_seconds",
        "Time from the request's last byte to its answer, in seconds.",
        labels=["protocol"],
    )
    for protocol in PROTOCOLS:
        cells, total = latency_row(protocol)
        buckets = _buckets([sums[cell] for cell in cells])
        family.add_metric([protocol.value], buckets=buckets, sum_value=sums[total] / 1e9)
    return family


def _registration(counting: Sequence[Sequence[int]]) -> Metric:
    cells, total = registration_row()
    return HistogramMetricFamily(
        "idnode_registration_seconds",
        "Time from a request that creates a record to its commit, in seconds.",
        buckets=_buckets([sum(each[cell] for each in counting) for cell in cells]),
        sum_value=sum(each[total] for each in counting) / 1e9,
    )


def _buckets(counts: Sequence[int]) -> list[tuple[str, float]]:
    bounds = [str(bound / 1e9) for bound in LATENCY_BOUNDS_NS]
    buckets = [(bound, float(n)) for bound, n in zip(bounds, accumulate(counts), strict=False)]
    return [*buckets, ("+Inf", float(sum(counts)))]


def _events(counting: Sequence[Sequence[int]]) -> Metric:
    family = CounterMetricFamily(
        "idnode_events", "What happened besides answers.", labels=["event"]
    )
    for event in Event:
        family.add_metric([event.value], sum(cells[event_cell(event)] for cells in counting))
    return family


def _index(levels: IndexLevels) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "idnode_reverse_behind",
        "Changes that reverse look-up does not know yet.",
        value=levels.behind,
    )
    yield GaugeMetricFamily(
        "idnode_reverse_incomplete",
        "1 while the index of reverse look-up is being made, and look-ups are refused; else 0.",
        value=int(levels.is_incomplete),
    )


def _witnesses(levels: WitnessLevels) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "idnode_ledger_cosigned_leaves",
        "Leaves of the newest head of the log that a quorum of witnesses cosigned.",
        value=levels.size,
    )
    yield GaugeMetricFamily(
        "idnode_ledger_cosigned_timestamp_seconds",
        "When a quorum last cosigned a head, in epoch seconds; before the first time, the start; 0 without a log.",
        value=levels.met_at,
    )
    yield GaugeMetricFamily(
        "idnode_ledger_refusals",
        "Refusals of witnesses that nobody has looked at; the log stands still while there is one.",
        value=levels.refusals,
    )


def _ledger(levels: LogLevels) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "idnode_ledger_leaves", "Leaves of the log that are published.", value=levels.size
    )
    yield GaugeMetricFamily(
        "idnode_ledger_published_timestamp_seconds",
        "When the newest checkpoint was published, in epoch seconds; 0 before the first.",
        value=levels.published_at,
    )
    yield GaugeMetricFamily(
        "idnode_ledger_behind", "Leaves that no checkpoint has yet.", value=levels.behind
    )
    yield GaugeMetricFamily(
        "idnode_ledger_stopped",
        "1 while the log is not written until a person looks, else 0.",
        value=int(levels.is_stopped),
    )


def _apart(apart: Mapping[int, int], slots: int) -> Metric:
    family = GaugeMetricFamily(
        "idnode_ledger_difference",
        "Answers of the epoch of the worker's lane that are counted here and not in the ledger; below 0: the reverse.",
        labels=["worker"],
    )
    for slot in range(slots):
        family.add_metric([str(slot)], apart.get(slot, 0))
    return family


_SYNC_GAUGES = (
    ("acknowledged_serial", "Newest change that the top-level node has acknowledged."),
    (
        "acknowledged_timestamp_seconds",
        "When the top-level node last acknowledged changes, in epoch seconds; 0 before the first time.",
    ),
    (
        "answered_timestamp_seconds",
        "When the top-level node last answered, in epoch seconds; 0 before the first time.",
    ),
    (
        "verified_timestamp_seconds",
        "When all rows were last compared with the top-level node's, in epoch seconds; 0 before the first time.",
    ),
    (
        "certificate_end_timestamp_seconds",
        "When the certificate that is shown to the top-level node expires, in epoch seconds; 0 without one.",
    ),
    ("failures", "Tries to reach the top-level node that failed in a row."),
    ("clock_skew_seconds", "How far the top-level node's clock is ahead of ours, in seconds."),
    ("sending", "1 while this instance speaks with the top-level node, else 0."),
)


def _sync(levels: SyncLevels) -> Iterator[Metric]:
    values = levels[1:]
    for (name, sentence), value in zip(_SYNC_GAUGES, values, strict=True):
        yield GaugeMetricFamily(f"idnode_sync_{name}", sentence, value=float(value))


_SYNC_TABLE_GAUGES = (
    (
        "lag_seconds",
        "Age of the oldest change of the table that the top-level node has not acknowledged; 0: none waits.",
    ),
    ("pending", "Changes of the table that the top-level node has not acknowledged."),
    ("rejected", "Rows of the table that the top-level node did not take."),
)


def _sync_tables(tables: Mapping[str, TableLevels]) -> Iterator[Metric]:
    for place, (name, sentence) in enumerate(_SYNC_TABLE_GAUGES):
        family = GaugeMetricFamily(f"idnode_sync_{name}", sentence, labels=["table"])
        for table in TABLES:
            family.add_metric([table], float(tables.get(table, TableLevels())[place]))
        yield family


def _processes(process_ids: dict[str, int]) -> Iterator[Metric]:
    labels = ["process"]
    cpu = CounterMetricFamily("idnode_process_cpu_seconds", "CPU time used.", labels=labels)
    memory = GaugeMetricFamily("idnode_process_resident_bytes", "Memory in use.", labels=labels)
    for name, process_id in process_ids.items():
        used = _usage(process_id)
        if used is not None:
            cpu.add_metric([name], used[0])
            memory.add_metric([name], used[1])
    yield cpu
    yield memory


def _usage(process_id: int) -> tuple[float, int] | None:
    """Return CPU seconds and resident bytes of a process, or None when it is gone or /proc is missing."""
    try:
        line = Path(f"/proc/{process_id}/stat").read_bytes()
    except OSError:
        return None
    after_name = line.rpartition(b")")[2].split()  # field 3 of proc(5) onwards
    ticks = int(after_name[11]) + int(after_name[12])
    return ticks / os.sysconf("SC_CLK_TCK"), int(after_name[21]) * os.sysconf("SC_PAGE_SIZE")


def _build() -> Metric:
    family = GaugeMetricFamily(
        "idnode_build_info", "Always 1; the labels say what runs.", labels=["version", "python"]
    )
    family.add_metric([version("idnode"), platform.python_version()], 1)
    return family
