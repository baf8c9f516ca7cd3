"""What locust itself can do on this machine: its users against a server that does next to nothing.

    python -m loadtest.locust_ceiling [--seconds S] [--processes N]

The server is the echo baseline (`loadtest.baselines.echo`), pinned to one core; locust has the others.  Every answer is
compared.  What comes out is the most that a figure measured with these users can be: above it, locust was the
bottleneck, and not the node.  The generators of our own go further (`loadtest.openloop`).  On a machine that others
use, requests a second of locust's processor time are the figure to read; what its start costs is taken off.
"""

import argparse
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from loadtest import cpu
from loadtest.report import machine
from loadtest.stand import Stand, open_stand

USERS = Path(__file__).parent / "users"
LOCUSTFILES: Mapping[str, str] = {
    "FastWeb": "web.py",
    "RawWeb": "web.py",
    "Tcp": "native.py",
    "Udp": "native.py",
}
SECONDS, USER_COUNT = 6.0, 32
START_SECONDS = 60.0


class LocustFailed(RuntimeError):
    """Locust ended without figures; the message has what it said."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What locust's table says in sum; times are in milliseconds, as locust rounds them."""

    requests: int
    failures: int
    rate: float
    median: float
    p99: float
    longest: float
    cpu_seconds: float


def run_locust(
    user: str, *options: str, seconds: float, users: int, cores: Collection[int] = ()
) -> Figures:
    """Run one class of users as a program, on these cores (all when none are named).

    Raises LocustFailed when there was not one answer.
    """
    command = [
        *(sys.executable, "-m", "locust", "-f", str(USERS / LOCUSTFILES[user]), user),
        *("--headless", "--only-summary", "--json", "--skip-log-setup"),
        *("--users", str(users), "--spawn-rate", str(users), "--run-time", f"{seconds:.0f}s"),
        *options,
    ]
    before = _children_seconds()
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds + START_SECONDS,
        preexec_fn=partial(os.sched_setaffinity, 0, cores) if cores else None,
    )
    if rows := rows_of(done.stdout):
        return _summed(rows, _children_seconds() - before)
    said = f"{done.stdout[-1000:]} {done.stderr[-2000:]}"
    raise LocustFailed(f"{command} ended with {done.returncode}: {said}")


def rows_of(text: str) -> list[dict[str, Any]]:
    """Return the rows of all JSON lists in a text; each of locust's processes prints one, most of them empty."""
    decoder, rows, at = json.JSONDecoder(), [], text.find("[")
    while at >= 0:
        found, end = decoder.raw_decode(text, at)
        rows += found
        at = text.find("[", end)
    return [row for row in rows if row["num_requests"]]


def _summed(rows: Sequence[dict[str, Any]], cpu_seconds: float) -> Figures:
    requests = sum(row["num_requests"] for row in rows)
    began = min(row["start_time"] for row in rows)
    ended = max(row["last_request_timestamp"] for row in rows)
    times: Counter[float] = Counter()
    for row in rows:
        times.update({float(time): count for time, count in row["response_times"].items()})
    return Figures(
        requests,
        sum(row["num_failures"] for row in rows),
        requests / max(ended - began, 1e-3),
        _percentile(times, 50),
        _percentile(times, 99),
        max(row["max_response_time"] for row in rows),
        cpu_seconds,
    )


def _percentile(times: Counter[float], percent: float) -> float:
    rank, below = max(1, ceil(percent / 100 * times.total())), 0
    for time, count in sorted(times.items()):
        below += count
        if below >= rank:
            return time
    return 0.0


@dataclass(frozen=True, slots=True)
class Reached:
    """What a class of users reached, and how many requests that is for each second of its processor time.

    `echo_share` is how much of a core the server used: near 1, it was the limit.
    """

    user: str
    figures: Figures
    per_cpu_second: float
    echo_share: float


def starting_seconds() -> float:
    """Return the processor time that locust needs to start and end."""
    before = _children_seconds()
    command = [sys.executable, "-m", "locust", "-f", str(USERS / "native.py"), "--list"]
    subprocess.run(command, capture_output=True, check=True, timeout=START_SECONDS)
    return _children_seconds() - before


def _children_seconds() -> float:
    spent = os.times()
    return spent.children_user + spent.children_system


def reach(stand: Stand, user: str, seconds: float, processes: int) -> Reached:
    """Run a class of users against the echo, which has the first core, while locust has the others."""
    echo, at = stand.start_echo()
    cpu.pin([echo.worker], stand.cores.server)
    host, port = at["http"]
    native = at["udp" if user == "Udp" else "tcp"]
    others = os.sched_getaffinity(0) - {stand.cores.server}
    before = cpu.cpu_seconds(echo.worker)
    figures = run_locust(
        user,
        *("--echo", "--host", f"http://{host}:{port}", "--native", f"{native[0]}:{native[1]}"),
        *(("--processes", str(processes)) if processes > 1 else ()),
        seconds=seconds,
        users=USER_COUNT,
        cores=others,
    )
    spent = cpu.cpu_seconds(echo.worker) - before
    own = max(figures.cpu_seconds - starting_seconds(), 1e-3)
    return Reached(user, figures, figures.requests / own, spent * figures.rate / figures.requests)


def print_reached(console: Console, reached: Sequence[Reached], processes: int) -> None:
    """Print a row for each class of users."""
    table = Table(
        title=f"Locust's own limit: {USER_COUNT} users, {processes} process(es), against an echo"
    )
    table.add_column("users")
    for heading in (
        "requests/s",
        "requests/CPU s",
        "median ms",
        "p99 ms",
        "max ms",
        "failures",
        "echo busy",
    ):
        table.add_column(heading, justify="right")
    for each in reached:
        figures = each.figures
        table.add_row(
            each.user,
            f"{figures.rate:,.0f}",
            f"{each.per_cpu_second:,.0f}",
            f"{figures.median:g}",
            f"{figures.p99:g}",
            f"{figures.longest:.0f}",
            f"{figures.failures}",
            f"{each.echo_share:.0%}",
        )
    console.print(table)


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line, run, print a table and JSON; 1 when there were failures."""
    parser = argparse.ArgumentParser(prog="locust_ceiling", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for each class of users")
    parser.add_argument("--processes", type=int, default=1)
    chosen = parser.parse_args(arguments)
    with open_stand() as stand:
        reached = [reach(stand, user, chosen.seconds, chosen.processes) for user in LOCUSTFILES]
    console = Console(highlight=False)
    console.width = max(console.width, 110)
    print_reached(console, reached, chosen.processes)
    content = {"machine": machine(), "reached": [asdict(each) for each in reached]}
    print(json.dumps(content, ensure_ascii=False))
    return int(any(each.figures.failures for each in reached))


if __name__ == "__main__":
    sys.exit(main())
