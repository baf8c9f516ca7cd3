"""A series that rises is told from one that scatters; what a soak and a table of capacity compute."""

from random import Random

import pytest

from loadtest.capacity import chosen_names
from loadtest.capacity_table import Row
from loadtest.cases import NAMES
from loadtest.ceiling import Ceiling
from loadtest.figures import Measured, Scenario
from loadtest.growth import Growth, Held, growth_targets
from loadtest.held import Stored, kind_of
from loadtest.run import Run
from loadtest.sizes import Loaded
from loadtest.slope import ARENA_BYTES, LEAST_POINTS, Point, fit, parts_of, slope_of
from loadtest.soak_load import Load

BYTES = 100e6


def series(rise: float, scatter: float, seed: int = 1, count: int = 90) -> list[Point]:
    dice = Random(seed)  # noqa: S311 - seeded on purpose
    return [(20.0 * n, BYTES + rise * 20 * n + dice.gauss(0, scatter)) for n in range(count)]


def test_line_through_points_on_a_line_is_that_line() -> None:
    line = fit([(0.0, 5.0), (1.0, 7.0), (2.0, 9.0), (4.0, 13.0)])

    assert (line.rise, line.error) == pytest.approx((2.0, 0.0), abs=1e-9)
    assert line.grown == pytest.approx(8.0)


def test_error_is_that_of_the_textbook() -> None:
    """Residuals 1, -2, 1 about a flat line: sqrt(6 / 1 / 2)."""
    line = fit([(0.0, 1.0), (1.0, -2.0), (2.0, 1.0)])

    assert (line.rise, line.error) == pytest.approx((0.0, 3**0.5))


def test_leak_is_beyond_noise_and_scatter_is_not() -> None:
    leak = 5e6 / 1_800  # 5 MB in half an hour
    assert slope_of(series(leak, 0.5e6)).is_beyond_noise()
    found = [slope_of(series(0.0, 2e6, seed)).is_beyond_noise() for seed in range(200)]
    assert sum(found) <= 2


def test_arena_of_an_allocator_is_no_slope() -> None:
    exact = series(0.9 * ARENA_BYTES / 1_780, 0.0)

    assert slope_of(exact).rise > 0
    assert not slope_of(exact).is_beyond_noise()
    assert slope_of(exact).is_beyond_noise(least=0.0)


def test_neighbours_that_are_alike_do_not_look_sure() -> None:
    """A wandering series: the error by parts is larger than that of all points."""
    dice = Random(4)  # noqa: S311 - seeded on purpose
    at, wandering = BYTES, []
    for number in range(200):
        at += dice.gauss(0, 1e5)
        wandering.append((float(number), at))

    assert slope_of(wandering).error > 2 * fit(wandering).error


def test_parts_are_means_of_equal_parts() -> None:
    points = [(float(n), float(n)) for n in range(20)]

    assert parts_of(points, 5)[0] == (1.5, 1.5)
    assert len(parts_of(points, 10)) == 10
    with pytest.raises(ValueError, match="too few"):
        slope_of(points[: LEAST_POINTS - 1])


def test_turns_of_a_soak_are_short_enough_for_a_slope() -> None:
    assert Load(1_800, 0.7, None, 50, 2).turn_seconds == 20.0
    assert 60 / Load(60, 0.7, None, 50, 2).turn_seconds >= LEAST_POINTS


def _measured(answers: int, worker_seconds: float, tree_seconds: float, p99: float) -> Measured:
    run = Run(answers=answers, seconds=1.0, latencies=[p99] * 4)
    return Measured(run, worker_seconds, tree_seconds, worker_seconds)


def _scenario(*runs: Measured) -> Scenario:
    return Scenario("row", "a row", lambda: runs[0], list(runs))


def test_row_says_what_a_million_answers_take() -> None:
    row = Row(_scenario(_measured(50_000, 0.5, 0.6, 1e-3)), disk_bytes=3_350_000, sealed=50_000)

    assert row.cpu_seconds_a_million == pytest.approx(12.0)
    assert row.disk_bytes_a_million == pytest.approx(67e6)
    assert row.cells()[0] == "100,000"
    assert row.cells()[5:8] == ["–", "–", "–"]


def test_row_counts_what_is_wrong_in_every_kind_of_run() -> None:
    wrong = _measured(10, 0.1, 0.1, 1e-3)
    wrong.run.wrong = 1
    row = Row(_scenario(wrong), ceiling=Ceiling(steps=[(1.0, wrong)]), half=wrong)

    assert row.wrong == 3


def test_rows_are_chosen_by_name_and_by_group() -> None:
    assert chosen_names("redis,memory/udp") == ["redis/udp", "redis/http", "memory/udp"]
    assert chosen_names("records/10000000") == ["records/10000000"]
    assert chosen_names("records") == ["records/10000", "records/1000000"]
    assert set(NAMES) < set(chosen_names(""))
    with pytest.raises(ValueError, match="no row"):
        chosen_names("memroy")


def _growth(records: int, warm: float, cold: float, p99: float, *, lucky: float = 1.0) -> Growth:
    loaded, held = Loaded(records, 1.0, 1.0, 1.0), Held({}, 0, {}, 1.0, 1.0)
    rounds = (1, 3, lucky)
    runs = [_measured(1_000, warm * by * 1e-3, warm * by * 1e-3, p99) for by in rounds]
    slow = [_measured(1_000, cold * by * 1e-3, cold * by * 1e-3, p99) for by in rounds]
    return Growth(records, loaded, held, _scenario(*runs), _scenario(*slow))


def test_growth_is_judged_by_the_median_of_what_smallest_and_largest_differ_by_in_a_round() -> None:
    growths = [
        _growth(10, 5.0, 50.0, 1e-3, lucky=0.2),
        _growth(100, 9.0, 9.0, 9.0),
        _growth(1_000, 6.0, 75.0, 1.9e-3),
    ]

    warm, cold, p99 = growth_targets(growths)

    assert (warm.figure, cold.figure, p99.figure) == pytest.approx((1.2, 1.5, 1.9))
    assert (warm.is_met, cold.is_met, p99.is_met) == (True, False, True)


def test_what_a_change_added_is_told_by_table() -> None:
    before = Stored(10, 1_000, {"record": 500, "change": 0, "prefix": 7})
    after = Stored(20, 4_000, {"record": 6_500, "change": 910, "prefix": 7, "version": 30})

    told = after.since(before)

    assert told == "bytes a change, of 10: log 300; record 600, change 91, version 3"


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("/x/python -m node.process.worker --slot 0", "worker"),
        ("/x/python -m node.process.keeper --sockets a", "keeper"),
        ("/opt/pg/bin/postgres -D /data", "postgres"),
        ("postgres: checkpointer", "postgres"),
        ("/x/valkey-server unixsocket", "valkey"),
        ("/x/python -m node serve", "supervisor"),
    ],
)
def test_process_is_known_by_its_command(command: str, kind: str) -> None:
    assert kind_of(command) == kind
