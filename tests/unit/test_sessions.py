"""What is kept between two messages: ids, bounded shelves, challenges, replay windows, sessions."""

import tracemalloc
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.keys.cipher import mac
from resolver.registrar import Caller
from resolver.sessions import (
    CHALLENGE_SECONDS,
    REPLAY_WINDOW,
    Bounds,
    Challenges,
    Ids,
    Known,
    Pending,
    Replays,
    Session,
    SessionError,
    Sessions,
    Shelf,
    mac_of,
    slot_of,
)
from resolver.wire import (
    HS_MAC,
    Credential,
    Envelope,
    Header,
    Message,
    Opcode,
    ResponseCode,
    signed_block,
)

KEY = bytes(range(32))
SOMEBODY = Known(Caller(b"0.NA/88.1", 300, "session"), "mark", 0.0)
ROOMY = Bounds(100, 1_000, 100, 1_000)


class TestIds:
    def test_an_id_says_which_worker_made_it(self) -> None:
        ids = Ids(3, lambda count: b"\x01\x02\x03"[:count])

        assert ids.new(lambda _: False) == 0x03010203
        assert slot_of(0x03010203) == 3

    def test_none_is_zero_and_none_is_given_twice(self) -> None:
        ids = Ids(0, bytes)
        taken: set[int] = set()
        for _ in range(5):
            taken.add(ids.new(taken.__contains__))

        assert taken == {1, 2, 3, 4, 5}
        assert slot_of(0) is None

    def test_a_worker_that_ids_have_no_room_for_is_refused(self) -> None:
        with pytest.raises(ValueError, match="does not fit"):
            Ids(256, bytes)


class TestShelf:
    def test_a_source_that_exceeds_loses_its_own_oldest(self) -> None:
        shelf: Shelf[str] = Shelf(Bounds(10, 100, 2, 100))
        shelf.put(1, "other's", "b", 1)
        for number in (2, 3, 4):
            shelf.put(number, str(number), "a", 1)

        assert [number for number in range(5) if number in shelf] == [1, 3, 4]

    def test_all_together_lose_the_oldest_of_all(self) -> None:
        shelf: Shelf[str] = Shelf(Bounds(3, 100, 3, 100))
        for number in range(5):
            shelf.put(number, str(number), f"source {number}", 1)

        assert [number for number in range(5) if number in shelf] == [2, 3, 4]

    def test_bytes_are_bounded_too(self) -> None:
        shelf: Shelf[str] = Shelf(Bounds(10, 50, 10, 30))
        shelf.put(1, "", "a", 20)
        shelf.put(2, "", "a", 20)
        shelf.put(3, "", "b", 20)
        shelf.put(4, "", "c", 20)

        assert [number for number in range(5) if number in shelf] == [3, 4]
        assert shelf.size == 40
        assert not shelf.put(5, "", "d", 31)

    def test_what_is_used_is_not_the_oldest(self) -> None:
        shelf: Shelf[str] = Shelf(Bounds(2, 100, 2, 100))
        shelf.put(1, "", "a", 1)
        shelf.put(2, "", "a", 1)
        shelf.renew(1)
        shelf.put(3, "", "a", 1)

        assert 1 in shelf
        assert 2 not in shelf

    @given(
        st.lists(
            st.tuples(st.integers(0, 9), st.sampled_from("abc"), st.integers(0, 9), st.booleans())
        )
    )
    def test_its_bounds_hold_whatever_is_put_and_taken(
        self, steps: list[tuple[int, str, int, bool]]
    ) -> None:
        shelf: Shelf[tuple[str, int]] = Shelf(Bounds(5, 20, 3, 12))
        for number, source, size, is_put in steps:
            if is_put:
                shelf.put(number, (source, size), source, size)
            else:
                shelf.take(number)
            held = [thing for thing in map(shelf.get, range(10)) if thing]
            assert len(held) == len(shelf) <= 5
            assert sum(each[1] for each in held) == shelf.size <= 20
            for one in "abc":
                mine = [each[1] for each in held if each[0] == one]
                assert len(mine) <= 3
                assert sum(mine) <= 12


