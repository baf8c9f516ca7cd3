"""The stand: nodes and baselines that the bench starts, knows the processes of, and stops again.

A node runs as an operator would run it (`idnode serve`, settings by environment), on free ports, in a directory of its
own, with its embedded Postgres and Valkey; a second one may use the stores of the first.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from loadtest import cpu
from loadtest.figures import Measured
from loadtest.run import Prepared, run_apart
from loadtest.streams import Address
from node.config import Settings, load
from node.process.running import find_running

HOST = "127.0.0.1"
START_SECONDS = 120.0
STOP_SECONDS = 60.0
POLL_SECONDS = 0.05
UNLIMITED = "10000000"
_TIER = re.compile(r'tier="(\w+)"')
_STORES = ("postgres", "valkey")


Found = TypeVar("Found")


class StandError(RuntimeError):
    """Something did not start; the message says what, and where its log is."""


@dataclass(frozen=True, slots=True)
class Cores:
    """Which core the measured worker has, and which the generator and everything else."""

    server: int
    others: int

    @classmethod
    def choose(cls) -> "Cores":
        """Take the first core and the last one that we may use; with a single core they share it."""
        allowed = sorted(os.sched_getaffinity(0))
        return cls(allowed[0], allowed[-1])


@dataclass(frozen=True, slots=True)
class Subject:
    """What is measured: the worker's process, and the roots of everything that works for it.

    With `siblings`, further workers, they are measured together, and nobody is pinned: all share the machine.
    """

    worker: int
    roots: tuple[int, ...]
    admin: Address | None = None  # where it says what it counted, if it does
    siblings: tuple[int, ...] = ()

    @property
    def workers(self) -> tuple[int, ...]:
        """All workers."""
        return self.worker, *self.siblings

    def tree(self) -> list[int]:
        """Return all processes that work for it, the stores included."""
        return cpu.tree(self.roots)


@dataclass(frozen=True, slots=True)
class Node:
    """A running node: its true settings, and its supervisor."""

    name: str
    settings: Settings
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def http(self) -> Address:
        """Where it answers HTTP."""
        endpoint = self.settings.http_listen[0]
        return endpoint.host, endpoint.port

    @property
    def native(self) -> Address:
        """Where it answers the Handle protocol, UDP and TCP."""
        endpoint = self.settings.native_listen[0]
        return endpoint.host, endpoint.port

    @property
    def admin(self) -> Address:
        """Where its metrics are."""
        endpoint = self.settings.admin_listen[0]
        return endpoint.host, endpoint.port

    def workers(self) -> list[int]:
        """Return the pids of its workers."""
        return [
            pid for pid in cpu.tree([self.process.pid]) if "node.process.worker" in cpu.command(pid)
        ]

    def stores(self) -> tuple[int, ...]:
        """Return the pids of its embedded servers' roots."""
        return tuple(
            pid
            for pid in cpu.tree([self.process.pid])
            if "node.process." not in (command := cpu.command(pid))
            and any(store in command.split(" ", 1)[0] for store in _STORES)
        )

    def subject(self, *, stores_of: "Node | None" = None) -> Subject:
        """Return its workers with the rest of the node, and the stores of another if it uses those."""
        roots = (self.process.pid, *(stores_of.stores() if stores_of else ()))
        first, *siblings = self.workers()
        return Subject(first, roots, self.admin, tuple(siblings))


