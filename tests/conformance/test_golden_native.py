"""Every recorded native read is answered by a running node with the recorded fields.

`idnode serve` with the records of `handle-fixture.ndjson`, asked over real sockets with the recorded bytes.  What is
different on purpose stands in DIFFERENT by name, with the reason; a row that no longer differs fails as well.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from time import time
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from node.config import Settings
from resolver.handlejson import values_to_json
from resolver.wire import (
    Credential,
    Message,
    Opcode,
    ResolutionAnswer,
    ResponseCode,
    RsaPublicKey,
    SiteData,
    decode_answer,
    decode_public_key,
    signed_block,
)
from tests.support.exchange import Stream, asking, connected, happened
from tests.support.golden import (
    FIXTURE,
    VECTORS,
    Fields,
    differences,
    fields_of,
    joined,
    pieces_of,
    request_of,
)
from tests.support.nodes import NodeProcess, eventually, node_in

pytestmark = pytest.mark.slow

READS = (Opcode.RESOLUTION, Opcode.GET_SITE_INFO)
EXPIRATION = range(43_100, 43_300)  # half a day, in seconds from now
EXPIRATION_AT = slice(36, 40)  # of a message
RECORDED_EXPIRATION = b"k\x046u"

CREATED = {
    "client_idpointer_op1_rc1_flags19000000": ["client_idpointer_op1_rc100_flags19000000"],
    "client_idsdk_op1_rc1_flags00000000": [],
}
"""Reads of records that a client had made in the recording -> reads of the same before that."""


def is_read(name: str, vector: dict[str, Any]) -> bool:
    """True for every raw message on the two transports, and for what real clients read."""
    if vector["transport"] not in ("udp", "tcp"):
        return False
    if name.startswith(("udp_", "tcp_")) or name == "resolve_unknown_session":
        return True
    if vector["request"].get("credential", {}) not in ({"length": 0}, "absent"):
        return False  # of a session whose key is not in the recording
    return name.startswith("client_") and vector["request"]["header"]["op"] in READS


GOLDEN = [
    name
    for name, vector in VECTORS.items()
    if is_read(name, vector) and name not in [*CREATED, *chain(*CREATED.values())]
]

OWN_SITE = {
    "site attributes": "ours says what we are",
    "site key": "this node's own",
    "site ports": "this node's own",
}
OWN_CHALLENGE = {"session id": "the server's choice", "nonce": "random"}
FLAGGED = {"truncated": "set on the pieces of an answer, as the reference's later version does"}
READABLE_ERROR = {
    "version": "errors are written as the request suggests; the reference falls back to 2.3",
    "request id": "echoed, so that the client can tell which request failed",
    "flags": "as in every answer; the reference gives its defaults for requests",
    "site serial": "ours, as in every answer",
    "text": "our own words",
}
DROPPED_RUNT = {"messages": "too short for a message: dropped and counted, never reflected"}

DIFFERENT: dict[str, dict[str, str]] = {
    "udp_site_info": OWN_SITE,
    "tcp_site_info": OWN_SITE,
    "client_hdllib_resolve_found_udp_0": OWN_SITE,
    "client_hdllib_resolve_restricted_auth_pubkey_rsa_0": OWN_SITE,
    "client_hdllib_resolve_certified_tcp_0": OWN_SITE,
    "client_hdllib_create_seckey_challenge_0": OWN_SITE,
    "client_hdllib_list_handles_0": OWN_SITE,
    "client_hdllib_session_dh_create_delete_0": OWN_SITE,
    "client_idpointer_op2_rc1_flags19000000": OWN_SITE,
    "client_idsdk_op2_rc1_flags19000000": OWN_SITE,
    "udp_resolve_restricted_auth_required": OWN_CHALLENGE,
    "client_hdllib_resolve_restricted_auth_pubkey_rsa_1": OWN_CHALLENGE,
    "udp_resolve_big_fragments": FLAGGED,
    "udp_resolve_prefix_as_slashless": FLAGGED,
    "udp_request_in_two_datagrams": {
        "truncated": "a whole answer is not truncated; the reference echoes the request's flag"
    },
    "udp_status_handle": {
        "code": "0.SITE/status is the reference's own record; our status is in the metrics",
        "text": "said with that code",
    },
    "udp_admin_on_query_only_interface": READABLE_ERROR,
    "udp_opcode_zero": READABLE_ERROR,
    "udp_unknown_opcode": {
        **READABLE_ERROR,
        "opcode": "that of the request",
        "code": "not supported, which says more than a general error",
    },
    "udp_body_length_lies": {
        **READABLE_ERROR,
        "opcode": "that of the request",
        "code": "protocol error: the fault is the sender's",
    },
    "udp_runt": DROPPED_RUNT,
    "udp_short_message": DROPPED_RUNT,
    "tcp_keepalive_two_requests": {
        "messages": "the connection is kept and both are answered; the reference answers one"
    },
    "tcp_create_no_auth": OWN_CHALLENGE,
    "resolve_unknown_session": {
        "code": "id-pointer makes up session ids; an unknown one is no error, and is echoed",
        "text": "none beside the values",
        "handle": "resolved",
        "values": "resolved",
    },
}
DROPPED = {"udp_runt": "udp_runt", "udp_short_message": "udp_runt"}


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="idnode-", dir="/tmp") as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.fixture(scope="module")
def running(directory: Path) -> Iterator[NodeProcess]:
    """A node with the fixture that may send as many datagrams as the reference."""
    with node_in(directory / "data", IDNODE_UDP_MAX_DATAGRAMS="16") as lent:
        lent.start()
        load(lent, FIXTURE)
        eventually(lambda: ask_stream(lent.settings(), request_of("tcp_resolve_found")).code == 1)
        yield lent


@pytest.fixture(scope="module")
def settings(running: NodeProcess) -> Settings:
    return running.settings()


def load(running: NodeProcess, file: Path) -> None:
    loaded = running.run("load", str(file))
    assert loaded.returncode == 0, loaded.stderr


@dataclass(frozen=True)
class Reply:
    """What came back: the datagrams or the frame of the first message, and how many messages there were."""

    datagrams: list[bytes]
    messages: int = 1

    @property
    def code(self) -> int:
        return Message.decode(joined(self.datagrams)).header.response_code


def ask_stream(settings: Settings, request: bytes) -> Reply:
    """Send by TCP; the connection stays open, so what was asked last is known by its answer."""
    with connected(settings.native_listen[0]) as stream:
        stream.send(request)
        first = stream.receive()
        assert first is not None
        return Reply([first], 1 + answers_before_marker(stream))


MARKER_ID = b"\xfe\xed\xfa\xce"


def marker() -> bytes:
    """Return a request that is always answered; its answer is known by its id."""
    request = bytearray(request_of("udp_site_info"))
    request[8:12] = MARKER_ID
    return bytes(request)


def answers_before_marker(stream: Stream) -> int:
    stream.send(marker())
    found = 0
    while (message := stream.receive()) is not None and message[8:12] != MARKER_ID:
        found += 1
    assert message is not None
    return found


def ask_datagrams(settings: Settings, request: list[bytes], dropped_as: str | None = None) -> Reply:
    """Send by UDP; what is to be dropped is counted, and only the next request is answered."""
    with asking(settings.native_listen[0]) as asker:
        before = happened(settings, dropped_as) if dropped_as else 0
        asker.send(*request)
        if dropped_as:
            eventually(lambda: happened(settings, dropped_as) == before + 1)
            assert asker.ask(marker())[8:12] == MARKER_ID
            return Reply([], 0)
        return Reply(asker.receive()[1])


def compare(ours: Reply, name: str) -> Fields:
    """Return the fields that differ, with both contents."""
    recorded = fields_of(pieces_of(name, "response"))
    if not ours.messages:
        return {"messages": (1, 0)}
    assert expires_in_time(ours)
    return differences(recorded, fields_of(ours.datagrams, ours.messages))


def expires_in_time(reply: Reply) -> bool:
    expiration = Message.decode(joined(reply.datagrams)).header.expiration
    return int(expiration - time()) in EXPIRATION


def ask(settings: Settings, name: str) -> Reply:
    request = pieces_of(name, "request")
    if VECTORS[name]["transport"] == "udp":
        return ask_datagrams(settings, request, DROPPED.get(name))
    return ask_stream(settings, b"".join(request))


def test_table_names_reads_only() -> None:
    assert DIFFERENT.keys() <= set(GOLDEN)


@pytest.mark.parametrize("name", GOLDEN)
def test_reply_has_the_recorded_fields_but_those_of_the_table(
    settings: Settings, name: str
) -> None:
    reply = ask(settings, name)

    different = compare(reply, name)
    assert different.keys() == DIFFERENT.get(name, {}).keys(), different


@pytest.mark.parametrize("name", CREATED)
def test_record_that_a_client_made_is_read_as_recorded(
    running: NodeProcess, directory: Path, name: str
) -> None:
    settings = running.settings()
    for earlier in CREATED[name]:
        assert compare(ask(settings, earlier), earlier) == {}
    _, recorded = decode_answer(Message.decode(joined(pieces_of(name, "response"))))
    assert isinstance(recorded, ResolutionAnswer)
    record = b'{"handle":"%b","values":%b}\n' % (recorded.handle, values_to_json(recorded.values))
    (directory / "created.ndjson").write_bytes(record)

    load(running, directory / "created.ndjson")

    eventually(lambda: ask(settings, name).code == ResponseCode.SUCCESS)
    assert compare(ask(settings, name), name) == {}


def test_signature_is_of_the_key_in_our_site_record(settings: Settings) -> None:
    _, site = decode_answer(first_message(ask(settings, "client_hdllib_resolve_certified_tcp_0")))
    assert isinstance(site, SiteData)
    key = decode_public_key(site.servers[0].public_key)
    assert isinstance(key, RsaPublicKey)

    reply = first_message(ask(settings, "client_hdllib_resolve_certified_tcp_1"))

    credential = Credential.decode(reply.credential)
    block = signed_block(
        reply.envelope.version, reply.envelope, credential.counter, reply.header_and_body
    )
    public_key = rsa.RSAPublicNumbers(key.exponent, key.modulus).public_key()
    public_key.verify(credential.signature, block, padding.PKCS1v15(), hashes.SHA256())
    with pytest.raises(InvalidSignature):
        public_key.verify(credential.signature, block[1:], padding.PKCS1v15(), hashes.SHA256())


def first_message(reply: Reply) -> Message:
    return Message.decode(joined(reply.datagrams))


def test_message_by_http_post_is_answered_as_recorded(settings: Settings) -> None:
    vector = VECTORS["http_native_post"]
    recorded_head, _, recorded = vector["response_text"].encode().partition(b"\r\n\r\n")

    with connected(settings.http_listen[0]) as stream:
        stream.send(vector["request_text"].encode("latin-1"))
        head, _, body = stream.read_to_end().partition(b"\r\n\r\n")

    assert head.splitlines()[0] == recorded_head.splitlines()[0]
    assert b"content-type: application/x-hdl-message" in head.lower().splitlines()
    assert expires_in_time(Reply([body]))
    timed = body[: EXPIRATION_AT.start] + RECORDED_EXPIRATION + body[EXPIRATION_AT.stop :]
    assert timed.decode(errors="replace") == recorded.decode()


def test_long_answer_is_left_to_tcp_by_default(running: NodeProcess, directory: Path) -> None:
    """Nobody who forges an address can make the node send him ten datagrams for one."""
    shared = running.settings()
    servers = {"DATABASE_URL": shared.database_url, "REDIS_URL": shared.redis_url}
    with node_in(
        directory / "other", **{f"IDNODE_{name}": url for name, url in servers.items()}
    ) as other:
        settings = other.start()
        for times in (1, 2):  # made the ordinary way, and from ready bytes
            request = pieces_of("udp_resolve_big_fragments", "request")

            reply = ask_datagrams(settings, request, "udp_too_long")
            by_tcp = ask_stream(settings, b"".join(request))

            assert reply.datagrams == []
            assert happened(settings, "udp_too_long") == times
            assert compare(by_tcp, "tcp_resolve_big").keys() == {"request id"}
        slashless = ask_datagrams(settings, pieces_of("udp_resolve_prefix_as_slashless", "request"))
        assert len(slashless.datagrams) == 4
