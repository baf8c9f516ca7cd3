"""Encoding processes: none outlives the load that started it."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

from node.registry.processes import encoders
from tests.support.waiting import until

LOAD = """
import os, time
from node.registry.processes import encoders
with encoders(small=False) as pool:
    found = set()
    while not found - {os.getpid()}:
        found.add(pool.submit(os.getpid).result())
    print(*found - {os.getpid()}, flush=True)
    time.sleep(60)
"""


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_killed_load_leaves_no_process_behind() -> None:
    with subprocess.Popen([sys.executable, "-c", LOAD], stdout=subprocess.PIPE) as load:
        assert load.stdout is not None
        workers = [int(word) for word in load.stdout.readline().split()]
        assert workers
        assert all(is_running(worker) for worker in workers)
        load.send_signal(signal.SIGKILL)
        asyncio.run(until(lambda: not any(is_running(worker) for worker in workers)))


def test_a_small_load_starts_no_process() -> None:
    with encoders(small=True) as executor:
        assert executor.submit(os.getpid).result() == os.getpid()


def test_a_large_load_begins_at_once_and_goes_on_in_processes() -> None:
    with encoders(small=False) as executor:
        assert executor.submit(os.getpid).result() == os.getpid()
        asyncio.run(until(lambda: executor.submit(os.getpid).result() != os.getpid()))
