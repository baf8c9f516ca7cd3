"""How many wrong tries are taken."""

from resolver.tries import ADDRESS_TRIES, REFUSED_SECONDS, WINDOW_SECONDS, WRONG_TRIES, Tries

WHO, WHERE = b"88.1/ADMIN", "192.0.2.7"


def tries_after(count: int, *, at: float = 0.0, step: float = 0.0) -> Tries:
    tries = Tries()
    for number in range(count):
        tries.wrong(WHO, WHERE, at + number * step)
    return tries


def test_tries_are_taken_until_the_last_one_that_is_allowed() -> None:
    assert tries_after(WRONG_TRIES - 1).refused_seconds(WHO, WHERE, 0.0) == 0
    assert tries_after(WRONG_TRIES).refused_seconds(WHO, WHERE, 0.0) == REFUSED_SECONDS


def test_refusal_ends_and_the_count_begins_anew() -> None:
    tries = tries_after(WRONG_TRIES)

    assert tries.refused_seconds(WHO, WHERE, REFUSED_SECONDS - 0.5) == 1
    assert tries.refused_seconds(WHO, WHERE, REFUSED_SECONDS) == 0
    tries.wrong(WHO, WHERE, REFUSED_SECONDS + 1)
    assert tries.refused_seconds(WHO, WHERE, REFUSED_SECONDS + 1) == 0


def test_wrong_tries_that_came_slowly_are_no_reason() -> None:
    slow = WINDOW_SECONDS / (WRONG_TRIES - 2)

    tries = tries_after(2 * WRONG_TRIES, step=slow)

    assert tries.refused_seconds(WHO, WHERE, 2 * WRONG_TRIES * slow) == 0


def test_others_at_the_address_and_the_identity_elsewhere_are_not_refused() -> None:
    tries = tries_after(WRONG_TRIES)

    assert tries.refused_seconds(b"88.1/OTHER", WHERE, 0.0) == 0
    assert tries.refused_seconds(WHO, "192.0.2.8", 0.0) == 0


def test_right_try_forgets_the_wrong_ones() -> None:
    tries = tries_after(WRONG_TRIES - 1)

    tries.right(WHO, WHERE)
    tries.wrong(WHO, WHERE, 0.0)

    assert tries.refused_seconds(WHO, WHERE, 0.0) == 0


def test_all_addresses_of_one_ipv6_site_count_as_one() -> None:
    tries = Tries()
    for number in range(WRONG_TRIES):
        tries.wrong(WHO, f"2001:db8:1:2::{number:x}", 0.0)

    assert tries.refused_seconds(WHO, "2001:db8:1:2:ffff::1", 0.0)
    assert not tries.refused_seconds(WHO, "2001:db8:1:3::1", 0.0)


def test_mapped_ipv4_address_is_the_ipv4_address() -> None:
    tries = Tries()
    for _ in range(WRONG_TRIES):
        tries.wrong(WHO, "::ffff:192.0.2.7", 0.0)

    assert tries.refused_seconds(WHO, "192.0.2.7", 0.0)
    assert not tries.refused_seconds(WHO, "::ffff:192.0.2.8", 0.0)


def test_address_has_a_limit_over_all_identities_and_this_machine_has_none() -> None:
    tries = Tries()
    for number in range(ADDRESS_TRIES):
        for address in (WHERE, "127.0.0.1", "::1"):
            tries.wrong(b"%d" % number, address, 0.0)

    assert tries.refused_seconds(b"new", WHERE, 0.0) == REFUSED_SECONDS
    assert not tries.refused_seconds(b"new", WHERE, REFUSED_SECONDS)
    assert not tries.refused_seconds(b"new", "127.0.0.1", 0.0)
    assert not tries.refused_seconds(b"new", "::1", 0.0)


def test_memory_is_bounded_and_the_oldest_goes_first() -> None:
    tries = Tries(max_entries=100)
    for number in range(1_000):
        tries.wrong(b"%d" % number, WHERE, 0.0)

    assert len(tries) == 100


def test_who_is_refused_is_not_pushed_out_by_fewer_than_all_others() -> None:
    tries = Tries(max_entries=100)
    for _ in range(WRONG_TRIES):
        tries.wrong(WHO, WHERE, 0.0)
    for number in range(98):
        tries.wrong(b"%d" % number, "127.0.0.1", 0.0)

    assert tries.refused_seconds(WHO, WHERE, 0.0)
