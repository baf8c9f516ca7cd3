"""The simulated top-level node beside a node keeps its addresses when it is killed, so that the node finds it again."""

import os
import signal
import sys
from pathlib import Path

import httpx
import pytest

from node.process.neighbour import page_of_toplevel
from tests.support.nodes import NodeProcess, eventually

pytestmark = pytest.mark.slow


class Neighbours(NodeProcess):
    """Started with the simulated top-level node, as by `make run`."""

    def launch(self, *command: str) -> None:
        super().launch(*command or (sys.executable, "-m", "node", "serve", "--toplevel"))


def answers(page: str) -> bool:
    try:
        return httpx.get(f"{page}healthz", trust_env=False).is_success
    except httpx.HTTPError:
        return False


def test_a_killed_neighbour_is_found_where_it_was(tmp_path: Path) -> None:
    node = Neighbours(tmp_path / "data")
    try:
        page = page_of_toplevel(node.start())
        [process_id] = [
            each for each, words in node.processes().items() if "node.process.toplevel" in words
        ]
        os.kill(process_id, signal.SIGKILL)
        eventually(lambda: process_id not in node.processes())
        eventually(lambda: answers(page))
    finally:
        node.end()
