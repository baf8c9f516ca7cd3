"""Every message of the recorded exchanges decodes to its stated fields and encodes back to its bytes.

`handle-golden.json` was recorded on loopback between three real clients (Handle.Net's hdllib, ID-SDK, id-pointer) or
raw requests, and the Handle.Net reference server 9.2.0.  What is different on purpose is listed below by name.
"""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from resolver.wire import (
    Answer,
    Challenge,
    ChallengeAnswer,
    CreateAnswer,
    Credential,
    DatagramJoiner,
    EmptyAnswer,
    Envelope,
    ErrorAnswer,
    FrameBuffer,
    HandleValue,
    Header,
    LoginRequest,
    Message,
    NameRequest,
    NamesAnswer,
    Opcode,
    Reference,
    Request,
    RequestDigest,
    ResolutionAnswer,
    ResolutionRequest,
    ResponseCode,
    RsaPublicKey,
    SessionSetup,
    SessionSetupAnswer,
    SiteData,
    SiteInterface,
    SiteServer,
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
    decode_vlist,
    digest_request,
    encode_admin,
    encode_public_key,
    encode_site,
    encode_vlist,
    signed_block,
    split_datagrams,
    unwrap,
)

Stated = dict[str, Any]  # fields as the recording states them
VECTORS: dict[str, Stated] = {
    vector["name"]: vector
    for vector in json.loads(Path(__file__).with_name("handle-golden.json").read_text())["vectors"]
    if "request_text" not in vector  # the HTTP exchanges are the front ends' matter
}

REFUSED_MESSAGES = {
    ("udp_runt", "request"): "three bytes are no envelope",
    ("udp_short_message", "request"): "shorter than a header",
    (
        "client_hdllib_resolve_restricted_auth_pubkey_rsa_4",
        "response",
    ): "encrypted: only its session can read it",
    ("tcp_keepalive_two_requests", "request"): "two messages; the stated fields are the first's",
}
REFUSED_BODIES = {
    ("udp_unknown_opcode", "request"): "opcode 999 has no form",
    ("udp_opcode_zero", "request"): "opcode 0 is reserved",
    ("udp_body_length_lies", "request"): "the handle's length runs past the body",
}
FALSELY_STATED = {
    (
        "udp_request_in_two_datagrams",
        "response",
    ): "stated without credential; the four bytes are there",
}
VERSION_OF_ITS_OWN = {
    "udp_admin_on_query_only_interface": "the reference answers what it cannot read in 2.3",
    "udp_unknown_opcode": "the same",
    "udp_opcode_zero": "the same",
    "udp_short_message": "the same",
    "udp_body_length_lies": "the same",
    "client_idpointer_op100_rc401_flags19000000": "a login shim's answer: 2.10, accepted too",
    "client_idpointer_op2001_rc402_flags10800000": "the same",
    "client_idpointer_op200_rc1_flags10800000": "the same",
    "client_idpointer_sm2_login_0": "the same",
    "client_idpointer_sm2_login_1": "the same",
    "client_idpointer_op100_rc1_flags19000000": "passed on by the shim in 2.3",
    "client_idpointer_op102_rc1_flags19000000": "the same",
    "client_idpointer_op100_rc101_flags19000000": "the same",
    "client_idsdk_op100_rc1_flags00000000": "the same",
    "client_idsdk_op104_rc1_flags00000000": "the same",
    "client_idsdk_op100_rc101_flags00000000": "the same",
}


def pieces_of(name: str, side: str) -> list[bytes]:
    """Return the recorded datagrams or frames of one side of an exchange."""
    recorded = VECTORS[name].get(f"{side}_hex", [])
    return [
        bytes.fromhex(piece) for piece in ([recorded] if isinstance(recorded, str) else recorded)
    ]


def whole(name: str, side: str) -> bytes:
    """Return one side of an exchange as one message."""
    pieces = pieces_of(name, side)
    if len(pieces) == 1:
        return pieces[0]
    joiner = DatagramJoiner()
    joined = [joiner.add("recorded", piece, 0.0) for piece in pieces]
    assert joined[-1] is not None
    return joined[-1]


def sides(*refused: dict[tuple[str, str], str]) -> list[tuple[str, str]]:
    """Return all recorded sides, without those that are refused."""
    return [
        (name, side)
        for name in VECTORS
        for side in ("request", "response")
        if pieces_of(name, side) and not any((name, side) in table for table in refused)
    ]


