"""One native request in, one native reply out: decode, decide by opcode, encode; the same for UDP, TCP and HTTP POST.

Rules: RFC 3652 §2–3, and what real clients need (each said where it is done).  Law: whatever comes in, `respond` gives
a reply, or nothing where the transport must not answer; it does not raise.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from time import perf_counter_ns
from typing import NamedTuple

from resolver.answer import Answer, Question, Status, Stored, Tier
from resolver.hot import ANSWER_LIFE_SECONDS, HotWire
from resolver.identifier import IdentifierError, Scheme
from resolver.observe import Event, Protocol, Tally, cell
from resolver.render import CODES, REFERRALS, wire_body
from resolver.service import Resolver
from resolver.wire import (
    HS_SIGNED,
    NEWEST_VERSION,
    Challenge,
    Credential,
    Envelope,
    ErrorAnswer,
    Flag,
    Header,
    Message,
    Opcode,
    ResolutionRequest,
    ResponseCode,
    Version,
    WireError,
    answer_version,
    digest_request,
    encode_site,
    response_code_in,
    signature_hash,
    signed_block,
)

log = logging.getLogger(__name__)

SITE_SERIAL = 1
_LOGGED_BYTES = 512  # of a request that we could not answer
_NONCE_BYTES = 16
_ECHOED = Flag.CERTIFY | Flag.CACHE_CERTIFY | Flag.PUBLIC_ONLY
_SPECIAL = (
    Flag.AUTHORITATIVE | Flag.CERTIFY | Flag.ENCRYPT | Flag.REQUEST_DIGEST | Flag.DO_NOT_REFER
)
_READY_STATUSES = frozenset({Status.FOUND, Status.NO_SUCH_VALUE})
_LOGIN_VERSION = (
    2,
    10,
)  # what both Chinese clients say and Handle.Net 9 does not (see the module's sources)
_NS = 1_000_000_000

_LOGIN_CODES: dict[int, int] = {
    ResponseCode.SERVER_NOT_RESPONSIBLE: ResponseCode.HANDLE_NOT_FOUND,
    ResponseCode.SERVER_BACKUP: ResponseCode.SERVER_BUSY,
}
"""Codes that a client of the login profile cannot decode -> those it is given instead."""

Sign = Callable[[bytes, bool], Awaitable[bytes]]
"""(block, with SHA-256?) -> signature by the server's key; made in a thread."""


class Reply(NamedTuple):
    """A whole reply, and the cell where it is to be counted once it is sent; None when it answers no resolution."""

    message: bytes
    cell: int | None = None


