"""Growth: what a look-up costs among ten thousand, a million, ten million records, and what so many take.

    python -m loadtest.growth --records 10000,1000000,10000000 [--rounds 5] [--corpora DIR] [--out growth.json]

A node for each size, each with a corpus of its own, all at once on one machine.  The same number of answers is asked of
each, drawn from all its records: from memory, which holds just these, and cold from Postgres, each key once, Redis
emptied before.  The sizes take turns, so what disturbs a round disturbs all alike.  Cost is processor time; targets
are held against the median of what the sizes differ by in each round.  Ten million records take about 20 GB of
disk below the directory for temporary files, and 4.5 GB for the corpus (--corpora keeps it there for the next time).
With --copies-of N only N are loaded, and copied inside Postgres until there are enough: minutes instead of an hour on a
machine that others use.
"""

import argparse
import asyncio
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import NamedTuple

from loadtest import cpu
from loadtest.copies import fill, spread
from loadtest.exchange import Exchange
from loadtest.figures import Measured, Scenario, Target
from loadtest.generator_udp import prepare_udp
from loadtest.held import megabytes, memory_of, tables_of, wal_of
from loadtest.learn import draw, fits_datagram, learn_native
from loadtest.report import machine, write_json
from loadtest.run import Prepared
from loadtest.scenarios import NO_MEMORY, database_of, empty_redis, roomy
from loadtest.sizes import Loaded, load_corpus, make_corpus
from loadtest.stand import Node, Stand, Subject, open_stand
from loadtest.streams import Address
from loadtest.verdict import say
from node.store.database import connect

SIZES = (10_000, 1_000_000, 10_000_000)
ASKED = 9_000  # answers, of each size alike: as many as the smallest has in one datagram
COST_FACTOR, COLD_P99_FACTOR = 1.3, 2.0
_ALONE = {"REVERSE_TYPES": ""}  # the index is made for minutes after a load; no look-up needs it
_SETTLE = ("vacuum (analyze) record, change, version", "checkpoint")
_SETTLE_SECONDS = 1_800.0


@dataclass(frozen=True, slots=True)
class Held:
    """What so many records take: bytes by table, of Postgres's log, of memory by process, and the time of a start.

    `start_seconds` is from the command to the first ready answer, with the records there; `start_cpu_seconds` is the
    processor time of all processes until then.
    """

    tables: Mapping[str, int]
    wal: int
    memory: Mapping[str, int]
    start_seconds: float
    start_cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Growth:
    """The rows of `records` records: UDP from memory, and cold from Postgres."""

    records: int
    loaded: Loaded
    held: Held
    memory: Scenario
    cold: Scenario

    def as_json(self) -> dict[str, object]:
        """Return it for growth.json."""
        held = {name: getattr(self.held, name) for name in self.held.__slots__}
        rows = {"memory": self.memory.as_json(), "cold": self.cold.as_json()}
        return {"records": self.records, "loaded": self.loaded.as_json(), "held": held, **rows}


class Source(NamedTuple):
    """Where corpora are kept, and how many records are loaded before they are copied (0: all are loaded)."""

    corpora: Path
    loaded: int = 0


class _Size(NamedTuple):
    """A node with so many records, and what of it is measured."""

    found: Growth
    redis_url: str


def grow(
    stand: Stand,
    sizes: Sequence[int],
    say: Callable[[str], None],
    *,
    seconds: float,
    rounds: int,
    source: Source | None = None,
) -> list[Growth]:
    """Load corpora of these sizes into nodes of their own, and measure look-ups all over them, in turns."""
    given = source or Source(stand.directory)
    made = [_make(stand, records, seconds, say, given) for records in sizes]
    for turn in range(rounds):
        for each in made:
            each.found.memory.runs.append(each.found.memory.measure())
            empty_redis(each.redis_url)
            each.found.cold.runs.append(each.found.cold.measure())
        say(f"growth, round {turn + 1} of {rounds}")
    return [each.found for each in made]