class TestReplays:
    def test_a_counter_is_taken_once(self) -> None:
        replays = Replays()

        assert replays.accept(1)
        assert not replays.accept(1)

    def test_threads_may_overtake_each_other(self) -> None:
        replays = Replays()

        assert [replays.accept(counter) for counter in (3, 1, 2, 2, 1)] == [True] * 3 + [False] * 2

    def test_what_is_too_old_to_tell_is_not_taken(self) -> None:
        replays = Replays()
        replays.accept(REPLAY_WINDOW + 1)

        assert not replays.accept(1)
        assert replays.accept(2)

    def test_a_leap_of_any_length_costs_nothing(self) -> None:
        replays = Replays()
        replays.accept(1)

        tracemalloc.start()
        assert replays.accept(2**32 - 1)
        assert not replays.accept(1)
        _, most_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()

        assert most_bytes < 10_000

    @given(st.lists(st.integers(0, 3 * REPLAY_WINDOW)))
    def test_no_counter_is_ever_taken_twice_and_no_new_one_is_refused_in_the_window(
        self, counters: list[int]
    ) -> None:
        replays, seen = Replays(), set[int]()
        for counter in counters:
            is_new = counter not in seen and counter > max(seen, default=0) - REPLAY_WINDOW
            assert replays.accept(counter) == is_new
            if is_new:
                seen.add(counter)


def request(body: bytes = b"", session_id: int = 7, opcode: int = Opcode.RESOLUTION) -> Message:
    return Message(Envelope(2, 11, 2, 11, session_id, 5), Header(opcode), body)


def pending(now: float, body: bytes = b"", source: str = "192.0.2.1") -> Pending:
    return Pending(request(body), b"nonce and digest", now, source)


class TestChallenges:
    def test_a_challenge_is_answered_once(self) -> None:
        challenges = Challenges()
        challenges.put(9, pending(1.0), is_datagram=False)

        assert challenges.take(9) == pending(1.0)
        assert challenges.take(9) is None

    def test_a_late_answer_is_late_and_in_the_end_unknown(self) -> None:
        challenges = Challenges()
        challenges.put(9, pending(0.0), is_datagram=False)

        assert not pending(0.0).is_late(CHALLENGE_SECONDS)
        assert pending(0.0).is_late(CHALLENGE_SECONDS + 1)
        challenges.put(10, pending(299.0), is_datagram=False)
        assert 9 in challenges
        challenges.put(11, pending(301.0), is_datagram=False)
        assert 9 not in challenges

    def test_datagrams_push_out_no_challenge_of_a_connection(self) -> None:
        challenges = Challenges(Bounds(10, 100_000, 10, 100_000))
        challenges.put(1, pending(0.0), is_datagram=False)
        for number in range(2, 50):
            challenges.put(number, pending(0.0, source=f"forged {number}"), is_datagram=True)

        assert 1 in challenges
        assert len(challenges) == 11

    def test_what_one_source_makes_us_keep_is_bounded_in_bytes(self) -> None:
        challenges = Challenges()
        for number in range(1, 100):
            challenges.put(number, pending(0.0, bytes(262_000)), is_datagram=False)

        assert challenges.size < 8 * 1024 * 1024 + 1

    def test_a_session_has_one_challenge_its_newest(self) -> None:
        challenges = Challenges()
        challenges.put(7, pending(0.0, b"first"), is_datagram=True)
        challenges.put(7, pending(0.0, b"second"), is_datagram=False)

        assert len(challenges) == 1
        assert challenges.take(7) == pending(0.0, b"second")


def maced(
    message: Message, counter: int, key: bytes = KEY, name: bytes = b"HMAC-SHA256"
) -> Message:
    version = message.envelope.version
    block = signed_block(version, message.envelope, counter, message.header_and_body)
    return replace(message, credential=Credential(HS_MAC, counter, name, mac(key, block)).encode())


