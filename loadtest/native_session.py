"""A session of the native protocol: agreed on by Diffie-Hellman, its owner proven once, each request with a MAC.

The messages of the handshake go through the codec; the requests of a session are packed by hand, so that whoever
measures writes does not measure the codec of the client.  Source: handle-protocol §8, §9 (version 2.11).
"""

import asyncio
import os
import socket
import struct
from collections.abc import Iterable
from hmac import digest

from loadtest.administrators import Login
from loadtest.http_writes import Pair
from loadtest.replies import read_frame
from loadtest.streams import Address
from resolver.keys.cipher import encrypt
from resolver.keys.dh import DhSecret
from resolver.keys.proof import answer_secret
from resolver.wire import (
    Challenge,
    ChallengeAnswer,
    DhPublicKey,
    Envelope,
    Header,
    IndexesRequest,
    Message,
    NameRequest,
    Opcode,
    ResponseCode,
    SessionMode,
    SessionSetup,
    SessionSetupAnswer,
    ValuesRequest,
    WireError,
    decode_answer,
    decode_public_key,
    decode_session_key,
    encode_public_key,
)
from resolver.wire import HandleValue as Value
from resolver.wire.constants import EnvelopeFlag

ANSWER_SECONDS = 15.0
IDLE_SECONDS = 3_600  # that the session lasts unused
_VERSION = (2, 11, 2, 11)
_ENVELOPE = struct.Struct(">BBBBIIII")
_HEADER = struct.Struct(">IIIHBxII")
_SIGNED = struct.Struct(">BBBBIII")
_NO_SERIAL = 0xFFFF
_KIND, _HASH = b"HS_MAC", b"HMAC-SHA256"


class SessionRefused(Exception):
    """The server did not begin the session, or did not believe its owner; the message says why."""


class NativeSession:
    """Packs the requests of one session; `counter` and the request id count them."""

    def __init__(self, session_id: int, key: bytes) -> None:
        self.session_id = session_id
        self._key = key
        self.counter = 0

    def pack(self, opcode: int, body: bytes, flags: int = 0) -> bytes:
        """Return a request with the next counter, and its MAC."""
        content = self._content(opcode, body, flags)
        envelope = _ENVELOPE.pack(*_VERSION, self.session_id, self.counter, 0, len(content))
        return envelope + content

    def seal(self, opcode: int, body: bytes, flags: int = 0) -> bytes:
        """Return the same, encrypted."""
        sealed = encrypt(self._key, self._content(opcode, body, flags), os.urandom(16))
        major, minor, suggested, least = _VERSION
        first = (major, minor, suggested | int(EnvelopeFlag.ENCRYPTED), least)
        return _ENVELOPE.pack(*first, self.session_id, self.counter, 0, len(sealed)) + sealed

    def _content(self, opcode: int, body: bytes, flags: int) -> bytes:
        self.counter += 1
        signed = _HEADER.pack(opcode, 0, flags, _NO_SERIAL, 0, 0, len(body)) + body
        ids = (self.session_id, self.counter, self.counter)
        made = digest(self._key, _SIGNED.pack(*_VERSION, *ids) + signed, "sha256")
        # Version and options 0, no signer, the counter; the kind; the MAC by its name.
        head = struct.pack(">III", 0, 0, self.counter)
        credential = head + _string(_KIND) + _string(_string(_HASH) + _string(made))
        return signed + _string(credential)


