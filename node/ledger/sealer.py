"""The sealer: follows all lanes of the node and turns their records into blocks, bodies first, then leaves.

A round: what is due of each lane is collected, its body given to the disk, then the leaves go to the log in one call.
What was sealed is read from the log at the start; the lanes' own notes of it are hints.  Epochs of a lane are taken one
after another.  A lane file goes when the leaf that closes its epoch is under a published checkpoint.  After any error
the object is used no more.
"""

import asyncio
import logging
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple, Self

from node.ledger.block import Chain, Circumstances, reopened
from node.ledger.epochs import (
    FILE_DAMAGED,
    FILE_MISSING,
    read_epoch,
    read_last_block,
    read_open_epochs,
)
from node.ledger.follower import Follower, Moment, Sealed, Wish, newest_record
from node.ledger.lanefile import (
    LaneError,
    LaneName,
    LaneReader,
    lane_files,
    lane_path,
    sync_directory,
)
from node.ledger.leaf import Block, Head
from node.ledger.log import Log, Reached, Step, go_on, to_its_end
from node.ledger.logfiles import LANES
from node.ledger.recovery import settle

BEAT_MARGIN_US = (
    1_000_000  # a heartbeat ends so long ago: what is being recorded now has a later time
)
ROUTINE = Wish()
_DAMAGED_SUFFIX = ".damaged"

log = logging.getLogger(__name__)


class Around(NamedTuple):
    """What blocks say besides their records: the newest cosigned head, and the policy in force."""

    beacon: Head
    policy: int


