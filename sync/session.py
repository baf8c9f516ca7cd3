"""The conversation by which a peer comes to have our rows, and keeps them: both sides, values in and values out.

Laws.
1. A session and a serial name one state of all our rows, for ever.  A node restored from a backup takes a new session.
2. What a message says of a session and a serial is true whenever it arrives.  The peer takes a delta that begins at or
   before its own serial, and a page that was read at exactly its own serial; anything else it answers with where it
   stands.  So losing, doubling and reordering messages costs time only.
3. The peer's word says where it stands; ours, what we were told.  The sender goes on from the earlier of both, so
   neither a change nor a verdict is missed.
4. The peer acknowledges after storing, the sender forgets after storing the acknowledgement.

There is one way to bring rows and one to check them, a *walk*: page by page along the line of all rows, the digest
first, the rows where it differs.  A walk over an empty peer is a snapshot; over one restored from an old backup, the
repair; once a day, the search for silent drift.  Before a page is shown the peer is brought to the serial at which the
page was read, so changes flow on during a walk and nothing in the peer ever goes back to an older state.

A rejected change is taken note of on both sides and passed: those behind it go on, and the next change of its key is
its correction.  Digests are over what was last sent of each key, taken or not, and every page's Ack repeats what is
rejected within it.
"""

from collections.abc import Generator
from typing import TypeAlias, TypeVar

from sync.change import END, START, Digester, Rejection, Span, digest_rows
from sync.message import (
    MAX_REJECTIONS,
    Ack,
    Delta,
    Digests,
    Hello,
    Message,
    PeerUnavailable,
    Reply,
    Reset,
    SnapshotPart,
    Welcome,
)
from sync.step import (
    Acknowledge,
    Adopt,
    Apply,
    Batch,
    Compare,
    Demand,
    Evidence,
    Exchange,
    Finish,
    Given,
    InboxStanding,
    Listen,
    OutboxStanding,
    Page,
    Plan,
    ReadChanges,
    ReadPage,
    ReadStanding,
    Replace,
    Rest,
    Restart,
    Resume,
    Retell,
    Settle,
    Tell,
)

Answer = TypeVar("Answer")
Steps: TypeAlias = Generator[Demand, Given, Answer]


class _Unfit(Exception):
    """The peer or the outbox stands elsewhere than was thought: meet again."""


class _Walk:
    """How far a walk has come, and what it found."""

    def __init__(self) -> None:
        self.position = START
        self._digester = Digester()
        self._serials: list[int] = []
        self._repaired = 0

    def pass_by(self, page: Page, *, repaired: bool) -> None:
        self.position = page.span.until
        self._digester.add(page.rows)
        self._serials.append(page.serial)
        self._repaired += repaired

    def evidence(self, session: str) -> Evidence:
        digests, pages = self._digester.digests(), len(self._serials)
        first, last = self._serials[0], self._serials[-1]
        return Evidence(session, first, last, digests, pages, self._repaired)


