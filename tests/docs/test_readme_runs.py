"""What the README tells a newcomer to type really works, against a node that was started as `make run` does."""

import re
import shlex
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError

import pytest

from loadtest.corpus import main as make_corpus
from node.config import Settings
from tests.support.nodes import NodeProcess, eventually

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("utf-8")
RECORDS = 200  # `make run` takes 20,000, and a larger corpus begins with the smaller one


class Stand:
    """A node with the sample, and the README's commands pointed at it."""

    def __init__(self, process: NodeProcess, settings: Settings) -> None:
        self.process = process
        self.ports = {
            "127.0.0.1:8000": str(settings.http_listen[0]),
            "127.0.0.1:9640": str(settings.admin_listen[0]),
            "127.0.0.1:2641": str(settings.native_listen[0]),
        }

    def type(self, line: str) -> str:
        """Carry out one line and return what it prints."""
        for told, true in self.ports.items():
            line = line.replace(told, true)
        program, *words = shlex.split(line)
        if program == "curl":
            return fetch(words[-1])
        assert program == ".venv/bin/idnode"
        ended = self.process.run(*words)
        assert ended.returncode == 0, ended.stderr + ended.stdout
        return ended.stdout


class SampleNode(NodeProcess):
    """Started with a sample, as by `make run`."""

    def launch(self, *command: str) -> None:
        sample = self.data_dir.with_name("sample.ndjson")
        super().launch(*command or (sys.executable, "-m", "node", "serve", "--sample", str(sample)))


class Stay(urllib.request.HTTPRedirectHandler):
    """curl does not follow redirects unless it is told to."""

    def redirect_request(self, *_: object) -> None:
        return


def fetch(url: str) -> str:
    """What curl does with a URL; the machine that tests need not have curl."""
    try:
        with urllib.request.build_opener(Stay).open(url, timeout=10) as answer:
            return str(answer.read(), "utf-8")
    except HTTPError as error:
        if error.code == 302:
            return f"{error.headers['Location']}"
        return f"{error.code} {error.read().decode()}"


def typed(heading: str) -> list[str]:
    section = README.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = "".join(re.findall(r"```(?:sh)?\n(.*?)```", section, re.DOTALL)).splitlines()
    return [line.strip() for line in lines if re.match(r"\s*(curl|\.venv/bin/idnode) ", line)]


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    directory = tmp_path_factory.mktemp("readme")
    sample = directory / "sample.ndjson"
    make_corpus(["--records", str(RECORDS), "--seed", "1", "--out", str(sample)])
    process = SampleNode(directory / "data")
    try:
        yield Stand(process, process.start())
        process.stop()
    finally:
        process.end()


@pytest.mark.parametrize("line", typed("What make run prints"))
def test_printed_line_answers_when_pasted(stand: Stand, line: str) -> None:
    assert "power.example.cn" in stand.type(line)


@pytest.mark.parametrize("line", typed("Try it"))
def test_line_to_try_answers(stand: Stand, line: str) -> None:
    said = stand.type(line)
    assert said.strip()
    assert not re.match(r"[45]\d\d ", said), said


def test_own_file_is_loaded_and_answered(stand: Stand) -> None:
    section = README.partition("## Load your own\n")[2]
    heredoc = re.search(r"cat > (\S+) <<'END'\n(.*?)END\n", section, re.DOTALL)
    assert heredoc is not None
    (stand.process.data_dir.parent / heredoc[1]).write_text(heredoc[2], "utf-8")
    load, ask = typed("Load your own")

    assert "2 records written" in stand.type(load)
    eventually(lambda: "https://example.cn/pump-1" in stand.type(ask), limit_seconds=1)


def test_record_is_written_read_and_deleted_as_told(stand: Stand) -> None:
    put, get, history, delete, ask = typed("Write a record")

    assert "created 88.118.8/pump-1, version 1" in stand.type(put)
    assert "https://example.cn/pump-1" in stand.type(get)
    assert "operator" in stand.type(history)
    assert "deleted 88.118.8/pump-1" in stand.type(delete)
    eventually(lambda: re.match(r"410 .*because: sold", stand.type(ask)), limit_seconds=2)
    assert "version 3" in stand.type(".venv/bin/idnode record revert 88.118.8/pump-1 1")


def test_readme_says_the_commands_of_the_makefile() -> None:
    first = re.search(r"## Start\n.*?```sh\n(.*?)```", README, re.DOTALL)
    assert first is not None
    commands = [line.partition("#")[0].split() for line in first[1].splitlines()]
    assert commands == [["make", "run"], ["make", "test"]]
    for _, target in commands:
        dry = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, check=False)
        assert dry.returncode == 0, dry.stderr
