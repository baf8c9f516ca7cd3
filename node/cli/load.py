"""`idnode load`: records and prefixes from a file into the database; as often as one likes."""

import argparse
import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from node import config
from node.process.running import find_running, with_servers
from node.registry.loadfile import STANDARD_INPUT, LoadFormat
from node.registry.records import LoadProgress, LoadReport, load_file

FOUND_FAULTS = 1  # some rows were refused; the others are loaded
SEEN_SECONDS = 0.6  # two polls of the change feed: who asks after the command finds what it loaded, at every worker
SHOWN = 5

_FORMS = """\
NDJSON, one record a line (docs/reference/load.md):
  {"handle": "88.118.8/JXDY2106023", "values": [{"index": 1, "type": "URL", "data": "https://..."}]}
A line for 0.NA/X homes prefix X here; with "delegated": true the enterprise node that its HS_SITE
names serves it.  ecode:, oid:, gs1: and did: begin identifiers of other schemes.

CSV, one value a row, the rows of a handle beside each other; the first line names the columns:
  handle,index,type,data,ttl,permissions

Loading a file again changes nothing, and completes a load that was cut short.  The exit code is 1
when rows were refused; the others are loaded.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say which arguments the verb takes."""
    parser.add_argument("file", metavar="FILE", help="the file to load; - for standard input")
    parser.add_argument(
        "--delegated",
        action="store_true",
        help="0.NA/ lines that do not say delegate their prefix (they home it otherwise)",
    )
    parser.add_argument(
        "--format",
        type=LoadFormat,
        choices=list(LoadFormat),
        help="ndjson or csv; by the file's name when left out",
    )
    parser.add_argument(
        "--results",
        type=Path,
        metavar="FILE",
        help="where refused rows are listed (default: FILE.errors.ndjson, made when needed)",
    )
    parser.add_argument(
        "--reason", default="", metavar="TEXT", help="why; it goes into the versions of the records"
    )
    parser.epilog = _FORMS


def run(arguments: argparse.Namespace) -> int:
    """Load, and print what was done.  Raises RegistryError."""
    settings = with_servers(config.load())
    path: str = arguments.file
    results: Path = arguments.results or _results_beside(path)
    with _progress(path) as progress:
        report = asyncio.run(
            load_file(
                settings.database_url,
                path,
                sealing_key=settings.seal_path,
                form=arguments.format,
                delegated=arguments.delegated,
                case_sensitive=settings.case_sensitive,
                reason=arguments.reason,
                progress=progress,
                result_path=results,
            )
        )
    for line in _describe(report, results):
        print(line)
    if report.written and find_running(settings):
        time.sleep(SEEN_SECONDS)
    return FOUND_FAULTS if report.errors else 0


def _results_beside(path: str) -> Path:
    name = "standard-input" if path == STANDARD_INPUT else path
    return Path(f"{name}.errors.ndjson")


def _describe(report: LoadReport, results: Path) -> Iterator[str]:
    yield (
        f"{report.read} rows in {report.seconds:.1f} s ({report.rate:.0f}/s):"
        f" {report.written} records written, {report.unchanged} unchanged,"
        f" {report.prefixes} prefixes set, {report.errors} rows refused."
    )
    if report.unknown_prefixes:
        total = sum(count for _, count in report.unknown_prefixes)
        named = ", ".join(f"{name} ({count})" for name, count in report.unknown_prefixes[:SHOWN])
        more = len(report.unknown_prefixes) - SHOWN
        yield (
            f"Warning: {total} records lie under prefixes that this node does not serve: {named}"
            f"{f' and {more} more' if more > 0 else ''}. Load a 0.NA/ line for each to home it."
        )
    if report.errors:
        yield f"The refused rows are in {results}. The first of them:"
    for error in report.first_errors[:SHOWN]:
        yield f"  row {error.row}: {error.handle or '(no handle)'}: {error.reason}"


@contextmanager
def _progress(path: str) -> Iterator[Callable[[LoadProgress], None]]:
    """Show a bar on a terminal, and nothing elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[rows]} rows, {task.fields[refused]} refused"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        name = "standard input" if path == STANDARD_INPUT else Path(path).name
        task = bar.add_task(name, total=None, rows=0, refused=0)

        def show(done: LoadProgress) -> None:
            bar.update(
                task, total=done.total, completed=done.end, rows=done.read, refused=done.errors
            )

        yield show
