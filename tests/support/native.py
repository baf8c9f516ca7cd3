"""Both ends of the native protocol: a server that can be told to misbehave, and a client that proves who it is."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import cast

from resolver.keys.cipher import check_mac, decrypt, encrypt, mac
from resolver.keys.dh import DhSecret
from resolver.keys.private import PrivateKey
from resolver.keys.proof import answer_public, answer_secret
from resolver.observe import Protocol
from resolver.responder import Origin, Responder
from resolver.wire import (
    HS_MAC,
    Challenge,
    ChallengeAnswer,
    Credential,
    DatagramJoiner,
    DhPublicKey,
    Envelope,
    Flag,
    FrameBuffer,
    Header,
    Message,
    Opcode,
    ResponseCode,
    SessionMode,
    SessionSetup,
    SessionSetupAnswer,
    decode_answer,
    decode_public_key,
    decode_session_key,
    encode_public_key,
    mac_hash,
    signed_block,
    split_datagrams,
    unwrap,
)

Versions = tuple[int, int, int, int]
NEWEST: Versions = (2, 11, 2, 11)
HDLLIB: Versions = (2, 11, 2, 11)
ID_SDK: Versions = (2, 3, 2, 10)
ID_POINTER: Versions = (2, 10, 2, 11)


@dataclass
class NativeServer:
    """Answers by UDP and TCP on one port; `spoil` changes each reply, `drop` datagrams are not answered."""

    responder: Responder
    spoil: Callable[[bytes], bytes] = bytes
    drop: int = 0
    host: str = "127.0.0.1"
    port: int = 0

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["NativeServer"]:
        """Serve until the block ends."""
        server = await asyncio.start_server(self._answer_stream, self.host, 0)
        self.port = server.sockets[0].getsockname()[1]
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(self), local_addr=(self.host, self.port)
        )
        try:
            yield self
        finally:
            transport.close()
            server.close()
            await server.wait_closed()

    async def respond(self, message: bytes, protocol: Protocol) -> bytes:
        """Return the reply to a message, spoilt as told."""
        reply = await self.responder.respond(message, Origin(protocol, self.host))
        return self.spoil(reply.message)

    async def _answer_stream(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        frames = FrameBuffer()
        while chunk := await reader.read(65_536):
            frames.feed(chunk)
            while message := frames.next_message():
                writer.write(await self.respond(message, Protocol.TCP))
        writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: NativeServer) -> None:
        self._server = server
        self._joiner = DatagramJoiner()
        self._tasks: set[asyncio.Task[None]] = set()
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        message = self._joiner.add(address, data, asyncio.get_running_loop().time())
        if self._server.drop > 0 or message is None:
            self._server.drop -= message is not None
            return
        task = asyncio.create_task(self._answer(message, address))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, message: bytes, address: tuple[str, int]) -> None:
        reply = await self._server.respond(message, Protocol.UDP)
        for datagram in split_datagrams(reply) if len(reply) > 20 else [reply]:
            if self._transport is not None:
                self._transport.sendto(datagram, address)


@dataclass(frozen=True)
class Identity:
    """Whose key it is, and the key: a secret, or a private one."""

    handle: bytes
    index: int
    key: bytes | PrivateKey

    def answer(self, challenge: bytes) -> ChallengeAnswer:
        """Prove the key: answer a challenge (nonce, then digest)."""
        if isinstance(self.key, bytes):
            proof = answer_secret(self.key, challenge, salt=os.urandom(16))
            return ChallengeAnswer(b"HS_SECKEY", self.handle, self.index, proof)
        proof = answer_public(self.key, challenge, signer=self.handle)
        return ChallengeAnswer(b"HS_PUBKEY", self.handle, self.index, proof)


@dataclass
class Client:
    """A client that makes requests and reads replies; whoever uses it carries the bytes.

    In a session its requests carry a MAC and a counter, as hdllib's do, but for the answer to a challenge.
    """

    identity: Identity | None = None
    versions: Versions = NEWEST
    flags: int = 0
    session_id: int = 0
    key: bytes = b""
    counter: int = 0
    _request_id: int = 0
    _secret: DhSecret | None = field(default=None, repr=False)

    def request(
        self, opcode: int, body: bytes, flags: int = 0, *, encrypt_it: bool = False
    ) -> bytes:
        """Return a request, MACed in a session."""
        return self.send(self.message(opcode, body, flags), encrypt_it=encrypt_it)

    def message(self, opcode: int, body: bytes, flags: int = 0) -> Message:
        """Return a request that is not MACed yet."""
        self._request_id += 1
        envelope = Envelope(*self.versions, self.session_id, self._request_id)
        return Message(envelope, Header(opcode, flags=self.flags | flags), body)

    def send(self, message: Message, *, encrypt_it: bool = False) -> bytes:
        """Return the bytes of a request: with a MAC when there is a session, encrypted when told to."""
        if self.key:
            self.counter += 1
            message = replace(message, credential=self._mac(message).encode())
        if not encrypt_it:
            return message.encode()
        sealed = encrypt(self.key, message.encode_content(), os.urandom(16))
        return replace(message.envelope, encrypted=True).wrap(sealed)

    def read(self, reply: bytes) -> Message:
        """Return what a reply says, decrypted."""
        envelope, content = unwrap(reply)
        if envelope.encrypted:
            plain = replace(envelope, encrypted=False)
            return Message.decode_content(plain, decrypt(self.key, content))
        return Message.decode(reply)

    def prove(self, challenge: Message, identity: Identity | None = None) -> bytes:
        """Return the answer to a challenge (opcode 200), which carries no MAC."""
        who = identity or self.identity
        assert who is not None
        digest, asked = decode_answer(challenge)
        assert isinstance(asked, Challenge)
        assert digest is not None
        self._request_id += 1
        session_id = challenge.envelope.session_id
        envelope = Envelope(*self.versions, session_id, self._request_id)
        body = who.answer(asked.nonce + digest.digest).encode()
        header = Header(Opcode.CHALLENGE_RESPONSE, flags=self.flags)
        return Message(envelope, header, body).encode()

    def begin(self, timeout_seconds: int = 86_400) -> bytes:
        """Return the request for a session by Diffie-Hellman."""
        self._secret = DhSecret.for_client(os.urandom)
        key = encode_public_key(self._secret.public)
        setup = SessionSetup(SessionMode.DIFFIE_HELLMAN, timeout_seconds, b"", 0, key)
        flags = int(Flag.CERTIFY | Flag.REQUEST_DIGEST)
        return self.request(Opcode.SESSION_SETUP, setup.encode(), flags)

    def began(self, reply: bytes) -> Message:
        """Take the server's half of a session: from now on, requests are of it."""
        answer = Message.decode(reply)
        assert answer.header.response_code == ResponseCode.SUCCESS, answer
        _, setup = decode_answer(answer)
        assert isinstance(setup, SessionSetupAnswer)
        _, data = decode_session_key(setup.data)
        theirs = decode_public_key(data)
        assert isinstance(theirs, DhPublicKey)
        assert self._secret is not None
        self.key = self._secret.session_key(theirs)
        self.session_id, self.counter = answer.envelope.session_id, 0
        return answer

    def _mac(self, message: Message) -> Credential:
        version = message.envelope.version
        block = signed_block(version, message.envelope, self.counter, message.header_and_body)
        made = mac(self.key, block)
        assert check_mac(self.key, block, made)
        return Credential(HS_MAC, self.counter, mac_hash(version), made)
