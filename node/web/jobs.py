"""`/v1/jobs` on the admin listener: bulk jobs handed in, watched, cancelled, and their results fetched.

The body of a POST is the file itself.  It is written to the disk as it comes; a job exists once all of it is there.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from fastapi import Request
from fastapi.responses import Response, StreamingResponse

from node.registry.jobfiles import FilesFailed, Upload, UploadTooLarge, read_blocks
from node.registry.jobs import MAX_PAGE, BadOrder, Jobs, Order, TooManyJobs
from node.store.jobs import Job, JobFormat, JobKind, JobState
from node.web.asked import Asked, Told, respond
from node.web.operators import OperatorDesk
from resolver.precondition import read_reason
from resolver.problem import Problem
from resolver.registrar import Caller, Scope
from resolver.target import Parameters, TargetError

ROOT = b"/v1/jobs"
NDJSON_TYPE = "application/x-ndjson"
BLOCK_SECONDS = 60.0  # in which the next part of an upload must come
MAX_NUMBER = 2**63 - 1

_SUBMITS = frozenset({Scope.WRITE})  # a dry run too: it tells what is there
_TYPES = {
    "application/x-ndjson": JobFormat.NDJSON,
    "application/json": JobFormat.NDJSON,
    "text/csv": JobFormat.CSV,
    "text/plain": JobFormat.BATCH,
}
Json = dict[str, object]
Word = TypeVar("Word", bound=StrEnum)


class JobsApi:
    """The endpoints; each is handed a request and returns the response."""

    def __init__(self, jobs: Jobs, desk: OperatorDesk, wake: Callable[[], None]) -> None:
        """`wake` tells the runner that there is work."""
        self._jobs = jobs
        self._desk = desk
        self._wake = wake

    async def submit(self, request: Request) -> Response:
        """POST: a new job."""
        return await self._desk.serve(request, ROOT, self._submit, _SUBMITS)

    async def list(self, request: Request) -> Response:
        """GET: jobs, the newest first."""
        return await self._desk.serve(request, ROOT, self._list)

    async def show(self, request: Request) -> Response:
        """GET `/v1/jobs/{job}`: how far a job has come."""
        return await self._desk.serve(request, ROOT, self._show)

    async def cancel(self, request: Request) -> Response:
        """DELETE `/v1/jobs/{job}`: stop a job; what it has done stays."""
        return await self._desk.serve(request, ROOT, self._cancel)

    async def results(self, request: Request) -> Response:
        """GET `/v1/jobs/{job}/results`: what became of each row so far."""
        return await self._desk.serve(request, ROOT, self._results)

    async def _submit(self, asked: Asked, caller: Caller) -> Response:
        order = _order(asked)
        try:
            order = order.checked()
            with self._jobs.files.receive() as upload:
                await _receive(asked.request, upload)
            job = await self._jobs.submit(upload, order, caller)
        except BadOrder as error:
            raise TargetError(str(error)) from error
        except UploadTooLarge as error:
            raise _problem(413, "content_too_large", str(error)) from error
        except FilesFailed as error:
            raise _problem(507, "insufficient_storage", str(error)) from error
        except TooManyJobs as error:
            raise _problem(503, "unavailable", str(error)) from error
        self._wake()
        return respond(202, show_job(job), {"Location": f"/v1/jobs/{job.id}"})

    async def _list(self, asked: Asked, _caller: Caller) -> Response:
        limit = _number(asked.parameters, b"limit", MAX_PAGE) or MAX_PAGE
        before = _number(asked.parameters, b"before", MAX_NUMBER)
        jobs = await self._jobs.list(before, limit)
        body: Json = {"jobs": [show_job(job) for job in jobs]}
        return respond(200, body | ({"before": jobs[-1].id} if len(jobs) == limit else {}))

    async def _show(self, asked: Asked, _caller: Caller) -> Response:
        return respond(200, show_job(await self._job(asked)))

    async def _cancel(self, asked: Asked, _caller: Caller) -> Response:
        job = await self._job(asked)
        return respond(202, show_job(await self._jobs.cancel(job.id) or job))

    async def _results(self, asked: Asked, _caller: Caller) -> Response:
        job = await self._job(asked)
        path = self._jobs.files.results(job.asked.file)
        if not await asyncio.to_thread(path.is_file):
            raise _problem(
                404, "no_results", "There are no results here: not yet, or on another machine"
            )
        return results_of(job, path)

    async def _job(self, asked: Asked) -> Job:
        text = asked.request.path_params["job"]
        is_number = text.isascii() and text.isdigit() and len(text) <= 18
        job = await self._jobs.find(int(text)) if is_number else None
        if job is None:
            raise _problem(404, "no_such_job", "There is no such job; GET /v1/jobs lists them")
        return job


def show_job(job: Job) -> Json:
    """Return a job as JSON shows it; times in ISO 8601, `rate` in rows a second."""
    asked, reached = job.asked, job.reached
    rows = sum(reached.outcomes.values())
    return {
        "id": job.id,
        "state": job.state,
        "kind": asked.kind,
        "format": asked.format,
        "dry_run": asked.is_dry_run,
        "name": asked.name,
        "reason": asked.reason,
        "caller": f"{asked.caller_index}:{asked.caller_handle.decode('utf-8', 'replace')}",
        "means": asked.means,
        "size": asked.size,
        "bytes": asked.size if job.state is JobState.DONE else reached.bytes,
        "rows": rows,
        "errors": reached.outcomes.get("refused", 0),
        "outcomes": reached.outcomes,
        "rate": _rate(job, rows),
        "made": _time(job.made_at),
        "started": _time(job.started_at),
        "ended": _time(job.ended_at),
        "message": job.message,
    }


def results_of(job: Job, path: Path) -> Response:
    """Return the results that count, as they stand now."""
    headers = {"Content-Disposition": f'attachment; filename="job-{job.id}.results.ndjson"'}
    blocks = read_blocks(path, job.reached.results)
    return StreamingResponse(blocks, headers=headers, media_type=NDJSON_TYPE)


def _order(asked: Asked) -> Order:
    """Read what is wanted.  Raises TargetError."""
    parameters, request = asked.parameters, asked.request
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    form = _word(parameters, b"format", JobFormat) or _TYPES.get(kind)
    if form is None:
        raise TargetError("say what the body is: format=ndjson, format=csv or format=batch")
    name = parameters.first(b"name") or b""
    return Order(
        format=form,
        kind=_word(parameters, b"kind", JobKind),
        is_dry_run=parameters.flag(b"dry_run"),
        delegated=parameters.flag(b"delegated"),
        name=name.decode("utf-8", "replace"),
        reason=read_reason(parameters),
    )


async def _receive(request: Request, upload: Upload) -> None:
    blocks = aiter(request.stream())
    while True:
        try:
            async with asyncio.timeout(BLOCK_SECONDS):
                block = await anext(blocks, None)
        except TimeoutError as error:
            raise _problem(408, "request_timeout", "The upload came to a standstill") from error
        if block is None:
            break
        upload.write(block)
    await asyncio.to_thread(upload.finish)


def _word(parameters: Parameters, name: bytes, words: type[Word]) -> Word | None:
    text = parameters.first(name)
    if not text:
        return None
    try:
        return words(text.decode("utf-8", "replace").lower())
    except ValueError as error:
        raise TargetError(f"{name.decode()} can be {', '.join(words)}") from error


def _number(parameters: Parameters, name: bytes, limit: int) -> int | None:
    text = parameters.first(name)
    if not text:
        return None
    if not text.isdigit() or len(text) > 19 or not 0 < int(text) <= limit:
        raise TargetError(f"{name.decode()} must be a number from 1 to {limit}")
    return int(text)


def _rate(job: Job, rows: int) -> float:
    if job.started_at is None:
        return 0.0
    seconds = ((job.ended_at or datetime.now(UTC)) - job.started_at).total_seconds()
    return round(rows / seconds, 1) if seconds > 0 else 0.0


def _time(at: datetime | None) -> str | None:
    return at.isoformat(timespec="seconds") if at else None


def _problem(status: int, kind: str, detail: str) -> Told:
    return Told(Problem(status, kind, detail))
