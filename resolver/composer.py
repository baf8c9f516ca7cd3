"""Composer: puts what was decided in the version, flags, envelope and encryption that the request asks for.

Rules: RFC 3652 §2, handle-protocol §2, §3, §6, §9 and §11.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from resolver.exchange import Asked, Outcome, Surroundings, refused
from resolver.hot.wire import ANSWER_LIFE_SECONDS
from resolver.keys.cipher import IV_BYTES
from resolver.labour import Labour, Overworked
from resolver.wire import (
    HS_SIGNED,
    NEWEST_VERSION,
    Credential,
    Envelope,
    ErrorAnswer,
    Flag,
    Header,
    Message,
    ResponseCode,
    Version,
    WireError,
    answer_version,
    digest_request,
    response_code_in,
    signature_hash,
    signed_block,
)

SITE_SERIAL = 1
_ALWAYS = int(
    Flag.AUTHORITATIVE | Flag.RECURSIVE
)  # as integers: flags of an enum cost a microsecond
_ECHOED = int(Flag.CERTIFY | Flag.CACHE_CERTIFY | Flag.PUBLIC_ONLY)
_REQUEST_DIGEST, _CONTINUOUS = int(Flag.REQUEST_DIGEST), int(Flag.CONTINUOUS)
_UNREADABLE_ID = 0xFFFF_FFFF

LOGIN_CODES: Mapping[int, ResponseCode] = MappingProxyType(
    {
        ResponseCode.RECURSION_LIMIT: ResponseCode.ERROR,
        ResponseCode.SERVER_BACKUP: ResponseCode.SERVER_BUSY,
        ResponseCode.OUT_OF_DATE_SITE_INFO: ResponseCode.ERROR,
        ResponseCode.SERVER_NOT_RESPONSIBLE: ResponseCode.HANDLE_NOT_FOUND,
        ResponseCode.AUTHENTICATION_ERROR: ResponseCode.AUTHENTICATION_FAILED,
        ResponseCode.NOT_LOGGED_IN: ResponseCode.INSUFFICIENT_PERMISSIONS,
        ResponseCode.SESSION_TIMEOUT: ResponseCode.PROTOCOL_ERROR,
        ResponseCode.SESSION_FAILED: ResponseCode.PROTOCOL_ERROR,
        ResponseCode.INVALID_SESSION_KEY: ResponseCode.PROTOCOL_ERROR,
        ResponseCode.NEED_RSA_KEY_FOR_SESSION: ResponseCode.PROTOCOL_ERROR,
        ResponseCode.INVALID_SESSION_SETUP: ResponseCode.PROTOCOL_ERROR,
        ResponseCode.SESSION_MESSAGE_REJECTED: ResponseCode.PROTOCOL_ERROR,
        ResponseCode.CREDENTIAL_CHECK_FAILED: ResponseCode.ERROR,
    }
)
"""Codes that a client of the login profile cannot decode -> those it is given instead (handle-protocol §6).

402 and 407 are not among them: the first answers nothing but a login (2001), where both clients wait for it; the
second is told to the one client that knows it, and to no other.
"""


class Composer:
    """Makes the bytes of replies."""

    def __init__(self, surroundings: Surroundings, labour: Labour) -> None:
        self._world = surroundings
        self._labour = labour

    async def compose(self, asked: Asked, outcome: Outcome) -> bytes:
        """Return the reply; signed when the request says so, encrypted when its session has to."""
        reply = self._reply(asked, outcome)
        if asked.has(Flag.CERTIFY):
            try:
                with self._labour.share(asked.origin.payer):
                    reply = await self._signed(reply)
            except Overworked as busy:
                reply = self._reply(asked, refused(ResponseCode.SERVER_BUSY, str(busy)))
        return self._sealed(reply, asked, outcome)

    async def compose_pages(
        self, asked: Asked, first: Outcome, pages: AsyncIterator[Outcome]
    ) -> AsyncIterator[bytes]:
        """Return the further replies of an answer in several messages, after the first of them."""
        async for page in pages:
            alike = replace(
                page, opcode=first.opcode, session_id=first.session_id, session=first.session
            )
            yield await self.compose(asked, alike)

    def refuse(self, error: WireError) -> bytes:
        """Return the reply to bytes that are no message; the id is that of the request where it could be read."""
        request_id = _UNREADABLE_ID if error.request_id is None else error.request_id
        envelope = Envelope(*NEWEST_VERSION, *NEWEST_VERSION, request_id=request_id)
        header = Header(0, error.code, int(Flag.RECURSIVE), SITE_SERIAL, 0, self._expiration())
        return Message(envelope, header, ErrorAnswer(str(error).encode()).encode()).encode()

    def _reply(self, asked: Asked, outcome: Outcome) -> Message:
        request = asked.message
        version = answer_version(request.envelope)
        code = LOGIN_CODES.get(outcome.code, outcome.code) if asked.is_login else outcome.code
        flags = _ALWAYS | (request.header.flags & _ECHOED)
        body = outcome.body
        if asked.has(Flag.REQUEST_DIGEST) or code == ResponseCode.AUTHENTICATION_NEEDED:
            flags |= _REQUEST_DIGEST
            body = digest_request(version, request.header_and_body).encode() + body
        if outcome.is_continued:
            flags |= _CONTINUOUS
        session_id = outcome.session_id
        if session_id is None:
            session_id = request.envelope.session_id
        envelope = Envelope(*version, *NEWEST_VERSION, session_id, request.envelope.request_id)
        opcode = request.header.opcode if outcome.opcode is None else outcome.opcode
        code = response_code_in(version, code)
        header = Header(opcode, code, flags, SITE_SERIAL, 0, self._expiration(), len(body))
        return Message(envelope, header, body)

    async def _signed(self, reply: Message) -> Message:
        """Sign with the server's key (HS_SIGNED): Handle.Net clients ask for it on prefix records and sessions."""
        version: Version = reply.envelope.version
        block = signed_block(version, reply.envelope, 0, reply.header_and_body)
        hash_name = signature_hash(version)
        signature = await self._world.sign(block, hash_name == b"SHA-256")
        credential = Credential(HS_SIGNED, 0, hash_name, signature)
        return replace(reply, credential=credential.encode())

    def _sealed(self, reply: Message, asked: Asked, outcome: Outcome) -> bytes:
        """Encrypt what is private, and what answers an encrypted request or one that asks for it (§8)."""
        session = outcome.session or asked.session
        if session is None or not (
            outcome.is_private or asked.is_encrypted or asked.has(Flag.ENCRYPT)
        ):
            return reply.encode()
        sealed = session.seal(reply.encode_content(), self._world.random_bytes(IV_BYTES))
        return replace(reply.envelope, encrypted=True).wrap(sealed)

    def _expiration(self) -> int:
        return int(self._world.epoch_seconds()) + ANSWER_LIFE_SECONDS
