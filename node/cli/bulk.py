"""`idnode bulk`: jobs and exports, on the machine of the node and in the database itself; for who runs the node."""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from node import config
from node.cli.bulkexport import run_export, run_verify
from node.cli.bulkshow import follow, print_jobs, print_results
from node.cli.output import Form, add_output_argument
from node.config import Settings
from node.errors import Kind, RegistryError
from node.process.running import find_running, with_servers
from node.registry.jobfiles import FilesFailed, JobFiles, UploadTooLarge
from node.registry.jobs import BadOrder, Jobs, Order, TooManyJobs
from node.registry.loadfile import STANDARD_INPUT, LoadFormat
from node.store.database import Database, StoreError, StoreUnavailable
from node.store.jobs import Job, JobFormat, JobKind, JobState
from resolver.registrar import OPERATOR, Caller

FOUND_FAULTS = 1
BLOCK_BYTES = 1 << 20

_OPERATOR = Caller(b"", 0, OPERATOR, is_operator=True)
_SUFFIXES = {".csv": JobFormat.CSV, ".txt": JobFormat.BATCH, ".batch": JobFormat.BATCH}
_EPILOG = """\
A job is a file of records (NDJSON or CSV, as `idnode load` takes them), of rows with operations
(NDJSON), or a batch file of hdl-genericbatch.  The node carries it out, also when this command ends,
and goes on with it after a crash.  docs/reference/bulk.md tells the formats and the limits.

examples:
  idnode bulk run products.csv --dry-run
  idnode bulk run products.csv --reason "new line 3"
  idnode bulk run changes.ndjson --kind operations
  idnode bulk results 7
  idnode bulk export all.ndjson
  idnode bulk verify all.ndjson

exit codes:
  0  done
  1  done, and rows were refused; or a job failed, was cancelled, or an export is not what it was
  2  wrong use
  3  no such job
  7  the node or its database is not available
"""


class Bench(NamedTuple):
    """What a word works with."""

    settings: Settings
    database: Database
    jobs: Jobs