def as_bytes(stated: str | Stated) -> bytes:
    """Return the bytes of a stated string, which is in hex when it is not text."""
    return stated.encode() if isinstance(stated, str) else bytes.fromhex(stated["hex"])


def stated_envelope(stated: Stated) -> Envelope:
    major, minor = stated["version"].split(".")
    suggested_major, suggested_minor = stated["suggested"].split(".")
    return Envelope(
        int(major),
        int(minor),
        int(suggested_major),
        int(suggested_minor),
        stated["session_id"],
        stated["request_id"],
        stated["sequence"],
        stated["message_length"],
        stated["compressed"],
        stated["encrypted"],
        stated["truncated"],
    )


def stated_header(stated: Stated) -> Header:
    return Header(
        stated["op"],
        stated["rc"],
        int(stated["flags"], 16),
        stated["site_serial"] & 0xFFFF,
        stated["recursion"],
        stated["expiration"],
        stated["body_length"],
    )


def stated_values(stated: list[Stated]) -> tuple[HandleValue, ...]:
    return tuple(
        HandleValue(
            value["index"],
            as_bytes(value["type"]),
            as_bytes(value["data"]),
            value["ttl_type"],
            value["ttl"],
            value["timestamp"],
            value["perms"],
            tuple(Reference(as_bytes(handle), index) for handle, index in value["refs"]),
        )
        for value in stated
    )


def stated_session_setup(body: Stated) -> SessionSetup:
    rest = bytes.fromhex(body["rest"])
    length = int.from_bytes(rest[:4], "big")
    return SessionSetup(
        body["mode"],
        body["timeout"],
        as_bytes(body["identity"]),
        body["identity_index"],
        rest[4 : 4 + length],
        slack=rest[4 + length :],
    )


def stated_request(opcode: int, body: Stated) -> Request:
    match opcode:
        case Opcode.RESOLUTION:
            return ResolutionRequest(
                as_bytes(body["handle"]),
                tuple(body["indexes"]),
                tuple(map(as_bytes, body["types"])),
                bytes.fromhex(body.get("body_tail_hex", "")),
            )
        case Opcode.CREATE_HANDLE | Opcode.ADD_VALUE | Opcode.MODIFY_VALUE:
            return ValuesRequest(as_bytes(body["handle"]), stated_values(body["values"]))
        case Opcode.CHALLENGE_RESPONSE:
            return ChallengeAnswer(
                as_bytes(body["auth_type"]),
                as_bytes(body["user_handle"]),
                body["user_index"],
                bytes.fromhex(body["answer"]),
            )
        case Opcode.VERIFY_RESPONSE:
            secrets = (bytes.fromhex(body[name]) for name in ("nonce", "digest", "answer"))
            return VerifyRequest(as_bytes(body["handle"]), body["index"], *secrets)
        case Opcode.SESSION_SETUP:
            return stated_session_setup(body)
        case Opcode.KEY_LOGIN:
            return LoginRequest(as_bytes(body["handle"]), body["index"])
        case _:
            return NameRequest(as_bytes(body["handle"]))


def stated_site(stated: Stated) -> SiteData:
    return SiteData(
        stated["major"],
        stated["minor"],
        stated["serial"],
        stated["primary"],
        stated["multi_primary"],
        stated["hash_option"],
        as_bytes(stated["hash_filter"]),
        tuple((as_bytes(name), as_bytes(value)) for name, value in stated["attributes"]),
        tuple(
            SiteServer(
                server["id"],
                bytes.fromhex(server["address"]),
                bytes.fromhex(server["public_key"]),
                tuple(
                    SiteInterface(each["type"], each["protocol"], each["port"])
                    for each in server["interfaces"]
                ),
            )
            for server in stated["servers"]
        ),
        stated["format"],
    )


def stated_success(opcode: int, body: Stated) -> Answer:
    match opcode:
        case Opcode.RESOLUTION:
            return ResolutionAnswer(as_bytes(body["handle"]), stated_values(body["values"]))
        case Opcode.GET_SITE_INFO:
            return stated_site(body["site"])
        case Opcode.CREATE_HANDLE:
            return CreateAnswer(as_bytes(body["handle"]))
        case Opcode.LIST_HANDLES:
            return NamesAnswer(tuple(map(as_bytes, body["handles"])))
        case Opcode.VERIFY_RESPONSE:
            return VerifyAnswer(body["valid"] == 1)
        case Opcode.SESSION_SETUP:
            tail = bytes.fromhex(body["body_tail_hex"])
            return SessionSetupAnswer(body["mode"], bytes.fromhex(body["data"]), tail)
        case _:
            return EmptyAnswer()


