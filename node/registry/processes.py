"""Worker processes for encoding: pure work on chunks, beside the process that talks to Postgres.

Until they have started, which takes as long as ten thousand records, a thread does their work.
"""

import asyncio
import gc
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import wait
from typing import ParamSpec, TypeVar

from node.registry.batches import Batch, LoadRules, encode_chunk
from node.registry.chunks import Chunk

MAX_PROCESSES = 2  # one merges while the other encodes; Postgres keeps up with no more
CHUNKS_AHEAD = 5  # read, or being encoded, while one is written
TURN_SECONDS = 0.0005  # of a thread, while another waits for it
COLLECT_AFTER = 200_000  # objects; a batch holds no cycles, and searching for them doubles its cost

Given = ParamSpec("Given")
Made = TypeVar("Made")


@contextmanager
def encoders(*, small: bool) -> Iterator[Executor]:
    """Lend an executor: processes, or a thread alone when there is too little to start them for."""
    with ThreadPoolExecutor(max_workers=1) as thread, _rare_collections(), _quick_turns():
        if small:
            yield thread
            return
        with _processes() as pool:
            yield _Encoders(thread, pool)


class _Encoders(Executor):
    """The processes, once the first of them answers; the thread before."""

    def __init__(self, thread: Executor, processes: Executor) -> None:
        self._thread = thread
        self._processes = processes
        self._started = processes.submit(os.getpid)

    def submit(
        self, fn: Callable[Given, Made], /, *args: Given.args, **kwargs: Given.kwargs
    ) -> Future[Made]:
        """Raises BrokenProcessPool: a process was killed."""
        chosen = self._processes if self._started.done() else self._thread
        return chosen.submit(fn, *args, **kwargs)


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Search this process for cycles less often: batches are many objects and have none."""
    before = gc.get_threshold()
    gc.set_threshold(COLLECT_AFTER, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


@contextmanager
def _quick_turns() -> Iterator[None]:
    """Have a thread that encodes give way soon: the event loop needs a dozen turns to write a batch."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(TURN_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


@contextmanager
def _processes() -> Iterator[Executor]:
    pool = ProcessPoolExecutor(
        max_workers=min(MAX_PROCESSES, os.cpu_count() or 1),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_settle,
    )
    try:
        yield pool
    finally:
        # Nobody waits: before Python 3.11.6 that may take for ever when a process was killed (CPython issue 94777).
        pool.shutdown(wait=False, cancel_futures=True)


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