class _Reply(NamedTuple):
    """What is decided about a request, before it is put in an envelope."""

    code: int
    body: bytes
    status: Status
    tier: Tier = Tier.NONE
    stored: Stored | None = None
    scheme: Scheme = Scheme.HANDLE
    key: bytes = b""
    session_id: int | None = None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the responder needs of the world: time, randomness and a way to sign."""

    epoch_seconds: Callable[[], float]
    random_bytes: Callable[[int], bytes]
    sign: Sign


class Responder:
    """Answers native messages; one per worker, shared by all its transports."""

    def __init__(
        self, service: Resolver, hot: HotWire, tally: Tally, surroundings: Surroundings
    ) -> None:
        self._service = service
        self._hot = hot
        self._tally = tally
        self._world = surroundings
        self._site = encode_site(service.site())

    async def respond(self, data: bytes, protocol: Protocol) -> Reply:
        """Return the reply to a whole message; an empty one when a datagram could not be understood.

        Whoever sends it counts it: what is decided here may yet be too long, or too much for its receiver.
        """
        try:
            return await self._respond(data, protocol)
        except Exception:  # the top of a request: a broken record must not end the worker
            log.exception("not answered", extra={"request": data[:_LOGGED_BYTES].hex()})
            request_id = int.from_bytes(data[8:12])
            fault = WireError("Internal error", code=ResponseCode.ERROR, request_id=request_id)
            return Reply(self.refuse(fault))

    async def _respond(self, data: bytes, protocol: Protocol) -> Reply:
        try:
            message = Message.decode(data)
        except WireError as error:
            if protocol is Protocol.UDP:
                self._tally.happened(Event.UDP_UNREADABLE)
                return Reply(b"")
            return Reply(self.refuse(error))
        if protocol is Protocol.UDP and not message.is_request:
            self._tally.happened(
                Event.UDP_UNREADABLE
            )  # else two servers could be set talking for ever
            return Reply(b"")
        opcode = message.header.opcode
        if opcode == Opcode.RESOLUTION and message.is_request:
            return await self._resolve(data, message, protocol)
        if opcode == Opcode.GET_SITE_INFO and message.is_request:
            return Reply(await self._encode(message, ResponseCode.SUCCESS, self._site))
        return Reply(await self._encode(message, *_not_offered(message, protocol)))

    def refuse(self, error: WireError) -> bytes:
        """Return the reply to bytes that are no message; the id is that of the request where it could be read."""
        request_id = 0xFFFF_FFFF if error.request_id is None else error.request_id
        envelope = Envelope(*NEWEST_VERSION, *NEWEST_VERSION, request_id=request_id)
        header = Header(0, error.code, int(Flag.RECURSIVE), SITE_SERIAL, 0, self._expiration())
        return Message(envelope, header, ErrorAnswer(str(error).encode()).encode()).encode()

    async def _resolve(self, data: bytes, message: Message, protocol: Protocol) -> Reply:
        public_only = bool(message.header.flags & Flag.PUBLIC_ONLY) or _is_login_client(message)
        era = self._hot.era
        reply = await self._decide(message, public_only)
        code = (
            _LOGIN_CODES.get(ResponseCode(reply.code), reply.code)
            if _is_login_client(message)
            else reply.code
        )
        encoded = await self._encode(message, code, reply.body, reply.session_id)
        if reply.stored is not None and _is_plain(message):
            self._remember(data, encoded, reply, reply.stored, public_only, perf_counter_ns(), era)
        return Reply(encoded, cell(protocol, reply.scheme, reply.status, reply.tier))

    async def _decide(self, message: Message, public_only: bool) -> _Reply:
        try:
            request = ResolutionRequest.decode(message.body)
        except WireError as error:
            return _Reply(
                error.code, ErrorAnswer(str(error).encode()).encode(), Status.INVALID_HANDLE
            )
        try:
            identifier = self._service.identify(request.handle)
        except IdentifierError:  # as the reference server: no such handle, no text
            return _Reply(ResponseCode.HANDLE_NOT_FOUND, bytes(4), Status.INVALID_HANDLE)
        authoritative = bool(message.header.flags & Flag.AUTHORITATIVE)
        question = Question(identifier, request.types, request.indexes, public_only, authoritative)
        answer = await self._service.resolve(question)
        if message.header.flags & Flag.DO_NOT_REFER and answer.status in REFERRALS:
            answer = Answer(Status.NOT_RESPONSIBLE)
        return self._reply_to(request, question, answer)

    def _reply_to(self, request: ResolutionRequest, question: Question, answer: Answer) -> _Reply:
        session_id = None
        body = wire_body(answer, request.handle)
        if answer.status is Status.AUTHENTICATION_NEEDED:
            session_id = int.from_bytes(self._world.random_bytes(4)) | 1
            body = Challenge(self._world.random_bytes(_NONCE_BYTES)).encode()
        identifier, stored = question.identifier, answer.stored
        is_ready = (
            stored is not None
            and stored.handle == request.handle
            and answer.status in _READY_STATUSES
        )
        return _Reply(
            CODES[answer.status],
            body,
            answer.status,
            answer.tier,
            stored if is_ready else None,
            identifier.scheme,
            identifier.key,
            session_id,
        )

    async def _encode(
        self, message: Message, code: int, body: bytes, session_id: int | None = None
    ) -> bytes:
        """Put a reply in the version, flags and envelope that the request asks for; sign it when it says so."""
        version = answer_version(message.envelope)
        flags = Flag.AUTHORITATIVE | Flag.RECURSIVE | (message.header.flags & _ECHOED)
        if message.header.flags & Flag.REQUEST_DIGEST or code == ResponseCode.AUTHENTICATION_NEEDED:
            flags |= Flag.REQUEST_DIGEST
            body = digest_request(version, message.header_and_body).encode() + body
        session = message.envelope.session_id if session_id is None else session_id
        envelope = Envelope(*version, *NEWEST_VERSION, session, message.envelope.request_id)
        header = Header(
            message.header.opcode,
            response_code_in(version, code),
            int(flags),
            SITE_SERIAL,
            0,
            self._expiration(),
            len(body),
        )
        reply = Message(envelope, header, body)
        if message.header.flags & Flag.CERTIFY:
            reply = await self._signed(reply, version)
        return reply.encode()

    async def _signed(self, reply: Message, version: Version) -> Message:
        """Sign with the server's key (HS_SIGNED): Handle.Net clients ask for it on prefix records."""
        block = signed_block(version, reply.envelope, 0, reply.header_and_body)
        hash_name = signature_hash(version)
        signature = await self._world.sign(block, hash_name == b"SHA-256")
        credential = Credential(HS_SIGNED, 0, hash_name, signature)
        return replace(reply, credential=credential.encode())

    def _remember(
        self,
        data: bytes,
        encoded: bytes,
        reply: _Reply,
        stored: Stored,
        public_only: bool,
        now_ns: int,
        era: int,
    ) -> None:
        self._hot.remember(
            data,
            encoded,
            public_only=public_only,
            restricted=stored.restricted,
            expires_ns=now_ns + stored.ttl_seconds * _NS,
            cell=cell(Protocol.UDP, reply.scheme, reply.status, Tier.MEMORY),
            key=reply.key,
            serial=stored.serial,
            era=era,
        )

    def _expiration(self) -> int:
        return int(self._world.epoch_seconds()) + ANSWER_LIFE_SECONDS


