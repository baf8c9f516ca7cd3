"""How often the standing of the sync is read: less often when counting takes long."""

import pytest

from node.upstream.levels import pause_after


@pytest.mark.parametrize(("took", "pause"), [(0.001, 1.0), (0.05, 1.0), (0.2, 4.0), (30.0, 15.0)])
def test_counting_costs_a_twentieth_of_a_core_at_most(took: float, pause: float) -> None:
    assert pause_after(took) == pytest.approx(pause)
