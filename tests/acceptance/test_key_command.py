"""`idnode key`, as a user types it: what it writes, what it prints, and its exit codes."""

import json
import os
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from resolver.handlejson import values_from_json
from resolver.keys.certificates import read_peer_certificate
from resolver.keys.files import load_private
from resolver.keys.private import public_half
from resolver.wire import decode_public_key

SECONDS = 60
KINDS = ["rsa", "dsa", "sm2"]


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    directory = tmp_path / "data"
    directory.mkdir()
    return directory


def idnode(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run `idnode key …` in a folder; its data directory is `data` there."""
    return subprocess.run(
        (sys.executable, "-m", "node", "key", *words),
        env={**os.environ, "IDNODE_DATA_DIR": str(folder / "data")},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.parametrize("kind", KINDS)
def test_made_key_is_its_owners_alone_and_its_value_fits_a_record(
    tmp_path: Path, kind: str
) -> None:
    words = ("make", kind, "--file", "admin.pem", "--index", "301", "--output", "json")
    made = idnode(tmp_path, *words)
    assert (made.returncode, made.stderr) == (0, "")
    assert mode(tmp_path / "admin.pem") == 0o600
    (value,) = values_from_json([json.loads(made.stdout)], now=1)
    assert (value.index, value.type) == (301, b"HS_PUBKEY")
    assert decode_public_key(value.data) == public_half(load_private(tmp_path / "admin.pem"))


def test_made_secret_is_printed_only_when_asked(tmp_path: Path) -> None:
    made = idnode(tmp_path, "make", "secret", "--file", "secret.txt", "--value-file", "value.json")
    assert made.returncode == 0
    secret = (tmp_path / "secret.txt").read_text().strip()
    assert secret not in made.stdout + made.stderr
    assert mode(tmp_path / "secret.txt") == mode(tmp_path / "value.json") == 0o600
    (value,) = values_from_json([json.loads((tmp_path / "value.json").read_text())], now=1)
    assert (value.type, value.data, value.permissions) == (b"HS_SECKEY", secret.encode(), 0b1100)

    quiet = idnode(tmp_path, "make", "secret", "--file", "quiet.txt", "--output", "json")
    assert (tmp_path / "quiet.txt").read_text().strip() not in quiet.stdout + quiet.stderr
    loud = idnode(tmp_path, "make", "secret", "--file", "loud.txt", "--print")
    assert (tmp_path / "loud.txt").read_text().strip() in loud.stdout


@pytest.mark.parametrize("words", [("rsa",), ("secret",)])
def test_what_is_there_is_not_written_over(tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "key").write_text("mine")
    for files in (("--file", "key"), ("--file", "new", "--value-file", "key")):
        made = idnode(tmp_path, "make", *words, *files)
        assert (made.returncode, made.stdout) == (4, "")
        assert "key is there already" in made.stderr
    assert (tmp_path / "key").read_text() == "mine"
    assert not (tmp_path / "new").exists()


def test_show_prints_the_public_half_and_nothing_private(tmp_path: Path) -> None:
    idnode(tmp_path, "make", "rsa", "--file", "admin.pem", "--value-file", "value.json")
    shown = idnode(tmp_path, "show", "admin.pem", "--output", "json")
    assert json.loads(shown.stdout) == json.loads((tmp_path / "value.json").read_text())
    table = idnode(tmp_path, "show", "admin.pem")
    assert "RSA, 2048 bits" in table.stdout
    assert "PRIVATE" not in table.stdout


def test_show_of_the_node_needs_a_node_that_has_run(tmp_path: Path, data_dir: Path) -> None:
    shown = idnode(tmp_path, "show")
    assert (shown.returncode, shown.stdout) == (3, "")
    assert list(data_dir.iterdir()) == []
    made = idnode(tmp_path, "make", "rsa", "--file", "data/server-key.pem", "--output", "json")
    shown = idnode(tmp_path, "show", "--output", "json")
    assert json.loads(shown.stdout) == json.loads(made.stdout)
    data_dir.rename(tmp_path / "away")
    shown = idnode(tmp_path, "show")
    assert shown.returncode == 3
    assert "No node has run" in shown.stderr


@pytest.mark.usefixtures("data_dir")
def test_certificate_names_its_owner_and_holds_his_key(tmp_path: Path) -> None:
    idnode(tmp_path, "make", "rsa", "--file", "admin.pem")
    issued = idnode(
        tmp_path,
        *("certificate", "300:88.1/管理", "--key", "admin.pem", "--file", "admin.crt"),
        *("--days", "30", "--output", "json"),
    )
    assert (issued.returncode, issued.stderr) == (0, "")
    said = json.loads(issued.stdout)
    assert said["identity"] == "300:88.1/管理"
    assert Path(said["authority"]).is_file()
    peer = read_peer_certificate(ssl.PEM_cert_to_DER_cert((tmp_path / "admin.crt").read_text()))
    assert (peer.index, peer.handle.decode()) == (300, "88.1/管理")
    assert peer.key == public_half(load_private(tmp_path / "admin.pem"))


@pytest.mark.usefixtures("data_dir")
@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (("make", "rsa", "--file", "k", "--bits", "512"), 2, "2048 to 8192"),
        (("make", "rsa", "--file", "k", "--index", "0"), 2, "--index must be"),
        (("make", "rsa", "--file", "k", "--index", "-1"), 2, ""),
        (("make", "sm9", "--file", "k"), 2, "invalid choice"),
        (("make", "rsa", "--file", "no/such/folder/k"), 3, "no/such/folder is not there"),
        (("show", "missing.pem"), 3, "missing.pem is not there"),
        (("show", "text.pem"), 2, "text.pem: this is no private key"),
        (("certificate", "300:", "--key", "rsa.pem", "--file", "c"), 2, "no identity"),
        (("certificate", "300:a/b", "--key", "sm2.pem", "--file", "c"), 2, "needs an RSA key"),
        (
            ("certificate", "300:a/b", "--key", "rsa.pem", "--file", "c", "--days", "0"),
            2,
            "lives 1 to",
        ),
        (("certificate", "300:a/b", "--key", "rsa.pem", "--file", "text.pem"), 4, "already"),
    ],
)
def test_wrong_use_is_told_and_writes_nothing(
    tmp_path: Path, words: tuple[str, ...], code: int, complaint: str
) -> None:
    (tmp_path / "text.pem").write_text("no key")
    for kind in ("rsa", "sm2"):
        if f"{kind}.pem" in words:
            idnode(tmp_path, "make", kind, "--file", f"{kind}.pem")
    result = idnode(tmp_path, *words)
    assert (result.returncode, result.stdout) == (code, "")
    assert complaint in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "k").exists()
    assert not (tmp_path / "c").exists()