class SendingSession:
    """Our side.  `converse` yields demands for ever; what it is sent for each is said there.

    `first_number` is drawn at random below 2^52, so that replies to an earlier life of this process are known as such.
    """

    def __init__(self, first_number: int) -> None:
        self._number = first_number
        self._session = ""
        self._acknowledged = 0
        self._walk: _Walk | None = None
        self._met = False
        self._helped = False  # something was stored since we met

    def greet(self) -> None:
        """Ask the peer where it stands before anything else: in a while of rest it may have been restored."""
        self._met = False

    def verify(self) -> None:
        """Walk along all rows, from the first, as every day."""
        self._walk = _Walk()

    def converse(self) -> Steps[None]:
        while True:
            try:
                if not self._met:
                    yield from self._meet()
                yield from self._go_on()
            except PeerUnavailable:
                self._met = False
                yield Rest(lost=True)
            except _Unfit:
                self._met = False
                if not self._helped:  # a peer that never fits is not asked in a tight loop
                    yield Rest(lost=True)

    def _meet(self) -> Steps[None]:
        self._helped = False
        ours = yield from self._read_standing()
        theirs = yield from self._welcome(Hello(self._next(), ours.session, ours.serial))
        ours = yield from self._read_standing()  # read after theirs: never behind what a former self has sent
        if not _follows(theirs, ours):
            ours = yield from self._restart(renewed=theirs.session == ours.session)
            reset = Reset(self._next(), ours.session, ours.serial, theirs.session)
            theirs = yield from self._welcome(reset)
            if not _follows(theirs, ours):
                raise _Unfit
        serial = min(ours.acknowledged, theirs.serial) if ours.complete else theirs.serial
        if serial != ours.acknowledged:
            yield Resume(ours.session, serial)
        self._session, self._acknowledged, self._met = ours.session, serial, True
        self._walk = self._walk_for(ours, theirs)

    def _walk_for(self, ours: OutboxStanding, theirs: Welcome) -> _Walk | None:
        """The walk under way, unless the peer fell back; a new one then, or when it is not known to be complete."""
        fell_back = theirs.serial < ours.acknowledged
        if self._walk is not None and self._walk.position <= theirs.position and not fell_back:
            return self._walk
        return None if ours.complete and theirs.position == END and not fell_back else _Walk()

    def _go_on(self) -> Steps[None]:
        """One batch, or one page with the batches before it, or rest."""
        if self._walk is not None:
            yield from self._walk_on(self._walk)
            return
        batch = yield from self._read_changes(None)
        if (
            batch.until > batch.after
        ):  # maybe with no change in it: the serial counts more than what is synced
            yield from self._send(batch)
        else:
            yield Rest()

    def _walk_on(self, walk: _Walk) -> Steps[None]:
        page = _given(Page, (yield ReadPage(walk.position)))
        if page.session != self._session:
            raise _Unfit
        while self._acknowledged < page.serial:
            yield from self._send((yield from self._read_changes(page.serial)))
        repaired = yield from self._show(page)
        if walk is not self._walk:
            return  # another was asked for meanwhile
        walk.pass_by(page, repaired=repaired)
        if walk.position == END:
            self._walk = None
            yield Finish(walk.evidence(self._session))

    def _send(self, batch: Batch) -> Steps[None]:
        ack = yield from self._ack(Delta(self._next(), *batch))
        if ack.serial < batch.until:
            raise _Unfit
        sent = {change.place for change in batch.changes}
        if not sent.issuperset(each.place for each in ack.rejected):
            raise PeerUnavailable("the peer rejects what was not sent")
        yield Acknowledge(batch, ack.rejected)
        self._acknowledged, self._helped = batch.until, True

    def _show(self, page: Page) -> Steps[bool]:
        """Have the peer compare a page, and take it where it differs; return whether it did."""
        session, serial, span, rows = page
        tables = digest_rows(rows)
        ack = yield from self._ack(Digests(self._next(), session, serial, span, tables))
        repaired = not ack.agreed
        if repaired:
            ack = yield from self._ack(SnapshotPart(self._next(), session, serial, span, rows))
        if not ack.agreed or ack.serial != serial or ack.position < span.until:
            raise _Unfit
        if not all(span.holds(each.place) for each in ack.rejected):
            raise PeerUnavailable("the peer rejects what was not shown")
        yield Settle(session, span, ack.rejected)
        self._helped = True
        return repaired

    def _ack(self, message: Message) -> Steps[Ack]:
        reply = yield from self._exchange(message)
        if not isinstance(reply, Ack) or reply.session != self._session:
            raise _Unfit
        return reply

    def _welcome(self, message: Message) -> Steps[Welcome]:
        reply = yield from self._exchange(message)
        if not isinstance(reply, Welcome):
            raise PeerUnavailable("the peer acknowledges what it was not asked to store")
        return reply

    def _exchange(self, message: Message) -> Steps[Reply]:
        given = yield Exchange(message)
        while True:
            if not isinstance(given, Welcome | Ack):
                raise TypeError(f"for an exchange a reply is given, not {given!r}")
            if given.number == message.number:
                return given
            given = yield Listen()

    def _read_standing(self) -> Steps[OutboxStanding]:
        return _given(OutboxStanding, (yield ReadStanding()))

    def _restart(self, *, renewed: bool) -> Steps[OutboxStanding]:
        return _given(OutboxStanding, (yield Restart(renewed)))

    def _read_changes(self, until: int | None) -> Steps[Batch]:
        batch = _given(Batch, (yield ReadChanges(self._acknowledged, until)))
        if batch.session != self._session or batch.after != self._acknowledged:
            raise _Unfit
        return batch

    def _next(self) -> int:
        self._number += 1
        return self._number


def _given(kind: type[Answer], value: object) -> Answer:
    if not isinstance(value, kind):
        raise TypeError(f"a {kind.__name__} was to be given, not {value!r}")
    return value


def _follows(theirs: Welcome, ours: OutboxStanding) -> bool:
    """Whether the peer stands in our session, where the changes after its serial can still be read.

    A serial from the future is another self's: that session's name was used twice.
    """
    return theirs.session == ours.session and ours.kept_from <= theirs.serial <= ours.serial


class ReceivingSession:
    """The peer's side: one message, read while the inbox stands here; `plan`, carry it out, then `reply`."""

    def __init__(self, standing: InboxStanding, message: Message) -> None:
        self._standing = standing
        self._message = message

    def plan(self) -> Plan:
        message, standing = self._message, self._standing
        match message:
            case Reset() if message.replaces == standing.session != message.session:
                return Adopt(standing, InboxStanding(message.session, message.serial))
            case Hello() | Reset():
                return Tell()
            case Delta() if message.session == standing.session:
                return self._plan_delta(message)
            case Digests() if self._is_current(message):
                return Compare(standing, self._behind(message.span), message.span, message.tables)
            case SnapshotPart() if self._is_current(message):
                return Replace(standing, self._behind(message.span), message.span, message.rows)
        return Tell()

    def welcome(self, standing: InboxStanding) -> Welcome:
        """The reply to what stored nothing, or took another session."""
        return Welcome(self._message.number, *standing)

    def ack(self, plan: Plan, rejected: tuple[Rejection, ...], *, agreed: bool = True) -> Ack:
        """The reply once the plan is stored; `rejected` are those that now hold within the message."""
        standing = plan.then if isinstance(plan, Apply | Compare | Replace) else self._standing
        if not agreed:
            standing = self._standing
        return Ack(self._message.number, *standing, agreed, rejected[:MAX_REJECTIONS])

    def _plan_delta(self, delta: Delta) -> Plan:
        standing = self._standing
        if delta.after > standing.serial:
            return Tell()  # something before it has not arrived
        places = tuple(change.place for change in delta.changes)
        if delta.until <= standing.serial:
            return Retell(places)
        fresh = tuple(change for change in delta.changes if change.serial > standing.serial)
        return Apply(standing, standing._replace(serial=delta.until), fresh, places)

    def _is_current(self, message: Digests | SnapshotPart) -> bool:
        return (message.session, message.serial) == self._standing[:2]

    def _behind(self, span: Span) -> InboxStanding:
        """Where we stand once the rows of a span are right: further, if no place before it is left out."""
        position = self._standing.position
        if span.after <= position < span.until:
            return self._standing._replace(position=span.until)
        return self._standing
