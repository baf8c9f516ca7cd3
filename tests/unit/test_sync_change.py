"""Changes, places and digests: what can be, and that anybody can count a digest."""

from hashlib import sha256

import pytest

from sync.change import (
    END,
    MAX_BATCH_ITEMS,
    MAX_BODY_BYTES,
    START,
    Change,
    ChangeError,
    Digester,
    Operation,
    Place,
    Row,
    Span,
    TableDigest,
    digest_rows,
    fill_batch,
)


def test_canonical_bytes_of_a_change_are_sorted_and_without_spaces() -> None:
    change = Change(7, "6", Operation.UPSERT, "91370700MA3", b'{"name":"\xe6\xbd\x8d"}')

    expected = (
        '{"body":"{\\"name\\":\\"潍\\"}","key":"91370700MA3",'
        '"operation":"upsert","serial":7,"table":"6"}'
    ).encode()
    assert change.canonical() == expected
    assert change.digest() == sha256(expected).hexdigest()


@pytest.mark.parametrize(
    ("serial", "table", "operation", "key", "body"),
    [
        (0, "6", Operation.UPSERT, "a", b""),
        (2**53, "6", Operation.UPSERT, "a", b""),
        (1, "", Operation.UPSERT, "a", b""),
        (1, "t6", Operation.UPSERT, "a", b""),
        (1, "6", Operation.UPSERT, "", b""),
        (1, "6", Operation.UPSERT, "a\tb", b""),
        (1, "6", Operation.UPSERT, "a\n", b""),
        (1, "6", Operation.UPSERT, "\ud800", b""),
        (1, "6", Operation.UPSERT, "a" * 2_049, b""),
        (1, "6", Operation.UPSERT, "a", b"\xff"),
        (1, "6", Operation.UPSERT, "a", b" " * (MAX_BODY_BYTES + 1)),
        (1, "6", Operation.DELETE, "a", b"{}"),
    ],
)
def test_change_that_cannot_be_is_refused(
    serial: int, table: str, operation: Operation, key: str, body: bytes
) -> None:
    with pytest.raises(ChangeError):
        Change(serial, table, operation, key, body)


def test_table_digest_is_the_hash_of_its_lines() -> None:
    rows = [Row("6", "a", b"1"), Row("6", "b", b"2"), Row("9", "a", b"3")]

    lines = f"6\ta\t{sha256(b'1').hexdigest()}\n6\tb\t{sha256(b'2').hexdigest()}\n".encode()
    first, second = digest_rows(rows)
    assert first == TableDigest("6", 2, sha256(lines).hexdigest())
    assert (second.table, second.rows) == ("9", 1)


def test_digest_does_not_depend_on_where_pages_end() -> None:
    rows = [Row(table, key, b"1") for table in ("1", "6") for key in ("a", "b", "c")]
    for cut in range(len(rows) + 1):
        digester = Digester()
        digester.add(rows[:cut])
        digester.add(rows[cut:])
        assert digester.digests() == digest_rows(rows)


def test_all_places_lie_between_start_and_end_in_the_order_of_their_bytes() -> None:
    places = [Place("1", "\U00020000"), Place("11", "a"), Place("2", "\uffff"), Place("E", "")]
    assert sorted(places, key=lambda each: [part.encode() for part in each]) == places
    assert all(START < place < END for place in places)
    assert Span(places[0], places[1]).holds(places[1])
    assert not Span(places[0], places[1]).holds(places[0])


def test_batch_takes_as_many_as_a_message_and_one_at_least() -> None:
    small = [Row("6", f"{number:04}", b"") for number in range(MAX_BATCH_ITEMS + 5)]
    large = [Row("6", str(number), b" " * 600_000) for number in range(3)]
    assert len(list(fill_batch(small))) == MAX_BATCH_ITEMS
    assert list(fill_batch(large)) == large[:1]
    assert list(fill_batch([])) == []
