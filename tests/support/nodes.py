"""Whole nodes as their operator sees them: a command, its output, its signals."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from node.config import Settings, load
from node.process.account import Account, Identity
from node.process.home import POINTER
from node.process.lock import CHILDREN_LOCK, processes_with
from node.process.running import find_running

START_SECONDS = 60.0
STOP_SECONDS = 30.0
KEPT = frozenset(
    {
        *("postgres", "log", "samples", "jobs", "ledger", "toplevel"),
        *("server-key.pem", "sealing.key", "operator-token", "monitoring.json"),
    }
)
"""What a node that has ended leaves in its data directory: data and keys, no socket and no lock."""
ROOT = Path(__file__).resolve().parents[2]
ANY_PORTS = {
    "IDNODE_HTTP_LISTEN": "127.0.0.1:0",
    "IDNODE_NATIVE_LISTEN": "127.0.0.1:0",
    "IDNODE_ADMIN_LISTEN": "127.0.0.1:0",
    "IDNODE_TOPLEVEL_LISTEN": "127.0.0.1:0,127.0.0.1:0,127.0.0.1:0",
}


def eventually(holds: Callable[[], object], limit_seconds: float = STOP_SECONDS) -> None:
    """Return as soon as it holds.  Raises TimeoutError."""
    deadline = time.monotonic() + limit_seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not in {limit_seconds} s")
        time.sleep(0.01)


def is_alive(process_id: int) -> bool:
    """True while there is such a process."""
    return Path(f"/proc/{process_id}").exists()


class NodeProcess:
    """A node on a data directory of its own; every process that it starts can be found and is ended with the test."""

    def __init__(self, data_dir: Path, account: str | None = None, **settings: str) -> None:
        self.data_dir = data_dir
        self.account = account
        self.environment = {
            **{name: value for name, value in os.environ.items() if name[:7] != "IDNODE_"},
            **ANY_PORTS,
            "IDNODE_DATA_DIR": str(data_dir),
            "IDNODE_WORKERS": "1",
            **settings,
        }
        self.command: tuple[str, ...] = (_python_for(account)[0], "-m", "node", "serve")
        self.process: subprocess.Popen[bytes] | None = None
        self.output = data_dir.with_name(f"{data_dir.name}.out")

    def start(self) -> Settings:
        """Start it, wait until it says that it is ready, and return the settings it runs with."""
        self.launch()
        eventually(lambda: "Ctrl-C" in self.said() or self._ended(), START_SECONDS)
        assert not self._ended(), self.said()
        return self.settings()

    def launch(self, *command: str) -> None:
        """Start the command (by default `self.command`, `idnode serve`) and do not wait."""
        path = _python_for(self.account)[1]
        self.output.write_bytes(b"")
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                command or self.command,
                stdout=output,
                stderr=output,
                env={**self.environment, **path},
                cwd=self.data_dir.parent,
                start_new_session=True,
                **_identity(self.account),
            )

    def settings(self) -> Settings:
        """Return what it runs with, ports and URLs included."""
        found = find_running(load(self.environment))
        assert found is not None
        return found

    def said(self) -> str:
        """Return all that it has printed and logged."""
        return self.output.read_text("utf-8", "replace") if self.output.exists() else ""

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run `idnode …` with the same settings."""
        python, path = _python_for(self.account)
        return subprocess.run(
            (python, "-m", "node", *words),
            env={**self.environment, **path},
            cwd=self.data_dir.parent,
            capture_output=True,
            text=True,
            timeout=STOP_SECONDS,
            check=False,
            **_identity(self.account),
        )

    def stop(self, sign: signal.Signals = signal.SIGINT) -> int:
        """Send it the signal and wait until it has ended; return its exit code."""
        assert self.process is not None
        self.process.send_signal(sign)
        return self.process.wait(STOP_SECONDS)

    def processes(self) -> dict[int, str]:
        """Return the processes that belong to it, the supervisor included, with their command lines."""
        return command_lines(self.data_dir / CHILDREN_LOCK)

    def end(self) -> None:
        """Leave nothing behind, however the test went."""
        for process_id in self.processes():
            with suppress(ProcessLookupError):
                os.kill(process_id, signal.SIGKILL)
        if self.process is not None:
            self.process.kill()
            self.process.wait(STOP_SECONDS)
        home = (
            self.data_dir / POINTER
        )  # where the servers' account could not enter the data directory
        if home.exists():
            shutil.rmtree(home.read_text("utf-8").strip())

    def _ended(self) -> bool:
        return self.process is None or self.process.poll() is not None


@contextmanager
def node_in(directory: Path, account: str | None = None, **settings: str) -> Iterator[NodeProcess]:
    """Lend a node that is not started yet."""
    lent = NodeProcess(directory, account, **settings)
    try:
        yield lent
    finally:
        lent.end()
        sys.stdout.write(lent.said())  # is shown beside a test that failed


def command_lines(path: Path) -> dict[int, str]:
    """Return the processes that hold the file open, with their command lines."""
    found = {}
    for process_id in processes_with(path) if path.exists() else ():
        with suppress(OSError):
            words = Path(f"/proc/{process_id}/cmdline").read_bytes()
            found[process_id] = words.replace(b"\0", b" ").decode()
    return found


def can_run_as(account: str) -> bool:
    """True when a test can start a node under that account."""
    return os.geteuid() == 0 and bool(_python_for(account)[0])


def _identity(account: str | None) -> Identity:
    if account is None:
        return {}
    entry = pwd.getpwnam(account)
    return Account(account, entry.pw_uid, entry.pw_gid).identity


@cache
def _python_for(account: str | None) -> tuple[str, dict[str, str]]:
    """Return an interpreter that the account can run, and what it needs to find our packages; "" when there is none."""
    older = ROOT / "tests" / "support" / "older"
    installed = [each for each in sys.path if "site-packages" in each]
    packages = os.pathsep.join([str(ROOT), *installed, str(older)])
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    none: dict[str, str] = {}
    for python, path in ((sys.executable, none), (f"/usr/bin/{version}", {"PYTHONPATH": packages})):
        probe = (python, "-c", "import node.app")
        with suppress(OSError):
            tried = subprocess.run(
                probe,
                env={**os.environ, **path},
                cwd="/",
                capture_output=True,
                check=False,
                **_identity(account),
            )
            if tried.returncode == 0:
                return python, path
    return "", {}
