"""`idnode key sync`: a key that signs what is said to the top-level node."""

import json
from pathlib import Path

import pytest

from node.cli import EXIT_CODES, main
from node.errors import Kind
from resolver.keys.signing import SigningKey, load_verifying_keys


@pytest.mark.parametrize(
    ("kind", "algorithm"), [("ed25519", "ed25519"), ("rsa", "rsa-v1_5-sha256"), ("sm2", "sm2-sm3")]
)
def test_key_is_written_for_its_owner_and_its_public_half_for_all(
    kind: str, algorithm: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "new.pem"
    words = ["key", "sync", "--file", str(path), "--kind", kind, "--output", "json"]
    assert main(words) == 0
    told = json.loads(capsys.readouterr().out)
    key = SigningKey.load(path)
    assert (told["key_id"], told["algorithm"]) == (key.key_id, algorithm)
    assert list(load_verifying_keys(tmp_path / "new.pub")) == [key.key_id]
    assert path.stat().st_mode & 0o777 == 0o600


def test_public_half_is_shown_and_the_private_one_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["key", "sync", "--file", str(tmp_path / "new.pem")]) == 0
    said = capsys.readouterr().out
    assert "BEGIN PUBLIC KEY" in said
    assert "PRIVATE" not in said


@pytest.mark.parametrize("there", ["new.pem", "new.pub"])
def test_file_that_is_there_is_never_written_over(there: str, tmp_path: Path) -> None:
    (tmp_path / there).write_text("mine")
    assert main(["key", "sync", "--file", str(tmp_path / "new.pem")]) == EXIT_CODES[Kind.CONFLICT]
    assert [each.name for each in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_text() == "mine"


@pytest.mark.parametrize("words", [["--file", "new.pub"], ["--kind", "rsa", "--bits", "1024"]])
def test_what_cannot_be_is_refused(words: list[str], tmp_path: Path) -> None:
    file = ["--file", str(tmp_path / "new.pem")]
    given = [str(tmp_path / each) if each == "new.pub" else each for each in words]
    code = main(["key", "sync", *(file if "--file" not in words else []), *given])
    assert code == EXIT_CODES[Kind.INVALID]
    assert not list(tmp_path.iterdir())
