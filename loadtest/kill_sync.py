"""Do to the sync with the top-level node whatever can happen to it, while it is written, and compare both sides.

    python -m loadtest.kill_sync --faults all --seed 1 [--small]

A whole node with its embedded servers, the simulated top-level node, and a relay between them that loses, doubles and
delays messages.  Writers register, change and delete identifiers and change objects all the while.  After each fault
both sides come to stand at one serial, and then: the digests of all tables are equal, computed from the rows on both
sides; whatever a writer was told of is there, as it was told; every change was put at the top-level node once, in the
order of the serials; and nothing is set aside.
"""

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import uvloop

from loadtest.administrators import SETTINGS, settle
from loadtest.fuzz_ports import log_faults
from loadtest.kill_writes import KILLED
from loadtest.moved_clock import MovedClock
from loadtest.relay import Relay
from loadtest.small_disk import is_possible, small_disk
from loadtest.stand import HOST, open_stand
from loadtest.sync_faults import FAULTS, OLD, OUR_DISK_FULL, NoEffect
from loadtest.sync_scene import Extent, Scene
from loadtest.toplevels import TopLevel, start_in_step
from loadtest.verdict import conclude, say
from loadtest.victims import PORTS, NotWhole

FULL = Extent(seconds=60.0, down_seconds=600.0, kills=100)
SMALL = Extent(seconds=6.0, down_seconds=10.0, kills=5, is_small=True)
BEFORE_SECONDS = 1.0  # of writing, before each fault
WORKERS = 2
FULL_DISK = (
    "No space left on device",
    "could not extend file",
)  # in the log, which is what a person has to see
REFUSED = '"child": "postgres"'  # it does not start while a backend of the killed one still ends; it is tried again


class Campaign:
    """One scene, and what was found on it."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.faults: list[str] = []

    async def run(self, names: Sequence[str]) -> None:
        """Play one fault after the other; stop at the first that leaves something wrong."""
        scene = self._scene
        async with scene.played():
            await scene.begin_diary()
            await asyncio.to_thread(scene.top.post, "/snapshots", name=OLD)
            for number, name in enumerate(names, 1):
                await self._play(number, name)
                if self.faults:
                    return
            await self._verify()

    async def _play(self, number: int, name: str) -> None:
        scene, began = self._scene, time.monotonic()
        scene.write()
        await asyncio.sleep(BEFORE_SECONDS)
        try:
            done = await FAULTS[name](scene)
            ended = time.monotonic()
            found = await scene.agree()
        except (NoEffect, NotWhole, TimeoutError, OSError) as error:
            self.faults.append(f"{name}: {error!r}")
            return
        self.faults += [f"{name}: {fault}" for fault in found.faults]
        healed = time.monotonic() - ended
        say(
            f"{number:2} {name:16} {'FAULT' if found.faults else 'equal'}  {sum(found.rows.values()):,} rows,"
            f" serial {found.serial:,}; {done}; {time.monotonic() - began:.0f} s, in step after {healed:.1f} s"
        )

    async def _verify(self) -> None:
        """Have the node itself compare all rows, as every night."""
        scene, began = self._scene, time.time()
        await asyncio.to_thread(scene.status, "/v1/sync/verify", "POST")
        async with asyncio.timeout(60):
            while (found := await scene.evidence())[0] < began:  # noqa: ASYNC110  Postgres tells nobody
                await asyncio.sleep(0.2)
        say(f"verified by the node itself: {found[1]} pages, {found[2]} repaired")
        if found[2]:
            self.faults.append(f"verify: {found[2]} pages differed")


def run(names: Sequence[str], seed: int, extent: Extent) -> list[str]:
    """Start both sides and play these faults; print what was done, and return what did not hold.

    The one that fills our disk has a stand of its own, whose node lives on a small one.
    """
    rest = [name for name in names if name != OUR_DISK_FULL]
    faults = _play(rest, seed, extent, {}) if rest else []
    if OUR_DISK_FULL in names and not faults:
        with (
            TemporaryDirectory(prefix="idnode-disk-") as home,
            small_disk(Path(home, "disk")) as disk,
        ):
            faults = _play(
                [OUR_DISK_FULL], seed, extent, {"DATA_DIR": str(disk / "data")}, *FULL_DISK
            )
    return faults


def _play(
    names: Sequence[str], seed: int, extent: Extent, given: dict[str, str], *expected: str
) -> list[str]:
    with open_stand() as stand, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        top, clock = TopLevel(stand), MovedClock(stand.directory / "clock")
        relay = Relay(top, (HOST, Random().randrange(*PORTS)), seed)
        settings = {"WORKERS": str(WORKERS), "LEDGER": "false", **SETTINGS, **given}
        with clock.environment():
            running = start_in_step(stand, top, settings, relay.address)
            settle(stand, running.node)
            campaign = Campaign(Scene(running, top, relay, clock, extent, seed))
            runner.run(campaign.run(names))
        told = list(log_faults(running.node.log, *KILLED, REFUSED, *expected))
    return [*campaign.faults, *told]


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="kill_sync", description=__doc__.splitlines()[0])
    parser.add_argument("--faults", nargs="+", default=["all"], choices=["all", *FAULTS])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--small", action="store_true", help="a few seconds of each")
    parser.add_argument("--seconds", type=float, help="that a fault lasts")
    parser.add_argument("--down", type=float, help="seconds that the top-level node is away")
    parser.add_argument("--kills", type=int, help="of each kind")
    chosen = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is stopped
    usual = SMALL if chosen.small else FULL
    extent = Extent(
        chosen.seconds or usual.seconds,
        chosen.down or usual.down_seconds,
        chosen.kills or usual.kills,
        usual.is_small,
    )
    possible = [name for name in FAULTS if name != OUR_DISK_FULL or is_possible()]
    names = possible if "all" in chosen.faults else chosen.faults
    faults = run(names, chosen.seed, extent)
    return conclude(faults, "both sides are equal after each fault; nothing is lost, nothing twice")


if __name__ == "__main__":
    sys.exit(main())
