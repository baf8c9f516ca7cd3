"""The parts of the supervisor by themselves: locks, tethers, children, listening sockets."""

import asyncio
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from node.address import Endpoint
from node.config import Settings
from node.errors import Kind, RegistryError
from node.process import lock, supervisor, tether
from node.process.child import LIFELINE, READY, Child, Program
from node.process.fleet import Fleet
from node.process.lifeline import DRAIN_SECONDS
from node.process.lock import CHILDREN_LOCK, NODE_LOCK, DataDirectory, holder
from node.process.renewal import Renewal
from node.sockets import Sockets, open_listeners
from tests.support.nodes import eventually, is_alive

ANY = (Endpoint("127.0.0.1", 0),)
_TRIES = 10  # whatever else runs on the machine takes a port that was free now and then


@pytest.fixture
def settings() -> Settings:
    return Settings(http_listen=ANY, native_listen=ANY, admin_listen=ANY, workers=2)


@pytest.fixture
def orphan(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that outlived its node: it holds the children's lock, and knows no SIGINT."""
    tmp_path.joinpath("data").mkdir()
    with tmp_path.joinpath("data", CHILDREN_LOCK).open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        deaf = "trap '' INT; while :; do sleep 1; done"
        process = subprocess.Popen(["/bin/sh", "-c", deaf], pass_fds=(held.fileno(),))
    yield process
    process.kill()
    process.wait(10)


def test_data_directory_is_made_and_belongs_to_one(tmp_path: Path) -> None:
    ours = DataDirectory.acquire(tmp_path / "new" / "data")

    with pytest.raises(RegistryError) as caught:
        DataDirectory.acquire(tmp_path / "new" / "data")

    assert caught.value.kind is Kind.IN_USE
    assert f"process {os.getpid()}" in caught.value.detail
    assert holder(tmp_path / "new" / "data") == os.getpid()
    ours.release()
    assert list((tmp_path / "new" / "data").iterdir()) == []
    assert holder(tmp_path / "new" / "data") is None


def test_lock_files_of_a_killed_node_are_taken_over(tmp_path: Path) -> None:
    (tmp_path / NODE_LOCK).write_text('{"process_id": 1, "state": "running"}')
    (tmp_path / CHILDREN_LOCK).touch()

    DataDirectory.acquire(tmp_path).release()


def test_node_that_is_stopping_is_waited_for(tmp_path: Path) -> None:
    ours = DataDirectory.acquire(tmp_path)
    ours.stopping()
    program = (
        "import sys; from pathlib import Path; from node.process.lock import DataDirectory\n"
        "DataDirectory.acquire(Path(sys.argv[1])).release()"
    )
    successor = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)])
    with pytest.raises(subprocess.TimeoutExpired):
        successor.wait(1)

    ours.release()

    assert successor.wait(10) == 0


def test_orphans_that_hold_the_lock_are_ended(
    orphan: "subprocess.Popen[bytes]", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = tuple((0.2, sign) for _, sign in lock.ORPHAN_STEPS)
    monkeypatch.setattr(lock, "ORPHAN_STEPS", quick)

    DataDirectory.acquire(tmp_path / "data").release()

    assert orphan.wait(10) == -signal.SIGKILL


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_data_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)

    with pytest.raises(RegistryError, match="make it writable"):
        DataDirectory.acquire(tmp_path / "data")


def tethered(steps: str, *command: str) -> tuple["subprocess.Popen[bytes]", int]:
    lifeline, end = os.pipe()
    with open(os.devnull, "rb") as keep:
        words = [str(lifeline), "-1", "-1", str(keep.fileno()), steps, "--", *command]
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", tether.__file__, *words],
            pass_fds=(lifeline, keep.fileno()),
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
    os.close(lifeline)
    return process, end


def first_line(process: "subprocess.Popen[bytes]") -> bytes:
    assert process.stdout is not None
    return process.stdout.readline()


def test_tethered_server_is_stopped_when_the_pipe_closes() -> None:
    process, end = tethered("2:10", "/bin/sh", "-c", "trap 'exit 7' INT; echo $$; sleep 60 & wait")
    first_line(process)

    os.close(end)

    assert process.wait(10) == 7
    assert process.stdout is not None
    process.stdout.close()


def test_tether_does_not_end_before_its_server() -> None:
    process, end = tethered("2:0,9:5", "/bin/sh", "-c", "trap '' INT; echo $$; sleep 60")
    server = int(first_line(process))
    process.send_signal(signal.SIGTERM)  # only the pipe stops it
    time.sleep(0.1)
    assert process.poll() is None

    os.close(end)

    assert process.wait(10) == 256 - signal.SIGKILL
    assert not is_alive(server)
    assert process.stdout is not None
    process.stdout.close()


def test_tether_ends_with_its_server_and_its_code() -> None:
    process, end = tethered("2:10", "/bin/sh", "-c", "echo; exit 3")

    assert process.wait(10) == 3
    os.close(end)
    assert process.stdout is not None
    process.stdout.close()