class Sealer:
    """The lanes of one node and the log they go into; one task uses it."""

    def __init__(self, ledger: Log, reached: Reached) -> None:
        """Use `open`."""
        self._log = ledger
        self._reached = reached
        self._directory = ledger.place.files.directory / LANES
        self._followers: dict[int, Follower] = {}  # by lane: its oldest epoch that is not closed
        self._over: dict[Path, Path | None] = {}  # lane files of closed epochs -> their new names

    @classmethod
    async def open(cls, ledger: Log, now: Moment, *, reached: Reached = go_on) -> Self:
        """Close what dead processes left open, and say of which epochs the files are gone.

        Raises OSError, StoreUnavailable, StoreError, Disagreement.
        """
        opened = cls(ledger, reached)
        await asyncio.to_thread(opened._settle, now)
        there = {(each.lane, each.epoch) for each in await asyncio.to_thread(opened._names)}
        for lane, epoch in await read_open_epochs(ledger.place):
            if (lane, epoch) not in there:
                await opened._lose(lane, epoch, FILE_MISSING, now)
        return opened

    async def round(self, now: Moment, around: Around, wish: Wish = ROUTINE) -> int:
        """Append what is due, and return how many leaves that were.

        Raises OSError, StoreUnavailable, StoreError, Disagreement.
        """
        if wish.beat:
            await asyncio.to_thread(self._settle, now)
        names = await asyncio.to_thread(self._names)
        found: list[Sealed] = []
        told = Circumstances(
            now.wall_us - BEAT_MARGIN_US, around.beacon, self._log.total, around.policy
        )
        for lane in sorted({each.lane for each in names} | self._followers.keys()):
            mine = [each for each in names if each.lane == lane]
            for sealed in await self._round_of(lane, mine, now, told, wish):
                found.append(sealed)
                if isinstance(sealed.leaf, Block):
                    told = told._replace(total=sealed.leaf.total)
        if found:
            await self._log.append([each.leaf for each in found])
            await asyncio.to_thread(self._mark)
        return len(found)

    def sweep(self) -> None:
        """Remove the files of closed epochs; for when all that was appended is published.  Raises OSError."""
        for path, name in self._over.items():
            if name is None:
                path.unlink(missing_ok=True)
            elif path.exists():
                path.replace(name)
        if self._over:
            sync_directory(self._directory)
            self._over.clear()

    def newest(self) -> dict[int, tuple[int, int]]:
        """Return each lane's epoch and newest record, as its files have them now.  Raises OSError."""
        found = {lane: (each.chain.epoch, each.newest()) for lane, each in self._followers.items()}
        for name in self._names():  # an epoch that waits for the one before
            if name.lane in found and name.epoch > found[name.lane][0]:
                with suppress(FileNotFoundError, LaneError), LaneReader.open(name.path) as reader:
                    last = newest_record(reader, 0)
                    if last:
                        found[name.lane] = (name.epoch, last)
        return found

    def close(self) -> None:
        """Let all files go."""
        for follower in self._followers.values():
            follower.close()
        self._followers.clear()

    def _names(self) -> list[LaneName]:
        return [each for each in lane_files(self._directory) if each.path not in self._over]

    def _settle(self, now: Moment) -> None:
        for lane in {each.lane for each in self._names()}:
            settle(self._directory, lane, now.wall_us)

    async def _round_of(
        self, lane: int, names: list[LaneName], now: Moment, told: Circumstances, wish: Wish
    ) -> list[Sealed]:
        """Return what is due of one lane; its bodies are with the disk then."""
        found: list[Sealed] = []
        end: Chain | None = None  # where the epoch before came to, in this round
        follower = self._followers.get(lane)
        waiting = [each for each in names if follower is None or each.epoch > follower.chain.epoch]
        if follower is not None and len(waiting) == len(names):  # its file was removed
            await asyncio.to_thread(self._end_removed, follower, now, is_succeeded=bool(waiting))
        while follower is not None or waiting:
            if follower is None:
                follower = await self._meet(waiting.pop(0), end, now)
                continue
            sealed = await to_its_end(partial(self._seal, follower, now, told, wish))
            totals = [each.leaf.total for each in sealed if isinstance(each.leaf, Block)]
            told = told._replace(total=totals[-1]) if totals else told
            found += sealed
            if not follower.is_closed:
                break
            end, follower = self._leave(follower), None
        return found

    async def _meet(self, name: LaneName, end: Chain | None, now: Moment) -> Follower | None:
        """Begin to follow an epoch that is new here, unless nothing more is to be said of it."""
        place = self._log.place
        known = await read_epoch(place, name.lane, name.epoch)
        if known.is_over:
            self._over[name.path] = _aside(name.path) if known.is_lost else None
            return None
        try:
            reader = await asyncio.to_thread(LaneReader.open, name.path)
        except FileNotFoundError:  # made in advance, and not needed
            return None
        except LaneError as error:
            log.exception("a lane file cannot be read", extra={"reason": str(error)})
            await self._lose(name.lane, name.epoch, FILE_DAMAGED, now)
            self._over[name.path] = _aside(name.path)
            return None
        before = end or await read_last_block(place, name.lane)
        chain = known.chain or reopened(before, name.epoch, reader.header.created_us)
        follower = Follower(
            reader, chain, is_opened=known.opened is not None, told=known.not_counted
        )
        self._followers[name.lane] = follower
        return follower

    async def _lose(self, lane: int, epoch: int, cause: str, now: Moment) -> None:
        log.error(
            "an epoch of the ledger is lost", extra={"lane": lane, "epoch": epoch, "cause": cause}
        )
        known = await read_epoch(self._log.place, lane, epoch)
        await self._log.append(known.lost(cause, now.wall_us))

    def _seal(
        self, follower: Follower, now: Moment, told: Circumstances, wish: Wish
    ) -> list[Sealed]:
        found = []
        for sealed in follower.collect(now, told, wish):
            if isinstance(sealed.leaf, Block):
                self._log.place.files.write_body(sealed.leaf, sealed.body)
                self._reached(Step.BODY)
            found.append(sealed)
        return found

    def _end_removed(self, follower: Follower, now: Moment, *, is_succeeded: bool) -> None:
        """A file that was removed is read to its end, which has come when its writer is gone or writes the next."""
        lane = follower.chain.lane
        if is_succeeded or settle(self._directory, lane, now.wall_us):
            follower.end(now)

    def _leave(self, follower: Follower) -> Chain:
        chain = follower.chain
        self._over[lane_path(self._directory, chain.lane, chain.epoch)] = None
        del self._followers[chain.lane]
        follower.close()
        return chain

    def _mark(self) -> None:
        for follower in self._followers.values():
            follower.mark()


def _aside(path: Path) -> Path:
    return path.with_suffix(_DAMAGED_SUFFIX)
