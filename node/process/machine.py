"""The machine: how much memory there is for this process and those that it starts, and what of it Postgres takes."""

import os
from contextlib import suppress
from pathlib import Path

MEBIBYTE = 1 << 20
LEAST_BUFFERS = 128 * MEBIBYTE  # Postgres's own default
MOST_BUFFERS = 1024 * MEBIBYTE  # the records that are asked for of millions, and all indexes of one
BUFFERS_SHARE = 4  # Postgres's manual: a quarter of the memory

_LIMITS = (  # of a container: cgroup version 2, version 1
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def memory_bytes(limits: tuple[Path, ...] = _LIMITS) -> int:
    """Return the memory of this machine, or of this container where that is less; 0 when nobody says."""
    found = [limit for limit in map(_read_limit, limits) if limit]
    with suppress(ValueError, OSError):
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return min(found, default=0)


def buffer_bytes(memory: int) -> int:
    """Return how much of so much memory Postgres's shared buffers are, in whole MiB.

    Those that were never used take next to none.
    """
    share = memory // BUFFERS_SHARE // MEBIBYTE * MEBIBYTE
    return max(LEAST_BUFFERS, min(share, MOST_BUFFERS))


def _read_limit(path: Path) -> int:
    """Return the limit in a file; 0 when there is none."""
    try:
        text = path.read_text("ascii").strip()
    except OSError:
        return 0
    return int(text) if text.isdecimal() else 0
