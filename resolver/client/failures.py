"""Failures: what a request can come to that is not what was asked for, each an exception with a sentence for a person.

Two sorts: nothing was heard (`NodeUnreachable`), and the server said no (`Refused`, one class for each reason).  The
reason is the Handle response code, which both interfaces give; an HTTP status speaks where there is none.
"""

from dataclasses import dataclass
from typing import NamedTuple

from resolver.wire import ResponseCode

UNREADABLE = "the answer cannot be read"


class ClientError(Exception):
    """A request could not be carried out; the message is one sentence, and holds no secret."""


class NodeUnreachable(ClientError):
    """Nothing, or nothing readable, came back; the message says what to try.

    With an `idempotency_key`, a write may have been carried out: the same write with the same key finds out.
    """

    idempotency_key = ""


class InsecureLogin(ClientError):
    """A secret would have gone over plain HTTP to another machine; nothing was sent."""


class Refused(ClientError):
    """The server said no.  `code` is its Handle response code (0: none), `status` the HTTP status."""

    def __init__(self, sentence: str, refusal: "Refusal") -> None:
        super().__init__(sentence)
        self.code = refusal.code
        self.status = refusal.status


class Invalid(Refused):
    """The request breaks a rule: what is no identifier, a bad value, a parameter."""


class NotFound(Refused):
    """There is no such record, or it has none of these values, or it is not served there."""


class Gone(NotFound):
    """The record was deleted: `at` (ISO 8601, as the server says it), and why."""

    def __init__(self, sentence: str, refusal: "Refusal") -> None:
        super().__init__(sentence, refusal)
        self.at = refusal.deleted_at
        self.reason = refusal.reason


class Conflict(Refused):
    """There is such a record, or such a value, already."""


class ConditionFailed(Conflict):
    """The record is not at the version that the write depends on; `version` is where it is (0: there is none)."""

    def __init__(self, sentence: str, refusal: "Refusal") -> None:
        super().__init__(sentence, refusal)
        self.version = refusal.version


class LoginNeeded(Refused):
    """Nobody has proven who asks, and that is needed."""


class Forbidden(Refused):
    """Whoever asks may not."""


class LoginFailed(Forbidden):
    """The credentials were not accepted."""


class Busy(Refused):
    """The server cannot do it at the moment.

    With an `idempotency_key`, a write may have been carried out: the same write with the same key finds out.
    """

    idempotency_key = ""


class NotOffered(Refused):
    """The server does not do this, or not at this address."""


class ServerFault(Refused):
    """The server is at fault, or said something that nobody knows."""


