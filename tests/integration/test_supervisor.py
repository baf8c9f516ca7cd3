"""The node as a set of processes: what starts, what ends with it, and what it says when it cannot start."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from node.config import Settings
from node.process.home import ELSEWHERE, POINTER
from node.process.lock import CHILDREN_LOCK, NODE_LOCK
from tests.support.nodes import KEPT, NodeProcess, can_run_as, eventually, is_alive, node_in

pytestmark = pytest.mark.slow

ANSWER_SECONDS = 5.0


@pytest.fixture
def data_dir(server_directory: Path, request: pytest.FixtureRequest) -> Path:
    digest = f"{abs(hash(request.node.name)):x}"[:8]
    parent = server_directory / digest
    parent.mkdir(mode=0o755)
    return parent / "data"


@pytest.fixture
def one_node(data_dir: Path) -> Iterator[NodeProcess]:
    with node_in(data_dir) as lent:
        yield lent


@pytest.fixture(scope="module")
def running(server_directory: Path) -> Iterator[NodeProcess]:
    """A node with two workers that the tests of this module share."""
    (server_directory / "shared").mkdir()
    with node_in(server_directory / "shared" / "data", IDNODE_WORKERS="2") as lent:
        lent.start()
        yield lent


def get(settings: Settings, path: str, *, admin: bool = False) -> tuple[int, str]:
    endpoint = (settings.admin_listen if admin else settings.http_listen)[0]
    connection = http.client.HTTPConnection(*endpoint, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def becomes_ready(settings: Settings) -> None:
    eventually(lambda: get(settings, "/readyz", admin=True)[0] == 200)


def starts(settings: Settings) -> dict[str, float]:
    """How often each worker was started, by the metrics."""
    _, text = get(settings, "/metrics", admin=True)
    found = re.findall(r'^idnode_worker_starts_total\{worker="(\d+)"\} (.+)$', text, re.MULTILINE)
    return {slot: float(value) for slot, value in found}


def resolutions(settings: Settings) -> float:
    """How many questions were answered, over all workers, by the metrics."""
    _, text = get(settings, "/metrics", admin=True)
    return sum(
        float(value)
        for value in re.findall(r"^idnode_resolutions_total\{.* (.+)$", text, re.MULTILINE)
    )


def worker_process(running: NodeProcess, slot: int) -> int:
    return next(
        process_id
        for process_id, words in running.processes().items()
        if f"node.process.worker --slot {slot} " in words
    )


def psql(settings: Settings, statement: str) -> str:
    """Ask the embedded Postgres, in a process of its own."""
    program = (
        "import asyncio, asyncpg, sys\n"
        "async def ask():\n"
        "    connection = await asyncpg.connect(sys.argv[1])\n"
        "    print(await connection.fetch(sys.argv[2]))\n"
        "    await connection.close()\n"
        "asyncio.run(ask())\n"
    )
    asked = [sys.executable, "-c", program, settings.database_url, statement]
    return subprocess.run(asked, capture_output=True, text=True, check=True, timeout=20).stdout


def test_ready_node_answers_on_every_listener_it_names(running: NodeProcess) -> None:
    settings = running.settings()

    assert get(settings, "/healthz")[0] == 200
    becomes_ready(settings)
    with socket.create_connection(settings.native_listen[0], ANSWER_SECONDS):
        pass
    banner = running.said()
    for endpoint in (settings.http_listen, settings.native_listen, settings.admin_listen):
        assert str(endpoint[0]) in banner
    assert f"curl http://{settings.http_listen[0]}/api/handles/" in banner
    assert re.search(r"idnode resolve \S+ .*--server 127\.0\.0\.1:\d+", banner)


def test_log_is_one_json_object_a_line(running: NodeProcess) -> None:
    lines = [line for line in running.said().splitlines() if line.startswith("{")]

    assert lines
    for line in lines:
        assert {"time", "level", "process", "event"} <= set(json.loads(line))


def test_children_are_in_sessions_of_their_own(running: NodeProcess) -> None:
    assert running.process is not None
    session = os.getsid(running.process.pid)
    children = set(running.processes()) - {running.process.pid}

    assert len(children) > 4
    assert session not in {os.getsid(child) for child in children}


def test_killed_worker_comes_back_and_the_others_go_on(running: NodeProcess) -> None:
    settings = running.settings()
    before, killed = starts(settings), worker_process(running, 0)
    other = worker_process(running, 1)

    os.kill(killed, signal.SIGKILL)

    eventually(lambda: starts(settings)["0"] == before["0"] + 1)
    assert worker_process(running, 0) != killed
    assert worker_process(running, 1) == other
    for _ in range(20):  # over both workers; what the dead one had in its queue is served too
        assert get(settings, "/healthz")[0] == 200


def test_counts_outlive_a_killed_worker(running: NodeProcess) -> None:
    settings = running.settings()
    before, started = resolutions(settings), starts(settings)
    for number in range(20):
        get(settings, f"/api/handles/99.9/no-such-{number}")
    assert resolutions(settings) == before + 20

    os.kill(worker_process(running, 1), signal.SIGKILL)
    eventually(lambda: starts(settings)["1"] == started["1"] + 1)

    assert resolutions(settings) == before + 20


def test_second_node_on_the_same_data_directory_is_refused(running: NodeProcess) -> None:
    second = running.run("serve")

    assert second.returncode == 6
    assert "already runs on the data directory" in second.stderr
    assert len(second.stderr.splitlines()) == 1
    assert get(running.settings(), "/healthz")[0] == 200


def test_other_commands_find_the_embedded_database(running: NodeProcess) -> None:
    migrated = running.run("migrate")

    assert (migrated.returncode, migrated.stdout) == (0, "The schema is up to date.\n")


def test_check_of_a_running_node_finds_everything_in_order(running: NodeProcess) -> None:
    becomes_ready(running.settings())

    checked = running.run("check")

    assert checked.returncode == 0, checked.stdout
    assert "FAIL" not in checked.stdout
    for subject in ("Postgres", "schema", "Redis", "node: change feed"):
        assert f"ok    {subject}" in checked.stdout


def test_check_says_what_is_wrong(data_dir: Path) -> None:
    gone = {
        "IDNODE_DATABASE_URL": "postgresql://127.0.0.1:1/x",
        "IDNODE_REDIS_URL": "redis://127.0.0.1:1",
    }
    with node_in(data_dir, **gone) as lent:
        checked = lent.run("check")

    assert checked.returncode == 1
    assert "FAIL  Postgres" in checked.stdout
    assert "FAIL  Redis" in checked.stdout
    assert "IDNODE_REDIS_URL" in checked.stdout


def test_interrupted_node_leaves_no_process_socket_or_lock(one_node: NodeProcess) -> None:
    settings = one_node.start()
    children = one_node.processes()

    code = one_node.stop(signal.SIGINT)

    assert code == 0
    assert [child for child in children if is_alive(child)] == []
    left = {path.name for path in one_node.data_dir.iterdir()}
    assert left <= KEPT
    with socket.socket() as free:
        free.bind(settings.http_listen[0])
    assert not (one_node.data_dir / "postgres" / "postmaster.pid").exists()


def test_everything_ends_with_a_killed_supervisor_and_the_next_start_finds_the_data(
    one_node: NodeProcess,
) -> None:
    settings = one_node.start()
    psql(settings, "create table kept as select 42 as answer")
    children = set(one_node.processes())

    one_node.stop(signal.SIGKILL)
    again = one_node.start()  # at once: it waits for what is still ending

    assert not children & set(one_node.processes())
    assert "answer=42" in psql(again, "select answer from kept")
    assert one_node.stop(signal.SIGTERM) == 0


def test_node_whose_every_process_was_killed_starts_again(one_node: NodeProcess) -> None:
    settings = one_node.start()
    psql(settings, "create table kept as select 42 as answer")

    for process_id in one_node.processes():
        with suppress(ProcessLookupError):  # one of the others was its parent
            os.kill(process_id, signal.SIGKILL)
    assert one_node.process is not None
    one_node.process.wait(10)

    assert "answer=42" in psql(one_node.start(), "select answer from kept")


def test_killed_postgres_comes_back_with_its_data(running: NodeProcess) -> None:
    settings = running.settings()
    psql(settings, "create table if not exists kept as select 42 as answer")
    pid_file = settings.data_dir / "postgres" / "postmaster.pid"
    killed = int(pid_file.read_text().splitlines()[0])

    os.kill(killed, signal.SIGKILL)

    def answers() -> bool:
        try:
            return "answer=42" in psql(settings, "select answer from kept")
        except subprocess.CalledProcessError:
            return False

    eventually(answers)
    eventually(lambda: get(settings, "/healthz")[0] == 200)


@pytest.mark.parametrize("listener", ["HTTP", "NATIVE", "ADMIN"])
def test_taken_port_is_named_and_nothing_is_left(data_dir: Path, listener: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with node_in(data_dir, **{f"IDNODE_{listener}_LISTEN": address}) as lent:
            refused = lent.run("serve")

    assert refused.returncode == 6
    assert f"already listens on TCP {address}" in refused.stderr
    assert "choose another address" in refused.stderr
    assert list(data_dir.iterdir()) == []


def test_taken_udp_port_is_named(data_dir: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with node_in(data_dir, IDNODE_NATIVE_LISTEN=address) as lent:
            refused = lent.run("serve")

    assert refused.returncode == 6
    assert f"already listens on UDP {address}" in refused.stderr


@pytest.mark.parametrize(
    ("variable", "url"),
    [
        ("IDNODE_DATABASE_URL", "postgresql://127.0.0.1:1/x"),
        ("IDNODE_REDIS_URL", "redis://127.0.0.1:1"),
        ("IDNODE_REDIS_URL", "unix:///nowhere/redis.sock"),
    ],
)
def test_server_that_cannot_be_reached_is_named(data_dir: Path, variable: str, url: str) -> None:
    with node_in(data_dir, **{variable: url}) as lent:
        refused = lent.run("serve")
        left = lent.processes()

    assert refused.returncode == 7
    assert variable in refused.stderr.splitlines()[-1]
    assert left == {}


def test_wrong_setting_is_named_before_anything_is_made(data_dir: Path) -> None:
    with node_in(data_dir, IDNODE_WORKERS="several") as lent:
        refused = lent.run("serve")

    assert refused.returncode == 2
    assert refused.stderr.startswith("idnode: IDNODE_WORKERS must be a whole number")
    assert not data_dir.exists()


def test_servers_given_by_url_are_used_and_none_is_embedded(
    data_dir: Path, empty_database_url: str, redis_url: str
) -> None:
    urls = {"IDNODE_DATABASE_URL": empty_database_url, "IDNODE_REDIS_URL": redis_url}
    with node_in(data_dir, **urls) as lent:
        settings = lent.start()
        names = " ".join(lent.processes().values())

        assert settings.database_url == empty_database_url
        assert "postgres" not in names
        assert "valkey" not in names
        assert not (data_dir / "postgres").exists()
        becomes_ready(settings)


@pytest.mark.skipif(not can_run_as("nobody"), reason="needs root, and a Python that nobody can run")
def test_ordinary_user_can_run_a_node(data_dir: Path) -> None:
    os.chown(data_dir.parent, 65534, 65534)
    with node_in(data_dir, "nobody") as lent:
        lent.start()
        assert {Path(f"/proc/{each}").stat().st_uid for each in lent.processes()} == {65534}
        assert lent.stop() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_root_can_run_a_node_where_the_servers_account_cannot_enter(data_dir: Path) -> None:
    data_dir.parent.chmod(0o700)
    with node_in(data_dir) as lent:
        settings = lent.start()
        psql(settings, "create table kept as select 42 as answer")
        assert lent.stop() == 0

        assert "answer=42" in psql(lent.start(), "select answer from kept")

        home = Path((data_dir / POINTER).read_text().strip())
        assert home.parent == ELSEWHERE
        assert (home / "postgres").stat().st_uid != 0
        assert lent.stop() == 0


def test_deep_data_directory_keeps_its_sockets_elsewhere(data_dir: Path) -> None:
    deep = data_dir.parent / ("d" * 100) / "data"
    deep.parent.mkdir()
    with node_in(deep) as lent:
        settings = lent.start()
        sockets = re.findall(r"host=([^&]+)", settings.database_url)
        assert lent.stop() == 0

    assert sockets
    assert not Path(sockets[0].replace("%2F", "/")).exists()
    assert not (deep / CHILDREN_LOCK).exists()
    assert not (deep / NODE_LOCK).exists()
