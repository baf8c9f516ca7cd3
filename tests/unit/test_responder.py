"""One native request in, one reply out: codes, versions, flags, digests, profiles; and what is kept ready of it."""

import asyncio
import hashlib
import logging
from dataclasses import dataclass, field, replace
from time import perf_counter_ns

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resolver.answer import Status, Stored, Tier
from resolver.freshness import Freshness
from resolver.hot.wire import ANSWER_LIFE_SECONDS, HotWire
from resolver.identifier import Scheme
from resolver.observe import CELL_COUNT, Event, Protocol, Tally, cell, event_cell
from resolver.responder import Origin, Reply, Surroundings
from resolver.service import NOT_HERE, Resolver
from resolver.source import SourceUnavailable
from resolver.wire import (
    HS_SIGNED,
    Challenge,
    Credential,
    Envelope,
    ErrorAnswer,
    Flag,
    HandleValue,
    Header,
    Message,
    NameRequest,
    Opcode,
    ReferralAnswer,
    ResolutionAnswer,
    ResolutionRequest,
    ResponseCode,
    SiteData,
    WireError,
    decode_answer,
    signed_block,
)
from tests.support.memory import MemoryStore
from tests.support.responders import responder_over
from tests.support.web import SITE

NOW = 1_700_000_000
URL = HandleValue(1, b"URL", b"https://example.org/1")
HIDDEN = HandleValue(2, b"EMAIL", b"a@example.org", permissions=0b1100)
BELOW = HandleValue(7, b"HS_SITE.PREFIX", b"where derived prefixes are")
NEWEST, ID_SDK, ID_POINTER, HDLLIB = (2, 11, 2, 11), (2, 3, 2, 10), (2, 10, 2, 11), (2, 3, 2, 11)
LOGIN_CLIENTS = [ID_SDK, ID_POINTER, (2, 10, 2, 10)]


