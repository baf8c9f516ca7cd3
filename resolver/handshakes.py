"""Handshakes: how a native client comes to be known: challenge and answer, sessions, logins of the Chinese clients.

Rules: handle-protocol §8 (challenges, Diffie-Hellman), §11 (login).  Laws: a challenge is answered once; whoever sends
something that fits nothing is told to start over, and learns no more; costly work is shared out by `Labour`.
"""

import asyncio
from dataclasses import dataclass, replace

from resolver.exchange import SUCCEEDED, Asked, Outcome, Surroundings, is_id_sdk, refused
from resolver.keys.cipher import AES_CIPHER
from resolver.keys.dh import agree
from resolver.labour import Labour
from resolver.observe import Protocol
from resolver.proofs import Proofs
from resolver.registrar import Caller
from resolver.sessions import (
    NO_SESSION,
    Challenges,
    Ids,
    Pending,
    Session,
    Sessions,
    mac_of,
    spoilt,
    unknown,
)
from resolver.wire import (
    Challenge,
    DhPublicKey,
    LoginRequest,
    Message,
    Opcode,
    ResponseCode,
    SessionMode,
    SessionSetup,
    SessionSetupAnswer,
    WireError,
    answer_version,
    decode_public_key,
    digest_request,
    encode_public_key,
    encode_session_key,
)

LOGIN_FIRST = "Log in first"
NOT_OVER_UDP = "Administration is not served over UDP"
_NONCE_BYTES = 16
_OTHER_PROOF_SECONDS = 1.0
_LOOK_AGAIN_SECONDS = 0.005
_OTHER_IDENTITY = "The session belongs to another identity"


@dataclass(frozen=True, slots=True)
class Proven:
    """A challenge was answered rightly: the request that waited for it, and how its answer goes out."""

    asked: Asked
    session: Session | None

    @property
    def session_id(self) -> int:
        """Of the answer: that of the session, or none (handle-protocol §8)."""
        return self.session.session_id if self.session else 0


