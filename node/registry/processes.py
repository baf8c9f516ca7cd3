"""Worker processes for encoding: pure work on chunks, beside the process that talks to Postgres."""

import asyncio
import gc
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import wait

from node.registry.batches import Batch, LoadRules, encode_chunk
from node.registry.chunks import Chunk

MAX_PROCESSES = 2  # what one connection to Postgres can keep up with
CHUNKS_AHEAD = 5  # read, or being encoded, while one is written
COLLECT_AFTER = 200_000  # objects; a batch holds no cycles, and searching for them doubles its cost


@contextmanager
def encoders(*, small: bool) -> Iterator[Executor]:
    """Lend an executor: two processes, or a thread when there is too little to start them for."""
    if small:
        with ThreadPoolExecutor(max_workers=1) as thread:
            yield thread
        return
    pool = ProcessPoolExecutor(
        max_workers=min(MAX_PROCESSES, os.cpu_count() or 1),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_settle,
    )
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _settle() -> None:
    """Make this process fit to encode: Ctrl-C is the parent's business, and so is when to end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.set_threshold(COLLECT_AFTER)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


class EncodedBatches:
    """The batches of a file, in its order, with the bytes read for each; encoded ahead of need."""

    def __init__(self, chunks: Iterator[Chunk], executor: Executor, rules: LoadRules) -> None:
        self._chunks = chunks
        self._executor = executor
        self._rules = rules
        self._ahead: deque[tuple[int, asyncio.Future[Batch]]] = deque()

    async def take(self) -> tuple[int, Batch] | None:
        """Return the next batch, or None after the last.  Raises what reading raises."""
        await self._read_ahead()
        if not self._ahead:
            return None
        end, encoding = self._ahead.popleft()
        return end, await encoding

    def close(self) -> None:
        """Drop what is still being encoded."""
        for _, encoding in self._ahead:
            encoding.cancel()

    async def _read_ahead(self) -> None:
        loop = asyncio.get_running_loop()
        while len(self._ahead) < CHUNKS_AHEAD:
            # In a thread: a pipe may have nothing to read for a while.
            chunk = await asyncio.to_thread(next, self._chunks, None)
            if chunk is None:
                return
            encoding = loop.run_in_executor(self._executor, encode_chunk, chunk, self._rules)
            self._ahead.append((chunk.end, encoding))
