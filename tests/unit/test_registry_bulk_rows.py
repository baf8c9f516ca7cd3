"""Rows of bulk work: packed for COPY, merged with what is stored, and told of in the result file."""

import pickle
from dataclasses import replace
from pathlib import Path

import orjson
from hypothesis import given
from hypothesis import strategies as st

from loadtest import corpus
from node.registry.batches import LoadRules, encode_chunk
from node.registry.chunks import Chunk
from node.registry.encoding import encode_part, encode_record
from node.registry.merging import Difference, Pair, merge
from node.registry.outcomes import Outcome, RowResult
from node.registry.parts import PartEncoder
from node.store.load import RecordRow, pack_row, unpack_row
from resolver.schemes import parse_handle
from resolver.wire import HandleValue, Reference, encode_values

NOW, EARLIER = 1_700_000_000, 1_600_000_000
NAME = parse_handle(b"88.118.8/x")

data = st.binary(max_size=20) | st.text(max_size=20).map(str.encode)
value_lists = st.lists(
    st.builds(
        HandleValue,
        index=st.integers(1, 6),
        type=st.sampled_from([b"URL", b"EMAIL", b"HS_SECKEY", b"HS_ALIAS", "泵".encode()]),
        data=data,
        ttl_type=st.integers(0, 1),
        ttl=st.integers(0, 2**31 - 1),
        timestamp=st.sampled_from([EARLIER, NOW]),
        permissions=st.sampled_from([0b1100, 0b1110]),
        references=st.sampled_from([(), (Reference(b"88.118.8/y", 1),)]),
    ),
    max_size=5,
    unique_by=lambda value: value.index,
)
optional = st.none() | st.binary(max_size=20)


@given(
    st.builds(
        RecordRow,
        *[st.binary(max_size=20)] * 3,
        st.integers(0, 2**31 - 1),
        st.none() | st.integers(0, 2**32),
        *[st.binary(max_size=20)] * 2,
        optional,
        optional,
    )
)
def test_a_packed_row_is_unpacked_as_it_was(row: RecordRow) -> None:
    packed = pack_row(row)
    assert (packed.key, packed.loaded) == (row.key, row.loaded)
    assert unpack_row(packed) == row


def test_a_batch_comes_from_another_process_as_it_was(tmp_path: Path) -> None:
    lines = [*map(orjson.dumps, corpus.records(100)), b"{", b""]
    rules = LoadRules(NOW, tmp_path / "none")
    batch = encode_chunk(Chunk(lines, range(1, len(lines) + 1)), rules)
    assert (len(batch.records), len(batch.begins), len(batch.errors)) == (100, 100, 1)
    sent = pickle.loads(pickle.dumps(batch))  # noqa: S301  our own
    assert sent == batch
    assert list(sent.records) == sorted(sent.records)
    empty = encode_chunk(Chunk([b""], range(1, 2)), rules)
    assert pickle.loads(pickle.dumps(empty)) == empty  # noqa: S301  our own


def test_a_batch_of_which_nothing_is_told_begins_no_lines(tmp_path: Path) -> None:
    lines = [orjson.dumps(line) for line in corpus.records(20)]
    batch = encode_chunk(Chunk(lines, range(1, 21)), LoadRules(NOW, tmp_path / "none", tells=False))
    name = next(iter(batch.prefixes))
    batch.refuse_prefix(name, "because")
    assert (batch.begins, len(batch.records), len(batch.errors)) == ([], 19, 1)
    assert batch.errors[0].handle == f"0.NA/{name.decode().lower()}"


@given(value_lists)
def test_a_value_is_encoded_again_as_it_was_the_first_time(values: list[HandleValue]) -> None:
    encoder = PartEncoder()
    for value in [*values, *values]:
        assert encoder.encode(value) == encode_part(value)


@given(value_lists, value_lists)
def test_a_merged_row_keeps_the_timestamps_of_what_stays(
    stored: list[HandleValue], given_values: list[HandleValue]
) -> None:
    before = {value.index: value for value in (_stored(each) for each in stored)}
    after = [_stored(each) for each in given_values]
    expected = []
    for value in after:
        old = before.get(value.index)
        stays = old and value.timestamp == NOW and replace(value, timestamp=old.timestamp) == old
        expected.append(old if old and stays else value)
    pair = Pair(pack_row(encode_record(NAME, after)), encode_values(list(before.values())))
    (merged,) = merge([pair], NOW)
    assert unpack_row(merged.row) == encode_record(NAME, expected)
    assert merged.differs == (expected != list(before.values()))
    assert merged.difference == Difference(
        tuple(each.index for each in expected if each.index not in before),
        tuple(each.index for each in expected if before.get(each.index, each) != each),
        tuple(index for index in before if index not in {each.index for each in expected}),
    )


@given(st.integers(1, 2**63 - 1), st.text(max_size=9), st.sampled_from([*Outcome]))
def test_a_line_of_the_result_file_says_what_is_there_and_no_more(
    row: int, handle: str, outcome: Outcome
) -> None:
    result = RowResult(row, handle, outcome)
    full = result._replace(difference=Difference((1,), (), (2, 3)), reason='a "reason"', code=400)
    least = {"row": result.row, "handle": result.handle, "outcome": result.outcome}
    assert orjson.loads(result.encode()) == least
    assert orjson.loads(full.encode()) == {
        **least,
        "added": [1],
        "removed": [2, 3],
        "code": 400,
        "reason": 'a "reason"',
    }


def _stored(value: HandleValue) -> HandleValue:
    """A secret key is never public, whatever its permissions say."""
    is_secret = value.type == b"HS_SECKEY"
    return replace(value, permissions=value.permissions & 0b1100) if is_secret else value
