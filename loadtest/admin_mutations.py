"""Native administration for the fuzzing of ports: every opcode, as a stranger, with a false proof, and in sessions.

The sessions are those of somebody whose login is right and who may do nothing; so whatever is sent in them, whole or
spoilt, must change nothing.  Messages of a session may go to any worker, by any transport.
"""

import os
from collections.abc import Callable, Sequence
from random import Random

from loadtest.administrators import ADMIN, HOME, NOBODY
from loadtest.native_session import NativeSession
from resolver.keys.dh import DhSecret
from resolver.wire import (
    AdminData,
    ChallengeAnswer,
    DhPublicKey,
    Envelope,
    Flag,
    HandleValue,
    Header,
    IndexesRequest,
    KeyExchange,
    LoginRequest,
    Message,
    NameRequest,
    Opcode,
    ResolutionRequest,
    SessionSetup,
    ValuesRequest,
    VerifyRequest,
    encode_admin,
    encode_public_key,
)

HANDLES = (
    b"20.500.12345/h000001",
    b"20.500.12345/h000002",
    b"20.500.12345/new-one",
    b"0.NA/20.500.12345",
    b"0.NA/88.9999.7",
    ADMIN.handle.encode(),
    f"{HOME}/".encode(),
    f"{HOME}/lot-".encode(),
    b"99.9/elsewhere",
    "88.608.8889/棚1".encode(),
    b"x" * 2_049,
    b"/",
    b"",
)
VERSIONS = (
    (2, 11, 2, 11),
    (2, 3, 2, 10),
    (2, 10, 2, 11),
    (2, 1, 2, 1),
    (2, 6, 2, 11),
    (5, 0, 2, 0),
)
_FLAGS = (0, Flag.OVERWRITE, Flag.MINT_SUFFIX, Flag.ENCRYPT, Flag.CERTIFY, Flag.AUTHORITATIVE)
_ADMIN_VALUE = HandleValue(
    100, b"HS_ADMIN", encode_admin(AdminData(0xFFF, NOBODY.handle.encode(), NOBODY.index))
)
_VALUES = (
    (HandleValue(1, b"URL", b"https://example.org/changed"),),
    (_ADMIN_VALUE,),
    (HandleValue(301, b"HS_SECKEY", b"mine now"), _ADMIN_VALUE),
    (HandleValue(1, b"URL", b"a"), HandleValue(1, b"URL", b"b")),
    (HandleValue(0, b"URL", b"x"),),
    (),
)


