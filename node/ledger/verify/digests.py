"""Digests of bodies, which is most of the work of a verification, made by other processes where there are other cores.

What comes back is compared by who asked, in the order in which it was asked for: with helpers or without, a run says
the same.  Helpers are forked, so they need no file to start from, and the zipapp has them too; where a system cannot
fork, for little evidence, and when they are lost, the work is done here.

Each has a line of its own, so that one that is killed is known by its end.  The pool of the standard library waits for
ever, before Python 3.11.6, for a helper that was killed while it was written to (CPython issue 94777).
"""

import multiprocessing
import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from hashlib import sha256
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import NamedTuple

from node.ledger.block import record_root, sm3
from node.ledger.record import RECORD_BYTES, first_bad

MAX_HELPERS = 4
LITTLE_BYTES = 8 * 2**20  # of bodies: done before helpers would have started
BATCH_BYTES = 2**18
WAITING_BATCHES = 32  # handed out and not done, for each helper: 8 MB


class Task(NamedTuple):
    """A body, and where its records should stand."""

    body: bytes
    lane: int
    epoch: int
    first: int


class Digests(NamedTuple):
    """What a body comes to; the number of its first record that is not whole or not in its place, None: all are."""

    sha256: str
    sm3: str
    root: str
    bad: int | None


def digests_of(task: Task) -> Digests:
    """Work out the digests of a body."""
    body = task.body
    is_whole = len(body) % RECORD_BYTES == 0
    return Digests(
        sha256(body).hexdigest(),
        sm3(body),
        record_root(body).hex(),
        first_bad(body, task.lane, task.epoch, task.first) if is_whole else None,
    )


def digest_all(tasks: Sequence[Task]) -> list[Digests]:
    """Work out the digests of some bodies."""
    return list(map(digests_of, tasks))


def helpers_here() -> int:
    """Return how many helpers are worth it here: a core each, but for the one that asks."""
    if "fork" not in multiprocessing.get_all_start_methods():
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min((cores or 1) - 1, MAX_HELPERS)


class _Helpers:
    """Forked processes, each with a thread that waits for it."""

    def __init__(self, count: int) -> None:
        self._idle: SimpleQueue[Connection] = SimpleQueue()
        self._lines = [_fork() for _ in range(count)]  # before there is any thread
        for line in self._lines:
            self._idle.put(line)
        self._threads = ThreadPoolExecutor(count)

    def submit(self, batch: list[Task]) -> "Future[list[Digests]]":
        """Have a batch done; its result raises OSError or EOFError when the helper is lost."""
        return self._threads.submit(self._ask, batch)

    def close(self) -> None:
        """Let the helpers go."""
        self._threads.shutdown(cancel_futures=True)
        for line in self._lines:
            line.close()

    def _ask(self, batch: list[Task]) -> list[Digests]:
        line = self._idle.get()
        try:
            line.send(batch)
            done: list[Digests] = line.recv()
        finally:
            self._idle.put(line)
        return done


def _fork() -> Connection:
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    context.Process(target=_serve, args=(theirs, ours), daemon=True).start()
    theirs.close()  # the helper alone has it: when it ends, the line does
    return ours


def _serve(line: Connection, other_end: Connection) -> None:
    """What a helper does until nobody asks any more."""
    other_end.close()
    with suppress(EOFError, OSError, KeyboardInterrupt):
        while True:
            line.send(digest_all(line.recv()))


class Digester:
    """Takes bodies, and gives their digests back in the same order."""

    def __init__(self, helpers: int, little: int = LITTLE_BYTES) -> None:
        """`little` is how many bytes of bodies are done here in any case."""
        self._helpers = helpers
        self._little = little
        self._pool: _Helpers | None = None
        self._done: list[Digests] = []
        self._batch: list[Task] = []
        self._batch_bytes = 0
        self._waiting: deque[tuple[list[Task], Future[list[Digests]]]] = deque()

    def take(self, task: Task) -> None:
        """Take a body."""
        self._batch.append(task)
        self._batch_bytes += len(task.body) + RECORD_BYTES  # so that empty ones are handed out, too
        if self._batch_bytes >= BATCH_BYTES:
            self._hand_out()

    def ready(self) -> list[Digests]:
        """Return the digests that are there, in the order of their bodies, and hold them no longer."""
        done, self._done = self._done, []
        return done

    def finish(self) -> list[Digests]:
        """Return the digests of all bodies that are still owed, in their order."""
        self._hand_out()
        while self._waiting:
            self._collect()
        if self._pool is not None:
            self._pool.close()
            self._pool = None
        return self.ready()

    def _hand_out(self) -> None:
        batch, self._batch = self._batch, []
        self._little -= self._batch_bytes
        self._batch_bytes = 0
        if self._little > 0 or not self._helpers:
            self._done += digest_all(batch)
            return
        if self._pool is None:
            self._pool = _Helpers(self._helpers)
        self._waiting.append((batch, self._pool.submit(batch)))
        if len(self._waiting) > WAITING_BATCHES * self._helpers:
            self._collect()

    def _collect(self) -> None:
        """Wait for the oldest batch."""
        try:
            self._done += self._waiting[0][1].result()
            self._waiting.popleft()
        except (EOFError, OSError):
            self._give_up()

    def _give_up(self) -> None:
        """Helpers were lost, say to a lack of memory: do here what they had, and all that follows."""
        self._helpers = 0
        for batch, _ in self._waiting:
            self._done += digest_all(batch)
        self._waiting.clear()
