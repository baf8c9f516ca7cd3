"""The evidence index: modules, records, tiles, and what a crash leaves of them."""

from base64 import b64encode
from hashlib import sha256
from pathlib import Path

import pytest

from node.ledger.gomodule import ModuleError, module_of, pack, record, sums, unpack, version_of
from node.ledger.index import EvidenceIndex, load_signer, served
from node.ledger.keys import VerifierKey
from node.ledger.logfiles import LogDamaged
from node.ledger.note import Note, verify
from node.ledger.tlog import leaf_hash, root_from

ORIGIN = "log.example/ledger"
FILES = {"leaves.jsonl": b"{}\n", "heads/7.note": b"a head\n"}


def opened(directory: Path, *, is_new: bool = False) -> EvidenceIndex:
    signer = load_signer(directory / "keys", ORIGIN, is_new=is_new)
    return EvidenceIndex.open(directory / "index", signer, ORIGIN)


def grown(directory: Path, days: int) -> EvidenceIndex:
    index = opened(directory, is_new=True)
    for day in range(days):
        index.add(f"v0.{20260101 + day}.0", {"day": b"%d\n" % day})
    return index


def test_a_module_is_named_after_the_host_of_the_log() -> None:
    assert module_of("Log.Example:8000/ledger") == "log.example/evidence"
    assert module_of("localhost/ledger") == "localhost.invalid/evidence"
    assert version_of("2026-11-03") == "v0.20261103.0"


@pytest.mark.parametrize("origin", ["", "/x", "host name/x", "日志.example/x", "-a.example"])
def test_an_origin_without_a_host_has_no_module(origin: str) -> None:
    with pytest.raises(ModuleError):
        module_of(origin)


@pytest.mark.parametrize("name", ["../x", "/x", "a b", "a//b", ".hidden", "文"])
def test_a_file_that_go_would_refuse_is_refused(name: str) -> None:
    with pytest.raises(ModuleError):
        pack("log.example/evidence", "v0.20260101.0", {name: b""})


def test_the_checksum_is_over_names_and_contents_and_not_over_the_packing() -> None:
    module, version = "log.example/evidence", "v0.20260101.0"
    assert unpack(module, version, pack(module, version, FILES)) == FILES
    lines = sums({f"{module}@{version}/{name}": data for name, data in FILES.items()})
    expected = b64encode(sha256(lines).digest())
    assert record(module, version, FILES).splitlines()[0].endswith(b" h1:" + expected)


def test_the_head_is_that_of_the_records(tmp_path: Path) -> None:
    index = grown(tmp_path, 5)
    texts = [
        record(index.module, f"v0.{20260101 + day}.0", {"day": b"%d\n" % day}) for day in range(5)
    ]
    assert index.head == (5, root_from(map(leaf_hash, texts)))
    key = VerifierKey.parse((tmp_path / "keys/index.vkey").read_text().strip())
    note = Note.parse((tmp_path / "index/sumdb/latest").read_bytes())
    assert verify(note, [key])
    assert note.text.startswith("go.sum database tree\n5\n")


def test_an_index_is_taken_up_where_it_was_left(tmp_path: Path) -> None:
    index = grown(tmp_path, 3)
    again = opened(tmp_path)
    assert again.head == index.head
    assert again.add("v0.20260103.0", {"day": b"something else"}) == index.head
    assert again.add("v0.20260104.0", {"day": b"3\n"})[0] == 4


@pytest.mark.parametrize("lost", ["lookup/log.example/evidence@v0.20260103.0", "latest"])
def test_a_crash_before_the_last_files_is_made_good(tmp_path: Path, lost: str) -> None:
    older = (grown(tmp_path, 2), (tmp_path / "index/sumdb/latest").read_bytes())[1]
    files = tmp_path / "index/sumdb"
    before = opened(tmp_path).add("v0.20260103.0", {"day": b"2\n"})
    (files / "lookup/log.example/evidence@v0.20260103.0").unlink()
    if lost == "latest":
        (files / "latest").write_bytes(older)
    again = opened(tmp_path)
    after = again.add("v0.20260103.0", {"day": b"made anew, but the module was there\n"})
    assert after == before
    assert again.has("v0.20260103.0")


def test_another_history_is_not_written_over_the_first(tmp_path: Path) -> None:
    older = (grown(tmp_path, 2), (tmp_path / "index/sumdb/latest").read_bytes())[1]
    opened(tmp_path).add("v0.20260103.0", {"day": b"2\n"})
    (tmp_path / "index/sumdb/latest").write_bytes(older)
    with pytest.raises(LogDamaged, match="differs"):
        opened(tmp_path).add("v0.20260109.0", {"day": b"another\n"})


def test_a_damaged_tile_stops_it(tmp_path: Path) -> None:
    grown(tmp_path, 3)
    (tmp_path / "index/sumdb/tile/8/0/000.p/3").write_bytes(bytes(96))
    with pytest.raises(LogDamaged, match="not those of its head"):
        opened(tmp_path)


def test_no_key_is_made_for_an_index_that_has_records(tmp_path: Path) -> None:
    grown(tmp_path, 1)
    (tmp_path / "keys/index.key").unlink()
    with pytest.raises(LogDamaged, match="put it back"):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("path", "is_final"),
    [
        ("sumdb/latest", False),
        ("proxy/log.example/evidence/@v/list", False),
        ("proxy/log.example/evidence/@v/v0.20260101.0.zip", True),
        ("sumdb/lookup/log.example/evidence@v0.20260101.0", True),
        ("sumdb/tile/8/0/000.p/1", True),
    ],
)
def test_files_of_the_index_are_served(tmp_path: Path, path: str, *, is_final: bool) -> None:
    grown(tmp_path, 1)
    found = served(tmp_path, path)
    assert found is not None
    assert found == ((tmp_path / "index" / path).read_bytes(), is_final)


@pytest.mark.parametrize(
    "path",
    ["", "sumdb", "sumdb/", "../keys/index.key", "sumdb/../../keys/index.key", "sumdb/..", "proxy//x", "keys/index.key",
     "sumdb/latest/", "sumdb/latest\0", "sumdb/.hidden", "/sumdb/latest", "sumdb/tile"],
)  # fmt: skip
def test_nothing_else_is_served(tmp_path: Path, path: str) -> None:
    grown(tmp_path, 1)
    assert served(tmp_path, path) is None
