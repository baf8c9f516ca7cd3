"""The recorded answers to challenges prove the recorded keys, and prove no other.

The signatures and MACs in `handle-golden.json` were made by hdllib, ID-SDK and id-pointer; their public keys and the
one secret are in the same folder.  The exponents of the recorded sessions are not, so those MACs cannot be checked.
"""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from resolver.keys.dh import agree
from resolver.keys.proof import ProofError, check_public, check_secret
from resolver.wire import (
    DhPublicKey,
    Opcode,
    PublicKey,
    ResponseCode,
    RsaPublicKey,
    Sm2PublicKey,
    decode_public_key,
)

Stated = dict[str, Any]
HERE = Path(__file__).parent
VECTORS: list[Stated] = [
    vector
    for vector in json.loads((HERE / "handle-golden.json").read_text())["vectors"]
    if isinstance(vector.get("request"), dict)
]
SECRET = b"secret-301"
SM2_HEAD = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d034200")
SM2_POINT = bytes.fromhex(  # from the note of the recording
    "045ec273d7b77c51bc56d304b8a29517c2bfc342d0e2d99f4410aa69a22b0e15f7"
    "cc894912042eda4cf3125b7adea6f0b935e85d22ad2c0bb7bc39d7d5f78a3cf8"
)


def conversations() -> dict[str, tuple[bytes, Stated]]:
    """Each recorded answer that was accepted, by name: the challenge before it, and its body."""
    found, challenge = {}, b""
    for vector in VECTORS:
        request, response = vector["request"], vector["response"]
        if isinstance(response, dict) and response.get("header", {}).get("rc") == 402:
            body = response["body"]
            challenge = bytes.fromhex(body["nonce"] + body["request_digest"]["digest"])
        is_answer = request.get("header", {}).get("op") == Opcode.CHALLENGE_RESPONSE
        if is_answer and vector["name"] != "answer_to_unknown_challenge":
            found[vector["name"]] = (challenge, request["body"])
    return found


CONVERSATIONS = conversations()


def names(kind: str) -> list[str]:
    return [name for name, (_, body) in CONVERSATIONS.items() if body["auth_type"] == kind]


def recorded_key(handle: str, index: int) -> PublicKey:
    """The public key at `index` of a handle: of the recording's data set, or from the note of the SM2 login."""
    if index == 310:
        return Sm2PublicKey(SM2_HEAD + SM2_POINT)
    for line in (HERE / "handle-fixture.ndjson").read_text().splitlines():
        record = json.loads(line)
        if record["handle"] == handle:
            jwk = next(v["data"]["value"] for v in record["values"] if v["index"] == index)
            modulus, exponent = (base64.urlsafe_b64decode(jwk[name] + "==") for name in "ne")
            return RsaPublicKey(int.from_bytes(exponent, "big"), int.from_bytes(modulus, "big"))
    raise AssertionError(f"{handle} is not in the data set")


def test_recording_has_answers_of_every_kind_of_client() -> None:
    assert len(names("HS_SECKEY")) == 12
    assert sorted(name.split("_")[1] for name in names("HS_PUBKEY")) == [
        *["hdllib", "idpointer", "idpointer", "idsdk"]
    ]


@pytest.mark.parametrize("name", names("HS_SECKEY"))
def test_recorded_mac_proves_the_secret_key_and_no_other(name: str) -> None:
    challenge, body = CONVERSATIONS[name]
    answer = bytes.fromhex(body["answer"])
    check_secret(SECRET, answer, challenge, allow_weak=False)
    with pytest.raises(ProofError) as refusal:
        check_secret(SECRET + b"x", answer, challenge, allow_weak=True)
    assert refusal.value.code == ResponseCode.AUTHENTICATION_FAILED


@pytest.mark.parametrize("name", names("HS_PUBKEY"))
def test_recorded_signature_proves_the_public_key_for_this_challenge_alone(name: str) -> None:
    challenge, body = CONVERSATIONS[name]
    key = recorded_key(body["user_handle"], body["user_index"])
    answer, signer = bytes.fromhex(body["answer"]), body["user_handle"].encode()
    check_public(key, answer, challenge, signer=signer)
    with pytest.raises(ProofError) as refusal:
        check_public(key, answer, bytes(len(challenge)), signer=signer)
    assert refusal.value.code == ResponseCode.AUTHENTICATION_FAILED


def test_recorded_sm2_signature_proves_nothing_for_another_handle() -> None:
    challenge, body = CONVERSATIONS["client_idpointer_sm2_login_1"]
    key = recorded_key(body["user_handle"], body["user_index"])
    with pytest.raises(ProofError):
        check_public(key, bytes.fromhex(body["answer"]), challenge, signer=b"0.NA/88.1000.2")


def test_recorded_verification_was_right_and_is_weak() -> None:
    body = next(v for v in VECTORS if v["name"] == "verify_auth_request_true")["request"]["body"]
    challenge, answer = (
        bytes.fromhex(text) for text in (body["nonce"] + body["digest"], body["answer"])
    )
    check_secret(SECRET, answer, challenge, allow_weak=True)
    with pytest.raises(ProofError) as refusal:
        check_secret(SECRET, answer, challenge, allow_weak=False)
    assert refusal.value.code == ResponseCode.INVALID_CREDENTIAL


@pytest.mark.parametrize(
    "setup",
    [v for v in VECTORS if v["request"].get("header", {}).get("op") == Opcode.SESSION_SETUP],
    ids=lambda vector: str(vector["name"]),
)
def test_recorded_session_keys_are_of_a_group_that_is_accepted(setup: Stated) -> None:
    cipher, ours = bytes.fromhex(setup["response"]["body"]["data"]).split(b"DH_PUB_KEY", 1)
    theirs = decode_public_key(cipher[4:] + b"DH_PUB_KEY" + ours)
    assert isinstance(theirs, DhPublicKey)
    assert cipher[:4] == b"\x00\x00\x00\x03"  # AES
    public, key = agree(theirs, lambda size: bytes(range(size)))
    assert (public.p, public.g) == (theirs.p, theirs.g)
    assert len(key) == 32
