"""Commands as bytes, both ways: the secondary node writes them, the top-level node (or its simulator) reads them.

Public: the frame (RFC 5730, 2.5) and the objects (secondary-node §5.5).  The draft spells the namespace of prefixes in
two ways; both are read, and an answer is given in the spelling of its command.  Of the verbs of RFC 5730 the draft has
check, create, update and poll; the others are answered with 2101.  How a command is signed and carried over HTTP is not
public, and no concern of this file.

CADENCE is that of the poll: each command is sent at once.
"""

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from sync.channels.cadence import Cadence
from sync.channels.epp.codes import EppError, ResultCode
from sync.channels.epp.form import decode, encode
from sync.channels.epp.markup import EPP, Element, is_writable, parse, write
from sync.channels.epp.objects import (
    MAX_ID_CHARACTERS,
    ChangeEnterprise,
    CheckEnterprise,
    CheckPrefix,
    CreateEnterprise,
    CreatePrefix,
    ObjectCommand,
    ReplaceEnterprise,
    Subject,
)

CADENCE = Cadence.REAL_TIME

MIN_TRID_CHARACTERS = 3  # RFC 5730, trIDStringType
MAX_TRID_CHARACTERS = 64

ENTERPRISE = "urn:ietf:params:xml:ns:idis-ent-1.0"


class Spelling(Enum):
    """The two spellings of the namespace of prefixes in the draft: its text's and its example's."""

    TEXT = "urn:ietf:params:xml:ns:idis-entprefix-1.0"
    EXAMPLE = "urn:ietf:params:xml:ns:prefix-1.0"


PREFIXES = {ENTERPRISE: "ent", **{each.value: "prefix" for each in Spelling}}


@dataclass(frozen=True, slots=True)
class PollRequest:
    """Ask for the message at the head of the queue; it stays there."""


@dataclass(frozen=True, slots=True)
class PollAcknowledge:
    """Take the message of this number off the queue."""

    message_id: str

    def __post_init__(self) -> None:
        if not 1 <= len(self.message_id) <= MAX_ID_CHARACTERS or not is_writable(self.message_id):
            raise EppError(
                ResultCode.PARAMETER_VALUE_SYNTAX_ERROR,
                f"msgID has 1 to {MAX_ID_CHARACTERS} characters without control characters",
            )


Command: TypeAlias = ObjectCommand | PollRequest | PollAcknowledge


@dataclass(frozen=True, slots=True)
class Request:
    """A command as it was read.  `client_id` is empty when the client gave none."""

    command: Command
    client_id: str = ""
    spelling: Spelling = Spelling.TEXT


_OBJECTS: dict[tuple[str, Subject], type[ObjectCommand]] = {
    (make.VERB, make.SUBJECT): make
    for make in (CheckEnterprise, CheckPrefix, CreateEnterprise, CreatePrefix, ChangeEnterprise)
}
_VERBS = {"check", "create", "update"}
_OTHER_VERBS = {"login", "logout", "info", "delete", "renew", "transfer"}


def encode_command(request: Request) -> bytes:
    """Return a command as bytes.  Raises EppError when it has no clTRID, or would be too long."""
    check_trid("clTRID", request.client_id)
    parts = (_verb(request), Element(EPP, "clTRID", request.client_id))
    command = Element(EPP, "command", children=parts)
    return write(Element(EPP, "epp", children=(command,)), PREFIXES)


def decode_command(data: bytes) -> Request:
    """Return the command that these bytes hold.  Raises EppError with the result that the client is given."""
    command = only_child(parse(data), "epp", "command")
    client_id = ""
    parts = list(command.children)
    if parts and (parts[-1].namespace, parts[-1].name) == (EPP, "clTRID"):
        client_id = parts.pop().text
        check_trid("clTRID", client_id)
    try:
        return _read(parts, client_id)
    except EppError as error:
        raise EppError(error.code, str(error), client_id=client_id) from error


def check_trid(name: str, trid: str) -> None:
    """Raise EppError when this is no transaction identifier."""
    if not MIN_TRID_CHARACTERS <= len(trid) <= MAX_TRID_CHARACTERS or not is_writable(trid):
        raise EppError(
            ResultCode.PARAMETER_VALUE_SYNTAX_ERROR,
            f"{name} has {MIN_TRID_CHARACTERS} to {MAX_TRID_CHARACTERS} characters without control characters",
        )


