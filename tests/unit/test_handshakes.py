"""Who is known to ask, in process: challenges and their answers, sessions, logins; by one worker and by several."""

import asyncio
from contextlib import ExitStack
from dataclasses import replace
from time import perf_counter_ns

import pytest

from resolver.keys.cipher import encrypt
from resolver.keys.private import KeyKind, make_private, public_half
from resolver.labour import MAX_AT_ONCE, MAX_PER_SOURCE, Labour, Overworked
from resolver.observe import Protocol
from resolver.responder import Origin, Profile
from resolver.wire import (
    CreateAnswer,
    Credential,
    Envelope,
    ErrorAnswer,
    Flag,
    HandleValue,
    Header,
    LoginRequest,
    Message,
    Opcode,
    ResolutionAnswer,
    ResolutionRequest,
    ResponseCode,
    SessionMode,
    SessionSetup,
    ValuesRequest,
    VerifyAnswer,
    VerifyRequest,
    decode_answer,
    encode_public_key,
)
from tests.support.fleet import Fleet, admin, name
from tests.support.native import ID_POINTER, ID_SDK, Client, Identity
from tests.support.sources import turns

PREFIX = b"0.NA/88.1"
ADMIN = Identity(PREFIX, 301, b"secret of the administrator")
READER = Identity(PREFIX, 302, b"secret of somebody with no right")
STRANGER = Identity(PREFIX, 301, b"no such secret")
RSA = Identity(PREFIX, 303, make_private(KeyKind.RSA))
SM2 = Identity(PREFIX, 304, make_private(KeyKind.SM2))
URL = HandleValue(1, b"URL", b"https://example.org/1")
HIDDEN = HandleValue(2, b"EMAIL", b"a@example.org", permissions=0b1100)
ADMINS = (admin(100, PREFIX, 301), admin(101, PREFIX, 303), admin(102, PREFIX, 304))
ALL_CODES_OF_LOGIN_CLIENTS = {
    1,
    2,
    3,
    4,
    5,
    100,
    101,
    102,
    200,
    201,
    202,
    302,
    303,
    *range(400, 406),
}


def key_value(identity: Identity) -> HandleValue:
    """Return the value that holds the key of an identity."""
    if isinstance(identity.key, bytes):
        return HandleValue(identity.index, b"HS_SECKEY", identity.key, permissions=0b1100)
    public = encode_public_key(public_half(identity.key))
    return HandleValue(identity.index, b"HS_PUBKEY", public)


def fleet(workers: int = 1, profile: Profile = Profile.AUTO) -> Fleet:
    made = Fleet(workers, profile=profile)
    keys = [key_value(identity) for identity in (ADMIN, READER, RSA, SM2)]
    made.store.put("0.NA/88.1", [*ADMINS, *keys])
    made.store.put("88.1/x", [URL, HIDDEN, *ADMINS])
    return made


def create(handle: bytes = b"88.1/new", *values: HandleValue) -> bytes:
    return ValuesRequest(handle, values or (URL, *ADMINS)).encode()


def resolve(handle: bytes = b"88.1/x") -> bytes:
    return ResolutionRequest(handle).encode()


def code_of(message: Message) -> int:
    return message.header.response_code


def text_of(message: Message) -> bytes:
    answer = decode_answer(message)[1]
    assert isinstance(answer, ErrorAnswer)
    return answer.text


def values_of(message: Message) -> tuple[HandleValue, ...]:
    answer = decode_answer(message)[1]
    assert isinstance(answer, ResolutionAnswer), answer
    return answer.values


