"""Envelope, header, bodies, digests, credentials: versions, limits, slack, refusals."""

import hashlib

import pytest

from resolver.wire import (
    MAX_HANDLE_BYTES,
    MAX_MESSAGE_BYTES,
    CreateAnswer,
    Credential,
    DigestAlgorithm,
    Envelope,
    ErrorAnswer,
    Flag,
    Header,
    Message,
    NameRequest,
    ReferralAnswer,
    RequestDigest,
    ResolutionAnswer,
    ResolutionRequest,
    ResponseCode,
    SessionSetup,
    VerifyAnswer,
    Version,
    WireError,
    answer_version,
    decode_answer,
    decode_request,
    digest_request,
    encode_resolution_answer,
    encode_values,
    mac_hash,
    response_code_in,
    signature_hash,
    signed_block,
)

ENVELOPE = Envelope(2, 11, 2, 11, session_id=4, request_id=77)
REQUEST = Message(ENVELOPE, Header(1), ResolutionRequest(b"86.1/a").encode())


@pytest.mark.parametrize(
    ("version", "suggested", "answered"),
    [
        ((2, 3), (2, 11), (2, 11)),
        ((2, 3), (2, 3), (2, 3)),
        ((2, 13), (2, 13), (2, 11)),
        ((2, 11), (3, 0), (2, 11)),
        ((1, 0), (1, 0), (1, 0)),
        ((2, 0), (0, 0), (2, 0)),
        ((2, 1), (0, 9), (2, 1)),
        ((5, 0), (0, 0), (2, 0)),
        ((0, 0), (0, 0), (1, 0)),
    ],
)
def test_answer_goes_in_the_suggested_version_capped(
    version: Version, suggested: Version, answered: Version
) -> None:
    assert answer_version(Envelope(*version, *suggested)) == answered


@pytest.mark.parametrize(
    ("version", "code", "sent"),
    [
        ((2, 11), 7, 7),
        ((2, 5), 202, 202),
        ((2, 4), ResponseCode.SERVER_BACKUP, 303),
        ((2, 4), ResponseCode.INVALID_VALUE, 201),
        ((1, 0), 100, 100),
        ((1, 0), 9999, 9999),
    ],
)
def test_two_codes_go_by_other_numbers_below_2_5(version: Version, code: int, sent: int) -> None:
    assert response_code_in(version, code) == sent


@pytest.mark.parametrize(
    ("version", "encoded"),
    [
        ((2, 11), b"\3" + hashlib.sha256(REQUEST.header_and_body).digest()),
        ((2, 7), b"\3" + hashlib.sha256(REQUEST.header_and_body).digest()),
        ((2, 6), b"\2" + hashlib.sha1(REQUEST.header_and_body).digest()),  # noqa: S324
        ((2, 1), b"\2" + hashlib.sha1(REQUEST.header_and_body).digest()),  # noqa: S324
        ((2, 0), b"\0\0\0\x10" + hashlib.md5(REQUEST.header_and_body).digest()),  # noqa: S324
    ],
)
def test_request_digest_goes_by_the_version(version: Version, encoded: bytes) -> None:
    digest = digest_request(version, REQUEST.header_and_body)

    answer = Message(ENVELOPE, Header(1, 1, Flag.REQUEST_DIGEST), encoded + b"body")

    assert digest.encode() == encoded
    assert answer.split_digest() == (digest, b"body")


def test_digest_stands_only_in_answers_that_say_so() -> None:
    body = b"\3" + bytes(32)
    for header in (Header(1, 0, Flag.REQUEST_DIGEST), Header(1, 1)):
        assert Message(ENVELOPE, header, body).split_digest() == (None, body)


@pytest.mark.parametrize("body", [b"", b"\4" + bytes(40), b"\3" + bytes(31), b"\0\0\0\x11abc"])
def test_broken_digest_is_refused(body: bytes) -> None:
    answer = Message(ENVELOPE, Header(1, 1, Flag.REQUEST_DIGEST), body)
    with pytest.raises(WireError) as refusal:
        decode_answer(answer)
    assert refusal.value.request_id == 77


