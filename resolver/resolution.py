"""Native resolution (opcode 1): public values from the tiers, restricted ones for whom they may be read by.

Rules: handle-protocol §7, and §11 for the login profile, whose clients ask for everything and mean what they may see.
"""

from resolver.answer import Answer, Question, Status, Tier
from resolver.exchange import Asked, Outcome, refused
from resolver.identifier import IdentifierError, Scheme
from resolver.observe import Protocol, cell
from resolver.registrar import Caller, Registrar
from resolver.render import CODES, REFERRALS, wire_body
from resolver.service import Resolver, select
from resolver.wire import Flag, ResolutionRequest, ResponseCode, WireError

_READY_STATUSES = frozenset({Status.FOUND, Status.NO_SUCH_VALUE})
_HIDDEN = frozenset({Status.AUTHENTICATION_NEEDED, Status.NOT_PERMITTED})


class Resolution:
    """Answers resolutions."""

    def __init__(self, service: Resolver, registrar: Registrar) -> None:
        self._service = service
        self._registrar = registrar

    async def answer(self, asked: Asked) -> Outcome:
        """Return what a request for values is answered; AUTHENTICATION_NEEDED when its caller is to be proven first.

        Raises SourceUnavailable.
        """
        try:
            request = ResolutionRequest.decode(asked.message.body)
        except WireError as error:
            return _invalid(asked, b"", error.code, str(error).encode())
        try:
            identifier = self._service.identify(request.handle)
        except IdentifierError:  # as the reference server: no such handle, no text
            return _invalid(asked, request.handle, ResponseCode.HANDLE_NOT_FOUND, b"")
        question = Question(
            identifier,
            request.types,
            request.indexes,
            asked.wants_public_only,
            asked.has(Flag.AUTHORITATIVE),
        )
        answer = await self._service.resolve(question)
        if asked.has(Flag.DO_NOT_REFER) and answer.status in REFERRALS:
            answer = Answer(Status.NOT_RESPONSIBLE)
        if asked.caller is not None and answer.status in _HIDDEN:
            return await self._answer_as(asked.caller, asked, request, question, answer)
        return _outcome(asked, request, question, answer)

    async def _answer_as(
        self,
        caller: Caller,
        asked: Asked,
        request: ResolutionRequest,
        question: Question,
        hidden: Answer,
    ) -> Outcome:
        """Answer with what the caller may read.

        One who may not read what was asked for is told so; a login client gets the rest, for it never asks for less.
        """
        if hidden.status is Status.NOT_PERMITTED and not asked.is_login:
            return _outcome(asked, request, question, hidden)
        reading = await self._registrar.read(question.identifier, caller)
        if reading.code is not ResponseCode.SUCCESS:
            return refused(reading.code, reading.message)
        values = select(reading.values, question)
        is_private = not all(value.is_public for value in values)
        if not is_private and not asked.is_login:
            counted = cell(
                asked.origin.protocol,
                question.identifier.scheme,
                Status.NOT_PERMITTED,
                Tier.POSTGRES,
            )
            return refused(
                ResponseCode.NOT_ADMINISTRATOR, cell=counted, key=question.identifier.key
            )
        status = Status.FOUND if values else Status.NO_SUCH_VALUE
        answer = Answer(status, Tier.POSTGRES, None, values)
        return _outcome(asked, request, question, answer, is_private=is_private)


def _outcome(
    asked: Asked,
    request: ResolutionRequest,
    question: Question,
    answer: Answer,
    *,
    is_private: bool = False,
) -> Outcome:
    identifier, stored = question.identifier, answer.stored
    is_ready = (
        stored is not None and stored.handle == request.handle and answer.status in _READY_STATUSES
    )
    return Outcome(
        code=CODES[answer.status],
        body=wire_body(answer, request.handle),
        is_private=is_private,
        cell=cell(asked.origin.protocol, identifier.scheme, answer.status, answer.tier),
        stored=stored if is_ready else None,
        key=identifier.key,
        ready_cell=cell(Protocol.UDP, identifier.scheme, answer.status, Tier.MEMORY),
    )


def _invalid(asked: Asked, name: bytes, code: ResponseCode, text: bytes) -> Outcome:
    counted = cell(asked.origin.protocol, Scheme.HANDLE, Status.INVALID_HANDLE, Tier.NONE)
    return refused(code, text, cell=counted, key=name)