class Handshakes:
    """The challenges and sessions of one worker."""

    def __init__(
        self,
        proofs: Proofs,
        surroundings: Surroundings,
        labour: Labour,
        session_seconds: int,
    ) -> None:
        """`session_seconds`: how long a session lasts that is not used."""
        self._proofs = proofs
        self._world = surroundings
        self._labour = labour
        self._ids = Ids(surroundings.slot, surroundings.random_bytes)
        self._challenges = Challenges()
        self._under_proof: set[int] = set()  # sessions and challenges
        self._sessions = Sessions(session_seconds)

    async def check(self, asked: Asked) -> Asked:
        """Return the request with the session and the identity that it has proven; without a MAC, no session.

        Raises SessionError for a MAC or a counter that does not fit, and when there is no such session (any more).
        """
        origin, credential = asked.origin, mac_of(asked.message)
        if origin.known is not None and not await self._proofs.holds(origin.known):
            origin.known = None
        if credential is None:
            return replace(asked, caller=origin.login) if origin.login else asked
        session = self._find(asked.message.envelope.session_id)
        if session is None:
            raise unknown()
        session.check(asked.message, credential)
        self._sessions.used(session, self._world.epoch_seconds())
        if session.known is not None and not await self._proofs.holds(session.known):
            self._sessions.end(session.session_id)
            raise unknown()
        caller = session.known.caller if session.known else origin.login
        return replace(asked, session=session, caller=caller)

    async def open(self, sealed: Asked, content: bytes) -> Asked:
        """Return the request whose content came encrypted, checked; `sealed` is what can be read without the key.

        Raises SessionError, the same whether it cannot be decrypted, read, or has a wrong MAC: a difference would tell
        a stranger what it says.  Only the answer to a challenge that is out may come without a MAC.
        """
        envelope = sealed.message.envelope
        session = self._find(envelope.session_id)
        if session is None:
            raise unknown()
        try:
            message = Message.decode_content(envelope, session.open(content))
        except WireError as error:
            raise spoilt() from error
        asked = replace(sealed, message=message, is_encrypted=True)
        if not message.is_request or not (mac_of(message) or self._is_awaited(message)):
            raise spoilt()
        return await self.check(asked)

    def challenge(self, asked: Asked) -> Outcome:
        """Ask who makes a request, and keep it until that is answered; login clients are told to log in."""
        if asked.is_login:
            return refused(ResponseCode.INSUFFICIENT_PERMISSIONS, LOGIN_FIRST)
        session_id = asked.session.session_id if asked.session else self._ids.new(self._is_taken)
        pending, outcome = self._ask(asked, session_id)
        if not self._challenges.put(session_id, pending, is_datagram=asked.origin.is_datagram):
            return refused(ResponseCode.SERVER_BUSY, "The request is too large to be kept; try TCP")
        return outcome

    async def wait_for_proof(self, asked: Asked) -> Asked:
        """Return the request, with its caller if that is proven by another request of the session in the meantime.

        Threads of one client that share a new session ask at once; one challenge is enough, and two could not be told
        apart, since an answer names the session alone.
        """
        session, loop = asked.session, asyncio.get_running_loop()
        if session is None or asked.origin.is_datagram:
            return asked
        deadline = loop.time() + _OTHER_PROOF_SECONDS
        while session.known is None and self._is_asked(session) and loop.time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        return replace(asked, caller=session.known.caller) if session.known else asked

    async def prove(self, asked: Asked) -> Proven | Outcome:
        """Take the answer to a challenge (200): whose request may be carried out now, or why none."""
        session_id = asked.message.envelope.session_id
        waiting = asked.origin.challenge
        if waiting is not None and asked.origin.challenge_id == session_id:
            return await self._log_in(asked, waiting)
        pending = self._challenges.get(session_id)
        if pending is None or _is_forged(asked, pending):
            return refused(ResponseCode.SESSION_TIMEOUT, NO_SESSION)
        opcode = pending.request.header.opcode
        if asked.origin.is_datagram and opcode != Opcode.RESOLUTION:
            return refused(ResponseCode.PROTOCOL_ERROR, NOT_OVER_UDP)
        self._challenges.take(session_id)
        session = asked.session or self._find(session_id)
        self._under_proof.add(session_id)
        try:
            caller = await self._caller(asked, pending, session)
        finally:
            self._under_proof.discard(session_id)
        if isinstance(caller, Outcome):
            ours = session.session_id if session else 0
            return replace(caller, opcode=opcode, session_id=ours)
        original = replace(asked, message=pending.request, session=session, caller=caller)
        return Proven(original, session)

    def begin_login(self, asked: Asked) -> Outcome:
        """Ask for the proof of a login (2001); a connection has one login at a time."""
        origin, envelope = asked.origin, asked.message.envelope
        if origin.protocol is not Protocol.TCP:
            return refused(ResponseCode.OPERATION_NOT_SUPPORTED, "Log in over a TCP connection")
        try:
            LoginRequest.decode(asked.message.body)
        except WireError as error:
            return refused(error.code, str(error))
        if origin.login is not None and is_id_sdk(envelope):
            return refused(ResponseCode.ALREADY_LOGGED_IN, "Already logged in")
        session_id = envelope.session_id or self._ids.new(self._is_taken)
        origin.challenge, outcome = self._ask(asked, session_id)
        origin.challenge_id = session_id
        return outcome

    async def set_up(self, asked: Asked) -> Outcome:
        """Begin a session (400).  Only Diffie-Hellman: the other modes fail in the reference server too.

        Raises Overworked.
        """
        try:
            setup = SessionSetup.decode(asked.message.body)
            if setup.mode != SessionMode.DIFFIE_HELLMAN:
                text = "Only sessions by Diffie-Hellman (mode 4) are served"
                return refused(ResponseCode.OPERATION_NOT_SUPPORTED, text)
            theirs = decode_public_key(setup.public_key)
            if not isinstance(theirs, DhPublicKey):
                raise WireError("the key is none of Diffie-Hellman")
            with self._labour.share(asked.origin.payer):
                ours, key = await asyncio.to_thread(agree, theirs, self._world.random_bytes)
        except (WireError, ValueError) as error:
            return refused(ResponseCode.INVALID_SESSION_SETUP, str(error))
        session_id = self._ids.new(self._is_taken)
        now = self._world.epoch_seconds()
        self._sessions.start(session_id, key, asked.origin.payer, now, setup.timeout_seconds)
        data = encode_session_key(AES_CIPHER, encode_public_key(ours))
        body = SessionSetupAnswer(setup.mode, data).encode()
        return Outcome(code=ResponseCode.SUCCESS, body=body, session_id=session_id)

    def end(self, asked: Asked) -> Outcome:
        """End a session (401); only itself may ask for that."""
        if asked.session is None:
            raise spoilt()
        self._sessions.end(asked.session.session_id)
        return SUCCEEDED

    def _ask(self, asked: Asked, session_id: int) -> tuple[Pending, Outcome]:
        """Return the challenge to a request: a nonce, to be answered together with the request's digest."""
        request = asked.message
        nonce = self._world.random_bytes(_NONCE_BYTES)
        digest = digest_request(answer_version(request.envelope), request.header_and_body).digest
        now, source = self._world.epoch_seconds(), asked.origin.source
        outcome = Outcome(
            code=ResponseCode.AUTHENTICATION_NEEDED,
            body=Challenge(nonce).encode(),
            session_id=session_id,
        )
        return Pending(request, nonce + digest, now, source), outcome

    async def _caller(
        self, asked: Asked, pending: Pending, session: Session | None
    ) -> Caller | Outcome:
        """Return who has answered, which a session keeps in mind.  Raises Overworked, SourceUnavailable."""
        caller = await self._proofs.caller(asked, pending, "session" if session else "challenge")
        if session is None or isinstance(caller, Outcome):
            return caller
        if self._sessions.know(session, await self._proofs.known(caller), asked.origin.source):
            return caller
        return refused(ResponseCode.AUTHENTICATION_FAILED, _OTHER_IDENTITY)

    async def _log_in(self, asked: Asked, waiting: Pending) -> Outcome:
        """Finish a login: the answer to opcode 200 carries opcode 2001 (§11)."""
        origin = asked.origin
        origin.challenge = None
        caller = await self._proofs.caller(asked, waiting, "login")
        if isinstance(caller, Outcome):
            return replace(caller, opcode=Opcode.KEY_LOGIN)
        origin.known = await self._proofs.known(caller)
        return replace(SUCCEEDED, opcode=Opcode.KEY_LOGIN)

    def _is_awaited(self, message: Message) -> bool:
        """True for the answer to a challenge that is out, with no credential at all."""
        is_answer = message.header.opcode == Opcode.CHALLENGE_RESPONSE
        is_out = message.envelope.session_id in self._challenges
        return is_answer and is_out and not message.credential

    def _is_asked(self, session: Session) -> bool:
        """True while a challenge of this session is newly out, or its answer is being looked at."""
        if session.session_id in self._under_proof:
            return True
        pending = self._challenges.get(session.session_id)
        now = self._world.epoch_seconds()
        return pending is not None and now - pending.made_at < _OTHER_PROOF_SECONDS

    def _find(self, session_id: int) -> Session | None:
        return self._sessions.find(session_id, self._world.epoch_seconds())

    def _is_taken(self, session_id: int) -> bool:
        return session_id in self._challenges or session_id in self._sessions


def _is_forged(asked: Asked, pending: Pending) -> bool:
    """True for a datagram from another address than was challenged: wrong proofs are held against their address."""
    return asked.origin.is_datagram and asked.origin.source != pending.source