class TestChallenge:
    @pytest.mark.parametrize("identity", [ADMIN, RSA, SM2])
    async def test_a_right_answer_carries_out_what_was_asked(self, identity: Identity) -> None:
        node, client = fleet(), Client()

        answer = await node.prove(client, client.request(Opcode.CREATE_HANDLE, create()), identity)

        assert code_of(answer) == ResponseCode.SUCCESS
        assert node.store.values_by_key[b"88.1/NEW"][0].data == URL.data
        write = node.registrar.writes[-1]
        assert write.caller is not None
        assert (write.caller.handle, write.caller.index) == (PREFIX, identity.index)
        assert (write.caller.means, write.origin) == ("challenge", "tcp 192.0.2.1")

    async def test_the_answer_has_the_opcode_asked_for_and_the_id_of_the_proof(self) -> None:
        node, client = fleet(), Client()
        request = client.request(Opcode.DELETE_HANDLE, name(b"88.1/x"))
        challenge = client.read((await node.ask(request)).message)

        answer = client.read((await node.ask(client.prove(challenge, ADMIN))).message)

        assert challenge.envelope.session_id
        assert answer.envelope.session_id == 0
        assert answer.envelope.request_id == challenge.envelope.request_id + 1
        assert answer.header.opcode == Opcode.DELETE_HANDLE

    @pytest.mark.parametrize(
        ("identity", "code"),
        [
            (STRANGER, ResponseCode.AUTHENTICATION_FAILED),
            (READER, ResponseCode.NOT_ADMINISTRATOR),
            (Identity(PREFIX, 999, b"x"), ResponseCode.INVALID_CREDENTIAL),
        ],
    )
    async def test_a_wrong_one_carries_out_nothing(self, identity: Identity, code: int) -> None:
        node, client = fleet(), Client()

        answer = await node.prove(client, client.request(Opcode.CREATE_HANDLE, create()), identity)

        assert (answer.header.opcode, code_of(answer)) == (Opcode.CREATE_HANDLE, code)
        assert answer.envelope.session_id == 0
        assert b"88.1/NEW" not in node.store.values_by_key

    async def test_it_is_answered_once(self) -> None:
        node, client = fleet(), Client()
        request = client.request(Opcode.DELETE_HANDLE, name(b"88.1/x"))
        challenge = client.read((await node.ask(request)).message)
        await node.ask(client.prove(challenge, STRANGER))

        again = client.read((await node.ask(client.prove(challenge, ADMIN))).message)

        assert code_of(again) == ResponseCode.SESSION_TIMEOUT
        assert b"88.1/X" in node.store.values_by_key

    async def test_an_answer_after_a_minute_is_late(self) -> None:
        node, client = fleet(), Client()
        request = client.request(Opcode.DELETE_HANDLE, name(b"88.1/x"))
        challenge = client.read((await node.ask(request)).message)
        node.clock.now += 61

        answer = client.read((await node.ask(client.prove(challenge, ADMIN))).message)

        assert code_of(answer) == ResponseCode.AUTHENTICATION_TIMEOUT
        assert b"88.1/X" in node.store.values_by_key

    async def test_what_needs_no_identity_to_be_told_is_told_first(self) -> None:
        node, client = fleet(), Client()

        answers = [
            client.read((await node.ask(client.request(opcode, body))).message)
            for opcode, body in [
                (Opcode.CREATE_HANDLE, create(b"88.1/x")),
                (Opcode.CREATE_HANDLE, create(b"99/x")),
                (Opcode.CREATE_HANDLE, create(b"88.1/y", replace(URL, index=0))),
                (Opcode.CREATE_HANDLE, create(b"")),
                (Opcode.MODIFY_VALUE, create(b"88.1/x", replace(URL, index=77))),
            ]
        ]

        assert [code_of(answer) for answer in answers] == [101, 301, 202, 102, 200]

    async def test_a_proof_that_cannot_be_read_is_refused_in_the_name_of_the_request(self) -> None:
        node, client = fleet(), Client()
        request = client.request(Opcode.DELETE_HANDLE, name(b"88.1/x"))
        challenge = client.read((await node.ask(request)).message)
        broken = replace(Message.decode(client.prove(challenge, ADMIN)), body=b"\0\0\0\x09short")

        answer = client.read((await node.ask(broken.encode())).message)

        assert (answer.header.opcode, code_of(answer)) == (Opcode.DELETE_HANDLE, 4)


class TestRestrictedValues:
    @pytest.mark.parametrize("protocol", [Protocol.UDP, Protocol.TCP, Protocol.NATIVE_HTTP])
    async def test_they_are_read_after_a_challenge(self, protocol: Protocol) -> None:
        node, client = fleet(), Client()
        origin = Origin(protocol, "192.0.2.1")

        answer = await node.prove(
            client, client.request(Opcode.RESOLUTION, resolve()), ADMIN, origin=origin
        )

        assert HIDDEN in values_of(answer)
        assert answer.header.opcode == Opcode.RESOLUTION

    async def test_whoever_may_not_read_them_is_told_so(self) -> None:
        node, client = fleet(), Client()

        answer = await node.prove(client, client.request(Opcode.RESOLUTION, resolve()), READER)

        assert code_of(answer) == ResponseCode.NOT_ADMINISTRATOR

    async def test_a_secret_key_is_not_among_them(self) -> None:
        node, client = fleet(), Client()
        node.store.values_by_key[PREFIX] += (HIDDEN,)
        request = client.request(Opcode.RESOLUTION, resolve(PREFIX))

        answer = await node.prove(client, request, ADMIN)

        assert HIDDEN in values_of(answer)
        assert b"HS_SECKEY" not in {value.type for value in values_of(answer)}

    async def test_no_ready_reply_has_them(self) -> None:
        node, client = fleet(), Client()
        request = client.request(Opcode.RESOLUTION, resolve())
        await node.prove(client, request, ADMIN)

        assert node.hot[0].reply(request, perf_counter_ns()) is None
        assert len(node.hot[0]) == 0


