"""Whatever message comes, of any opcode, over any transport, proven or not: it is answered or refused, never a failure;
and what nobody has proven changes nothing.
"""

import asyncio
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resolver.observe import Protocol
from resolver.responder import Origin, Profile
from resolver.wire import (
    Challenge,
    ChallengeAnswer,
    Envelope,
    Header,
    IndexesRequest,
    LoginRequest,
    Message,
    NameRequest,
    Opcode,
    Reference,
    ResolutionRequest,
    ResponseCode,
    SessionSetup,
    ValuesRequest,
    VerifyRequest,
    decode_answer,
)
from resolver.wire.value import HandleValue
from tests.support.fleet import Fleet, admin
from tests.support.native import Client, Identity

PREFIX = b"0.NA/88.1"
ADMIN = Identity(PREFIX, 301, b"secret")
FIELDS = st.integers(0, 2**32 - 1)
HANDLES = st.one_of(
    st.sampled_from([b"", b"/", b"88.1/x", PREFIX, b"88.1/", b"0.NA/9", b"99/x", b"\xff", b"0"]),
    st.binary(max_size=30),
)
VALUES = st.builds(
    HandleValue,
    index=st.one_of(st.integers(0, 3), FIELDS),
    type=st.sampled_from([b"URL", b"HS_ADMIN", b"HS_VLIST", b"HS_SECKEY", b"HS_PUBKEY", b""]),
    data=st.binary(max_size=40),
    ttl_type=st.integers(0, 255),
    ttl=FIELDS,
    timestamp=FIELDS,
    permissions=st.integers(0, 255),
)
SHORT = st.binary(max_size=40)
BODIES = st.one_of(
    st.binary(max_size=60),
    st.builds(lambda handle: NameRequest(handle).encode(), HANDLES),
    st.builds(
        lambda handle, values: ValuesRequest(handle, tuple(values)).encode(),
        HANDLES,
        st.lists(VALUES, max_size=3),
    ),
    st.builds(
        lambda handle, indexes: IndexesRequest(handle, tuple(indexes)).encode(),
        HANDLES,
        st.lists(FIELDS, max_size=3),
    ),
    st.builds(
        lambda handle, types: ResolutionRequest(handle, types=tuple(types)).encode(),
        HANDLES,
        st.lists(SHORT, max_size=2),
    ),
    st.builds(lambda handle, index: LoginRequest(handle, index).encode(), HANDLES, FIELDS),
    st.builds(
        lambda kind, handle, index, answer: ChallengeAnswer(kind, handle, index, answer).encode(),
        st.sampled_from([b"HS_SECKEY", b"HS_PUBKEY", b""]),
        HANDLES,
        st.sampled_from([0, 301]),
        SHORT,
    ),
    st.builds(
        lambda handle, index, parts: VerifyRequest(handle, index, *parts).encode(),
        HANDLES,
        FIELDS,
        st.tuples(SHORT, SHORT, SHORT),
    ),
    st.builds(
        lambda mode, handle, key: SessionSetup(mode, 60, handle, 0, key).encode(),
        st.integers(0, 5),
        HANDLES,
        SHORT,
    ),
)
OPCODES = st.one_of(st.sampled_from([int(each) for each in Opcode]), FIELDS)
VERSIONS = st.one_of(
    st.sampled_from([(2, 11, 2, 11), (2, 3, 2, 10), (2, 10, 2, 11), (2, 4, 2, 4), (1, 0, 0, 0)]),
    st.tuples(st.integers(0, 255), st.integers(0, 255), st.integers(0, 3), st.integers(0, 255)),
)
STEPS = st.lists(
    st.tuples(
        OPCODES,
        BODIES,
        FIELDS,  # flags
        VERSIONS,
        st.sampled_from(["plain", "in the session", "encrypted", "of the challenge", "made up"]),
        st.sampled_from([Protocol.UDP, Protocol.TCP, Protocol.NATIVE_HTTP]),
        st.integers(0, 1),  # worker
    ),
    min_size=1,
    max_size=6,
)
QUIET = settings(
    max_examples=250,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
Step = tuple[int, bytes, int, tuple[int, int, int, int], str, Protocol, int]


def fleet(profile: Profile) -> Fleet:
    made = Fleet(2, (Reference(PREFIX, 301),), profile)
    secret = HandleValue(301, b"HS_SECKEY", b"secret", permissions=0b1100)
    made.store.put("0.NA/88.1", [admin(100, PREFIX, 301), secret])
    made.store.put("88.1/x", [HandleValue(1, b"URL", b"x", permissions=0b1100), secret])
    return made


async def play(node: Fleet, client: Client, origin: Origin, steps: list[Step]) -> None:
    """Send all of it; a challenge that comes back is answered by some later message, wrongly."""
    challenge_id = 0
    for opcode, body, flags, versions, manner, protocol, worker in steps:
        session_id = {"of the challenge": challenge_id, "made up": 0x0100_2711}.get(manner, 0)
        if manner in ("in the session", "encrypted"):
            session_id = client.session_id
        message = Message(Envelope(*versions, session_id, 9), Header(opcode, flags=flags), body)
        data = message.encode()
        if manner in ("in the session", "encrypted"):
            data = client.send(message, encrypt_it=manner == "encrypted")
        where = origin if protocol is Protocol.TCP else Origin(protocol, "192.0.2.1")
        node.clock.now += 2  # nobody waits for a proof that does not come
        reply = await node.ask(data, worker=worker, origin=where)
        more = [] if reply.more is None else [each async for each in reply.more]
        for each in (reply.message, *more):
            answer = client.read(each)
            assert answer.header.response_code != ResponseCode.ERROR, message
            assert answer.envelope.request_id == 9
            if isinstance(decode_answer(answer)[1], Challenge):
                challenge_id = answer.envelope.session_id


async def unproven(profile: Profile, steps: list[Step]) -> None:
    node = fleet(profile)
    before = dict(node.store.values_by_key), set(node.store.homed)
    client = await node.session()

    await play(node, client, Origin(Protocol.TCP, "192.0.2.1"), steps)

    assert (node.store.values_by_key, node.store.homed) == before


async def proven(profile: Profile, steps: list[Step]) -> None:
    node = fleet(profile)
    client = await node.session(None if profile is Profile.LOGIN else ADMIN)

    await play(node, client, Origin(Protocol.TCP, "192.0.2.1"), steps)


@QUIET
@given(profile=st.sampled_from(Profile), steps=STEPS)
def test_what_nobody_has_proven_is_answered_and_changes_nothing(
    profile: Profile, steps: list[Step]
) -> None:
    asyncio.run(unproven(profile, steps))


@QUIET
@given(profile=st.sampled_from(Profile), steps=STEPS)
def test_what_an_administrator_sends_is_answered(profile: Profile, steps: list[Step]) -> None:
    asyncio.run(proven(profile, steps))


@QUIET
@given(
    steps=STEPS,
    cut=st.integers(0, 400),
    noise=st.binary(max_size=8),
    protocol=st.sampled_from([Protocol.UDP, Protocol.TCP, Protocol.NATIVE_HTTP]),
)
def test_messages_with_bytes_changed_or_cut_off_are_answered_or_dropped(
    steps: list[Step], cut: int, noise: bytes, protocol: Protocol
) -> None:
    async def run() -> None:
        node = fleet(Profile.AUTO)
        client = await node.session(ADMIN)
        for opcode, body, flags, versions, manner, _, worker in steps:
            envelope = Envelope(*versions, client.session_id, 9)
            message = Message(envelope, Header(opcode, flags=flags), body)
            data = client.send(message, encrypt_it=manner == "encrypted")
            at = cut % len(data)
            changed = data[:at] + noise + (data[at + len(noise) :] if len(noise) % 2 else b"")
            if len(changed) >= 20:
                length = replace(Envelope.decode(changed), message_length=len(changed) - 20)
                changed = length.encode() + changed[20:]
            origin = Origin(protocol, "192.0.2.1")
            reply = await node.ask(changed, worker=worker, origin=origin)
            assert b"Internal error" not in reply.message
            assert reply.message or protocol is Protocol.UDP

    asyncio.run(run())
