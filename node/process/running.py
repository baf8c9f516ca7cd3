"""What a running node tells other commands on the same machine: its true addresses and the URLs of its servers.

The supervisor writes it into the data directory when the node is ready and removes it at the end.  It may hold
passwords, so only the node's own account can read it.
"""

import json
import os
from dataclasses import replace
from pathlib import Path

from node.config import Settings, as_environment, load
from node.errors import Kind, RegistryError
from node.process.lock import holder


def run_directory(data_dir: Path) -> Path:
    """Return the directory of what lives only while the node runs."""
    return data_dir / "run"


def announce_running(settings: Settings) -> None:
    """Write down the settings that the node really runs with; a reader finds all of them or none."""
    path = _path(settings.data_dir)
    draft = path.with_suffix(".draft")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(as_environment(settings), file)
    draft.replace(path)


def find_running(settings: Settings) -> Settings | None:
    """Return the settings of the node that runs on the same data directory, or None when none is ready there."""
    if holder(settings.data_dir) is None:
        return None
    try:
        return load(json.loads(_path(settings.data_dir).read_text("utf-8")))
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise RegistryError(
            Kind.FORBIDDEN,
            f"Another account runs the node in {settings.data_dir}; use that one, or set IDNODE_DATABASE_URL.",
        ) from error


def with_servers(settings: Settings) -> Settings:
    """Return settings whose `database_url` is not empty: as given, else that of the embedded Postgres that runs now.

    For every command that needs the database.  Raises RegistryError when there is none.
    """
    if settings.database_url:
        return settings
    running = find_running(settings)
    if running is None:
        raise RegistryError(
            Kind.UNAVAILABLE,
            f"No node runs on {settings.data_dir}, so its embedded Postgres is down; start it with "
            "`idnode serve`, or set IDNODE_DATABASE_URL.",
        )
    return replace(settings, database_url=running.database_url, redis_url=running.redis_url)


def _path(data_dir: Path) -> Path:
    return run_directory(data_dir) / "settings.json"
