"""JobRunner: carries out the jobs that were handed in to this machine, one at a time among all machines.

The advisory lock is held for one job, on the connection that writes: a keeper that loses it cannot write any more.  A
job that was cut short is still "running", and is taken up again by whoever has its file.  A job ends when all processes
that answer here have heard what it wrote, so that whoever watched it to its end reads that, wherever he asks.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool

from node.registry.batches import NoSealingKey
from node.registry.jobfiles import FilesFailed
from node.registry.jobrun import JobRun, Means, RightLost
from node.registry.spreadsheet import BadHead
from node.store.changes import read_position
from node.store.database import (
    Database,
    OwnConnection,
    StoreError,
    StoreUnavailable,
    connect,
    store_errors,
)
from node.store.jobs import (
    Job,
    JobState,
    begin_job,
    end_job,
    prune_jobs,
    release_lock,
    try_lock,
    waiting_jobs,
)

POLL_SECONDS = 1.0
TROUBLED_SECONDS = 5.0  # after Postgres was away
STALE_SECONDS = 86_400.0  # after which an upload that is no job's is taken for lost
MAX_STARTS = 5  # without coming any further: a job may bring the keeper down, but not for ever

HEARD_SECONDS = 2.0  # that the end of a job waits for a process that does not read the change feed
LISTEN_SECONDS = 0.01

log = logging.getLogger(__name__)


class JobRunner:
    """Runs in the keeper until cancelled."""

    def __init__(self, database: Database, means: Means, heard_upto: Callable[[], int]) -> None:
        """`heard_upto` says which change is the newest that all processes that answer here have taken in."""
        self._database = database
        self._means = means
        self._heard_upto = heard_upto
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """A job was handed in: look at once."""
        self._wake.set()

    async def run(self) -> None:
        """Carry out jobs for ever."""
        while True:
            pause = POLL_SECONDS
            try:
                if await self.run_next():
                    continue
            except (StoreUnavailable, StoreError, BrokenProcessPool) as error:
                log.warning("jobs wait: %s", error)
                pause = TROUBLED_SECONDS
            except Exception:  # the top of the task
                log.exception("the runner of jobs failed")
                pause = TROUBLED_SECONDS
            await self._sleep(pause)

    async def run_next(self) -> bool:
        """Carry out the oldest job whose file is here; False when there is none, or another machine is at work.

        Raises StoreUnavailable, StoreError, BrokenProcessPool: the job goes on later.
        """
        jobs = await waiting_jobs(self._database)
        mine = next((job for job in jobs if self._means.files.has_upload(job.asked.file)), None)
        if mine is None:
            return False
        connection = await connect(self._database.dsn)
        try:
            with store_errors():
                begun = await begin_job(connection, mine.id) if await try_lock(connection) else None
            if begun is None:
                return False
            await self._carry_out(connection, begun)
        finally:
            connection.terminate()
        return True

    async def prune(self) -> None:
        """Forget jobs that ended long ago, and uploads that never became one.  Raises StoreUnavailable, StoreError."""
        files = self._means.files
        for name in await prune_jobs(self._database):
            files.drop(name)
        waiting = {job.asked.file for job in await waiting_jobs(self._database)}
        files.sweep(waiting, self._means.clock() - STALE_SECONDS)

    async def _carry_out(self, connection: OwnConnection, job: Job) -> None:
        log.info("job begun", extra={"job": job.id, "row": job.reached.row, "starts": job.starts})
        if job.starts > MAX_STARTS:
            state, why = JobState.FAILED, f"it was begun {MAX_STARTS} times and came no further"
        else:
            state, why = await self._outcome(JobRun(job, connection, self._means))
        await self._be_heard(job)
        with store_errors():
            await end_job(connection, job.id, state, why)
            await release_lock(connection)
        self._means.files.drop_upload(job.asked.file)
        log.info("job ended", extra={"job": job.id, "state": state.value, "reason": why})

    async def _be_heard(self, job: Job) -> None:
        """Wait until all has been heard that is written by now.  Raises StoreUnavailable, StoreError."""
        serial = (await read_position(self._database)).serial
        try:
            async with asyncio.timeout(HEARD_SECONDS):
                while self._heard_upto() < serial:  # noqa: ASYNC110  nobody tells
                    await asyncio.sleep(LISTEN_SECONDS)
        except TimeoutError:
            log.warning("a job ends before all have heard of it", extra={"job": job.id})

    async def _outcome(self, run: JobRun) -> tuple[JobState, str]:
        """Return what became of a job, and why it failed if it did."""
        try:
            return await run.run(), ""
        except (RightLost, BadHead, NoSealingKey, FilesFailed, StoreError) as error:
            return JobState.FAILED, str(error)
        except (StoreUnavailable, BrokenProcessPool):
            raise
        except Exception:
            log.exception("a job failed")
            return JobState.FAILED, "a fault of ours; the log of the keeper has its cause"

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()
