"""The README's script of an enterprise's whole life does what it says, against a node started as `make run` does."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator

import orjson
import pytest

from loadtest.corpus import main as write_corpus
from node.config import Settings
from node.process.neighbour import page_of_toplevel
from tests.support.nodes import ROOT, NodeProcess

pytestmark = pytest.mark.slow

LIFE_SECONDS = 120.0


class Neighbours(NodeProcess):
    """Started as by `make run`: with the simulated top-level node, and a sample, which homes prefixes."""

    def launch(self, *command: str) -> None:
        sample = self.data_dir.parent / "sample.ndjson"
        write_corpus(["--records", "200", "--out", str(sample)])
        serve = (sys.executable, "-m", "node", "serve", "--toplevel", "--sample", str(sample))
        super().launch(*command or serve)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    lent = Neighbours(tmp_path_factory.mktemp("life") / ".idnode")
    try:
        lent.start()
        yield lent
    finally:
        lent.end()


def script(readme: str, heading: str, settings: Settings, page: str) -> str:
    """Return the script, pointed at this node."""
    section = (ROOT / readme).read_text("utf-8").partition(f"## {heading}\n")[2]
    found = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert found is not None
    text = found[1].replace(".venv/bin/idnode", f"{sys.executable} -m node")
    for told, true in (
        ("127.0.0.1:8000", settings.http_listen[0]),
        ("127.0.0.1:9640", settings.admin_listen[0]),
        ("http://127.0.0.1:9660", page.rstrip("/")),
    ):
        assert told in text
        text = text.replace(told, str(true))
    native, http = settings.native_listen[0].port, settings.http_listen[0].port
    text = text.replace(
        '"tcp_port": 2641, "udp_port": 2641', f'"tcp_port": {native}, "udp_port": {native}'
    )
    return "set -e\n" + text.replace('"http_port": 8000', f'"http_port": {http}')


def test_a_life_is_played_and_seen_by_the_top_level_node(node: NodeProcess) -> None:
    settings = node.settings()
    page = page_of_toplevel(settings)
    (node.data_dir.parent / "docs").symlink_to(ROOT / "docs")
    played = subprocess.run(
        ["/bin/sh", "-c", script("README.md", "Play an enterprise's whole life", settings, page)],
        cwd=node.data_dir.parent,
        env=node.environment | {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=LIFE_SECONDS,
        check=False,
    )
    assert played.returncode == 0, played.stdout + played.stderr
    said = played.stdout.splitlines()
    assert said[-1] == "no longer resolved"
    assert orjson.loads(said[-2])["responseCode"] == 301
    assert any("https://bearing.example.com/1" in line for line in said)


def test_both_readmes_play_the_same_life() -> None:
    def bare(readme: str, heading: str) -> list[str]:
        text = (ROOT / readme).read_text("utf-8").partition(f"## {heading}\n")[2]
        lines = text.partition("```sh\n")[2].partition("```")[0].splitlines()
        return [line for line in lines if not line.startswith("#")]

    english = bare("README.md", "Play an enterprise's whole life")
    assert len(english) > 30
    assert english == bare("README.zh-CN.md", "走完一家企业的全过程")
