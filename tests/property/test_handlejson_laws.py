"""Laws of Handle JSON: what is written reads back as the same value; any JSON is read or refused."""

import orjson
from hypothesis import given
from hypothesis import strategies as st

from resolver.handlejson import HandleJsonError, values_from_json, values_to_json
from resolver.wire import HandleValue, Reference

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
HANDLES = TEXTS.map(str.encode)
INDEXES = st.integers(1, 2**31 - 1)
TYPES = st.sampled_from([b"URL", b"HS_ADMIN", b"HS_SITE", b"HS_VLIST", b"HS_PUBKEY", b"HS_SECKEY"])
REFERENCES = st.builds(Reference, HANDLES, st.integers(0, 2**31 - 1))
VALUES = st.builds(
    lambda moment, **fields: HandleValue(ttl_type=moment[0], ttl=moment[1], **fields),
    st.tuples(st.just(0), st.integers(0, 2**31 - 1))
    | st.tuples(st.just(1), st.integers(0, 2**32 - 1)),
    index=INDEXES,
    type=TYPES | TEXTS.filter(bool).map(str.encode),
    data=st.binary(max_size=60) | HANDLES,
    timestamp=st.integers(1, 2**32 - 1),
    permissions=st.integers(0, 15),
    references=st.lists(REFERENCES, max_size=3).map(tuple),
)
RECORDS = st.lists(VALUES, max_size=5, unique_by=lambda value: value.index)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUE_FIELDS = ["index", "type", "data", "format", "value", "ttl", "timestamp", "permissions"]
TYPED_FIELDS = ["references", "handle", "kty", "n", "e", "servers", "interfaces", "address"]
FIELDS = st.sampled_from([*VALUE_FIELDS, *TYPED_FIELDS, "protocol", "publicKey"])
FORMATS = st.sampled_from(["string", "base64", "hex", "admin", "vlist", "site", "key", "RSA"])
JSON = st.recursive(
    SCALARS | FORMATS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(FIELDS, inner, max_size=8),
    max_leaves=25,
)


@given(RECORDS)
def test_written_values_read_back(record: list[HandleValue]) -> None:
    written = values_to_json(record)

    again = values_from_json(orjson.loads(written), now=0, keep_timestamps=True)

    assert again == tuple(sorted(record, key=lambda value: value.index))
    assert values_to_json(again) == written


@given(st.lists(JSON, max_size=3))
def test_any_json_is_read_or_refused(items: list[object]) -> None:
    try:
        values = values_from_json(items, now=1, keep_timestamps=True)
    except HandleJsonError:
        return
    values_to_json(values)


@given(JSON, FORMATS)
def test_any_data_is_read_or_refused(content: object, form: str) -> None:
    item = {"index": 1, "type": "X", "data": {"format": form, "value": content}}
    try:
        values_from_json([item], now=1)
    except HandleJsonError:
        return
