"""表9 as it is made from records."""

from datetime import UTC, datetime

import pytest

from node.model.master import Operation
from node.store.masters import master_row, operation_of
from sync.channels.tables import MASTER_RECORD

NOON = datetime(2026, 1, 31, 4, tzinfo=UTC)


def test_a_record_is_told_with_its_day_and_what_was_done_to_it() -> None:
    row = master_row(b"88.118.8/A|1%2", NOON, Operation.CHANGE)

    assert row is not None
    assert row.place == ("9", "88.118.8/A|1%2")
    assert row.body == b'{"created":"2026-01-31","identifier":"88.118.8/A|1%2","operation":3}'
    assert MASTER_RECORD.check(row.body, key=row.key).is_accepted


def test_a_day_begins_in_shanghai() -> None:
    row = master_row(b"88.118.8/A", datetime(2026, 1, 31, 16, tzinfo=UTC), Operation.NEW)

    assert row is not None
    assert b'"created":"2026-02-01"' in row.body


@pytest.mark.parametrize(
    "key",
    [
        b"0.NA/88.118.8",
        b"88.118.8/" + b"A" * 247,
        b"88.118.8/A\nB",
        b"88.118.8/A ",
        "88.118.8/\x85".encode(),
        b"88.118.8/\xff",
    ],
    ids=["prefix", "too long", "control", "outer space", "C1 control", "no UTF-8"],
)
def test_what_the_table_does_not_take_has_no_row(key: bytes) -> None:
    assert master_row(key, NOON, Operation.NEW) is None


def test_identifiers_are_as_long_as_the_table_says_in_characters() -> None:
    assert master_row(("88.118.8/" + "标" * 246).encode(), NOON, Operation.NEW) is not None
    assert master_row(("88.118.8/" + "标" * 247).encode(), NOON, Operation.NEW) is None


@pytest.mark.parametrize(
    ("version", "is_gone", "operation"),
    [
        (1, False, Operation.NEW),
        (2, False, Operation.CHANGE),
        (2, True, Operation.DELETE),
        (3, False, Operation.CHANGE),
    ],
)
def test_a_version_says_what_was_done(version: int, is_gone: bool, operation: Operation) -> None:
    assert operation_of(version, is_gone=is_gone) is operation
