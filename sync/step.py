"""The steps of a conversation: what each side asks to be read, stored or sent, and what it is given for it.

A session decides and does nothing; its driver does and decides nothing.  Both sides' vocabularies are here.
"""

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from sync.change import START, Change, Place, Rejection, Row, Span, TableDigest
from sync.message import Message, Reply


class OutboxStanding(NamedTuple):
    """Where we stand.  Changes after `kept_from` up to `serial` can be read; the peer was heard to have those up to
    `acknowledged`, and, when `complete`, all rows, with all verdicts on them."""

    session: str
    serial: int
    kept_from: int
    acknowledged: int
    complete: bool


class Batch(NamedTuple):
    """All changes of a session after a serial, up to and with another."""

    session: str
    after: int
    until: int
    changes: tuple[Change, ...]


class Page(NamedTuple):
    """All rows within a span, as they were at this serial."""

    session: str
    serial: int
    span: Span
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a finished walk found: serials between which it went, each table's digest, how many pages differed.

    When nothing was written meanwhile the digests are those of one state.
    """

    session: str
    serial_from: int
    serial_to: int
    digests: tuple[TableDigest, ...]
    pages: int
    repaired: int


# What the sending session asks its driver for.  Each names what it wants to be sent for it.


@dataclass(frozen=True, slots=True)
class ReadStanding:
    """Of the outbox, now: OutboxStanding."""


@dataclass(frozen=True, slots=True)
class ReadChanges:
    """The next changes after a serial, up to and with `until` at most (None: as far as they go): Batch."""

    after: int
    until: int | None = None


@dataclass(frozen=True, slots=True)
class ReadPage:
    """The next rows behind a place, and the serial of that state: Page."""

    after: Place


@dataclass(frozen=True, slots=True)
class Restart:
    """Store that the peer is not complete, and with `renewed` a session of a new name: OutboxStanding."""

    renewed: bool


@dataclass(frozen=True, slots=True)
class Resume:
    """Store that the peer has the changes up to this serial and no others, whatever was stored before: None."""

    session: str
    serial: int


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """Store that the peer has these changes, took those that are not rejected, and set aside those that are: None."""

    batch: Batch
    rejected: tuple[Rejection, ...]


@dataclass(frozen=True, slots=True)
class Settle:
    """Store that of all keys within a span these are set aside, and no others: None."""

    session: str
    span: Span
    rejected: tuple[Rejection, ...]


@dataclass(frozen=True, slots=True)
class Finish:
    """Store that the peer is complete, and the evidence: None."""

    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Exchange:
    """Send this and wait for a reply: Reply; or throw PeerUnavailable into the conversation."""

    message: Message


@dataclass(frozen=True, slots=True)
class Listen:
    """That reply was to an older message; wait for another: Reply; or throw PeerUnavailable."""


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing to do until there are changes (`lost`: until the peer may have recovered): None."""

    lost: bool = False


Demand: TypeAlias = (
    ReadStanding | ReadChanges | ReadPage | Restart | Resume | Acknowledge | Settle | Finish
) | (Exchange | Listen | Rest)
Given: TypeAlias = OutboxStanding | Batch | Page | Reply | None


class InboxStanding(NamedTuple):
    """Where the receiving side stands: the rows up to `position` are those of this session at this serial."""

    session: str = ""
    serial: int = 0
    position: Place = START


# What the receiving session plans.  Each is carried out in one transaction, and only while the inbox stands at
# `expected`; it then stands at `then`.


@dataclass(frozen=True, slots=True)
class Tell:
    """Store nothing; say where we stand."""


@dataclass(frozen=True, slots=True)
class Retell:
    """Store nothing; say again what is rejected at these places."""

    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Adopt:
    """Take another session."""

    expected: InboxStanding
    then: InboxStanding


@dataclass(frozen=True, slots=True)
class Apply:
    """Take or reject each change, in order; then say what is rejected at these places."""

    expected: InboxStanding
    then: InboxStanding
    changes: tuple[Change, ...]
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Compare:
    """Compute the digests within a span; when they are these, stand at `then`, else at `expected`."""

    expected: InboxStanding
    then: InboxStanding
    span: Span
    tables: tuple[TableDigest, ...]


@dataclass(frozen=True, slots=True)
class Replace:
    """Take or reject each row, and the deletion of each other row within the span."""

    expected: InboxStanding
    then: InboxStanding
    span: Span
    rows: tuple[Row, ...]


Plan: TypeAlias = Tell | Retell | Adopt | Apply | Compare | Replace