def stated_answer(header: Header, body: Stated) -> Answer:
    if header.response_code == ResponseCode.SUCCESS:
        return stated_success(header.opcode, body)
    if header.response_code == ResponseCode.AUTHENTICATION_NEEDED:
        return Challenge(bytes.fromhex(body["nonce"]))
    return ErrorAnswer(as_bytes(body["message"]))


def stated_digest(body: Stated) -> RequestDigest | None:
    if "request_digest" not in body:
        return None
    stated = body["request_digest"]
    return RequestDigest(stated["alg"], bytes.fromhex(stated["digest"]))


def stated_credential(stated: Stated) -> Credential | None:
    if not stated["length"]:
        return None
    return Credential(
        as_bytes(stated["type"]),
        stated["session_counter"],
        as_bytes(stated["digest_alg"]),
        bytes.fromhex(stated["signature"]),
        as_bytes(stated["signer_handle"]),
    )


@pytest.mark.parametrize(("name", "side"), sides(REFUSED_MESSAGES))
def test_message_has_the_stated_envelope_and_header_and_comes_back(name: str, side: str) -> None:
    recorded, stated = whole(name, side), VECTORS[name][side]

    message = Message.decode(recorded)

    assert message.envelope == stated_envelope(stated["envelope"])
    assert message.header == stated_header(stated["header"])
    assert message.encode() == recorded


@pytest.mark.parametrize(("name", "side"), sides(REFUSED_MESSAGES, FALSELY_STATED))
def test_credential_is_the_stated_one_and_comes_back(name: str, side: str) -> None:
    message, stated = Message.decode(whole(name, side)), VECTORS[name][side]["credential"]

    assert message.credential_omitted == (stated == "absent")
    if message.credential:
        credential = Credential.decode(message.credential)
        assert credential == stated_credential(stated)
        assert credential.encode() == message.credential
    else:
        assert stated == "absent" or not stated["length"]


@pytest.mark.parametrize(
    ("name", "side"),
    [at for at in sides(REFUSED_MESSAGES, REFUSED_BODIES) if at[1] == "request"],
)
def test_request_body_has_the_stated_fields_and_comes_back(name: str, side: str) -> None:
    message = Message.decode(whole(name, side))

    request = decode_request(message)

    assert request == stated_request(message.header.opcode, VECTORS[name][side]["body"])
    assert request.encode() == message.body


@pytest.mark.parametrize(
    ("name", "side"), [at for at in sides(REFUSED_MESSAGES) if at[1] == "response"]
)
def test_answer_body_has_the_stated_fields_and_comes_back(name: str, side: str) -> None:
    message, stated = Message.decode(whole(name, side)), VECTORS[name][side]["body"]

    digest, answer = decode_answer(message)

    assert digest == stated_digest(stated)
    assert answer == stated_answer(message.header, stated)
    encoded = encode_site(answer) if isinstance(answer, SiteData) else answer.encode()
    assert (digest.encode() if digest else b"") + encoded == message.body


@pytest.mark.parametrize(("name", "side"), REFUSED_MESSAGES)
def test_unreadable_message_is_refused(name: str, side: str) -> None:
    recorded = whole(name, side)

    with pytest.raises(WireError) as refusal:
        Message.decode(recorded)

    readable = Envelope.decode(recorded).request_id if len(recorded) >= 20 else None
    assert refusal.value.request_id == readable


@pytest.mark.parametrize(("name", "side"), REFUSED_BODIES)
def test_unreadable_body_is_refused_with_the_request_id(name: str, side: str) -> None:
    message = Message.decode(whole(name, side))

    with pytest.raises(WireError) as refusal:
        decode_request(message)

    assert refusal.value.request_id == message.envelope.request_id


def test_encrypted_answer_keeps_its_ciphertext() -> None:
    recorded = whole("client_hdllib_resolve_restricted_auth_pubkey_rsa_4", "response")

    envelope, ciphertext = unwrap(recorded)

    assert envelope.encrypted
    assert len(ciphertext) % 16 == 0
    assert envelope.wrap(ciphertext) == recorded


def test_two_requests_in_one_write_are_two_messages() -> None:
    recorded = whole("tcp_keepalive_two_requests", "request")
    stated = VECTORS["tcp_keepalive_two_requests"]["request"]
    frames = FrameBuffer()

    frames.feed(recorded)
    first, second, none = (frames.next_message() for _ in range(3))

    assert first is not None
    assert second is not None
    assert none is None
    assert first + second == recorded
    assert Message.decode(first).envelope == stated_envelope(stated["envelope"])
    assert Message.decode(second).encode() == second


