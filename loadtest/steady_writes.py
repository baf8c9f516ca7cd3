"""Steady writes: registrations, changes and deletions in native sessions, by a process of its own, until it is stopped.

    python -m loadtest.steady_writes --native 127.0.0.1:2641 --rate 50 --out written.json

At SIGTERM it ends what it began, and writes what it was told (`Written`, as JSON).
"""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import uvloop

from loadtest.registrations import Registrations
from loadtest.streams import Address

AGAIN_SHARE = 0.3
SESSIONS = 6
NAMES = 300  # of a session: all are known in a minute of 50 writes a second, and nothing grows by names afterwards


class Written(NamedTuple):
    """The names that were registered, the writes that were acknowledged, and the sessions that broke."""

    done: list[str]
    writes: int
    broken: int

    @classmethod
    def read(cls, path: Path) -> "Written":
        """Read what a process of writers was told."""
        return cls(**json.loads(path.read_text("utf-8")))


async def write(address: Address, rate: float, name: str) -> Registrations:
    """Write until SIGTERM comes; return what was told."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    writers = Registrations(
        lambda: address, name, sessions=SESSIONS, again=AGAIN_SHARE, names=NAMES
    )
    await writers.run(rate, stop)
    return writers


def main(arguments: Sequence[str] | None = None) -> int:
    """Write, and say what was told."""
    parser = argparse.ArgumentParser(prog="steady_writes", description=__doc__.splitlines()[0])
    parser.add_argument("--native", required=True, metavar="HOST:PORT")
    parser.add_argument("--rate", type=float, required=True, help="writes a second")
    parser.add_argument("--name", default="soak", help="keeps the records of two runs apart")
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args(arguments)
    host, _, port = chosen.native.rpartition(":")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        told = runner.run(write((host, int(port)), chosen.rate, chosen.name))
    found = Written(list(told.done), told.writes, told.broken)
    chosen.out.write_text(json.dumps(found._asdict()), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
