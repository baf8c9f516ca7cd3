"""A bulk job, and single writes beside it: how fast the one is, and how long the longest of the others waits."""

import json
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from time import monotonic, perf_counter, sleep

from loadtest import cpu
from loadtest.administrators import ADMIN, HOME
from loadtest.figures import Target
from loadtest.generator_writes import TEXT
from loadtest.stand import Node, StandError

BULK_RATE = 20_000
LONGEST_MS = 300
WRITERS = 2
PAUSE_SECONDS = 0.01  # between two single writes of one writer
JOB_SECONDS = 600.0
_ENDED = ("done", "failed", "cancelled")


@dataclass(slots=True)
class Beside:
    """What came of it; `rate` as the job says it, `waits` of the single writes in seconds."""

    rows: int
    seconds: float
    rate: float
    waits: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def longest_ms(self) -> float:
        """How long the longest single write waited."""
        return 1e3 * max(self.waits, default=0.0)

    def as_json(self) -> dict[str, object]:
        """Return it for bench.json."""
        return {
            "rows": self.rows,
            "seconds": round(self.seconds, 2),
            "rate": round(self.rate),
            "single_writes": len(self.waits),
            "single_p50_ms": round(self._quantile_ms(0.5), 1),
            "single_p99_ms": round(self._quantile_ms(0.99), 1),
            "single_longest_ms": round(self.longest_ms, 1),
            "faults": self.faults[:5],
        }

    def _quantile_ms(self, share: float) -> float:
        ordered = sorted(self.waits) or [0.0]
        return 1e3 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def __str__(self) -> str:
        p50, p99 = self._quantile_ms(0.5), self._quantile_ms(0.99)
        return (
            f"Bulk job of {self.rows:,} records: {self.rate:,.0f}/s ({self.seconds:.1f} s with its hand-in); beside it "
            f"{len(self.waits)} single writes, p50 {p50:.1f} ms, p99 {p99:.1f} ms, the longest {self.longest_ms:.0f} ms"
        )


def run_bulk(node: Node, corpus: Path, rows: int, niceness: int = 0) -> Beside:
    """Hand a corpus in as a job while others write; `niceness` is of the node and of those, meanwhile.

    Raises StandError when it does not end well.
    """
    if not niceness:
        return _run_bulk(node, corpus, rows)
    before = os.getpriority(os.PRIO_PROCESS, 0)
    cpu.prefer([*cpu.tree([node.process.pid]), os.getpid()], niceness)
    try:
        return _run_bulk(node, corpus, rows)
    finally:
        cpu.prefer(cpu.tree([node.process.pid]), 0)
        cpu.prefer([os.getpid()], before)


def _run_bulk(node: Node, corpus: Path, rows: int) -> Beside:
    token = (node.settings.data_dir / "operator-token").read_text("ascii").strip()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/x-ndjson"}
    found, stop = Beside(rows, 0.0, 0.0), threading.Event()
    writers = [
        threading.Thread(target=_write_on, args=(node, number, stop, found), daemon=True)
        for number in range(WRITERS)
    ]
    for writer in writers:
        writer.start()
    began = perf_counter()
    with corpus.open("rb") as body:
        job = _ask(node, "POST", "/v1/jobs?delegated=false", headers, body.read())
    while job["state"] not in _ENDED:
        if perf_counter() - began > JOB_SECONDS:
            break
        sleep(0.1)
        job = _ask(node, "GET", f"/v1/jobs/{job['id']}", headers)
    found.seconds, found.rate = perf_counter() - began, float(str(job["rate"] or 0))
    stop.set()
    for writer in writers:
        writer.join(60)
    if job["state"] != "done" or job["errors"] or job["rows"] != rows:
        raise StandError(f"the bulk job came to {job}")
    return found


def _write_on(node: Node, number: int, stop: threading.Event, found: Beside) -> None:
    connection = HTTPConnection(*node.http, timeout=60)
    name, _, value = ADMIN.header.partition(": ")
    headers = {name: value, "Content-Type": "application/json"}
    count = 0
    while not stop.is_set():
        count += 1
        body = json.dumps([{"index": 1, "type": "URL", "data": TEXT}])
        began = monotonic()
        connection.request("PUT", f"/api/handles/{HOME}/beside-{number}-{count}", body, headers)
        answer = connection.getresponse()
        said = answer.read()
        found.waits.append(monotonic() - began)
        if answer.status != 201:
            found.faults.append(f"{answer.status}: {said!r}")
        sleep(PAUSE_SECONDS)
    connection.close()


def _ask(
    node: Node, method: str, path: str, headers: dict[str, str], body: bytes | None = None
) -> dict[str, object]:
    connection = HTTPConnection(*node.admin, timeout=120)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        said = answer.read()
    finally:
        connection.close()
    if answer.status >= 300:
        raise StandError(f"{method} {path}: {answer.status} {said!r}")
    content: dict[str, object] = json.loads(said)
    return content


def bulk_targets(found: Sequence[Beside]) -> list[Target]:
    """Return the targets of bulk work."""
    rate = max((each.rate for each in found), default=0.0)
    longest = max((each.longest_ms for each in found), default=0.0)
    return [
        Target("Bulk job beside single writes, records/s", rate, BULK_RATE),
        Target("The longest single write beside it, ms", longest, LONGEST_MS, at_least=False),
    ]
