"""Ready replies: what may be kept, for how long, what drops it, and which HTTP headers leave an answer as it is."""

from dataclasses import replace
from email.utils import formatdate
from time import perf_counter_ns
from typing import Any

import pytest

from resolver.answer import Answer, Status
from resolver.freshness import Freshness
from resolver.hot.http import HotHttp, is_plain
from resolver.hot.table import HotTable, Ready
from resolver.hot.wire import HotWire
from resolver.wire import Envelope, Flag, Header, Message, ResolutionRequest
from tests.support.sources import record

LATER = perf_counter_ns() + 10**15
NOW = perf_counter_ns()


def ready(key: bytes, serial: int = 1, tail: bytes = b"tail") -> Ready:
    return (LATER, 0, False, b"head", tail, key, serial, b"", None)


def table(max_entries: int = 100, max_bytes: int = 1_000_000) -> HotTable:
    return HotTable(Freshness(), max_entries=max_entries, max_bytes=max_bytes)


def has(hot: HotTable, request: bytes) -> bool:
    return (hot.young.get(request) or hot.promote(request)) is not None


class TestTable:
    def test_a_changed_record_loses_all_its_replies_and_no_others(self) -> None:
        hot = table()
        for request in (b"a1", b"a2", b"b1"):
            hot.put(request, ready(request[:1]), 0)

        assert hot.drop(b"a")

        assert [has(hot, request) for request in (b"a1", b"a2", b"b1")] == [False, False, True]
        assert not hot.drop(b"a")

    def test_replies_of_the_older_generation_are_dropped_too(self) -> None:
        hot = table(max_entries=4)
        for request in (b"a1", b"a2", b"b1", b"a3"):
            hot.put(request, ready(request[:1]), 0)

        hot.drop(b"a")

        assert [has(hot, request) for request in (b"a1", b"a2", b"a3", b"b1")] == [0, 0, 0, 1]

    def test_a_promoted_reply_is_dropped_with_its_record(self) -> None:
        hot = table(max_entries=4)
        for request in (b"a1", b"b1", b"c1"):
            hot.put(request, ready(request[:1]), 0)
        assert hot.promote(b"a1")

        hot.drop(b"a")

        assert not has(hot, b"a1")

    def test_a_reply_read_before_the_newest_known_change_is_not_let_in(self) -> None:
        freshness = Freshness()
        hot = HotTable(freshness, max_entries=100, max_bytes=10_000)
        freshness.learn(5, [(5, b"a")])

        hot.put(b"a1", ready(b"a", serial=4), 0)
        assert not has(hot, b"a1")
        hot.put(b"a1", ready(b"a", serial=5), 0)
        assert has(hot, b"a1")

    def test_a_reply_older_than_one_that_was_given_is_not_let_in(self) -> None:
        freshness = Freshness()
        hot = HotTable(freshness, max_entries=100, max_bytes=10_000)
        freshness.given(b"a", 5)

        hot.put(b"a1", ready(b"a", serial=4), 0)

        assert not has(hot, b"a1")

    def test_a_reply_asked_for_before_everything_was_dropped_is_not_let_in(self) -> None:
        hot = table()
        era = hot.era
        hot.clear()
        hot.put(b"a1", ready(b"a"), era)
        assert not has(hot, b"a1")

        era = hot.era
        hot.drop_below(lambda _: False)
        hot.put(b"a1", ready(b"a"), era)
        assert not has(hot, b"a1")

        hot.put(b"a1", ready(b"a"), hot.era)
        assert has(hot, b"a1")

    def test_what_lies_below_is_dropped_in_both_generations(self) -> None:
        hot = table(max_entries=4)
        for request in (b"88.1/a", b"88.2/a", b"88.1/b"):
            hot.put(request, ready(request), 0)

        hot.drop_below(lambda key: key.startswith(b"88.1/"))

        assert [has(hot, each) for each in (b"88.1/a", b"88.1/b", b"88.2/a")] == [0, 0, 1]

    def test_number_is_bounded_and_what_is_in_use_stays(self) -> None:
        hot = table(max_entries=20)
        hot.put(b"used", ready(b"used"), 0)
        for number in range(200):
            hot.put(b"%d" % number, ready(b"%d" % number), 0)
            assert has(hot, b"used")
            assert len(hot) <= 20

        assert has(hot, b"199")
        assert not has(hot, b"0")

    def test_who_keeps_the_record_is_told_of_its_first_reply(self) -> None:
        hot, told = table(max_entries=6), list[bytes]()
        hot.on_first = told.append
        for request in (b"a1", b"b1", b"a1", b"a2"):
            hot.put(request, ready(request[:1]), 0)
        hot.put(b"c1", ready(b"c"), 0)  # there are two generations now
        for request in (b"a2", b"b2"):
            hot.put(request, ready(request[:1]), 0)

        assert told == [b"a", b"b", b"c"]

    def test_a_reply_under_the_key_itself_is_the_first_only_once(self) -> None:
        hot, told = table(), list[bytes]()
        hot.on_first = told.append
        for request in (b"a", b"a", b"a1"):
            hot.put(request, ready(b"a"), 0)

        assert told == [b"a"]

    def test_a_reply_in_place_of_one_that_is_out_of_date_is_a_first_one(self) -> None:
        hot, told = table(), list[bytes]()
        hot.on_first = told.append
        hot.put(b"a1", (NOW, *ready(b"a")[1:]), 0)
        hot.put(b"a1", ready(b"a"), 0)
        hot.put(b"a1", ready(b"a"), 0)

        assert told == [b"a", b"a"]

    def test_a_reply_after_a_change_is_a_first_one_and_one_that_is_not_let_in_is_none(self) -> None:
        hot, told = table(), list[bytes]()
        hot.on_first = told.append
        hot.put(b"a1", ready(b"a"), 0)
        hot.drop(b"a")
        hot.put(b"a1", ready(b"a"), hot.era - 1)
        assert told == [b"a"]

        hot.put(b"a1", ready(b"a"), 0)
        assert told == [b"a", b"a"]

    def test_size_is_bounded(self) -> None:
        hot = table(max_entries=10_000, max_bytes=100_000)
        for number in range(100):
            hot.put(b"%d" % number, ready(b"%d" % number, tail=bytes(5_000)), 0)
            assert hot.size_bytes <= 100_000 + 2 * 6_000  # one more in each generation

        assert has(hot, b"99")

    def test_size_is_that_of_what_is_kept(self) -> None:
        hot = table(max_entries=20)
        for number in range(60):
            request = b"%d" % (number % 25)
            hot.put(request, ready(b"%d" % (number % 5), tail=bytes(number)), 0)
            hot.promote(b"%d" % (number % 7))
        for key in range(5):
            hot.drop(b"%d" % key)

        assert (len(hot), hot.size_bytes) == (0, 0)

    def test_a_bound_of_nothing_keeps_nothing(self) -> None:
        hot = table(max_entries=0)
        hot.put(b"a1", ready(b"a"), 0)

        assert len(hot) == 0

    def test_what_is_asked_of_one_record_in_ever_new_ways_takes_a_bounded_share(self) -> None:
        """Else a stranger could fill the table through one record, at a cost that grows with each request."""
        hot = table(max_entries=10_000)
        hot.put(b"b", ready(b"other"), 0)
        for number in range(1_000):
            hot.put(b"a%d" % number, ready(b"a"), 0)

        assert len(hot) <= 40
        assert has(hot, b"b")
        assert has(hot, b"a999")
        hot.drop(b"a")
        assert len(hot) == 1
        hot.drop(b"other")
        assert hot.size_bytes == 0


