"""The messages of the conversation, and their bytes: canonical JSON.  Our proposal, spec §5.6: theirs are not public.

The sender says Hello, Reset, Delta, Digests and SnapshotPart; each is answered by one Welcome or Ack that repeats its
number.  What a Delta, Digests or SnapshotPart says is true of a session and a serial for ever, whenever and however
often it arrives.  Any bytes are parsed or refused with MessageError.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, TypeAlias, TypeVar

import orjson

from sync.change import (
    MAX_BATCH_ITEMS,
    MAX_CODE_CHARACTERS,
    MAX_REASON_CHARACTERS,
    MAX_SERIAL,
    Change,
    Operation,
    Place,
    Rejection,
    Row,
    Span,
    TableDigest,
    canonical,
)

MAX_MESSAGE_BYTES = 8_000_000  # a megabyte of bodies, escaped at worst
MAX_SESSION_CHARACTERS = 64
MAX_REJECTIONS = 1_000

Json: TypeAlias = "bool | int | str | list[Json] | dict[str, Json]"


class MessageError(Exception):
    """Bytes that are no message of ours; theirs is the fault."""


class PeerUnavailable(Exception):
    """No reply that can be understood came back; nothing is known of what became of the message."""


@dataclass(frozen=True, slots=True)
class Hello:
    """Where do you stand?  With where the sender stands, for the peer to show."""

    kind: ClassVar[str] = "hello"
    number: int
    session: str
    serial: int


@dataclass(frozen=True, slots=True)
class Reset:
    """Take this session in the place of that one, from this serial on; rows are checked and brought afterwards.

    It counts only while the peer has the session that it replaces ("": none), so that a late one does nothing.
    """

    kind: ClassVar[str] = "reset"
    number: int
    session: str
    serial: int
    replaces: str


@dataclass(frozen=True, slots=True)
class Delta:
    """All changes after a serial, up to and with another, in order; there may be none."""

    kind: ClassVar[str] = "delta"
    number: int
    session: str
    after: int
    until: int
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Digests:
    """The digests of all rows within a span, at exactly this serial."""

    kind: ClassVar[str] = "digests"
    number: int
    session: str
    serial: int
    span: Span
    tables: tuple[TableDigest, ...]


@dataclass(frozen=True, slots=True)
class SnapshotPart:
    """All rows within a span, at exactly this serial: there are no others."""

    kind: ClassVar[str] = "snapshot"
    number: int
    session: str
    serial: int
    span: Span
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Welcome:
    """Where the peer stands: session ("": none yet), serial, and the place up to which its rows are right."""

    kind: ClassVar[str] = "welcome"
    number: int
    session: str
    serial: int
    position: Place


@dataclass(frozen=True, slots=True)
class Ack:
    """The message with this number is stored, or its digests were compared; and where the peer stands now.

    `rejected` lists the rejections that now hold of the message's keys: those of a Delta, all within the others' span
    (of very many the first MAX_REJECTIONS; the next walk tells those that are left).
    """

    kind: ClassVar[str] = "ack"
    number: int
    session: str
    serial: int
    position: Place
    agreed: bool
    rejected: tuple[Rejection, ...]


Message: TypeAlias = Hello | Reset | Delta | Digests | SnapshotPart
Reply: TypeAlias = Welcome | Ack


def encode(message: Message | Reply) -> bytes:
    """Return the canonical JSON of a message.  Raises ChangeError."""
    members = {"kind": message.kind}
    return canonical(members | {name: _plain(getattr(message, name)) for name in message.__slots__})


def parse_message(data: bytes) -> Message:
    """Read what a sender says.  Raises MessageError."""
    return _parse(data, MESSAGES)


def parse_reply(data: bytes) -> Reply:
    """Read what a receiver answers.  Raises MessageError."""
    return _parse(data, REPLIES)


def _plain(value: object) -> object:
    """The value as JSON has it: dataclasses and named tuples as lists of their members."""
    match value:
        case Change():
            operation = value.operation.value
            return [value.serial, value.table, operation, value.key, value.body.decode()]
        case Row():
            return [value.table, value.key, value.body.decode()]
        case TableDigest():
            return [value.table, value.rows, value.digest]
        case Rejection():
            return [value.serial, value.table, value.key, value.code, value.reason]
        case tuple():
            return [_plain(each) for each in value]
        case _:
            return value


class _Members:
    """The members of a parsed object, or of a list with named places; each is read once, with its type and limit."""

    def __init__(self, members: Mapping[str, Json]) -> None:
        self._members = dict(members)

    @classmethod
    def of_list(cls, value: Json, *names: str) -> "_Members":
        if not isinstance(value, list) or len(value) != len(names):
            raise MessageError(f"expected a list of {', '.join(names)}")
        return cls(dict(zip(names, value, strict=True)))

    def take(self, name: str) -> Json:
        if name not in self._members:
            raise MessageError(f"{name} is missing")
        return self._members.pop(name)

    def number(self, name: str) -> int:
        value = self.take(name)
        if type(value) is not int or not 0 <= value <= MAX_SERIAL:
            raise MessageError(f"{name} is a whole number up to 2^53 - 1")
        return value

    def text(self, name: str, limit: int) -> str:
        value = self.take(name)
        if not isinstance(value, str) or len(value) > limit:
            raise MessageError(f"{name} is a text of at most {limit} characters")
        return value

    def flag(self, name: str) -> bool:
        value = self.take(name)
        if not isinstance(value, bool):
            raise MessageError(f"{name} is true or false")
        return value

    def items(self, name: str, limit: int) -> list[Json]:
        value = self.take(name)
        if not isinstance(value, list) or len(value) > limit:
            raise MessageError(f"{name} is a list of at most {limit}")
        return value

    def session(self, name: str = "session") -> str:
        return self.text(name, MAX_SESSION_CHARACTERS)

    def end(self) -> None:
        if self._members:
            raise MessageError(f"unknown: {', '.join(sorted(self._members))}")


def _hello(members: _Members) -> Hello:
    return Hello(members.number("number"), members.session(), members.number("serial"))


def _reset(members: _Members) -> Reset:
    session = _named_session(members)
    number, serial = members.number("number"), members.number("serial")
    return Reset(number, session, serial, members.session("replaces"))


def _delta(members: _Members) -> Delta:
    session = _named_session(members)
    number, after, until = (members.number(name) for name in ("number", "after", "until"))
    changes = tuple(map(_change, members.items("changes", MAX_BATCH_ITEMS)))
    serials = [after, *(change.serial for change in changes)]
    rising = all(low < high for low, high in pairwise(serials))
    if not rising or serials[-1] > until:
        raise MessageError("the changes of a delta rise from its first serial to its last")
    return Delta(number, session, after, until, changes)


def _digests(members: _Members) -> Digests:
    number, session, serial, span = _of_span(members)
    tables = tuple(map(_table_digest, members.items("tables", MAX_BATCH_ITEMS)))
    return Digests(number, session, serial, span, tables)


def _snapshot_part(members: _Members) -> SnapshotPart:
    number, session, serial, span = _of_span(members)
    rows = tuple(map(_row, members.items("rows", MAX_BATCH_ITEMS)))
    places = [span.after, *(row.place for row in rows)]
    rising = all(low < high for low, high in pairwise(places))
    if not rising or places[-1] > span.until:
        raise MessageError("the rows of a snapshot's part rise within its span")
    return SnapshotPart(number, session, serial, span, rows)


def _welcome(members: _Members) -> Welcome:
    number, serial = members.number("number"), members.number("serial")
    return Welcome(number, members.session(), serial, _place(members.take("position")))


def _ack(members: _Members) -> Ack:
    number, serial = members.number("number"), members.number("serial")
    position, agreed = _place(members.take("position")), members.flag("agreed")
    rejected = tuple(map(_rejection, members.items("rejected", MAX_REJECTIONS)))
    return Ack(number, _named_session(members), serial, position, agreed, rejected)


def _of_span(members: _Members) -> tuple[int, str, int, Span]:
    session = _named_session(members)
    after, until = map(_place, members.items("span", 2))
    if after >= until:
        raise MessageError("a span holds at least one place")
    return members.number("number"), session, members.number("serial"), Span(after, until)


def _named_session(members: _Members) -> str:
    session = members.session()
    if not session:
        raise MessageError("a session has a name")
    return session


def _place(value: Json) -> Place:
    members = _Members.of_list(value, "table", "key")
    return Place(members.text("table", 3), members.text("key", MAX_MESSAGE_BYTES))


def _change(value: Json) -> Change:
    members = _Members.of_list(value, "serial", "table", "operation", "key", "body")
    serial, table = members.number("serial"), members.text("table", 3)
    operation = Operation(members.text("operation", 6))
    return Change(serial, table, operation, *_key_and_body(members))


def _row(value: Json) -> Row:
    members = _Members.of_list(value, "table", "key", "body")
    return Row(members.text("table", 3), *_key_and_body(members))


def _key_and_body(members: _Members) -> tuple[str, bytes]:
    key = members.text("key", MAX_MESSAGE_BYTES)  # the row's own limit is stricter
    return key, members.text("body", MAX_MESSAGE_BYTES).encode()


def _table_digest(value: Json) -> TableDigest:
    members = _Members.of_list(value, "table", "rows", "digest")
    return TableDigest(members.text("table", 3), members.number("rows"), members.text("digest", 64))


def _rejection(value: Json) -> Rejection:
    members = _Members.of_list(value, "serial", "table", "key", "code", "reason")
    serial, table = members.number("serial"), members.text("table", 3)
    key, code = members.text("key", MAX_MESSAGE_BYTES), members.text("code", MAX_CODE_CHARACTERS)
    return Rejection(serial, table, key, code, members.text("reason", MAX_REASON_CHARACTERS))


Kind = TypeVar("Kind")
MESSAGES: dict[str, Callable[[_Members], Message]] = {
    Hello.kind: _hello,
    Reset.kind: _reset,
    Delta.kind: _delta,
    Digests.kind: _digests,
    SnapshotPart.kind: _snapshot_part,
}
REPLIES: dict[str, Callable[[_Members], Reply]] = {Welcome.kind: _welcome, Ack.kind: _ack}


def _parse(data: bytes, kinds: Mapping[str, Callable[[_Members], Kind]]) -> Kind:
    if len(data) > MAX_MESSAGE_BYTES:
        raise MessageError(f"a message has at most {MAX_MESSAGE_BYTES} bytes")
    try:
        value = orjson.loads(data)
        if not isinstance(value, dict) or canonical(value) != data:
            raise MessageError("a message is an object in canonical JSON (RFC 8785)")
        members = _Members(value)
        reader = kinds.get(members.text("kind", 16))
        if reader is None:
            raise MessageError("this kind of message is not known here")
        message = reader(members)
    except ValueError as error:  # of orjson, of an operation's name; ChangeError too
        raise MessageError(f"this is no message: {error}") from error
    members.end()
    return message