class TestSession:
    @pytest.mark.parametrize("protocol", [Protocol.UDP, Protocol.TCP, Protocol.NATIVE_HTTP])
    async def test_a_challenge_comes_once_a_session(self, protocol: Protocol) -> None:
        node = fleet()
        client = await node.session(ADMIN, protocol=protocol)

        first = client.read(
            (await node.ask(client.request(Opcode.CREATE_HANDLE, create()))).message
        )
        second = client.read(
            (await node.ask(client.request(Opcode.DELETE_HANDLE, name(b"88.1/new")))).message
        )

        assert [code_of(first), code_of(second)] == [1, 1]
        assert first.envelope.session_id == client.session_id
        writes = node.registrar.writes
        assert {write.caller.means for write in writes if write.caller} == {"session"}

    async def test_the_setup_is_signed_and_carries_the_digest(self) -> None:
        node, client = fleet(), Client()
        request = client.begin()

        answer = client.began((await node.ask(request)).message)

        digest, _ = decode_answer(answer)
        assert digest is not None
        assert Credential.decode(answer.credential).signature == b"signature"
        assert answer.body.endswith(bytes(2))

    async def test_threads_that_share_a_new_session_are_challenged_once(self) -> None:
        node = fleet()
        client = await node.session()
        requests = [
            client.request(Opcode.CREATE_HANDLE, create(b"88.1/thread-%d" % number))
            for number in range(8)
        ]
        first = client.read((await node.ask(requests[0])).message)
        others = [asyncio.create_task(node.ask(each)) for each in requests[1:]]
        await turns()

        proven = client.read((await node.ask(client.prove(first, ADMIN))).message)
        answers = [client.read((await each).message) for each in others]

        assert code_of(proven) == 1
        assert [code_of(answer) for answer in answers] == [1] * 7
        assert [decode_answer(answer)[1] for answer in answers] == [
            CreateAnswer(b"88.1/thread-%d" % number) for number in range(1, 8)
        ]

    async def test_a_challenge_that_nobody_answers_holds_up_nobody_for_long(self) -> None:
        node = fleet()
        client = await node.session()
        request = client.request(Opcode.DELETE_HANDLE, name(b"88.1/x"))
        await node.ask(request)
        node.clock.now += 2

        answer = await node.prove(
            client, client.request(Opcode.DELETE_HANDLE, name(b"88.1/x")), ADMIN
        )

        assert code_of(answer) == 1

    async def test_a_message_that_was_there_before_is_refused(self) -> None:
        node = fleet()
        client = await node.session(ADMIN)
        request = client.request(Opcode.CREATE_HANDLE, create())
        await node.ask(request)
        await node.ask(client.request(Opcode.DELETE_HANDLE, name(b"88.1/new")))

        answer = client.read((await node.ask(request)).message)

        assert code_of(answer) == ResponseCode.SESSION_MESSAGE_REJECTED
        assert b"88.1/NEW" not in node.store.values_by_key

    async def test_a_message_without_its_mac_is_of_no_session(self) -> None:
        node = fleet()
        client = await node.session(ADMIN)
        request = client.message(Opcode.CREATE_HANDLE, create())

        answer = client.read((await node.ask(request.encode())).message)

        assert code_of(answer) == ResponseCode.AUTHENTICATION_NEEDED
        assert answer.envelope.session_id != client.session_id
        assert b"88.1/NEW" not in node.store.values_by_key

    async def test_a_message_that_was_changed_is_not_taken(self) -> None:
        node = fleet()
        client = await node.session(ADMIN)
        request = Message.decode(client.request(Opcode.CREATE_HANDLE, create()))
        changed = replace(request, body=create(b"88.1/other"))

        answer = client.read((await node.ask(changed.encode())).message)

        assert code_of(answer) == ResponseCode.SESSION_FAILED
        assert len(node.registrar.writes) == 2  # of the setup

    async def test_a_session_ends_when_it_says_so_and_only_then(self) -> None:
        node = fleet()
        client = await node.session(ADMIN)
        forged = client.message(Opcode.SESSION_TERMINATE, name(b"")).encode()

        refused = client.read((await node.ask(forged)).message)
        ended = client.read(
            (await node.ask(client.request(Opcode.SESSION_TERMINATE, name(b"")))).message
        )
        after = client.read(
            (await node.ask(client.request(Opcode.CREATE_HANDLE, create()))).message
        )

        assert [code_of(refused), code_of(ended), code_of(after)] == [501, 1, 500]

    async def test_a_session_ends_soon_after_its_key_is_gone(self) -> None:
        node = fleet()
        client = await node.session(ADMIN)
        left = [value for value in node.store.values_by_key[PREFIX] if value.index != ADMIN.index]
        node.store.put("0.NA/88.1", left)
        node.clock.now += 11

        answer = client.read(
            (await node.ask(client.request(Opcode.CREATE_HANDLE, create()))).message
        )

        assert code_of(answer) == ResponseCode.SESSION_TIMEOUT
        assert b"88.1/NEW" not in node.store.values_by_key

    async def test_a_session_that_is_not_used_is_over(self) -> None:
        node = fleet()
        client = await node.session(ADMIN)
        node.clock.now += 1_801

        answer = client.read(
            (await node.ask(client.request(Opcode.CREATE_HANDLE, create()))).message
        )

        assert code_of(answer) == ResponseCode.SESSION_TIMEOUT
        assert answer.envelope.session_id == client.session_id

    @pytest.mark.parametrize(
        ("setup", "code"),
        [
            (SessionSetup(SessionMode.IDENTITY_KEY, 60, b"", 0), 5),
            (SessionSetup(SessionMode.DIFFIE_HELLMAN, 60, b"", 0, b"no key"), 504),
            (SessionSetup(9, 60, b"", 0), 5),
            (
                SessionSetup(SessionMode.DIFFIE_HELLMAN, 60, b"", 0, key_value(RSA).data),
                504,
            ),
        ],
    )
    async def test_a_setup_that_makes_no_sense_is_refused(
        self, setup: SessionSetup, code: int
    ) -> None:
        node, client = fleet(), Client()

        answer = await node.ask(client.request(Opcode.SESSION_SETUP, setup.encode()))

        assert code_of(client.read(answer.message)) == code


