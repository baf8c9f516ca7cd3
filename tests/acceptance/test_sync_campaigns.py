"""The sync's campaigns, small and seeded: what is written arrives, and whatever happens both sides end equal."""

import pytest

from loadtest import kill_sync, sync_load
from loadtest.sync_scene import Extent

pytestmark = pytest.mark.slow

BRIEF = Extent(seconds=1.5, down_seconds=2.0, kills=2, is_small=True)
FAULTS = ("peer-killed", "keeper-killed", "doubled-and-late", "peer-restored")


def test_what_is_written_arrives_and_both_sides_are_equal() -> None:
    load = sync_load.Load(seconds=2.0, registrations=50.0, changes=10.0)
    assert sync_load.run(load, is_timed=False) == []


def test_both_sides_are_equal_after_faults() -> None:
    assert kill_sync.run(FAULTS, 1, BRIEF) == []
