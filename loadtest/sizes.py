"""What does not fit the table: loading, and memory an answer."""

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from statistics import fmean
from time import perf_counter

from loadtest import cpu
from loadtest.exchange import http_request, native_request
from loadtest.learn import ask_http, ask_native, draw
from loadtest.scenarios import database_of
from loadtest.stand import Node, Stand, StandError, clean_environment

SMALL, LARGE = 10_000, 1_000_000
SEEN_SECONDS = 30.0
LOAD_RATE = 30_000
BYTES_AN_ANSWER = 1_536
FIRST_KEYS = 5_000  # asked before memory is measured: what is made once, and fits what the start has left, is not it


@dataclass(frozen=True, slots=True)
class Loaded:
    """A load: how many records, and in how many seconds, the start of the command included.

    `command_seconds` and `store_seconds` are the processor time of the command and of Postgres.
    """

    records: int
    seconds: float
    command_seconds: float
    store_seconds: float

    @property
    def rate(self) -> float:
        """Records a second."""
        return self.records / self.seconds

    def as_json(self) -> dict[str, object]:
        """Return it for bench.json."""
        return {
            "records": self.records,
            "seconds": round(self.seconds, 2),
            "rate": round(self.rate),
            "command_cpu_seconds": round(self.command_seconds, 2),
            "store_cpu_seconds": round(self.store_seconds, 2),
        }

    def __str__(self) -> str:
        command, store = (
            1e6 * part / self.records for part in (self.command_seconds, self.store_seconds)
        )
        return (
            f"{self.records:,} records loaded in {self.seconds:.1f} s: {self.rate:,.0f}/s; "
            f"processor time a record {command:.1f} µs of the command, {store:.1f} µs of Postgres"
        )


def make_corpus(directory: Path, records: int) -> Path:
    """Write a corpus of so many lines (seed 1) and return its path."""
    path = directory / f"corpus-{records}.ndjson"
    if not path.exists():
        command = [
            sys.executable,
            "-m",
            "loadtest.corpus",
            "--records",
            str(records),
            "--seed",
            "1",
            "--out",
            str(path),
        ]
        subprocess.run(command, check=True)
    return path


ALL_SEEN_SECONDS = 1.0  # one worker has answered; in this time all have seen what was loaded


def load_corpus(node: Node, corpus: Path, records: int, *, waiting_for: bytes = b"") -> Loaded:
    """Load a corpus with `idnode load`, and wait until the node answers a handle of it.  Raises StandError."""
    environment = clean_environment(
        {"DATABASE_URL": node.settings.database_url, "DATA_DIR": str(node.settings.data_dir)}
    )
    command = [sys.executable, "-m", "node", "load", str(corpus)]
    began, spent, stored = perf_counter(), _children_seconds(), _store_seconds(node)
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, cwd=corpus.parent
    )
    if done.returncode:
        raise StandError(f"{command} failed: {done.stdout[-1000:]} {done.stderr[-2000:]}")
    loaded = Loaded(
        records,
        seconds=perf_counter() - began,
        command_seconds=_children_seconds() - spent,
        store_seconds=_store_seconds(node) - stored,
    )
    _wait_for(node, waiting_for or draw(corpus, 1).handles[0])
    time.sleep(ALL_SEEN_SECONDS)
    return loaded


def _children_seconds() -> float:
    """Return the processor time of all children that have ended, and theirs."""
    usage = getrusage(RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _store_seconds(node: Node) -> float:
    """Return the processor time of the stores, ended backends included."""
    return sum(cpu.cpu_seconds_with_children(pid) for pid in node.stores())


def _wait_for(node: Node, handle: bytes) -> None:
    deadline = time.monotonic() + SEEN_SECONDS
    answer = b""
    while time.monotonic() < deadline:
        answer = ask_native(node.native, [native_request(handle)])[0]
        if answer[27] == 1:
            return
        time.sleep(0.1)
    raise StandError(
        f"{handle!r} was loaded, but is not answered after {SEEN_SECONDS:.0f} s: {answer.hex()}"
    )


@dataclass(frozen=True, slots=True)
class Weight:
    """Memory of a worker that `answers` different answers added, in bytes."""

    title: str
    answers: int
    before: int
    after: int
    answer_bytes: float  # mean length of an answer: the message, or the HTTP body

    @property
    def bytes_each(self) -> float:
        """Resident bytes an answer."""
        return (self.after - self.before) / self.answers

    def as_json(self) -> dict[str, object]:
        """Return it for bench.json."""
        return {
            "what": self.title,
            "answers": self.answers,
            "rss_before": self.before,
            "rss_after": self.after,
            "bytes_each": round(self.bytes_each),
            "answer_bytes": round(self.answer_bytes),
        }


def weigh(stand: Stand, first: Node, corpus: Path, answers: int) -> list[Weight]:
    """Ask a fresh node on the same stores so many handles once natively, and another over HTTP; compare memory."""
    handles = draw(corpus, answers).handles
    found = []
    for name, ask in (("native", _ask_natively), ("HTTP", _ask_over_http)):
        settings = first.settings
        redis_url = database_of(settings.redis_url, 3)
        stores = {"DATABASE_URL": settings.database_url, "REDIS_URL": redis_url}
        fresh = stand.start_node(f"weigh-{name}", stores)
        worker = fresh.workers()[0]
        ask(fresh, handles[:FIRST_KEYS])
        before = cpu.rss_bytes(worker)
        length = ask(fresh, handles[FIRST_KEYS:])
        found.append(
            Weight(
                f"{name} answer", len(handles) - FIRST_KEYS, before, cpu.rss_bytes(worker), length
            )
        )
        stand.stop(fresh)
    return found


def _ask_natively(fresh: Node, handles: Sequence[bytes]) -> float:
    """Ask, and return the mean length of the answers."""
    answers = ask_native(fresh.native, [native_request(handle) for handle in handles])
    return fmean(map(len, answers))


def _ask_over_http(fresh: Node, handles: Sequence[bytes]) -> float:
    host = f"{fresh.http[0]}:{fresh.http[1]}"
    return fmean(map(len, ask_http(fresh.http, [http_request(handle, host) for handle in handles])))