PLAIN = Message(
    Envelope(2, 11, 2, 11, request_id=7),
    Header(1, 0, int(Flag.PUBLIC_ONLY)),
    ResolutionRequest(b"88.1/x").encode(),
)
ANSWER = Message(
    Envelope(2, 11, 2, 11, request_id=7), Header(1, 1, 0x91000000, 1, expiration=99), b"body"
)


class Wire:
    """A table that knows one reply: the one to PLAIN."""

    def __init__(self, *, public_only: bool = True, restricted: bool = False) -> None:
        self.freshness = Freshness()
        self.hot = HotWire(self.freshness, max_entries=100, max_bytes=100_000)
        self.hot.tick(1_000.0)
        self.remember(PLAIN, public_only=public_only, restricted=restricted)

    def remember(
        self,
        request: Message,
        answer: Message = ANSWER,
        *,
        public_only: bool = True,
        restricted: bool = False,
        expires_ns: int = LATER,
    ) -> None:
        self.hot.remember(
            request.encode(),
            answer.encode(),
            public_only=public_only,
            restricted=restricted,
            expires_ns=expires_ns,
            cell=3,
            key=b"88.1/X",
            serial=1,
            era=self.hot.era,
        )

    def reply(self, request: Message | bytes, now_ns: int = NOW) -> bytes | None:
        data = request if isinstance(request, bytes) else request.encode()
        found = self.hot.reply(data, now_ns)
        if found is None:
            return None
        assert found[0] == 3
        return found[1]


