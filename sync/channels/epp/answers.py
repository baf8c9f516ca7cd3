"""Answers as bytes, both ways, and the verdict that a client draws from one.

Public: the frame of an answer (RFC 5730, 2.6), the codes of each command and the elements of `resData` (secondary-node
§5.5).  Not public: the name of the element around a poll's decision.  We write `panData`, as RFC 5731 calls the news of
a waiting request, and read any name in any namespace.  A server may say more than we know: that is passed over, save
in a message of the queue.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeAlias

from sync.channels.epp.codes import (
    MAX_MESSAGE_CHARACTERS,
    EppError,
    Outcome,
    ResultCode,
    outcome_of,
)
from sync.channels.epp.commands import ENTERPRISE, PREFIXES, Spelling, check_trid, only_child
from sync.channels.epp.form import NUMBER, TEXT, check, decode_known, encode, leaf
from sync.channels.epp.markup import EPP, SPACE, Element, is_writable, parse, write
from sync.channels.epp.objects import MAX_ID_CHARACTERS

NORMAL = 1  # `state` of a prefix in a notice
PASSED = 1  # `auditResult` of a notice


@dataclass(frozen=True, slots=True)
class Known:
    """The answer to a check of an enterprise: the number that the top-level node gave it, when it did."""

    ent_id: str | None = field(
        default=None, metadata=leaf("entId", TEXT, MAX_ID_CHARACTERS, required=False)
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, slots=True)
class Created:
    """The number of a new enterprise: it ties 表6, prefixes and decisions together."""

    ent_id: str = field(metadata=leaf("entId", TEXT, MAX_ID_CHARACTERS))

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, slots=True)
class Notice:
    """A decision on a command that had to wait.  `client_id` and `server_id` are those of that command."""

    client_id: str | None = field(metadata=leaf("clTRID", TEXT, 64, required=False))
    server_id: str | None = field(metadata=leaf("svTRID", TEXT, 64, required=False))
    ent_id: str | None = field(metadata=leaf("entId", TEXT, MAX_ID_CHARACTERS, required=False))
    prefix: str | None = field(metadata=leaf("prefix", TEXT, MAX_ID_CHARACTERS, required=False))
    state: int | None = field(metadata=leaf("state", NUMBER, 99, required=False, shortest=0))
    audit_result: int = field(metadata=leaf("auditResult", NUMBER, 99, shortest=0))
    audit_message: str | None = field(
        metadata=leaf("auditResultMsg", TEXT, MAX_MESSAGE_CHARACTERS, required=False)
    )

    def __post_init__(self) -> None:
        check(self)

    @property
    def is_passed(self) -> bool:
        """Whether the reviewers of the top-level node agreed."""
        return self.audit_result == PASSED


Data: TypeAlias = Known | Created | Notice


@dataclass(frozen=True, slots=True)
class Queue:
    """How many messages wait, the number of the first (or of the one just taken off), and when it was put there."""

    count: int
    message_id: str
    at: datetime | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.count <= 9_999:
            raise _range("msgQ has a count of 0 to 9999")
        if not 1 <= len(self.message_id) <= MAX_ID_CHARACTERS or not is_writable(self.message_id):
            raise _range(f"the id of msgQ has 1 to {MAX_ID_CHARACTERS} characters")
        if self.at is not None and self.at.tzinfo is None:
            raise _range("qDate needs its offset from UTC")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a command.  `reason` is the server's explanation, for the person who corrects the command."""

    code: ResultCode
    message: str
    client_id: str
    server_id: str
    reason: str = ""
    queue: Queue | None = None
    data: Data | None = None

    def __post_init__(self) -> None:
        for text in (self.message, self.reason):
            if len(text) > MAX_MESSAGE_CHARACTERS or not is_writable(text):
                raise _range(f"a message has at most {MAX_MESSAGE_CHARACTERS} plain characters")

    @property
    def outcome(self) -> Outcome:
        """What a client does next."""
        return outcome_of(self.code)


def encode_answer(answer: Answer, *, spelling: Spelling = Spelling.TEXT) -> bytes:
    """Return an answer as bytes, in the command's spelling of the namespace.  Raises EppError."""
    check_trid("svTRID", answer.server_id)
    if answer.client_id:
        check_trid("clTRID", answer.client_id)
    parts = [_result(answer)]
    if answer.queue:
        parts.append(_queue(answer.queue))
    if answer.data:
        parts.append(Element(EPP, "resData", children=(_data(answer.data, spelling),)))
    parts.append(_trid(answer))
    response = Element(EPP, "response", children=tuple(parts))
    return write(Element(EPP, "epp", children=(response,)), PREFIXES)


