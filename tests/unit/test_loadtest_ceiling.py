"""The search for the highest rate, on servers whose limit is known."""

from collections.abc import Callable

import pytest

from loadtest.ceiling import highest_rate
from loadtest.figures import Measured
from loadtest.highest import LEAST_RATE, MOST_RATE, PRECISION
from loadtest.histogram import Histogram
from loadtest.run import Run


def _measured(run: Run) -> Measured:
    return Measured(run, worker_seconds=run.answers * 8e-6, tree_seconds=0.0, core_seconds=0.0)


def _asked(rate: float, *, lost: int = 0, unasked: int = 0, waited: float = 0.0) -> Measured:
    asked = round(rate)
    answers = asked - lost - unasked
    return _measured(
        Run(asked=asked, answers=answers, lost=lost, unasked=unasked,
            late=unasked, waited=waited, seconds=1.0, histogram=Histogram([0.001]))
    )  # fmt: skip


@pytest.mark.parametrize("limit", [1_000.0, 54_321.0, 250_000.0])
@pytest.mark.parametrize("start", [500.0, 60_000.0, 1_000_000.0])
def test_it_ends_just_below_the_limit(limit: float, start: float) -> None:
    found = highest_rate(lambda rate: _asked(rate, lost=int(rate > limit)), start=start)

    assert limit * (1 - PRECISION) <= found.rate <= limit < found.failed
    assert found.best is not None
    assert found.best.run.asked == round(found.rate)
    assert found.answers_per_cpu_second == pytest.approx(125_000)
    assert not found.is_of_generator


def test_a_rate_that_fails_once_is_tried_again() -> None:
    failed: set[float] = set()

    def attempt(rate: float) -> Measured:
        disturbed = rate not in failed
        failed.add(rate)
        return _asked(rate, lost=int(disturbed or rate > 10_000))

    assert 9_700 <= highest_rate(attempt, start=8_000).rate <= 10_000


def test_who_answers_nothing_has_no_highest_rate() -> None:
    found = highest_rate(lambda rate: _asked(rate, lost=1), start=10_000)

    assert (found.rate, found.best, found.answers_per_cpu_second) == (0.0, None, 0.0)
    assert found.failed < 2 * LEAST_RATE


def test_who_answers_everything_is_not_asked_for_ever() -> None:
    found = highest_rate(_asked, start=8_000)

    assert found.rate == MOST_RATE
    assert found.failed == float("inf")


def test_a_generator_that_fell_behind_is_named() -> None:
    def attempt(waited: float) -> Callable[[float], Measured]:
        return lambda rate: _asked(rate, unasked=int(rate > 10_000), waited=waited)

    assert highest_rate(attempt(0.0), start=8_000).is_of_generator
    assert not highest_rate(attempt(0.5), start=8_000).is_of_generator