class AdminMutator:
    """Makes messages of administration; `sessions` are real ones, of NOBODY."""

    def __init__(self, sessions: Sequence[NativeSession], seed: int) -> None:
        self._sessions = sessions
        self._random = Random(f"administration {seed}")
        self._number = 0

    def make(self) -> bytes:
        """Return the next message."""
        draw = self._random.random()
        if not self._sessions or draw < 0.25:
            return self._stranger()
        if draw < 0.4:
            return self._false_proof()
        packed = self._in_session(is_sealed=draw > 0.8)
        return packed if draw < 0.55 else self._spoil(packed)

    def _stranger(self) -> bytes:
        opcode = self._opcode()
        return self._message(opcode, self.body(opcode))

    def _false_proof(self) -> bytes:
        """Answer a challenge that may wait in a session, with a proof that is none."""
        login = self._random.choice((ADMIN, ADMIN, NOBODY))
        kind = self._random.choice((b"HS_SECKEY", b"HS_PUBKEY", b"HS_NONE"))
        proof = self._random.randbytes(self._random.choice((0, 1, 33, 80, 300)))
        forms = (b"\x22", b"\x12", b"\x02", b"\x01", b"\x99", b"\0\0\0\x05SHA-1\0\0\0\x20")
        answer = ChallengeAnswer(
            kind, login.handle.encode(), login.index, self._random.choice(forms) + proof
        )
        session_id = self._random.choice(self._sessions).session_id
        body = answer.encode()
        return self._message(Opcode.CHALLENGE_RESPONSE, body, session_id=session_id)

    def _in_session(self, *, is_sealed: bool) -> bytes:
        session, opcode = self._random.choice(self._sessions), self._opcode(ends=False)
        pack = session.seal if is_sealed else session.pack
        return pack(opcode, self.body(opcode), int(self._random.choice(_FLAGS)))

    def _spoil(self, packed: bytes) -> bytes:
        """Change what proves that a message belongs to a session, or what it says."""
        data = bytearray(packed)
        match self._random.randrange(6):
            case 0:  # the MAC, or the end of what is encrypted
                data[-1 - self._random.randrange(16)] ^= 1 << self._random.randrange(8)
            case 1:  # another session, perhaps of another worker
                data[4:8] = self._random.choice(
                    (*(each.session_id.to_bytes(4, "big") for each in self._sessions), bytes(4))
                )
            case 2:
                data[4] = self._random.randrange(256)
            case 3:  # the operation
                data[20:24] = self._opcode().to_bytes(4, "big")
            case 4:  # anything
                data[self._random.randrange(len(data))] ^= 1 << self._random.randrange(8)
            case _:  # sent twice: over TCP the second has a counter that was there
                return packed + packed
        return bytes(data)

    def _opcode(self, *, ends: bool = True) -> int:
        opcodes = [each for each in Opcode if ends or each != Opcode.SESSION_TERMINATE]
        return self._random.choice((*opcodes, 7, 1 << 31))

    def body(self, opcode: int) -> bytes:
        """Return a body that fits the opcode, now and then another."""
        random, handle = self._random, self._random.choice(HANDLES)
        values: tuple[HandleValue, ...] = random.choice(_VALUES)
        bodies: dict[int, Callable[[], bytes]] = {
            Opcode.RESOLUTION: ResolutionRequest(handle, (), ()).encode,
            Opcode.CREATE_HANDLE: ValuesRequest(handle, values).encode,
            Opcode.ADD_VALUE: ValuesRequest(handle, values).encode,
            Opcode.MODIFY_VALUE: ValuesRequest(handle, values).encode,
            Opcode.REMOVE_VALUE: IndexesRequest(handle, random.choice(((1,), (100,), ()))).encode,
            Opcode.VERIFY_RESPONSE: VerifyRequest(
                ADMIN.handle.encode(),
                ADMIN.index,
                random.randbytes(16),
                random.randbytes(20),
                b"\x22",
            ).encode,
            Opcode.SESSION_SETUP: self._setup,
            Opcode.SESSION_EXCHANGE_KEY: KeyExchange(random.randbytes(128)).encode,
            Opcode.KEY_LOGIN: LoginRequest(
                ADMIN.handle.encode(), random.choice((ADMIN.index, 0, 1))
            ).encode,
        }
        chosen = random.choice(tuple(bodies)) if random.random() < 0.1 else opcode
        return bodies.get(chosen, NameRequest(handle).encode)()

    def _setup(self) -> bytes:
        """Return the start of a session: in a good group, or in one that gives the key away."""
        secret = DhSecret.for_client(os.urandom).public
        bad = (DhPublicKey(1, secret.p, 2), DhPublicKey(0, 23, 5), DhPublicKey(secret.p, 4, 2))
        key = encode_public_key(self._random.choice((secret, *bad)))
        mode = self._random.choice((4, 4, 4, 1, 2, 3, 9))
        return SessionSetup(mode, self._random.choice((0, 60, 1 << 31)), b"", 0, key).encode()

    def _message(self, opcode: int, body: bytes, *, session_id: int = 0) -> bytes:
        self._number += 1
        envelope = Envelope(*self._random.choice(VERSIONS), session_id, self._number)
        header = Header(opcode, flags=int(self._random.choice(_FLAGS)))
        return Message(envelope, header, body).encode()
