"""`idnode restart` as an operator sees it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest

from node.cli import EXIT_CODES
from node.errors import Kind
from node.site import KEY_FILE
from tests.support.nodes import NodeProcess, eventually, node_in

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def running(server_directory: Path) -> Iterator[NodeProcess]:
    (server_directory / "restarted").mkdir()
    file = server_directory / "restarted" / "idnode.toml"
    file.write_text("idle_seconds = 7\n")
    data_dir = server_directory / "restarted" / "data"
    with node_in(data_dir, IDNODE_CONFIG=str(file), IDNODE_LEDGER="false") as lent:
        lent.start()
        yield lent


def restart(running: NodeProcess) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "node", "restart"],
        env=running.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def worker_of(running: NodeProcess) -> int:
    found = [pid for pid, words in running.processes().items() if "node.process.worker" in words]
    assert len(found) == 1
    return found[0]


def setting_of(process_id: int, name: str) -> str:
    lines = Path(f"/proc/{process_id}/environ").read_text().split("\0")
    return next(line.partition("=")[2] for line in lines if line.startswith(f"{name}="))


def write(running: NodeProcess, *lines: str) -> None:
    Path(running.environment["IDNODE_CONFIG"]).write_text("\n".join([*lines, ""]))


def is_answering(running: NodeProcess) -> bool:
    connection = HTTPConnection(*running.settings().http_listen[0], timeout=10)
    with closing(connection):
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200


def test_node_is_ready_while_its_workers_are_replaced(running: NodeProcess) -> None:
    asked = [sys.executable, "-m", "node", "restart"]
    connection = HTTPConnection(*running.settings().admin_listen[0], timeout=10)
    found = []
    with (
        closing(connection),
        subprocess.Popen(asked, env=running.environment, stdout=subprocess.DEVNULL) as restarting,
    ):
        while restarting.poll() is None:
            connection.request("GET", "/readyz")
            answer = connection.getresponse()
            found.append((answer.status, answer.read()))
            time.sleep(0.01)
    assert restarting.returncode == 0
    assert {status for status, _ in found} == {200}, found


def test_new_worker_reads_limits_anew_and_says_what_it_does_not(running: NodeProcess) -> None:
    before = worker_of(running)
    assert setting_of(before, "IDNODE_IDLE_SECONDS") == "7"
    searched = setting_of(before, "IDNODE_REVERSE_TYPES")
    write(running, "idle_seconds = 9", "reverse_types = ['URL']")

    done = restart(running)

    assert done.returncode == 0, done.stderr
    assert "workers replaced: 1" in done.stdout
    assert "IDNODE_REVERSE_TYPES" in done.stdout
    assert "IDNODE_IDLE_SECONDS" not in done.stdout
    after = worker_of(running)
    assert after != before
    assert setting_of(after, "IDNODE_IDLE_SECONDS") == "9"
    assert setting_of(after, "IDNODE_REVERSE_TYPES") == searched


def test_unusable_certificate_is_refused_before_anything_is_started(running: NodeProcess) -> None:
    before, chain = worker_of(running), running.data_dir / "chain.pem"
    chain.write_text("no certificate")
    write(running, f"tls_certificate = '{chain}'")

    refused = restart(running)

    write(running)
    chain.unlink()
    assert refused.returncode == EXIT_CODES[Kind.UNAVAILABLE]
    assert "chain.pem cannot be used" in refused.stderr
    assert worker_of(running) == before


def test_worker_goes_on_when_its_successor_cannot_start(running: NodeProcess) -> None:
    before, key = worker_of(running), running.data_dir / KEY_FILE
    content = key.read_bytes()
    key.write_bytes(b"no key")

    refused = restart(running)

    key.write_bytes(content)
    assert refused.returncode == EXIT_CODES[Kind.UNAVAILABLE]
    assert "worker-0 ended before it was ready" in refused.stderr
    assert worker_of(running) == before
    assert is_answering(running)
    assert restart(running).returncode == 0
    assert worker_of(running) != before


def test_signal_to_the_supervisor_does_the_same(running: NodeProcess) -> None:
    before, done = worker_of(running), '"rolling restart done"'
    assert running.process is not None
    times = running.said().count(done)

    os.kill(running.process.pid, signal.SIGUSR2)

    eventually(lambda: running.said().count(done) > times)
    assert worker_of(running) != before
    assert is_answering(running)


def test_without_a_node_the_command_says_so(tmp_path: Path) -> None:
    alone = NodeProcess(tmp_path / "data")

    refused = restart(alone)

    assert refused.returncode == EXIT_CODES[Kind.UNAVAILABLE]
    assert "No node runs" in refused.stderr
