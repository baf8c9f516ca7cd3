"""Workers are replaced under load: no question fails, no native connection ends, and all counts are one number."""

import pytest

from loadtest.rolling import run

pytestmark = pytest.mark.slow


def test_no_question_fails_and_all_counts_are_one() -> None:
    assert run(1, 2, is_verified=False) == []