def test_digest_of_another_length_is_not_made() -> None:
    with pytest.raises(ValueError, match="algorithm 3"):
        RequestDigest(DigestAlgorithm.SHA256, bytes(20))


def test_message_keeps_what_a_digest_covers_and_drops_what_nothing_covers() -> None:
    encoded = bytearray(REQUEST.encode())
    encoded[2] |= 0x1C  # reserved bits of the envelope
    encoded[20 + 15] = 9  # reserved byte of the header

    message = Message.decode(bytes(encoded))

    assert message.envelope == Message.decode(REQUEST.encode()).envelope
    assert message.header_and_body == bytes(encoded[20:-4])


def test_credential_length_may_be_left_out() -> None:
    bare = Message(ENVELOPE, Header(2), NameRequest(b"/").encode(), credential_omitted=True)

    decoded = Message.decode(bare.encode())

    assert decoded.credential_omitted
    assert decoded.encode() == bare.encode()
    assert len(bare.encode()) == 20 + 24 + 5


@pytest.mark.parametrize("stray", [b"\0", b"\0\0\0", b"\0\0\0\1", b"\0\0\0\0\0"])
def test_stray_bytes_after_the_body_are_refused_with_the_request_id(stray: bytes) -> None:
    content = REQUEST.header_and_body + stray
    with pytest.raises(WireError) as refusal:
        Message.decode(ENVELOPE.wrap(content))
    assert refusal.value.request_id == 77
    assert refusal.value.code == ResponseCode.PROTOCOL_ERROR


@pytest.mark.parametrize("change", [-1, 1])
def test_message_of_another_length_than_its_envelope_says_is_refused(change: int) -> None:
    encoded = REQUEST.encode()
    encoded = encoded[:change] if change < 0 else encoded + b"\0"
    with pytest.raises(WireError) as refusal:
        Message.decode(encoded)
    assert refusal.value.request_id == 77


def test_too_long_a_message_is_refused_both_ways() -> None:
    body = bytes(MAX_MESSAGE_BYTES - 28)
    assert Message.decode(Message(ENVELOPE, Header(1), body).encode()).body == body
    longer = Message(ENVELOPE, Header(1), body + b"\0")
    with pytest.raises(ValueError, match="262145 bytes"):
        longer.encode()
    with pytest.raises(WireError):
        Message.decode(ENVELOPE.wrap(longer.encode_content()))


@pytest.mark.parametrize("flag", ["encrypted", "compressed"])
def test_message_that_must_be_opened_first_is_refused(flag: str) -> None:
    envelope = Envelope(2, 11, 2, 11, 4, 77, **{flag: True})
    with pytest.raises(WireError, match="plain one"):
        Message.decode(envelope.wrap(bytes(48)))


@pytest.mark.parametrize(
    ("opcode", "code"),
    [(0, ResponseCode.PROTOCOL_ERROR), (999, ResponseCode.OPERATION_NOT_SUPPORTED)],
)
def test_opcode_without_a_form_is_refused(opcode: int, code: ResponseCode) -> None:
    with pytest.raises(WireError) as refusal:
        decode_request(Message(ENVELOPE, Header(opcode), b""))
    assert (refusal.value.code, refusal.value.request_id) == (code, 77)


def test_too_long_a_handle_is_an_invalid_handle() -> None:
    longest = b"86.1/" + b"x" * (MAX_HANDLE_BYTES - 5)
    assert ResolutionRequest.decode(ResolutionRequest(longest).encode()).handle == longest
    with pytest.raises(WireError) as refusal:
        ResolutionRequest.decode(ResolutionRequest(longest + b"x").encode())
    assert refusal.value.code == ResponseCode.INVALID_HANDLE


def test_empty_and_unreadable_handles_are_let_through() -> None:
    for handle in (b"", b"86.1/\xff\xfe"):
        assert ResolutionRequest.decode(ResolutionRequest(handle).encode()).handle == handle


@pytest.mark.parametrize("count", [2049, 0x4000_0000, 0xFFFF_FFFF])
def test_absurd_counts_are_refused_before_anything_is_made(count: int) -> None:
    handle = b"\0\0\0\1a"
    body = handle + count.to_bytes(4, "big") + bytes(4 * 2100)
    with pytest.raises(WireError):
        ResolutionRequest.decode(body)


