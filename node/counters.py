"""Counters: one mapped file of 64-bit cells for each lane, in which one worker counts.

A worker writes its own file and nobody else's, so there is no lock; the keeper reads all of them.  The file outlives a
worker that is killed, and its successor goes on counting where it stopped.  The supervisor zeroes all files when the
node starts, as Prometheus expects of a process that restarts.  There is one lane more than workers: whoever replaces a
worker counts beside it until that one has ended.

Layout: the cells of `resolver.observe`, then the three of this module.
"""

import mmap
import os
from collections.abc import MutableSequence
from pathlib import Path
from typing import NamedTuple, Self, cast

from node.errors import Kind, RegistryError
from resolver.observe import CELL_COUNT, GAUGE_BASE

_PID = CELL_COUNT
_STARTS = CELL_COUNT + 1
_IS_VACANT = CELL_COUNT + 2
_SIZE_BYTES = 8 * (CELL_COUNT + 3)


def lanes_of(workers: int) -> range:
    """Return the numbers of the lanes that so many workers count in: one is free, for whoever replaces a worker."""
    return range(workers + 1)


def slot_path(directory: Path, slot: int) -> Path:
    """Return the file of the counters of a lane."""
    return directory / f"counters-{slot}"


def keeper_path(directory: Path) -> Path:
    """Return the file of the keeper's counters."""
    return directory / "counters-keeper"


class Place(NamedTuple):
    """Where a worker is: the slot whose sockets it has, and the lane that it counts in.

    Whoever replaces a worker has its slot, and a lane of its own: none has two writers.
    """

    slot: int
    lane: int


class Counters:
    """The counters of one lane.  `cells` is what a `Tally` counts into: CELL_COUNT unsigned 64-bit integers."""

    __slots__ = ("_all", "_map", "_view", "cells", "path")

    def __init__(self, path: Path, mapped: mmap.mmap) -> None:
        self.path = path
        self._map = mapped
        self._all = memoryview(mapped).cast("Q")
        self._view = self._all[:CELL_COUNT]
        self.cells = cast("MutableSequence[int]", self._view)

    @classmethod
    def adopt(cls, path: Path) -> Self:
        """Map a file that is there.  Raises RegistryError when it is of another version: others have it mapped."""
        if path.exists() and path.stat().st_size != _SIZE_BYTES:
            raise RegistryError(
                Kind.CONFLICT,
                "The node was started by another version, which counts otherwise; stop and start the whole node.",
            )
        return cls.open(path)

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
        """How many times a process has been started for this lane since the node started."""
        return self._all[_STARTS]

    @property
    def is_vacant(self) -> bool:
        """True when no worker belongs here now; one that was killed does, and one that prepares itself does not yet."""
        return bool(self._all[_IS_VACANT])

    def begin(self, process_id: int) -> None:
        """Take the lane for a new process: its levels start at zero, the counts go on."""
        self.zero_gauges()
        self._all[_PID] = process_id
        self._all[_STARTS] += 1

    def occupy(self) -> None:
        """Say that a worker belongs here: it has all it needs, and its levels count from now on."""
        self._all[_IS_VACANT] = 0

    def vacate(self) -> None:
        """Say that whoever counted here has ended, and nobody takes its place; the counts stay."""
        self._all[_IS_VACANT] = 1
        self._all[_PID] = 0
        self.zero_gauges()

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
