"""A follower: one epoch of one lane on its way into leaves: opened, blocks of its records, gaps, closed.

Laws.  Records are taken in their order, each once, up to the first that is not whole; no block has records of two
local days, but for a clock that was set back.  An epoch is closed once, when its file says how it ended and every
record before that end is in a block; what it may have lost is said before that.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from node.ledger.block import MAX_RECORDS, Chain, Circumstances, seal
from node.ledger.day import of_one_day
from node.ledger.lanefile import Cause, Closing, LaneReader
from node.ledger.leaf import Block, Epoch, Gap, Leaf
from node.ledger.record import RECORD_BYTES

SEAL_SECONDS = 30.0  # after which records are sealed though they fill no block
BLOCKS_AT_ONCE = 32  # of one lane in one round, so that no lane keeps another waiting

NOT_COUNTED, RECORDS_DAMAGED = "not counted", "records damaged"
_CAUSES = {Cause.KILLED: "killed", Cause.POWER: "power loss", Cause.DISK: "disk failed"}


class Moment(NamedTuple):
    """Now, on two clocks: µs since 1970, and seconds of a clock that is never set."""

    wall_us: int
    monotonic: float


class Wish(NamedTuple):
    """What a round is for: seal whatever there is; seal something, even if it is nothing (the heartbeat)."""

    hurry: bool = False
    beat: bool = False


class Sealed(NamedTuple):
    """A leaf, and the body behind it if it is a block."""

    leaf: Leaf
    body: bytes = b""


class Follower:
    """One epoch.  Its methods block; they raise OSError for a disk that fails."""

    def __init__(
        self, reader: LaneReader, chain: Chain, *, is_opened: bool = False, told: int = 0
    ) -> None:
        """`is_opened`: its first leaf is in the log; `told`: answers that gaps said were not counted."""
        self.chain = chain
        self.is_closed = False
        self._reader = reader
        self._is_opened = is_opened
        self._told = told
        self._removed: Closing | None = None
        self._waiting_since: float | None = None  # of the oldest record that is in no block
        self._has_beaten = False  # a block was sealed since the last heartbeat

    def collect(self, now: Moment, around: Circumstances, wish: Wish) -> Iterator[Sealed]:
        """Return what there is to be appended now, in its order; `around` is as it is before the first block.

        Nothing is said of an epoch before it has something to say: a file may be made in advance, and not be needed.
        """
        found = list(self._collect(now, around, wish))
        if found and not self._is_opened:
            self._is_opened = True
            yield Sealed(self._epoch("open", self._reader.header.created_us))
        yield from found

    def end(self, now: Moment) -> None:
        """The file was removed, and nobody writes it any more: its end is what is in it."""
        self._removed = Closing(self.newest(), now.wall_us, 0, 0, Cause.CLOSED)

    def newest(self) -> int:
        """Return the number of the newest record."""
        return newest_record(self._reader, self.chain.last)

    def mark(self) -> None:
        """Note in the lane file how far it is sealed."""
        self._reader.mark_sealed(self.chain.last, self.chain.ended_at)

    def close(self) -> None:
        """Let the file go."""
        self._reader.close()

    def _collect(self, now: Moment, around: Circumstances, wish: Wish) -> Iterator[Sealed]:
        closing = self._removed or self._reader.closing  # before the records: then these are all
        is_flushed = False
        for _ in range(BLOCKS_AT_ONCE):
            body = self._reader.read(self.chain.last, MAX_RECORDS).data
            if not self._is_due(body, now, wish, is_ending=closing is not None):
                break
            if body and not is_flushed:
                self._reader.flush()
                is_flushed = True
            body = of_one_day(body)
            block = seal(body, self.chain, around)
            self._advance(block)
            around = around._replace(total=block.total)
            yield Sealed(block, body)
        else:
            return  # there may be more
        if wish.beat:
            self._has_beaten = False
        if wish.beat or closing is not None:
            yield from self._uncounted()
        if closing is not None:
            yield from self._close(closing)

    def _is_due(self, body: bytes, now: Moment, wish: Wish, *, is_ending: bool) -> bool:
        if not body:
            self._waiting_since = None
            return wish.beat and not self._has_beaten and not is_ending
        if self._waiting_since is None:
            self._waiting_since = now.monotonic
        is_full = len(body) == MAX_RECORDS * RECORD_BYTES
        is_old = now.monotonic - self._waiting_since >= SEAL_SECONDS
        is_beat = wish.beat and not self._has_beaten
        return is_full or is_old or is_beat or wish.hurry or is_ending

    def _advance(self, block: Block) -> None:
        self.chain = Chain.after(block)
        self._waiting_since = None
        self._has_beaten = True

    def _epoch(self, state: str, time_us: int, last: int | None = None) -> Epoch:
        header = self._reader.header
        return Epoch(
            lane=header.lane,
            epoch=header.epoch,
            state=state,
            time=time_us,
            boot=header.boot_id.hex(),
            durability=header.durability,
            last=last,
        )

    def _uncounted(self) -> Iterator[Sealed]:
        """Say what was answered and could not be recorded, as far as no gap has said it."""
        answers, start, end = self._reader.uncounted
        if answers > self._told:
            bound, self._told = answers - self._told, answers
            yield Sealed(self._gap(NOT_COUNTED, bound, (start, end)))

    def _close(self, closing: Closing) -> Iterator[Sealed]:
        lost = max(closing.last - self.chain.last, 0)
        ended_at = max(closing.t_us, self.chain.ended_at)
        if lost:
            yield Sealed(self._gap(RECORDS_DAMAGED, lost, (self.chain.ended_at, ended_at)))
        if closing.torn or closing.bound:
            since = self._reader.durable.t_us or self.chain.ended_at
            cause = _CAUSES.get(closing.cause, "closed")
            gap = self._gap(cause, closing.bound, (min(since, ended_at), ended_at))
            yield Sealed(replace(gap, torn=closing.torn))
        self.is_closed = True
        if (
            self._is_opened
            or self.chain.block
            or lost
            or closing.torn
            or closing.bound
            or self._told
        ):
            yield Sealed(self._epoch("close", ended_at, self.chain.last))

    def _gap(self, cause: str, bound: int, span: tuple[int, int]) -> Gap:
        return Gap(
            lane=self.chain.lane,
            epoch=self.chain.epoch,
            last=self.chain.last,
            torn=0,
            bound=bound,
            cause=cause,
            span=span,
        )


def newest_record(reader: LaneReader, last: int) -> int:
    """Return the number of the newest record of a file, behind one that is there.  Raises OSError."""
    while count := reader.read(last, MAX_RECORDS).records:
        last += count
    return last