def _is_login_client(message: Message) -> bool:
    """True for ID-SDK (suggests 2.10) and id-pointer (writes 2.10): they can answer no challenge, only log in.

    So restricted values are left out silently for them, and codes that they cannot decode are not sent.
    """
    envelope = message.envelope
    suggested = (envelope.suggested_major, envelope.suggested_minor)
    return _LOGIN_VERSION in (envelope.version, suggested)


def _is_plain(message: Message) -> bool:
    """True when the answer depends on nothing but the profile and the body, so that it may be kept ready."""
    envelope = message.envelope
    return not (
        message.header.flags & _SPECIAL
        or message.credential
        or envelope.truncated
        or envelope.sequence
        or envelope.version < (2, 0)
    )


def _not_offered(message: Message, protocol: Protocol) -> tuple[ResponseCode, bytes]:
    """Return the code and text for an operation that is not served (yet) or not on this transport."""
    opcode = message.header.opcode
    if opcode == Opcode.RESERVED or not message.is_request:
        return ResponseCode.PROTOCOL_ERROR, ErrorAnswer(b"This is not a request").encode()
    if opcode not in Opcode._value2member_map_:
        return ResponseCode.OPERATION_NOT_SUPPORTED, ErrorAnswer(
            b"Unknown operation %d" % opcode
        ).encode()
    if protocol is Protocol.UDP:
        return ResponseCode.PROTOCOL_ERROR, ErrorAnswer(
            b"Administration is not served over UDP"
        ).encode()
    if _is_login_client(message):
        return ResponseCode.INSUFFICIENT_PERMISSIONS, ErrorAnswer(b"Log in first").encode()
    return ResponseCode.OPERATION_NOT_SUPPORTED, ErrorAnswer(
        b"Administration is not served yet"
    ).encode()
