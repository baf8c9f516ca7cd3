"""Run: what one generator saw in one run, and the child process in which a generator works.

A generator runs alone in a forked process, pinned to a core, without the garbage collector: nothing that the bench
keeps in memory can disturb it, and its processor time is its own.  Law: it is prepared first, and told to go when the
server's processor time has been read, so that figure covers the run and nothing else.
"""

import gc
import multiprocessing
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from time import process_time

from loadtest.histogram import Histogram

FAULTS_KEPT = 5
MOST_BEHIND = (
    0.005  # of its questions: a generator that asks more of them late itself tells nothing of p99
)
READY_SECONDS = 120.0
RUN_SECONDS = 600.0


@dataclass(slots=True)
class Run:
    """Answers of one run.  Times are seconds; `latencies` is a sample (every answer of every eighth batch).

    `waited` is how long the generator found nothing to do, `slept` how much of that it slept; the rest was a busy loop.
    `generator_seconds` is its processor time, that loop included.

    What an open loop (`loadtest.openloop`) says besides: `asked`, the questions of its plan, each of which is one of
    `answers` (right ones), `wrong`, `lost` or `unasked`; `late`, those that were answered more than 250 ms after their
    due moment, and the unasked ones; `behind`, those that the generator itself sent more than a millisecond late;
    `warm_answers`, the right answers of the `warm_seconds` before counting began; `each_second`, the right answers of
    each second; and `histogram`, the latency of every answer, from the due moment of its question.
    """

    answers: int = 0
    seconds: float = 0.0
    lost: int = 0
    strays: int = 0
    wrong: int = 0
    reconnects: int = 0
    generator_seconds: float = 0.0
    waited: float = 0.0
    slept: float = 0.0
    polls: int = 0
    faults: list[str] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    asked: int = 0
    unasked: int = 0
    late: int = 0
    behind: int = 0
    warm_answers: int = 0
    warm_seconds: float = 0.0
    each_second: list[int] = field(default_factory=list)
    histogram: Histogram = field(default_factory=Histogram)

    def fault(self, text: str) -> None:
        """Count a wrong answer, and keep the first few for the report."""
        self.wrong += 1
        if len(self.faults) < FAULTS_KEPT:
            self.faults.append(text)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answers / self.seconds if self.seconds else 0.0

    @property
    def all_answers(self) -> int:
        """Right answers, those of the warm-up included: what the server had to work for."""
        return self.answers + self.warm_answers

    @property
    def all_seconds(self) -> float:
        """How long the run lasted, its warm-up included."""
        return self.seconds + self.warm_seconds

    @property
    def behind_share(self) -> float:
        """How much of its plan an open loop did not ask in time: the generator's own fault, not the server's."""
        return self.behind / self.asked if self.asked else 0.0

    @property
    def tells(self) -> bool:
        """Whether an open loop asked so much of its plan in time that its p99 is the server's, and not its own."""
        return self.behind_share <= MOST_BEHIND

    def told_us(self, share: float) -> str:
        """Return a latency for a table, in microseconds; with a question mark when it `tells` nothing."""
        return f"{self.quantile_us(share):,.0f}" + ("" if self.tells else "?")

    @property
    def holds(self) -> bool:
        """Whether an open loop had a right answer to every question within 250 ms of its due moment."""
        return self.asked > 0 and not (self.lost or self.late or self.wrong or self.unasked)

    def quantile_us(self, share: float) -> float:
        """Return the latency, in microseconds, that this share of the sampled answers did not exceed."""
        if len(self.histogram):
            return 1e6 * self.histogram.percentile(100 * share)
        if not self.latencies:
            return 0.0
        ordered = sorted(self.latencies)
        return 1e6 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class GeneratorDied(RuntimeError):
    """The generator process ended without a result; its own traceback is on stderr."""


Prepared = Callable[[], Run]


def run_apart(
    prepare: Callable[[], Prepared], *, core: int | None, started: Callable[[int], None]
) -> Run:
    """Prepare and run a generator in a child on `core`; `started` gets its pid when it is ready, before it goes."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(target=_work, args=(prepare, core, theirs), daemon=True)
    child.start()
    theirs.close()
    try:
        _receive(ours, READY_SECONDS)
        started(child.pid or 0)
        ours.send(None)
        result = _receive(ours, RUN_SECONDS)
    finally:
        ours.close()
        child.join(5)
        child.kill()
    if not isinstance(result, Run):
        raise GeneratorDied("the generator sent something that is not a Run")
    return result


def run_unpinned(prepare: Callable[[], Prepared]) -> Run:
    """Prepare and run a generator in a child; nobody is pinned: workers and generator share the machine."""
    return run_apart(prepare, core=None, started=lambda _: None)


def _receive(pipe: Connection, seconds: float) -> object:
    try:
        if pipe.poll(seconds):
            return pipe.recv()
    except EOFError:
        raise GeneratorDied("the generator ended early") from None
    raise GeneratorDied(f"no word from the generator in {seconds:.0f} s")


def _work(prepare: Callable[[], Prepared], core: int | None, pipe: Connection) -> None:
    if core is not None:
        os.sched_setaffinity(0, {core})
    go = prepare()
    gc.collect()
    gc.freeze()
    gc.disable()
    pipe.send(None)
    pipe.recv()
    before = process_time()
    run = go()
    run.generator_seconds = process_time() - before
    pipe.send(run)
