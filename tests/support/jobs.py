"""A runner of jobs on a test's database, and a hand that gives it files."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from node.registry.jobfiles import JobFiles
from node.registry.jobrun import Means
from node.registry.jobrunner import JobRunner
from node.registry.jobs import Jobs, Order
from node.registry.operators import Operators
from node.registry.preparation import Policy
from node.store.database import Database
from node.store.jobs import Job, JobFormat, JobKind
from node.store.keys import RecordKeys
from resolver.identifier import IdentifierError
from resolver.keys.seal import Seal
from resolver.registrar import Caller
from resolver.schemes import parse_handle
from resolver.wire import HandleValue, Reference, decode_values

Json = dict[str, object]
OPERATOR = Caller(b"", 0, "operator", is_operator=True)
GROUP = Reference(b"88.118.8/ADMINS", 200)  # whom the bench takes for administrators of the server


def canonical(handle: bytes) -> bytes | None:
    """A handle's canonical key, None when it is none."""
    try:
        return parse_handle(handle, case_sensitive=False).key
    except IdentifierError:
        return None


class JobBench:
    """Hands in jobs, has them carried out, and looks at what came of it."""

    def __init__(self, database: Database, directory: Path) -> None:
        self.database = database
        self.files = JobFiles(directory)
        self.heard_upto: Callable[[], int] = lambda: sys.maxsize  # nobody answers who could be late
        self.jobs = Jobs(database, self.files)
        self.sealing_key = directory / "sealing.key"
        self.runner = self.another_runner()

    def another_runner(self, directory: Path | None = None) -> JobRunner:
        """A runner as another keeper would have, on its own directory if one is given."""
        files = JobFiles(directory) if directory else self.files
        seal = Seal.load_or_make(self.sealing_key)
        policy = Policy((GROUP,), canonical)
        operators = Operators(policy, RecordKeys(self.database, seal))
        means = Means(files, policy, operators, seal, self.sealing_key, case_sensitive=False)
        return JobRunner(self.database, means, lambda: self.heard_upto())

    async def hand_in(
        self,
        content: bytes,
        *,
        format: JobFormat = JobFormat.NDJSON,  # noqa: A002  as the order calls it
        kind: JobKind | None = None,
        is_dry_run: bool = False,
        reason: str = "",
        caller: Caller = OPERATOR,
    ) -> Job:
        """Put a job into the queue."""
        with self.files.receive() as upload:
            upload.write(content)
            upload.finish()
        order = Order(format, kind, is_dry_run, name="test", reason=reason)
        return await self.jobs.submit(upload, order, caller)

    async def do(self, content: bytes, **order: Any) -> tuple[Job, list[Json]]:
        """Have a job carried out, and return it with its results."""
        job = await self.hand_in(content, **order)
        await self.carry_out()
        return await self.look(job)

    async def carry_out(self, runner: JobRunner | None = None) -> None:
        """Carry out the oldest job, once Postgres has noticed that who had the lock is gone."""
        async with asyncio.timeout(60):
            while not await (runner or self.runner).run_next():  # noqa: ASYNC110  nobody tells
                await asyncio.sleep(0.02)

    async def look(self, job: Job) -> tuple[Job, list[Json]]:
        """Return a job as it stands, with the results that count."""
        found = await self.jobs.find(job.id)
        assert found is not None
        return found, self.results(found)

    def results(self, job: Job) -> list[Json]:
        """The results that count."""
        text = self.files.results(job.asked.file).read_bytes()[: job.reached.results]
        return [orjson.loads(each) for each in text.splitlines()]

    async def values(self, key: bytes) -> tuple[HandleValue, ...] | None:
        """All values of a record that is alive."""
        async with self.database.connection() as connection:
            encoded = await connection.fetchval(
                "select coalesce(whole, wire) from record where key = $1 and gone is null", key
            )
        return None if encoded is None else decode_values(encoded)

    async def versions(self, key: bytes) -> list[dict[str, Any]]:
        """All versions of a record, the oldest first."""
        async with self.database.connection() as connection:
            rows = await connection.fetch(
                "select * from version where key = $1 order by version", key
            )
        return [dict(row) for row in rows]

    async def scalar(self, statement: str) -> Any:
        """What a statement says."""
        async with self.database.connection() as connection:
            return await connection.fetchval(statement)


def lines(*items: Json) -> bytes:
    """NDJSON."""
    return b"\n".join(map(orjson.dumps, items))
