"""What the sync with the top-level node costs an answer: one node under steady writes, in step or not, in turns.

    python -m loadtest.sync_cost [--rounds 8] [--seconds 1.5]

The node is written to all the while, past its worker: 520 registrations a second.  In one half of each round the
top-level node is there and every change is sent to it; in the other it is away, and changes wait.  The worker is asked
from memory as much as it can take, by each fast path.  Target: the sync adds less than 5 % to the worker's processor
time an answer.
"""

import argparse
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from loadtest import cpu
from loadtest.administrators import SETTINGS, settle
from loadtest.agreement import read_theirs
from loadtest.figures import Measured, Scenario
from loadtest.ledger_cost import KEYS, TITLES, busy_and_calm
from loadtest.scenarios import Ask, Extent, learn
from loadtest.sizes import load_corpus, make_corpus
from loadtest.stand import Stand, StandError, open_stand
from loadtest.toplevels import TopLevel, start_in_step
from loadtest.verdict import say
from loadtest.write_rows import ask as ask_store

RATE = 520  # registrations a second
LEAST_SHARE = 0.8
ADDED_SHARE = 0.05
IN_STEP_SECONDS = 120.0
MOST_BEHIND = RATE  # serials: a second
POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Path:
    """One fast path, with the sync at full load and without."""

    on: Scenario
    off: Scenario

    @property
    def added(self) -> float:
        """What the sync adds, as a share: the median of what the halves of each round differ by."""
        pairs = zip(self.on.runs, self.off.runs, strict=True)
        return median(on.worker_us - off.worker_us for on, off in pairs) / self.off.middle(_us)

    @property
    def least_added(self) -> float:
        """The same of the best rounds, which others on the machine disturbed least."""
        return self.on.extent(_us)[0] / self.off.extent(_us)[0] - 1

    def line(self) -> str:
        """Return its line of the table."""
        busy = min(run.worker_share for run in (*self.on.runs, *self.off.runs))
        return (
            f"{self.off.title:24}{self.off.middle(_us):9.2f}{self.on.middle(_us):9.2f}{self.added:+9.1%}"
            f"{self.least_added:+9.1%}{busy:9.0%}"
        )


class Sides:
    """The node and the top-level node; `switch` lets them speak, or not."""

    def __init__(self, stand: Stand, seconds: float) -> None:
        self._stand, self._seconds = stand, seconds
        self._top = TopLevel(stand)
        self._node = start_in_step(stand, self._top, SETTINGS).node
        corpus = make_corpus(stand.directory, KEYS)
        load_corpus(self._node, corpus, KEYS)
        settle(stand, self._node)
        extent = Extent(KEYS, native_keys=KEYS, http_keys=KEYS, answers=0, seconds=0, repeats=0)
        self._asks = [
            busy for busy, _ in busy_and_calm(self._node, learn(self._node, corpus, extent))
        ]
        self._began, self._first = time.monotonic(), self._serial()
        self._write()

    def paths(self) -> list[Path]:
        """Warm, and return the paths."""
        return [
            Path(self._row(ask, f"{name}-on", title), self._row(ask, f"{name}-off", title))
            for ask, (name, title) in zip(self._asks, TITLES, strict=True)
        ]

    def rate(self) -> float:
        """Return how many changes a second there have been."""
        return (self._serial() - self._first) / (time.monotonic() - self._began)

    def switch(self, *, is_on: bool) -> None:
        """Have the top-level node there, and wait until it is in step; or have it away.  Raises StandError."""
        self._top.fault(down=not is_on)
        deadline = time.monotonic() + IN_STEP_SECONDS
        while is_on and self._behind() > MOST_BEHIND:
            if time.monotonic() > deadline:
                raise StandError(f"{self._behind()} changes behind after {IN_STEP_SECONDS:.0f} s")
            time.sleep(POLL_SECONDS)
        cpu.pin([self._top.process.pid], self._stand.cores.others)

    def _behind(self) -> int:
        return self._serial() - read_theirs(self._top.database).serial

    def _serial(self) -> int:
        (serial,) = ask_store(self._node, "select serial from change_counter")
        return int(serial)

    def _row(self, ask: Ask, name: str, title: str) -> Scenario:
        ask(once=True)()
        subject = self._node.subject()

        def measure() -> Measured:
            return self._stand.measure(subject, lambda: ask(seconds=self._seconds))

        return Scenario(f"sync-{name}", title, measure)

    def _write(self) -> None:
        """Begin to write; it ends with the stand."""
        settings = self._node.settings
        self._stand.start_program(
            "writes",
            [sys.executable, "-m", "loadtest.direct_writes", "--rate", str(RATE), "--name", "w"],
            {"DATABASE_URL": settings.database_url, "DATA_DIR": str(settings.data_dir)},
        )


def measure(sides: Sides, paths: Sequence[Path], rounds: int) -> None:
    """Take all paths with the sync and without, so many times; each goes first in every other round."""
    for turn in range(rounds):
        for is_on in (bool(turn % 2), not turn % 2):
            sides.switch(is_on=is_on)
            for path in paths:
                row = path.on if is_on else path.off
                row.runs.append(row.measure())
        say(f"{turn + 1}/{rounds}")


def lines(paths: Sequence[Path]) -> Iterator[str]:
    """Return the table."""
    yield f"{'worker µs an answer':24}{'off':>9}{'on':>9}{'adds':>9}{'best':>9}{'busy':>9}"
    yield from (path.line() for path in paths)


def _us(measured: Measured) -> float:
    return measured.worker_us


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print; return 1 when an answer was wrong."""
    parser = argparse.ArgumentParser(prog="sync_cost", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=1.5, help="length of one run")
    parser.add_argument("--nice", type=int, default=0, metavar="N", help="as of loadtest.bench")
    chosen = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is stopped
    with open_stand(chosen.nice) as stand:
        sides = Sides(stand, chosen.seconds)
        paths = sides.paths()
        measure(sides, paths, chosen.rounds)
        rate = sides.rate()
    print(*lines(paths), f"{rate:.0f} changes a second", sep="\n")
    for path in paths:
        met = "met" if path.least_added < ADDED_SHARE else "not met"
        print(
            f"{path.off.title}: the sync adds {path.least_added:+.1%} (below {ADDED_SHARE:.0%}: {met})"
        )
    wrong = [row for path in paths for row in (path.on, path.off) if row.wrong]
    for row in wrong:
        print(f"FAULT {row.wrong} wrong answers in {row.name}: {row.runs[0].run.faults}")
    if rate < LEAST_SHARE * RATE:
        print(
            f"FAULT this machine did not give the load that was asked for, {RATE} changes a second"
        )
    return 1 if wrong or rate < LEAST_SHARE * RATE else 0


if __name__ == "__main__":
    sys.exit(main())