class NativeConnection:
    """A TCP connection with a session of its own."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, session: NativeSession
    ) -> None:
        self._reader, self._writer = reader, writer
        self.session = session

    @classmethod
    async def open(cls, address: Address, login: Login) -> "NativeConnection":
        """Connect, agree on a session and prove who we are.

        Raises OSError, EOFError, TimeoutError, SessionRefused.
        """
        async with asyncio.timeout(ANSWER_SECONDS):
            reader, writer = await asyncio.open_connection(*address)
            try:
                session = await _agree(reader, writer)
                await _prove(reader, writer, session, login)
            except (WireError, ValueError) as error:
                writer.transport.abort()
                raise SessionRefused(str(error)) from error
            except BaseException:
                writer.transport.abort()
                raise
        return cls(reader, writer, session)

    async def ask(self, opcode: int, body: bytes, flags: int = 0) -> int:
        """Return the response code of a request.  Raises OSError, EOFError, TimeoutError; then nothing goes on here."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                self._writer.write(self.session.pack(opcode, body, flags))
                return int.from_bytes((await read_frame(self._reader))[24:28], "big")
        except BaseException:
            self.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor of the socket."""
        owner: socket.socket = self._writer.get_extra_info("socket")
        return owner.fileno()

    def close(self) -> None:
        """Let go of the connection."""
        self._writer.transport.abort()


def values_body(handle: str, pairs: Iterable[Pair]) -> bytes:
    """Return the body that creates a handle, or adds or modifies values of it."""
    values = tuple(Value(index, b"URL", text.encode()) for index, text in pairs)
    return ValuesRequest(handle.encode(), values).encode()


def indexes_body(handle: str, numbers: Iterable[int]) -> bytes:
    """Return the body that removes values."""
    return IndexesRequest(handle.encode(), tuple(numbers)).encode()


def name_body(handle: str) -> bytes:
    """Return the body that names a handle and says no more."""
    return NameRequest(handle.encode()).encode()


async def _agree(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> NativeSession:
    secret = DhSecret.for_client(os.urandom)
    key = encode_public_key(secret.public)
    setup = SessionSetup(SessionMode.DIFFIE_HELLMAN, IDLE_SECONDS, b"", 0, key)
    envelope = Envelope(*_VERSION, request_id=1)
    writer.write(Message(envelope, Header(Opcode.SESSION_SETUP), setup.encode()).encode())
    answer = Message.decode(await read_frame(reader))
    _, body = decode_answer(answer)
    if not isinstance(body, SessionSetupAnswer):
        raise SessionRefused(f"no session: {answer}")
    theirs = decode_public_key(decode_session_key(body.data)[1])
    if not isinstance(theirs, DhPublicKey):
        raise SessionRefused(f"no Diffie-Hellman key: {theirs}")
    return NativeSession(answer.envelope.session_id, secret.session_key(theirs))


async def _prove(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    session: NativeSession,
    login: Login,
) -> None:
    """Ask for what needs a right, and answer the challenge; whether we have the right is not asked."""
    writer.write(session.pack(Opcode.LIST_HOMED_PREFIXES, name_body(login.handle)))
    challenge = Message.decode(await read_frame(reader))
    request_digest, asked = decode_answer(challenge)
    if not isinstance(asked, Challenge) or request_digest is None:
        raise SessionRefused(f"no challenge: {challenge}")
    proof = answer_secret(
        login.secret.encode(), asked.nonce + request_digest.digest, salt=os.urandom(16)
    )
    answer = ChallengeAnswer(b"HS_SECKEY", login.handle.encode(), login.index, proof)
    envelope = Envelope(*_VERSION, session.session_id, session.counter + 1)
    header = Header(Opcode.CHALLENGE_RESPONSE)
    writer.write(Message(envelope, header, answer.encode()).encode())
    reply = Message.decode(await read_frame(reader))
    if reply.header.response_code in _NOT_BELIEVED:
        raise SessionRefused(f"not believed: {reply}")
    session.counter += 1


_NOT_BELIEVED = frozenset(
    {
        ResponseCode.SERVER_BUSY,
        ResponseCode.AUTHENTICATION_FAILED,
        ResponseCode.INVALID_CREDENTIAL,
        ResponseCode.AUTHENTICATION_TIMEOUT,
        ResponseCode.SESSION_TIMEOUT,
        ResponseCode.SESSION_FAILED,
    }
)


def _string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data
