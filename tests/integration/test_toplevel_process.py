"""`idnode toplevel` as a process: killed at any moment it loses nothing it acknowledged; how it starts and ends."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.nodes import eventually
from tests.support.toplevels import Node, TopLevelProcess, digests_of, until, write_rows

KILLS = 10


@pytest.fixture
def process(tmp_path: Path) -> Iterator[TopLevelProcess]:
    made = TopLevelProcess(tmp_path / "top")
    try:
        made.start()
        yield made
    finally:
        made.end()


@pytest.mark.slow
async def test_it_is_killed_in_the_middle_of_batches_and_both_end_equal(
    process: TopLevelProcess,
) -> None:
    node = Node(process.url, process.directory / "issue")
    node.outbox.most = 50
    sender = node.sender()
    running = asyncio.create_task(sender.run())
    for kill in range(KILLS):
        write_rows(node, kill * 1_000, 400)
        sender.hint()
        await until(lambda kill=kill: node.outbox.acknowledged > kill * 400)  # type: ignore[misc]
        await asyncio.sleep(kill * 7 % KILLS * 0.003)
        process.stop(signal.SIGKILL)
        acknowledged = node.outbox.acknowledged
        await asyncio.to_thread(process.start)
        assert serial_at(process) >= acknowledged
    await until(lambda: digests_at(process) == digests_of(node.outbox))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await node.transport.close()


def serial_at(process: TopLevelProcess) -> int:
    serial: int = httpx.get(f"{process.page}state", trust_env=False).json()["inbox"]["serial"]
    return serial


def digests_at(process: TopLevelProcess) -> dict[str, tuple[int, str]]:
    told = httpx.get(f"{process.page}digests", trust_env=False).json()["tables"]
    return {number: (each["rows"], each["digest"]) for number, each in told.items()}


def test_it_says_which_settings_the_node_needs_and_stops_when_told(
    process: TopLevelProcess,
) -> None:
    said, issue = process.said(), process.directory / "issue"
    for name, file in (
        ("CERTIFICATE", "node.pem"),
        ("AUTHORITY", "authority.crt"),
        ("SIGNING_KEY", "signing.pem"),
        ("PEER_KEYS", "toplevel.pub"),
    ):
        assert f"IDNODE_SYNC_{name}={issue / file}" in said
        assert (issue / file).is_file()
    assert (process.directory / "signing.pem").stat().st_mode & 0o077 == 0
    assert (process.directory / "toplevel.db").stat().st_mode & 0o077 == 0
    assert process.stop(signal.SIGTERM) == 0


def test_two_do_not_run_on_one_directory(process: TopLevelProcess, tmp_path: Path) -> None:
    second = TopLevelProcess(tmp_path / "top")
    second.output = tmp_path / "second.out"
    try:
        with pytest.raises(AssertionError, match="Another top-level node runs"):
            second.start()
    finally:
        second.end()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--decide", "soon"), "--decide"),
        (("--node-prefix", "88"), "--node-prefix"),
        (("--probe-seconds", "0"), "--probe-seconds"),
        (("--restore", "none"), "there is no copy none"),
        (("--log", "no key"), "a key is a name"),
    ],
    ids=lambda given: given[0] if isinstance(given, tuple) else "",
)
def test_wrong_use_is_said_in_words(tmp_path: Path, words: tuple[str, ...], sentence: str) -> None:
    made = TopLevelProcess(tmp_path / "top", *words)
    with pytest.raises(AssertionError, match=sentence):
        made.start()
    assert "Traceback" not in made.said()
    made.end()


async def test_it_goes_back_to_a_copy_at_a_start(process: TopLevelProcess) -> None:
    node = Node(process.url, process.directory / "issue")
    write_rows(node, 0)
    running = asyncio.create_task(node.sender().run())
    await until(lambda: node.outbox.complete)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await node.transport.close()
    process.stop(signal.SIGTERM)
    again = TopLevelProcess(process.directory, "--restore", "start")
    again.start()
    try:
        eventually(lambda: serial_at(again) == 0)
        assert digests_at(again) == {}
    finally:
        again.end()
