"""Lines that are read by their text: each becomes the row that parsing it gives, or is left to who parses it."""

import json
from collections.abc import Callable

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loadtest import corpus
from node.registry import plainlines
from node.registry.encoding import encode_record
from node.registry.names import check_name
from node.registry.plainlines import PlainReader, PlainRecord, digest_of
from node.store.load import pack_row
from resolver.handlejson import values_from_json
from resolver.schemes import parse_handle

NOW = 1_700_000_000

handles = st.sampled_from(
    [
        *(
            "88.118.8/A",
            "88.118.8/a b",
            "88.118.8/\u6cf5\u00e9",
            "88.118.8/e\u0301",
            "10.1/Ab",
            "0.NA/88.1.2",
        ),
        *(
            "88.118/x",
            "88.118.8/",
            "/x",
            "88.118.8",
            "oid:1.2.156.1000.3",
            "ecode:1",
            "hdl:88.1.2/x",
            "88.1.2/\x7f",
        ),
        *(
            '88.1.2/"',
            "88.1.2/\\",
            "88.1.2/" + "x" * 250,
            "88.1.2/i\u0307",
            "\u6cf5.1.2/x",
            "88.1.2/\u2028",
            "\u212b/x",
        ),
    ]
) | st.text(max_size=12).map("88.118.8/{}".format)
texts = st.text(max_size=12) | st.sampled_from(
    ["", "plain", "},{", '"', "\\", '"value":""', "\x13", "\u3000", "x" * 600, "withheld", "\u6cf5"]
)
values = st.fixed_dictionaries(
    {
        "index": st.integers(1, 4) | st.sampled_from([0, 2**31, "7", None]),
        "type": st.sampled_from(["URL", "EMAIL", "HS_ADMIN", "hs_seckey", "\u6cf5", "", "{", 5]),
        "data": texts
        | st.builds(lambda text: {"format": "string", "value": text}, texts)
        | st.none(),
    },
    optional={
        "ttl": st.sampled_from([0, 60, 10**6, "2030-01-01T00:00:00Z", -1, "data"]),
        "permissions": st.sampled_from(["1110", "1100", "0000", "x"]),
        "timestamp": st.just("2023-11-14T22:13:20Z"),
        "references": st.just([{"handle": "88.1.2/y", "index": 1}]),
        "more": texts,
    },
)
records = st.fixed_dictionaries(
    {"handle": handles, "values": st.lists(values, max_size=4)},
    optional={"delegated": st.booleans(), "operation": st.just("create")},
)
dumps = st.sampled_from(
    [
        orjson.dumps,
        lambda item: json.dumps(item, ensure_ascii=False).encode(),
        lambda item: json.dumps(item).encode(),
        lambda item: orjson.dumps(item, option=orjson.OPT_SORT_KEYS),
    ]
)


def parse(line: bytes, *, case_sensitive: bool = False) -> PlainRecord:
    """Return what a line says by the codecs alone.  Raises ValueError."""
    item = orjson.loads(line)
    identifier = parse_handle(item["handle"].encode(), case_sensitive=case_sensitive)
    check_name(identifier)
    found = values_from_json(item["values"], now=NOW, keep_timestamps=True)
    row = encode_record(identifier, found, digest_of(line))
    return PlainRecord(pack_row(row), identifier.prefixes)


@given(
    st.lists(records, min_size=1, max_size=5),
    dumps,
    st.booleans(),
    st.tuples(st.integers(0, 400), st.integers(0, 3), st.binary(max_size=3)) | st.none(),
)
@example(
    [{"handle": "88.1.2/x", "values": [{"index": 1, "type": "A", "data": "b"}] * 2}],
    orjson.dumps,
    False,
    None,
)
def test_a_plain_line_reads_as_the_codecs_read_it_and_another_is_left_to_them(
    items: list[dict[str, object]],
    dump: Callable[[object], bytes],
    case_sensitive: bool,
    damage: tuple[int, int, bytes] | None,
) -> None:
    reader = PlainReader(NOW, case_sensitive=case_sensitive)
    for line in map(dump, items):
        if damage is not None:
            place, length, other = damage
            line = line[:place] + other + line[place + length :]
        for _ in range(2):  # the second time from memory
            found = reader.read(line)
            assert found is None or found == parse(line, case_sensitive=case_sensitive)


