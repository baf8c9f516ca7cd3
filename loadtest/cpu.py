"""Processor time and memory of other processes, from /proc, and pinning.

Processor time is read in nanoseconds from `/proc/PID/task/*/schedstat`; where the kernel lacks it, in clock ticks
from `/proc/PID/stat`.  A thread that ends between two readings is missed; the measured processes keep theirs.
"""

import multiprocessing
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_GONE = (FileNotFoundError, ProcessLookupError, PermissionError)


def cpu_seconds(pid: int) -> float:
    """Return user and system time of a process, all threads, in seconds (0.0 when it is gone)."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9
    except (*_GONE, IndexError):
        return _ticked_seconds(pid)


def cpu_seconds_with_children(pid: int) -> float:
    """Return the same with the children that ended and were waited for, in clock ticks (10 ms)."""
    with suppress(*_GONE):
        return sum(map(int, _stat(pid)[11:15])) / _TICKS
    return 0.0


def _ticked_seconds(pid: int) -> float:
    with suppress(*_GONE):
        fields = _stat(pid)
        return (int(fields[11]) + int(fields[12])) / _TICKS
    return 0.0


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat after the name: state, parent, …"""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def rss_bytes(pid: int) -> int:
    """Return the resident memory of a process in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE


def command(pid: int) -> str:
    """Return a process's command line ("" when it is gone)."""
    with suppress(*_GONE):
        return (
            Path(f"/proc/{pid}/cmdline")
            .read_bytes()
            .replace(b"\0", b" ")
            .decode(errors="replace")
            .strip()
        )
    return ""


def tree(roots: Iterable[int]) -> list[int]:
    """Return the roots and all their living descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(*_GONE):
                children.setdefault(int(_stat(int(entry.name))[1]), []).append(int(entry.name))
    found, waiting = [], list(roots)
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting.extend(children.get(pid, ()))
    return found


def pin(pids: Iterable[int], core: int) -> None:
    """Bind all threads of these processes to one core; those that are gone are passed over."""
    for pid in pids:
        with suppress(*_GONE):
            for task in Path(f"/proc/{pid}/task").iterdir():
                with suppress(*_GONE):
                    os.sched_setaffinity(int(task.name), {core})


def prefer(pids: Iterable[int], niceness: int) -> None:
    """Give these processes (all threads, and their session's share) a niceness, if it is another and we may."""
    for pid in pids:
        with suppress(*_GONE):
            _prefer_session(Path(f"/proc/{pid}/autogroup"), niceness)
            for task in Path(f"/proc/{pid}/task").iterdir():
                if os.getpriority(os.PRIO_PROCESS, int(task.name)) != niceness:
                    os.setpriority(os.PRIO_PROCESS, int(task.name), niceness)


def put_first(pid: int) -> None:
    """Let a process go before all that are not in real time, if we may: as if it had a machine of its own.

    It must sleep when it has nothing to do, or nothing else gets its core.
    """
    with suppress(*_GONE):
        os.sched_setscheduler(pid, os.SCHED_RR, os.sched_param(1))


def _prefer_session(group: Path, niceness: int) -> None:
    """Cores are shared among sessions first, where the kernel does so and lets us say how."""
    with suppress(OSError):  # the first session of all has a fixed share
        if not group.read_text().endswith(f"nice {niceness}\n"):
            group.write_text(str(niceness))


def core_busy_seconds(core: int) -> float:
    """Return how long a core has been busy since boot, whoever used it, in seconds."""
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith(f"cpu{core} "):
            user, nice, system, _idle, _iowait, irq, softirq, steal, *_ = map(int, line.split()[1:])
            return (user + nice + system + irq + softirq + steal) / _TICKS
    return 0.0


@contextmanager
def awake(core: int) -> Iterator[int]:
    """Keep a core from falling asleep while the block runs; gives the pid of the process that does it.

    It spins in the idle scheduling class.  A virtual machine gives an idle core back to the host, and waking it costs
    the waker up to 20 µs: a generator that has to wake a server for every request would look slow.  Not for latencies:
    among its own session it yields at once, but against another one only at the next tick of the kernel's clock.
    """
    spinner = multiprocessing.get_context("fork").Process(
        target=_spin, args=(core, os.getpid()), daemon=True
    )
    spinner.start()
    try:
        yield spinner.pid or 0
    finally:
        spinner.kill()
        spinner.join()


def _spin(core: int, parent: int) -> None:
    os.sched_setaffinity(0, {core})
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    while os.getppid() == parent:
        for _ in range(1_000_000):
            pass
