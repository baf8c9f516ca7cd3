"""Laws of bulk files: whatever is in them is read or refused, row by row; what is escaped comes back as it was."""

import io
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.registry.chunks import Chunk, RowError
from node.registry.genericbatch import cut_generic_batch
from node.registry.manifests import BadManifest, Manifest, decode_manifest
from node.registry.rowwrites import RowRules, read_rows
from node.registry.spreadsheet import escape_formula, unescape_formula
from resolver.registrar import Caller, Operation

RULES = RowRules(Caller(b"", 0, "operator", is_operator=True), "test", "", 1_700_000_000, False)
WORDS = st.sampled_from(
    [
        *("CREATE 88.1.2/x", "ADD 88.1.2/x", "MODIFY 88.1.2/x", "REMOVE 1,2:88.1.2/x", "REMOVE x"),
        *("DELETE 88.1.2/x", "HOME h:1:TCP", "UNHOME", "0.NA/88.1.2", "AUTHENTICATE SECKEY:1:a/b"),
        *("SESSIONSETUP", "", "1 URL 86400 1110 UTF8 x", "1 HS_ADMIN 1 1110 ADMIN", "FROBNICATE"),
        *("300:111111111111:0.NA/88.1.2", "1 A 1 1110 LIST 1:a/b;2:c/d", "1 A 1 1110 FILE /x", "1"),
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
ROWS = st.fixed_dictionaries(
    {},
    optional={
        "operation": st.sampled_from([*Operation]) | JSON,
        "handle": st.sampled_from(["88.1.2/x", "0.NA/88.1.2", "88.1", "/"]) | JSON,
        "values": st.just([{"index": 1, "type": "URL", "data": "x"}]) | JSON,
        "indexes": st.lists(st.integers(), max_size=3) | JSON,
        "overwrite": st.booleans() | JSON,
        "reason": st.text(max_size=8) | JSON,
        "if_version": st.integers() | JSON,
    },
)


def all_of(chunks: list[Chunk]) -> tuple[list[bytes], list[RowError]]:
    return [line for each in chunks for line in each.lines], [e for c in chunks for e in c.errors]


@given(st.lists(WORDS | st.text(max_size=20), max_size=20))
def test_any_batch_file_becomes_rows_and_refusals(words: list[str]) -> None:
    text = "\n".join(words).encode("utf-8", "surrogatepass")
    chunks = list(cut_generic_batch(io.BytesIO(text)))
    lines, _ = all_of(chunks)
    assert all("operation" in orjson.loads(line) for line in lines)
    for chunk in chunks:
        assert list(chunk.rows) == sorted(chunk.rows)
        read_rows(chunk, RULES)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_batch_file_or_refused(data: bytes) -> None:
    all_of(list(cut_generic_batch(io.BytesIO(data))))


@pytest.mark.parametrize(
    "form",
    [
        "{} HS_SECKEY 86400 1100 UTF8 x",
        "300 HS_SECKEY {} 1100 UTF8 x",
        "300 HS_SECKEY 86400 1100 {}",
        "300 HS_SECKEY {}",
        "{}",
    ],
)
def test_a_secret_that_slipped_into_another_place_of_a_batch_file_is_not_shown(form: str) -> None:
    text = "CREATE 88.1/x\n" + form.format("geheim") + "\n"
    _, errors = all_of(list(cut_generic_batch(io.BytesIO(text.encode()))))
    assert len(errors) == 1
    assert "geheim" not in errors[0].reason


@given(st.lists(ROWS | JSON, max_size=5))
def test_any_rows_of_operations_are_writes_or_refused_each_by_itself(rows: list[object]) -> None:
    lines = [orjson.dumps(row, default=str) for row in rows if _is_json(row)]
    writes, errors = read_rows(Chunk(lines, range(1, len(lines) + 1)), RULES)
    assert sorted([each.row for each in writes] + [each.row for each in errors]) == list(
        range(1, len(lines) + 1)
    )
    assert not [each for each in writes if each.write.operation is Operation.REVERT]


def _is_json(row: object) -> bool:
    try:
        orjson.dumps(row)
    except TypeError:  # an integer beyond 64 bits
        return False
    return True


@given(st.text())
def test_an_escaped_text_is_no_formula_and_comes_back(text: str) -> None:
    shown = escape_formula(text)
    assert shown[:1] not in tuple("=+-@\t\r\n＝＋－＠")
    assert unescape_formula(shown) == text


@given(
    st.integers(0, 2**40),
    st.integers(0, 9),
    st.uuids(),
    st.integers(0, 2**62),
    st.integers(0, 4_000_000_000),
    st.binary(min_size=32, max_size=32),
)
def test_a_manifest_is_read_as_it_was_written(
    records: int, few: int, epoch: UUID, serial: int, at: int, digest: bytes
) -> None:
    manifest = Manifest(records, few, few, epoch, serial, at, digest.hex(), "out file.csv")
    assert decode_manifest(manifest.encode()) == manifest


@given(st.binary(max_size=200))
def test_what_is_no_manifest_is_refused(data: bytes) -> None:
    for text in (data, b"# idnode export 1\n" + data):
        try:
            decode_manifest(text)
        except BadManifest:
            continue
        raise AssertionError(text)
