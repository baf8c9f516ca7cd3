"""Files that outlive a power cut: written beside their place, given to the disk, and put in place by a rename.

Whoever reads sees the old file or the new one, whole.  After a crash a draft may be left, which nobody reads.
"""

import os
from pathlib import Path

from node.ledger.lanefile import sync_directory

PRIVATE_FILE, PRIVATE_DIRECTORY = 0o600, 0o700
PUBLIC_FILE, PUBLIC_DIRECTORY = 0o644, 0o755

_DRAFT = ".new"


def write_durably(path: Path, data: bytes, mode: int = PRIVATE_FILE) -> None:
    """Put a file in place, and have the disk keep it and its name.  One process at a time writes a path.

    Raises OSError; then the place is as it was.
    """
    draft = path.with_name(path.name + _DRAFT)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    with open(os.open(draft, flags, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_directory(path.parent)


def make_directory(path: Path, mode: int = PRIVATE_DIRECTORY) -> None:
    """Make a directory and those above it that are missing, and have the disk keep their names.  Raises OSError."""
    if path.is_dir():
        return
    make_directory(path.parent, mode)
    path.mkdir(mode, exist_ok=True)
    sync_directory(path.parent)


def read_if_there(path: Path) -> bytes | None:
    """Return what a file holds, or None when there is none.  Raises OSError for all other trouble."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
