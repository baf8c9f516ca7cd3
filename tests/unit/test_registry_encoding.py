"""A record's row, put together from values that were encoded one by one."""

import re

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest import corpus
from node.registry import encoding
from node.registry.encoding import RecordTooLong, ValueReader, encode_record, join_record
from resolver.handlejson import HandleJsonError, values_from_json, values_to_json
from resolver.schemes import parse_handle
from resolver.wire import HandleValue, encode_values

NOW = 1_700_000_000
NAME = parse_handle(b"88.118.8/x")

values_strategy = st.lists(
    st.builds(
        HandleValue,
        index=st.integers(1, 2**31 - 1),
        type=st.sampled_from([b"URL", b"EMAIL", "\u6cf5".encode()]),
        data=st.binary(max_size=40),
        ttl_type=st.integers(0, 1),
        ttl=st.integers(0, 2**31 - 1),
        timestamp=st.integers(0, 2**31 - 1),
        permissions=st.integers(0, 15),
    ),
    max_size=6,
    unique_by=lambda value: value.index,
)


@given(values_strategy)
def test_a_row_holds_what_the_codecs_write(values: list[HandleValue]) -> None:
    row = encode_record(NAME, values)
    public = [value for value in values if value.is_public]
    assert row.wire == encode_values(public)
    assert row.json == values_to_json(public)
    assert row.whole == (None if public == values else encode_values(values))


def test_a_remembered_value_reads_as_a_fresh_one() -> None:
    reader = ValueReader(NOW)
    for line in corpus.records(600):
        identifier = parse_handle(str(line["handle"]).encode())
        values = values_from_json(line["values"], now=NOW, keep_timestamps=True)
        row = join_record(identifier, reader.read(line["values"]))
        assert row == encode_record(identifier, values)


texts = st.text(max_size=30) | st.sampled_from(
    ['"', '\\"value\\":""', "\x13", "\x85", "\u2028", "泵"]
)


@given(st.lists(st.tuples(texts, texts, st.integers(-1, 2**31)), min_size=1, max_size=5))
def test_any_text_of_any_kind_reads_as_the_codec_reads_it(
    found: list[tuple[str, str, int]],
) -> None:
    reader = ValueReader(NOW)
    for kind, data, index in found:
        items = [{"index": index, "type": kind, "data": data}]
        try:
            expected = encode_record(NAME, values_from_json(items, now=NOW))
        except HandleJsonError as error:
            with pytest.raises(HandleJsonError, match=re.escape(str(error))):
                reader.read(items)
        else:
            assert join_record(NAME, reader.read(items)) == expected


@pytest.mark.parametrize("kind", ["HS_ADMIN", "hs_vlist", "HS_SECKEY", "HS_SITE", "HS_PUBKEY"])
@pytest.mark.parametrize("data", ["", "plain", "\0" * 8])
def test_text_in_a_value_of_the_protocols_own_types_reads_as_the_codec_reads_it(
    kind: str, data: str
) -> None:
    items = [{"index": 5, "type": kind, "data": data}]
    expected = encode_record(NAME, values_from_json(items, now=NOW))
    assert join_record(NAME, ValueReader(NOW).read(items)) == expected


def test_memory_of_values_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "REMEMBERED_VALUES", 3)
    reader = ValueReader(NOW)
    for number in range(20):
        reader.read([{"index": 1, "type": "A", "data": str(number)}])
        reader.read([{"index": 1 + number, "type": "A", "data": ""}])
    reader.read([{"index": 1, "type": "A", "data": "x" * 10_000}])
    assert len(reader._known) <= 3
    assert len(reader._frames) <= 4
    assert max(map(len, reader._known)) <= encoding.REMEMBERED_BYTES


@pytest.mark.parametrize(
    "items",
    [
        None,
        {"index": 1},
        [7],
        [{"index": 1, "type": "A", "data": ""}] * 2,
        [{"index": number, "type": "A", "data": ""} for number in range(1, 2_050)],
        [{"index": 1, "type": "A", "data": orjson.loads("[" * 300 + "]" * 300)}],
    ],
)
def test_values_that_cannot_be_read_are_refused_as_the_codec_does(items: object) -> None:
    with pytest.raises(HandleJsonError):
        ValueReader(NOW).read(items)


def test_a_record_longer_than_a_message_is_refused() -> None:
    with pytest.raises(RecordTooLong):
        encode_record(NAME, [HandleValue(1, b"A", b"x" * encoding.MAX_RECORD_BYTES)])
    with pytest.raises(RecordTooLong):
        encode_record(NAME, [HandleValue(1, b"A", b"x" * encoding.MAX_RECORD_BYTES, permissions=8)])