def program(script: str, grace_seconds: float = 5) -> Program:
    """Make a program of a shell script; `$1` is its lifeline, `$2` where to say that it is ready."""
    return Program(
        name="script",
        arguments=("/bin/sh", "-c", script, "sh", LIFELINE, READY),
        environment={"PATH": "/usr/bin:/bin"},
        descriptors=(),
        grace_seconds=grace_seconds,
    )


SAY_READY = 'printf r >"/proc/self/fd/$2"; '
WAIT_FOR_CUT = 'cat <"/proc/self/fd/$1"; '


async def test_child_is_ready_when_it_says_so_and_ends_when_cut() -> None:
    child = Child(program(SAY_READY + WAIT_FOR_CUT))

    await child.start()
    assert is_alive(child.process_id)
    await child.stop()

    assert not is_alive(child.process_id)


def test_child_of_ours_that_is_not_ready_ends_at_once_when_cut() -> None:
    waits = (
        "import asyncio, sys; from node.process.lifeline import run_until_cut\n"
        "async def serve(stop, ready):\n"
        "    print('up', flush=True); await asyncio.Event().wait()\n"
        "sys.exit(run_until_cut(int(sys.argv[1]), 1, serve))"
    )
    lifeline, end = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", waits, str(lifeline)], pass_fds=(lifeline,), stdout=subprocess.PIPE
    )
    os.close(lifeline)
    first_line(process)
    began = time.monotonic()

    os.close(end)

    assert process.wait(10) == 1
    assert time.monotonic() - began < DRAIN_SECONDS / 2
    assert process.stdout is not None
    process.stdout.close()


def test_what_a_child_is_made_of_is_searched_for_cycles_no_more() -> None:
    asks = (
        "import gc, sys; from node.process.lifeline import run_until_cut\n"
        "async def serve(stop, ready):\n"
        "    ready(); print(gc.get_freeze_count(), len(gc.get_objects()), flush=True)\n"
        "sys.exit(run_until_cut(int(sys.argv[1]), 2, serve))"
    )
    lifeline, end = os.pipe()
    command = [sys.executable, "-c", asks, str(lifeline)]
    said = subprocess.run(command, pass_fds=(lifeline,), stdout=subprocess.PIPE, check=True).stdout
    os.close(lifeline)
    os.close(end)

    frozen, left = map(int, said.split())

    assert frozen > 10 * left


async def test_child_that_ends_before_it_is_ready_is_a_failure() -> None:
    with pytest.raises(RegistryError, match="script ended before it was ready"):
        await Child(program("exit 3")).start()


async def test_program_that_does_not_exist_is_a_failure() -> None:
    missing = replace(program(""), arguments=("/nowhere/server",))

    with pytest.raises(RegistryError, match="Cannot start script: No such file"):
        await Child(missing).start()


async def test_child_that_does_not_stop_is_killed_with_its_session() -> None:
    child = Child(program("sleep 60 & " + SAY_READY + "wait", grace_seconds=0.2))
    await child.start()
    session = child.process_id

    await child.stop()

    eventually(lambda: not [each for each in _sessions() if each == session])


async def test_child_that_ends_is_started_again_and_waits_when_it_lives_shortly(
    tmp_path: Path,
) -> None:
    count = tmp_path / "starts"
    child = Child(program(f"echo >>{count}; {SAY_READY} exit 1"))
    async with asyncio.TaskGroup() as tasks:
        await child.start()
        keeping = tasks.create_task(child.keep())
        await asyncio.sleep(1.5)
        await child.stop()

    assert keeping.done()
    assert 3 <= len(count.read_text().splitlines()) <= 5  # at 0, 0.2, 0.6, 1.4 s


def _sessions() -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            found.append(os.getsid(int(entry.name)))
    return found


def test_every_slot_has_its_own_socket_on_the_same_port(settings: Settings) -> None:
    listeners = open_listeners(settings)
    try:
        http = {each.http[0].getsockname() for each in listeners.slots}
        udp = {each.udp[0].getsockname() for each in listeners.slots}
        tcp = {each.tcp[0].getsockname() for each in listeners.slots}
        admin = {each.getsockname() for each in listeners.keeper.admin}
    finally:
        listeners.close()

    assert http == {tuple(listeners.settings.http_listen[0])}
    assert udp == tcp == {tuple(listeners.settings.native_listen[0])}
    assert admin == {tuple(listeners.settings.admin_listen[0])}
    assert len({*http, *tcp, *admin}) == 3