def only_child(root: Element, name: str, inner: str) -> Element:
    """Return the one element inside a root of this name.  Raises EppError."""
    if (root.namespace, root.name) != (EPP, name):
        raise _syntax(
            f"the root is {root.name} of {root.namespace or 'no namespace'}; send {name} of {EPP}"
        )
    if [(each.namespace, each.name) for each in root.children] != [(EPP, inner)]:
        raise _syntax(f"{name} holds one {inner} of {EPP}, and nothing else; send that")
    return root.children[0]


def _verb(request: Request) -> Element:
    command = request.command
    if isinstance(command, PollRequest):
        return Element(EPP, "poll", attributes=(("op", "req"),))
    if isinstance(command, PollAcknowledge):
        return Element(EPP, "poll", attributes=(("op", "ack"), ("msgID", command.message_id)))
    namespace = ENTERPRISE if command.SUBJECT is Subject.ENTERPRISE else request.spelling.value
    return Element(EPP, command.VERB, children=(encode(command, command.VERB, namespace),))


def _read(parts: list[Element], client_id: str) -> Request:
    if not parts:
        raise _syntax("command is empty; send check, create, update or poll in it")
    verb = parts[0]
    if len(parts) > 1:
        raise _unexpected(parts[1])
    if verb.namespace == EPP and verb.name == "poll":
        return Request(_poll(verb), client_id)
    if verb.namespace != EPP or verb.name not in _VERBS:
        raise _unknown(verb)
    if len(verb.children) != 1 or verb.children[0].name != verb.name:
        raise _syntax(f"{verb.name} holds one {verb.name} of an object; send that")
    return _object(verb.children[0], client_id)


def _object(element: Element, client_id: str) -> Request:
    if element.namespace == ENTERPRISE:
        return Request(decode(_enterprise(element), element), client_id)
    try:
        spelling = Spelling(element.namespace)
    except ValueError as error:
        raise EppError(
            ResultCode.UNIMPLEMENTED_OBJECT_SERVICE,
            f"the objects of {element.namespace or 'no namespace'} are not served; use one of {', '.join(PREFIXES)}",
        ) from error
    make = _OBJECTS.get((element.name, Subject.PREFIX))
    if make is None:
        raise _unimplemented(f"a prefix has no {element.name}")
    return Request(decode(make, element), client_id, spelling)


def _enterprise(element: Element) -> type[ObjectCommand]:
    whole = any(child.name == ReplaceEnterprise.WHOLE for child in element.children)
    return ReplaceEnterprise if whole else _OBJECTS[element.name, Subject.ENTERPRISE]


def _poll(verb: Element) -> Command:
    operation, message_id = verb.attribute("op"), verb.attribute("msgID")
    if verb.children or verb.text:
        raise _syntax("poll holds nothing; send <poll op=…/>")
    if operation == "req":
        return PollRequest()
    if operation == "ack" and message_id:
        return PollAcknowledge(message_id)
    raise EppError(
        ResultCode.REQUIRED_PARAMETER_MISSING,
        'poll needs op="req", or op="ack" with the msgID of the message that has been taken in',
    )


def _unknown(verb: Element) -> EppError:
    if verb.namespace == EPP and verb.name in _OTHER_VERBS:
        return _unimplemented(f"{verb.name} is not offered")
    words = f"{verb.name} of {verb.namespace or 'no namespace'} is no command; send check, create, update or poll"
    return EppError(ResultCode.UNKNOWN_COMMAND, words)


def _unexpected(part: Element) -> EppError:
    if (part.namespace, part.name) == (EPP, "extension"):
        return EppError(ResultCode.UNIMPLEMENTED_EXTENSION, "no extension is known; leave it out")
    return _syntax(f"{part.name} is not expected here; a command holds one verb, then clTRID")


def _unimplemented(message: str) -> EppError:
    return EppError(
        ResultCode.UNIMPLEMENTED_COMMAND, f"{message}; use check, create, update or poll"
    )


def _syntax(message: str) -> EppError:
    return EppError(ResultCode.COMMAND_SYNTAX_ERROR, message)
