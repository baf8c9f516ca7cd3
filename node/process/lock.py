"""The two locks of a data directory; both are flocks, so neither can be stale, whatever was killed.

`node.lock` is held by the supervisor alone: a second node on the same directory is refused.
`children.lock` is opened by the supervisor and inherited by everything it starts, down to the backends of Postgres:
whoever gets it knows that nothing of an earlier node is left, without believing any process id in a file.
"""

import fcntl
import json
import logging
import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

from node.errors import Kind, RegistryError

NODE_LOCK = "node.lock"
CHILDREN_LOCK = "children.lock"
STOPPING_SECONDS = 20.0  # how long we wait for a node that is just stopping
GLANCE_SECONDS = 0.3  # how long `holder` may be in the way
ORPHAN_STEPS = ((8.0, signal.SIGINT), (8.0, signal.SIGKILL))  # wait so long, then send that
QUIET_SECONDS = 0.5  # before we say what we wait for
KILLED_SECONDS = 4.0
_POLL_SECONDS = 0.02

logger = logging.getLogger(__name__)


class DataDirectory:
    """A data directory that is ours until `release`.  `children` is the descriptor that every child must inherit."""

    def __init__(self, path: Path, lock: int, children: int) -> None:
        self.path = path
        self._lock = lock
        self.children = children

    @classmethod
    def acquire(cls, path: Path) -> Self:
        """Make the directory if missing, and take both locks; waits for the remains of a killed node to end.

        Raises RegistryError: another node runs there, or the directory cannot be written.
        """
        try:
            path.mkdir(
                mode=0o711, parents=True, exist_ok=True
            )  # the embedded servers' account passes through
            lock = _take_node_lock(path / NODE_LOCK, path)
            try:
                children = _take_children_lock(path / CHILDREN_LOCK)
            except BaseException:
                os.close(lock)
                raise
        except OSError as error:
            raise RegistryError(
                Kind.FORBIDDEN,
                f"Cannot use the data directory {path}: {error.strerror}; make it writable for this account, or set "
                "IDNODE_DATA_DIR to another one.",
            ) from error
        return cls(path, lock, children)

    def stopping(self) -> None:
        """Tell a successor that it need only wait."""
        _write_state(self._lock, "stopping")

    def release(self) -> None:
        """Let both locks go and remove their files; only when every child has ended."""
        for name in (CHILDREN_LOCK, NODE_LOCK):
            with suppress(FileNotFoundError):
                (self.path / name).unlink()
        os.close(self.children)
        os.close(self._lock)


def holder(path: Path) -> int | None:
    """Return the process id of the node that runs on this data directory, or None."""
    try:
        descriptor = os.open(path / NODE_LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return None if _try_lock(descriptor) else _read_state(descriptor)[0]
    finally:
        os.close(descriptor)


def _take_node_lock(path: Path, directory: Path) -> int:
    began = time.monotonic()
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if _try_lock(descriptor):
            if _is_still(path, descriptor):
                _write_state(descriptor, "running")
                return descriptor
            os.close(descriptor)  # removed by its last holder in between: take the new one
            continue
        process_id, state = _read_state(descriptor)
        os.close(descriptor)
        patience = STOPPING_SECONDS if state == "stopping" else GLANCE_SECONDS
        if time.monotonic() - began > patience:
            raise RegistryError(
                Kind.IN_USE,
                f"Another node (process {process_id}) already runs on the data directory {directory}; stop it, or set "
                "IDNODE_DATA_DIR to another directory.",
            )
        time.sleep(_POLL_SECONDS)


def _take_children_lock(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if _wait_for_lock(descriptor, QUIET_SECONDS):
        return descriptor
    logger.info(
        "waiting for the processes of an earlier node to end", extra={"directory": str(path.parent)}
    )
    for seconds, sign in ORPHAN_STEPS:
        if _wait_for_lock(descriptor, seconds):
            return descriptor
        for process_id in processes_with(path):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(process_id, sign)
    if _wait_for_lock(descriptor, KILLED_SECONDS):
        return descriptor
    left = ", ".join(map(str, sorted(processes_with(path)))) or "unknown"
    os.close(descriptor)
    raise RegistryError(
        Kind.IN_USE,
        f"Processes of an earlier node do not end (process {left}); stop them, then start again.",
    )


def _wait_for_lock(descriptor: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not _try_lock(descriptor):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def processes_with(path: Path) -> set[int]:
    """Return the processes, other than this one, that hold the file open: a node started them here."""
    file = path.stat()
    others = {int(name) for name in os.listdir("/proc") if name.isdecimal()} - {os.getpid()}
    return {process_id for process_id in others if _has_open(process_id, file)}


def _has_open(process_id: int, file: os.stat_result) -> bool:
    """False, too, for a process that ends just now, or that we may not look into."""
    directory = f"/proc/{process_id}/fd"
    with suppress(OSError):
        for name in os.listdir(directory):
            with suppress(OSError):
                seen = os.stat(f"{directory}/{name}")
                if (seen.st_dev, seen.st_ino) == (file.st_dev, file.st_ino):
                    return True
    return False


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        there, ours = path.stat(), os.fstat(descriptor)
    except FileNotFoundError:
        return False
    return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)


def _write_state(descriptor: int, state: str) -> None:
    content = json.dumps({"process_id": os.getpid(), "state": state}).encode()
    os.pwrite(descriptor, content.ljust(80), 0)


def _read_state(descriptor: int) -> tuple[int, str]:
    try:
        content = json.loads(os.pread(descriptor, 80, 0))
        return int(content["process_id"]), str(content["state"])
    except (ValueError, KeyError, TypeError):
        return 0, "starting"