@pytest.mark.parametrize(
    "dump", [orjson.dumps, lambda item: json.dumps(item, ensure_ascii=False).encode()]
)
def test_lines_as_programs_write_them_are_plain(dump: Callable[[object], bytes]) -> None:
    reader = PlainReader(NOW, case_sensitive=False)
    for item in corpus.records(600):
        line = dump(item)
        found = reader.read(line)
        if str(item["handle"]).startswith("0.NA/"):
            assert found is None
        else:
            assert found == parse(line)


@pytest.mark.parametrize(
    "line",
    [
        b'{"handle":"88.1.2/x","values":[{"index":1,"type":"A","data":"b}]}',
        b'{"handle":"88.1.2/x","values":[{"index":1,"type":"A","data":"b},{"index":2,"type":"A","data":"b"}]}',
        b'{"handle":"88.1.2/x","values":[{"index":1,"type":"A","data":"b"}],"values":[{"index":2,"type":"A","data":"b"}]}',
        b'{"handle":"88.1.2/x","values":[{"index":1,"type":"A","data":"b"},]}',
        b'{"handle":"88.1.2/x","values":[{"index":1,"type":"A","data":"b"}]}]}',
        b'{"handle":"88.1.2/x","values":[{"index":1,"type":"A","data":"b"} {"index":2,"type":"A","data":"b"}]}',
        b'{"handle":"88.1.2/x","values":[{"index":1,"type":"A","data":"\xff"}]}',
        b'{"handle":"88.1.2/\xff","values":[{"index":1,"type":"A","data":"b"}]}',
        b'{"handle":"88.1.2/x","values":[{"index":5,"type":"HS_SECKEY","data":"key"}]}',
        b'{"handle":"88.1.2/x","values":[{"index":5,"type":"HS_SECKEY","data":{"format":"withheld"}}]}',
        b'{"handle":"88.1.2/x","values":[{"index":5,"type":"A","data":{"format":"\\u0077ithheld"}}]}',
        b'{"handle":"88.1.2/x","values":[{"data":{"format":"withheld"},"index":5,"type":"HS_SECKEY"}]}',
        b'{"handle":"0.NA/88.1.2","values":[{"index":1,"type":"A","data":"b"}]}',
        b'{"handle":"88.1.2/x","values":[{"index":1,"type":"A","data":"b","data":"c"},{"index":1,"type":"A","data":""}]}',
    ],
)
def test_what_needs_a_second_look_is_not_plain(line: bytes) -> None:
    reader = PlainReader(NOW, case_sensitive=False)
    assert reader.read(line) is None


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plainlines, "REMEMBERED_VALUES", 20)
    monkeypatch.setattr(plainlines, "REMEMBERED_TEXTS", 3)
    reader = PlainReader(NOW, case_sensitive=False)
    for number in range(200):
        items = [
            {"index": 1, "type": "URL", "data": f"https://{number}/"},
            {"index": 2 + number, "type": "A", "data": "", "ttl": number},
            {"index": 1000, "type": f"A{number}", "data": {"format": "string", "value": "x"}},
        ]
        line = orjson.dumps({"handle": f"88.1.2/{number}", "values": items})
        assert reader.read(line) == parse(line)
    (opening,) = reader._openings[plainlines._COMPACT].values()
    assert len(opening.known) <= 20
    assert len([core for core in opening.known if b"https" in core]) <= 3
    assert max(map(len, (reader._frames, reader._kinds, reader._plans))) <= 22
