"""Recorded conversations that a nonce holds together, replayed: challenges answered, logins, and what they allow.

The nonce and the session id that the recorded server chose are given to a responder as its randomness, so that the
recorded clients' proofs are right again; the records are those of `handle-fixture.ndjson`, with their public keys and
the one secret that the recording states.  What is different on purpose stands in
`tests.support.conversations`, with the reason.
"""

from dataclasses import dataclass, field

import pytest

from resolver.freshness import Freshness
from resolver.hot.wire import HotWire
from resolver.observe import CELL_COUNT, Protocol, Tally
from resolver.responder import Origin, Surroundings
from resolver.service import Resolver
from resolver.wire import (
    Challenge,
    HandleValue,
    Message,
    Opcode,
    Reference,
    Sm2PublicKey,
    decode_answer,
    encode_public_key,
)
from tests.support.conversations import CONVERSATIONS, DIFFERENT
from tests.support.golden import (
    FIXTURE,
    VECTORS,
    Fields,
    differences,
    fields_of,
    joined,
    pieces_of,
)
from tests.support.memory import MemoryStore
from tests.support.responders import responder_over
from tests.support.web import SITE

NOW = 1_700_000_000.0
PREFIX = b"0.NA/88.1000.1"
SERVER_ADMINS = (
    Reference(b"0.NA/20.500.12345", 301),  # homes a prefix
    Reference(
        PREFIX, 300
    ),  # changes records that have no administrator, as the recording's server let it
)
SM2_INDEX = 310
SM2_KEY = Sm2PublicKey(  # the algorithm, and the point that the note of the recording gives
    bytes.fromhex(
        "3059301306072a8648ce3d020106082a811ccf5501822d034200"
        "045ec273d7b77c51bc56d304b8a29517c2bfc342d0e2d99f4410aa69a22b0e15f7"
        "cc894912042eda4cf3125b7adea6f0b935e85d22ad2c0bb7bc39d7d5f78a3cf8"
    )
)


@dataclass
class Script:
    """Randomness as it was: the session id and the nonce that the recorded server chose next."""

    session_id: int = 0
    nonce: bytes = b""

    def expect(self, answer: Message) -> None:
        _, body = decode_answer(answer)
        if isinstance(body, Challenge):
            self.session_id, self.nonce = answer.envelope.session_id, body.nonce

    def draw(self, count: int) -> bytes:
        return {3: self.session_id.to_bytes(3, "big"), 16: self.nonce}.get(count, bytes(count))


async def _unsigned(_block: bytes, _sha256: bool) -> bytes:
    raise AssertionError("nothing is signed here")


@dataclass
class Node:
    """A responder with the recorded records, and one connection to it."""

    script: Script = field(default_factory=Script)
    origin: Origin = field(default_factory=lambda: Origin(Protocol.TCP, "192.0.2.1"))

    def __post_init__(self) -> None:
        store = MemoryStore()
        store.load(FIXTURE)
        store.values_by_key[PREFIX] += (
            HandleValue(SM2_INDEX, b"HS_PUBKEY", encode_public_key(SM2_KEY)),
        )
        hot = HotWire(Freshness(), max_entries=0, max_bytes=0)
        world = Surroundings(lambda: NOW, self.script.draw, _unsigned)
        self.responder = responder_over(
            store,
            Resolver(store, store, store, SITE),
            hot,
            Tally([0] * CELL_COUNT),
            world,
            server_admins=SERVER_ADMINS,
        )

    async def replay(self, name: str) -> Fields:
        """Send a recorded request; return what is different in the reply."""
        recorded = pieces_of(name, "response")
        self.script.expect(Message.decode(joined(recorded)))
        reply = await self.responder.respond(joined(pieces_of(name, "request")), self.origin)
        assert reply.more is None
        return differences(fields_of(recorded), fields_of([reply.message]))


@pytest.mark.parametrize("conversation", CONVERSATIONS)
async def test_conversation_is_answered_as_recorded_but_for_the_table(conversation: str) -> None:
    node = Node()

    found = {name: await node.replay(name) for name in CONVERSATIONS[conversation]}

    for name, different in found.items():
        assert different.keys() == DIFFERENT.get(name, {}).keys(), (name, different)


def test_table_names_what_is_replayed() -> None:
    replayed = {name for each in CONVERSATIONS.values() for name in each}
    assert DIFFERENT.keys() <= replayed


def test_every_recorded_answer_to_a_challenge_outside_a_session_is_replayed() -> None:
    replayed = {name for each in CONVERSATIONS.values() for name in each}
    answers = {
        name
        for name, vector in VECTORS.items()
        if isinstance(vector.get("request"), dict)
        and vector["request"].get("header", {}).get("op") == Opcode.CHALLENGE_RESPONSE
    }
    in_sessions = {name for name in answers - replayed if name.startswith("client_hdllib_")}
    assert answers - replayed == in_sessions
