"""Conversations of the fuzzing of ports that prove something: a challenge answered, or a login, and a write after it.

The proof is right for somebody who may do nothing, or wrong for somebody who may do everything.  Either way a write
that is said to be done is a fault.
"""

import os
from collections.abc import Callable
from random import Random

from loadtest.admin_mutations import AdminMutator
from loadtest.administrators import ADMIN, NOBODY, Login
from loadtest.port_traffic import Conversation, Counts, PortFault
from loadtest.replies import read_frame
from loadtest.streams import Address
from resolver.keys.proof import answer_secret
from resolver.wire import (
    Challenge,
    ChallengeAnswer,
    Envelope,
    Header,
    LoginRequest,
    Message,
    Opcode,
    ResponseCode,
    WireError,
    decode_answer,
)

WRITES = (
    Opcode.CREATE_HANDLE,
    Opcode.DELETE_HANDLE,
    Opcode.ADD_VALUE,
    Opcode.REMOVE_VALUE,
    Opcode.MODIFY_VALUE,
    Opcode.HOME_PREFIX,
    Opcode.UNHOME_PREFIX,
)
ADMINISTRATIVE = (*WRITES, Opcode.LIST_HANDLES, Opcode.LIST_HOMED_PREFIXES)
_HDLLIB, _ID_SDK = (2, 11, 2, 11), (2, 3, 2, 10)

Read = Callable[[], object]


class Handshakes:
    """Makes conversations, one after the other."""

    def __init__(self, address: Address, seed: int, counts: Counts) -> None:
        self._address, self._counts = address, counts
        self._random = Random(f"handshakes {seed}")
        self._bodies = AdminMutator((), seed)

    async def talk(self) -> None:
        """Ask for something that needs a right, prove something, and read what comes.  Raises PortFault."""
        conversation = Conversation(self._address, self._counts, "handshake")
        reader, writer = await conversation.open()
        is_login = self._random.random() < 0.4
        version = _ID_SDK if is_login else _HDLLIB
        opcode = Opcode.KEY_LOGIN if is_login else self._random.choice(ADMINISTRATIVE)
        login = self._random.choice((NOBODY, NOBODY, ADMIN))
        body = LoginRequest(login.handle.encode(), login.index).encode()

        async def ask(message: Message) -> Message:
            writer.write(message.encode())
            self._counts.messages["handshake"] += 1
            async with conversation.patience(f"{message}"):
                return Message.decode(await read_frame(reader))

        try:
            request = self._request(
                version, opcode, body if is_login else self._bodies.body(opcode)
            )
            answer = await ask(request)
            while (proof := self._proof(answer, version, login)) is not None:
                answer = await ask(proof)
            self._judge(answer)
            if is_login:
                opcode = self._random.choice(WRITES)
                self._judge(await ask(self._request(version, opcode, self._bodies.body(opcode))))
        except (ConnectionError, EOFError):
            self._counts.resets += 1
        except WireError as error:
            raise PortFault(f"handshake: an answer cannot be read: {error}") from error
        finally:
            await conversation.close()

    def _request(self, version: tuple[int, int, int, int], opcode: int, body: bytes) -> Message:
        number = self._random.randrange(1, 1 << 31)
        return Message(Envelope(*version, request_id=number), Header(opcode), body)

    def _proof(
        self, answer: Message, version: tuple[int, int, int, int], login: Login
    ) -> Message | None:
        """Return the answer to a challenge: with the key of NOBODY, whoever it says it is, and often spoilt."""
        digest, asked = decode_answer(answer)
        if not isinstance(asked, Challenge) or digest is None:
            return None
        nonce = asked.nonce + digest.digest
        made = bytearray(answer_secret(NOBODY.secret.encode(), nonce, salt=os.urandom(16)))
        if self._random.random() < 0.4:
            made[self._random.randrange(len(made))] ^= 1 << self._random.randrange(8)
        body = ChallengeAnswer(b"HS_SECKEY", login.handle.encode(), login.index, bytes(made))
        number = self._random.randrange(1, 1 << 31)
        envelope = Envelope(*version, answer.envelope.session_id, number)
        return Message(envelope, Header(Opcode.CHALLENGE_RESPONSE), body.encode())

    def _judge(self, answer: Message) -> None:
        header = answer.header
        self._counts.codes[header.response_code] += 1
        if header.opcode in WRITES and header.response_code == ResponseCode.SUCCESS:
            self._counts.fault(f"a write was done that nobody may: {answer}")
