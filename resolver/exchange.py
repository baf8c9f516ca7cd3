"""One native exchange: where a message came from, what it asks on whose behalf, what is decided, and the reply.

These are the values that the parts of the responder hand each other, and what it needs of the world.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from resolver.answer import Stored
from resolver.labour import payer_of
from resolver.observe import Protocol
from resolver.registrar import Caller
from resolver.sessions import Known, Pending, Session
from resolver.tries import source_of
from resolver.wire import Envelope, ErrorAnswer, Flag, Message, ResponseCode

_LOGIN_VERSION = (2, 10)  # what both Chinese clients say, and Handle.Net 9 does not


class Profile(StrEnum):
    """How native clients are treated (setting `native_profile`)."""

    AUTO = "auto"  # by what each says of itself
    HANDLE = "handle"  # challenge whoever must prove something
    LOGIN = "login"  # whoever must prove something logs in first, once a connection


@dataclass(slots=True)
class Origin:
    """Where messages come from: one of these for a TCP connection, for a datagram, for an HTTP request.

    `known` is who has logged in on this connection, `challenge` the login that waits for its proof.
    """

    protocol: Protocol
    address: str
    known: Known | None = None
    challenge: Pending | None = None
    challenge_id: int = 0

    def __str__(self) -> str:
        return f"{self.protocol} {self.address}"

    @property
    def login(self) -> Caller | None:
        """Who has logged in on this connection."""
        return self.known.caller if self.known else None

    @property
    def is_datagram(self) -> bool:
        """True when the address may be forged, and answers must be short."""
        return self.protocol is Protocol.UDP

    @property
    def source(self) -> str:
        """Who is behind the address: for IPv6 the /64, for one customer has them all."""
        return source_of(self.address)

    @property
    def payer(self) -> str:
        """Who is charged for what is costly."""
        return payer_of(self.address, is_datagram=self.is_datagram)


class Reply(NamedTuple):
    """A whole reply, and the cell where it is to be counted once it is sent; None when it answers no resolution.

    `key` is the canonical key of what was asked, or the bytes that name nothing.  `more` are further messages of the
    same answer, one at a time (lists of handles); never over UDP.
    """

    message: bytes
    cell: int | None = None
    more: AsyncIterator[bytes] | None = None
    key: bytes = b""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, and what is known of who makes it.

    `session` is there when the request has proven to be of it; `is_encrypted` when it came so; `is_login` when its
    sender can answer no challenge but logs in; `caller` is who has been proven to ask.
    """

    message: Message
    origin: Origin
    is_login: bool
    session: Session | None = None
    is_encrypted: bool = False
    caller: Caller | None = None

    @property
    def opcode(self) -> int:
        """What is asked for."""
        return self.message.header.opcode

    @property
    def wants_public_only(self) -> bool:
        """True when restricted values are left out silently; clients that log in never say so, but mean it."""
        return self.has(Flag.PUBLIC_ONLY) or (self.is_login and self.caller is None)

    def has(self, flag: Flag) -> bool:
        """True when the request carries this flag."""
        return bool(self.message.header.flags & int(flag))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What is decided about a request, before it is put in an envelope.

    `opcode` and `session_id` are the request's unless said otherwise; `session` likewise.  `is_private` marks what a
    session has to encrypt.  `is_continued`: more of the same answer follows, which `pages` gives.  `cell` is where it
    is counted.  A reply that may be kept ready has `stored`, the record, its `key`, and `ready_cell`, where it is
    counted when it is given again.
    """

    code: int
    body: bytes
    opcode: int | None = None
    session_id: int | None = None
    session: Session | None = None
    is_private: bool = False
    is_continued: bool = False
    pages: "AsyncIterator[Outcome] | None" = None
    cell: int | None = None
    stored: Stored | None = None
    key: bytes = b""
    ready_cell: int = 0


def refused(
    code: int, text: str | bytes = b"", *, cell: int | None = None, key: bytes = b""
) -> Outcome:
    """Return the outcome of a request that is not carried out, with a text for a person."""
    shown = text.encode() if isinstance(text, str) else text
    return Outcome(code=code, body=ErrorAnswer(shown).encode(), cell=cell, key=key)


SUCCEEDED = Outcome(code=ResponseCode.SUCCESS, body=b"")

Sign = Callable[[bytes, bool], Awaitable[bytes]]
"""(block, with SHA-256?) -> signature by the server's key; made in a thread."""

Forward = Callable[[int, bytes, Origin], Awaitable[Reply]]
"""(slot, whole message, where it came from) -> the reply of that worker.  Raises OSError when there is none."""


async def nowhere(slot: int, data: bytes, origin: Origin) -> Reply:
    """Forward nothing: there is one worker.  Raises ConnectionRefusedError."""
    raise ConnectionRefusedError(f"no worker in slot {slot} takes {len(data)} bytes of {origin}")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the responder needs of the world: time, randomness, a way to sign, and the other workers of the node.

    `slot` is this worker's own; it is in the session ids that it makes.
    """

    epoch_seconds: Callable[[], float]
    random_bytes: Callable[[int], bytes]
    sign: Sign
    slot: int = 0
    forward: Forward = nowhere


def is_login_client(envelope: Envelope) -> bool:
    """True for ID-SDK (suggests 2.10) and id-pointer (writes 2.10): they can answer no challenge, only log in."""
    return envelope.version == _LOGIN_VERSION or is_id_sdk(envelope)


def is_id_sdk(envelope: Envelope) -> bool:
    """True for ID-SDK alone, which knows the code ALREADY_LOGGED_IN; id-pointer never returns from it."""
    return (envelope.suggested_major, envelope.suggested_minor) == _LOGIN_VERSION