@dataclass
class Node:
    """A responder over a store in memory."""

    store: MemoryStore = field(default_factory=MemoryStore)
    tally: Tally = field(default_factory=lambda: Tally([0] * CELL_COUNT))
    freshness: Freshness = field(default_factory=Freshness)
    signed: list[tuple[bytes, bool]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store.put("0.NA/88.1", [])
        self.store.put("88.1/x", [URL])
        self.store.put("88.1/Mixed", [URL, HIDDEN])
        self.hot = HotWire(self.freshness, max_entries=100, max_bytes=100_000)
        self.hot.tick(NOW)
        service = Resolver(self.store, self.store, self.store, SITE)
        world = Surroundings(lambda: NOW, lambda count: bytes([7]) * count, self.sign)
        self.responder = responder_over(self.store, service, self.hot, self.tally, world)

    async def sign(self, block: bytes, sha256: bool) -> bytes:
        self.signed.append((block, sha256))
        return b"signature"

    async def respond(self, request: Message | bytes, protocol: Protocol = Protocol.TCP) -> Reply:
        data = request if isinstance(request, bytes) else request.encode()
        return await self.responder.respond(data, Origin(protocol, "192.0.2.1"))

    async def ask(self, request: Message | bytes, protocol: Protocol = Protocol.TCP) -> Message:
        return Message.decode((await self.respond(request, protocol)).message)

    def happened(self, event: Event) -> int:
        return self.tally.cells[event_cell(event)]


def resolution(
    handle: bytes = b"88.1/x",
    *types: bytes,
    flags: int = int(Flag.PUBLIC_ONLY),
    version: tuple[int, int, int, int] = NEWEST,
    session_id: int = 0,
    request_id: int = 5,
) -> Message:
    return Message(
        Envelope(*version, session_id=session_id, request_id=request_id),
        Header(Opcode.RESOLUTION, flags=flags),
        ResolutionRequest(handle, types=types).encode(),
    )


def code_of(message: Message) -> int:
    return message.header.response_code


class TestAnswers:
    async def test_a_record_is_answered_with_the_handle_as_it_was_asked_for(self) -> None:
        answer = await Node().ask(resolution(b"88.1/X"))

        assert code_of(answer) == ResponseCode.SUCCESS
        assert ResolutionAnswer.decode(answer.body) == ResolutionAnswer(b"88.1/X", (URL,))
        assert not answer.credential
        assert not answer.credential_omitted

    async def test_header_and_envelope_are_ours_and_the_ids_are_theirs(self) -> None:
        answer = await Node().ask(resolution(session_id=10_001, request_id=77))

        assert answer.envelope == Envelope(
            2, 11, 2, 11, 10_001, 77, message_length=answer.envelope.message_length
        )
        assert answer.header == Header(
            Opcode.RESOLUTION,
            ResponseCode.SUCCESS,
            int(Flag.AUTHORITATIVE | Flag.RECURSIVE | Flag.PUBLIC_ONLY),
            1,
            0,
            NOW + ANSWER_LIFE_SECONDS,
            len(answer.body),
        )

    @pytest.mark.parametrize(
        ("handle", "types", "code", "text"),
        [
            (b"88.1/none", (), ResponseCode.HANDLE_NOT_FOUND, b""),
            (b"88.1/x", (b"NONE",), ResponseCode.VALUES_NOT_FOUND, b""),
            (b"99/x", (), ResponseCode.SERVER_NOT_RESPONSIBLE, NOT_HERE.encode()),
            (b"0", (), ResponseCode.SERVER_NOT_RESPONSIBLE, NOT_HERE.encode()),
            (b"", (), ResponseCode.HANDLE_NOT_FOUND, b""),
            (b"88.1/\xff\xfe", (), ResponseCode.HANDLE_NOT_FOUND, b""),
        ],
    )
    async def test_other_outcomes_have_their_codes(
        self, handle: bytes, types: tuple[bytes, ...], code: int, text: bytes
    ) -> None:
        answer = await Node().ask(resolution(handle, *types))

        assert code_of(answer) == code
        assert ErrorAnswer.decode(answer.body) == ErrorAnswer(text)

    async def test_a_handle_of_more_than_two_thousand_bytes_is_invalid(self) -> None:
        answer = await Node().ask(resolution(b"88.1/" + b"x" * 2_048))

        assert code_of(answer) == ResponseCode.INVALID_HANDLE

    async def test_a_body_that_breaks_off_is_a_protocol_error_with_the_request_id(self) -> None:
        request = replace(resolution(), body=b"\0\0\0\x09short")

        answer = await Node().ask(request)

        assert code_of(answer) == ResponseCode.PROTOCOL_ERROR
        assert answer.envelope.request_id == 5

    async def test_a_source_that_is_away_is_busy(self) -> None:
        node = Node()
        node.store.is_down = True

        assert code_of(await node.ask(resolution())) == ResponseCode.SERVER_BUSY

    async def test_site_information_is_our_site(self) -> None:
        request = replace(
            resolution(), header=Header(Opcode.GET_SITE_INFO), body=NameRequest(b"/").encode()
        )

        answer = await Node().ask(request)

        assert decode_answer(answer) == (None, SITE)

    @pytest.mark.parametrize(
        ("opcode", "protocol", "version", "code"),
        [
            (0, Protocol.TCP, NEWEST, ResponseCode.PROTOCOL_ERROR),
            (999, Protocol.TCP, NEWEST, ResponseCode.OPERATION_NOT_SUPPORTED),
            (Opcode.DELETE_HANDLE, Protocol.UDP, NEWEST, ResponseCode.PROTOCOL_ERROR),
            (Opcode.DELETE_HANDLE, Protocol.TCP, NEWEST, ResponseCode.AUTHENTICATION_NEEDED),
            (Opcode.DELETE_HANDLE, Protocol.TCP, ID_SDK, ResponseCode.INSUFFICIENT_PERMISSIONS),
            (Opcode.DELETE_HANDLE, Protocol.TCP, ID_POINTER, ResponseCode.INSUFFICIENT_PERMISSIONS),
        ],
    )
    async def test_what_is_not_served_has_a_code_that_its_client_knows(
        self, opcode: int, protocol: Protocol, version: tuple[int, int, int, int], code: int
    ) -> None:
        request = replace(
            resolution(version=version), header=Header(opcode), body=NameRequest(b"88.1/x").encode()
        )

        answer = await Node().ask(request, protocol)

        assert code_of(answer) == code
        assert answer.envelope.request_id == 5

    async def test_an_answer_is_never_answered_with_an_answer_over_udp(self) -> None:
        node = Node()
        request = replace(resolution(), header=Header(Opcode.RESOLUTION, 1))

        assert await node.respond(request, Protocol.UDP) == Reply(b"")
        assert code_of(await node.ask(request, Protocol.TCP)) == ResponseCode.PROTOCOL_ERROR


class TestReferrals:
    async def test_a_service_referral_names_its_handle_and_sites(self) -> None:
        node = Node()
        site = HandleValue(1, b"HS_SITE", b"site")
        node.store.put("0.NA/88.7", [site])
        node.store.homed.discard(b"88.7")
        node.store.delegated.add(b"88.7")

        answer = await node.ask(resolution(b"88.7/x"))

        assert code_of(answer) == ResponseCode.SERVICE_REFERRAL
        assert ReferralAnswer.decode(answer.body) == ReferralAnswer(b"0.NA/88.7", (site,))

    async def test_a_prefix_referral_names_no_handle(self) -> None:
        node = Node()
        node.store.put("0.NA/88.1", [BELOW])

        answer = await node.ask(resolution(b"88.1.2/x"))

        assert code_of(answer) == ResponseCode.PREFIX_REFERRAL
        assert ReferralAnswer.decode(answer.body) == ReferralAnswer(b"", (BELOW,))

    @pytest.mark.parametrize("handle", [b"88.7/x", b"88.1.2/x"])
    async def test_whoever_does_not_want_a_referral_gets_none(self, handle: bytes) -> None:
        node = Node()
        node.store.delegated.add(b"88.7")
        node.store.put("0.NA/88.1", [BELOW])

        answer = await node.ask(resolution(handle, flags=int(Flag.DO_NOT_REFER)))

        assert code_of(answer) == ResponseCode.SERVER_NOT_RESPONSIBLE
        assert answer.body == bytes(4)


class TestVersions:
    @pytest.mark.parametrize(
        ("asked", "answered"),
        [
            ((2, 11, 2, 11), (2, 11)),
            ((2, 3, 2, 11), (2, 11)),
            ((2, 13, 2, 13), (2, 11)),
            ((1, 0, 1, 0), (1, 0)),
            ((5, 0, 0, 0), (2, 0)),
            ((2, 1, 0, 0), (2, 1)),
        ],
    )
    async def test_the_answer_is_in_the_version_that_was_suggested(
        self, asked: tuple[int, int, int, int], answered: tuple[int, int]
    ) -> None:
        answer = await Node().ask(resolution(version=asked))

        assert answer.envelope.version == answered
        assert (answer.envelope.suggested_major, answer.envelope.suggested_minor) == (2, 11)

    @pytest.mark.parametrize(
        ("version", "name", "head"),
        [
            ((2, 11, 2, 11), "sha256", b"\x03"),
            ((2, 7, 2, 7), "sha256", b"\x03"),
            ((2, 6, 2, 6), "sha1", b"\x02"),
            ((2, 0, 2, 0), "md5", b"\0\0\0\x10"),
        ],
    )
    async def test_the_digest_is_of_the_request_and_stands_before_the_body(
        self, version: tuple[int, int, int, int], name: str, head: bytes
    ) -> None:
        request = resolution(flags=int(Flag.REQUEST_DIGEST | Flag.PUBLIC_ONLY), version=version)

        answer = await Node().ask(request)

        digest = hashlib.new(name, request.header_and_body, usedforsecurity=False).digest()
        assert answer.body.startswith(head + digest)
        assert answer.header.flags & Flag.REQUEST_DIGEST
        assert decode_answer(answer)[1] == ResolutionAnswer(b"88.1/x", (URL,))

    async def test_certified_answers_carry_a_signature_over_all_of_them(self) -> None:
        node = Node()
        answer = await node.ask(resolution(flags=int(Flag.CERTIFY | Flag.PUBLIC_ONLY)))

        credential = Credential.decode(answer.credential)
        assert credential == Credential(HS_SIGNED, 0, b"SHA-256", b"signature")
        block = signed_block((2, 11), answer.envelope, 0, answer.header_and_body)
        assert node.signed == [(block, True)]
        assert answer.header.flags & Flag.CERTIFY

    async def test_old_clients_get_an_older_hash(self) -> None:
        node = Node()
        await node.ask(resolution(flags=int(Flag.CERTIFY), version=(2, 5, 2, 5)))

        assert [sha256 for _, sha256 in node.signed] == [False]


class TestProfiles:
    async def test_a_hidden_value_is_a_challenge_with_digest_nonce_and_session(self) -> None:
        request = resolution(b"88.1/mixed", flags=0, version=HDLLIB)

        answer = await Node().ask(request)

        digest, challenge = decode_answer(answer)
        assert code_of(answer) == ResponseCode.AUTHENTICATION_NEEDED
        assert digest is not None
        assert digest.digest == hashlib.sha256(request.header_and_body).digest()
        assert challenge == Challenge(bytes([7]) * 16)
        assert answer.envelope.session_id == 0x070707

    @pytest.mark.parametrize("version", LOGIN_CLIENTS)
    async def test_login_clients_are_not_challenged(
        self, version: tuple[int, int, int, int]
    ) -> None:
        answer = await Node().ask(resolution(b"88.1/Mixed", flags=0, version=version))

        assert code_of(answer) == ResponseCode.SUCCESS
        assert ResolutionAnswer.decode(answer.body).values == (URL,)

    @pytest.mark.parametrize("version", LOGIN_CLIENTS)
    async def test_login_clients_are_told_no_such_handle_for_what_is_elsewhere(
        self, version: tuple[int, int, int, int]
    ) -> None:
        answer = await Node().ask(resolution(b"99/x", version=version))

        assert code_of(answer) == ResponseCode.HANDLE_NOT_FOUND

    async def test_every_code_that_a_login_client_may_get_is_one_it_knows(self) -> None:
        node = Node()
        node.store.delegated.add(b"88.7")
        known = {1, 2, 3, 4, 5, 100, 101, 102, 200, 201, 202, 302, 303, *range(400, 406)}
        asked = [b"88.1/x", b"88.1/none", b"99/x", b"", b"88.7/x", b"0", b"88.1/" + b"x" * 3_000]
        codes = {
            code_of(await node.ask(resolution(handle, flags=0, version=version)))
            for handle in asked
            for version in LOGIN_CLIENTS
        }

        assert codes <= known


class TestReady:
    """What is kept ready is what was answered; the rest of its laws are those of `HotWire`."""

    @pytest.mark.parametrize("version", [NEWEST, HDLLIB, ID_SDK, ID_POINTER, (2, 1, 0, 0)])
    @pytest.mark.parametrize("flags", [0, 0x01000000, 0x19000000, 0x08000000, 0x02000000])
    async def test_a_plain_answer_is_ready_and_the_same(
        self, version: tuple[int, int, int, int], flags: int
    ) -> None:
        node = Node()
        first = resolution(flags=flags, version=version, request_id=1)
        await node.ask(first)
        second = resolution(flags=flags, version=version, request_id=2)

        ready = node.hot.reply(second.encode(), perf_counter_ns())

        assert ready is not None
        assert ready[1] == (await node.respond(second)).message
        assert ready[0] == cell(Protocol.UDP, Scheme.HANDLE, Status.FOUND, Tier.MEMORY)

    @pytest.mark.parametrize(
        "request_",
        [
            resolution(b"88.1/X"),  # not the stored spelling
            resolution(b"88.1/none"),
            resolution(b"99/x"),
            resolution(flags=int(Flag.AUTHORITATIVE)),
            resolution(flags=int(Flag.CERTIFY)),
            resolution(flags=int(Flag.ENCRYPT)),
            resolution(flags=int(Flag.REQUEST_DIGEST)),
            resolution(flags=int(Flag.DO_NOT_REFER)),
            resolution(version=(1, 0, 1, 0)),
            resolution(b"88.1/Mixed", flags=0),
            replace(resolution(), credential=b"credential"),
            replace(resolution(), envelope=Envelope(2, 11, 2, 11, sequence=1)),
            replace(resolution(), envelope=Envelope(2, 11, 2, 11, truncated=True)),
        ],
    )
    async def test_anything_special_is_not_kept(self, request_: Message) -> None:
        node = Node()
        await node.ask(request_)

        assert len(node.hot) == 0

    @pytest.mark.parametrize(
        "handle",
        [
            b"88.1/y",
            b"88.1/Mixed",
            b"88.1/X",
            b"88.1/none",
            b"88.1/empty",
            b"0.NA/88.1",
            b"9/x",
            b"",
        ],
    )
    @pytest.mark.parametrize("version", [NEWEST, ID_SDK, ID_POINTER, HDLLIB])
    @pytest.mark.parametrize("flags", [0, int(Flag.PUBLIC_ONLY), int(Flag.RECURSIVE)])
    @pytest.mark.parametrize("is_down", [False, True])
    async def test_what_is_like_a_request_before_is_answered_as_if_it_were_the_first(
        self, handle: bytes, version: tuple[int, int, int, int], flags: int, is_down: bool
    ) -> None:
        """A request like one that was answered before goes past the taking apart; the bytes must be the same."""
        first, later = Node(), Node()
        for node in (first, later):
            node.store.put("88.1/y", [URL, BELOW])
            node.store.put("88.1/empty", [])
        await later.respond(resolution(flags=flags, version=version))
        assert later.hot.asked(resolution(flags=flags, version=version).encode()) is not None
        for node in (first, later):
            node.store.is_down = is_down
        request = resolution(handle, flags=flags, version=version, request_id=9)
        assert first.hot.asked(request.encode()) is None

        expected, given_ = await first.respond(request), await later.respond(request)

        assert (given_.message, given_.cell, given_.key) == (
            *(expected.message, expected.cell, expected.key),
        )
        ready = [node.hot.reply(request.encode(), perf_counter_ns()) for node in (first, later)]
        assert ready[0] == ready[1]

    async def test_what_asks_for_more_than_a_handle_is_taken_apart(self) -> None:
        node, plain = Node(), resolution()
        await node.respond(plain)
        known = plain.encode()
        assert node.hot.asked(known) is not None

        for other in (
            resolution(b"88.1/x", b"URL").encode(),
            replace(plain, body=plain.body + b"\0").encode(),
            replace(plain, envelope=replace(plain.envelope, sequence=1)).encode(),
            replace(plain, credential=b"c").encode(),
            known[:-1],
            known + b"\0",
            known[:16] + b"\0\0\0\7" + known[20:],
            known[:44],
        ):
            assert node.hot.asked(other) is None

    async def test_no_such_value_is_kept_too(self) -> None:
        node = Node()
        request = resolution(b"88.1/x", b"NONE")
        await node.ask(request)

        ready = node.hot.reply(request.encode(), perf_counter_ns())

        assert ready is not None
        assert code_of(Message.decode(ready[1])) == ResponseCode.VALUES_NOT_FOUND

    async def test_a_reply_to_public_questions_is_not_for_others(self) -> None:
        node = Node()
        await node.ask(resolution(b"88.1/Mixed"))
        await node.ask(resolution(b"88.1/x", flags=0))

        assert node.hot.reply(resolution(b"88.1/Mixed").encode(), perf_counter_ns())
        assert not node.hot.reply(resolution(b"88.1/Mixed", flags=0).encode(), perf_counter_ns())

    async def test_what_was_read_before_everything_was_dropped_is_not_kept(self) -> None:
        node = Node()

        class Slow(MemoryStore):
            async def lookup(self, key: bytes, *, at_least: int = 0) -> Stored:
                found = await super().lookup(key, at_least=at_least)
                node.hot.clear()
                return found

        slow = Slow()
        slow.put("0.NA/88.1", [])
        slow.put("88.1/x", [URL])
        world = Surroundings(lambda: NOW, bytes, node.sign)
        service = Resolver(slow, slow, slow, SITE)
        responder = responder_over(slow, service, node.hot, node.tally, world)

        await responder.respond(resolution().encode(), Origin(Protocol.TCP, "192.0.2.1"))

        assert len(node.hot) == 0


class TestCounting:
    @pytest.mark.parametrize(
        ("handle", "scheme", "status"),
        [
            (b"88.1/x", Scheme.HANDLE, Status.FOUND),
            (b"88.1/none", Scheme.HANDLE, Status.NO_SUCH_HANDLE),
            (b"", Scheme.HANDLE, Status.INVALID_HANDLE),
            (b"oid:1.2.3", Scheme.OID, Status.NOT_RESPONSIBLE),
        ],
    )
    async def test_a_resolution_says_where_it_is_counted(
        self, handle: bytes, scheme: Scheme, status: Status
    ) -> None:
        reply = await Node().respond(resolution(handle), Protocol.NATIVE_HTTP)

        tiers = {
            cell(Protocol.NATIVE_HTTP, scheme, status, tier) for tier in (Tier.POSTGRES, Tier.NONE)
        }
        assert reply.cell in tiers

    async def test_what_is_no_resolution_is_not_counted(self) -> None:
        request = replace(
            resolution(), header=Header(Opcode.GET_SITE_INFO), body=NameRequest(b"/").encode()
        )

        assert (await Node().respond(request)).cell is None


class TestBrokenMessages:
    @pytest.mark.parametrize("protocol", [Protocol.TCP, Protocol.NATIVE_HTTP])
    async def test_unreadable_is_refused_with_the_id_that_could_be_read(
        self, protocol: Protocol
    ) -> None:
        data = resolution(request_id=0xABCD).encode()[:50]

        answer = await Node().ask(data, protocol)

        assert code_of(answer) == ResponseCode.PROTOCOL_ERROR
        assert answer.envelope.request_id == 0xABCD

    async def test_three_bytes_are_refused_without_one(self) -> None:
        answer = await Node().ask(b"abc")

        assert answer.envelope.request_id == 0xFFFF_FFFF

    async def test_over_udp_it_is_dropped_and_counted(self) -> None:
        node = Node()

        assert await node.respond(resolution().encode()[:50], Protocol.UDP) == Reply(b"")
        assert node.happened(Event.UDP_UNREADABLE) == 1

    def test_a_refusal_can_be_read(self) -> None:
        refusal = Message.decode(
            Node().responder.refuse(
                WireError("why", code=ResponseCode.PROTOCOL_ERROR, request_id=3)
            )
        )

        assert (refusal.envelope.request_id, code_of(refusal)) == (3, 4)
        assert ErrorAnswer.decode(refusal.body) == ErrorAnswer(b"why")

    async def test_a_record_that_is_broken_is_one_internal_error_and_no_more(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        node = Node()

        async def broken(key: bytes, *, at_least: int = 0) -> Stored:
            return Stored(1, b"88.1/x", 60, False, b"\0\0\0\x09", b"[", Tier.POSTGRES)

        node.store.lookup = broken  # type: ignore[method-assign]
        with caplog.at_level(logging.CRITICAL):
            answer = await node.ask(resolution(b"88.1/x", b"URL"))

        assert (code_of(answer), answer.envelope.request_id) == (ResponseCode.ERROR, 5)
        assert ErrorAnswer.decode(answer.body).text == b"Internal error"


class Nothing(MemoryStore):
    """Homes everything and has nothing; now and then it is away."""

    def is_homed(self, prefix: bytes) -> bool:
        return len(prefix) % 2 == 0

    def is_delegated(self, prefix: bytes) -> bool:
        return len(prefix) % 3 == 0

    async def lookup(self, key: bytes, *, at_least: int = 0) -> Stored:
        if len(key) % 5 == 0:
            raise SourceUnavailable
        return await super().lookup(key, at_least=at_least)


handles = st.one_of(
    st.binary(max_size=40),
    st.text(max_size=30).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.builds(
        lambda label, rest: f"{label}{rest}".encode("utf-8", "surrogatepass"),
        st.sampled_from(["0.NA/", "oid:", "ecode:", "gs1:", "did:bid:", "hdl:", "doi:", "10.1/"]),
        st.text(max_size=30),
    ),
)
versions = st.tuples(
    st.integers(0, 255), st.integers(0, 255), st.integers(0, 3), st.integers(0, 255)
)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(
    handle=handles,
    types=st.lists(st.binary(max_size=10), max_size=3),
    flags=st.integers(0, 2**32 - 1),
    version=versions,
    opcode=st.sampled_from([1, 1, 1, 2, 0, 100, 200, 400, 999]),
    protocol=st.sampled_from([Protocol.UDP, Protocol.TCP]),
)
def test_any_request_has_one_answer_that_can_be_read_and_none_is_an_internal_error(
    handle: bytes,
    types: list[bytes],
    flags: int,
    version: tuple[int, int, int, int],
    opcode: int,
    protocol: Protocol,
) -> None:
    request = Message(
        Envelope(*version, request_id=9),
        Header(opcode, flags=flags),
        ResolutionRequest(handle, types=tuple(types)).encode(),
    )
    node = Node(store=Nothing())

    answer = asyncio.run(node.ask(request, protocol))

    assert code_of(answer) != ResponseCode.ERROR
    assert answer.envelope.request_id == 9
    _, body = decode_answer(answer)
    assert not isinstance(body, SiteData) or opcode == Opcode.GET_SITE_INFO
