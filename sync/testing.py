"""TopLevelNode: an honest peer in memory that can be told to misbehave, and an outbox in memory to talk to it with.

For tests without servers; the simulator of the top-level node is a program of its own.  Everything that is stored is a
value that can be copied, so a backup is a copy.  Nothing here waits.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field

from sync.change import (
    END,
    MAX_BATCH_ITEMS,
    Change,
    Operation,
    Place,
    Rejection,
    Row,
    Span,
    digest_rows,
    fill_batch,
)
from sync.inbox import Moved
from sync.message import (
    Message,
    MessageError,
    PeerUnavailable,
    Reply,
    encode,
    parse_message,
    parse_reply,
)
from sync.receiver import receive
from sync.step import (
    Adopt,
    Apply,
    Batch,
    Compare,
    Evidence,
    InboxStanding,
    OutboxStanding,
    Page,
    Replace,
)

Judge = Callable[[Place, bytes | None], str]
"""(place, body, None for a deletion): why it is rejected, or "" for taken."""


def take_all(_place: Place, _body: bytes | None) -> str:
    return ""


class MemoryOutbox:
    """The rows of a node and their changes, in memory.  Implements `sync.outbox.Outbox`."""

    def __init__(self, session: str = "session-0", *, most: int = MAX_BATCH_ITEMS) -> None:
        self.session = session
        self.most = most  # items of a batch
        self.serial = 0
        self.kept_from = 0
        self.acknowledged = 0
        self.complete = False
        self.rows: dict[Place, bytes] = {}
        self.changes: list[Change] = []
        self.aside: dict[Place, Rejection] = {}
        self.evidence: list[Evidence] = []

    def write(self, place: Place, body: bytes | None) -> Change:
        """Write a row, or delete it, with its change."""
        operation = Operation.DELETE if body is None else Operation.UPSERT
        change = Change(self.serial + 1, place.table, operation, place.key, body or b"")
        self.serial = change.serial
        self.changes.append(change)
        _put(self.rows, place, body)
        return change

    def prune(self, serial: int) -> None:
        """Remove acknowledged changes up to a serial."""
        self.kept_from = max(self.kept_from, min(serial, self.acknowledged))
        self.changes = [change for change in self.changes if change.serial > self.kept_from]

    def restored(self, session: str) -> "MemoryOutbox":
        """What comes of this backup: the same rows, in a session of its own."""
        copy = deepcopy(self)
        copy.session = session
        return copy

    async def standing(self) -> OutboxStanding:
        return OutboxStanding(
            self.session, self.serial, self.kept_from, self.acknowledged, self.complete
        )

    async def pending(self, after: int, until: int | None) -> Batch:
        after = max(after, self.kept_from)
        last = self.serial if until is None else min(until, self.serial)
        found = [change for change in self.changes if after < change.serial <= last]
        changes = tuple(fill_batch(found, self.most))
        end = last if len(changes) == len(found) else changes[-1].serial
        return Batch(self.session, after, end, changes)

    async def page(self, after: Place) -> Page:
        found = _rows_within(self.rows, Span(after, END))
        rows = tuple(fill_batch(found, self.most))
        until = END if len(rows) == len(found) else rows[-1].place
        return Page(self.session, self.serial, Span(after, until), rows)

    async def acknowledge(self, batch: Batch, rejected: tuple[Rejection, ...]) -> None:
        if batch.session != self.session:
            return
        for change in batch.changes:
            self.aside.pop(change.place, None)
        self.aside.update((each.place, each) for each in rejected)
        self.acknowledged = batch.until

    async def settle(self, session: str, span: Span, rejected: tuple[Rejection, ...]) -> None:
        if session != self.session:
            return
        for place in [place for place in self.aside if span.holds(place)]:
            del self.aside[place]
        self.aside.update((each.place, each) for each in rejected)

    async def resume(self, session: str, serial: int) -> None:
        if session == self.session:
            self.acknowledged = serial

    async def restart(self, session: str | None) -> OutboxStanding:
        self.session = session or self.session
        self.complete = False
        return await self.standing()

    async def finish(self, evidence: Evidence) -> None:
        if evidence.session == self.session:
            self.complete = True
            self.evidence.append(evidence)


@dataclass(slots=True)
class Held:
    """A row at the peer: what is in force (None: nothing), and what was sent since and rejected."""

    body: bytes | None = None
    refused: bytes | None = None
    rejection: Rejection | None = None

    @property
    def sent(self) -> bytes | None:
        """What was last sent; this is what digests are over."""
        return self.refused if self.rejection else self.body


class MemoryInbox:
    """What a peer holds, in memory.  Implements `sync.inbox.Inbox`.  `applied` is the history of it."""

    def __init__(self, judge: Judge = take_all) -> None:
        self.judge = judge
        self.stands = InboxStanding()
        self.held: dict[Place, Held] = {}
        self.applied: list[tuple[str, Change]] = []

    def rows(self) -> dict[Place, bytes]:
        """What was last sent of each row, taken or not."""
        sent = {place: held.sent for place, held in self.held.items()}
        return {place: body for place, body in sent.items() if body is not None}

    def rejections(self) -> dict[Place, Rejection]:
        return {place: held.rejection for place, held in self.held.items() if held.rejection}

    async def standing(self) -> InboxStanding:
        return self.stands

    async def adopt(self, plan: Adopt) -> None:
        self._expect(plan)
        self.stands = plan.then

    async def apply(self, plan: Apply) -> None:
        self._expect(plan)
        for change in plan.changes:
            body = None if change.operation is Operation.DELETE else change.body
            self._take(change.place, body, change.serial)
            self.applied.append((plan.then.session, change))
        self.stands = plan.then

    async def compare(self, plan: Compare) -> bool:
        self._expect(plan)
        agreed = digest_rows(_rows_within(self.rows(), plan.span)) == plan.tables
        if agreed:
            self.stands = plan.then
        return agreed

    async def replace(self, plan: Replace) -> None:
        self._expect(plan)
        rows = {row.place: row.body for row in plan.rows}
        for place in [place for place in self.held if plan.span.holds(place)]:
            if place not in rows:
                self._take(place, None, plan.then.serial)
        for place, body in rows.items():
            self._take(place, body, plan.then.serial)
        self.stands = plan.then

    async def rejected_at(self, places: tuple[Place, ...]) -> tuple[Rejection, ...]:
        rejections = self.rejections()
        return tuple(rejections[place] for place in dict.fromkeys(places) if place in rejections)

    async def rejected_within(self, span: Span) -> tuple[Rejection, ...]:
        return tuple(each for place, each in self.rejections().items() if span.holds(place))

    def _expect(self, plan: Adopt | Apply | Compare | Replace) -> None:
        if self.stands != plan.expected:
            raise Moved

    def _take(self, place: Place, body: bytes | None, serial: int) -> None:
        reason = self.judge(place, body)
        before = self.held.get(place, Held())
        if reason:
            rejection = Rejection(serial, *place, "2306", reason)
            self.held[place] = Held(before.body, body, rejection)
        elif body is None:
            self.held.pop(place, None)
        else:
            self.held[place] = Held(body)


@dataclass(slots=True)
class Faults:
    """What a TopLevelNode does wrong: now, or to so many of the next messages."""

    is_down: bool = False
    doubles: bool = False
    lose_messages: int = 0
    lose_replies: int = 0
    delay_messages: int = 0
    garble_replies: int = 0


@dataclass(slots=True)
class TopLevelNode:
    """The peer: exchanges messages as bytes, as `sync.sender.Transport` wants it, and does what `faults` say."""

    inbox: MemoryInbox = field(default_factory=MemoryInbox)
    faults: Faults = field(default_factory=Faults)
    _delayed: list[bytes] = field(default_factory=list)

    async def exchange(self, message: Message) -> Reply:
        """Take a message and reply.  Raises PeerUnavailable."""
        data = encode(message)
        if self.faults.is_down or self._spend("lose_messages"):
            raise PeerUnavailable("nobody answers")
        if self._spend("delay_messages"):
            self._delayed.append(data)
            raise PeerUnavailable("the answer did not come in time")
        reply = await self._answer(data)
        if self.faults.doubles:
            await self._answer(data)
        await self._catch_up()
        if self._spend("lose_replies"):
            raise PeerUnavailable("the answer was lost")
        return self._read(b"<html>" + reply if self._spend("garble_replies") else reply)

    def backup(self) -> MemoryInbox:
        return deepcopy(self.inbox)

    def forget(self, backup: MemoryInbox | None = None) -> None:
        """Go back to a backup, or to having nothing."""
        self.inbox = deepcopy(backup) if backup else MemoryInbox(self.inbox.judge)

    def corrupt(self, place: Place, body: bytes) -> None:
        """Change a row silently, as a bad disk or a hand would."""
        self.inbox.held[place] = Held(body)

    async def _catch_up(self) -> None:
        """Late messages arrive, the latest first."""
        while self._delayed:
            await self._answer(self._delayed.pop())

    async def _answer(self, data: bytes) -> bytes:
        return encode(await receive(parse_message(data), self.inbox))

    def _read(self, data: bytes) -> Reply:
        try:
            return parse_reply(data)
        except MessageError as error:
            raise PeerUnavailable(str(error)) from error

    def _spend(self, fault: str) -> bool:
        left: int = getattr(self.faults, fault)
        setattr(self.faults, fault, max(0, left - 1))
        return left > 0


def _put(rows: dict[Place, bytes], place: Place, body: bytes | None) -> None:
    if body is None:
        rows.pop(place, None)
    else:
        rows[place] = body


def _rows_within(rows: dict[Place, bytes], span: Span) -> list[Row]:
    return [Row(*place, rows[place]) for place in sorted(rows) if span.holds(place)]
