"""Traffic: the questions of the campaign: in turns as fast as they are answered, then at a fixed rate for latencies.

Every answer is compared with the right one, byte for byte.  The closed loop asks what was lost again, so it ends with
as many answers as were wanted; the open loop counts what it lost.  What the client has is right answers that came.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import ceil

from loadtest.generator_http import prepare_http
from loadtest.generator_tcp import prepare_tcp
from loadtest.generator_udp import prepare_udp
from loadtest.histogram import Histogram
from loadtest.learn import draw, fits_datagram, is_plain_path, learn_http, learn_native
from loadtest.openloop import prepare_open
from loadtest.prove.scene import Scene
from loadtest.run import Prepared, Run, run_unpinned
from loadtest.source import asking_from
from loadtest.turns import all_numbered, repeated, turns

SOCKETS, SOCKETS_LIMITED = (
    8,
    32,
)  # source ports over UDP; each has an address of its own where the node limits these
WARM_SECONDS = 0.5
SHARE = 0.5  # of the rate of the closed loop, at which latencies are measured
LEAST_RATE, MOST_RATE = 200.0, 50_000.0

UDP, TCP, HTTP = "udp", "tcp", "http_json"
PROTOCOLS = (UDP, TCP, HTTP)
_TRANSPORTS = {UDP: "udp", TCP: "tcp", HTTP: "http"}


@dataclass(slots=True)
class Asked:
    """What became of the questions of one protocol.  `seconds` are those of the closed loop."""

    answers: int = 0
    seconds: float = 0.0
    closed: int = 0
    wrong: int = 0
    lost: int = 0
    repeated: int = 0
    reconnects: int = 0
    unasked: int = 0
    rate: float = 0.0  # of the open loop, questions a second
    behind: float = 0.0  # the share of its questions that it asked late itself
    histogram: Histogram = field(default_factory=Histogram)
    faults: list[str] = field(default_factory=list)

    def add_closed(self, run: Run) -> None:
        """Add a turn of the closed loop; an answer that came twice was counted twice."""
        self.closed += run.answers
        self.seconds += run.seconds
        self._add(run, run.answers)

    def add_open(self, run: Run, rate: float) -> None:
        """Add the run at a fixed rate, its warm-up included."""
        self.rate, self.behind = rate, run.behind_share
        self.unasked += run.unasked
        self.histogram.merge(run.histogram)
        self._add(run, run.answers + run.warm_answers)

    def _add(self, run: Run, answers: int) -> None:
        self.answers += answers + run.strays
        self.repeated += run.strays
        self.wrong += run.wrong
        self.lost += run.lost
        self.reconnects += run.reconnects
        self.faults += run.faults[:1]


class Traffic:
    """Asks one node from the campaign's addresses, and adds up what it was answered, by protocol."""

    def __init__(self, scene: Scene, sources: Sequence[str], keys: int) -> None:
        """Learn the right answers for so many identifiers.  Raises LearningError when the node has not the corpus."""
        self.asked = {protocol: Asked() for protocol in PROTOCOLS}
        sample = draw(scene.corpus, keys)
        native = learn_native(scene.native, sample)
        self._exchanges = {
            UDP: list(filter(fits_datagram, native)),
            TCP: native,
            HTTP: list(filter(is_plain_path, learn_http(scene.http, sample))),
        }
        self._addresses = {UDP: scene.native, TCP: scene.native, HTTP: scene.http}
        is_limited = bool(scene.settings.udp_answers_per_second) and not scene.is_own
        self._sockets = SOCKETS_LIMITED if is_limited else SOCKETS
        self._sources = tuple(sources[: self._sockets if is_limited else 1])

    @property
    def client(self) -> Counter[str]:
        """Right answers that came, by protocol."""
        return Counter({protocol: each.answers for protocol, each in self.asked.items()})

    def closed_loop(self, resolutions: int, progress: Callable[[int], None]) -> None:
        """Ask so many questions as fast as they are answered, a third by each protocol, and tell `progress` of each."""
        for protocol, count in turns(resolutions, PROTOCOLS):
            run = self._run(lambda: self._closed(protocol, count))  # noqa: B023  it is run at once
            self.asked[protocol].add_closed(run)
            progress(count)

    def open_loop(self, seconds: float, progress: Callable[[int], None]) -> None:
        """Ask each protocol at half the rate that it has just had, for so long, and keep the latencies."""
        for protocol in PROTOCOLS:
            known = self.asked[protocol]
            rate = min(max(SHARE * known.closed / known.seconds, LEAST_RATE), MOST_RATE)
            run = self._run(lambda: self._open(protocol, rate, seconds))  # noqa: B023
            known.add_open(run, rate)
            progress(run.answers + run.warm_answers)

    def _run(self, prepare: Callable[[], Prepared]) -> Run:
        def prepared() -> Prepared:
            with asking_from(*self._sources):
                return prepare()

        return run_unpinned(prepared)

    def _closed(self, protocol: str, count: int) -> Prepared:
        exchanges, address = self._exchanges[protocol], self._addresses[protocol]
        if protocol == HTTP:
            return prepare_http(address, repeated(exchanges, count), once=True)
        if protocol == TCP:
            return prepare_tcp(address, all_numbered(repeated(exchanges, count)), once=True)
        sockets = min(self._sockets, count)
        return prepare_udp(address, repeated(exchanges, count), once=True, sockets=sockets)

    def _open(self, protocol: str, rate: float, seconds: float) -> Prepared:
        """Each question has an id of its own: one that came twice in 30 s would be one resolution in every figure."""
        asked = ceil(rate * (seconds + WARM_SECONDS)) + 1
        return prepare_open(
            self._addresses[protocol],
            repeated(self._exchanges[protocol], asked),
            transport=_TRANSPORTS[protocol],
            rate=rate,
            seconds=seconds,
            warm_seconds=WARM_SECONDS,
        )


def now_us() -> int:
    """Return µs since 1970."""
    return time.time_ns() // 1_000
