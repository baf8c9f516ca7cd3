"""The tether: runs one server as its child, and stops it when the supervisor's pipe closes, however that came about.

It is run by its path, with the standard library only, so that it starts in a few milliseconds:

    python -I -S tether.py LIFELINE UID GID KEEP SIGNALS -- COMMAND…

LIFELINE is the descriptor to watch; UID and GID the account of the server, or -1 to stay as we are; KEEP a descriptor
that the server inherits; SIGNALS the way to stop it, such as `2:30,3:5,9:5`: SIGINT, after 30 s SIGQUIT, after 5 s
SIGKILL.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1


def run(arguments: list[str]) -> int:
    """Run the server until it ends or the lifeline is cut; return its exit code."""
    lifeline, uid, gid, keep = (int(each) for each in arguments[:4])
    steps = [tuple(map(int, step.split(":"))) for step in arguments[4].split(",")]
    awake, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(
            ignored, signal.SIG_IGN
        )  # only the pipe stops us, so that servers end in order
    signal.signal(signal.SIGCHLD, lambda *_: None)  # anything but the default wakes us
    server = subprocess.Popen(  # noqa: S603  # the supervisor made the command
        arguments[arguments.index("--") + 1 :],
        pass_fds=(keep,),
        preexec_fn=_die_with_parent(steps[0][0]),  # safe: we have one thread
        user=uid if uid >= 0 else None,
        group=gid if uid >= 0 else None,
        extra_groups=[] if uid >= 0 else None,
    )
    while server.poll() is None:
        ready, _, _ = select.select([lifeline, awake], [], [])
        if lifeline in ready:
            return _stop(server, steps)
        os.read(awake, 4_096)
    return server.returncode


def _die_with_parent(sign: int) -> Callable[[], None] | None:
    """Ask the kernel to stop the server should the tether itself be killed (Linux only)."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)

    def prepare() -> None:
        for changed in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(changed, signal.SIG_DFL)
        libc.prctl(_PR_SET_PDEATHSIG, sign, 0, 0, 0)

    return prepare


def _stop(server: "subprocess.Popen[bytes]", steps: list[tuple[int, ...]]) -> int:
    for sign, seconds in steps:
        server.send_signal(sign)
        try:
            return server.wait(seconds)
        except subprocess.TimeoutExpired:
            continue
    return 1


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]) & 0xFF)
