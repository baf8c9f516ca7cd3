"""Sampling: what a node and the generators cost while they work, and how many answers there were: a row in a while.

A process of its own, so that the one which starts generators has no threads.  Processor time is that of processes which
live at the moment of a row; a generator's last moments are missed.
"""

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from loadtest import cpu
from loadtest.prove.scene import Scene
from loadtest.three_counts import scrape_at

END_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One row: POSIX seconds; answers since the node's start by protocol; CPU seconds and bytes by group.

    Groups are `workers`, `rest` (supervisor, keeper, stores, the top-level node beside it) and `generators`.
    """

    at: float
    answers: dict[str, int]
    cpu_seconds: dict[str, float]
    resident: dict[str, int]


@dataclass(slots=True)
class Samples:
    """The rows, when sampling is over."""

    rows: list[Sample] = field(default_factory=list)


@contextmanager
def sampling(scene: Scene, asking: int, every_seconds: float) -> Iterator[Samples]:
    """Take rows while the block runs; `asking` is the process whose children are the generators."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(
        target=_sample, args=(scene, asking, every_seconds, theirs), daemon=True
    )
    child.start()
    theirs.close()
    found = Samples()
    try:
        yield found
        ours.send(None)
        if ours.poll(END_SECONDS):
            found.rows += ours.recv()
    finally:
        ours.close()
        child.join(END_SECONDS)
        child.kill()


def _sample(scene: Scene, asking: int, every_seconds: float, pipe: Connection) -> None:
    own = multiprocessing.current_process().pid or 0
    sampler = _Sampler(scene, asking, own)
    rows = [sampler.row()]
    while not pipe.poll(every_seconds):
        with suppress(OSError):  # the admin listener has its hands full: the next row is there
            rows.append(sampler.row())
    with suppress(OSError):
        rows.append(sampler.row())
    pipe.send(rows)


class _Sampler:
    """Adds up processor time by group, of processes that have gone too."""

    def __init__(self, scene: Scene, asking: int, own: int) -> None:
        self._scene, self._asking, self._own = scene, asking, own
        self._spent: dict[int, tuple[str, float]] = {}

    def row(self) -> Sample:
        groups = self._groups()
        for group, pids in groups.items():
            for pid in pids:
                before = self._spent.get(pid, (group, 0.0))[1]
                self._spent[pid] = group, max(before, cpu.cpu_seconds(pid))
        spent = dict.fromkeys(groups, 0.0)
        for group, seconds in self._spent.values():
            spent[group] += seconds
        resident = {group: sum(map(_resident, pids)) for group, pids in groups.items()}
        counts = {str(name): count for name, count in scrape_at(self._scene.admin).items()}
        return Sample(time.time(), counts, spent, resident)

    def _groups(self) -> dict[str, list[int]]:
        node = cpu.tree([self._scene.supervisor])
        workers = [pid for pid in node if "node.process.worker" in cpu.command(pid)]
        asking = cpu.tree([self._asking])
        others = {*node, self._own, self._asking}
        return {
            "workers": workers,
            "rest": [pid for pid in node if pid not in workers],
            "generators": [pid for pid in asking if pid not in others],
        }


def _resident(pid: int) -> int:
    """Memory that is shared counts in parts (PSS), or, where the kernel does not say, in full for each."""
    with suppress(OSError, IndexError, ValueError):
        rolled = Path(f"/proc/{pid}/smaps_rollup").read_text()
        return int(rolled.partition("\nPss:")[2].split()[0]) * 1_024
    with suppress(OSError, IndexError):
        return cpu.rss_bytes(pid)
    return 0
