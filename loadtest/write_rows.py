"""The rows of writes: over HTTP and in native sessions, and beside them the ordinary way, in turns in one run.

Nothing is pinned: workers, Postgres and generator share the machine, as they do where a node runs.  Every write is
durable when it is answered.
"""

import asyncio
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter

from rich.console import Console
from rich.table import Table

from loadtest import cpu
from loadtest.administrators import ADMIN, SETTINGS, make_token, settle
from loadtest.figures import Target
from loadtest.generator_writes import prepare_native, prepare_puts
from loadtest.run import Prepared, Run, run_apart
from loadtest.stand import (
    HOST,
    Node,
    Stand,
    free_port,
    wait_for_port,
)
from loadtest.streams import Address
from node.store.database import connect

HTTP_CONNECTIONS = 8
NATIVE_CONNECTIONS = 32
HTTP_RATE, NATIVE_RATE = 1_000, 3_000
SYNCS = 300
PAGE = 8_192
_BASIC = ADMIN.header.partition(": ")[2]
_SETTINGS = ("synchronous_commit", "fsync", "wal_sync_method", "full_page_writes")


@dataclass(frozen=True, slots=True)
class Wrote:
    """One run of a row; seconds of processor time by who spent them, and bytes of Postgres's log."""

    run: Run
    server_seconds: float
    store_seconds: float
    log_bytes: int


@dataclass(slots=True)
class WriteRow:
    """One row: how it is run once, and the runs so far."""

    name: str
    title: str
    measure: Callable[[int], Wrote]
    runs: list[Wrote] = field(default_factory=list)

    def middle(self, pick: Callable[[Wrote], float]) -> float:
        """Return the median of a figure (0.0 before the first run)."""
        return median(map(pick, self.runs)) if self.runs else 0.0

    @property
    def rate(self) -> float:
        """Writes a second, the median."""
        return self.middle(lambda one: one.run.rate)

    @property
    def wrong(self) -> int:
        """Writes that were not done, over all runs."""
        return sum(one.run.wrong for one in self.runs)

    def as_json(self) -> dict[str, object]:
        """Return the row for bench.json."""
        return {
            "name": self.name,
            "title": self.title,
            "rate_median": round(self.rate),
            "runs": [
                {
                    "writes": one.run.answers,
                    "seconds": round(one.run.seconds, 3),
                    "p50_ms": round(one.run.quantile_us(0.5) / 1e3, 2),
                    "p99_ms": round(one.run.quantile_us(0.99) / 1e3, 2),
                    "longest_ms": round(one.run.quantile_us(1) / 1e3, 2),
                    "server_us": round(1e6 * one.server_seconds / max(one.run.answers, 1), 1),
                    "store_us": round(1e6 * one.store_seconds / max(one.run.answers, 1), 1),
                    "log_bytes": one.log_bytes,
                    "wrong": one.run.wrong,
                    "faults": one.run.faults,
                }
                for one in self.runs
            ],
        }


class Writes:
    """Makes the rows on one node, which `start` has started."""

    def __init__(self, stand: Stand, node: Node, seconds: float) -> None:
        self._stand, self.node, self._seconds = stand, node, seconds
        self._plain: list[int] = []  # the baseline's processes

    @classmethod
    def start(cls, stand: Stand, seconds: float) -> "Writes":
        """Start a node as `make run` does, with a worker a core, and its administrators."""
        node = stand.start_node("writes", {"WORKERS": str(os.cpu_count()), **SETTINGS})
        settle(stand, node)
        return cls(stand, node, seconds)

    def rows(self) -> list[WriteRow]:
        """Return the rows."""
        token = f"Authorization: Bearer {make_token(self.node, ADMIN)}"
        address = self._start_plain()
        http, basic = self.node.http, ADMIN.header
        return [
            self._puts("put-basic", "PUT, Basic", http, basic),
            self._puts("put-token", "PUT, token", http, token),
            self._puts("put-key", "PUT, token, Idempotency-Key", http, token, with_keys=True),
            WriteRow("native", f"native, {NATIVE_CONNECTIONS} sessions", self._native),
            self._puts("plain-put", "plain FastAPI + asyncpg", address, basic),
            self._puts(
                "plain-put-32", "plain FastAPI + asyncpg", address, basic, NATIVE_CONNECTIONS
            ),
        ]

    def _puts(
        self,
        name: str,
        title: str,
        address: Address,
        header: str,
        connections: int = HTTP_CONNECTIONS,
        *,
        with_keys: bool = False,
    ) -> WriteRow:
        def measure(turn: int) -> Wrote:
            return self._measure(
                lambda: prepare_puts(
                    address,
                    f"{name}-{turn}",
                    header,
                    connections=connections,
                    seconds=self._seconds,
                    with_keys=with_keys,
                ),
            )

        return WriteRow(name, f"{title}, {connections} connections", measure)

    def _native(self, turn: int) -> Wrote:
        return self._measure(
            lambda: prepare_native(
                self.node.native,
                f"native-{turn}",
                connections=NATIVE_CONNECTIONS,
                seconds=self._seconds,
            )
        )

    def _measure(self, prepare: Callable[[], Prepared]) -> Wrote:
        before: list[float] = []

        def started(generator: int) -> None:
            cpu.prefer([*self._tree(), generator], self._stand.niceness)
            before.extend(self._spent())

        run = run_apart(prepare, core=None, started=started)
        after = self._spent()
        cpu.prefer(self._tree(), 0)
        server, store, written = (now - then for now, then in zip(after, before, strict=True))
        return Wrote(run, server, store, int(written))

    def _tree(self) -> list[int]:
        return cpu.tree([self.node.process.pid, *self._plain])

    def _spent(self) -> list[float]:
        """Return processor time of workers and baseline, that of the stores, and bytes of the log, so far."""
        servers, stores = [*self.node.workers(), *self._plain], cpu.tree(self.node.stores())
        (written,) = ask(self.node, "select pg_current_wal_insert_lsn() - '0/0'")
        return [
            sum(map(cpu.cpu_seconds, servers)),
            sum(map(cpu.cpu_seconds, stores)),
            float(written),
        ]

    def _start_plain(self) -> Address:
        port = free_port()
        options = ("--database", self.node.settings.database_url, "--authorization", _BASIC)
        process, log = self._stand.start_baseline(
            "plain-writes", "plain_writes", "--port", str(port), *options
        )
        wait_for_port((HOST, port), process, log)
        self._plain.append(process.pid)
        return HOST, port


