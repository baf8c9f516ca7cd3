"""The verifier in one file: it runs without this project, says the same, and is made alike each time."""

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from node.ledger.verify.command import main
from node.ledger.verify.packing import pack
from tests.support.evidence import make_evidence

_ONLY = (
    "import importlib.abc\n"
    "class No(importlib.abc.MetaPathFinder):\n"
    "    def find_spec(self, name, path=None, target=None):\n"
    "        if name.split('.')[0] in {'resolver', 'sync', 'orjson', 'httpx', 'gmalg', 'asyncpg', 'rich', 'fastapi'}:\n"
    "            raise ImportError(name + ' is no part of the verifier')\n"
    "sys.meta_path.insert(0, No())\n"
)


@pytest.fixture(scope="module")
def tool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tool") / "idnode-audit.pyz"
    path.write_bytes(pack())
    return path


def run(tool: Path, words: list[str]) -> subprocess.CompletedProcess[str]:
    """Run the file where nothing can be imported that it has not, but `cryptography`."""
    code = f"import sys\nsys.argv = {[str(tool), *words]!r}\n{_ONLY}"
    code += f"import runpy\nrunpy.run_path({str(tool)!r}, run_name='__main__')\n"
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=tool.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_file_says_what_the_command_says(
    tool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evidence = make_evidence(tmp_path)
    code = main(evidence.words)
    found = run(tool, evidence.words)
    printed = capsys.readouterr().out
    assert found.returncode == code == 1, found.stderr
    assert found.stdout.splitlines()[3:] == printed.splitlines()[3:]


def test_file_finds_a_tamper_and_tells_wrong_use(tool: Path, tmp_path: Path) -> None:
    evidence = make_evidence(tmp_path)
    evidence.write("leaves.jsonl", b"{}\n")
    assert run(tool, evidence.words).returncode == 11
    assert run(tool, ["verify"]).returncode == 2


def test_file_has_nothing_but_the_verifier_and_is_made_alike(tool: Path) -> None:
    names = ZipFile(tool).namelist()
    assert "node/ledger/verify/checks.py" in names
    assert not [
        name for name in names if name.startswith(("resolver/", "node/store/", "node/web/"))
    ]
    assert pack() == tool.read_bytes()
