"""Digests of bodies are the same whoever makes them, in the order in which they were asked for."""

from hashlib import sha256
from multiprocessing import active_children

import pytest

from node.ledger.record import RECORD_BYTES, Record, encode, seed_of
from node.ledger.verify.digests import BATCH_BYTES, Digester, Task, digests_of

LANE, EPOCH = 3, 7


def body(first: int, count: int) -> bytes:
    seed = seed_of(LANE, EPOCH)
    numbers = range(first, first + count)
    return b"".join(encode(Record(seq, seq, *[0] * 13), seed) for seq in numbers)


def tasks() -> list[Task]:
    whole = BATCH_BYTES // RECORD_BYTES
    return [
        Task(body(1 + at, count), LANE, EPOCH, 1 + at)
        for at, count in enumerate((3, whole, 0, whole, 40))
    ]


@pytest.mark.parametrize(("helpers", "little"), [(0, 0), (2, 0), (2, BATCH_BYTES)])
def test_digests_come_back_in_order_with_helpers_or_without(helpers: int, little: int) -> None:
    digester = Digester(helpers, little)
    for task in tasks():
        digester.take(task)
    assert list(digester.finish()) == [digests_of(task) for task in tasks()]


@pytest.mark.parametrize("size", [0, RECORD_BYTES])
def test_digests_that_are_there_are_given_back_and_held_no_longer(size: int) -> None:
    """Or a long log, most of whose minutes are empty, would fill the memory."""
    digester, given = Digester(0, 0), 0
    task = Task(body(1, size // RECORD_BYTES), LANE, EPOCH, 1)
    for _ in range(BATCH_BYTES // RECORD_BYTES + 1):
        digester.take(task)
        given += len(digester.ready())
    left = digester.finish()
    assert given > 0
    assert given + len(left) == BATCH_BYTES // RECORD_BYTES + 1
    assert {*left} <= {digests_of(task)}


def test_what_lost_helpers_had_is_done_here() -> None:
    digester = Digester(1, 0)
    asked = tasks()
    digester.take(asked[1])
    helpers = active_children()
    assert helpers
    for helper in helpers:
        helper.kill()
    for task in asked:
        digester.take(task)
    assert list(digester.finish()) == [digests_of(task) for task in (asked[1], *asked)]


def test_record_in_a_wrong_place_is_told() -> None:
    data = body(5, 3)
    spoilt = data[:RECORD_BYTES] + data[2 * RECORD_BYTES :] + data[:RECORD_BYTES]
    assert digests_of(Task(data, LANE, EPOCH, 5)).bad is None
    assert digests_of(Task(spoilt, LANE, EPOCH, 5)).bad == 6
    assert digests_of(Task(data, LANE, EPOCH + 1, 5)).bad == 5


def test_bytes_that_are_no_whole_records_have_digests() -> None:
    data = body(5, 3)[:-9]
    made = digests_of(Task(data, LANE, EPOCH, 5))
    assert (made.sha256, made.bad) == (sha256(data).hexdigest(), None)