def _make(
    stand: Stand, records: int, seconds: float, say: Callable[[str], None], source: Source
) -> _Size:
    say(f"growth: {records:,} records")
    first = min(records, source.loaded or records)
    corpus = make_corpus(source.corpora, first)
    full = stand.start_node(f"grown-{records}", {**roomy(ASKED), **_ALONE})
    began = wal_of(full)
    loaded = load_corpus(full, corpus, first)
    say(str(loaded))
    times = asyncio.run(fill(full.settings.database_url, records)) if records > first else 0
    asyncio.run(_settle(full, _SETTLE if not times else _SETTLE[-1:]))
    wal = wal_of(full) - began
    stand.stop(full)
    full, start = _start_again(stand, full)
    sample = spread(draw(corpus, min(first, 2 * ASKED)), times)
    exchanges = list(filter(fits_datagram, learn_native(full.native, sample)))[:ASKED]
    prepare_udp(full.native, exchanges, once=True)()
    held = Held(tables_of(full), wal, memory_of(full), *start)
    say(f"tables, MB: {megabytes(held.tables)}; memory, MB: {megabytes(held.memory)}")
    return _rows(stand, records, full, loaded, held, exchanges, seconds)


def _start_again(stand: Stand, full: Node) -> tuple[Node, tuple[float, float]]:
    """Start a node that was stopped; return it with the seconds it took, and their processor time."""
    began = perf_counter()
    node = stand.start_node(full.name, {**roomy(ASKED), **_ALONE})
    took = perf_counter() - began
    spent = sum(cpu.cpu_seconds_with_children(pid) for pid in cpu.tree([node.process.pid]))
    return node, (took, spent)


async def _settle(node: Node, statements: Sequence[str]) -> None:
    """Have done at once what Postgres would do in the minutes after a load."""
    connection = await connect(node.settings.database_url)
    try:
        for statement in statements:
            await connection.execute(statement, timeout=_SETTLE_SECONDS)
    finally:
        await connection.close()


def _rows(
    stand: Stand,
    records: int,
    full: Node,
    loaded: Loaded,
    held: Held,
    exchanges: Sequence[Exchange],
    seconds: float,
) -> _Size:
    """Start a second node without memory on the same stores, and return the rows of both."""
    redis_url = database_of(full.settings.redis_url, 1)
    stores = {"DATABASE_URL": full.settings.database_url, "REDIS_URL": redis_url}
    bare = stand.start_node(f"bare-{records}", {**stores, **NO_MEMORY, **_ALONE})
    subjects = full.subject(), bare.subject(stores_of=full)
    memory = _row(stand, f"udp-memory-{records}", subjects[0], full.native, exchanges, seconds)
    cold = _row(stand, f"udp-postgres-{records}", subjects[1], bare.native, exchanges, None)
    return _Size(Growth(records, loaded, held, memory, cold), redis_url)


def _row(
    stand: Stand,
    name: str,
    subject: Subject,
    address: Address,
    exchanges: Sequence[Exchange],
    seconds: float | None,
) -> Scenario:
    """Return a scenario of `seconds`, or (None) of each exchange once."""

    def prepare() -> Prepared:
        return prepare_udp(address, exchanges, seconds=seconds or inf, once=seconds is None)

    return Scenario(name, name, lambda: stand.measure(subject, prepare))


def growth_targets(growths: Sequence[Growth], factor: float = COST_FACTOR) -> list[Target]:
    """Return what a look-up costs in the largest set, as a multiple of the smallest: the median of the rounds."""
    small, large = growths[0], growths[-1]
    pairs = (
        ("worker CPU, from memory", small.memory, large.memory, worker_us, factor),
        ("CPU of worker and stores, cold", small.cold, large.cold, tree_us, factor),
        ("p99, cold", small.cold, large.cold, p99_us, COLD_P99_FACTOR),
    )
    return [
        Target(
            f"Look-up at {large.records:,} ÷ {small.records:,} records, {what}",
            median(_ratios(before, after, cost) or [0.0]),
            bound,
            at_least=False,
        )
        for what, before, after, cost, bound in pairs
    ]


