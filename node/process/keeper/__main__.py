"""The keeper: one process with the admin listener and the roles that only one may have.

It reads the counters of all lanes, which outlive a dead worker.

    python -m node.process.keeper --sockets http=;udp=;tcp=;admin=5 --lifeline 8 --ready 9
"""

import argparse
import sys
from collections.abc import Callable

from node import config, log
from node.counters import Counters, keeper_path, lanes_of, slot_path
from node.keeping import serve_keeper
from node.process.lifeline import run_until_cut
from node.process.running import run_directory
from node.sockets import Sockets
from node.stop import Stop


def main() -> int:
    """Serve until the lifeline is cut; return the exit code."""
    parser = argparse.ArgumentParser(prog="idnode keeper")
    parser.add_argument("--sockets", type=Sockets.adopt, required=True)
    parser.add_argument("--lifeline", type=int, required=True)
    parser.add_argument("--ready", type=int, required=True)
    given = parser.parse_args()
    log.configure("keeper")
    settings = config.load()
    directory = run_directory(settings.data_dir)
    lanes = lanes_of(settings.workers)
    readers = tuple(Counters.open(slot_path(directory, lane)) for lane in lanes)

    own = Counters.open(keeper_path(directory))

    async def serve(stop: Stop, ready: Callable[[], None]) -> None:
        await serve_keeper(settings, directory, given.sockets, own, readers, stop, ready)

    return run_until_cut(given.lifeline, given.ready, serve)


if __name__ == "__main__":
    sys.exit(main())
