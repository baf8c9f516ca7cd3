"""The days over whose midnights a node is run: evidence is exported by the month, and has all of them."""

from datetime import date

import pytest

from tests.support.judge_midnights import days_from


@pytest.mark.parametrize(
    ("today", "first"),
    [
        (date(2026, 11, 23), date(2026, 11, 23)),
        (date(2026, 11, 28), date(2026, 11, 28)),
        (date(2026, 11, 29), date(2026, 12, 1)),
        (date(2026, 12, 31), date(2027, 1, 1)),
    ],
)
def test_days_that_are_judged_lie_in_one_month(today: date, first: date) -> None:
    assert days_from(today) == first