@pytest.mark.parametrize("piece_length", [1, 7, 512, 1 << 20])
def test_every_recorded_frame_is_found_in_one_stream(piece_length: int) -> None:
    recorded = [
        whole(*at) for at in sides(REFUSED_MESSAGES) if VECTORS[at[0]]["transport"] == "tcp"
    ]
    stream, frames, found = b"".join(recorded), FrameBuffer(), []

    for start in range(0, len(stream), piece_length):
        frames.feed(stream[start : start + piece_length])
        while (message := frames.next_message()) is not None:
            found.append(message)

    assert found == recorded
    assert len(frames) == 0


SPLIT = [at for at in sides() if len(pieces_of(*at)) > 1]


@pytest.mark.parametrize(("name", "side"), SPLIT)
def test_split_messages_are_cut_where_the_reference_cuts(name: str, side: str) -> None:
    recorded = pieces_of(name, side)

    datagrams = split_datagrams(whole(name, side))

    # The reference leaves the truncated flag clear on answers; we set it, as its later version does.
    assert [flagged(piece) for piece in recorded] == datagrams
    if side == "request":
        assert recorded == datagrams


def flagged(datagram: bytes) -> bytes:
    """Return a datagram with the truncated flag set."""
    return replace(Envelope.decode(datagram), truncated=True).encode() + datagram[20:]


@pytest.mark.parametrize(
    "name", [name for name in VECTORS if "request_digest" in str(VECTORS[name])]
)
def test_request_digest_is_the_one_the_server_computed(name: str) -> None:
    request = Message.decode(whole(name, "request"))
    answer = Message.decode(whole(name, "response"))

    expected, _body = answer.split_digest()

    assert digest_request(answer.envelope.version, request.header_and_body) == expected


@pytest.mark.parametrize(
    "name",
    [name for name, _side in sides(REFUSED_MESSAGES) if _side == "response" and name != "udp_runt"],
)
def test_answer_is_written_in_the_version_that_the_request_suggests(name: str) -> None:
    request = Envelope.decode(whole(name, "request"))
    answer = Envelope.decode(whole(name, "response"))

    assert (answer_version(request) == answer.version) == (name not in VERSION_OF_ITS_OWN)


SHA256_PREFIX = bytes.fromhex("3031300d060960864801650304020105000420")
SIGNED = [name for name in VECTORS if "HS_SIGNED" in str(VECTORS[name].get("response"))]


def server_key() -> RsaPublicKey:
    """Return the key of the server that the client recordings were made with."""
    message = Message.decode(whole("client_hdllib_resolve_certified_tcp_0", "response"))
    _digest, site = decode_answer(message)
    assert isinstance(site, SiteData)
    key = decode_public_key(site.servers[0].public_key)
    assert isinstance(key, RsaPublicKey)
    return key


@pytest.mark.parametrize("name", SIGNED)
def test_signed_block_is_what_the_server_signed(name: str) -> None:
    message, key = Message.decode(whole(name, "response")), server_key()
    credential = Credential.decode(message.credential)

    envelope = message.envelope
    block = signed_block(envelope.version, envelope, credential.counter, message.header_and_body)

    opened = pow(int.from_bytes(credential.signature, "big"), key.exponent, key.modulus)
    padded = opened.to_bytes(len(credential.signature), "big")
    assert padded.endswith(b"\x00" + SHA256_PREFIX + hashlib.sha256(block).digest())


def recorded_values() -> list[HandleValue]:
    bodies = [VECTORS[name][side].get("body", {}) for name, side in sides()]
    return [value for body in bodies for value in stated_values(body.get("values", []))]


@pytest.mark.parametrize("value_type", [b"HS_ADMIN", b"HS_VLIST", b"HS_SITE", b"HS_PUBKEY"])
def test_typed_data_of_recorded_values_comes_back(value_type: bytes) -> None:
    data = [value.data for value in recorded_values() if value.type == value_type]

    assert data
    for each in data:
        match value_type:
            case b"HS_ADMIN":
                again = encode_admin(decode_admin(each))
            case b"HS_VLIST":
                again = encode_vlist(decode_vlist(each))
            case b"HS_SITE":
                again = encode_site(decode_site(each))
            case _:
                again = encode_public_key(decode_public_key(each))
        assert again == each