def ask(node: Node, statement: str) -> list[str]:
    """Return the first row that a node's Postgres gives, as texts."""

    async def fetch() -> list[str]:
        connection = await connect(node.settings.database_url)
        try:
            return [str(each) for each in (await connection.fetch(statement))[0]]
        finally:
            await connection.close()

    return asyncio.run(fetch())


def durability(node: Node) -> list[str]:
    """Say what Postgres promises, and what a flush costs on the file system under it."""
    shown = ", ".join(f"{name} {ask(node, f'show {name}')[0]}" for name in _SETTINGS)
    times = sorted(_sync_times(node.settings.data_dir))
    p50, p99 = times[len(times) // 2], times[len(times) * 99 // 100]
    return [
        f"Postgres: {shown}.",
        f"fdatasync of {PAGE} bytes in the data directory: p50 {1e3 * p50:.2f} ms, p99 {1e3 * p99:.2f} ms.",
    ]


def _sync_times(directory: Path) -> list[float]:
    with tempfile.TemporaryFile(dir=directory) as file:
        file.write(bytes(PAGE * SYNCS))
        file.flush()
        os.fsync(file.fileno())
        times = []
        for number in range(SYNCS):
            os.pwrite(file.fileno(), b"x" * PAGE, number * PAGE)
            began = perf_counter()
            os.fdatasync(file.fileno())
            times.append(perf_counter() - began)
    return times


def write_targets(rows: Sequence[WriteRow]) -> list[Target]:
    """Return the targets of the rows."""
    rates = {row.name: row.rate for row in rows}
    return [
        Target(
            "PUT over HTTP, Basic, 8 connections, writes/s", rates.get("put-basic", 0.0), HTTP_RATE
        ),
        Target(
            "PUT over HTTP, token, 8 connections, writes/s", rates.get("put-token", 0.0), HTTP_RATE
        ),
        Target("Native, 32 sessions, writes/s", rates.get("native", 0.0), NATIVE_RATE),
    ]


def print_writes(console: Console, rows: Sequence[WriteRow]) -> None:
    """Print one line a row: medians."""
    table = Table(
        title="Writes, each durable when answered; worker, Postgres and generator share the cores"
    )
    table.add_column("scenario", no_wrap=True)
    for heading in (
        "writes/s",
        "p50 ms",
        "p99 ms",
        "longest ms",
        "worker µs",
        "Postgres µs",
        "log bytes",
    ):
        table.add_column(heading, justify="right")
    for row in rows:
        if row.runs:
            table.add_row(row.title, *_cells(row))
    console.print(table)


def _cells(row: WriteRow) -> list[str]:
    middle = row.middle
    return [
        f"{row.rate:,.0f}",
        f"{middle(lambda one: one.run.quantile_us(0.5) / 1e3):.1f}",
        f"{middle(lambda one: one.run.quantile_us(0.99) / 1e3):.1f}",
        f"{middle(lambda one: one.run.quantile_us(1) / 1e3):.0f}",
        f"{middle(lambda one: 1e6 * one.server_seconds / max(one.run.answers, 1)):.0f}",
        f"{middle(lambda one: 1e6 * one.store_seconds / max(one.run.answers, 1)):.0f}",
        f"{middle(lambda one: one.log_bytes / max(one.run.answers, 1)):.0f}",
    ]