def decode_answer(data: bytes, client_id: str) -> Answer:
    """Return the answer that these bytes hold to the command of this clTRID.  Raises EppError.

    An error says nothing about what became of the command: ask again, with the same clTRID.
    """
    response = only_child(parse(data), "epp", "response")
    answer = _read(response)
    if answer.client_id != client_id:
        raise _syntax(
            f"the answer is to {answer.client_id or 'nothing'}, not to {client_id}; ask again"
        )
    return answer


def _result(answer: Answer) -> Element:
    children = [Element(EPP, "msg", answer.message)]
    if answer.reason:
        value = Element(
            EPP, "value"
        )  # RFC 5730: the part of the command that is meant; we leave it empty
        reason = Element(EPP, "reason", answer.reason)
        children.append(Element(EPP, "extValue", children=(value, reason)))
    code = ("code", str(answer.code.value))
    return Element(EPP, "result", children=tuple(children), attributes=(code,))


def _queue(queue: Queue) -> Element:
    attributes = (("count", str(queue.count)), ("id", queue.message_id))
    if queue.at is None:
        return Element(EPP, "msgQ", attributes=attributes)
    at = queue.at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return Element(EPP, "msgQ", children=(Element(EPP, "qDate", at),), attributes=attributes)


def _data(data: Data, spelling: Spelling) -> Element:
    if isinstance(data, Known):
        return encode(data, "chkData", ENTERPRISE)
    if isinstance(data, Created):
        return encode(data, "creData", ENTERPRISE)
    return encode(data, "panData", spelling.value)


def _trid(answer: Answer) -> Element:
    children = [Element(EPP, "clTRID", answer.client_id)] if answer.client_id else []
    children.append(Element(EPP, "svTRID", answer.server_id))
    return Element(EPP, "trID", children=tuple(children))


def _read(response: Element) -> Answer:
    parts = {child.name: child for child in response.children if child.namespace == EPP}
    results = [
        child for child in response.children if (child.namespace, child.name) == (EPP, "result")
    ]
    if not results or "trID" not in parts:
        raise _syntax("response needs a result and a trID")
    trids = _texts(parts["trID"])
    check_trid("svTRID", trids.get("svTRID", ""))
    code = _code(results[0])
    return Answer(
        code,
        _joined([_texts(each).get("msg", "") for each in results]),
        trids.get("clTRID", ""),
        trids["svTRID"],
        _joined([text for each in results for text in _reasons(each)]),
        _read_queue(parts["msgQ"]) if "msgQ" in parts else None,
        _read_data(parts["resData"], code) if "resData" in parts else None,
    )


def _joined(texts: list[str]) -> str:
    return "; ".join(texts)[:MAX_MESSAGE_CHARACTERS].strip(SPACE)


def _code(result: Element) -> ResultCode:
    try:
        return ResultCode(int(result.attribute("code")))
    except ValueError as error:
        raise _syntax(f"{result.attribute('code')!r} is no result code of RFC 5730") from error


def _reasons(result: Element) -> list[str]:
    inner = [
        child for each in result.children if each.name == "extValue" for child in each.children
    ]
    return [child.text for child in inner if child.name == "reason" and child.text]


def _texts(element: Element) -> dict[str, str]:
    return {child.name: child.text for child in element.children if child.namespace == EPP}


def _read_queue(element: Element) -> Queue:
    count = element.attribute("count")
    if not (count.isascii() and count.isdigit()):
        raise _syntax(f"the count of msgQ is {count!r}, no number")
    date = _texts(element).get("qDate")
    return Queue(int(count[:9]), element.attribute("id"), None if date is None else _moment(date))


def _moment(text: str) -> datetime:
    """A time of RFC 3339; the draft's examples have +08:00 where RFC 5730 wants Z, so any offset is read."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ValueError("no offset from UTC")
        return moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise _syntax(f"{text[:40]!r} is no time; write 2026-01-31T08:00:00Z") from error


def _read_data(element: Element, code: ResultCode) -> Data | None:
    """What an answer says of an object; None when it is nothing that we know.

    A message of the queue must be understood: what is passed over here would be acknowledged, and lost.
    """
    data = element.children[0] if element.children else Element("", "")
    if code is ResultCode.COMPLETED_ACK_TO_DEQUEUE:
        return decode_known(Notice, data)
    if (data.namespace, data.name) == (ENTERPRISE, "chkData"):
        return decode_known(Known, data)
    if (data.namespace, data.name) == (ENTERPRISE, "creData"):
        return decode_known(Created, data)
    return None


def _range(message: str) -> EppError:
    return EppError(ResultCode.PARAMETER_VALUE_RANGE_ERROR, message)


def _syntax(message: str) -> EppError:
    return EppError(ResultCode.COMMAND_SYNTAX_ERROR, message)
