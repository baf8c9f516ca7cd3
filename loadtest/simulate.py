"""Simulation: what a fleet does, from the costs that were measured on one node.

    python -m loadtest.simulate [--costs capacity.json] [--questions 40000] [--seed 1]

For each demand: which tier answers how many (Zipf popularity, Che's approximation for what a cache keeps), how many
workers, machines, Redis nodes and Postgres shards that needs, and what of the ledger and of a first load.  Then every
kind of server is simulated as a queue of its own (questions come independently, each takes the measured time), and a
question's latency is put together from those that it passes.  Seeded: the same words print the same table.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from random import Random
from typing import NamedTuple

from loadtest.fleet import Costs, Demand, Fleet, Limits, fleet_for
from loadtest.queues import Service, fixed, mg1_mean_wait, simulate_queue

DEMANDS = (
    Demand(10_000_000, 10_000),
    Demand(100_000_000, 100_000),
    Demand(1_000_000_000, 1_000_000),
)
QUESTIONS = 40_000


class Latency(NamedTuple):
    """Of one demand, in µs: all answers, and the mean wait at a worker beside that of the closed form."""

    p50: float
    p99: float
    p999: float
    wait: float
    wait_closed: float


def simulate(
    fleet: Fleet, demand: Demand, costs: Costs, limits: Limits, questions: int, seed: int
) -> Latency:
    """Ask a fleet so many questions."""
    rate = demand.rate / fleet.workers
    service = _mixed(fleet, costs)
    worker = list(simulate_queue(rate, service, questions=questions, seed=seed))
    redis = _store(
        demand.rate * (1 - fleet.memory_share) / fleet.redis_nodes,
        costs.redis_store_us, 1, questions, seed + 1,
    )  # fmt: skip
    postgres = _store(
        demand.rate * fleet.postgres_share / fleet.shards,
        costs.postgres_store_us, limits.shard_cores, questions, seed + 2,
    )  # fmt: skip
    took = []
    for each, in_redis, in_postgres in zip(worker, cycle(redis), cycle(postgres), strict=False):
        total = 1e6 * each.total
        if each.service > costs.memory_us / 1e6:
            total += in_redis + limits.network_us
        if each.service > costs.redis_us / 1e6:
            total += in_postgres + limits.network_us
        took.append(total)
    took.sort()
    p50, p99, p999 = (took[int(share * len(took))] for share in (0.5, 0.99, 0.999))
    wait = 1e6 * sum(each.wait for each in worker) / len(worker)
    return Latency(p50, p99, p999, wait, 1e6 * _closed_wait(rate, fleet, costs))


def _closed_wait(rate: float, fleet: Fleet, costs: Costs) -> float:
    times = fleet.service_seconds(costs)
    square = sum(share * each**2 for share, each in zip(fleet.tiers, times, strict=True))
    return mg1_mean_wait(rate, fleet.worker_us / 1e6, square)


def _mixed(fleet: Fleet, costs: Costs) -> Service:
    """A worker's time, by the tier that a question ends in."""
    times = fleet.service_seconds(costs)

    def draw(dice: Random) -> float:
        return dice.choices(times, fleet.tiers)[0]

    return draw


def _store(rate: float, service_us: float, servers: int, questions: int, seed: int) -> list[float]:
    """Return how long each of some questions took at a store, in µs; 0 for all when nobody asks."""
    if rate <= 0:
        return [0.0]
    queue = simulate_queue(
        rate, fixed(service_us / 1e6), questions=questions // 4, seed=seed, servers=servers
    )
    return [1e6 * each.total for each in islice(queue, questions)]


def lines(costs: Costs, limits: Limits, questions: int, seed: int) -> Iterator[str]:
    """Return the table: a column for each demand."""
    fleets = [fleet_for(each, costs, limits) for each in DEMANDS]
    found = [
        simulate(fleet, demand, costs, limits, questions, seed)
        for fleet, demand in zip(fleets, DEMANDS, strict=True)
    ]
    rows: list[tuple[str, list[str]]] = [
        ("identifiers", [f"{each.identifiers:,}" for each in DEMANDS]),
        ("resolutions a second", [f"{each.rate:,.0f}" for each in DEMANDS]),
        ("from memory", [f"{each.memory_share:.1%}" for each in fleets]),
        ("from Redis", [f"{each.redis_share:.1%}" for each in fleets]),
        ("from Postgres", [f"{each.postgres_share:.1%}" for each in fleets]),
        ("worker µs an answer", [f"{each.worker_us:.1f}" for each in fleets]),
        ("workers", [f"{each.workers:,}" for each in fleets]),
        ("machines", [f"{each.machines:,}" for each in fleets]),
        ("Redis nodes", [f"{each.redis_nodes:,}" for each in fleets]),
        ("Postgres shards", [f"{each.shards:,}" for each in fleets]),
        ("cores that seal", [f"{each.seal_cores:.2f}" for each in fleets]),
        ("ledger, GB a day", [f"{each.ledger_bytes_a_day / 1e9:,.0f}" for each in fleets]),
        ("first load, hours", [f"{each.load_hours:.1f}" for each in fleets]),
        ("latency p50, µs", [f"{each.p50:,.0f}" for each in found]),
        ("latency p99, µs", [f"{each.p99:,.0f}" for each in found]),
        ("latency p99.9, µs", [f"{each.p999:,.0f}" for each in found]),
        ("mean wait at a worker, µs", [f"{each.wait:.1f}" for each in found]),
        ("the same in closed form (M/G/1)", [f"{each.wait_closed:.1f}" for each in found]),
    ]
    for place, (title, cells) in enumerate(rows):
        yield f"| {title} | {' | '.join(cells)} |"
        if not place:
            yield "|---|" + "---:|" * len(cells)


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(prog="simulate", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--costs", type=Path, metavar="FILE", help="a capacity.json; else the document's"
    )
    parser.add_argument("--questions", type=int, default=QUESTIONS, help="at each kind of server")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args(arguments)
    costs = Costs.read(chosen.costs) if chosen.costs else Costs()
    print(*lines(costs, Limits(), chosen.questions, chosen.seed), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
