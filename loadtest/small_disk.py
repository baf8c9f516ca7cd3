"""SmallDisk: a file system of its own for a node's data, small enough to be filled; it needs root."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import ENOSPC
from pathlib import Path

SIZE_BYTES = 3 * 2**30
CHUNK_BYTES = 2**20
FULL_BYTES = 2**17  # so much is left of a disk that counts as full


def is_possible() -> bool:
    """True when this process may mount a file system."""
    return os.geteuid() == 0


@contextmanager
def small_disk(directory: Path) -> Iterator[Path]:
    """Have a directory, which is made, be a disk of SIZE_BYTES while the block runs.  Raises OSError."""
    directory.mkdir(mode=0o755, parents=True)
    directory.parent.chmod(0o711)  # the embedded servers' account passes through
    size = f"size={SIZE_BYTES},mode=0711"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(directory)], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


def fill(filler: Path) -> None:
    """Let a file grow until there is no room for anything else."""
    with open(filler, "ab") as file, suppress(OSError):
        while True:
            _grow(file.fileno())


def is_full(directory: Path) -> bool:
    """True when nothing more can be written there."""
    return shutil.disk_usage(directory).free < FULL_BYTES


def _grow(descriptor: int) -> None:
    """Take a chunk, or what there is.  Raises OSError when there is nothing."""
    size = CHUNK_BYTES
    while size:
        try:
            os.posix_fallocate(descriptor, os.fstat(descriptor).st_size, size)
        except OSError as error:
            if error.errno != ENOSPC or size <= 4_096:
                raise
            size //= 2
        else:
            return
