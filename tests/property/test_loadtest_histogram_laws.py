"""What holds for a histogram of any times: percentiles near the exact ones, nothing lost in a merge."""

from itertools import pairwise
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.histogram import LEAST_SECONDS, MOST_SECONDS, Histogram

ERROR = 0.02
TIMES = st.lists(st.floats(LEAST_SECONDS, MOST_SECONDS), min_size=1, max_size=200)


@given(TIMES, st.floats(0, 100))
def test_percentile_is_near_the_exact_one(times: list[float], percent: float) -> None:
    exact = sorted(times)[max(1, ceil(percent / 100 * len(times))) - 1]

    assert Histogram(times).percentile(percent) == pytest.approx(exact, rel=ERROR)


@given(TIMES)
def test_longest_and_last_percentile_are_exact(times: list[float]) -> None:
    histogram = Histogram(times)

    assert histogram.longest == histogram.percentile(100) == max(times)
    assert histogram.mean == pytest.approx(sum(times) / len(times))


@given(TIMES, TIMES)
def test_merge_counts_what_both_counted(first: list[float], second: list[float]) -> None:
    merged = Histogram(first)
    merged.merge(Histogram(second))
    both = Histogram(first + second)

    assert merged.counts() == both.counts()
    assert (len(merged), merged.longest) == (len(both), both.longest)


@given(TIMES)
def test_one_by_one_is_as_all_at_once(times: list[float]) -> None:
    single = Histogram()
    for each in times:
        single.add(each)

    assert single.counts() == Histogram(times).counts()


@given(TIMES)
def test_buckets_are_narrow_in_order_and_hold_every_time(times: list[float]) -> None:
    buckets = Histogram(times).counts()

    assert sum(bucket.number for bucket in buckets) == len(times)
    for before, after in pairwise(buckets):
        assert before.high <= after.low
    for low, high, count in buckets:
        assert 0 < count == sum(low <= each < high for each in times)
        assert high - low <= ERROR * low


@given(st.sampled_from([-1.0, 0.0, 1e-9, 61.0, 1e6, float("inf")]))
def test_what_lies_outside_counts_at_the_edge(seconds: float) -> None:
    (bucket,) = Histogram([seconds]).counts()

    assert bucket.number == 1
    assert bucket.low <= LEAST_SECONDS or bucket.high > MOST_SECONDS


def test_an_empty_one_says_nothing() -> None:
    assert (len(Histogram()), Histogram().percentile(99), Histogram().counts()) == (0, 0.0, [])


@pytest.mark.parametrize("percent", [-0.1, 100.1, float("nan")])
def test_a_percentile_outside_is_refused(percent: float) -> None:
    with pytest.raises(ValueError, match="0 … 100"):
        Histogram([1.0]).percentile(percent)
