"""Counters: one mapped file of 64-bit cells for each worker slot.

A worker writes its own file and nobody else's, so there is no lock; the keeper reads all of them.  The file outlives a
worker that is killed, and its successor goes on counting where it stopped.  The supervisor zeroes all files when the
node starts, as Prometheus expects of a process that restarts.

Layout: the cells of `resolver.observe`, then the two of this module.
"""

import mmap
import os
from collections.abc import MutableSequence
from pathlib import Path
from typing import Self, cast

from resolver.observe import CELL_COUNT, GAUGE_BASE

_PID = CELL_COUNT
_STARTS = CELL_COUNT + 1
_SIZE_BYTES = 8 * (CELL_COUNT + 2)


def slot_path(directory: Path, slot: int) -> Path:
    """Return the file of a slot's counters."""
    return directory / f"counters-{slot}"


def keeper_path(directory: Path) -> Path:
    """Return the file of the keeper's counters."""
    return directory / "counters-keeper"


class Counters:
    """The counters of one slot.  `cells` is what a `Tally` counts into: CELL_COUNT unsigned 64-bit integers."""

    __slots__ = ("_all", "_map", "_view", "cells", "path")

    def __init__(self, path: Path, mapped: mmap.mmap) -> None:
        self.path = path
        self._map = mapped
        self._all = memoryview(mapped).cast("Q")
        self._view = self._all[:CELL_COUNT]
        self.cells = cast("MutableSequence[int]", self._view)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Map the file, made if missing; one of another size is from another version and starts at zero."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(descriptor).st_size != _SIZE_BYTES:
                os.ftruncate(descriptor, 0)
                os.ftruncate(descriptor, _SIZE_BYTES)
            return cls(path, mmap.mmap(descriptor, _SIZE_BYTES))
        finally:
            os.close(descriptor)

    @property
    def process_id(self) -> int:
        """The process that counts here, or counted last; 0 before the first."""
        return self._all[_PID]

    @property
    def starts(self) -> int:
        """How many times a process has been started for this slot since the node started."""
        return self._all[_STARTS]

    def begin(self, process_id: int) -> None:
        """Take the slot for a new process: its levels start at zero, the counts go on."""
        self.zero_gauges()
        self._all[_PID] = process_id
        self._all[_STARTS] += 1

    def zero(self) -> None:
        """Forget everything; the supervisor does it when the node starts."""
        self._map[:] = bytes(_SIZE_BYTES)

    def zero_gauges(self) -> None:
        """Forget the levels, which belong to the process that set them."""
        for cell in range(GAUGE_BASE, CELL_COUNT):
            self.cells[cell] = 0

    def close(self) -> None:
        """Unmap the file; `cells` cannot be used afterwards."""
        self._view.release()
        self._all.release()
        self._map.close()