def with_envelope(message: Message, **changes: Any) -> Message:
    return replace(message, envelope=replace(message.envelope, **changes))


def with_flags(message: Message, flags: int) -> Message:
    return replace(message, header=replace(message.header, flags=flags))


class TestWire:
    def test_the_same_request_gets_the_same_reply_with_its_own_id_and_the_time(self) -> None:
        wire = Wire()
        wire.hot.tick(5_000.0)

        reply = wire.reply(with_envelope(PLAIN, request_id=0xDEADBEEF))

        assert reply is not None
        found = Message.decode(reply)
        assert found.envelope == replace(
            ANSWER.envelope, request_id=0xDEADBEEF, message_length=len(reply) - 20
        )
        assert found.header == replace(ANSWER.header, expiration=5_000 + 43_200, body_length=4)
        assert found.body == b"body"

    @pytest.mark.parametrize(
        "other",
        [
            with_envelope(PLAIN, major=2, minor=10),
            with_envelope(PLAIN, suggested_minor=10),
            with_envelope(PLAIN, session_id=1),
            with_envelope(PLAIN, sequence=1),
            with_flags(PLAIN, 0),
            with_flags(PLAIN, int(Flag.PUBLIC_ONLY | Flag.CERTIFY)),
            replace(PLAIN, header=replace(PLAIN.header, opcode=2)),
            replace(PLAIN, header=replace(PLAIN.header, response_code=1)),
            replace(PLAIN, body=ResolutionRequest(b"88.1/X").encode()),
            replace(PLAIN, body=ResolutionRequest(b"88.1/x", (1,)).encode()),
            replace(PLAIN, credential=b"c"),
            replace(PLAIN, credential_omitted=True),
        ],
    )
    def test_a_request_that_differs_in_anything_goes_the_ordinary_way(self, other: Message) -> None:
        assert Wire().reply(other) is None

    def test_a_request_whose_length_lies_goes_the_ordinary_way(self) -> None:
        data = bytearray(PLAIN.encode())
        data[19] += 1

        assert Wire().reply(bytes(data)) is None

    @pytest.mark.parametrize("length", range(0, 60, 7))
    def test_a_piece_of_a_request_goes_the_ordinary_way(self, length: int) -> None:
        assert Wire().reply(PLAIN.encode()[:length]) is None

    def test_the_time_in_a_request_does_not_matter(self) -> None:
        request = replace(PLAIN, header=replace(PLAIN.header, expiration=123))

        assert Wire().reply(request) is not None

    def test_a_body_is_ready_for_every_profile_that_was_seen(self) -> None:
        wire = Wire()
        other = with_envelope(PLAIN, session_id=10_001)
        wire.remember(other, with_envelope(ANSWER, session_id=10_001))

        first, second = wire.reply(PLAIN), wire.reply(other)

        assert first is not None
        assert second is not None
        assert Message.decode(first).envelope.session_id == 0
        assert Message.decode(second).envelope.session_id == 10_001

    def test_a_reply_of_a_record_with_hidden_values_is_for_public_questions_only(self) -> None:
        wire = Wire(restricted=True)
        open_minded = with_flags(PLAIN, 0)
        other = replace(open_minded, body=ResolutionRequest(b"88.1/y").encode())
        wire.remember(other, public_only=False)  # the profile is known by this

        assert wire.reply(open_minded) is None
        assert wire.reply(PLAIN) is not None

    def test_a_reply_of_a_record_without_them_is_for_all(self) -> None:
        wire = Wire()
        other = replace(with_flags(PLAIN, 0), body=ResolutionRequest(b"88.1/y").encode())
        wire.remember(other, public_only=False)

        assert wire.reply(with_flags(PLAIN, 0)) is not None

    def test_a_reply_ends_with_its_ttl(self) -> None:
        wire = Wire()
        end = NOW - NOW % 10**9 + 10 * 10**9
        wire.remember(PLAIN, expires_ns=end + 999)  # ends with the second, never later

        assert wire.reply(PLAIN, end - 1) is not None
        assert wire.reply(PLAIN, end) is None

    def test_a_changed_record_has_no_reply(self) -> None:
        wire = Wire()
        wire.freshness.learn(2, [(2, b"88.1/X")])
        wire.hot.drop(b"88.1/X")
        wire.remember(PLAIN)

        assert wire.reply(PLAIN) is None

    def test_profiles_are_bounded(self) -> None:
        wire = Wire()
        for session in range(5_000):
            wire.remember(with_envelope(PLAIN, session_id=session))

        assert wire.reply(with_envelope(PLAIN, session_id=4_999)) is not None
        assert wire.reply(with_envelope(PLAIN, session_id=1)) is None


