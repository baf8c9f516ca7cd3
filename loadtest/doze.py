"""Doze: how a generator waits for a moment, and leaves its core to others meanwhile.

Who waits busily uses up its share of the core.  When another program wakes there, it then has the core until the next
tick of the kernel's clock (4 ms at 250 Hz), and the generator asks late; who has slept gets it back at once.
"""

import time
from contextlib import suppress
from pathlib import Path

DOZE_SECONDS = 20e-6
SPUN_SECONDS = 100e-6  # before a moment: waking takes some of it
_SLACK_NS = "1000"  # by how much a sleep may be longer; 50 µs unless told


def sharpen() -> None:
    """Have this thread's sleeps end on time, where the kernel can."""
    with suppress(OSError):
        Path("/proc/self/timerslack_ns").write_text(_SLACK_NS)


def doze() -> None:
    """Sleep for a moment; it lasts some ten µs longer than DOZE_SECONDS."""
    time.sleep(DOZE_SECONDS)


def wait_until(due: float) -> float:
    """Sleep until shortly before a moment of `perf_counter`, and wait busily for it; return the seconds asleep."""
    began = time.perf_counter()
    slept = max(0.0, due - began - SPUN_SECONDS)
    if slept:
        time.sleep(slept)
        slept = time.perf_counter() - began
    while time.perf_counter() < due:
        pass
    return slept
