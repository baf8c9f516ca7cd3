"""The loader: a short-lived process that loads one file of records and is ready when that is done.

The supervisor stays small that way, and a load ends with it.

    python -m node.process.loader --file sample.ndjson --lifeline 8 --ready 9
"""

import argparse
import asyncio
import logging
import sys
from collections.abc import Callable

from node import config, log
from node.errors import Kind, RegistryError
from node.process.lifeline import run_until_cut
from node.registry.records import LoadReport, load_file

logger = logging.getLogger(__name__)


def main() -> int:
    """Load the file and return the exit code."""
    parser = argparse.ArgumentParser(prog="idnode loader")
    parser.add_argument("--file", required=True)
    parser.add_argument("--lifeline", type=int, required=True)
    parser.add_argument("--ready", type=int, required=True)
    given = parser.parse_args()
    log.configure("loader")

    async def serve(_stop: asyncio.Event, ready: Callable[[], None]) -> None:
        await _load(given.file)
        ready()

    return run_until_cut(given.lifeline, given.ready, serve)


async def _load(path: str) -> None:
    settings = config.load()
    report = await load_file(
        settings.database_url,
        path,
        sealing_key=settings.seal_path,
        case_sensitive=settings.case_sensitive,
    )
    if report.errors:
        raise _refusal(path, report)
    logger.info("loaded", extra={"file": path, "rows": report.read, "written": report.written})


def _refusal(path: str, report: LoadReport) -> RegistryError:
    first = f"; the first: {report.first_errors[0]}" if report.first_errors else ""
    return RegistryError(Kind.INVALID, f"{path} has {report.errors} rows that are refused{first}")


if __name__ == "__main__":
    sys.exit(main())
