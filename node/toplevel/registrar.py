"""Registrar: the server's side of EPP; a command in, its answer out.

Enterprises are taken at once; a prefix waits until it is decided, by hand or after a while, and the decision goes into
the queue, where it stays until the client has acknowledged it.  Public: the commands, the codes and the queue; that a
taken prefix is 2302, an enterprise that is not known 2303, and another node's prefix 2201, is RFC 5730's meaning of
these codes.
"""

import re
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from node.model.mask import mask_email, mask_name, mask_number, mask_phone
from node.toplevel.database import DatabaseFailed
from node.toplevel.registry import Prefix, PrefixState, Registry
from sync.channels.epp import (
    NORMAL,
    PASSED,
    Answer,
    ChangeEnterprise,
    CheckEnterprise,
    CheckPrefix,
    Created,
    CreateEnterprise,
    CreatePrefix,
    Enterprise,
    EnterpriseChange,
    EppError,
    Known,
    Notice,
    PollAcknowledge,
    PollRequest,
    Queue,
    ReplaceEnterprise,
    Request,
    ResultCode,
    Spelling,
    decode_command,
    encode_answer,
)

NOT_PASSED = 2  # `auditResult` of a refusal; ours: only that 1 is passed is public
MAX_QUEUE = 9_999
PASSED_MESSAGE = "审核通过"

_MASKS: dict[str, Callable[[str], str]] = {
    "name": mask_name,
    "email": mask_email,
    "phone": mask_phone,
    "id_number": mask_number,
}
_DIGITS = re.compile(r"[0-9]{1,15}")
_SAYS = {
    ResultCode.COMPLETED: "Command completed successfully",
    ResultCode.COMPLETED_ACTION_PENDING: "Command completed successfully; action pending",
    ResultCode.COMPLETED_NO_MESSAGES: "Command completed successfully; no messages",
    ResultCode.COMPLETED_ACK_TO_DEQUEUE: "Command completed successfully; ack to dequeue",
}


class Policy(NamedTuple):
    """How prefixes are decided: by hand when None, else after so many seconds; 0: at once."""

    decide_seconds: float | None = None


class _Said(NamedTuple):
    """What an answer is made of."""

    code: ResultCode
    data: Known | Created | Notice | None = None
    queue: Queue | None = None


