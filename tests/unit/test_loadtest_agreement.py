"""The comparison of the sync's campaigns sees what is lost, altered, put twice, or put out of order."""

import pytest

from loadtest.agreement import Told, differences, digests_of, in_order
from sync.change import Row

CHANGES = [Told(serial, "9", f"88.1/{serial}") for serial in (1, 2, 3)]
ROWS = [Row("6", "e1", b"{}"), Row("9", "88.1/1", b"1"), Row("9", "88.1/2", b"2")]


def test_equal_sides_differ_in_nothing() -> None:
    assert list(differences(ROWS, ROWS, digests_of(ROWS))) == []
    assert list(in_order(CHANGES, CHANGES)) == []


@pytest.mark.parametrize(
    ("theirs", "said"),
    [
        (ROWS[:2], "lost"),
        ([*ROWS, Row("9", "88.1/3", b"3")], "not ours"),
        ([*ROWS[:2], Row("9", "88.1/2", b"1")], "another body"),
    ],
)
def test_rows_that_differ_are_told_with_their_table(theirs: list[Row], said: str) -> None:
    faults = list(differences(ROWS, theirs, digests_of(theirs)))
    assert [fault.partition(":")[0] for fault in faults] == ["table 9", said]


def test_the_account_of_the_top_level_node_counts_beside_its_rows() -> None:
    assert len(list(differences(ROWS, ROWS, digests_of(ROWS[:2])))) == 1


@pytest.mark.parametrize(
    ("diary", "said"),
    [
        ([*CHANGES, CHANGES[2]], "put out of order, or twice"),
        ([CHANGES[1], CHANGES[0], CHANGES[2]], "put out of order, or twice"),
        ([CHANGES[0], CHANGES[2]], "never put"),
        ([*CHANGES, Told(4, "9", "88.1/4")], "put, and no change"),
    ],
)
def test_what_was_put_otherwise_than_it_was_changed_is_told(diary: list[Told], said: str) -> None:
    assert [fault.partition(":")[0] for fault in in_order(diary, CHANGES)] == [said]