class Stand:
    """Everything that was started; ended in reverse order."""

    def __init__(self, directory: Path, stack: ExitStack, niceness: int = 0) -> None:
        """`niceness` below 0 puts worker and generator before other programs during a run; it needs the right to."""
        self.directory = directory
        self.cores = Cores.choose()
        self.niceness = niceness
        self._stack = stack

    def start_node(self, name: str, settings: Mapping[str, str], *, toplevel: bool = False) -> Node:
        """Start a node with one worker that answers one source without limit; settings by name without IDNODE_.

        With `toplevel` a simulated top-level node runs beside it, as `make run` has it.

        Raises StandError when it is not ready in START_SECONDS.
        """
        home = self.directory / name
        home.mkdir(exist_ok=True)
        home.chmod(0o711)
        given = {
            "HTTP_LISTEN": f"{HOST}:0",
            "NATIVE_LISTEN": f"{HOST}:0",
            "ADMIN_LISTEN": f"{HOST}:0",
            "WORKERS": "1",
            "TOPLEVEL_LISTEN": ",".join([f"{HOST}:0"] * 3),
            "DATA_DIR": str(home / "data"),
            "UDP_ANSWERS_PER_SECOND": UNLIMITED,
            "UDP_ANSWERS_BURST": UNLIMITED,
            **settings,
        }
        environment = clean_environment(given)
        log = home / "log"
        command = [sys.executable, "-m", "node", "serve", "--with-parent"]
        process = self._start([*command, *(("--toplevel",) if toplevel else ())], environment, log)
        running = _wait(lambda: _running(environment), process, log)
        found = Node(name, running, process, log)
        asked = found.admin if running.tls_certificate else found.http
        _wait(lambda: _is_ready(asked), process, log)
        return found

    def start_baseline(self, name: str, *arguments: str) -> tuple[subprocess.Popen[bytes], Path]:
        """Start `python -m loadtest.baselines.…`; return the process and the file of its output."""
        log = self.directory / f"{name}.log"
        command = [sys.executable, "-m", f"loadtest.baselines.{arguments[0]}", *arguments[1:]]
        return self._start(command, dict(os.environ), log), log

    def start_program(
        self, name: str, command: list[str], settings: Mapping[str, str] | None = None
    ) -> tuple[subprocess.Popen[bytes], Path]:
        """Start a program, with these settings of a node and no others; return the process and its output's file."""
        log = self.directory / f"{name}.log"
        return self._start(command, clean_environment(settings or {}), log), log

    def start_echo(self) -> tuple[Subject, dict[str, Address]]:
        """Start the echo baseline; return it and its addresses by transport."""
        process, log = self.start_baseline("echo", "echo", "--host", HOST)
        line = _wait(lambda: log.read_text().partition("\n")[0], process, log)
        ports = {transport: (HOST, int(port)) for transport, port in json.loads(line).items()}
        return Subject(process.pid, (process.pid,)), ports

    def start_plain(
        self, name: str, node: Node, redis_url: str, *options: str
    ) -> tuple[Subject, Address]:
        """Start the plain FastAPI baseline on a node's stores; return it and its address."""
        address = (HOST, free_port())
        urls = ("--database", node.settings.database_url, "--redis", redis_url)
        process, log = self.start_baseline(
            name, "plain", "--port", str(address[1]), *urls, *options
        )
        wait_for_port(address, process, log)
        return Subject(process.pid, (process.pid, *node.stores())), address

    def measure(self, subject: Subject, prepare: Callable[[], Prepared]) -> Measured:
        """Run a generator against a subject, each on its core if it has one worker, and read what it cost.

        The worker's core is kept awake, for processor time that can be compared; for latencies, `measure_open`.
        """
        with cpu.awake(self.cores.server) as spinner:
            return self._measured(subject, prepare, spinner)

    def measure_open(
        self, subject: Subject, prepare: Callable[[], Prepared], *, is_first: bool = False
    ) -> Measured:
        """Run a generator that sleeps while it has nothing to do, and leave the worker's core to the worker.

        With `is_first`, and a niceness below 0, the generator goes before all else on its core, which is that of the
        keeper and the stores: as if it had a machine of its own.  Not for more than the server can do.
        """
        return self._measured(subject, prepare, is_first=is_first)

    def _measured(
        self,
        subject: Subject,
        prepare: Callable[[], Prepared],
        spinner: int = 0,
        *,
        is_first: bool = False,
    ) -> Measured:
        before: dict[int, float] = {}
        core_before = 0.0

        def started(generator: int) -> None:
            nonlocal core_before
            cpu.prefer([*subject.workers, generator], self.niceness)
            if is_first and self.niceness < 0:
                cpu.put_first(generator)
            if not subject.siblings:
                cpu.pin(subject.tree(), self.cores.others)
                cpu.pin([subject.worker], self.cores.server)
            before.update({pid: cpu.cpu_seconds(pid) for pid in [*subject.tree(), spinner]})
            core_before = cpu.core_busy_seconds(self.cores.server)

        alone = None if subject.siblings else self.cores.others
        run = run_apart(prepare, core=alone, started=started)
        core = cpu.core_busy_seconds(self.cores.server) - core_before
        cpu.prefer(subject.workers, 0)
        spent = {
            pid: cpu.cpu_seconds(pid) - before.get(pid, 0.0) for pid in [*subject.tree(), spinner]
        }
        return Measured(
            run,
            worker_seconds=sum(spent[pid] for pid in subject.workers),
            tree_seconds=sum(spent.values()) - spent[spinner],
            core_seconds=core - spent[spinner],
        )

    def stop(self, node: Node) -> None:
        """Stop one node before the end."""
        _stop(node.process)

    def _start(
        self, command: list[str], environment: Mapping[str, str], log: Path
    ) -> subprocess.Popen[bytes]:
        with log.open("ab") as output:
            process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._stack.callback(_stop, process)
        return process


