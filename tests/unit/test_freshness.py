"""What a worker knows of changes: the newest per key, for a window that has a beginning."""

from resolver.freshness import Freshness


def numbered(first: int, *keys: bytes) -> list[tuple[int, bytes]]:
    return list(enumerate(keys, first))


def test_floor_is_the_newest_change_of_a_key() -> None:
    freshness = Freshness()
    freshness.learn(3, numbered(1, b"A", b"B", b"A"))

    assert (freshness.floor(b"A"), freshness.floor(b"B"), freshness.floor(b"C")) == (3, 2, 0)
    assert freshness.seen == 3


def test_window_remembers_one_generation_back_and_says_where_it_begins() -> None:
    freshness = Freshness(window_keys=2)
    freshness.learn(3, numbered(1, b"A", b"B", b"C"))
    assert freshness.window_start == 0
    freshness.learn(6, numbered(4, b"D", b"E", b"F"))

    assert freshness.window_start == 3
    assert [freshness.floor(key) for key in (b"A", b"D", b"F")] == [0, 4, 6]


def test_every_change_after_the_start_of_the_window_is_in_it() -> None:
    freshness, history = Freshness(window_keys=3), []
    for upto in range(4, 101, 4):
        page = [(serial, b"K%d" % (serial % 7)) for serial in range(upto - 3, upto + 1)]
        history += page
        freshness.learn(upto, page)

        newest = {key: serial for serial, key in history if serial > freshness.window_start}
        assert {key: freshness.floor(key) for key in newest} == newest


def test_window_is_bounded() -> None:
    freshness = Freshness(window_keys=10)
    for serial in range(1, 1_001):
        freshness.learn(serial, [(serial, b"K%d" % serial)])

    assert len(freshness.changed_after(freshness.window_start)) <= 22
    assert freshness.window_start >= 1_000 - 22


def test_changed_after_tells_keys_of_both_generations_and_no_older_ones() -> None:
    freshness = Freshness(window_keys=2)
    freshness.learn(3, numbered(1, b"A", b"B", b"C"))
    freshness.learn(5, numbered(4, b"D", b"B"))

    assert set(freshness.changed_after(0)) == {b"A", b"B", b"C", b"D"}
    assert set(freshness.changed_after(2)) == {b"B", b"C", b"D"}
    assert freshness.changed_after(4) == [b"B"]
    assert freshness.changed_after(5) == []


def test_a_key_that_changes_again_counts_as_new() -> None:
    freshness = Freshness()
    freshness.learn(3, numbered(1, b"A", b"B", b"A"))
    assert freshness.changed_after(2) == [b"A"]

    freshness.learn(4, numbered(4, b"B"))
    assert freshness.changed_after(2) == [b"B", b"A"]


def test_restart_forgets_all_and_begins_another_life() -> None:
    freshness = Freshness()
    freshness.learn(2, numbered(1, b"A", b"B"))
    freshness.restart(7)

    assert freshness.floor(b"A") == 0
    assert (freshness.seen, freshness.window_start, freshness.life) == (7, 7, 1)
    assert freshness.changed_after(7) == []


def test_restart_may_go_back() -> None:
    freshness = Freshness()
    freshness.learn(100, [(100, b"A")])
    freshness.restart(5)
    freshness.learn(6, [(6, b"A")])

    assert freshness.floor(b"A") == 6


def test_what_was_given_beyond_the_changes_seen_may_not_be_followed_by_something_older() -> None:
    freshness = Freshness()
    freshness.learn(4, [(4, b"A")])
    freshness.given(b"A", 6)
    freshness.given(b"A", 5)

    assert freshness.floor(b"A") == 6
    freshness.learn(5, [(5, b"A")])
    assert freshness.floor(b"A") == 6
    freshness.learn(6, [(6, b"B")])
    assert freshness.floor(b"A") == 5  # all changes up to 6 are known: this one is its newest


def test_what_was_given_within_the_changes_seen_says_nothing_new() -> None:
    freshness = Freshness()
    freshness.learn(4, [(4, b"A")])
    freshness.given(b"B", 4)

    assert freshness.floor(b"B") == 0


def test_too_many_given_ahead_of_the_feed_raise_the_floor_of_all_keys() -> None:
    freshness = Freshness(window_keys=2)
    for serial, key in numbered(1, b"A", b"B", b"C"):
        freshness.given(key, serial)

    assert freshness.floor(b"A") >= 1
    assert freshness.floor(b"C") >= 3
    freshness.learn(3, [])
    assert freshness.floor(b"A") == 0
