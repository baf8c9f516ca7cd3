"""Laws of the codec: what is encoded decodes to the same, and any bytes at all are parsed or refused."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.fuzz_codec import Mutator, Target, read_corpus
from resolver.wire import (
    AdminData,
    Challenge,
    ChallengeAnswer,
    CreateAnswer,
    Credential,
    DatagramJoiner,
    DhPublicKey,
    DsaPublicKey,
    EmptyAnswer,
    Envelope,
    ErrorAnswer,
    FrameBuffer,
    HandleValue,
    Header,
    IndexesRequest,
    KeyExchange,
    LoginRequest,
    Message,
    NameRequest,
    NamesAnswer,
    PublicKey,
    Reference,
    ReferralAnswer,
    RequestDigest,
    ResolutionAnswer,
    ResolutionRequest,
    RsaPublicKey,
    SessionSetup,
    SessionSetupAnswer,
    SiteData,
    SiteInterface,
    SiteServer,
    Sm2PublicKey,
    ValuesRequest,
    VerifyAnswer,
    VerifyRequest,
    WireError,
    answer_version,
    decode_admin,
    decode_answer,
    decode_public_key,
    decode_request,
    decode_site,
    decode_values,
    decode_vlist,
    encode_admin,
    encode_public_key,
    encode_site,
    encode_values,
    encode_vlist,
    split_datagrams,
)

law = settings(derandomize=True, deadline=None, max_examples=60)
CORPUS = read_corpus()

u8, u16, u32 = st.integers(0, 0xFF), st.integers(0, 0xFFFF), st.integers(0, 0xFFFF_FFFF)
texts = st.binary(max_size=24)
slacks = st.binary(max_size=8)
references = st.builds(Reference, texts, u32)
reference_lists = st.lists(references, max_size=3).map(tuple)
values = st.builds(HandleValue, u32, texts, texts, u8, u32, u32, u8, reference_lists)
value_lists = st.lists(values, max_size=4).map(tuple)
index_lists = st.lists(u32, max_size=4).map(tuple)
text_lists = st.lists(texts, max_size=4).map(tuple)
envelopes = st.builds(
    Envelope, u8, u8, st.integers(0, 3), u8, u32, u32, u32, st.just(0), truncated=st.booleans()
)
headers = st.builds(Header, u32, u32, u32, u16, u8, u32, st.just(0), u8)
messages = st.builds(Message, envelopes, headers, st.binary(max_size=80), texts)
naturals = st.integers(0, 1 << 300)
keys = (
    st.builds(RsaPublicKey, naturals, naturals)
    | st.builds(DsaPublicKey, naturals, naturals, naturals, naturals)
    | st.builds(DhPublicKey, naturals, naturals, naturals)
    | st.builds(Sm2PublicKey, texts)
)
interfaces = st.builds(SiteInterface, u8, u8, u32)
servers = st.builds(
    SiteServer,
    u32,
    st.binary(min_size=16, max_size=16),
    texts,
    st.lists(interfaces, max_size=3).map(tuple),
)
sites = st.builds(
    SiteData,
    u8,
    u8,
    u16,
    st.booleans(),
    st.booleans(),
    u8,
    texts,
    st.lists(st.tuples(texts, texts), max_size=2).map(tuple),
    st.lists(servers, max_size=2).map(tuple),
    u16,
)
setups = (
    st.builds(SessionSetup, st.sampled_from((1, 4)), u32, texts, u32, texts, slack=slacks)
    | st.builds(SessionSetup, st.just(3), u32, texts, u32, st.just(b""), texts, u32, slack=slacks)
    | st.builds(SessionSetup, st.sampled_from((0, 2, 7)), u32, texts, u32, slack=slacks)
)
BODIES = {
    ResolutionRequest: st.builds(ResolutionRequest, texts, index_lists, text_lists, slacks),
    NameRequest: st.builds(NameRequest, texts, slacks),
    ValuesRequest: st.builds(ValuesRequest, texts, value_lists, slacks),
    IndexesRequest: st.builds(IndexesRequest, texts, index_lists, slacks),
    ChallengeAnswer: st.builds(ChallengeAnswer, texts, texts, u32, texts, slacks),
    VerifyRequest: st.builds(VerifyRequest, texts, u32, texts, texts, texts, slacks),
    SessionSetup: setups,
    KeyExchange: st.builds(KeyExchange, texts, slacks),
    LoginRequest: st.builds(LoginRequest, texts, u32, slacks),
    ResolutionAnswer: st.builds(ResolutionAnswer, texts, value_lists, slacks),
    CreateAnswer: st.builds(CreateAnswer, st.none()) | st.builds(CreateAnswer, texts, slacks),
    EmptyAnswer: st.builds(EmptyAnswer, slacks),
    NamesAnswer: st.builds(NamesAnswer, text_lists, slacks),
    ErrorAnswer: st.builds(ErrorAnswer, texts, slacks),
    Challenge: st.builds(Challenge, texts, slacks),
    VerifyAnswer: st.builds(VerifyAnswer, st.booleans(), slacks),
    ReferralAnswer: st.builds(ReferralAnswer, texts, st.none())
    | st.builds(ReferralAnswer, texts, value_lists, slacks),
    SessionSetupAnswer: st.builds(SessionSetupAnswer, u16, texts, slacks),
    Credential: st.builds(Credential, texts, u32, texts, texts, texts),
}
# Bytes that look like counts and short strings, so that decoders get far into them.
short_counts = st.lists(
    st.sampled_from((b"\0\0\0\0", b"\0\0\0\1", b"\0\0\0\2", b"\0\1", b"ab", b"\xff\xff\xff\xff")),
    max_size=16,
).map(b"".join)
# Decoders that lose nothing: what they accept, their encoder gives back byte by byte.
LOSSLESS: dict[str, Callable[[bytes], bytes]] = {
    "values": lambda data: encode_values(decode_values(data)),
    "vlist": lambda data: encode_vlist(decode_vlist(data)),
    **{
        body.__name__: partial(lambda body, data: body.decode(data).encode(), body)
        for body in BODIES
        if body not in (VerifyAnswer, ErrorAnswer, Credential)
    },
}


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
def test_every_body_decodes_to_what_was_encoded(body: type) -> None:
    @law
    @given(BODIES[body])
    def holds(value: object) -> None:
        assert body.decode(value.encode()) == value  # type: ignore[attr-defined]

    holds()


@law
@given(value_lists, reference_lists)
def test_values_and_references_decode_to_what_was_encoded(
    some: tuple[HandleValue, ...], others: tuple[Reference, ...]
) -> None:
    assert decode_values(encode_values(some)) == some
    assert decode_vlist(encode_vlist(others)) == others


@law
@given(sites)
def test_site_decodes_to_what_was_encoded(site: SiteData) -> None:
    assert decode_site(encode_site(site)) == site


@law
@given(keys)
def test_public_key_decodes_to_what_was_encoded(key: PublicKey) -> None:
    assert decode_public_key(encode_public_key(key)) == key


@law
@given(st.builds(AdminData, u16, texts, u32, st.booleans()))
def test_administrator_decodes_to_what_was_encoded(admin: AdminData) -> None:
    assert decode_admin(encode_admin(admin)) == admin


@law
@given(messages)
def test_message_decodes_to_what_was_encoded(message: Message) -> None:
    encoded = message.encode()

    decoded = Message.decode(encoded)

    assert decoded.encode() == encoded
    assert (decoded.body, decoded.credential) == (message.body, message.credential)
    assert decoded.header_and_body == message.header_and_body


@law
@given(st.sampled_from((0, 1, 2, 3)), st.binary(max_size=40))
def test_request_digest_comes_back_or_is_refused(algorithm: int, digest: bytes) -> None:
    try:
        made = RequestDigest(algorithm, digest)
    except ValueError:
        assert algorithm
        return
    answer = Message(Envelope(2, 11, 2, 11), Header(1, 1, 0x0080_0000), made.encode() + b"rest")
    assert answer.split_digest() == (made, b"rest")


@law
@given(envelopes)
def test_answer_version_is_one_that_we_speak(envelope: Envelope) -> None:
    assert (1, 0) <= answer_version(envelope) <= (2, 11)


@pytest.mark.parametrize("decoder", LOSSLESS)
def test_any_bytes_come_back_or_are_refused(decoder: str) -> None:
    @law
    @given(st.binary(max_size=64) | short_counts)
    def holds(data: bytes) -> None:
        with suppress(WireError):
            assert LOSSLESS[decoder](data) == data

    holds()


@law
@given(st.binary(max_size=96) | short_counts)
def test_any_bytes_are_parsed_or_refused(data: bytes) -> None:
    for decode in (
        Message.decode,
        Envelope.decode,
        Credential.decode,
        VerifyAnswer.decode,
        ErrorAnswer.decode,
        decode_site,
        decode_admin,
        decode_public_key,
        split_datagrams,
        partial(DatagramJoiner().add, "somebody", now=0.0),
    ):
        try:
            decode(data)
        except WireError:
            continue


@law
@given(headers, st.binary(max_size=96) | short_counts)
def test_any_body_under_any_header_is_parsed_or_refused(header: Header, body: bytes) -> None:
    message = Message(Envelope(2, 11, 2, 11, 0, 77), header, body)
    decode = decode_request if message.is_request else decode_answer
    refused_id = None
    try:
        decode(message)
    except WireError as refusal:
        refused_id = refusal.request_id
    assert refused_id in (None, 77)


@law
@given(st.lists(messages, max_size=4), st.integers(0, 2**31))
def test_stream_gives_the_same_messages_in_any_pieces(sent: list[Message], seed: int) -> None:
    encoded = [message.encode() for message in sent]
    frames, found = FrameBuffer(), []
    mutator = Mutator(CORPUS, seed)

    for piece in mutator.pieces(b"".join(encoded)):
        frames.feed(piece)
        while (message := frames.next_message()) is not None:
            found.append(message)

    assert found == encoded
    assert len(frames) == 0


@law
@given(st.binary(max_size=300), st.binary(max_size=300))
def test_any_stream_is_cut_the_same_in_one_piece_or_two(first: bytes, second: bytes) -> None:
    whole, cut = FrameBuffer(1000), FrameBuffer(1000)
    whole.feed(first + second)
    cut.feed(first)
    before = drain(cut)
    if before[-1:] != [None]:
        cut.feed(second)
    assert drain(whole) == (before if before[-1:] == [None] else before + drain(cut))


def drain(frames: FrameBuffer) -> list[bytes | None]:
    """Return the messages that are there, and None at the end when the stream is refused."""
    found: list[bytes | None] = []
    try:
        while (message := frames.next_message()) is not None:
            found.append(message)
    except WireError:
        found.append(None)
    return found


@law
@given(st.integers(0, 3000), st.randoms(use_true_random=False), st.booleans())
def test_datagrams_join_in_any_order(length: int, random: Random, doubled: bool) -> None:
    message = Message(Envelope(2, 11, 2, 11, 5, 9), Header(1), bytes(length)).encode()
    datagrams = split_datagrams(message)
    arriving = datagrams * (2 if doubled else 1)
    random.shuffle(arriving)
    joiner = DatagramJoiner()

    joined = [joiner.add("somebody", datagram, 0.0) for datagram in arriving]

    assert message in joined
    assert set(joined) <= {message, None}
    assert all(len(datagram) == 512 for datagram in datagrams[:-1])
    assert len(datagrams[-1]) <= 512


@settings(derandomize=True, deadline=None, max_examples=20)
@given(st.integers(0, 2**31))
def test_mutated_recordings_are_parsed_or_refused(seed: int) -> None:
    mutator = Mutator(CORPUS, seed)
    target = Target(mutator)

    for _ in range(150):
        target.take(mutator.make())

    assert target.tally.messages == 150