class Registrar:
    """The server of one secondary node; `policy` says how prefixes are decided from now on."""

    def __init__(self, registry: Registry, node_prefix: str, clock: Callable[[], float]) -> None:
        self._registry = registry
        self._node_prefix = node_prefix
        self._clock = clock
        self.policy = Policy()

    async def answer(self, frame: bytes) -> bytes:
        """Return the answer to a frame, whatever it is."""
        server_id, client_id, spelling = "TLN-00000000", "", Spelling.TEXT
        try:
            request = decode_command(frame)
            client_id, spelling = request.client_id, request.spelling
            server_id = await self._registry.next_server_id()
            code, data, queue = await self._carry_out(request, server_id)
            answer = Answer(code, _SAYS[code], client_id, server_id, "", queue, data)
        except EppError as error:
            client_id = client_id or error.client_id
            answer = Answer(error.code, "Command refused", client_id, server_id, str(error))
        except DatabaseFailed as error:
            reason = f"nothing can be stored at the moment ({error})"
            answer = Answer(
                ResultCode.COMMAND_FAILED, "Command failed", client_id, server_id, reason
            )
        return encode_answer(answer, spelling=spelling)

    async def decide_due(self) -> int:
        """Grant the prefixes that are due; return how many."""
        due = await self._registry.due()
        for prefix in due:
            await self._registry.decide(prefix, passed=True, message=PASSED_MESSAGE)
        return len(due)

    async def _carry_out(self, request: Request, server_id: str) -> _Said:
        match request.command:
            case CheckEnterprise() as asked:
                known = await self._registry.find_enterprise(asked.certificate_number)
                return _Said(ResultCode.COMPLETED, Known(known))
            case CheckPrefix() as asked:
                await self._expect_free(asked.shr_prefix, asked.prefix)
                return _Said(ResultCode.COMPLETED)
            case CreateEnterprise() as asked:
                return await self._create_enterprise(asked)
            case CreatePrefix() as asked:
                return await self._create_prefix(asked, request.client_id, server_id)
            case ReplaceEnterprise() as asked:
                self._expect_ours(asked.shr_prefix)
                form = asked.enterprise
                await self._change(asked.ent_id, _plain(form), form.unit_name, form.credit_code)
                return _Said(ResultCode.COMPLETED)
            case ChangeEnterprise() as asked:
                await self._change(asked.ent_id, _plain(asked.change))
                return _Said(ResultCode.COMPLETED)
            case PollRequest():
                return await self._poll()
            case PollAcknowledge() as asked:
                return await self._acknowledge(asked.message_id)

    async def _create_enterprise(self, asked: CreateEnterprise) -> _Said:
        self._expect_ours(asked.shr_prefix)
        form = asked.enterprise
        added = await self._registry.add_enterprise(form.credit_code, form.unit_name, _plain(form))
        if added is None:
            raise EppError(
                ResultCode.OBJECT_EXISTS,
                "an enterprise with this credit code is registered; check it",
            )
        return _Said(ResultCode.COMPLETED, Created(added))

    async def _create_prefix(self, asked: CreatePrefix, client_id: str, server_id: str) -> _Said:
        found = await self._registry.find_prefix(asked.prefix)
        if found and (found.client_id, found.ent_id) == (client_id, asked.ent_id):
            return _created(found.state)  # asked again: the answer was lost
        await self._expect_free(asked.shr_prefix, asked.prefix)
        self._expect_known(asked.ent_id)
        now, wait = self._clock(), self.policy.decide_seconds
        state = PrefixState.GRANTED if wait == 0 else PrefixState.WAITING
        due, decided = (now + wait if wait else None), (now if wait == 0 else None)
        added = Prefix(asked.prefix, asked.ent_id, state, client_id, server_id, now, due, decided)
        if not await self._registry.add_prefix(added):
            raise EppError(ResultCode.OBJECT_EXISTS, f"{asked.prefix} is taken")
        return _created(state)

    async def _change(
        self, ent_id: str, form: dict[str, object], name: str = "", credit_code: str = ""
    ) -> None:
        self._expect_known(ent_id)
        if not await self._registry.change_enterprise(
            ent_id, form, name=name, credit_code=credit_code
        ):
            raise EppError(ResultCode.OBJECT_EXISTS, "another enterprise has this credit code")

    async def _poll(self) -> _Said:
        count, first = await self._registry.head()
        if first is None:
            return _Said(ResultCode.COMPLETED_NO_MESSAGES)
        at = datetime.fromtimestamp(int(first.at), UTC)
        queue = Queue(min(count, MAX_QUEUE), str(first.number), at)
        notice = Notice(
            first.client_id or None,
            first.server_id,
            first.ent_id,
            first.prefix,
            NORMAL if first.passed else None,
            PASSED if first.passed else NOT_PASSED,
            first.message or None,
        )
        return _Said(ResultCode.COMPLETED_ACK_TO_DEQUEUE, notice, queue)

    async def _acknowledge(self, number: str) -> _Said:
        is_number = _DIGITS.fullmatch(number) is not None
        left = await self._registry.take_off(number) if is_number else None
        if left is None:
            raise EppError(ResultCode.OBJECT_DOES_NOT_EXIST, "no message of this number waits")
        return _Said(ResultCode.COMPLETED, queue=Queue(min(left, MAX_QUEUE), number))

    async def _expect_free(self, shr_prefix: str, prefix: str) -> None:
        self._expect_ours(shr_prefix)
        found = await self._registry.find_prefix(prefix)
        if found is not None and found.state is not PrefixState.REFUSED:
            how = "waits for a decision" if found.state is PrefixState.WAITING else "is registered"
            raise EppError(ResultCode.OBJECT_EXISTS, f"{prefix} {how}, for {found.ent_id}")

    def _expect_ours(self, shr_prefix: str) -> None:
        if shr_prefix != self._node_prefix:
            raise EppError(
                ResultCode.AUTHORIZATION_ERROR,
                f"this account is that of {self._node_prefix}, not of {shr_prefix}",
            )

    def _expect_known(self, ent_id: str) -> None:
        if not self._registry.knows(ent_id):
            raise EppError(
                ResultCode.OBJECT_DOES_NOT_EXIST, f"no enterprise is {ent_id}; create it first"
            )


def _created(state: PrefixState) -> _Said:
    is_done = state is PrefixState.GRANTED
    return _Said(ResultCode.COMPLETED if is_done else ResultCode.COMPLETED_ACTION_PENDING)


def _plain(form: Enterprise | EnterpriseChange) -> dict[str, object]:
    """What is kept of a form: no photo, and people masked."""
    found = {each.name: getattr(form, each.name) for each in fields(form)}
    return {name: _kept(value) for name, value in found.items() if value not in (None, b"")}


def _kept(value: object) -> object:
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if is_dataclass(value) and not isinstance(value, type):
        members = {each.name: getattr(value, each.name) for each in fields(value)}
        return {
            name: _MASKS[name](member) if name in _MASKS else _kept(member)
            for name, member in members.items()
        }
    return value if isinstance(value, str | int) else str(getattr(value, "value", value))
