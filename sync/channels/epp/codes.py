"""The result codes of EPP (RFC 5730, section 3), what each asks of the client, and the one error of this channel."""

from enum import Enum, IntEnum

MAX_MESSAGE_CHARACTERS = 1024


class ResultCode(IntEnum):
    """RFC 5730, section 3: the first digit says done or not, the second what it is about."""

    COMPLETED = 1000
    COMPLETED_ACTION_PENDING = 1001
    COMPLETED_NO_MESSAGES = 1300
    COMPLETED_ACK_TO_DEQUEUE = 1301
    COMPLETED_ENDING_SESSION = 1500
    UNKNOWN_COMMAND = 2000
    COMMAND_SYNTAX_ERROR = 2001
    COMMAND_USE_ERROR = 2002
    REQUIRED_PARAMETER_MISSING = 2003
    PARAMETER_VALUE_RANGE_ERROR = 2004
    PARAMETER_VALUE_SYNTAX_ERROR = 2005
    UNIMPLEMENTED_PROTOCOL_VERSION = 2100
    UNIMPLEMENTED_COMMAND = 2101
    UNIMPLEMENTED_OPTION = 2102
    UNIMPLEMENTED_EXTENSION = 2103
    BILLING_FAILURE = 2104
    OBJECT_NOT_ELIGIBLE_FOR_RENEWAL = 2105
    OBJECT_NOT_ELIGIBLE_FOR_TRANSFER = 2106
    AUTHENTICATION_ERROR = 2200
    AUTHORIZATION_ERROR = 2201
    INVALID_AUTHORIZATION_INFORMATION = 2202
    OBJECT_PENDING_TRANSFER = 2300
    OBJECT_NOT_PENDING_TRANSFER = 2301
    OBJECT_EXISTS = 2302
    OBJECT_DOES_NOT_EXIST = 2303
    OBJECT_STATUS_PROHIBITS_OPERATION = 2304
    OBJECT_ASSOCIATION_PROHIBITS_OPERATION = 2305
    PARAMETER_VALUE_POLICY_ERROR = 2306
    UNIMPLEMENTED_OBJECT_SERVICE = 2307
    DATA_MANAGEMENT_POLICY_VIOLATION = 2308
    COMMAND_FAILED = 2400
    COMMAND_FAILED_CLOSING = 2500
    AUTHENTICATION_ERROR_CLOSING = 2501
    SESSION_LIMIT_EXCEEDED_CLOSING = 2502


class Outcome(Enum):
    """What a client does next."""

    DONE = "done"
    WAITING = "waiting"  # a person decides; the decision comes by poll
    NOTICE = "notice"  # a message is at the head of the queue: take it in, then acknowledge it
    NOTHING = "nothing"  # the queue is empty: ask again after the cadence
    REFUSED = "refused"  # the same words will be refused again: a person corrects them
    FORBIDDEN = "forbidden"  # the account, not the words: the operator acts
    AGAIN = "again"  # the server failed: the same command, later


_OUTCOMES = {
    ResultCode.COMPLETED: Outcome.DONE,
    ResultCode.COMPLETED_ACTION_PENDING: Outcome.WAITING,
    ResultCode.COMPLETED_NO_MESSAGES: Outcome.NOTHING,
    ResultCode.COMPLETED_ACK_TO_DEQUEUE: Outcome.NOTICE,
    ResultCode.COMPLETED_ENDING_SESSION: Outcome.DONE,
    ResultCode.BILLING_FAILURE: Outcome.FORBIDDEN,
    ResultCode.AUTHENTICATION_ERROR: Outcome.FORBIDDEN,
    ResultCode.AUTHORIZATION_ERROR: Outcome.FORBIDDEN,
    ResultCode.AUTHENTICATION_ERROR_CLOSING: Outcome.FORBIDDEN,
    ResultCode.COMMAND_FAILED: Outcome.AGAIN,
    ResultCode.COMMAND_FAILED_CLOSING: Outcome.AGAIN,
    ResultCode.SESSION_LIMIT_EXCEEDED_CLOSING: Outcome.AGAIN,
}


def outcome_of(code: ResultCode) -> Outcome:
    """Return what a client does next after this code; what is not listed asks for a correction."""
    return _OUTCOMES.get(code, Outcome.REFUSED)


class EppError(ValueError):
    """A message that this channel cannot carry: `code` is the result that a server gives for it.

    Raised alike for a value that cannot be sent and for bytes that cannot be read.  `client_id` is the command's
    clTRID when it could be read, so that the answer can name it.  The message may quote what was sent, so it is cut to
    what an answer can carry.
    """

    def __init__(self, code: ResultCode, message: str, *, client_id: str = "") -> None:
        super().__init__(message[:MAX_MESSAGE_CHARACTERS].rstrip())
        self.code = code
        self.client_id = client_id