class TestEncryption:
    async def test_both_directions_are_encrypted_when_asked_for(self) -> None:
        node = fleet()
        client = await node.session(ADMIN)
        request = client.request(Opcode.CREATE_HANDLE, create(), encrypt_it=True)

        reply = (await node.ask(request)).message

        assert Envelope.decode(request).encrypted
        assert Envelope.decode(reply).encrypted
        assert b"example.org" not in request
        assert code_of(client.read(reply)) == ResponseCode.SUCCESS

    async def test_an_answer_is_encrypted_when_the_request_says_so(self) -> None:
        node = fleet()
        client = await node.session(ADMIN)

        reply = await node.ask(
            client.request(Opcode.RESOLUTION, resolve(), int(Flag.ENCRYPT | Flag.PUBLIC_ONLY))
        )

        assert Envelope.decode(reply.message).encrypted

    async def test_restricted_values_are_encrypted_without_being_asked(self) -> None:
        node = fleet()
        client = await node.session(ADMIN)

        hidden = (await node.ask(client.request(Opcode.RESOLUTION, resolve()))).message
        public = (
            await node.ask(client.request(Opcode.RESOLUTION, resolve(), int(Flag.PUBLIC_ONLY)))
        ).message

        assert Envelope.decode(hidden).encrypted
        assert HIDDEN in values_of(client.read(hidden))
        assert not Envelope.decode(public).encrypted

    async def test_the_first_answer_in_a_session_is_encrypted_too(self) -> None:
        node = fleet()
        client = await node.session()
        challenge = (await node.ask(client.request(Opcode.RESOLUTION, resolve()))).message

        reply = (await node.ask(client.prove(client.read(challenge), RSA))).message

        assert Envelope.decode(reply).encrypted
        assert reply.find(HIDDEN.data) == -1
        assert HIDDEN in values_of(client.read(reply))

    async def test_a_proof_may_come_encrypted(self) -> None:
        node = fleet()
        client = await node.session()
        request = client.request(Opcode.CREATE_HANDLE, create(), encrypt_it=True)
        challenge = (await node.ask(request)).message
        proof = Message.decode(client.prove(client.read(challenge), ADMIN))

        reply = await node.ask(_sealed(client, proof.encode_content(), proof.envelope))

        assert Envelope.decode(challenge).encrypted
        assert Envelope.decode(reply.message).encrypted
        assert code_of(client.read(reply.message)) == ResponseCode.SUCCESS

    async def test_whatever_is_wrong_with_it_is_told_in_the_same_words(self) -> None:
        """Else somebody who records a message could find out what it says, byte by byte (a padding oracle)."""
        node = fleet()
        client = await node.session(ADMIN)
        plain = client.message(Opcode.CREATE_HANDLE, create())
        good = client.request(Opcode.CREATE_HANDLE, create(), encrypt_it=True)
        proof = replace(
            plain, header=Header(Opcode.CHALLENGE_RESPONSE), body=b"no challenge is out"
        )
        forged = [
            _sealed(client, proof.encode_content(), plain.envelope),
            _sealed(client, plain.encode_content(), plain.envelope),
            _sealed(client, b"no message at all, but well padded", plain.envelope),
            _sealed(client, plain.encode_content()[:-1], plain.envelope),
            *[_flipped(good, position) for position in range(20, len(good), 7)],
            good[:-16],
        ]

        replies = {
            (await node.ask(_resized(each))).message[12:].replace(each[8:12], b"")
            for each in forged
        }

        assert len(replies) == 1
        assert b"does not fit its session" in replies.pop()
        assert b"88.1/NEW" not in node.store.values_by_key

    async def test_without_a_session_it_cannot_be_read(self) -> None:
        node, client = fleet(), Client(session_id=0x000123, key=bytes(32))

        answer = await node.ask(client.request(Opcode.RESOLUTION, resolve(), encrypt_it=True))

        assert code_of(Message.decode(answer.message)) == ResponseCode.SESSION_TIMEOUT


