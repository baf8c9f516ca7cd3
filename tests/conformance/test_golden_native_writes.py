"""Every recorded conversation is held with a running node, by a client with its own keys where the recorded are secret.

Requests are sent as recorded, with the session id that the node gives; an answer to a challenge is made anew, since the
nonce is another, with the recorded secret or with keys of our own in the place of the recorded administrator's.
"""

import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from node.config import Settings
from resolver.handlejson import values_to_json
from resolver.keys.private import KeyKind, PrivateKey, make_private, public_half
from resolver.wire import (
    Challenge,
    ChallengeAnswer,
    Credential,
    Envelope,
    HandleValue,
    Message,
    Opcode,
    ResolutionAnswer,
    ResponseCode,
    decode_answer,
    encode_public_key,
)
from tests.support.conversations import CONVERSATIONS, DIFFERENT
from tests.support.exchange import Stream, asking, connected
from tests.support.golden import FIXTURE, Fields, differences, fields_of, joined, pieces_of
from tests.support.native import Client, Identity
from tests.support.nodes import eventually, node_in

pytestmark = pytest.mark.slow

SECRET = Identity(b"0.NA/20.500.12345", 301, b"secret-301")
PREFIX = "0.NA/88.1000.1"
RSA_INDEX, SM2_INDEX = 300, 310
WEAK = {
    "IDNODE_ALLOW_WEAK_ALGORITHMS": "true"
}  # the recorded opcode 201 has a proof of version 2.6
KEYS: dict[str, tuple[int, KeyKind]] = {
    "idsdk": (RSA_INDEX, KeyKind.RSA),
    "idpointer": (RSA_INDEX, KeyKind.RSA),
    "sm2": (SM2_INDEX, KeyKind.SM2),
}
ANOTHER_SERVER = {"session id", "nonce"}  # of a challenge: the server's choice, and random
SETUPS = [
    "client_hdllib_resolve_restricted_auth_pubkey_rsa_2",
    "client_hdllib_create_seckey_challenge_1",
    "client_hdllib_session_dh_create_delete_1",
]
IN_SESSIONS = {  # the request in a session, and the answer to its challenge
    "client_hdllib_create_seckey_challenge_2": "client_hdllib_create_seckey_challenge_3",
    "client_hdllib_session_dh_create_delete_2": "client_hdllib_session_dh_create_delete_3",
    "client_hdllib_resolve_restricted_auth_pubkey_rsa_3": "client_hdllib_resolve_restricted_auth_pubkey_rsa_4",
}


@pytest.fixture(scope="module")
def keys() -> dict[str, Identity]:
    made: dict[int, PrivateKey] = {index: make_private(kind) for index, kind in KEYS.values()}
    return {
        name: Identity(PREFIX.encode(), index, made[index]) for name, (index, _) in KEYS.items()
    }


@pytest.fixture(scope="module")
def settings(keys: dict[str, Identity]) -> Iterator[Settings]:
    """A node with the recorded records, our own keys among them, and the server administrators they need."""
    admins = f"301:0.NA/20.500.12345,{RSA_INDEX}:{PREFIX}"
    with tempfile.TemporaryDirectory(prefix="idnode-", dir="/tmp") as made:
        Path(made).chmod(0o755)
        records = Path(made) / "records.ndjson"
        records.write_text(with_our_keys(keys), "utf-8")
        with node_in(
            Path(made) / "data", IDNODE_SERVER_ADMINS=admins, IDNODE_WORKERS="2", **WEAK
        ) as lent:
            settings = lent.start()
            loaded = lent.run("load", str(records))
            assert loaded.returncode == 0, loaded.stderr
            with connected(settings.native_listen[0]) as stream:
                eventually(lambda: said(stream, "tcp_resolve_found").header.response_code == 1)
            yield settings


def with_our_keys(keys: dict[str, Identity]) -> str:
    """Return the recorded records, with our public keys at the indexes of the recorded administrators'."""
    ours = {identity.index: identity.key for identity in keys.values()}
    lines = []
    for line in FIXTURE.read_text("utf-8").splitlines():
        record = json.loads(line)
        if record["handle"] == PREFIX:
            record["values"] = [each for each in record["values"] if each["index"] not in ours]
            values = tuple(
                HandleValue(index, b"HS_PUBKEY", encode_public_key(public_half(key)))
                for index, key in ours.items()
                if not isinstance(key, bytes)
            )
            record["values"] += json.loads(values_to_json(values))
        lines.append(json.dumps(record))
    return "\n".join(lines)


def recorded(name: str, side: str) -> Message:
    return Message.decode(joined(pieces_of(name, side)))


def said(stream: Stream, name: str) -> Message:
    """Send a recorded request as it is; return the answer."""
    stream.send(joined(pieces_of(name, "request")))
    answer = stream.receive()
    assert answer is not None
    return Message.decode(answer)