def test_sockets_reach_a_child_by_their_description(settings: Settings) -> None:
    listeners = open_listeners(settings)
    given = listeners.slots[0]
    copies = Sockets(
        *(tuple(each.dup() for each in group) for group in (given.http, given.udp, given.tcp))
    )

    adopted = Sockets.adopt(copies.describe())

    assert [each.getsockname() for each in adopted.all()] == [
        each.getsockname() for each in given.all()
    ]
    for each in copies.all():
        each.detach()
    adopted.close()
    listeners.close()


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_socket_that_would_share_its_port_is_seen_as_taken(settings: Settings, kind: int) -> None:
    """Another node of ours listens with SO_REUSEPORT, which the kernel would let us join."""
    with socket.socket(socket.AF_INET, kind) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            other.listen()
        taken = (Endpoint("127.0.0.1", other.getsockname()[1]),)

        with pytest.raises(RegistryError) as caught:
            open_listeners(replace(settings, native_listen=taken))

    assert caught.value.kind is Kind.IN_USE


@pytest.mark.parametrize(
    ("first", "second"),
    [("127.0.0.1", "localhost"), ("localhost", "127.0.0.1"), ("localhost", "0.0.0.0")],
)
@pytest.mark.parametrize("name", ["http_listen", "native_listen"])
def test_two_names_of_one_address_do_not_share_a_port(
    settings: Settings, name: str, first: str, second: str
) -> None:
    first, second = (_as_localhost(each) for each in (first, second))
    error, port = _refusal(settings, name, first, second)

    assert error.kind is Kind.MISCONFIGURED
    ours, theirs = Endpoint(second, port), Endpoint(first, port)
    said = f"IDNODE_ADMIN_LISTEN gives {ours}, which IDNODE_{name.upper()} already has as {theirs}"
    assert said in error.detail


def _refusal(settings: Settings, name: str, first: str, second: str) -> tuple[RegistryError, int]:
    """Return why one port is not had under both names, and the port; another when it was free and is not any more."""
    for _ in range(_TRIES):
        free = open_listeners(settings)
        port = free.settings.http_listen[0].port
        free.close()
        both = replace(settings, admin_listen=(Endpoint(second, port),))
        object.__setattr__(both, name, (Endpoint(first, port),))
        with pytest.raises(RegistryError) as caught:
            open_listeners(both)
        if caught.value.kind is not Kind.IN_USE:
            break
    return caught.value, port


def _as_localhost(address: str) -> str:
    """Return an address in the family that `localhost` has on this machine."""
    family = socket.getaddrinfo("localhost", 0, type=socket.SOCK_STREAM)[0][0]
    if family == socket.AF_INET:
        return address
    return {"127.0.0.1": "::1", "0.0.0.0": "::"}.get(address, address)


def test_address_that_is_not_ours_is_named(settings: Settings) -> None:
    with pytest.raises(RegistryError, match="does not have that address"):
        open_listeners(replace(settings, http_listen=(Endpoint("192.0.2.1", 80),)))


def test_name_that_is_not_known_is_named(settings: Settings) -> None:
    with pytest.raises(RegistryError, match="host name is not known"):
        open_listeners(replace(settings, http_listen=(Endpoint("no.such.invalid", 80),)))


@pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="this machine has no IPv6")
def test_ipv6_and_ipv4_may_listen_on_the_same_port(settings: Settings) -> None:
    first = open_listeners(replace(settings, http_listen=(Endpoint("::", 0),)))
    port = first.settings.http_listen[0].port
    first.close()

    both = (Endpoint("::", port), Endpoint("0.0.0.0", port))
    open_listeners(replace(settings, http_listen=both)).close()


WAITS_TO_STOP = """
import sys
from node.process.lifeline import run_until_cut

async def serve(stop, ready):
    ready()
    await stop.wait()
    sys.exit(7 if stop.is_in_order else 8)

sys.exit(run_until_cut(int(sys.argv[1]), int(sys.argv[2]), serve))
"""


def waiting(ready: int) -> tuple["subprocess.Popen[bytes]", int]:
    lifeline, end = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", WAITS_TO_STOP, str(lifeline), str(ready)],
        pass_fds=(lifeline, ready),
    )
    os.close(lifeline)
    return process, end


@pytest.mark.parametrize(("words", "code"), [(b"1", 7), (b"", 8)])
def test_child_knows_a_stop_in_order_from_the_death_of_its_supervisor(
    words: bytes, code: int
) -> None:
    read, write = os.pipe()
    process, end = waiting(write)
    assert os.read(read, 1) == b"1"
    os.write(end, words)
    os.close(end)
    assert process.wait(10) == code
    os.close(read)
    os.close(write)


async def test_rolling_restart_that_cannot_be_noted_down_leaves_the_node_running(
    settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = replace(settings, workers=0, data_dir=tmp_path)  # where nothing can be written into
    listeners, asked = open_listeners(settings), asyncio.Event()
    programs = supervisor._Programs(settings, 0, listeners)
    renewal = Renewal(lambda: settings)
    async with asyncio.TaskGroup() as tasks:
        fleet = Fleet(tmp_path, 0, tasks)
        replacing = tasks.create_task(
            supervisor._replace_when_asked(fleet, programs, renewal, asked)
        )
        for _ in range(2):
            asked.set()
            while asked.is_set() and not replacing.done():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert not replacing.done()
        replacing.cancel()
    assert caplog.messages.count("rolling restart failed") == 2
    listeners.close()