def _sealed(client: Client, content: bytes, envelope: Envelope) -> bytes:
    sealed = replace(envelope, encrypted=True, session_id=client.session_id)
    return sealed.wrap(encrypt(client.key, content, bytes(16)))


def _flipped(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


def _resized(data: bytes) -> bytes:
    """Make the length in the envelope true."""
    return Envelope.decode(data).wrap(data[20:])


class TestSeveralWorkers:
    async def test_a_challenge_of_one_is_answered_at_another(self) -> None:
        node, client = fleet(workers=4), Client()
        request = client.request(Opcode.CREATE_HANDLE, create())
        challenge = client.read((await node.ask(request, worker=2)).message)

        answer = client.read((await node.ask(client.prove(challenge, ADMIN), worker=1)).message)

        assert code_of(answer) == ResponseCode.SUCCESS
        assert [slot for slot, _ in node.forwarded] == [2]

    async def test_a_session_of_one_is_used_at_every_other(self) -> None:
        node, client = fleet(workers=4), Client()
        client.began((await node.ask(client.begin(), worker=3, protocol=Protocol.UDP)).message)
        request = client.request(Opcode.CREATE_HANDLE, create())
        challenge = client.read((await node.ask(request, worker=0)).message)
        await node.ask(client.prove(challenge, ADMIN), worker=1)

        answers = [
            client.read(
                (
                    await node.ask(
                        client.request(
                            Opcode.RESOLUTION, resolve(b"88.1/new"), encrypt_it=bool(worker % 2)
                        ),
                        worker=worker,
                    )
                ).message
            )
            for worker in range(4)
        ]

        assert [code_of(answer) for answer in answers] == [1] * 4
        assert challenge.envelope.session_id == client.session_id

    async def test_a_replay_is_refused_wherever_it_comes(self) -> None:
        node = fleet(workers=2)
        client = await node.session(ADMIN)
        request = client.request(Opcode.CREATE_HANDLE, create())
        await node.ask(request, worker=0)

        answer = client.read((await node.ask(request, worker=1)).message)

        assert code_of(answer) == ResponseCode.SESSION_MESSAGE_REJECTED

    async def test_what_a_worker_knew_that_is_gone_is_begun_anew(self) -> None:
        node, other = fleet(workers=2), Client()
        client = await node.session(ADMIN)
        request = other.request(Opcode.CREATE_HANDLE, create())
        challenge = other.read((await node.ask(request)).message)
        node.gone.add(0)

        answers = [
            Message.decode((await node.ask(data, worker=1)).message)
            for data in (
                client.request(Opcode.CREATE_HANDLE, create()),
                client.request(Opcode.CREATE_HANDLE, create(), encrypt_it=True),
                other.prove(challenge, ADMIN),
            )
        ]

        assert [code_of(answer) for answer in answers] == [ResponseCode.SESSION_TIMEOUT] * 3

    async def test_a_worker_that_does_not_reply_is_busy(self) -> None:
        node = fleet(workers=2)
        client = await node.session(ADMIN)
        node.deaf.add(0)

        answer = client.read(
            (await node.ask(client.request(Opcode.CREATE_HANDLE, create()), worker=1)).message
        )

        assert code_of(answer) == ResponseCode.SERVER_BUSY

    @pytest.mark.parametrize("session_id", [10_001, 0x0100_0001, 0xFF00_0001])
    async def test_a_session_id_that_a_client_made_up_is_no_session(self, session_id: int) -> None:
        node, client = fleet(workers=2), Client(session_id=session_id)

        answer = Message.decode(
            (
                await node.ask(
                    client.request(Opcode.RESOLUTION, resolve(), int(Flag.PUBLIC_ONLY)), worker=0
                )
            ).message
        )

        assert code_of(answer) == ResponseCode.SUCCESS
        assert answer.envelope.session_id == session_id
        assert not node.forwarded


class TestLogin:
    async def log_in(
        self, node: Fleet, client: Client, identity: Identity, origin: Origin
    ) -> Message:
        body = LoginRequest(identity.handle, identity.index).encode()
        flags = int(Flag.REQUEST_DIGEST)
        return await node.prove(
            client, client.request(Opcode.KEY_LOGIN, body, flags), identity, origin=origin
        )

    @pytest.mark.parametrize("versions", [ID_SDK, ID_POINTER])
    @pytest.mark.parametrize("identity", [RSA, SM2])
    async def test_it_is_of_the_connection(
        self, identity: Identity, versions: tuple[int, int, int, int]
    ) -> None:
        node, client = fleet(), Client(versions=versions)
        mine, other = (Origin(Protocol.TCP, "192.0.2.1") for _ in range(2))

        answer = await self.log_in(node, client, identity, mine)
        codes = [
            code_of(
                Message.decode(
                    (
                        await node.ask(
                            client.request(Opcode.DELETE_HANDLE, name(b"88.1/x")), origin=origin
                        )
                    ).message
                )
            )
            for origin in (other, mine)
        ]

        assert (answer.header.opcode, code_of(answer)) == (Opcode.KEY_LOGIN, 1)
        assert codes == [ResponseCode.INSUFFICIENT_PERMISSIONS, ResponseCode.SUCCESS]
        caller = node.registrar.writes[-1].caller
        assert caller is not None
        assert caller.means == "login"

    async def test_a_client_keeps_the_session_id_that_it_made_up(self) -> None:
        node, client = fleet(workers=2), Client(versions=ID_POINTER, session_id=0x0100_2711)
        origin = Origin(Protocol.TCP, "192.0.2.1")

        answer = await self.log_in(node, client, RSA, origin)

        assert code_of(answer) == ResponseCode.SUCCESS
        assert answer.envelope.session_id == client.session_id
        assert not node.forwarded

    async def test_it_ends_soon_after_its_key_is_another(self) -> None:
        node, client = fleet(), Client(versions=ID_POINTER)
        origin = Origin(Protocol.TCP, "192.0.2.1")
        await self.log_in(node, client, RSA, origin)
        other = Identity(PREFIX, 303, make_private(KeyKind.RSA))
        values = [value for value in node.store.values_by_key[PREFIX] if value.index != RSA.index]
        node.store.put("0.NA/88.1", [*values, key_value(other)])
        node.clock.now += 11

        request = client.request(Opcode.DELETE_HANDLE, name(b"88.1/x"))
        answer = Message.decode((await node.ask(request, origin=origin)).message)

        assert code_of(answer) == ResponseCode.INSUFFICIENT_PERMISSIONS
        assert b"88.1/X" in node.store.values_by_key

    async def test_what_is_answered_as_its_key_goes_is_ready_for_nobody(self) -> None:
        """Not all that log in are clients of the login profile; what others ask alike is answered otherwise."""
        node, client = fleet(), Client()
        origin = Origin(Protocol.TCP, "192.0.2.1")
        await self.log_in(node, client, RSA, origin)
        node.store.put("0.NA/88.1", [])
        node.clock.now += 11

        request = client.request(Opcode.RESOLUTION, resolve())
        answer = Message.decode((await node.ask(request, origin=origin)).message)

        assert values_of(answer) == (URL, *ADMINS)
        assert node.hot[0].reply(request, perf_counter_ns()) is None
        assert code_of(Message.decode((await node.ask(request)).message)) == 402

    async def test_a_database_that_is_away_ends_no_login(self) -> None:
        node, client = fleet(), Client(versions=ID_POINTER)
        origin = Origin(Protocol.TCP, "192.0.2.1")
        await self.log_in(node, client, RSA, origin)
        node.clock.now += 11
        node.store.is_down = True
        request = client.request(Opcode.DELETE_HANDLE, name(b"88.1/x"))

        busy = Message.decode((await node.ask(request, origin=origin)).message)
        node.store.is_down = False
        answer = Message.decode((await node.ask(request, origin=origin)).message)

        assert [code_of(busy), code_of(answer)] == [ResponseCode.SERVER_BUSY, 1]

    async def test_a_wrong_key_logs_nobody_in(self) -> None:
        node, client = fleet(), Client(versions=ID_POINTER)
        origin = Origin(Protocol.TCP, "192.0.2.1")
        other = Identity(PREFIX, 303, make_private(KeyKind.RSA))

        answer = await self.log_in(node, client, other, origin)

        assert (answer.header.opcode, code_of(answer)) == (Opcode.KEY_LOGIN, 403)
        assert origin.login is None

    async def test_restricted_values_are_shown_to_who_has_logged_in_and_to_nobody_else(
        self,
    ) -> None:
        node, client = fleet(), Client(versions=ID_SDK)
        origin = Origin(Protocol.TCP, "192.0.2.1")
        request = client.request(Opcode.RESOLUTION, resolve())
        before = Message.decode((await node.ask(request, origin=origin)).message)
        await self.log_in(node, client, RSA, origin)

        during = Message.decode((await node.ask(request, origin=origin)).message)
        other = Message.decode((await node.ask(request)).message)

        assert values_of(before) == values_of(other) == (URL, *ADMINS)
        assert values_of(during) == (URL, HIDDEN, *ADMINS)

    async def test_a_second_login_is_told_so_where_that_is_understood(self) -> None:
        node, origin = fleet(), Origin(Protocol.TCP, "192.0.2.1")
        body = LoginRequest(PREFIX, 303).encode()
        await self.log_in(node, Client(versions=ID_SDK), RSA, origin)

        codes = [
            code_of(
                Message.decode(
                    (
                        await node.ask(
                            Client(versions=versions).request(Opcode.KEY_LOGIN, body), origin=origin
                        )
                    ).message
                )
            )
            for versions in (ID_SDK, ID_POINTER)
        ]

        assert codes == [ResponseCode.ALREADY_LOGGED_IN, ResponseCode.AUTHENTICATION_NEEDED]

    async def test_passwords_in_the_clear_are_not_taken(self) -> None:
        body = ResolutionRequest(b"user", types=(b"password",)).encode()
        request = Client(versions=ID_SDK).request(Opcode.PASSWORD_LOGIN, body)

        answer = Message.decode((await fleet().ask(request)).message)

        assert code_of(answer) == ResponseCode.INSUFFICIENT_PERMISSIONS
        assert b"2001" in text_of(answer)

    @pytest.mark.parametrize("protocol", [Protocol.UDP, Protocol.NATIVE_HTTP])
    async def test_there_is_none_without_a_connection(self, protocol: Protocol) -> None:
        request = Client(versions=ID_SDK).request(
            Opcode.KEY_LOGIN, LoginRequest(PREFIX, 303).encode()
        )

        answer = Message.decode((await fleet().ask(request, protocol=protocol)).message)

        assert code_of(answer) in (4, 5)

    async def test_the_heartbeat_has_an_answer(self) -> None:
        request = Client(versions=ID_POINTER).request(Opcode.RESOLUTION, resolve(b"0"))

        assert code_of(Message.decode((await fleet().ask(request)).message)) == 100

    @pytest.mark.parametrize(
        ("profile", "versions", "code"),
        [
            (Profile.AUTO, ID_SDK, 401),
            (Profile.AUTO, (2, 11, 2, 11), 402),
            (Profile.HANDLE, ID_SDK, 402),
            (Profile.LOGIN, (2, 11, 2, 11), 401),
        ],
    )
    async def test_the_profile_says_who_is_challenged(
        self, profile: Profile, versions: tuple[int, int, int, int], code: int
    ) -> None:
        request = Client(versions=versions).request(Opcode.DELETE_HANDLE, name(b"88.1/x"))

        answer = Message.decode((await fleet(profile=profile).ask(request)).message)

        assert code_of(answer) == code

    async def test_no_login_is_served_to_the_profile_of_challenges(self) -> None:
        request = Client().request(Opcode.KEY_LOGIN, LoginRequest(PREFIX, 303).encode())

        answer = Message.decode((await fleet(profile=Profile.HANDLE).ask(request)).message)

        assert code_of(answer) == ResponseCode.OPERATION_NOT_SUPPORTED

    @pytest.mark.parametrize("versions", [ID_SDK, ID_POINTER])
    @pytest.mark.parametrize("opcode", [each for each in Opcode if each != Opcode.KEY_LOGIN])
    async def test_every_code_is_one_that_its_client_knows(
        self, opcode: int, versions: tuple[int, int, int, int]
    ) -> None:
        node, client = fleet(), Client(versions=versions, session_id=77, key=bytes(32))
        bodies = [b"", name(b"99/x"), name(b"88.1/x"), create(), create(b"99/y"), resolve(b"99/x")]
        requests = [
            client.request(opcode, body) if maced else client.message(opcode, body).encode()
            for body in bodies
            for maced in (True, False)
        ]
        requests.append(client.request(opcode, b"", encrypt_it=True))

        codes = {code_of(Message.decode((await node.ask(each)).message)) for each in requests}

        assert codes <= ALL_CODES_OF_LOGIN_CLIENTS - {402}


class TestOverUdp:
    @pytest.mark.parametrize("opcode", [100, 101, 102, 103, 104, 105, 201, 300, 301, 302, 2001])
    async def test_administration_is_refused(self, opcode: int) -> None:
        node = fleet()
        client = await node.session(ADMIN)

        answer = await node.ask(client.request(opcode, name(b"88.1/x")), protocol=Protocol.UDP)

        assert code_of(client.read(answer.message)) == ResponseCode.PROTOCOL_ERROR
        assert b"88.1/X" in node.store.values_by_key

    async def test_the_challenge_of_a_change_is_not_answered_there(self) -> None:
        node, client = fleet(), Client()
        request = client.request(Opcode.DELETE_HANDLE, name(b"88.1/x"))
        challenge = client.read((await node.ask(request)).message)
        proof = client.prove(challenge, ADMIN)

        refused = Message.decode((await node.ask(proof, protocol=Protocol.UDP)).message)
        answer = Message.decode((await node.ask(proof)).message)

        assert [code_of(refused), code_of(answer)] == [4, 1]

    async def test_a_challenge_is_answered_from_the_address_that_was_challenged(self) -> None:
        """Else anybody could spend the tries of another address, by proofs in its name."""
        node, client = fleet(), Client()
        challenged = Origin(Protocol.UDP, "192.0.2.1")
        request = client.request(Opcode.RESOLUTION, resolve())
        challenge = client.read((await node.ask(request, origin=challenged)).message)
        proof = client.prove(challenge, ADMIN)

        forged = await node.ask(proof, origin=Origin(Protocol.UDP, "192.0.2.2"))
        answer = await node.ask(proof, origin=challenged)

        assert code_of(client.read(forged.message)) == ResponseCode.SESSION_TIMEOUT
        assert HIDDEN in values_of(client.read(answer.message))


class TestVerification:
    @pytest.mark.parametrize(("identity", "valid"), [(ADMIN, True), (STRANGER, False)])
    async def test_another_server_is_told_whether_a_secret_key_was_used(
        self, identity: Identity, valid: bool
    ) -> None:
        nonce, digest = b"n" * 16, b"d" * 32
        answer = identity.answer(nonce + digest).answer
        body = VerifyRequest(PREFIX, 301, nonce, digest, answer).encode()

        reply = Message.decode(
            (await fleet().ask(Client().request(Opcode.VERIFY_RESPONSE, body))).message
        )

        assert VerifyAnswer.decode(reply.body) == VerifyAnswer(valid)


class TestLabour:
    def test_a_source_has_its_share_and_no_more(self) -> None:
        labour = Labour(at_once=3, per_source=2)
        with ExitStack() as work:
            work.enter_context(labour.share("a"))
            work.enter_context(labour.share("a"))
            with pytest.raises(Overworked):
                work.enter_context(labour.share("a"))
            work.enter_context(labour.share("b"))
            with pytest.raises(Overworked):
                work.enter_context(labour.share("c"))
        with labour.share("a"):
            pass

    def test_all_addresses_of_one_customer_are_one_source(self) -> None:
        here, there = (Origin(Protocol.TCP, f"2001:db8::{each}") for each in (1, 2))
        assert here.payer == there.payer == here.source

    async def test_whoever_comes_when_too_much_is_under_way_is_told_busy(self) -> None:
        node = fleet()
        requests = [Client().begin() for _ in range(MAX_PER_SOURCE + 10)]

        replies = await asyncio.gather(*(node.ask(each) for each in requests))

        codes = [code_of(Message.decode(reply.message)) for reply in replies]
        assert set(codes) == {1, 3}
        assert codes.count(1) <= MAX_AT_ONCE
