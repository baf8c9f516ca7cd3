"""The simulated top-level node as a neighbour: a child of the supervisor, beside the node that is tried against it.

What it listens on, and its witness's key, it writes into `running.json` in its directory before it is ready.

    python -m node.process.toplevel --data-dir D --listen A --page B --native C --lifeline 8 --ready 9
"""

import argparse
import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import orjson

from node import log
from node.address import Endpoint, read_endpoints
from node.ledger.durable import write_durably
from node.process.lifeline import run_until_cut
from node.toplevel.app import Plan, Running, run_toplevel

RUNNING_FILE = "running.json"


def main() -> int:
    """Run until the lifeline is cut; return the exit code."""
    parser = argparse.ArgumentParser(prog="idnode top-level node")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--node-prefix", required=True)
    parser.add_argument("--log-file", type=Path, required=True)
    for name in ("--listen", "--page", "--native"):
        parser.add_argument(name, type=_endpoint, required=True)
    parser.add_argument("--lifeline", type=int, required=True)
    parser.add_argument("--ready", type=int, required=True)
    given = parser.parse_args()
    log.configure("toplevel")
    plan = Plan(
        given.data_dir,
        given.listen,
        given.page,
        given.native,
        given.node_prefix,
        log_files=(given.log_file,),
    )

    async def serve(stop: asyncio.Event, ready: Callable[[], None]) -> None:
        def announce(found: Running) -> None:
            write_durably(plan.data_dir / RUNNING_FILE, _told(found))
            ready()

        await run_toplevel(plan, announce, stop)

    return run_until_cut(given.lifeline, given.ready, serve)


def _endpoint(text: str) -> Endpoint:
    (endpoint,) = read_endpoints(text)
    return endpoint


def _told(found: Running) -> bytes:
    return orjson.dumps(
        {
            "channel": str(found.channel),
            "page": str(found.page),
            "native": str(found.native),
            "issue": str(found.papers.issue),
            "witness": found.witness_key,
        }
    )


if __name__ == "__main__":
    sys.exit(main())
