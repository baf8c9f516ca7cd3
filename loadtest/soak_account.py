"""The account of a soak: what was answered, what rose, what both sides hold; and what of it is a fault."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from loadtest.agreement import compare, read_ours, read_theirs
from loadtest.held import private_bytes, processes_of
from loadtest.histogram import Histogram
from loadtest.run import Run
from loadtest.slope import LEAST_POINTS, Point, Slope, slope_of
from loadtest.stand import Node
from loadtest.steady_writes import Written
from loadtest.three_counts import ThreeCounts, differences, table
from loadtest.toplevels import TopLevel
from node.store.database import StoreUnavailable
from node.store.synced import MASTERS
from resolver.observe import Protocol
from sync.change import END, Place

PROTOCOLS = {"udp": Protocol.UDP, "tcp": Protocol.TCP, "http": Protocol.HTTP_JSON}
WARM_SHARE = 0.2  # of the samples: caches fill
IN_STEP_SECONDS = 120.0
POLL_SECONDS = 0.2
JUDGED_SECONDS = (
    500.0  # a slope is a fault if it was watched for so long; before, allocators still settle
)
_MANY = ("postgres",)  # its processes come and go: their memory is added up


class Memory:
    """The private memory of a node's processes over time, each for itself, Postgres's in one sum."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._began = time.monotonic()
        self.series: dict[str, list[Point]] = {}

    def sample(self) -> None:
        """Note what each process has now."""
        at, found = time.monotonic() - self._began, dict[str, int]()
        for pid, kind in processes_of(self._node).items():
            name = kind if kind in _MANY else f"{kind} {pid}"
            found[name] = found.get(name, 0) + private_bytes(pid)
        for name, size in found.items():
            if size:
                self.series.setdefault(name, []).append((at, float(size)))

    def slopes(self) -> Mapping[str, Slope]:
        """Return the slope of each process that was seen often enough, the warm-up left out."""
        found = {
            name: points[int(WARM_SHARE * len(points)) :] for name, points in self.series.items()
        }
        return {name: slope_of(each) for name, each in found.items() if len(each) >= LEAST_POINTS}


@dataclass(slots=True)
class Account:
    """What was seen; `faults` are what did not hold, whatever the machine did besides."""

    counts: ThreeCounts
    memory: Memory
    latencies: dict[str, Histogram] = field(default_factory=dict)
    late: int = 0
    behind: int = 0
    seconds: float = 0.0
    written: int = 0
    stored: str = ""
    verdict: str = ""
    faults: list[str] = field(default_factory=list)

    def add(self, transport: str, run: Run) -> None:
        """Count a turn.  An answer that came twice, or while the generator warmed up, is an answer."""
        answers = run.answers + run.warm_answers + run.strays
        self.counts.client[PROTOCOLS[transport]] += answers
        self.latencies.setdefault(transport, Histogram()).merge(run.histogram)
        self.late += run.late
        self.behind += run.behind
        self.seconds += run.seconds
        if run.wrong or run.lost:
            fault = f"{run.wrong} wrong and {run.lost} lost over {transport} {run.faults[:1]}"
            self.faults.append(fault)

    def all_faults(self, *, is_timed: bool) -> list[str]:
        """Return what did not hold; late answers only count where nobody else used the machine."""
        tally = self.counts
        found = [*self.faults, *tally.faults]
        found += differences("in the run", tally.ledger, tally.prometheus)
        found += differences("in the run, by the client", tally.ledger, tally.client)
        for name, slope in self.memory.slopes().items():
            if slope.seconds > JUDGED_SECONDS and slope.is_beyond_noise():
                found.append(f"the memory of {name} rises: {slope}")
        if is_timed and self.late:
            found.append(f"{self.late} answers were late")
        return found

    def lines(self) -> Iterator[str]:
        """Return the counts, the latencies and the slopes."""
        yield from table(self.counts)
        total = self.counts.client.total()
        yield (
            f"{total:,} answers in {self.seconds:,.0f} s of asking, {self.written:,} writes in all; late (250 ms) "
            f"{self.late:,}, asked late by the generator itself {self.behind:,}; {self.verdict}"
        )
        for transport, seen in self.latencies.items():
            p50, p99, most = (1e3 * seen.percentile(share) for share in (50, 99, 100))
            yield f"{transport:5} from the due moment, ms: p50 {p50:.2f}, p99 {p99:.2f}, longest {most:.1f}"
        yield self.stored
        yield f"private memory, its rise with the error at 99.9 % (judged from {JUDGED_SECONDS:.0f} s on):"
        for name, slope in sorted(self.memory.slopes().items()):
            yield f"{name:18}{slope}"

    def as_json(self) -> dict[str, object]:
        """Return it for soak.json."""
        return {
            "client": dict(self.counts.client),
            "ledger": dict(self.counts.ledger),
            "prometheus": dict(self.counts.prometheus),
            "latencies": {name: each.as_json() for name, each in self.latencies.items()},
            "late": self.late,
            "written": self.written,
            "stored": self.stored,
            "memory": self.memory.series,
            "slopes": {name: str(each) for name, each in self.memory.slopes().items()},
        }


async def until_in_step(node: Node, top: TopLevel, written: Written) -> list[str]:
    """Wait until the top-level node stands where the node does; return what differs then, or was lost."""
    deadline = time.monotonic() + IN_STEP_SECONDS
    while not await _is_in_step(node, top):
        if time.monotonic() > deadline:
            return [f"not in step after {IN_STEP_SECONDS:.0f} s"]
        await asyncio.sleep(POLL_SECONDS)
    found = await compare(node, top)
    lost = [key for key in written.done if Place(MASTERS, key) not in found.bodies]
    broken = [f"{written.broken} sessions broke"] if written.broken else []
    return [*found.faults, *(f"lost: {key} was acknowledged" for key in lost[:5]), *broken]


async def _is_in_step(node: Node, top: TopLevel) -> bool:
    theirs = read_theirs(top.database)
    try:
        ours = await read_ours(node)
    except StoreUnavailable:
        return False
    stands = (ours.session, ours.serial, END) == theirs
    return stands and ours.complete and ours.acknowledged == ours.serial
