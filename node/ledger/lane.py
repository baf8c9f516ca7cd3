"""Lane: where the answers of one worker are counted, one record each.  `append` is the only place that counts.

Laws.  A record is whole in the mapped file before `append` returns, and its answer is sent after that, so a killed
process has counted all it answered.  The event loop's thread alone appends: no lock, no call of the kernel.  Numbers
run from 1 without a hole in each epoch.  What cannot be recorded is either not answered (`fails_closed`), or it is
answered, counted as uncounted, and told in the file.

Two clocks: the monotonic one comes with each call, the wall clock is what `tick` last found it to be ahead.
"""

import asyncio
import logging
import mmap
import os
import struct
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import repeat
from pathlib import Path
from typing import Self

from isal.isal_zlib import crc32

from node.ledger.flusher import Flusher, Retired
from node.ledger.lanefile import (
    HEADER_BYTES,
    Durability,
    Header,
    LaneError,
    Line,
    Uncounted,
    boot_id,
    lane_path,
    lock_lane,
)
from node.ledger.laneterms import Clocks, LaneTerms
from node.ledger.openfile import EpochNumbers, OpenFile
from node.ledger.parties import NO_STAMP, Counted, Requester, Subject
from node.ledger.record import (
    BODY_LAYOUT,
    CRC_LAYOUT,
    RECORD_BYTES,
    RecordFlag,
)
from node.ledger.recovery import settle_epochs
from node.ledger.tags import short_sha256
from resolver.observe import Event
from resolver.recorder import REFUSED

LONGEST_EPOCH_NS = 40 * 86_400 * 10**9  # mono_ms would wrap after 49 days
STEP_US = 10**6  # by which the clocks may come apart
LOCK_SECONDS = 2.0  # how long a killed predecessor, or the sealer, may hold a lane
_LOCK_POLL_SECONDS = 0.02
_US = 1_000
_FIRST_AT = HEADER_BYTES - RECORD_BYTES  # records are numbered from 1
_TROUBLE = (struct.error, ValueError, OSError, LaneError)

_pack, _store = BODY_LAYOUT.pack, CRC_LAYOUT.pack_into
log = logging.getLogger(__name__)


class NotCounted(Exception):
    """The answer could not be recorded, and so must not be given: refuse the request as overloaded."""