@contextmanager
def open_stand(niceness: int = 0) -> Iterator[Stand]:
    """Make a directory for a stand; at the end stop all, and remove it."""
    with ExitStack() as stack:
        directory = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="idnode-bench-", ignore_cleanup_errors=True)
        )
        Path(directory).chmod(0o711)  # the embedded servers' account passes through
        yield Stand(Path(directory), stack, niceness)


def clean_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return our environment with these settings of the node, and none of the operator's."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("IDNODE_")
    }
    ours = {f"IDNODE_{name}": value for name, value in settings.items()}
    return {**inherited, **ours, "IDNODE_CONFIG": os.devnull}


def free_port() -> int:
    """Return a TCP port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def get(address: Address, path: str) -> tuple[int, bytes]:
    """Ask once over HTTP/1.0; return status and body.  Raises OSError."""
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: {address[0]}\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    if len(words) < 2 or not words[1].isdigit():
        raise ConnectionError(f"{address[0]}:{address[1]} closed without an answer to {path}")
    return int(words[1]), body


def answers_by_tier(admin: Address) -> Counter[str]:
    """Return how many resolutions a node says it has answered, by the tier that they came from."""
    found: Counter[str] = Counter()
    for line in get(admin, "/metrics")[1].decode().splitlines():
        if line.startswith("idnode_resolutions_total{") and (tier := _TIER.search(line)):
            found[tier[1]] += int(float(line.rpartition(" ")[2]))
    return found


def flush_redis(url: str) -> None:
    """Empty the database of a Redis that needs no password, with one command of its protocol."""
    parts = urlsplit(url)
    database = (
        int(parts.query.removeprefix("db=") or 0)
        if parts.scheme == "unix"
        else int(parts.path.strip("/") or 0)
    )
    with _redis_connection(url) as connection:
        connection.sendall(b"SELECT %d\r\nFLUSHDB\r\n" % database)
        answer = connection.makefile("rb")
        if (answer.readline(), answer.readline()) != (b"+OK\r\n", b"+OK\r\n"):
            raise StandError(f"{url} cannot be flushed")


def _redis_connection(url: str) -> socket.socket:
    parts = urlsplit(url)
    if parts.scheme != "unix":
        return socket.create_connection((parts.hostname or HOST, parts.port or 6379), timeout=30)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(30)
    connection.connect(parts.path)
    return connection


def _running(environment: Mapping[str, str]) -> Settings | None:
    """Return the true settings of a node that has written them all."""
    with suppress(ValueError):
        return find_running(load(environment))
    return None


def _is_ready(address: Address) -> bool:
    try:
        return get(address, "/readyz")[0] == 200
    except (OSError, IndexError):
        return False


def _accepts(address: Address) -> bool:
    try:
        socket.create_connection(address, timeout=1).close()
    except OSError:
        return False
    return True


def wait_for_port(address: Address, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a process accepts connections there.  Raises StandError."""
    _wait(lambda: _accepts(address), process, log)


def _wait(probe: Callable[[], Found | None], process: subprocess.Popen[bytes], log: Path) -> Found:
    deadline = time.monotonic() + START_SECONDS
    while not (found := probe()):
        if process.poll() is not None or time.monotonic() > deadline:
            raise StandError(f"{process.args!r} did not start; it said: {log.read_text()[-2000:]}")
        time.sleep(POLL_SECONDS)
    return found


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