class TestHttp:
    def table(self) -> HotHttp:
        hot = HotHttp(Freshness(), max_entries=100, max_bytes=100_000)
        hot.tick(86_400.0)
        return hot

    def remember(self, hot: HotHttp, answer: Answer, body: bytes = b'{"a":1}') -> None:
        hot.remember(b"88.1/x", body, answer, b"88.1/X", 9, hot.era)

    def test_a_found_record_is_kept_for_its_ttl(self) -> None:
        hot = self.table()
        self.remember(hot, Answer(Status.FOUND, stored=record(1, ttl=10)))

        expires_ns, cell, _, _, tail, key, serial, *_ = hot.young[b"88.1/x"]

        assert 8 * 10**9 < expires_ns - perf_counter_ns() <= 10 * 10**9
        assert (cell, key, serial) == (9, b"88.1/X", 1)
        assert tail == b'content-length: 7\r\n\r\n{"a":1}'

    def test_the_first_lines_carry_the_time(self) -> None:
        start = self.table().start

        date = formatdate(86_400, usegmt=True).encode()
        assert start.startswith(b"HTTP/1.1 200 OK\r\ndate: " + date + b"\r\n")

    @pytest.mark.parametrize("status", [each for each in Status if each is not Status.FOUND])
    def test_nothing_else_is_kept(self, status: Status) -> None:
        hot = self.table()
        self.remember(hot, Answer(status, stored=record(1)))

        assert len(hot) == 0

    def test_a_body_that_the_ordinary_way_may_compress_says_so_to_caches(self) -> None:
        hot = self.table()
        self.remember(hot, Answer(Status.FOUND, stored=record(1)), bytes(1_023))
        assert b"vary" not in hot.young[b"88.1/x"][4]

        self.remember(hot, Answer(Status.FOUND, stored=record(1)), bytes(1_024))
        assert b"vary: Accept-Encoding\r\n" in hot.young[b"88.1/x"][4]

    def test_header_blocks_are_remembered_and_bounded(self) -> None:
        hot = self.table()
        for number in range(10_000):
            block = b"host: h\r\nx-request-id: %d\r\n\r\n" % number
            assert hot.accepts(block)
            assert block in hot.blocks
        assert len(hot.blocks) <= 4_096

        assert not hot.accepts(b"host: h\r\ncookie: a=b\r\n\r\n")
        assert not hot.accepts(b"host: h\r\nuser-agent: " + bytes(range(65, 91)) * 50 + b"\r\n\r\n")


