"""Jobs: bulk work that is handed in as a file, carried out by one keeper at a time, and looked after meanwhile."""

from collections.abc import Sequence
from typing import NamedTuple

from node.registry.jobfiles import JobFiles, Upload
from node.store.database import Database
from node.store.jobs import (
    Job,
    JobFormat,
    JobKind,
    NewJob,
    cancel_job,
    find_job,
    list_jobs,
    make_job,
)
from resolver.precondition import MAX_REASON_CHARACTERS
from resolver.registrar import Caller

MAX_NAME_CHARACTERS = 255
MAX_PAGE = 100


class BadOrder(ValueError):
    """What is asked for cannot be: the message says what can."""


class TooManyJobs(Exception):
    """So many jobs wait already that no more are taken."""


class Order(NamedTuple):
    """What is to be done with a file; `kind` None is what the format usually is for."""

    format: JobFormat
    kind: JobKind | None = None
    is_dry_run: bool = False
    delegated: bool = False
    name: str = ""
    reason: str = ""

    def checked(self) -> "Order":
        """Return the order with its kind.  Raises BadOrder."""
        batch = self.format is JobFormat.BATCH
        kind = self.kind or (JobKind.OPERATIONS if batch else JobKind.LOAD)
        if batch and kind is JobKind.LOAD:
            raise BadOrder("a batch file holds operations; leave kind out, or say kind=operations")
        if self.format is JobFormat.CSV and kind is JobKind.OPERATIONS:
            raise BadOrder("rows of operations are NDJSON or a batch file; CSV holds records")
        if self.delegated and kind is not JobKind.LOAD:
            raise BadOrder("delegated is for kind=load")
        if len(self.reason) > MAX_REASON_CHARACTERS or not self.reason.isprintable():
            raise BadOrder(f"a reason is one line of at most {MAX_REASON_CHARACTERS} characters")
        name = "".join(each for each in self.name if each.isprintable())[:MAX_NAME_CHARACTERS]
        return self._replace(kind=kind, name=name)


class Jobs:
    """The use cases around jobs, for HTTP and the command line alike."""

    def __init__(self, database: Database, files: JobFiles) -> None:
        self._database = database
        self.files = files

    async def submit(self, upload: Upload, order: Order, caller: Caller) -> Job:
        """Put an upload that is finished into the queue; it is removed when that fails.

        Raises BadOrder, TooManyJobs, StoreUnavailable, StoreError.
        """
        try:
            job = await make_job(self._database, _new_job(upload, order.checked(), caller))
            if job is None:
                raise TooManyJobs("too many jobs wait already; let some come to their end")
        except BaseException:
            self.files.drop_upload(upload.name)
            raise
        return job

    async def find(self, number: int) -> Job | None:
        """Return a job as it stands.  Raises StoreUnavailable, StoreError."""
        return await find_job(self._database, number)

    async def list(self, before: int | None = None, limit: int = MAX_PAGE) -> Sequence[Job]:
        """Return jobs, the newest first.  Raises StoreUnavailable, StoreError."""
        return await list_jobs(self._database, before, min(limit, MAX_PAGE))

    async def cancel(self, number: int) -> Job | None:
        """Ask a job to stop after the rows it is at; those that are done stay.

        Raises StoreUnavailable, StoreError.
        """
        await cancel_job(self._database, number)
        job = await self.find(number)
        if job is not None and job.is_over:
            self.files.drop_upload(job.asked.file)
        return job


def _new_job(upload: Upload, order: Order, caller: Caller) -> NewJob:
    return NewJob(
        kind=order.kind or JobKind.LOAD,
        format=order.format,
        is_dry_run=order.is_dry_run,
        delegated=order.delegated,
        name=order.name,
        file=upload.name,
        size=upload.size,
        caller_handle=caller.handle,
        caller_index=caller.index,
        means=caller.means,
        reason=order.reason,
    )
