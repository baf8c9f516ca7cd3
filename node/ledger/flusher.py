"""The flusher: the one thread beside a worker's event loop; it waits for the disk, so that no answer does.

Ten times a second (`group`), when an answer waits (`strict`) or twice a minute (`process`) it has the disk take what
was appended, says so in the file, and tells those who wait.  It makes the next epoch's file some seconds before the
present one is full, and closes the one before.  It reads where the event loop has come to and never writes a record.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from node.ledger.lanefile import Cause, Durability, LaneError, Line
from node.ledger.openfile import OpenFile
from resolver.observe import Event

GROUP_SECONDS = 0.1
PROCESS_SECONDS = 30.0
MOST_EXPECTED = 16_384  # records, a mebibyte, for which memory is mapped beforehand
RETRY_NS = 10**9  # after there was no room
SOON_NS = 10 * 10**9  # as long as a busy disk may need to give the next epoch its room
_HALF_HOUR_NS = 1_800 * 10**9
_SLACK_NS = 5_000_000  # a wait that ends a little early is no reason to wait twice
_US = 1_000

log = logging.getLogger(__name__)


class Retired(NamedTuple):
    """An epoch that gets no more records, and its last one."""

    file: OpenFile
    last: int


class Exposure:
    """The most records that the disk lacked at once, over the last half hour at least and the last hour at most."""

    def __init__(self) -> None:
        self._since_ns = 0
        self._before = 0
        self._now = 0

    def note(self, records: int, now_ns: int) -> int:
        """Take in what the disk lacked just now; return the most."""
        if now_ns - self._since_ns >= _HALF_HOUR_NS:
            self._since_ns, self._before, self._now = now_ns, self._now, 0
        self._now = max(self._now, records)
        return max(self._before, self._now)


class Flusher:
    """The thread of one lane.  What the event loop's thread hands over: `retired`; what it takes: `next`, `told`."""

    def __init__(
        self,
        progress: Callable[[], tuple[OpenFile | None, int]],
        make_next: Callable[[], OpenFile],
        synced: Callable[[int, int, bool], None],
        clocks: tuple[Callable[[], int], Callable[[], int]],
        durability: Durability,
    ) -> None:
        """`progress` gives the present file and its last record, `make_next` makes a file and may raise OSError.

        `synced(epoch, seq, is_durable)` is called from this thread.  `clocks`: monotonic, and since 1970; both in ns.
        """
        self.next: OpenFile | None = None
        self.wants_next = False  # somebody asks for a new epoch before this one is full
        self.retired: deque[Retired] = deque()
        self.told: deque[Event] = deque()
        self._progress = progress
        self._make_next = make_next
        self._synced = synced
        self._monotonic_ns, self._wall_ns = clocks
        seconds = PROCESS_SECONDS if durability is Durability.PROCESS else GROUP_SECONDS
        self._period_ns = int(seconds * 1e9) - _SLACK_NS
        self._exposure = Exposure()
        self._soon = 0  # records that come in SOON_NS, as they came last
        self._failing: set[Event] = set()
        self._wake = threading.Event()
        self._is_ending = False
        self._synced_at_ns = self._tried_at_ns = 0
        self._making = threading.Lock()  # an epoch is made by one thread at a time
        self._thread = threading.Thread(target=self._run, name="ledger flusher", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self) -> None:
        """Somebody waits for the disk."""
        self._wake.set()

    def stop(self) -> None:
        """End the thread; everything is with the disk then, or the disk does not take it."""
        self._is_ending = True
        self._wake.set()
        self._thread.join()
        self.flush()

    def flush(self) -> None:
        """One round that syncs, whether or not it is time."""
        self._synced_at_ns = self._monotonic_ns()
        while self.retired:
            self._close(self.retired[0])
            self.retired.popleft()
        file, seq = self._progress()
        if file is not None:
            self._sync(file, seq)

    def prepare(self) -> None:
        """Make the file of the next epoch when it is needed soon, or asked for."""
        file, seq = self._progress()
        if self.next is not None or not (
            self.wants_next or file is None or self._is_nearly_full(file, seq)
        ):
            return
        is_failing = Event.LEDGER_OPEN_FAILED in self._failing
        if is_failing and self._monotonic_ns() - self._tried_at_ns < RETRY_NS:
            return
        with self._making:
            if self.next is None:
                self._make()

    def _run(self) -> None:
        while not self._is_ending:
            is_asked = self._wake.wait(GROUP_SECONDS)
            self._wake.clear()
            try:
                is_due = self._monotonic_ns() - self._synced_at_ns >= self._period_ns
                if is_asked or is_due or self.retired:
                    self.flush()
                self.prepare()
            except Exception:  # without this thread nothing would ever be durable again
                log.exception("the ledger's flusher failed")

    def _sync(self, file: OpenFile, seq: int) -> None:
        if seq <= file.durable:
            return
        try:
            file.sync()
        except OSError as error:
            file.is_damaged = self.wants_next = (
                True  # what it has forgotten, it may call written next time
            )
            self._failed(
                Event.LEDGER_SYNC_FAILED, "the disk does not take the ledger's records", error
            )
        else:
            self._worked(Event.LEDGER_SYNC_FAILED)
            came = seq - file.durable
            self._note_durable(file, seq)
            file.release(seq)
            self._expect(file, came)
        self._synced(file.header.epoch, seq, not file.is_damaged)

    def _note_durable(self, file: OpenFile, seq: int) -> None:
        if file.is_damaged:
            return
        now, reached = self._progress()
        lacking = (reached if now is file else seq) - file.durable
        exposed = self._exposure.note(lacking, self._monotonic_ns())
        file.durable = seq
        file.write_line(Line.DURABLE, seq, self._wall_ns() // _US, exposed)

    def _expect(self, file: OpenFile, came: int) -> None:
        """As many records may come until the next time as since the last one, and a few more."""
        now, reached = self._progress()
        if now is file:
            self._soon = came * SOON_NS // self._period_ns
            file.expect(reached, min(came + came // 4, MOST_EXPECTED))

    def _is_nearly_full(self, file: OpenFile, seq: int) -> bool:
        capacity = file.header.capacity
        return capacity - seq <= max(capacity // 10, self._soon)

    def _close(self, retired: Retired) -> None:
        file, last = retired
        self._sync(file, last)
        cause = Cause.DISK if file.is_damaged else Cause.CLOSED
        bound = last - file.durable if file.is_damaged else 0
        file.write_line(Line.CLOSING, last, self._wall_ns() // _US, 0, bound, cause)
        try:
            file.sync()
        except OSError as error:
            self._failed(
                Event.LEDGER_SYNC_FAILED, "the disk does not take the end of an epoch", error
            )
        file.close()

    def obtain(self) -> OpenFile | None:
        """Give the event loop the next file, made now when it is not there yet; None when there is no room.

        After a failure only the thread tries again, once a second; after the end nobody does.
        """
        if self._is_ending:
            return None
        with self._making:
            if self.next is None and Event.LEDGER_OPEN_FAILED not in self._failing:
                self._make()
            file, self.next = self.next, None
            return file

    def discard_next(self) -> None:
        """Remove a file that was made and not needed; its number is not used again."""
        if self.next is not None:
            self.next.remove()
            self.next = None

    def _make(self) -> None:
        self._tried_at_ns = self._monotonic_ns()
        try:
            self.next = self._make_next()
        except (OSError, LaneError) as error:
            self._failed(Event.LEDGER_OPEN_FAILED, "no room for the ledger's next epoch", error)
        else:
            self.wants_next = False
            self._worked(Event.LEDGER_OPEN_FAILED)

    def _failed(self, event: Event, sentence: str, error: Exception) -> None:
        """Count each failure; say it once, until it works again."""
        self.told.append(event)
        if event not in self._failing:
            self._failing.add(event)
            log.error(sentence, extra={"reason": str(error)})

    def _worked(self, event: Event) -> None:
        if event in self._failing:
            self._failing.discard(event)
            log.info("works again", extra={"failure": str(event)})
