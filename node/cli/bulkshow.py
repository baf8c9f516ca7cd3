"""How `idnode bulk` shows jobs: a table, a bar while one runs, and the results of its rows."""

import asyncio
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import orjson
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from node.cli.output import Form, plain, print_json, print_rows
from node.errors import Kind, RegistryError
from node.registry.jobfiles import read_blocks
from node.registry.jobs import Jobs
from node.store.jobs import Job, JobState
from node.web.jobs import show_job

POLL_SECONDS = 0.3
COLUMNS = (
    "id",
    "state",
    "kind",
    "dry_run",
    "name",
    "rows",
    "errors",
    "outcomes",
    "rate",
    "message",
)


def print_jobs(form: Form, jobs: Sequence[Job], *, alone: bool = False) -> None:
    """Print jobs; `alone`: as JSON the one job, not a list."""
    shown = [show_job(job) for job in jobs]
    if form is Form.JSON:
        print_json(shown[0] if alone else shown)
        return
    print_rows(form, COLUMNS, [[_cell(each[name]) for name in COLUMNS] for each in shown])


async def follow(jobs: Jobs, job: Job) -> Job:
    """Watch a job until it is over, with a bar on a terminal.  Raises StoreUnavailable, StoreError."""
    with _bar(job) as show:
        while not job.is_over:
            show(job)
            await asyncio.sleep(POLL_SECONDS)
            job = await jobs.find(job.id) or job
    return job


def print_results(path: Path, job: Job, *, refused: bool) -> None:
    """Print the results that count, or those of refused rows alone.  Raises RegistryError."""
    rest = b""
    try:
        for block in read_blocks(path, job.reached.results):
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                if not refused or orjson.loads(line)["outcome"] == "refused":
                    sys.stdout.buffer.write(line + b"\n")
    except OSError as error:
        raise RegistryError(
            Kind.NOT_FOUND, f"The results of job {job.id} are not here: {error.strerror}."
        ) from error
    sys.stdout.buffer.flush()


@contextmanager
def _bar(job: Job) -> Iterator[Callable[[Job], None]]:
    """Show a bar on a terminal, and nothing elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[rows]} rows, {task.fields[errors]} refused"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(plain(job.asked.name), total=job.asked.size, rows=0, errors=0)

        def show(now: Job) -> None:
            done = show_job(now)
            waits = "waits: " if now.state is JobState.QUEUED else ""
            bar.update(
                task,
                description=waits + plain(now.asked.name),
                completed=now.reached.bytes,
                rows=done["rows"],
                errors=done["errors"],
            )

        yield show


def _cell(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{count} {name}" for name, count in value.items())
    return str(value)
