"""A throw-away Valkey Cluster of three nodes from the wheel; each can be killed, paused, and started again."""

import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from tests.support.servers import VALKEY_BINARY

NODES = 3
SLOTS = 16_384
READY_SECONDS = 20.0
NODE_TIMEOUT_MILLISECONDS = 1_000


@dataclass
class ClusterNode:
    """One node; what it knows of the others stays in its directory, what it holds does not."""

    directory: Path
    port: int
    bus: int
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it answers for its slots when it has found the others."""
        options = {
            "port": self.port,
            "bind": "127.0.0.1",
            "dir": self.directory,
            "save": "",
            "cluster-enabled": "yes",
            "cluster-port": self.bus,
            "cluster-node-timeout": NODE_TIMEOUT_MILLISECONDS,
            "cluster-require-full-coverage": "no",
        }
        words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
        self.process = subprocess.Popen([VALKEY_BINARY, *words], stdout=subprocess.DEVNULL)

    def stop(self) -> None:
        """Kill it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(READY_SECONDS)
            self.process = None

    def send(self, sign: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(sign)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Have it do nothing while its sockets stay open."""
        self.send(signal.SIGSTOP)
        try:
            yield
        finally:
            self.send(signal.SIGCONT)

    def is_ready(self, others: int = NODES - 1) -> bool:
        """True when it answers for its slots, and knows so many others."""
        try:
            info = self.ask("CLUSTER", "INFO")
        except RedisError:
            return False
        told = dict(line.split(":") for line in info.decode().split())
        return told["cluster_state"] == "ok" and int(told["cluster_known_nodes"]) > others

    def ask(self, *words: str | int) -> Any:
        """Ask for one answer, on a connection of its own."""
        with Redis(port=self.port) as client:
            connection = client.connection_pool.get_connection()
            connection.send_command(*words)
            return connection.read_response()

    def holders(self) -> dict[int, int]:
        """Return the port of the node that has each slot, as this one knows it."""
        lines = self.ask("CLUSTER", "SLOTS")
        return {
            slot: line[2][1] for line in lines for slot in range(int(line[0]), int(line[1]) + 1)
        }


@dataclass
class ValkeyCluster:
    """Nodes that share the slots evenly, without replicas: what is lost with one is lost."""

    nodes: list[ClusterNode]

    @property
    def url(self) -> str:
        """The URL, with all nodes."""
        return f"redis+cluster://{','.join(f'127.0.0.1:{node.port}' for node in self.nodes)}"

    def start(self) -> None:
        """Start all nodes, and wait until they answer."""
        for node in self.nodes:
            node.start()
        wait_until(lambda: all(node.is_ready() for node in self.nodes))

    def stop(self) -> None:
        """Kill all nodes."""
        for node in self.nodes:
            node.stop()

    def send(self, sign: signal.Signals) -> None:
        """Send all nodes a signal."""
        for node in self.nodes:
            node.send(sign)

    def forget(self) -> None:
        """Remove what nodes have saved of what they held."""
        for node in self.nodes:
            (node.directory / "dump.rdb").unlink(missing_ok=True)

    def move(self, slot: int, source: ClusterNode, target: ClusterNode) -> None:
        """Give a slot to another node, without what it held (nor what else the node did), until all know."""
        source_id, target_id = (node.ask("CLUSTER", "MYID").decode() for node in (source, target))
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
        source.ask("FLUSHALL")  # it lets go of no slot in which it has something
        for node in (
            target,
            source,
        ):  # the target's claim comes first: it is newer than every other one
            node.ask("CLUSTER", "SETSLOT", slot, "NODE", target_id)
        wait_until(lambda: all(node.holders()[slot] == target.port for node in self.nodes))

    def form(self) -> None:
        """Start nodes that know nothing, share out the slots, and wait until all know all."""
        for number, node in enumerate(self.nodes):
            node.start()
            wait_until(lambda node=node: _answers(node))  # type: ignore[misc]  # bound now
            first, behind = (SLOTS * each // NODES for each in (number, number + 1))
            node.ask("CLUSTER", "ADDSLOTSRANGE", first, behind - 1)
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            node.ask("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port, self.nodes[0].bus)
        wait_until(lambda: all(node.is_ready() for node in self.nodes))


@contextmanager
def temporary_cluster(directory: Path) -> Iterator[ValkeyCluster]:
    """Run a cluster in a directory of its own."""
    nodes = []
    with ExitStack() as ports:
        for number in range(NODES):
            (directory / str(number)).mkdir(parents=True)
            nodes.append(ClusterNode(directory / str(number), _port(ports), _port(ports)))
    cluster = ValkeyCluster(nodes)
    try:
        cluster.form()
        yield cluster
    finally:
        cluster.stop()


def wait_until(holds: Callable[[], bool]) -> None:
    """Return as soon as it holds.  Raises TimeoutError."""
    deadline = time.monotonic() + READY_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not in {READY_SECONDS} s")
        time.sleep(0.01)


def _answers(node: ClusterNode) -> bool:
    try:
        return bool(node.ask("PING") == b"PONG")
    except RedisError:
        return False


def _port(held: ExitStack) -> int:
    """Return a free port; all are held until the last is found."""
    listening = held.enter_context(socket.socket())
    listening.bind(("127.0.0.1", 0))
    port: int = listening.getsockname()[1]
    return port
