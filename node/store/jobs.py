"""Bulk jobs in Postgres: what was asked, how far each has come, and what became of it.

Law: only the holder of the advisory lock carries out a job, on the connection that holds it, so that who has lost the
lock cannot write any more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import orjson

from node.store.database import Connection, Database, Row

JOB_LOCK = 0x69646E6F_6A62  # "idnojb"
JOB_SECONDS = 5.0  # for a question about jobs, or a small change of one
MAX_WAITING = 100  # jobs that wait, or run
KEEP_DAYS = 30

_COLUMNS = """
    id, kind, format, is_dry_run, delegated, name, file, size, caller_handle, caller_index, means, reason,
    state, is_cancelled, starts, made_at, started_at, ended_at, row, bytes, results, outcomes::text, message
"""
_MAKE = f"""
insert into job (kind, format, is_dry_run, delegated, name, file, size, caller_handle,
    caller_index, means, reason)
select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11
where (select count(*) from job where state in ('queued', 'running')) < $12
returning {_COLUMNS}
"""  # noqa: S608  names of columns, nothing that anybody gave
_FIND = f"select {_COLUMNS} from job where id = $1"  # noqa: S608
_LIST = f"""
select {_COLUMNS} from job where $1::bigint is null or id < $1 order by id desc limit $2
"""  # noqa: S608
_WAITING = f"select {_COLUMNS} from job where state in ('queued', 'running') order by id"  # noqa: S608
_CANCEL = """
update job set is_cancelled = true,
    state = case state when 'queued' then 'cancelled' else state end,
    ended_at = case state when 'queued' then now() else ended_at end
where id = $1 and state in ('queued', 'running')
"""
_BEGIN = f"""
update job set state = 'running', starts = starts + 1, started_at = coalesce(started_at, now())
where id = $1 and state in ('queued', 'running') returning {_COLUMNS}
"""  # noqa: S608
_ADVANCE = """
update job set row = $2, bytes = $3, results = $4, outcomes = $5::text::jsonb, starts = 0
where id = $1 returning is_cancelled
"""
_END = "update job set state = $2, message = $3, ended_at = now() where id = $1"
_PRUNE = """
delete from job where state not in ('queued', 'running')
    and ended_at < now() - make_interval(days => $1) returning file
"""


class JobKind(StrEnum):
    """What the rows of a job are."""

    LOAD = "load"  # records as they are to be
    OPERATIONS = "operations"  # writes, each row says which


class JobFormat(StrEnum):
    """How the file of a job is written."""

    NDJSON = "ndjson"
    CSV = "csv"
    BATCH = "batch"  # of hdl-genericbatch


class JobState(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """What is asked for; see the migration for the fields."""

    kind: JobKind
    format: JobFormat
    is_dry_run: bool
    delegated: bool
    name: str
    file: str
    size: int
    caller_handle: bytes
    caller_index: int
    means: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """How far a job has come: the last row that is done, and what the rows up to it became."""

    row: int
    bytes: int
    results: int
    outcomes: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as it stands."""

    id: int
    asked: NewJob
    state: JobState
    is_cancelled: bool
    starts: int
    made_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    reached: Reached
    message: str

    @property
    def is_over(self) -> bool:
        """True when nothing will happen any more."""
        return self.state not in (JobState.QUEUED, JobState.RUNNING)


async def make_job(database: Database, asked: NewJob) -> Job | None:
    """Put a job into the queue; None when MAX_WAITING wait already.  Raises StoreUnavailable, StoreError."""
    values = (
        *(asked.kind, asked.format, asked.is_dry_run, asked.delegated, asked.name, asked.file),
        *(asked.size, asked.caller_handle, asked.caller_index, asked.means, asked.reason),
    )
    async with database.connection_for(JOB_SECONDS) as connection:
        row = await connection.fetchrow(_MAKE, *values, MAX_WAITING)
    return _job(row) if row else None


async def find_job(database: Database, number: int) -> Job | None:
    """Return a job.  Raises StoreUnavailable, StoreError."""
    async with database.connection_for(JOB_SECONDS) as connection:
        row = await connection.fetchrow(_FIND, number)
    return _job(row) if row else None


async def list_jobs(database: Database, before: int | None, limit: int) -> Sequence[Job]:
    """Return jobs, the newest first, those before a number.  Raises StoreUnavailable, StoreError."""
    async with database.connection_for(JOB_SECONDS) as connection:
        return [_job(row) for row in await connection.fetch(_LIST, before, limit)]


async def waiting_jobs(database: Database) -> Sequence[Job]:
    """Return the jobs that wait or run, the oldest first.  Raises StoreUnavailable, StoreError."""
    async with database.connection_for(JOB_SECONDS) as connection:
        return [_job(row) for row in await connection.fetch(_WAITING)]


async def cancel_job(database: Database, number: int) -> None:
    """Ask a job to stop; one that waits is cancelled at once.  Raises StoreUnavailable, StoreError."""
    async with database.connection_for(JOB_SECONDS) as connection:
        await connection.execute(_CANCEL, number)


async def try_lock(connection: Connection) -> bool:
    """Take the lock of jobs for as long as the connection lives; False when another process has it."""
    taken: bool = await connection.fetchval("select pg_try_advisory_lock($1)", JOB_LOCK)
    return taken


async def release_lock(connection: Connection) -> None:
    """Let another job begin; a connection that is cut does so too, but when Postgres notices."""
    await connection.execute("select pg_advisory_unlock($1)", JOB_LOCK)


async def begin_job(connection: Connection, number: int) -> Job | None:
    """Note that a job is being carried out; None when it is over."""
    row = await connection.fetchrow(_BEGIN, number)
    return _job(row) if row else None


async def advance_job(connection: Connection, number: int, reached: Reached) -> bool:
    """Note how far a job has come, in the open transaction; True when it is to stop."""
    is_cancelled: bool = await connection.fetchval(
        _ADVANCE,
        *(number, reached.row, reached.bytes, reached.results),
        orjson.dumps(reached.outcomes).decode(),
    )
    return is_cancelled


async def end_job(connection: Connection, number: int, state: JobState, message: str = "") -> None:
    """Note what became of a job."""
    await connection.execute(_END, number, state, message)


async def prune_jobs(database: Database) -> list[str]:
    """Forget jobs that ended KEEP_DAYS ago and return their files.  Raises StoreUnavailable, StoreError."""
    async with database.connection_for(JOB_SECONDS) as connection:
        return [row[0] for row in await connection.fetch(_PRUNE, KEEP_DAYS)]


def _job(row: Row) -> Job:
    asked = NewJob(
        kind=JobKind(row["kind"]),
        format=JobFormat(row["format"]),
        is_dry_run=row["is_dry_run"],
        delegated=row["delegated"],
        name=row["name"],
        file=row["file"],
        size=row["size"],
        caller_handle=row["caller_handle"],
        caller_index=row["caller_index"],
        means=row["means"],
        reason=row["reason"],
    )
    return Job(
        id=row["id"],
        asked=asked,
        state=JobState(row["state"]),
        is_cancelled=row["is_cancelled"],
        starts=row["starts"],
        made_at=row["made_at"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        reached=Reached(
            row=row["row"],
            bytes=row["bytes"],
            results=row["results"],
            outcomes=orjson.loads(row["outcomes"]),
        ),
        message=row["message"],
    )
