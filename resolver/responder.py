"""One native request in, one native reply out: open, decide by opcode, compose; the same for UDP, TCP and HTTP POST.

Rules: RFC 3652 §2–3, and what real clients need (each said where it is done).  Law: whatever comes in, `respond` gives
a reply, or nothing where the transport must not answer; it does not raise.  Challenges and sessions live in the worker
that made them; every other one sends it the whole message and gives its reply.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from time import perf_counter_ns
from typing import Any

from resolver.administration import OPCODES, Administration
from resolver.answer import Answer, Status
from resolver.authentication import Authenticator
from resolver.composer import Composer
from resolver.exchange import (
    Asked,
    Origin,
    Outcome,
    Profile,
    Reply,
    Sign,
    Surroundings,
    is_login_client,
    refused,
)
from resolver.finder import Finder, Found, Sought, is_whole_answer, reply_with
from resolver.handshakes import NOT_OVER_UDP, Handshakes
from resolver.hot.wire import HotWire, PlainRequest
from resolver.labour import Labour, Overworked
from resolver.observe import Event, Protocol, Tally, cell
from resolver.proofs import Proofs
from resolver.registrar import Registrar
from resolver.render import CODES, wire_body
from resolver.resolution import Resolution
from resolver.service import BUSY, Resolver
from resolver.sessions import SessionError, mac_of, slot_of, unknown
from resolver.source import SourceUnavailable
from resolver.wire import (
    ENVELOPE_BYTES,
    HEADER_BYTES,
    Envelope,
    Flag,
    Header,
    Message,
    Opcode,
    ResponseCode,
    WireError,
    encode_site,
    unwrap,
)

__all__ = ["Origin", "Profile", "Reply", "Responder", "Sign", "Surroundings"]

log = logging.getLogger(__name__)

_LOGGED_BYTES = ENVELOPE_BYTES + HEADER_BYTES  # of a request; what follows may be a secret
_OVER_UDP = frozenset(
    {
        Opcode.RESOLUTION,
        Opcode.GET_SITE_INFO,
        Opcode.CHALLENGE_RESPONSE,
        Opcode.SESSION_SETUP,
        Opcode.SESSION_TERMINATE,
    }
)
_OF_SESSIONS = frozenset({Opcode.CHALLENGE_RESPONSE, Opcode.SESSION_TERMINATE})
_CHALLENGED = OPCODES | {Opcode.RESOLUTION}
_SPECIAL = (
    Flag.AUTHORITATIVE | Flag.CERTIFY | Flag.ENCRYPT | Flag.REQUEST_DIGEST | Flag.DO_NOT_REFER
)
_MAX_FORWARDED = 128  # to other workers at once, from connections and in datagrams each; more wait
_NO_REPLY = (
    "The worker that has this session does not reply; look what was done before you try again"
)
_NS = 1_000_000_000

Handler = Callable[[Asked], Awaitable[Outcome]]


class Responder:
    """Answers native messages; one per worker, shared by all its transports."""

    def __init__(
        self,
        service: Resolver,
        hot: HotWire,
        tally: Tally,
        surroundings: Surroundings,
        registrar: Registrar,
        authenticator: Authenticator,
        *,
        profile: Profile = Profile.AUTO,
        session_seconds: int = 1_800,
    ) -> None:
        """`profile` and `session_seconds` are the settings `native_profile` and `session_seconds`."""
        self._service = service
        self._hot = hot
        self._tally = tally
        self._world = surroundings
        self._profile = profile
        self._site = encode_site(service.site())
        # What strangers send in datagrams holds up nobody else.
        self._forwards = {each: asyncio.Semaphore(_MAX_FORWARDED) for each in (True, False)}
        labour = Labour()
        self._composer = Composer(surroundings, labour)
        proofs = Proofs(authenticator, surroundings, labour)
        self._handshakes = Handshakes(proofs, surroundings, labour, session_seconds)
        self._handlers: dict[int, Handler] = {
            Opcode.RESOLUTION: Resolution(service, registrar).answer,
            Opcode.GET_SITE_INFO: self._tell_site,
            Opcode.CHALLENGE_RESPONSE: self._take_proof,
            Opcode.VERIFY_RESPONSE: proofs.verify,
            Opcode.SESSION_SETUP: self._handshakes.set_up,
            Opcode.SESSION_TERMINATE: self._end_session,
            Opcode.KEY_LOGIN: self._begin_login,
            **dict.fromkeys(OPCODES, Administration(registrar, service.identify).carry_out),
        }

    async def respond(self, data: bytes, origin: Origin) -> Reply:
        """Return the reply to a whole message; an empty one when a datagram could not be understood.

        Whoever sends it counts it: what is decided here may yet be too long, or too much for its receiver.
        """
        try:
            plain = self._hot.asked(data) if origin.known is None else None
            reply = None if plain is None else await self._find(data, origin, plain)
            return await self._respond(data, origin) if reply is None else reply
        except Exception as error:  # the top of a request: a broken record must not end the worker
            return self._broken(data, error)

    def _broken(self, data: bytes, error: Exception) -> Reply:
        """Reply to a request that ended in a fault of ours."""
        log.error("not answered", exc_info=error, extra={"request": data[:_LOGGED_BYTES].hex()})
        request_id = int.from_bytes(data[8:12])
        fault = WireError("Internal error", code=ResponseCode.ERROR, request_id=request_id)
        return Reply(self.refuse(fault))

    def finder(
        self,
        protocol: Protocol,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        send: Callable[[list[Found]], None],
        leave: Callable[[Sought, Answer | None], None],
    ) -> Finder:
        """Return what looks up plain questions together for one front end; see `Finder`."""
        return Finder(self._service, self._hot, protocol, spawn, send, leave)

    def refuse(self, error: WireError) -> bytes:
        """Return the reply to bytes that are no message; the id is that of the request where it could be read."""
        return self._composer.refuse(error)

    def refuse_as_busy(self, message: bytes) -> bytes:
        """Return the reply to a request that cannot be answered at the moment."""
        request_id = int.from_bytes(message[8:12])
        return self.refuse(WireError(BUSY, code=ResponseCode.SERVER_BUSY, request_id=request_id))

    async def _find(self, data: bytes, origin: Origin, plain: PlainRequest) -> Reply | None:
        """Reply to what could have been ready: all public values, or that there is none, or not now; None for all else.

        Law: the bytes are those of the ordinary way, which takes messages apart and puts them together.
        """
        era = self._hot.era
        found = await self._service.find(plain.handle)
        if found is None:
            return None
        own, answer = found
        sought = Sought(data, plain, own, None)
        if answer.status is not Status.FOUND or answer.stored is None:
            return await self._say(sought, answer, origin)
        if not is_whole_answer(plain, answer.stored):
            return None
        reply = reply_with(sought, answer.stored, origin.protocol, self._hot, era)
        return Reply(reply.reply, reply.cell, key=own.key)

    async def say(self, sought: Sought, answer: Answer, origin: Origin) -> Reply:
        """Reply that there is nothing, or nothing now, to what a `Finder` looked up."""
        try:
            return await self._say(sought, answer, origin)
        except Exception as error:
            return self._broken(sought.message, error)

    async def _say(self, sought: Sought, answer: Answer, origin: Origin) -> Reply:
        own = sought.own
        counted = cell(origin.protocol, own.scheme, answer.status, answer.tier)
        none = Outcome(code=CODES[answer.status], body=wire_body(answer, sought.plain.handle))
        asked = self._asked(Message.decode(sought.message), origin)
        return await self._reply(asked, replace(none, cell=counted, key=own.key))

    async def _respond(self, data: bytes, origin: Origin) -> Reply:
        try:
            envelope, content = unwrap(data)
            if envelope.encrypted:
                return await self._respond_sealed(data, envelope, content, origin)
            asked = self._asked(Message.decode_content(envelope, content), origin)
        except WireError as error:
            return self._refuse_unreadable(error, origin)
        if origin.is_datagram and not asked.message.is_request:  # two servers could go on for ever
            self._tally.happened(Event.UDP_UNREADABLE)
            return Reply(b"")
        slot = self._elsewhere(asked)
        if slot is not None:
            return await self._forward(slot, data, asked)
        try:
            asked = await self._handshakes.check(asked)
        except SessionError as error:
            return await self._reply(asked, refused(error.code, str(error)))
        return await self._answer(data, asked)

    async def _respond_sealed(
        self, data: bytes, envelope: Envelope, content: bytes, origin: Origin
    ) -> Reply:
        """Answer a message that only its session can read."""
        outside = Message(replace(envelope, encrypted=False), Header(Opcode.RESERVED), b"")
        sealed = self._asked(outside, origin)
        slot = slot_of(envelope.session_id)
        if slot is not None and slot != self._world.slot:
            return await self._forward(slot, data, sealed)
        try:
            asked = await self._handshakes.open(sealed, content)
        except SessionError as error:
            return await self._reply(sealed, refused(error.code, str(error)))
        return await self._answer(data, asked)

    def _asked(self, message: Message, origin: Origin) -> Asked:
        is_login = origin.known is not None or self._is_login(message.envelope)
        return Asked(message, origin, is_login)

    def _is_login(self, envelope: Envelope) -> bool:
        """True for who logs in by what he says of himself, which is all that a ready reply goes by."""
        is_auto = self._profile is Profile.AUTO
        return is_login_client(envelope) if is_auto else self._profile is Profile.LOGIN

    def _elsewhere(self, asked: Asked) -> int | None:
        """Return the slot of the other worker that has the challenge or session of a request; None: ours, or none."""
        session_id, origin = asked.message.envelope.session_id, asked.origin
        slot = slot_of(session_id)
        if slot is None or slot == self._world.slot:
            return None
        if origin.challenge is not None and origin.challenge_id == session_id:
            return None  # a login, which stays with its connection
        is_of_session = asked.opcode in _OF_SESSIONS or mac_of(asked.message) is not None
        return slot if is_of_session else None

    async def _forward(self, slot: int, data: bytes, asked: Asked) -> Reply:
        """Give the reply of another worker; what a worker knew that is gone, nobody knows."""
        try:
            async with self._forwards[asked.origin.is_datagram]:
                return await self._world.forward(slot, data, asked.origin)
        except TimeoutError:
            return await self._reply(asked, refused(ResponseCode.SERVER_BUSY, _NO_REPLY))
        except OSError:
            gone = unknown()
            return await self._reply(asked, refused(gone.code, str(gone)))

    async def _answer(self, data: bytes, asked: Asked) -> Reply:
        era = self._hot.era
        outcome = await self._decide(asked)
        reply = await self._reply(asked, outcome)
        is_as_ready = asked.is_login == self._is_login(asked.message.envelope)
        if outcome.stored is not None and is_as_ready and _is_plain(asked):
            self._hot.remember(
                data,
                reply.message,
                public_only=asked.wants_public_only,
                restricted=outcome.stored.restricted,
                expires_ns=perf_counter_ns() + outcome.stored.ttl_seconds * _NS,
                cell=outcome.ready_cell,
                key=outcome.key,
                serial=outcome.stored.serial,
                era=era,
            )
        return reply

    async def _reply(self, asked: Asked, outcome: Outcome) -> Reply:
        message = await self._composer.compose(asked, outcome)
        if outcome.pages is None:
            return Reply(message, outcome.cell, key=outcome.key)
        more = self._composer.compose_pages(asked, outcome, outcome.pages)
        return Reply(message, outcome.cell, more, outcome.key)

    async def _decide(self, asked: Asked) -> Outcome:
        handler = self._handlers.get(asked.opcode)
        if handler is None or not asked.message.is_request:
            return _not_offered(asked)
        if asked.origin.is_datagram and asked.opcode not in _OVER_UDP:
            return refused(ResponseCode.PROTOCOL_ERROR, NOT_OVER_UDP)
        try:
            return await self._carry_out(asked, handler)
        except SessionError as error:
            return refused(error.code, str(error))
        except Overworked as busy:
            return refused(ResponseCode.SERVER_BUSY, str(busy))
        except SourceUnavailable:
            return refused(ResponseCode.SERVER_BUSY, BUSY)

    async def _carry_out(self, asked: Asked, handler: Handler) -> Outcome:
        """Do what is asked, or ask back who asks."""
        outcome = await handler(asked)
        if outcome.code != ResponseCode.AUTHENTICATION_NEEDED or asked.opcode not in _CHALLENGED:
            return outcome
        asked = await self._handshakes.wait_for_proof(asked)
        if asked.caller is not None:
            return await handler(asked)
        return replace(self._handshakes.challenge(asked), cell=outcome.cell, key=outcome.key)

    async def _take_proof(self, asked: Asked) -> Outcome:
        """Take the answer to a challenge (200), and do what waited for it: that is what the reply answers."""
        proven = await self._handshakes.prove(asked)
        if isinstance(proven, Outcome):
            return proven
        outcome = await self._carry_out(proven.asked, self._handlers[proven.asked.opcode])
        return replace(
            outcome,
            opcode=proven.asked.opcode,
            session_id=proven.session_id,
            session=proven.session,
        )

    async def _tell_site(self, _asked: Asked) -> Outcome:
        return Outcome(code=ResponseCode.SUCCESS, body=self._site)

    async def _end_session(self, asked: Asked) -> Outcome:
        return self._handshakes.end(asked)

    async def _begin_login(self, asked: Asked) -> Outcome:
        if self._profile is Profile.HANDLE:
            return refused(ResponseCode.OPERATION_NOT_SUPPORTED, "Logins are not served here")
        return self._handshakes.begin_login(asked)

    def _refuse_unreadable(self, error: WireError, origin: Origin) -> Reply:
        if not origin.is_datagram:
            return Reply(self.refuse(error))
        self._tally.happened(Event.UDP_UNREADABLE)
        return Reply(b"")


def _is_plain(asked: Asked) -> bool:
    """True when the answer depends on nothing but the profile and the body, so that it may be kept ready."""
    message, envelope = asked.message, asked.message.envelope
    return asked.opcode == Opcode.RESOLUTION and not (
        message.header.flags & _SPECIAL
        or message.credential  # also of what came encrypted
        or envelope.truncated
        or envelope.sequence
        or envelope.version < (2, 0)
    )


def _not_offered(asked: Asked) -> Outcome:
    """Return the code and text for an operation that is not served."""
    if asked.opcode == Opcode.RESERVED or not asked.message.is_request:
        return refused(ResponseCode.PROTOCOL_ERROR, "This is not a request")
    if asked.opcode == Opcode.PASSWORD_LOGIN:
        text = "Passwords are not taken in the clear; log in with a key (2001)"
        return refused(ResponseCode.INSUFFICIENT_PERMISSIONS, text)
    if asked.opcode in Opcode._value2member_map_:
        return refused(
            ResponseCode.OPERATION_NOT_SUPPORTED, f"Operation {asked.opcode} is not served"
        )
    return refused(ResponseCode.OPERATION_NOT_SUPPORTED, f"Unknown operation {asked.opcode}")
