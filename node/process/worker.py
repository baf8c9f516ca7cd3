"""A worker: one event loop with HTTP, UDP and TCP, on the sockets of its slot, with the counters of its lane.

python -m node.process.worker --slot 0 --lane 0 --sockets http=5;udp=6;tcp=7;admin= --lifeline 8 --ready 9
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Callable

from node import config, log
from node.app import serve_worker
from node.counters import Counters, Place, slot_path
from node.process.lifeline import run_until_cut
from node.process.running import run_directory
from node.sockets import Sockets
from resolver.observe import Gauge, Tally


def main() -> int:
    """Serve the slot until the lifeline is cut; return the exit code."""
    parser = argparse.ArgumentParser(prog="idnode worker")
    parser.add_argument("--slot", type=int, required=True)
    parser.add_argument("--lane", type=int, required=True)
    parser.add_argument("--sockets", type=Sockets.adopt, required=True)
    parser.add_argument("--lifeline", type=int, required=True)
    parser.add_argument("--ready", type=int, required=True)
    given = parser.parse_args()
    log.configure(f"worker-{given.slot}")
    settings = config.load()
    directory = run_directory(settings.data_dir)
    place = Place(given.slot, given.lane)

    async def serve(stop: asyncio.Event, ready: Callable[[], None]) -> None:
        counters = Counters.adopt(slot_path(directory, place.lane))
        counters.begin(os.getpid())
        Tally(counters.cells).level(Gauge.STARTED_AT, int(time.time()))
        await serve_worker(settings, place, directory, given.sockets, counters, stop, ready)

    return run_until_cut(given.lifeline, given.ready, serve)


if __name__ == "__main__":
    sys.exit(main())
