"""The sealer's process is killed with SIGKILL at every step and at any moment: each record is counted once."""

import asyncio
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from node.ledger.block import check
from node.ledger.leaf import Block, Gap, parse
from node.ledger.log import Step
from node.ledger.logfiles import LogFiles
from node.ledger.tlog import inclusion_proof, leaf_hash, verify_inclusion
from tests.support.ledgers import LaneFile, root_of, stored_lines

pytestmark = [pytest.mark.db, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]


def child(url: str, directory: Path, *step: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.support.ledger_child", url, str(directory), *step]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def wait_ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


async def check_all(url: str, directory: Path, written: dict[int, int]) -> None:
    """The log in the files has each record once, and its checkpoint is the root of what the database has, too."""
    lines, files = await stored_lines(url), LogFiles(directory)
    note = files.published()
    assert note is not None
    size = int(note.text.split("\n")[1])
    assert list(files.lines(0, size)) == lines[:size]
    root = root_of(lines[:size])
    for index in (0, size // 2, size - 1):
        proof = inclusion_proof(index, size, files.hashes(size))
        verify_inclusion(index, size, leaf_hash(lines[index]), proof, root)
    found = dict.fromkeys(written, 0)
    for leaf in map(parse, lines[:size]):
        assert not isinstance(leaf, Gap)
        if isinstance(leaf, Block):
            body = files.read_body(leaf)
            assert body is not None
            check(leaf, body)
            assert leaf.sequence[0] == found[leaf.lane] + 1
            found[leaf.lane] = leaf.sequence[1]
    assert found == written


def finish(url: str, directory: Path, lanes: Sequence[LaneFile]) -> None:
    """Close the lanes, and let a last process do all that is left: the files of the lanes go when it is done."""
    for lane in lanes:
        lane.say_closed()
        lane.let_go()
    process = child(url, directory)
    deadline = time.monotonic() + 60
    while list((directory / "lanes").glob("*.lane")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    kill(process)


async def test_killed_at_each_step(database_url: str, tmp_path: Path) -> None:
    lanes = [LaneFile(tmp_path / "lanes", number) for number in range(2)]
    for lane in lanes:
        lane.hold()
    for step in Step:
        for times in ("1", "2"):
            for lane in lanes:
                lane.append(4_500 if times == "1" else 10)
            process = child(database_url, tmp_path, step, times)
            while process.poll() is None:
                lanes[0].append(1)
                await asyncio.sleep(0.05)
            assert process.returncode == -signal.SIGKILL
            process.communicate()
    finish(database_url, tmp_path, lanes)
    await check_all(database_url, tmp_path, {lane.lane: lane.last for lane in lanes})


async def test_killed_at_any_moment(database_url: str, tmp_path: Path) -> None:
    chance = random.Random(4)  # noqa: S311 - the moments are to be the same each time, as far as that goes
    lanes = [LaneFile(tmp_path / "lanes", number, capacity=2**20) for number in range(2)]
    for lane in lanes:
        lane.hold()
    for _ in range(8):
        process = child(database_url, tmp_path)
        wait_ready(process)
        end = time.monotonic() + chance.random() * 0.5
        while time.monotonic() < end:
            lanes[chance.randrange(2)].append(chance.randrange(300))
            await asyncio.sleep(0.001)
        kill(process)
    finish(database_url, tmp_path, lanes)
    await check_all(database_url, tmp_path, {lane.lane: lane.last for lane in lanes})