def answering(name: str, challenge: Message, identity: Identity) -> bytes:
    """Return a recorded answer to a challenge, made anew for this one."""
    digest, body = decode_answer(challenge)
    assert digest is not None
    assert isinstance(body, Challenge)
    request = recorded(name, "request")
    proof = identity.answer(body.nonce + digest.digest)
    was = ChallengeAnswer.decode(request.body)
    assert (was.kind, was.handle, was.index) == (proof.kind, proof.handle, proof.index)
    envelope = replace(request.envelope, session_id=challenge.envelope.session_id)
    return replace(request, envelope=envelope, body=proof.encode()).encode()


def expected(name: str, answer: Message) -> set[str]:
    """Return the fields that differ on purpose."""
    different = set(DIFFERENT.get(name, {}))
    if answer.header.response_code == ResponseCode.AUTHENTICATION_NEEDED:
        own_id = recorded(name, "request").envelope.session_id == 0
        different |= ANOTHER_SERVER if own_id else {"nonce"}
    return different


def compare(name: str, answer: Message) -> Fields:
    return differences(fields_of(pieces_of(name, "response")), fields_of([answer.encode()]))


@pytest.mark.parametrize("conversation", CONVERSATIONS)
def test_conversation_with_a_running_node_goes_as_recorded_but_for_the_table(
    settings: Settings, keys: dict[str, Identity], conversation: str
) -> None:
    identity = keys.get(conversation, SECRET)
    challenge: Message | None = None
    with connected(settings.native_listen[0]) as stream:
        for name in CONVERSATIONS[conversation]:
            request = recorded(name, "request")
            if request.header.opcode == Opcode.CHALLENGE_RESPONSE and challenge is not None:
                stream.send(answering(name, challenge, identity))
                data = stream.receive()
                assert data is not None
                answer, challenge = Message.decode(data), None
                different = compare(name, answer)
                different.pop("digest", None)  # of a request that was made anew
                if name.startswith("client_idsdk"):
                    different.pop("session id")
            else:
                answer = said(stream, name)
                different = compare(name, answer)
            if answer.header.response_code == ResponseCode.AUTHENTICATION_NEEDED:
                challenge = answer
            assert different.keys() == expected(name, answer), (name, different)


@pytest.mark.parametrize("name", SETUPS)
def test_recorded_session_setup_is_answered_in_the_recorded_shape(
    settings: Settings, name: str
) -> None:
    with asking(settings.native_listen[0]) as asker:
        asker.send(*pieces_of(name, "request"))
        data, datagrams = asker.receive()

    answer, was = Message.decode(data), recorded(name, "response")
    assert len(datagrams) == len(pieces_of(name, "response")) == 2
    assert (answer.header.opcode, answer.header.response_code) == (Opcode.SESSION_SETUP, 1)
    assert answer.header.flags == was.header.flags
    assert answer.split_digest()[0] == was.split_digest()[0]
    assert len(answer.body) in range(len(was.body) - 2, len(was.body) + 3)  # y is as long as it is
    signed, signed_then = Credential.decode(answer.credential), Credential.decode(was.credential)
    assert replace(signed, signature=b"") == replace(signed_then, signature=b"")


@pytest.mark.parametrize("asking_name", IN_SESSIONS)
def test_recorded_request_in_a_session_of_our_own_goes_as_recorded(
    settings: Settings, asking_name: str
) -> None:
    proof_name, client = IN_SESSIONS[asking_name], Client()
    with asking(settings.native_listen[0]) as asker:
        client.began(asker.ask(client.begin()))
    request = recorded(asking_name, "request")
    envelope = replace(request.envelope, session_id=client.session_id)
    with connected(settings.native_listen[0]) as stream:
        stream.send(client.send(replace(request, envelope=envelope)))
        challenge = Message.decode(stream.receive() or b"")
        different = compare(asking_name, challenge)
        assert different.keys() == ANOTHER_SERVER, different
        assert challenge.envelope.session_id == client.session_id

        stream.send(client.prove(challenge, SECRET))
        data = stream.receive() or b""
    was = Envelope.decode(joined(pieces_of(proof_name, "response")))
    assert Envelope.decode(data).encrypted == was.encrypted
    answer = client.read(data)
    assert (answer.envelope.session_id, answer.header.response_code) == (client.session_id, 1)
    if not was.encrypted:
        given, then = (
            fields_of([each]) for each in (data, joined(pieces_of(proof_name, "response")))
        )
        flags = {"flags", "session id", "request id"}  # of a request of our own
        assert differences(then, given).keys() == flags
        return
    restricted = decode_answer(answer)[1]
    assert isinstance(restricted, ResolutionAnswer)
    assert not all(value.is_public for value in restricted.values)