class Lane:
    """One worker's lane; an epoch of it is open, or the disk has no room.

    `epoch` and `seq` are those of the newest record; `seq` counts what is in the epoch.  Subjects that bear another
    `stamp` are looked up anew by `renewed`.
    """

    def __init__(
        self,
        directory: Path,
        lane: int,
        lock: int,
        terms: LaneTerms,
        clocks: Clocks,
        happened: Callable[[Event], None],
    ) -> None:
        """Use `open`."""
        self.lane = lane
        self.epoch = 0
        self.seq = 0
        self.stamp = NO_STAMP + 1
        self.renewed: Callable[[Subject], Subject] = _as_it_is
        self.nonces: Iterator[bytes] = repeat(bytes(4))  # for requests without an id
        self.terms = terms
        self._directory = directory
        self._lock = lock
        self._clocks = clocks
        self._happened = happened
        self._numbers = EpochNumbers(directory, lane, lock)
        self._number = 0  # that was taken for an epoch there was no room for
        self._file: OpenFile | None = None
        self._mapping: mmap.mmap | bytearray = bytearray()  # no room for anything
        self._capacity = 0
        self._seed = 0
        self._opened_ns = self._opened_us = 0
        self._lost = Uncounted()
        self._clock_flag = 0
        self._ahead_us = self._opened_ahead_us = self._ahead()
        self._waiting: deque[tuple[int, int, asyncio.Future[None]]] = deque()
        self._flusher = Flusher(
            self._progress, self._make_file, self._synced, clocks, terms.durability
        )

    @classmethod
    def open(
        cls,
        directory: Path,
        lane: int,
        happened: Callable[[Event], None],
        *,
        terms: LaneTerms = LaneTerms(),  # noqa: B008  an immutable value
        clocks: Clocks = Clocks(),  # noqa: B008
    ) -> Self:
        """Take a lane for this process, close what an earlier one left open, and open an epoch.

        A disk without room is no reason to fail: `append` says what happens then.  Raises LaneError: another process
        has the lane, or its files are damaged; OSError: the directory cannot be used.
        """
        terms.check(lane)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = _take_lock(directory, lane)
        try:
            settle_epochs(directory, lane, clocks.wall_ns() // _US)
            opened = cls(directory, lane, lock, terms, clocks, happened)
            opened._numbers.last_taken()
            opened._advance()
        except BaseException:
            os.close(lock)
            raise
        opened._flusher.start()
        return opened

    def append(self, party: Requester, subject: Subject, number: int, now_ns: int) -> int:
        """Count one answer, which is final and about to be sent; return its number, 0 when it could not be counted.

        `number` is that of its outcome; `now_ns` is a reading of the monotonic clock, no older than the one before.
        REFUSED: it could not be counted, and the lane fails closed.
        """
        try:
            asker, nonce, outcomes = party
            now_us = now_ns // 1_000
            t_us = now_us + self._ahead_us
            if t_us >= asker.until_us:
                asker.renew(asker, t_us)
            stamp, id_tag, prefix_no, marks, _ = subject
            if stamp != self.stamp:
                _, id_tag, prefix_no, marks, _ = self.renewed(subject)
            budget = asker.budget
            left = budget.left - 1
            head, flags = outcomes[number]
            seq = self.seq + 1
            body = _pack(
                seq,
                t_us,
                (now_us - self._opened_us) // 1_000,
                (asker.head if left >= 0 else asker.excess) + head,
                id_tag,
                asker.tags,
                prefix_no,
                asker.rule,
                flags + marks + self._clock_flag,
                asker.agent_no,
                next(self.nonces) if nonce is None else nonce,
            )
            _store(self._mapping, seq * RECORD_BYTES + _FIRST_AT, body, crc32(body, self._seed))
        except _TROUBLE as error:
            return self._append_late(party, subject, number, now_ns, error)
        budget.left = left
        self.seq = seq
        return seq

    def append_all(self, answers: Sequence[Counted], now_ns: int) -> int:
        """Count answers that are about to be sent together, as `append` does one by one.

        Returns how many of them, from the first on, may be given: all, unless the lane fails closed.
        """
        now_us = now_ns // 1_000
        t_us, mono_ms = now_us + self._ahead_us, (now_us - self._opened_us) // 1_000
        mapping, seed, clock_flag = self._mapping, self._seed, self._clock_flag
        nonces, stamp_now, first = self.nonces, self.stamp, self.seq
        seq, at = first, first * RECORD_BYTES + _FIRST_AT
        try:
            for party, asked, (stamp, id_tag, prefix_no, marks, key), number in answers:
                asker, nonce, outcomes = party
                if t_us >= asker.until_us:
                    asker.renew(asker, t_us)
                    stamp_now = self.stamp
                if stamp != stamp_now:
                    old = stamp, id_tag, prefix_no, marks, key
                    _, id_tag, prefix_no, marks, _ = self.renewed(old)
                budget = asker.budget
                left = budget.left - 1
                head, flags = outcomes[number]
                at += RECORD_BYTES
                body = _pack(
                    seq + 1,
                    t_us,
                    mono_ms,
                    (asker.head if left >= 0 else asker.excess) + head,
                    id_tag,
                    asker.tags,
                    prefix_no,
                    asker.rule,
                    flags + marks + clock_flag,
                    asker.agent_no,
                    short_sha256(asked).digest() if asked else nonce or next(nonces),
                )
                _store(mapping, at, body, crc32(body, seed))
                budget.left = left
                seq += 1
        except _TROUBLE:
            self.seq = seq
            return seq - first + self._append_each(answers[seq - first :], now_ns)
        self.seq = seq
        return seq - first

    def wall_ns(self) -> int:
        """Return the time by the wall clock, in nanoseconds since 1970 UTC."""
        return self._clocks.wall_ns()

    async def committed(self, seq: int) -> None:
        """Wait until the disk has the record that `append` has just returned, if the lane is strict.

        Raises NotCounted when the disk does not take it and the lane fails closed.
        """
        if self.terms.durability is not Durability.STRICT or not seq:
            return
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((self.epoch, seq, future))
        self._flusher.wake()
        await future

    def tick(self) -> bool:
        """Once a second: compare the clocks, count what the flusher tells, leave an epoch that is old or damaged.

        True when the wall clock was set back: what was decided until a time of day must be decided afresh.
        """
        while self._flusher.told:
            self._happened(self._flusher.told.popleft())
        step_us = self._compare_clocks()
        file = self._file
        if file is None or file.is_damaged or self._is_old():
            self._flusher.wants_next = True
            if self._flusher.next is not None:
                self._advance()
        return step_us <= -STEP_US

    def close(self) -> None:
        """Have the disk take everything, say that this was the end, and let the lane go."""
        self._flusher.stop()
        self._flusher.discard_next()  # before the end is told: the sealer goes on to what comes after
        file, self._file, self._mapping = self._file, None, bytearray()
        if file is not None:
            self._flusher.retired.append(Retired(file, self.seq))
            self._flusher.flush()
        self._capacity = self.seq = 0
        os.close(self._lock)

    def _append_late(
        self, party: Requester, subject: Subject, number: int, now_ns: int, error: Exception
    ) -> int:
        """The record had no room, mostly; it gets it in the next epoch."""
        if self.seq >= self._capacity and self._advance():
            return self.append(party, subject, number, max(now_ns, self._opened_ns))
        if self.terms.fails_closed:
            return REFUSED
        self._leave_uncounted(now_ns // _US + self._ahead_us, error)
        return 0

    def _append_each(self, answers: Sequence[Counted], now_ns: int) -> int:
        """Return how many, from the first on, are counted or may go uncounted."""
        for done, ((asker, nonce, outcomes), asked, subject, number) in enumerate(answers):
            party = asker, short_sha256(asked).digest() if asked else nonce, outcomes
            if self.append(party, subject, number, max(now_ns, self._opened_ns)) == REFUSED:
                return done
        return len(answers)

    def _leave_uncounted(self, t_us: int, error: Exception) -> None:
        answers, from_us, _ = self._lost
        self._lost = Uncounted(answers + 1, from_us or t_us, t_us)
        if self._file is not None:
            self._file.write_line(Line.UNCOUNTED, *self._lost)
        self._happened(Event.LEDGER_UNCOUNTED)
        if not answers:
            log.error("answers are given and not counted", extra={"reason": str(error)})

    def _advance(self) -> bool:
        """Go on in the next epoch; False when there is no room for it."""
        file = self._flusher.obtain()
        if file is None:
            return False
        before, last = self._file, self.seq
        self.seq = 0  # first: the flusher looks at the file, then at this
        self._file, self._mapping = file, file.mapping
        self.epoch, self._capacity = file.header.epoch, file.header.capacity
        self._seed, self._opened_ns = file.seed, file.opened_ns
        self._opened_us = file.opened_ns // _US
        self._opened_ahead_us = file.header.created_us - self._opened_us  # as it was made
        self._flag_clock()
        if before is not None:
            self._flusher.retired.append(Retired(before, last))
            self._lost = Uncounted()  # told in the file before
        elif self._lost.answers:
            file.write_line(Line.UNCOUNTED, *self._lost)
        return True

    def _make_file(self) -> OpenFile:
        """Also called from the flusher's thread, never from both at once."""
        terms, clocks = self.terms, self._clocks
        created_us, opened_ns = clocks.wall_ns() // _US, clocks.monotonic_ns()
        if not self._number or lane_path(self._directory, self.lane, self._number).exists():
            self._number = self._numbers.take()
        kept = terms.durability, terms.origin
        header = Header(self.lane, self._number, terms.capacity, created_us, boot_id(), *kept)
        file = OpenFile.make(self._directory, header, opened_ns)
        self._number = 0
        return file

    def _progress(self) -> tuple[OpenFile | None, int]:
        """Called from the flusher's thread: the present file, and its last record."""
        while True:
            file, seq = self._file, self.seq
            if file is self._file:
                return file, seq

    def _synced(self, epoch: int, seq: int, is_durable: bool) -> None:
        """Called from the flusher's thread."""
        if self._waiting:
            with suppress(RuntimeError, IndexError):  # the loop has ended, or nobody waits any more
                loop = self._waiting[0][2].get_loop()
                loop.call_soon_threadsafe(self._release, (epoch, seq), is_durable)

    def _release(self, reached: tuple[int, int], is_durable: bool) -> None:
        while self._waiting and self._waiting[0][:2] <= reached:
            future = self._waiting.popleft()[2]
            if future.done():  # cancelled
                continue
            if is_durable or not self.terms.fails_closed:
                future.set_result(None)
            else:
                future.set_exception(NotCounted("the disk does not take the record"))

    def _ahead(self) -> int:
        """Return by how much the wall clock is ahead of the monotonic one, in µs."""
        monotonic_ns, wall_ns = self._clocks
        before, wall, after = monotonic_ns(), wall_ns(), monotonic_ns()
        return (wall - (before + after) // 2) // _US

    def _compare_clocks(self) -> int:
        """Follow the wall clock; return by how much it was set, in µs."""
        ahead_us = self._ahead()
        step_us, self._ahead_us = ahead_us - self._ahead_us, ahead_us
        if abs(step_us) >= STEP_US:
            self._happened(Event.LEDGER_CLOCK_STEPPED)
            log.warning("the wall clock was set", extra={"seconds": step_us / 1e6})
        self._flag_clock()
        return step_us

    def _flag_clock(self) -> None:
        """Say in records whether the clocks have come apart since the file was made, which mono_ms counts from."""
        has_stepped = abs(self._ahead_us - self._opened_ahead_us) >= STEP_US
        self._clock_flag = int(RecordFlag.CLOCK_STEPPED) if has_stepped else 0

    def _is_old(self) -> bool:
        return self._clocks.monotonic_ns() - self._opened_ns >= LONGEST_EPOCH_NS


def _as_it_is(subject: Subject) -> Subject:
    """For a lane whose subjects nobody renews."""
    return subject


def _take_lock(directory: Path, lane: int) -> int:
    deadline = time.monotonic() + LOCK_SECONDS
    while (lock := lock_lane(directory, lane)) is None:
        if time.monotonic() > deadline:
            raise LaneError(
                f"another process has lane {lane} in {directory}; each worker needs its own"
            )
        time.sleep(_LOCK_POLL_SECONDS)
    return lock
