"""Registrations and changes at a steady rate, and how soon the top-level node has each of them.

    python -m loadtest.sync_load --seconds 300 --registrations 500 --changes 20

A whole node with its embedded servers, and the simulated top-level node beside it.  Identifiers are registered in
native sessions (表9), rows of 表1, 表2, 表6, 表7 and 表11 are changed over HTTP.  A delay is from the acknowledgement
to our client until the top-level node has stored the change; both are times of this machine's clock.  Held to: of all
delays of a table 99 % are at most 1 s, all at most 5 s; then both sides hold the same rows, by digests computed on
both sides from the rows.
"""

import argparse
import asyncio
import os
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import uvloop

from loadtest.administrators import SETTINGS, settle
from loadtest.agreement import compare
from loadtest.arrivals import Arrivals
from loadtest.fuzz_ports import log_faults
from loadtest.object_changes import ENTERPRISES, ObjectWriter
from loadtest.registrations import Registrations
from loadtest.stand import Node, open_stand
from loadtest.toplevels import TopLevel, start_in_step
from loadtest.verdict import conclude, say
from node.store.database import connect
from node.store.synced import MASTERS

SESSIONS = 32
SOON_SECONDS, LATEST_SECONDS = 1.0, 5.0
SOON_SHARE = 0.99
LEAST_SHARE = 0.95  # of the load that was asked for; a machine that cannot give it proves nothing
ARRIVED_SECONDS = 60.0  # for the last change to arrive
SHARES = (0.5, 0.9, 0.99, 1.0)

_RECORDS = "select key, serial from version where version = 1"
_OBJECTS = "select kind, id, version, serial from object_version"


class Load(NamedTuple):
    """How much is written a second, and for how long."""

    seconds: float
    registrations: float
    changes: float


class Delays(dict[str, list[float]]):
    """Seconds, by table."""

    def lines(self) -> Iterator[str]:
        """Say how they are spread."""
        yield "table     changes   p50 s   p90 s   p99 s   all s"
        for table, delays in sorted(self.items(), key=lambda each: int(each[0])):
            spread = "".join(f"{quantile(delays, share):8.3f}" for share in SHARES)
            yield f"表{table:<4}{len(delays):12,}{spread}"

    def faults(self) -> Iterator[str]:
        """Say which are too long."""
        for table, delays in self.items():
            soon, latest = quantile(delays, SOON_SHARE), max(delays)
            if soon > SOON_SECONDS or latest > LATEST_SECONDS:
                yield f"表{table}: 99 % arrived within {soon:.2f} s, all within {latest:.2f} s"


def quantile(values: Sequence[float], share: float) -> float:
    """Return what this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Loading:
    """A node under load, and who watches the other side."""

    def __init__(self, node: Node, top: TopLevel, *, is_timed: bool) -> None:
        """With `is_timed` neither delays nor rates may be other than asked for."""
        self.node, self.top = node, top
        self._is_timed = is_timed
        self.objects = ObjectWriter(lambda: node)
        self.records = Registrations(lambda: node.native, "synced", sessions=SESSIONS)
        self.faults: list[str] = []

    async def run(self, load: Load) -> Delays:
        """Write, wait until all is there, and compare."""
        await self.objects.settle()
        say(f"{ENTERPRISES} enterprises are registered, their prefixes granted; writing")
        with Arrivals(self.top.database) as arrivals:
            await self._write(load)
            serials = await self._serials()
            await self._until_arrived(arrivals, max(serials.values()))
            delays = self._delays(serials, arrivals)
        found = await compare(self.node, self.top)
        say(f"rows: {', '.join(f'表{table} {rows:,}' for table, rows in found.rows.items())}")
        self.faults += found.faults
        if self._is_timed:
            self.faults += delays.faults()
        return delays

    async def _write(self, load: Load) -> None:
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.records.run(load.registrations, stop))
            tasks.create_task(self.objects.run(load.changes, stop))
            await asyncio.sleep(load.seconds)
            stop.set()
        await self.objects.close()
        records, changes = len(self.records.done), len(self.objects.done)
        say(
            f"{records:,} registrations, {records / load.seconds:.0f}/s;"
            f" {changes:,} changes, {changes / load.seconds:.1f}/s"
        )
        if self.objects.failed or self.records.broken:
            self.faults.append(
                f"{self.objects.failed} changes failed, {self.records.broken} sessions broke"
            )
        given = min(records / load.registrations, changes / load.changes) / load.seconds
        if self._is_timed and given < LEAST_SHARE:
            self.faults.append("this machine did not give the load that was asked for")

    async def _serials(self) -> Mapping[tuple[object, ...], int]:
        """Return the serial of each registration, and of each change."""
        connection = await connect(self.node.settings.database_url)
        try:
            records = await connection.fetch(_RECORDS)
            objects = await connection.fetch(_OBJECTS)
        finally:
            await connection.close()
        found: dict[tuple[object, ...], int] = {tuple(row)[:-1]: row[-1] for row in objects}
        return found | {(row[0].decode("utf-8", "replace"),): row[1] for row in records}

    async def _until_arrived(self, arrivals: Arrivals, serial: int) -> None:
        deadline = time.monotonic() + ARRIVED_SECONDS
        while arrivals.newest < serial:
            if time.monotonic() > deadline:
                self.faults.append(f"serial {serial} did not arrive, but {arrivals.newest}")
                return
            await asyncio.sleep(0.1)

    def _delays(self, serials: Mapping[tuple[object, ...], int], arrivals: Arrivals) -> Delays:
        found: defaultdict[str, list[float]] = defaultdict(list)
        told: list[tuple[str, tuple[object, ...], float]] = [
            (MASTERS, (key,), at) for key, at in self.records.done.items()
        ]
        told += [(each.table, each[1:4], each.at) for each in self.objects.done]
        for table, which, at in told:
            there = arrivals.of(serials[which]) if which in serials else None
            if there is None:
                self.faults.append(f"lost: {which} was acknowledged, and did not arrive")
            else:
                found[table].append(max(0.0, there - at))
        return Delays(found)


def run(load: Load, *, is_timed: bool = True) -> list[str]:
    """Start both sides and load them; print what was found, and return what did not hold.

    Without `is_timed` the delays are only printed: a machine that is busy otherwise proves nothing about them.
    """
    with open_stand() as stand, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        top = TopLevel(stand)
        settings = {"WORKERS": str(os.cpu_count()), **SETTINGS}
        node = start_in_step(stand, top, settings).node
        settle(stand, node)
        loading = Loading(node, top, is_timed=is_timed)
        delays = runner.run(loading.run(load))
        told = list(log_faults(node.log))
    for line in delays.lines():
        print(line)
    return [*loading.faults, *told]


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="sync_load", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--registrations", type=float, default=500.0, help="a second")
    parser.add_argument("--changes", type=float, default=20.0, help="a second, over five tables")
    chosen = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is stopped
    faults = run(Load(chosen.seconds, chosen.registrations, chosen.changes))
    return conclude(faults, "all arrived in time, and both sides hold the same rows")


if __name__ == "__main__":
    sys.exit(main())
