"""What a comparison says beside its figure: how far other rounds might have moved it."""

from statistics import median

import pytest

from loadtest.figures import Measured, Scenario
from loadtest.histogram import Histogram
from loadtest.ledger_paths import Path
from loadtest.run import Run
from loadtest.spread import Spread, pooled, spread


def test_rounds_that_agree_leave_no_doubt() -> None:
    assert spread([1.0] * 8, median) == Spread(1.0, 1.0, 1.0)


def test_interval_has_the_figure_in_it_and_leaves_out_one_strange_round_of_many() -> None:
    found = spread([*[1.0, 1.1, 1.2] * 7, 50.0], median)

    assert 1.0 <= found.low <= found.figure <= found.high < 50
    assert found.low < found.high


def test_without_rounds_there_is_no_figure() -> None:
    assert spread([], median) == Spread(0.0, 0.0, 0.0)


def test_percentile_is_that_of_all_rounds_together() -> None:
    """Not the middle of theirs: one round in ten that is slow is a tenth of all questions."""
    quick, slow = Histogram([50e-6] * 100), Histogram([5e-3] * 100)

    assert pooled([quick] * 9 + [slow], 99) == pytest.approx(5_000, rel=0.02)
    assert pooled([quick] * 9 + [slow], 50) == pytest.approx(50, rel=0.02)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Spread(1.0, 0.9, 1.1), "met"),
        (Spread(1.0, 0.9, 1.3), "met, by less than the rounds differ"),
        (Spread(1.3, 1.1, 1.5), "not met, by less than the rounds differ"),
        (Spread(1.4, 1.3, 1.5), "not met"),
    ],
)
def test_verdict_says_whether_other_rounds_might_have_said_otherwise(
    found: Spread, said: str
) -> None:
    assert found.verdict(1.2) == said


def _calm(name: str, *latencies_us: float) -> Scenario:
    """A row whose rounds have a hundred questions of one latency each."""
    runs = [Measured(Run(latencies=[each / 1e6] * 100), 0, 0, 0) for each in latencies_us]
    return Scenario(name, name, lambda: runs[0], runs)


def test_wait_that_the_ledger_adds_is_what_quiet_rounds_differ_by() -> None:
    """The host stopped one of four in each row; what is quieter than most is an exception too."""
    on, off = _calm("on", *[130, 140, 200, 9_000] * 2), _calm("off", *[110, 120, 150, 7_000] * 2)
    path = Path(
        "tcp", "TCP", _calm("busy on"), _calm("busy off"), on, off, _calm("echo", 80, 9_000)
    )

    assert path.wait.figure == pytest.approx(20, abs=3)  # 140 over 120
    assert path.off_and_off_us == pytest.approx(10, abs=3)  # each other round: 110, and 120
    assert path.wait.low <= path.wait.figure <= path.wait.high
    cost, wait = path.verdicts()
    assert "ms at p99 +0.02 (" in wait
    assert "at most 0.1: met" in wait
    assert "worker µs" in cost


def test_nothing_is_said_of_a_wait_that_the_rounds_without_it_exceed_among_themselves() -> None:
    calm = _calm("on", 130, 900), _calm("off", 120, 900), _calm("echo", 3_000)
    path = Path("tcp", "TCP", _calm("busy on"), _calm("busy off"), *calm)

    *_, wait = path.verdicts()

    assert wait.endswith("not to be told here, where rounds without it differ by 0.78 ms")
