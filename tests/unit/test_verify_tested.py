"""A load test is closed with no more records than the log's leaves have, where no body is there to be looked at."""

from dataclasses import replace

import pytest

from node.ledger.leaf import Block
from node.ledger.record import Class
from node.ledger.verify import tested
from tests.support.leaves import BLOCK, OPEN

CLOSED = replace(OPEN, state="close", observed=30)


def block(count: int) -> Block:
    """A block with so many records of class test, and one of production."""
    return replace(
        BLOCK,
        records=tuple({Class.PRODUCTION: 1, Class.TEST: count}.get(each, 0) for each in Class),
    )


@pytest.mark.parametrize(
    ("before", "during", "said"),
    [
        (0, 30, ""),
        (7, 31, ""),  # one more was sealed behind the counting
        (0, 29, "30 records, and the log has 29 of class test since it was opened"),
        (9, 29, "30 records, and the log has 29 of class test since it was opened"),
    ],
)
def test_leaves_bound_what_a_load_test_may_be_closed_with(
    before: int, during: int, said: str
) -> None:
    found = tested.Tested()
    found.block(block(before))
    found.open(CLOSED.number)
    for each in (during - 20, 20):
        found.block(block(each))
    assert found.excess(CLOSED) == said
