"""Renewal: what workers that replace others run with, and how far a rolling restart is, for who asked for it.

A worker reads its settings when it starts.  In a rolling restart it is given those that only workers go by, as they are
now in the environment of the supervisor and the settings file; the rest stays as it was, as other processes have it.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from node.config import Settings
from node.process.running import run_directory

RENEWED = (
    *("udp_max_datagrams", "udp_answers_per_second", "udp_answers_burst"),
    *("connections_max", "connections_per_source", "http_header_seconds", "idle_seconds"),
    *("hot_entries", "memory_entries", "native_profile", "session_seconds"),
    *("tls_certificate", "tls_key"),
)
"""The settings that a rolling restart reads anew."""

_FILE = "restart.json"


class State(StrEnum):
    """Of a rolling restart."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Progress:
    """The newest rolling restart since the node started; `number` 0: there was none."""

    number: int = 0
    state: State = State.DONE
    seconds: float = 0.0
    reason: str = ""  # why it failed, for people
    kept: tuple[str, ...] = ()  # settings that have changed and that only a whole restart reads

    def write(self, data_dir: Path) -> None:
        """Tell it to who asks; a reader finds all or what was there before."""
        path = run_directory(data_dir) / _FILE
        draft = path.with_suffix(".draft")
        content = {each.name: getattr(self, each.name) for each in fields(self)}
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file)
        draft.replace(path)

    @classmethod
    def read(cls, data_dir: Path) -> "Progress":
        """Return what was written last.  Raises OSError when it cannot be read."""
        try:
            found = json.loads((run_directory(data_dir) / _FILE).read_text("utf-8"))
        except FileNotFoundError:
            return cls()
        kept = tuple(found.pop("kept"))
        return cls(**{**found, "state": State(found["state"]), "kept": kept})


class Renewed(NamedTuple):
    """Settings to go on with, and the names of those that have changed but stay as they were."""

    settings: Settings
    kept: tuple[str, ...]


class Renewal:
    """Knows what the supervisor was given at its start, and reads it again."""

    def __init__(self, load: Callable[[], Settings]) -> None:
        self._load = load
        self._given = load()

    def read(self, running: Settings) -> Renewed:
        """Return what workers run with from now on.  Raises RegistryError when the settings cannot be read."""
        fresh, given = self._load(), self._given
        changed = [
            each.name
            for each in fields(fresh)
            if getattr(fresh, each.name) != getattr(given, each.name)
        ]
        taken = {name: getattr(fresh, name) for name in RENEWED}
        return Renewed(
            replace(running, **taken), tuple(name for name in changed if name not in RENEWED)
        )
