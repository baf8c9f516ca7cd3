"""One run of a job: from where it stands to its end, or to where it is cut off.

Law: the position is committed with the effects of the rows before it, and the results of those rows are on the disk by
then; so after a crash the next run begins exactly there, and cuts off results that no commit speaks of.  A dry run has
no effects and begins anew.  Who handed the job in must be an operator still: that is asked at every start, and before
each chunk.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from node.registry.batches import Batch, LoadRules
from node.registry.chunks import Chunk, cut_lines
from node.registry.genericbatch import cut_generic_batch
from node.registry.jobfiles import FilesFailed, JobFiles, Results
from node.registry.loading import BatchWriter, Effect
from node.registry.operating import OperationWriter, groups
from node.registry.operators import Operators
from node.registry.outcomes import RowResult, Told, add_up, refusals, tell, tell_of_load
from node.registry.preparation import Policy
from node.registry.processes import EncodedBatches, encoders
from node.registry.rowwrites import RowRules, RowWrite, read_rows
from node.registry.spreadsheet import cut_spreadsheet
from node.store.database import Connection, OwnConnection, store_errors
from node.store.jobs import Job, JobFormat, JobKind, JobState, Reached, advance_job
from node.store.load import Author
from resolver.keys.seal import Seal
from resolver.registrar import OPERATOR, Caller

SMALL_FILE_BYTES = 16 << 20  # below this, starting processes costs more than it saves

_CUTS = {
    JobFormat.NDJSON: cut_lines,
    JobFormat.CSV: cut_spreadsheet,
    JobFormat.BATCH: cut_generic_batch,
}


class RightLost(Exception):
    """Who handed the job in is no operator any more."""


class Means(NamedTuple):
    """What runs need besides the job itself; `seal` is the key in the file `sealing_key`."""

    files: JobFiles
    policy: Policy
    operators: Operators
    seal: Seal
    sealing_key: Path
    case_sensitive: bool
    clock: Callable[[], float] = time.time


class JobRun:
    """A job under way over the connection that holds the lock."""

    def __init__(self, job: Job, connection: OwnConnection, means: Means) -> None:
        self._job = job
        self._asked = job.asked
        self._connection = connection
        self._means = means
        self._results = Results(means.files.results(job.asked.file))
        self._is_cancelled = job.is_cancelled
        self._reached = job.reached
        if job.asked.is_dry_run:
            self._reached = Reached(row=0, bytes=0, results=0, outcomes={})
        self._next = self._reached  # in the transaction that is open

    async def run(self) -> JobState:
        """Carry the job out and return what became of it.

        Raises RightLost, BadHead, NoSealingKey, FilesFailed, BrokenProcessPool, StoreUnavailable, StoreError.
        """
        await self._check_author()
        chunks = self._chunks()
        if self._reached.results == 0:
            await asyncio.to_thread(self._results.write, 0, b"")
        if self._asked.kind is JobKind.LOAD:
            await self._load(chunks)
        else:
            await self._operate(chunks)
        return JobState.CANCELLED if self._is_cancelled else JobState.DONE

    def _chunks(self) -> Iterator[Chunk]:
        """Read what is not done yet.  Raises BadHead, FilesFailed."""
        done = self._reached.row
        try:
            with self._means.files.upload(self._asked.file).open("rb") as stream:
                for chunk in _CUTS[self._asked.format](stream):
                    if chunk.last > done:
                        yield chunk.after(done) if done else chunk
        except OSError as error:
            raise FilesFailed(f"cannot read what was handed in: {error.strerror}") from error

    async def _load(self, chunks: Iterator[Chunk]) -> None:
        rules = LoadRules(
            int(self._means.clock()),
            self._means.sealing_key,
            delegated=self._asked.delegated,
            case_sensitive=self._means.case_sensitive,
        )
        author = Author(self._caller.name, self._asked.means, self._origin, self._asked.reason)
        with encoders(small=self._asked.size < SMALL_FILE_BYTES) as executor:
            writer = BatchWriter(self._connection, executor, author, rules.now)
            await writer.prepare()
            batches = EncodedBatches(chunks, executor, rules)
            try:
                while not self._is_cancelled and (found := await batches.take()):
                    await self._check_author()
                    await self._load_batch(writer, *found)
            finally:
                batches.close()

    async def _load_batch(self, writer: BatchWriter, end: int, batch: Batch) -> None:
        if self._asked.is_dry_run:
            effect = await writer.plan(batch)
            await self._advance_alone(batch.last, end, tell_of_load(batch, effect))
            return

        async def advance(_: Connection, effect: Effect) -> None:
            await self._advance(batch.last, end, tell_of_load(batch, effect))

        await writer.write(batch, advance)
        self._reached = self._next

    async def _operate(self, chunks: Iterator[Chunk]) -> None:
        means = self._means
        writer = OperationWriter(self._connection, means.policy, means.seal, means.clock)
        rules = RowRules(
            caller=self._caller,
            origin=self._origin,
            reason=self._asked.reason,
            now=int(means.clock()),
            case_sensitive=means.case_sensitive,
        )
        while not self._is_cancelled:
            chunk = await asyncio.to_thread(next, chunks, None)
            if chunk is None:
                return
            await self._check_author()
            writes, errors = await asyncio.to_thread(read_rows, chunk, rules)
            await self._operate_chunk(writer, chunk, writes, refusals(errors))

    async def _operate_chunk(
        self,
        writer: OperationWriter,
        chunk: Chunk,
        writes: Sequence[RowWrite],
        refused: list[RowResult],
    ) -> None:
        for group in groups(writes):
            row = group[-1].row
            before = [each for each in refused if each.row < row]
            refused = refused[len(before) :]
            await self._operate_group(writer, group, chunk.end, before)
            if self._is_cancelled:
                return
        if refused:
            await self._advance_alone(chunk.last, chunk.end, tell(refused))

    async def _operate_group(
        self, writer: OperationWriter, group: list[RowWrite], end: int, refused: list[RowResult]
    ) -> None:
        row = group[-1].row
        if self._asked.is_dry_run:
            await self._advance_alone(row, end, tell(sorted(refused + await writer.plan(group))))
            return

        async def advance(_: Connection, results: Sequence[RowResult]) -> None:
            await self._advance(row, end, tell(sorted([*refused, *results])))

        await writer.write(group, advance)
        self._reached = self._next

    async def _advance(self, row: int, end: int, told: Told) -> None:
        """Note in the open transaction how far it comes; it counts once that is committed."""
        reached = self._reached
        await asyncio.to_thread(self._results.write, reached.results, told.lines)
        length = reached.results + len(told.lines)
        outcomes = add_up(reached.outcomes, told.outcomes)
        self._next = Reached(row=row, bytes=end, results=length, outcomes=outcomes)
        self._is_cancelled = await advance_job(self._connection, self._job.id, self._next)

    async def _advance_alone(self, row: int, end: int, told: Told) -> None:
        with store_errors():
            await self._advance(row, end, told)
        self._reached = self._next

    async def _check_author(self) -> None:
        """Raise RightLost when who handed the job in could not do so any more; also StoreUnavailable."""
        author = replace(self._caller, is_operator=self._asked.means == OPERATOR)
        if not await self._means.operators.admits(author):
            raise RightLost(f"{author.name} handed it in, and may not operate this node any more")

    @property
    def _caller(self) -> Caller:
        """Who handed the job in, with all the rights of the operator that he is."""
        asked = self._asked
        return Caller(asked.caller_handle, asked.caller_index, asked.means, is_operator=True)

    @property
    def _origin(self) -> str:
        return f"job {self._job.id}"
