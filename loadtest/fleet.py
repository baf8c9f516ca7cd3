"""Fleet: what a node costs an answer, and how many workers, machines, cache nodes and shards a demand needs.

Costs are measured, each by a command; what is assumed is in `Limits`, and said to be.  One machine is one
node with a ledger and a log of its own; Redis Cluster and the Postgres shards are shared by all.
"""

import json
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path

from loadtest.popularity import hit_share, kept, passed_on, zipf_classes

DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Costs:
    """Processor time in µs, space in bytes.  `TIER_us` is the worker's an answer, `TIER_store_us` the store's.

    The tiers: `bench --only table`, in a quiet hour of 2026-11-23.  Sealing: `ledger_storage`; what the ledger keeps:
    `capacity`, sealed.  `record_bytes` is a record in Postgres with its indexes, version and change, `write_us` what
    loading one takes there and in the command, `redis_bytes` a record in Redis: `growth`.
    """

    memory_us: float = 7.1
    redis_us: float = 72.7
    redis_store_us: float = 2.3
    postgres_us: float = 95.1
    postgres_store_us: float = 23.7
    seal_us: float = 1.6
    ledger_bytes: float = 66.0
    record_bytes: float = 1_830.0
    redis_bytes: float = 1_150.0
    write_us: float = 60.0

    @classmethod
    def read(cls, path: Path) -> "Costs":
        """Take the tiers' costs from a capacity.json with the rows memory/udp, redis/udp and postgres/udp.

        Raises KeyError when a row is missing, ValueError when the file is none.
        """
        rows = {row["name"]: row for row in json.loads(path.read_text("utf-8"))["rows"]}
        found = {}
        for tier in ("memory", "redis", "postgres"):
            row = rows[f"{tier}/udp"]
            found[f"{tier}_us"] = row["worker_us_median"]
            if tier != "memory":
                found[f"{tier}_store_us"] = row["tree_us_median"] - row["worker_us_median"]
        return replace(cls(), **found)


@dataclass(frozen=True, slots=True)
class Limits:
    """What is assumed: how busy anything may be, how large a machine is, and what a network costs."""

    busy: float = 0.6
    workers_a_machine: int = 30  # of 32 cores: one for the keeper, one for the rest
    entries_a_worker: int = 400_000  # half a gigabyte
    redis_share: float = 0.2  # of all identifiers are in Redis
    redis_node_bytes: float = 64e9
    shard_bytes: float = 250e9
    shard_cores: int = 8
    network_us: float = 100.0  # there and back, inside one data centre


@dataclass(frozen=True, slots=True)
class Demand:
    """Identifiers, resolutions a second, and how unequally they are asked for (Zipf)."""

    identifiers: int
    rate: float
    exponent: float = 0.99


@dataclass(frozen=True, slots=True)
class Fleet:
    """What a demand needs, and where its answers come from (shares that add up to 1)."""

    memory_share: float
    redis_share: float
    postgres_share: float
    worker_us: float
    workers: int
    machines: int
    redis_nodes: int
    shards: int
    ledger_bytes_a_day: float
    seal_cores: float
    load_hours: float

    def service_seconds(self, costs: Costs) -> tuple[float, float, float]:
        """Return how long a worker takes for an answer from each tier."""
        return costs.memory_us / 1e6, costs.redis_us / 1e6, costs.postgres_us / 1e6

    @property
    def tiers(self) -> tuple[float, float, float]:
        """The shares from memory, Redis and Postgres."""
        return self.memory_share, self.redis_share, self.postgres_share


def fleet_for(demand: Demand, costs: Costs, limits: Limits) -> Fleet:
    """Work out a fleet."""
    memory, redis = _tiers(demand, limits)
    postgres = max(0.0, 1.0 - memory - redis)
    worker_us = memory * costs.memory_us + redis * costs.redis_us + postgres * costs.postgres_us
    workers = _least(demand.rate * worker_us / 1e6, limits.busy)
    sealing = demand.rate * costs.seal_us / 1e6
    machines = max(ceil(workers / limits.workers_a_machine), _least(sealing, limits.busy))
    shards = max(
        ceil(demand.identifiers * costs.record_bytes / limits.shard_bytes),
        _least(
            demand.rate * postgres * costs.postgres_store_us / 1e6, limits.busy * limits.shard_cores
        ),
    )
    return Fleet(
        memory,
        redis,
        postgres,
        worker_us,
        workers,
        machines,
        redis_nodes=_redis_nodes(demand, costs, limits, 1 - memory),
        shards=shards,
        ledger_bytes_a_day=demand.rate * costs.ledger_bytes * DAY_SECONDS,
        seal_cores=sealing,
        load_hours=demand.identifiers * costs.write_us / 1e6 / 3_600 / shards,
    )


def _tiers(demand: Demand, limits: Limits) -> tuple[float, float]:
    """Return the shares of all questions that memory answers, and Redis."""
    classes = zipf_classes(demand.identifiers, demand.exponent)
    in_memory = kept(classes, limits.entries_a_worker)
    memory = hit_share(classes, in_memory)
    missed = passed_on(classes, in_memory)
    if memory >= 1.0:
        return 1.0, 0.0
    in_redis = kept(missed, limits.redis_share * demand.identifiers)
    return memory, (1 - memory) * hit_share(missed, in_redis)


def _redis_nodes(demand: Demand, costs: Costs, limits: Limits, missed: float) -> int:
    """Enough for the room and for the questions, and three at least: a cluster needs a majority."""
    room = limits.redis_share * demand.identifiers * costs.redis_bytes / limits.redis_node_bytes
    return max(
        3, ceil(room), _least(demand.rate * missed * costs.redis_store_us / 1e6, limits.busy)
    )


def _least(cores: float, busy: float) -> int:
    return max(1, ceil(cores / busy))
