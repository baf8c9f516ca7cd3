"""`make run`, as a newcomer meets it: the printed lines answer, and whatever ends it, it starts again."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.nodes import KEPT, ROOT, NodeProcess, is_alive, node_in

pytestmark = pytest.mark.slow

PASTE_SECONDS = 30.0


@pytest.fixture(scope="module")
def parent() -> Iterator[Path]:
    """Where the data directory lies: the tests of this module share it, as the starts of a user do."""
    with tempfile.TemporaryDirectory(prefix="idnode-", dir="/tmp") as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.fixture
def make_run(parent: Path) -> Iterator[NodeProcess]:
    """`make run` in the environment that the tests run in, so that none is made."""
    with node_in(parent / "data", IDNODE_WORKERS="2") as lent:
        programs = str(Path(sys.executable).parent)
        lent.command = ("make", "-C", str(ROOT), "-o", ".venv/.runs", f"BIN={programs}", "run")
        yield lent


def pasted(line: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["/bin/sh", "-c", line],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PASTE_SECONDS,
        check=False,
    )


def test_printed_lines_answer_when_pasted(make_run: NodeProcess) -> None:
    make_run.start()
    lines = [line.strip() for line in make_run.said().splitlines() if line.startswith("  ")]
    curl = next(line for line in lines if line.startswith("curl "))
    resolve = next(line for line in lines if " resolve " in line)

    if shutil.which("curl"):
        answer = json.loads(pasted(curl).stdout)
        assert answer["responseCode"] == 1
        assert answer["handle"] == curl.rpartition("/api/handles/")[2]
    resolved = pasted(resolve)
    assert resolved.returncode == 0, resolved.stderr
    assert "URL" in resolved.stdout


def test_interrupt_from_the_terminal_leaves_nothing(make_run: NodeProcess) -> None:
    make_run.start()
    children = make_run.processes()
    assert make_run.process is not None

    os.killpg(
        make_run.process.pid, signal.SIGINT
    )  # a terminal signals the group: make and the node
    make_run.process.wait(30)

    assert [each for each in children if is_alive(each)] == []
    left = {path.name for path in make_run.data_dir.iterdir()}
    assert {"postgres", "samples", "sealing.key", "server-key.pem"} <= left <= KEPT


def test_node_ends_with_a_killed_make_and_the_next_one_starts_with_the_data(
    make_run: NodeProcess,
) -> None:
    make_run.start()
    children = set(make_run.processes())

    make_run.stop(signal.SIGKILL)
    make_run.start()

    assert not children & set(make_run.processes())
    assert '"event": "loaded"' not in make_run.said()  # the sample was there
    answer = make_run.run("resolve", "88.118.8/JXDY2106023", "--json")
    assert answer.returncode == 0, answer.stderr
