"""Kill Postgres, Valkey, workers, the keeper and the whole node while they write, and count what was written.

    python -m loadtest.kill_writes --bursts 200

A whole node as an operator starts it, its embedded servers included.  In each burst several writers create, replace,
add, modify, remove and delete, over HTTP (sent again with the same Idempotency-Key until there is a verdict) and in
native sessions, while one process, or all, is killed with SIGKILL.  Held to, after each burst for the records that it
touched, and at the end for all: what `loadtest.journal` and `loadtest.completeness` say.  Workers are asked one second
after the last write.
"""

import argparse
import asyncio
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from random import Random

import uvloop

from loadtest.administrators import SETTINGS, settle
from loadtest.completeness import ask, check_answers, check_record, check_serials, read_stored
from loadtest.fuzz_ports import log_faults
from loadtest.stale import LIMIT_SECONDS
from loadtest.stand import open_stand
from loadtest.verdict import conclude, say
from loadtest.victims import Running, Victim, kill, make_whole, start_on_fixed_ports
from loadtest.watch import Link, end, meet_all_workers
from loadtest.write_bursts import HttpWriter, Ledger, NativeWriter, Writer
from node.store.database import Database

WORKERS = 2
HTTP_WRITERS = 6
NATIVE_WRITERS = 3
WRITES = 12  # of each writer in a burst
KILL_WITHIN_SECONDS = 0.2  # of the start of a burst
TURNS = (
    Victim.POSTGRES,
    Victim.WORKER,
    Victim.VALKEY,
    Victim.EVERYTHING,
    Victim.KEEPER,
    Victim.SUPERVISOR,
)
ASKED_SECONDS = 0.5  # that a link has for all records of a burst, while it goes on
KILLED = (
    '"code": -9,',
    '"code": 247,',
)  # in the log, of a child that was killed, or whose tether saw it


class Campaign:
    """One node, its writers, and what was found."""

    def __init__(self, running: Running, seed: int) -> None:
        self.ledger = Ledger()
        self.killed: Counter[str] = Counter()
        self.checked = 0
        self.whole_seconds: dict[Victim, float] = {}
        self._running = running
        self._dice = Random(seed)
        self._links: Sequence[Link] = ()
        self._touched: set[str] = set()
        self._writers: list[Writer] = [
            *(HttpWriter(f"h{n}", self.ledger, seed, running) for n in range(HTTP_WRITERS)),
            *(NativeWriter(f"n{n}", self.ledger, seed, running) for n in range(NATIVE_WRITERS)),
        ]

    async def run(self, victims: Sequence[Victim], say: Callable[[str], None]) -> None:
        """Go through the bursts; stop at the first that finds a fault."""
        self._links = await meet_all_workers(self._running.node, 1)
        for number, victim in enumerate(victims):
            await self._burst(number, victim)
            say(f"{number + 1}/{len(victims)} {victim}: {self.summary()}")
            if self.ledger.faults:
                return
        await self._check(sorted(self.ledger.journals))
        await end(self._links)

    async def _burst(self, number: int, victim: Victim) -> None:
        stop = asyncio.Event()
        reading = asyncio.create_task(self._keep_warm(stop))
        writing = asyncio.gather(*(writer.burst(number, WRITES) for writer in self._writers))
        await asyncio.sleep(self._dice.uniform(0, KILL_WITHIN_SECONDS))
        began = time.monotonic()
        killed = kill(self._running.node, victim, self._dice)
        self.killed[victim] += 1
        await make_whole(self._running, victim, killed)
        longest = self.whole_seconds.get(victim, 0.0)
        self.whole_seconds[victim] = max(longest, time.monotonic() - began)
        touched = set().union(*await writing)
        stop.set()
        await reading
        await end(self._links)
        self._links = await meet_all_workers(self._running.node, 1)
        await self._check(sorted(touched))
        self._touched = touched

    async def _keep_warm(self, stop: asyncio.Event) -> None:
        """Ask for records meanwhile, so that every cache has something that becomes old; a link that breaks rests."""
        alive = list(self._links)
        while not stop.is_set():
            for link in tuple(alive):
                try:
                    async with asyncio.timeout(ASKED_SECONDS):
                        for handle in sorted(self._touched):
                            await ask(link, handle)
                except (OSError, EOFError, TimeoutError):
                    alive.remove(link)
            await asyncio.sleep(0.02)

    async def _check(self, handles: Sequence[str]) -> None:
        pause = self.ledger.last_verdict + LIMIT_SECONDS - time.monotonic()
        await asyncio.sleep(max(0.0, pause))
        url, faults = self._running.node.settings.database_url, self.ledger.faults
        async with (
            Database(url, max_connections=1) as database,
            database.connection() as connection,
        ):
            stored = await read_stored(connection, handles)
            faults += await check_serials(connection)
        for handle, each in stored.items():
            faults += check_record(handle, each, self.ledger.journals[handle])
        faults += await check_answers(self._links, stored)
        self.checked += len(stored)

    def close(self) -> None:
        """Let go of all connections."""
        for writer in self._writers:
            writer.close()

    def summary(self) -> str:
        """Return all figures in one line."""
        counts = self.ledger.counts
        told = ", ".join(f"{counts[name]} {name}" for name in sorted(counts))
        return (
            f"{told}; the slowest verdict after {self.ledger.slowest_seconds:.2f} s;"
            f" {self.checked} records checked; {len(self.ledger.faults)} faults"
        )


def run(bursts: int, seed: int, victims: Sequence[Victim] = TURNS) -> list[str]:
    """Start a node and go through so many bursts; print what was done, and return what did not hold."""
    with open_stand() as stand, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        settings = {"WORKERS": str(WORKERS), **SETTINGS}
        running = start_on_fixed_ports(stand, "written", settings)
        settle(stand, running.node)
        campaign = Campaign(running, seed)
        try:
            runner.run(campaign.run(list(islice(cycle(victims), bursts)), say))
        finally:
            campaign.close()
        told = list(log_faults(running.node.log, *KILLED))
    print(campaign.summary())
    print(f"killed: {dict(campaign.killed)}")
    for victim, seconds in campaign.whole_seconds.items():
        print(f"whole again after {victim} was killed: {seconds:.1f} s at most")
    return [*campaign.ledger.faults, *told]


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="kill_writes", description=__doc__.splitlines()[0])
    parser.add_argument("--bursts", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", action="append", type=Victim, choices=list(Victim))
    chosen = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is stopped
    faults = run(chosen.bursts, chosen.seed, chosen.only or TURNS)
    return conclude(faults)


if __name__ == "__main__":
    sys.exit(main())
