"""ShiftedClock: whole processes, Postgres and OpenSSL in them, whose wall clock is ahead of the true one by a constant.

A library of our own, compiled for the run and loaded before all others (LD_PRELOAD), adds it to the wall clock and
leaves the monotonic one and all waiting alone.  Debian's libfaketime 0.9.10 does not serve: where it shifts the
monotonic clock too, CPython's `sem_clockwait` waits by the kernel's, for ever; where it does not, its `clock_nanosleep`
refuses each `time.sleep` with EINVAL.  A clock that ran faster is out for the first of these reasons.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

SHANGHAI = timezone(timedelta(hours=8))
DAY_SECONDS = 86_400
AHEAD = "SHIFTED_CLOCK_SECONDS"
MISSING = "there is no C compiler to make the shifted clock with: apt-get install gcc libc6-dev"
_SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static long ahead;
static int (*true_clock)(clockid_t, struct timespec *);
static int (*true_wait)(sem_t *, const struct timespec *);

__attribute__((constructor)) static void begin(void) {
    const char *given = getenv("SHIFTED_CLOCK_SECONDS");
    ahead = given ? atol(given) : 0;
    true_clock = dlsym(RTLD_NEXT, "clock_gettime");
    true_wait = dlsym(RTLD_NEXT, "sem_timedwait");
}

int clock_gettime(clockid_t clock, struct timespec *at) {
    if (!true_clock) begin();
    int failed = true_clock(clock, at);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) at->tv_sec += ahead;
    return failed;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *at) {
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}

int sem_timedwait(sem_t *restrict sem, const struct timespec *restrict until) {  /* by the wall clock */
    struct timespec kernels = *until;
    kernels.tv_sec -= ahead;
    return true_wait(sem, &kernels);
}
"""


class NoCompiler(Exception):
    """The library cannot be made here; the text says what is missing."""


class ShiftedClock:
    """A wall clock that is so many seconds ahead of the true one, for what is started in `environment`."""

    def __init__(self, directory: Path) -> None:
        """Make the library in a directory that every account can read.  Raises NoCompiler."""
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            raise NoCompiler(MISSING)
        source, self._library = directory / "clock.c", directory / "clock.so"
        source.write_text(_SOURCE)
        words = (compiler, "-shared", "-fPIC", "-O2", "-o", str(self._library), str(source), "-ldl")
        subprocess.run(words, check=True)
        self._library.chmod(0o755)
        self._ahead = 0

    def now(self) -> float:
        """Return what it shows, POSIX seconds."""
        return time.time() + self._ahead

    def set_before(self, day: date, seconds: float) -> None:
        """Have it show so many seconds before the end of a day of Shanghai; whole seconds are shifted."""
        self._ahead = int(end_of(day) - seconds - time.time())

    def date(self, path: Path) -> None:
        """Have a file be as old by this clock as it is by the kernel's, which dates files and is not shifted."""
        changed = path.stat().st_mtime + self._ahead
        os.utime(path, (changed, changed))

    @contextmanager
    def environment(self) -> Iterator[None]:
        """Have what is started in the block go by this clock, as it is set now."""
        ours = {"LD_PRELOAD": str(self._library), AHEAD: str(self._ahead)}
        before = {name: os.environ.get(name) for name in ours}
        os.environ.update(ours)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


def end_of(day: date) -> float:
    """Return the midnight behind a day of Shanghai, POSIX seconds."""
    return datetime(day.year, day.month, day.day, tzinfo=SHANGHAI).timestamp() + DAY_SECONDS


def day_of(seconds: float) -> date:
    """Return the day of Shanghai in which a moment lies."""
    return datetime.fromtimestamp(seconds, UTC).astimezone(SHANGHAI).date()
