"""EPP: enterprises and prefixes registered at the national top-level node, for both sides of the conversation.

Public: RFC 5730 (the frame, the codes, the queue of messages) and draft-chen-top-level-interface-protocol-03 (the
objects; an expired individual draft by authors of the operator), restated in secondary-node §5.5.  Our own: the limits,
which elements may be left out, the element around a decision; each file says so where it does.  Not here, because not
public: how messages are signed and carried.  docs/reference/epp.md says the same at more length.

A client: `encode_command` → bytes → … → bytes → `decode_answer`, then `Answer.outcome` says what to do next.
A server: `decode_command` (an `EppError` carries the result it deserves) → … → `encode_answer`.
"""

from sync.channels.epp.answers import (
    NORMAL,
    PASSED,
    Answer,
    Created,
    Known,
    Notice,
    Queue,
    decode_answer,
    encode_answer,
)
from sync.channels.epp.codes import EppError, Outcome, ResultCode
from sync.channels.epp.commands import (
    CADENCE,
    Command,
    PollAcknowledge,
    PollRequest,
    Request,
    Spelling,
    decode_command,
    encode_command,
)
from sync.channels.epp.objects import (
    MAX_PHOTO_BYTES,
    CertificateType,
    ChangeEnterprise,
    CheckEnterprise,
    CheckPrefix,
    Contact,
    CreateEnterprise,
    CreatePrefix,
    Enterprise,
    EnterpriseChange,
    LegalPerson,
    PhotoType,
    ReplaceEnterprise,
)

__all__ = [
    "CADENCE",
    "MAX_PHOTO_BYTES",
    "NORMAL",
    "PASSED",
    "Answer",
    "CertificateType",
    "ChangeEnterprise",
    "CheckEnterprise",
    "CheckPrefix",
    "Command",
    "Contact",
    "CreateEnterprise",
    "CreatePrefix",
    "Created",
    "Enterprise",
    "EnterpriseChange",
    "EppError",
    "Known",
    "LegalPerson",
    "Notice",
    "Outcome",
    "PhotoType",
    "PollAcknowledge",
    "PollRequest",
    "Queue",
    "ReplaceEnterprise",
    "Request",
    "ResultCode",
    "Spelling",
    "decode_answer",
    "decode_command",
    "encode_answer",
    "encode_command",
]
