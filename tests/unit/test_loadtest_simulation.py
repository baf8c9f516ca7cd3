"""The simulation of a fleet: queues against their closed forms, caches against what must hold, fleets by arithmetic."""

import json
from pathlib import Path
from random import Random
from statistics import fmean

import pytest

from loadtest.fleet import Costs, Demand, Limits, fleet_for
from loadtest.popularity import Class, hit_share, kept, passed_on, zipf_classes
from loadtest.queues import (
    fixed,
    md1_mean_wait,
    md1_not_longer,
    mg1_mean_wait,
    simulate_queue,
)
from loadtest.simulate import lines

SERVICE = 1e-5
QUESTIONS = 60_000


@pytest.mark.parametrize("busy", [0.2, 0.5, 0.7])
def test_simulated_wait_is_that_of_the_closed_form(busy: float) -> None:
    rate = busy / SERVICE
    queue = simulate_queue(rate, fixed(SERVICE), questions=QUESTIONS, seed=7)
    waits = [each.wait for each in queue]

    assert fmean(waits) == pytest.approx(md1_mean_wait(rate, SERVICE), rel=0.05)
    for wait in (0.0, SERVICE, 3 * SERVICE):
        share = sum(each <= wait for each in waits) / len(waits)
        assert share == pytest.approx(md1_not_longer(wait, rate, SERVICE), abs=0.01)


def test_who_comes_to_an_idle_server_does_not_wait() -> None:
    """Crommelin at 0: as often as the server is idle."""
    assert md1_not_longer(0.0, 0.7 / SERVICE, SERVICE) == pytest.approx(0.3)


def test_times_that_differ_wait_as_pollaczek_and_khinchine_say() -> None:
    times = (SERVICE, 9 * SERVICE)
    rate = 0.5 / (5 * SERVICE)
    queue = simulate_queue(rate, lambda dice: dice.choice(times), questions=4 * QUESTIONS, seed=3)
    square = fmean(each**2 for each in times)

    expected = mg1_mean_wait(rate, 5 * SERVICE, square)

    assert fmean(each.wait for each in queue) == pytest.approx(expected, rel=0.08)
    assert expected > md1_mean_wait(rate, 5 * SERVICE)


def test_second_server_takes_who_would_wait() -> None:
    def mean_wait(servers: int) -> float:
        queue = simulate_queue(
            0.8 / SERVICE, fixed(SERVICE), questions=QUESTIONS, seed=1, servers=servers
        )
        return fmean(each.wait for each in queue)

    assert mean_wait(2) < mean_wait(1) / 5


def test_server_that_cannot_keep_up_has_no_mean_wait() -> None:
    with pytest.raises(ValueError, match="busy"):
        md1_mean_wait(1.1 / SERVICE, SERVICE)


def test_classes_are_the_law_of_zipf() -> None:
    exact = [1 / rank**0.99 for rank in range(1, 5_001)]
    classes = zipf_classes(5_000, 0.99)

    assert sum(each.size for each in classes) == pytest.approx(5_000)
    assert sum(each.size * each.share for each in classes) == pytest.approx(1.0)
    assert classes[0].share == pytest.approx(exact[0] / sum(exact), rel=0.02)


def test_cache_hits_as_often_as_a_real_one_that_forgets_the_oldest() -> None:
    """Against a simulated LRU cache of 200 of 2,000 identifiers."""
    dice = Random(5)  # noqa: S311 - seeded on purpose
    cache, hits, asked = dict[int, None](), 0, 60_000
    weights = [1 / rank**0.99 for rank in range(1, 2_001)]
    for number, key in enumerate(dice.choices(range(2_000), weights, k=asked)):
        hits += key in cache and number >= asked // 2
        cache.pop(key, None)
        cache[key] = None
        if len(cache) > 200:
            del cache[next(iter(cache))]
    classes = zipf_classes(2_000, 0.99)

    assert hit_share(classes, kept(classes, 200)) == pytest.approx(hits / (asked / 2), abs=0.015)


def test_cache_with_room_for_all_passes_nothing_on() -> None:
    classes = zipf_classes(1_000, 0.99)

    left = passed_on(classes, kept(classes, 1_000))

    assert sum(each.size * each.share for each in left) == 0
    assert kept(classes, 0) == [0.0] * len(classes)
    assert hit_share([Class(1.0, 0.0)], [0.0]) == 0.0


def test_fleet_has_room_for_what_it_is_asked() -> None:
    costs, limits = Costs(), Limits()
    demand = Demand(1_000_000_000, 1_000_000)

    fleet = fleet_for(demand, costs, limits)

    assert sum(fleet.tiers) == pytest.approx(1.0)
    assert demand.rate * fleet.worker_us / 1e6 <= limits.busy * fleet.workers
    assert fleet.workers <= fleet.machines * limits.workers_a_machine
    assert demand.identifiers * costs.record_bytes <= fleet.shards * limits.shard_bytes
    assert fleet.seal_cores <= limits.busy * fleet.machines
    assert fleet.ledger_bytes_a_day == pytest.approx(1e6 * costs.ledger_bytes * 86_400)


def test_costs_are_read_from_a_table(tmp_path: Path) -> None:
    rows = [
        {"name": f"{tier}/udp", "worker_us_median": us, "tree_us_median": us + 1.5}
        for tier, us in (("memory", 6.0), ("redis", 20.0), ("postgres", 30.0))
    ]
    path = tmp_path / "capacity.json"
    path.write_text(json.dumps({"rows": rows}))

    costs = Costs.read(path)

    assert (costs.memory_us, costs.redis_us, costs.postgres_us) == (6.0, 20.0, 30.0)
    assert costs.postgres_store_us == pytest.approx(1.5)


def test_same_seed_prints_the_same_table() -> None:
    first, second = (list(lines(Costs(), Limits(), 2_000, seed)) for seed in (1, 2))

    assert first == list(lines(Costs(), Limits(), 2_000, 1))
    assert first != second