@pytest.mark.parametrize(
    "block",
    [
        b"Host: a\r\n\r\n",
        b"host:a\r\n\r\n",
        b"HOST: a:8000\r\nUser-Agent: curl/8\r\nAccept: */*\r\n\r\n",
        b"Host: a\r\nConnection: keep-alive\r\nAccept-Encoding: gzip, deflate, br\r\n\r\n",
        b"Host: a\r\nConnection: Keep-Alive\r\nAccept: text/html, application/json;q=0.9\r\n\r\n",
        b"Host: a\r\nAccept: application/*\r\nCache-Control: no-cache\r\n\r\n",
        "Host: a\r\nUser-Agent: 浏览器\r\n\r\n".encode(),
        b"Host: a\r\nUser-Agent:\ttabs\tare\tfine\r\n\r\n",
    ],
)
def test_headers_that_leave_the_answer_as_it_is(block: bytes) -> None:
    assert is_plain(block)


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"\r\n",
        b"\r\n\r\n",
        b"Host: a",
        b"Host: a\r\n",
        b"Host: a\r\nAccept: */*",
        b"Accept: */*\r\n\r\n",
        b"Host: a\r\nHost: b\r\n\r\n",
        b"Host: a\r\nConnection: close\r\n\r\n",
        b"Host: a\r\nConnection: keep-alive, Upgrade\r\n\r\n",
        b"Host: a\r\nAccept: text/html\r\n\r\n",
        b"Host: a\r\nRange: bytes=0-1\r\n\r\n",
        b"Host: a\r\nIf-None-Match: x\r\n\r\n",
        b"Host: a\r\nIf-Modified-Since: x\r\n\r\n",
        b"Host: a\r\nAuthorization: Basic eA==\r\n\r\n",
        b"Host: a\r\nOrigin: http://b\r\n\r\n",
        b"Host: a\r\nExpect: 100-continue\r\n\r\n",
        b"Host: a\r\nContent-Length: 0\r\n\r\n",
        b"Host: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"Host: a\r\nUpgrade: websocket\r\n\r\n",
        b"Host: a\r\nX-Anything: b\r\n\r\n",
        b"Host: a\r\n folded: b\r\n\r\n",
        b"Host: a\r\nUser-Agent: a\r\n b\r\n\r\n",
        b"Host : a\r\n\r\n",
        b": a\r\nHost: a\r\n\r\n",
        b"Host: a\r\nUser-Agent: a\rb\r\n\r\n",
        b"Host: a\r\nUser-Agent: a\nContent-Length: 5\r\n\r\n",
        b"Host: a\r\nUser-Agent: a\x00b\r\n\r\n",
        b"Host: a\r\nUser-Agent: a\x7fb\r\n\r\n",
        b"Host: a\r\nAccept-Encoding: gzip, identity;q=0\r\n\r\n",
        b"Host: a\r\nAccept-Encoding: *;q=0\r\n\r\n",
        b"Host: a\r\n\r\nGET /api/handles/b HTTP/1.1\r\nHost: a\r\n\r\n",
        b"Host: a\r\n\r\nbody\r\n\r\n",
    ],
)
def test_headers_that_do_not(block: bytes) -> None:
    assert not is_plain(block)
