"""A tenure: one process being the writer of a log, from getting the lock to losing it: what it does each second.

In this order: say what must be announced, seal what is due, put in what others ask for, and publish.  Once a minute,
all lanes and meters beat together, so that an idle log grows by one checkpoint a minute and not by one a lane.
Who asks to seal has the head cosigned at once as well.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple, Self

from node.counters import Counters
from node.ledger.agreement import Disagreement
from node.ledger.announcer import Announcer, Terms
from node.ledger.checkpoint import Checkpoint
from node.ledger.cosigning import Cosigning
from node.ledger.epochs import read_epoch
from node.ledger.follower import Moment, Wish
from node.ledger.heads import HeadFiles
from node.ledger.inbox import Inbox, Request, Told
from node.ledger.leaf import Gap, Head, Leaf, Meters
from node.ledger.log import Log, Place, Reached, go_on, to_its_end
from node.ledger.meters import Drift, read_meters
from node.ledger.sealer import Around, Sealer
from node.ledger.standing import Standing
from node.ledger.tlog import EMPTY_ROOT
from node.store.database import store_errors
from node.store.ledger import index_of

MINUTE_US = 60_000_000
CHECKPOINT_SECONDS = 10.0  # between two checkpoints, when nobody is in a hurry
HURRIED_ROUNDS = 16  # for who asks to seal at once, while much is waiting
WITNESSES_SILENT = "witnesses"  # the cause of a gap of the whole log: lane 0, epoch 0

Clock = Callable[[], Moment]


class Means(NamedTuple):
    """What a tenure works with."""

    place: Place
    terms: Terms
    slots: Sequence[Counters]
    cosigning: Cosigning
    clock: Clock
    reached: Reached = go_on


class Tenure:
    """The work of one writer; one task uses it.  After any error it is over."""

    def __init__(self, means: Means, ledger: Log, announcer: Announcer, sealer: Sealer) -> None:
        """Use `open`."""
        self.log = ledger
        self._means = means
        self._announcer = announcer
        self._sealer = sealer
        self._inbox = Inbox(means.place.files.directory)
        self._minute = -1  # of the last beat
        self.published_at = 0.0  # POSIX seconds
        self._published: Moment | None = None
        self._silence_told_until = 0.0  # POSIX seconds
        self.drift = Drift()
        self._beacon: Head = (0, EMPTY_ROOT)

    @classmethod
    async def open(cls, means: Means, witnessed: int) -> Self:
        """Take up the log.  Raises as `Log.open`, `Announcer.open` and `Sealer.open`."""
        check_history(means.cosigning.standing)
        now = means.clock()
        ledger = await Log.open(means.place, witnessed=witnessed, reached=means.reached)
        announcer = await Announcer.open(ledger, means.terms)
        await announcer.announce(now.wall_us)
        sealer = await Sealer.open(ledger, now, reached=means.reached)
        opened = cls(means, ledger, announcer, sealer)
        await asyncio.to_thread(opened._inbox.make, now.wall_us / 1e6)
        known = await read_epoch(means.place, 0, 0)
        ends = [gap.span[1] / 1e6 for gap in known.gaps if gap.cause == WITNESSES_SILENT]
        opened._silence_told_until = max(ends, default=0.0)
        return opened

    def close(self) -> None:
        """Let go of the lanes."""
        self._sealer.close()

    def is_asked(self) -> bool:
        """Return whether somebody waits for a round.  Raises OSError."""
        return self._inbox.is_asked()

    async def round(self) -> None:
        """Do what is due now.  Raises what its parts raise."""
        check_history(self._means.cosigning.standing)
        now = self._means.clock()
        requests = await asyncio.to_thread(lambda: list(self._inbox.requests()))
        is_beat = now.wall_us // MINUTE_US != self._minute
        await self._announcer.announce(now.wall_us)
        is_first = (
            self._minute < 0
        )  # what has waited for a writer is old, and the next head must have it
        await self._seal(now, Wish(hurry=bool(requests) or is_first, beat=is_beat))
        if is_beat:
            await self._announcer.say(await self._minutely(now))
            self._minute = now.wall_us // MINUTE_US
        indexes = [await self._take(each) for each in requests]
        before = self._published
        if requests or before is None or now.monotonic - before.monotonic >= CHECKPOINT_SECONDS:
            await self._publish(now)
        if requests:  # who is in a hurry waits for the witnesses too
            self._means.cosigning.ask_now()
        for request, index in zip(requests, indexes, strict=True):
            if request.path.exists():
                await asyncio.to_thread(self._inbox.tell, request, Told(index, self.log.head[0]))

    async def end(self) -> None:
        """Seal and publish everything: the node stops, and its workers have stopped.  Raises as `round`.

        The meters come first, while the lanes that they are compared with are followed.
        """
        check_history(self._means.cosigning.standing)
        now = self._means.clock()
        await self._announcer.say(await self._minutely(now))
        await self._seal(now, Wish(hurry=True, beat=True))
        await self._publish(now)

    async def _seal(self, now: Moment, wish: Wish) -> None:
        self._beacon = await asyncio.to_thread(self._read_beacon)
        around = Around(self._beacon, self._announcer.policy_at(now.wall_us))
        for _ in range(HURRIED_ROUNDS if wish.hurry else 1):
            if not await self._sealer.round(now, around, wish):
                break
            wish = wish._replace(beat=False)  # it has beaten

    async def _minutely(self, now: Moment) -> list[Leaf]:
        rows = await asyncio.to_thread(read_meters, self._means.slots, self._sealer.newest)
        self.drift.note(rows)
        silence = self._means.cosigning.standing.gap_due(
            self._silence_told_until, now.wall_us / 1e6
        )
        found: list[Leaf] = [Meters(time=now.wall_us, workers=rows)]
        if silence is not None:
            self._silence_told_until = silence[1] / 1e6
            found.append(
                Gap(
                    lane=0,
                    epoch=0,
                    last=0,
                    torn=0,
                    bound=0,
                    cause=WITNESSES_SILENT,
                    span=silence,
                )
            )
        return found

    async def _take(self, request: Request) -> int | None:
        """Put a leaf that is asked for into the log, unless it is there; return its index."""
        if request.leaf is None:
            return None
        place = self._means.place
        with store_errors():
            there = await index_of(
                place.connection, place.origin, request.leaf.kind, request.leaf.line()
            )
        return there if there is not None else await self._announcer.say([request.leaf])

    async def _publish(self, now: Moment) -> None:
        if await self.log.publish() is None:
            return
        while await self.log.publish() is not None:
            pass
        self._published = now
        self.published_at = now.wall_us / 1e6
        await to_its_end(self._sealer.sweep)

    def _read_beacon(self) -> Head:
        """The newest cosigned head; its file is small and read once a second."""
        beacon = HeadFiles(self._means.place.files.directory).beacon()
        if beacon is None:
            return 0, EMPTY_ROOT
        checkpoint = Checkpoint.parse(beacon.note.text)
        return checkpoint.size, checkpoint.root


def check_history(standing: Standing) -> None:
    """Raise Disagreement when a witness has seen another history than ours: nothing is written then."""
    if standing.refusals:
        raise Disagreement("; ".join(standing.refusals))