class Fault(NamedTuple):
    """One rule that a form breaks: the path of the field, the rule's name, and what to do."""

    field: str
    rule: str
    message: str

    def __str__(self) -> str:
        where = f"{self.field}: " if self.field else ""
        return f"{where}{self.message} ({self.rule})"


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a server said when it said no; `kind` is the word of a problem document, `faults` are those of a form."""

    status: int
    code: int = 0
    message: str = ""
    version: int = 0
    deleted_at: str = ""
    reason: str = ""
    kind: str = ""
    faults: tuple[Fault, ...] = ()


_BY_KIND: dict[str, type[Refused]] = {
    "no_such_object": NotFound,
    "object_exists": Conflict,
    "step_refused": Conflict,
    "step_not_yours": Forbidden,
    "rule_broken": Invalid,
}
_BY_CODE: dict[int, tuple[type[Refused], str]] = {
    ResponseCode.ERROR: (ServerFault, "the server is at fault"),
    ResponseCode.SERVER_BUSY: (Busy, "the server is busy; try again"),
    ResponseCode.PROTOCOL_ERROR: (Invalid, "the server does not understand the request"),
    ResponseCode.OPERATION_NOT_SUPPORTED: (NotOffered, "the server does not offer this"),
    ResponseCode.SERVER_BACKUP: (Busy, "the server is being backed up; try again"),
    ResponseCode.HANDLE_NOT_FOUND: (NotFound, "there is no such record"),
    ResponseCode.HANDLE_ALREADY_EXISTS: (Conflict, "there is such a record already"),
    ResponseCode.INVALID_HANDLE: (Invalid, "this is no identifier that can be written there"),
    ResponseCode.VALUES_NOT_FOUND: (NotFound, "the record has no value with such an index"),
    ResponseCode.VALUE_ALREADY_EXISTS: (Conflict, "there is a value with such an index already"),
    ResponseCode.INVALID_VALUE: (Invalid, "a value is not valid"),
    ResponseCode.SERVER_NOT_RESPONSIBLE: (NotFound, "its prefix is not served there"),
    ResponseCode.SERVICE_REFERRAL: (NotFound, "another server has its prefix"),
    ResponseCode.PREFIX_REFERRAL: (NotFound, "other servers have its prefix"),
    ResponseCode.NOT_ADMINISTRATOR: (Forbidden, "you are no administrator of this record"),
    ResponseCode.INSUFFICIENT_PERMISSIONS: (Forbidden, "you may not do this"),
    ResponseCode.AUTHENTICATION_NEEDED: (LoginNeeded, "the server asks who you are"),
    ResponseCode.AUTHENTICATION_FAILED: (LoginFailed, "the server does not accept the login"),
    ResponseCode.INVALID_CREDENTIAL: (LoginFailed, "the server cannot read the login"),
    ResponseCode.AUTHENTICATION_TIMEOUT: (LoginFailed, "the login took too long"),
    ResponseCode.AUTHENTICATION_ERROR: (LoginFailed, "the login cannot be checked"),
}
_BY_STATUS: dict[int, tuple[type[Refused], str]] = {
    400: (Invalid, "the server does not understand the request"),
    401: (LoginNeeded, "the server asks who you are"),
    403: (Forbidden, "you may not do this"),
    404: (NotOffered, "the server does not offer this at this address"),
    405: (NotOffered, "the server does not offer this at this address"),
    409: (Conflict, "this is in conflict with what is there"),
    410: (Gone, "the record was deleted"),
    412: (ConditionFailed, "the record has changed since it was read"),
    413: (Invalid, "the request is too long"),
    415: (Invalid, "the server does not take this media type"),
    422: (Invalid, "a rule is broken"),
    429: (Busy, "the server has been asked too often; wait a little"),
    501: (NotOffered, "the server does not offer this"),
    503: (Busy, "the server is busy; try again"),
}
_STATUS_FIRST = frozenset({410, 412, 429, 503})
_UNKNOWN_PATH = 404  # with code 4, as the Handle JSON API says that it has no such path


def failure(refusal: Refusal) -> Refused:
    """Return the exception for what a server said; its message begins with our sentence, then the server's own."""
    if refusal.kind in _BY_KIND:
        return _BY_KIND[refusal.kind](_tell(refusal), refusal)
    if refusal.status == _UNKNOWN_PATH and refusal.code == ResponseCode.PROTOCOL_ERROR:
        kind, sentence = _BY_STATUS[_UNKNOWN_PATH]
    elif refusal.status not in _STATUS_FIRST and refusal.code in _BY_CODE:
        kind, sentence = _BY_CODE[refusal.code]
    else:
        unknown = (ServerFault, f"the server answers with HTTP status {refusal.status}")
        kind, sentence = _BY_STATUS.get(refusal.status, unknown)
    if kind is Gone and refusal.message:
        return kind(refusal.message, refusal)
    told = f" ({refusal.message})" if refusal.message else ""
    return kind(sentence + told, refusal)


def _tell(refusal: Refusal) -> str:
    """Return the server's own sentence; of a form with several faults one line for each."""
    if len(refusal.faults) < 2:
        return str(refusal.faults[0]) if refusal.faults else refusal.message
    return "\n  ".join((f"{len(refusal.faults)} rules are broken:", *map(str, refusal.faults)))