def test_slack_after_a_request_is_kept_to_a_limit() -> None:
    body = ResolutionRequest(b"86.1/a").encode()
    assert ResolutionRequest.decode(body + bytes(4)).slack == bytes(4)  # id-pointer
    with pytest.raises(WireError):
        ResolutionRequest.decode(body + bytes(9))


def test_session_setup_is_written_with_two_slack_bytes_and_read_without() -> None:
    setup = SessionSetup(4, 86_400, b"0.NA/a", 300, b"key")
    encoded = setup.encode()

    assert encoded.endswith(b"\0\0\0\3key\0\0")
    assert SessionSetup.decode(encoded) == setup
    assert SessionSetup.decode(encoded[:-2]).public_key == b"key"


def test_ready_values_make_the_same_answer() -> None:
    assert (
        encode_resolution_answer(b"86.1/a", encode_values([]))
        == ResolutionAnswer(b"86.1/a", ()).encode()
    )


def test_create_answer_of_old_servers_is_empty() -> None:
    assert CreateAnswer.decode(b"") == CreateAnswer(None)
    assert CreateAnswer(None).encode() == b""


def test_error_text_may_be_missing() -> None:
    assert ErrorAnswer.decode(b"") == ErrorAnswer.decode(bytes(4)) == ErrorAnswer()
    assert ErrorAnswer().encode() == bytes(4)


@pytest.mark.parametrize(("byte", "verdict"), [(0, False), (1, True), (2, False), (255, False)])
def test_only_one_means_verified(byte: int, verdict: bool) -> None:
    assert VerifyAnswer.decode(bytes([byte])).is_valid is verdict


def test_referral_may_have_no_values() -> None:
    assert ReferralAnswer.decode(bytes(4)) == ReferralAnswer(b"", None)
    assert ReferralAnswer.decode(bytes(8)) == ReferralAnswer(b"", ())


@pytest.mark.parametrize(
    ("minor", "answer"), [(11, ReferralAnswer(b"text")), (4, ErrorAnswer(b"text"))]
)
def test_code_303_is_an_error_text_below_2_5(minor: int, answer: object) -> None:
    message = Message(Envelope(2, minor, 2, 11), Header(1, 303), b"\0\0\0\4text")
    assert decode_answer(message) == (None, answer)


def test_signed_block_starts_with_what_the_version_signs() -> None:
    envelope = Envelope(2, 10, 2, 11, session_id=0x01020304, request_id=0x05060708)
    ids = bytes.fromhex("01020304 05060708 00000009")

    assert signed_block((2, 8), envelope, 9, b"rest") == b"\2\x0a\2\x0b" + ids + b"rest"
    assert signed_block((2, 7), envelope, 9, b"rest") == b"\2\x0a" + ids + b"rest"
    assert signed_block((2, 6), envelope, 9, b"rest") == b"rest"


def test_hash_names_go_by_the_version() -> None:
    assert (signature_hash((2, 7)), signature_hash((2, 6))) == (b"SHA-256", b"SHA1")
    assert (mac_hash((2, 7)), mac_hash((2, 6))) == (b"HMAC-SHA256", b"SHA1")


def test_credential_whose_section_lies_is_refused() -> None:
    encoded = Credential(b"HS_MAC", 1, b"HMAC-SHA256", bytes(32)).encode()
    assert Credential.decode(encoded).signature == bytes(32)
    for broken in (b"", encoded[:-1], encoded + b"\0"):
        with pytest.raises(WireError):
            Credential.decode(broken)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Envelope(2, 11, 4, 0),
        lambda: Envelope(2, 11, 2, 11, request_id=1 << 32),
        lambda: Header(1, site_serial=-1),
        lambda: Header(1, flags=1 << 32),
        lambda: Credential(b"HS_MAC", -1, b"", b""),
    ],
)
def test_fields_out_of_range_are_not_made(make: object) -> None:
    with pytest.raises(ValueError, match="out of its range"):
        make()  # type: ignore[operator]


def test_number_that_fits_no_field_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        SessionSetup(1 << 16, 0, b"", 0).encode()