def _ratios(before: Scenario, after: Scenario, cost: Callable[[Measured], float]) -> list[float]:
    """Return how figures of the same round compare: what is slow for a while is so for both."""
    pairs = zip(before.runs, after.runs, strict=True)
    return [cost(large) / max(cost(small), 1e-9) for small, large in pairs]


def worker_us(measured: Measured) -> float:
    """Processor time of the worker an answer, µs."""
    return measured.worker_us


def tree_us(measured: Measured) -> float:
    """The same with the rest of the node and its stores."""
    return measured.tree_us


def p50_us(measured: Measured) -> float:
    """The latency of half the answers, µs."""
    return measured.run.quantile_us(0.5)


def p99_us(measured: Measured) -> float:
    """The latency that 99 % of the answers do not exceed, µs."""
    return measured.run.quantile_us(0.99)


def lines(growths: Sequence[Growth]) -> Iterator[str]:
    """Return the table: costs by the best and the middle round, and what the records take."""
    yield (
        f"{'records':>12}{'warm µs':>9}{'(median)':>10}{'cold tree µs':>14}{'(median)':>10}{'worker µs':>11}"
        f"{'cold p50':>10}{'p99':>8}{'(median)':>10}{'B/record':>10}{'WAL B':>8}{'worker MB':>11}"
        f"{'start s':>9}{'CPU s':>7}"
    )
    for each in growths:
        memory, cold, held = each.memory, each.cold, each.held
        yield (
            f"{each.records:12,}{memory.extent(worker_us)[0]:9.2f}{memory.middle(worker_us):10.2f}"
            f"{cold.extent(tree_us)[0]:14.2f}{cold.middle(tree_us):10.2f}{cold.extent(worker_us)[0]:11.2f}"
            f"{cold.extent(p50_us)[0]:10.0f}{cold.extent(p99_us)[0]:8.0f}{cold.middle(p99_us):10.0f}"
            f"{sum(held.tables.values()) / each.records:10.0f}{held.wal / each.records:8.0f}"
            f"{held.memory.get('worker', 0) / 1e6:11.0f}{held.start_seconds:9.1f}{held.start_cpu_seconds:7.1f}"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Load, measure, print; return 1 when an answer was wrong."""
    chosen = _options(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is stopped
    with open_stand(chosen.nice) as stand:
        growths = grow(
            stand,
            [int(each) for each in chosen.records.split(",")],
            say,
            seconds=chosen.seconds,
            rounds=chosen.rounds,
            source=Source(chosen.corpora or stand.directory, chosen.copies_of),
        )
    print(f"{ASKED:,} answers asked of each size, and held in memory", *lines(growths), sep="\n")
    for target in growth_targets(growths):
        met = "met" if target.is_met else "not met"
        print(f"{target.text}: {target.figure:.2f} (at most {target.bound}: {met})")
    told = {"command": shlex.join(sys.orig_argv), "machine": machine()}
    write_json(chosen.out, {**told, "growth": [each.as_json() for each in growths]})
    wrong = [row for each in growths for row in (each.memory, each.cold) if row.wrong]
    for row in wrong:
        print(f"FAULT {row.wrong} wrong answers in {row.name}: {row.runs[0].run.faults}")
    return 1 if wrong else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="growth", description=__doc__.splitlines()[0])
    parser.add_argument("--records", default=",".join(map(str, SIZES)), help="sizes, by commas")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a warm run")
    parser.add_argument("--corpora", type=Path, metavar="DIR", help="where corpora are kept")
    parser.add_argument(
        "--copies-of",
        type=int,
        default=0,
        metavar="N",
        help="load N records only, and fill up with copies of them inside Postgres (`loadtest.copies`)",
    )
    parser.add_argument("--nice", type=int, default=0, metavar="N", help="as of loadtest.bench")
    parser.add_argument("--out", type=Path, default=Path("growth.json"))
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