class TestSession:
    def session(self) -> Session:
        return Session(7, KEY, 60.0, 0.0)

    def test_a_message_with_its_mac_is_taken_once(self) -> None:
        session, message = self.session(), maced(request(), 1)
        session.check(message, mac_of(message))

        with pytest.raises(SessionError) as refusal:
            session.check(message, mac_of(message))
        assert refusal.value.code == ResponseCode.SESSION_MESSAGE_REJECTED

    @pytest.mark.parametrize(
        "message",
        [
            request(),
            maced(request(), 1, key=bytes(32)),
            maced(request(), 1, name=b"SHA1"),
            replace(maced(request(), 1), body=b"another"),
            replace(maced(request(), 1), header=Header(Opcode.DELETE_HANDLE)),
            replace(maced(request(), 1), envelope=Envelope(2, 11, 2, 11, 7, 6)),
            replace(maced(request(), 1), envelope=Envelope(2, 11, 2, 10, 7, 5)),
            maced(replace(request(), envelope=Envelope(2, 6, 2, 11, 7, 5)), 1),
            replace(request(), credential=b"no credential"),
        ],
    )
    def test_what_was_changed_or_made_by_another_is_not_of_it(self, message: Message) -> None:
        with pytest.raises(SessionError) as refusal:
            self.session().check(message, mac_of(message))
        assert refusal.value.code == ResponseCode.SESSION_FAILED

    def test_a_wrong_mac_uses_up_no_counter(self) -> None:
        session = self.session()
        wrong, right = maced(request(), 9, key=bytes(32)), maced(request(), 9)
        with pytest.raises(SessionError):
            session.check(wrong, mac_of(wrong))

        session.check(right, mac_of(right))

    def test_what_is_sealed_can_be_opened_and_nothing_else(self) -> None:
        session = self.session()

        assert session.open(session.seal(b"content", bytes(16))) == b"content"
        for data in (b"", bytes(16), bytes(17), bytes(32)):
            with pytest.raises(SessionError) as refusal:
                session.open(data)
            assert refusal.value.code == ResponseCode.SESSION_FAILED


class TestSessions:
    def test_a_session_ends_when_it_is_not_used(self) -> None:
        sessions = Sessions(100.0)
        session = sessions.start(7, KEY, "a", 0.0, 0)
        sessions.used(session, 90.0)

        assert sessions.find(7, 190.0) is session
        assert sessions.find(7, 191.0) is None
        assert len(sessions) == 0

    @pytest.mark.parametrize(("asked", "lasts"), [(0, 100.0), (10, 10.0), (86_400, 100.0)])
    def test_a_client_may_ask_for_less_time_but_not_for_more(
        self, asked: int, lasts: float
    ) -> None:
        sessions = Sessions(100.0)
        sessions.start(7, KEY, "a", 0.0, asked)

        assert sessions.find(7, lasts)
        assert not sessions.find(7, lasts + 1)

    def test_sessions_in_which_nothing_was_proven_push_out_none_in_which_it_was(self) -> None:
        sessions = Sessions(100.0, Bounds(3, 3, 3, 3), Bounds(3, 3, 3, 3))
        known = sessions.start(1, KEY, "a", 0.0, 0)
        sessions.know(known, SOMEBODY, "a")
        for number in range(2, 20):
            sessions.start(number, KEY, f"forged {number}", 0.0, 0)

        found = sessions.find(1, 0.0)
        assert found is not None
        assert found.known == SOMEBODY
        assert len(sessions) == 4

    def test_a_session_stays_with_who_has_proven_it_first(self) -> None:
        sessions = Sessions(100.0)
        session = sessions.start(7, KEY, "a", 0.0, 0)

        assert sessions.know(session, SOMEBODY, "a")
        assert sessions.know(session, SOMEBODY, "a")
        assert not sessions.know(
            session, replace(SOMEBODY, caller=Caller(b"0.NA/88.1", 301, "session")), "a"
        )
        assert session.known == SOMEBODY

    def test_ended_is_gone(self) -> None:
        sessions = Sessions(100.0)
        sessions.know(sessions.start(7, KEY, "a", 0.0, 0), SOMEBODY, "a")
        sessions.end(7)

        assert sessions.find(7, 0.0) is None
        assert 7 not in sessions

    def test_what_is_over_makes_room(self) -> None:
        sessions = Sessions(100.0)
        for number in range(1, 50):
            sessions.start(number, KEY, "a", 0.0, 0)
        sessions.start(50, KEY, "a", 101.0, 0)

        assert len(sessions) == 1
