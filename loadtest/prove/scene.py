"""The scene: the node that is asked, its ledger, its witness's policy, and the page of the top-level node beside it.

Either a whole node of its own, in a directory that is removed at the end, or the one that runs in a given directory.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from loadtest import cpu
from loadtest.sizes import load_corpus, make_corpus
from loadtest.stand import HOST, Node, open_stand
from loadtest.streams import Address
from node.address import Endpoint, loopback_if_any
from node.config import Settings, load
from node.ledger.logfiles import KEYS, LogFiles
from node.ledger.quorum import Policy, Witness
from node.ledger.role import DIRECTORY
from node.ledger.signing import PUBLIC
from node.process.lock import holder
from node.process.running import find_running
from node.tls import is_on

SAMPLE_RECORDS = 20_000  # of the sample of `make run`


class NoScene(RuntimeError):
    """The proof cannot begin; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Who is asked, and where all is found.  `is_own`: nobody else asks it."""

    settings: Settings
    supervisor: int
    directory: Path
    corpus: Path
    records: int = 0
    node: Node | None = None

    @property
    def is_own(self) -> bool:
        """True for a node that was started for the proof alone."""
        return self.node is not None

    @property
    def http(self) -> Address:
        """Where it answers HTTP."""
        return _here(self.settings.http_listen, "http_listen")

    @property
    def native(self) -> Address:
        """Where it answers the Handle protocol, UDP and TCP."""
        return _here(self.settings.native_listen, "native_listen")

    @property
    def admin(self) -> Address:
        """Where its metrics are."""
        return _here(self.settings.admin_listen, "admin_listen")

    @property
    def ledger(self) -> Path:
        """The directory of its ledger."""
        return self.settings.data_dir / DIRECTORY

    @property
    def files(self) -> LogFiles:
        """Its log."""
        return LogFiles(self.ledger)

    @property
    def log_key(self) -> Path:
        """The verifier keys of its log."""
        return self.ledger / KEYS / PUBLIC

    @property
    def origin(self) -> str:
        """The name of its log.  Raises OSError."""
        return self.log_key.read_text("ascii").partition("\n")[0].partition("+")[0]

    @property
    def policy_text(self) -> bytes:
        """The policy that names its witnesses, nobody where there is none.  Raises OSError."""
        path = self.settings.ledger_witnesses
        return b"quorum none\n" if path is None else path.read_bytes()

    @property
    def witness(self) -> Witness:
        """The top-level node, as the witness that it is.  Raises NoScene, PolicyError, OSError."""
        found = self.policy.acknowledging()
        if found is None:
            raise NoScene(
                "no witness of the log has a URL (IDNODE_LEDGER_WITNESSES): nobody acknowledges"
            )
        return found

    @property
    def policy(self) -> Policy:
        """Who cosigns.  Raises PolicyError, OSError."""
        return Policy.parse(self.policy_text)

    def workers(self) -> list[int]:
        """Return the process ids of its workers."""
        tree = cpu.tree([self.supervisor])
        return [pid for pid in tree if "node.process.worker" in cpu.command(pid)]

    def load(self) -> None:
        """Load the corpus, and wait until it is answered; the node of somebody else has it already."""
        if self.node is not None:
            make_corpus(self.directory, self.records)
            load_corpus(self.node, self.corpus, self.records)


@contextmanager
def own_scene(workers: int, records: int) -> Iterator[Scene]:
    """Start a whole node with the simulated top-level node beside it; stop both, and remove all.

    `records` are loaded by `Scene.load`.  Raises StandError.
    """
    with open_stand() as stand:
        node = stand.start_node("node", {"WORKERS": str(workers)}, toplevel=True)
        corpus = stand.directory / f"corpus-{records}.ndjson"  # made when it is loaded
        yield Scene(node.settings, node.process.pid, stand.directory, corpus, records, node)


@contextmanager
def running_scene(data_dir: Path, corpus: Path | None, workspace: Path) -> Iterator[Scene]:
    """Find the node that runs on a data directory.  Raises NoScene."""
    settings = find_running(load({"IDNODE_DATA_DIR": str(data_dir)}))
    supervisor = holder(data_dir)
    if settings is None or supervisor is None:
        raise NoScene(f"no node runs on {data_dir}; start it, or leave out --node")
    if is_on(settings):
        raise NoScene(f"the node on {data_dir} speaks TLS over HTTP; the proof asks in the clear")
    if not settings.ledger:
        raise NoScene(f"the node on {data_dir} counts nothing: IDNODE_LEDGER is false")
    sample = corpus or make_corpus(workspace, SAMPLE_RECORDS)
    yield Scene(settings, supervisor, workspace, sample)


def _here(endpoints: tuple[Endpoint, ...], name: str) -> Address:
    for each in endpoints:
        host = loopback_if_any(each.host)
        if host == HOST or host.startswith("127."):
            return host, each.port
    raise NoScene(f"{name} of the node has no address of 127.0.0.0/8; the proof asks from there")


def interpreter() -> list[str]:
    """Return how `idnode` is started by this Python."""
    return [sys.executable, "-m", "node"]
