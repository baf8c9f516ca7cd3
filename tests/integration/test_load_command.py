"""`idnode load`: what it prints, where refused rows go, and its exit codes."""

import asyncio
import io
from pathlib import Path

import orjson
import pytest

from loadtest import corpus
from node import cli
from node.store.database import Database
from node.store.prefixes import PrefixState, read_prefixes

pytestmark = pytest.mark.db


@pytest.fixture
def corpus_file(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IDNODE_DATABASE_URL", database_url)
    path = tmp_path / "corpus.ndjson"
    with path.open("wb") as out:
        corpus.write(out, corpus.records(100))
    return path


def test_a_clean_load_says_what_it_did(
    corpus_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["load", str(corpus_file)]) == 0
    shown = capsys.readouterr()
    assert "100 rows in" in shown.out
    assert "100 records written, 0 unchanged, 11 prefixes set, 0 rows refused." in shown.out
    assert shown.err == ""
    assert cli.main(["load", str(corpus_file)]) == 0
    assert "0 records written, 100 unchanged, 0 prefixes set" in capsys.readouterr().out


def test_refused_rows_are_listed_beside_the_file(
    corpus_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus_file.write_bytes(b'broken\n{"handle": "88.118.8/x", "values": []}\n')
    assert cli.main(["load", str(corpus_file)]) == 1
    listed = orjson.loads((corpus_file.parent / "corpus.ndjson.errors.ndjson").read_bytes())
    assert listed["row"] == 1
    shown = capsys.readouterr().out
    assert "1 rows refused" in shown
    assert "row 1: (no handle): " in shown
    assert "Warning: 1 records lie under prefixes that this node does not serve: 88.118.8 (1)." in (
        shown
    )


def test_csv_from_standard_input_delegated(
    corpus_file: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = io.TextIOWrapper(io.BytesIO(b"handle,index,type,data\n0.NA/88.7.7,,,\n"))
    monkeypatch.setattr("sys.stdin", given)
    assert cli.main(["load", "-", "--format", "csv", "--delegated"]) == 0
    assert not list(corpus_file.parent.glob("*.errors.ndjson"))
    assert asyncio.run(_prefixes(database_url)) == {b"88.7.7": PrefixState.DELEGATED}


async def _prefixes(url: str) -> dict[bytes, PrefixState]:
    async with Database(url) as database:
        return {row.prefix: row.state for row in await read_prefixes(database)}


def test_a_missing_file_is_told_in_one_sentence(
    corpus_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["load", f"{corpus_file}.not"]) == 3
    assert capsys.readouterr().err == (
        f"idnode: Cannot read {corpus_file}.not: No such file or directory.\n"
    )
