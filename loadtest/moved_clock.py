"""MovedClock: the wall clock of a node's Python processes, moved by a campaign while they run.

Processes that are started in `environment` read `time.time` and `time.time_ns` through an offset in a shared file; a
simulated top-level node is left alone, and so are Postgres and Valkey, as when one machine's clock is set and another's
is not.  This is a campaign's way alone: the node has no setting for it.
"""

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_OFFSET = struct.Struct("<q")
_SHIM = '''"""Adds an offset to the wall clock; see loadtest/moved_clock.py."""

import mmap
import struct
import sys
import time

if "toplevel" not in sys.orig_argv:
    with open({path!r}, "rb") as file:
        _shared = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)
    _offset = struct.Struct("<q").unpack_from
    _time, _time_ns = time.time, time.time_ns
    time.time = lambda: _time() + _offset(_shared)[0]
    time.time_ns = lambda: _time_ns() + _offset(_shared)[0] * 10**9
'''


class MovedClock:
    """One clock; `directory` is made."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o755)
        self._directory = directory
        self._file = directory / "offset"
        self.move(0)
        (directory / "sitecustomize.py").write_text(_SHIM.format(path=str(self._file)))

    def move(self, seconds: int) -> None:
        """Have the clock be so far ahead of the true one."""
        with open(self._file, "r+b" if self._file.exists() else "wb") as file:
            file.write(_OFFSET.pack(seconds))

    @contextmanager
    def environment(self) -> Iterator[None]:
        """Have what is started in the block go by this clock."""
        before = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(self._directory), before)))
        try:
            yield
        finally:
            if before is None:
                del os.environ["PYTHONPATH"]
            else:
                os.environ["PYTHONPATH"] = before