Act = Callable[[Bench, argparse.Namespace], Awaitable[int]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say which arguments the verb takes."""
    parser.epilog = _EPILOG
    words = parser.add_subparsers(dest="word", metavar="WORD", title="words", required=True)
    _add_run(words.add_parser("run", help="hand in a job, and watch it"))
    listed = words.add_parser("list", help="list the last jobs")
    add_output_argument(listed)
    shown = words.add_parser("show", help="say how far a job has come")
    shown.add_argument("job", type=int, help="its number")
    add_output_argument(shown)
    watched = words.add_parser("watch", help="watch a job until it is over")
    watched.add_argument("job", type=int, help="its number")
    cancelled = words.add_parser("cancel", help="stop a job; what it has done stays")
    cancelled.add_argument("job", type=int, help="its number")
    results = words.add_parser("results", help="print what became of each row, as NDJSON")
    results.add_argument("job", type=int, help="its number")
    results.add_argument("--refused", action="store_true", help="only rows that were refused")
    _add_export(words.add_parser("export", help="write records, and a manifest beside them"))
    verified = words.add_parser("verify", help="check an export by its manifest")
    verified.add_argument("file", type=Path, metavar="FILE", help="the export, or its manifest")


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="the file; - for standard input")
    parser.add_argument(
        "--format",
        type=JobFormat,
        choices=list(JobFormat),
        help="ndjson, csv or batch; by the file's name when left out (.csv; .txt and .batch)",
    )
    parser.add_argument(
        "--kind",
        type=JobKind,
        choices=list(JobKind),
        help="load: records as they are to be; operations: each row says what to do",
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would happen")
    parser.add_argument(
        "--delegated", action="store_true", help="0.NA/ rows that do not say delegate their prefix"
    )
    parser.add_argument(
        "--reason", default="", metavar="TEXT", help="why; it goes into the versions"
    )
    parser.add_argument("--no-wait", action="store_true", help="hand it in, and do not watch it")


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="where to write; it must not exist")
    parser.add_argument("--prefix", help="the records of this prefix and of those below it")
    parser.add_argument(
        "--format",
        type=LoadFormat,
        choices=list(LoadFormat),
        help="ndjson or csv; by the file's name when left out",
    )
    parser.add_argument(
        "--public-only", action="store_true", help="leave out values that not everybody may read"
    )


def run(arguments: argparse.Namespace) -> int:
    """Carry out the word and return the exit code.  Raises RegistryError."""
    if arguments.word == "verify":
        return run_verify(arguments.file)
    return asyncio.run(_run(_ACTS[arguments.word], arguments))


async def _run(act: Act, arguments: argparse.Namespace) -> int:
    settings = with_servers(config.load())
    async with Database(settings.database_url, max_connections=1) as database:
        bench = Bench(settings, database, Jobs(database, JobFiles(settings.data_dir)))
        try:
            return await act(bench, arguments)
        except StoreUnavailable as error:
            raise RegistryError(Kind.UNAVAILABLE, f"{error}; `idnode check` says more.") from error
        except StoreError as error:
            raise RegistryError(
                Kind.UNAVAILABLE, f"{error}; `idnode migrate` brings the schema up to date."
            ) from error


async def _hand_in(bench: Bench, arguments: argparse.Namespace) -> int:
    if find_running(bench.settings) is None:
        raise RegistryError(
            Kind.UNAVAILABLE,
            f"No node runs on {bench.settings.data_dir}, so nobody would do the job; start it with "
            "`idnode serve`, or load a file by `idnode load`.",
        )
    job = await _submit(bench.jobs, arguments)
    print(f"Job {job.id} waits.", file=sys.stderr)
    return 0 if arguments.no_wait else await _follow(bench, job)


async def _submit(jobs: Jobs, arguments: argparse.Namespace) -> Job:
    path: str = arguments.file
    order = Order(
        format=arguments.format or _SUFFIXES.get(Path(path).suffix.lower(), JobFormat.NDJSON),
        kind=arguments.kind,
        is_dry_run=arguments.dry_run,
        delegated=arguments.delegated,
        name="standard input" if path == STANDARD_INPUT else Path(path).name,
        reason=arguments.reason,
    )
    try:
        order = order.checked()
        with jobs.files.receive() as upload:
            for block in _read(path):
                upload.write(block)
            upload.finish()
        return await jobs.submit(upload, order, _OPERATOR)
    except (BadOrder, UploadTooLarge) as error:
        raise RegistryError(Kind.INVALID, f"{error}.") from error
    except FilesFailed as error:
        raise RegistryError(Kind.FORBIDDEN, f"{error}.") from error
    except TooManyJobs as error:
        raise RegistryError(Kind.UNAVAILABLE, f"{error}.") from error


def _read(path: str) -> Iterator[bytes]:
    try:
        if path == STANDARD_INPUT:
            yield from iter(lambda: sys.stdin.buffer.read(BLOCK_BYTES), b"")
            return
        with Path(path).open("rb") as file:
            yield from iter(lambda: file.read(BLOCK_BYTES), b"")
    except OSError as error:
        kind = Kind.NOT_FOUND if isinstance(error, FileNotFoundError) else Kind.FORBIDDEN
        raise RegistryError(kind, f"Cannot read {path}: {error.strerror}.") from error


async def _follow(bench: Bench, job: Job) -> int:
    try:
        job = await follow(bench.jobs, job)
    except asyncio.CancelledError:
        print(f"Job {job.id} goes on: `idnode bulk watch {job.id}`, or `cancel`.", file=sys.stderr)
        raise
    print_jobs(Form.TABLE, [job])
    if job.message:
        print(job.message, file=sys.stderr)
    return _judge(job)


async def _list(bench: Bench, arguments: argparse.Namespace) -> int:
    print_jobs(arguments.output, await bench.jobs.list())
    return 0


async def _show(bench: Bench, arguments: argparse.Namespace) -> int:
    print_jobs(arguments.output, [await _job(bench, arguments)], alone=True)
    return 0


async def _watch(bench: Bench, arguments: argparse.Namespace) -> int:
    return await _follow(bench, await _job(bench, arguments))


async def _cancel(bench: Bench, arguments: argparse.Namespace) -> int:
    job = await bench.jobs.cancel((await _job(bench, arguments)).id)
    state = job.state if job and job.is_over else "asked to stop"
    print(f"Job {arguments.job} is {state}.")
    return 0


async def _results(bench: Bench, arguments: argparse.Namespace) -> int:
    job = await _job(bench, arguments)
    print_results(bench.jobs.files.results(job.asked.file), job, refused=arguments.refused)
    return 0


async def _export(bench: Bench, arguments: argparse.Namespace) -> int:
    return await run_export(bench.settings, arguments)


async def _job(bench: Bench, arguments: argparse.Namespace) -> Job:
    job = await bench.jobs.find(arguments.job)
    if job is None:
        raise RegistryError(
            Kind.NOT_FOUND, f"There is no job {arguments.job}; `idnode bulk list` lists them."
        )
    return job


def _judge(job: Job) -> int:
    clean = job.state is JobState.DONE and not job.reached.outcomes.get("refused")
    return 0 if clean else FOUND_FAULTS


_ACTS: dict[str, Act] = {
    "run": _hand_in,
    "list": _list,
    "show": _show,
    "watch": _watch,
    "cancel": _cancel,
    "results": _results,
    "export": _export,
}
