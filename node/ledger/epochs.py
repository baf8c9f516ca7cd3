"""Epochs as the log has them: whether opened and closed, how far in blocks, and what is said when one is lost."""

from dataclasses import replace
from typing import NamedTuple

from node.ledger.block import Chain
from node.ledger.follower import NOT_COUNTED
from node.ledger.laneterms import CAPACITY
from node.ledger.leaf import Block, Epoch, Gap, Leaf, parse
from node.ledger.log import Place
from node.store.database import store_errors
from node.store.ledger import (
    epoch_lines,
    last_block_line,
    last_block_of_lane,
    open_epoch_lines,
)

FILE_MISSING, FILE_DAMAGED = "lane file missing", "lane file damaged"


class KnownEpoch(NamedTuple):
    """What the log has of an epoch."""

    lane: int
    epoch: int
    opened: Epoch | None
    is_closed: bool
    chain: Chain | None  # None: no block yet
    gaps: tuple[Gap, ...]

    @property
    def is_over(self) -> bool:
        """True when nothing more is said of it."""
        return self.is_closed or self.is_lost

    @property
    def is_lost(self) -> bool:
        """True when its file could not be read."""
        return any(gap.cause in (FILE_MISSING, FILE_DAMAGED) for gap in self.gaps)

    @property
    def not_counted(self) -> int:
        """How many answers its gaps say were given and not recorded."""
        return sum(gap.bound for gap in self.gaps if gap.cause == NOT_COUNTED)

    def lost(self, cause: str, now_us: int) -> list[Leaf]:
        """Return what to say when the rest of it cannot be read: as many records as a file holds may be missing."""
        last = self.chain.last if self.chain else 0
        since = self.chain.ended_at if self.chain else self.opened.time if self.opened else now_us
        gap = Gap(
            lane=self.lane,
            epoch=self.epoch,
            last=last,
            torn=0,
            bound=CAPACITY,
            cause=cause,
            span=(min(since, now_us), now_us),
        )
        if self.opened is None:
            return [gap]
        return [gap, replace(self.opened, state="close", time=max(since, now_us), last=last)]


async def read_epoch(place: Place, lane: int, epoch: int) -> KnownEpoch:
    """Return what the log has of an epoch.  Raises StoreUnavailable, StoreError."""
    with store_errors():
        lines = await epoch_lines(place.connection, place.origin, lane, epoch)
        block = await last_block_line(place.connection, place.origin, lane, epoch)
    leaves = [parse(line) for line in lines]
    marks = {leaf.state: leaf for leaf in leaves if isinstance(leaf, Epoch)}
    gaps = tuple(leaf for leaf in leaves if isinstance(leaf, Gap))
    return KnownEpoch(lane, epoch, marks.get("open"), "close" in marks, _chain(block), gaps)


async def read_open_epochs(place: Place) -> list[tuple[int, int]]:
    """Return lane and number of the epochs that were opened and not closed.  Raises StoreUnavailable, StoreError."""
    with store_errors():
        lines = await open_epoch_lines(place.connection, place.origin)
    leaves = [parse(line) for line in lines]
    return [(leaf.lane, leaf.epoch) for leaf in leaves if isinstance(leaf, Epoch)]


async def read_last_block(place: Place, lane: int) -> Chain:
    """Return where a lane's blocks have come to, through all its epochs.  Raises StoreUnavailable, StoreError."""
    with store_errors():
        block = await last_block_of_lane(place.connection, place.origin, lane)
    return _chain(block) or Chain(lane, 0, 0)


def _chain(line: bytes | None) -> Chain | None:
    if line is None:
        return None
    block = parse(line)
    return Chain.after(block) if isinstance(block, Block) else None
