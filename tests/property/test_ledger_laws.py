"""Laws of canonical JSON and of blocks that hold for every input."""

from contextlib import suppress
from typing import Any

import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from node.ledger.block import (
    NO_TOTAL,
    BlockError,
    Chain,
    Circumstances,
    check,
    record_path,
    record_root,
    seal,
    sum_up,
)
from node.ledger.canonical import MAX_NUMBER, canonical, parse_canonical
from node.ledger.leaf import LeafError, parse
from node.ledger.record import RECORD_BYTES, decode_all
from node.ledger.tlog import EMPTY_ROOT, leaf_hash, verify_inclusion
from tests.support.ledgers import START_US, body

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    st.booleans() | st.integers(-MAX_NUMBER, MAX_NUMBER) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@given(values)
def test_canonical_json_is_that_of_others_and_is_read_back(value: Any) -> None:
    data = canonical(value)
    assert data == rfc8785.dumps(value)
    assert parse_canonical(data) == value


@given(st.binary(max_size=200))
def test_any_bytes_are_a_leaf_or_an_error(data: bytes) -> None:
    with suppress(LeafError):
        assert parse(data).line() == data


@given(st.lists(st.integers(0, 40), min_size=1, max_size=5))
def test_blocks_follow_one_another_and_come_to_their_sums(counts: list[int]) -> None:
    chain, first = Chain(2, 9, START_US), 1
    total: tuple[int, ...] = NO_TOTAL
    for number, count in enumerate(counts, 1):
        data = body(first, count, lane=2, epoch=9)
        block = seal(data, chain, Circumstances(START_US + 10**9, (0, EMPTY_ROOT), total, 1))
        check(block, data)
        assert block.block == number
        assert block.sequence == (first, first + count - 1)
        assert block.span[0] <= chain.ended_at <= block.span[1]
        assert block.previous == chain.previous
        total = tuple(a + b for a, b in zip(total, sum_up(data).successes, strict=True))
        assert block.total == total
        chain, first = Chain.after(block), first + count
    assert sum(total) == first - 1


@settings(max_examples=50)
@given(st.integers(1, 70), st.data())
def test_each_record_is_proven_by_its_path(count: int, data: st.DataObject) -> None:
    records = body(1, count)
    place = data.draw(st.integers(0, count - 1))
    one = records[place * RECORD_BYTES : (place + 1) * RECORD_BYTES]
    path = record_path(records, place)
    verify_inclusion(place, count, leaf_hash(one), path, record_root(records))
    assert [each.seq for each in decode_all(records)] == list(range(1, count + 1))


@settings(max_examples=60)
@given(st.integers(1, 20), st.data())
def test_no_bit_of_a_body_can_be_changed(count: int, data: st.DataObject) -> None:
    records = bytearray(body(1, count))
    around = Circumstances(START_US, (0, EMPTY_ROOT), (0,) * 6, 1)
    block = seal(bytes(records), Chain(0, 1, START_US), around)
    bit = data.draw(st.integers(0, len(records) * 8 - 1))
    records[bit // 8] ^= 1 << bit % 8
    try:
        check(block, bytes(records))
    except BlockError:
        return
    raise AssertionError("a changed body was accepted")
