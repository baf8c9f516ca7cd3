from collections.abc import Iterator
from pathlib import Path

import pytest

from node.counters import Counters, slot_path
from resolver.observe import CELL_COUNT, Event, Gauge, Tally, event_cell, gauge_cell


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return slot_path(tmp_path, 0)


@pytest.fixture
def counters(path: Path) -> Iterator[Counters]:
    opened = Counters.open(path)
    yield opened
    opened.close()


def test_a_new_file_is_all_zero_and_as_long_as_what_is_counted(counters: Counters) -> None:
    assert len(counters.cells) == CELL_COUNT
    assert set(counters.cells) == {0}
    assert (counters.process_id, counters.starts) == (0, 0)


def test_what_a_worker_counts_another_process_reads_at_once(path: Path, counters: Counters) -> None:
    reader = Counters.open(path)

    Tally(counters.cells).happened(Event.UDP_RUNT, 3)

    assert reader.cells[event_cell(Event.UDP_RUNT)] == 3
    reader.close()


def test_counts_outlive_the_worker_and_levels_do_not(path: Path) -> None:
    first = Counters.open(path)
    first.begin(11)
    Tally(first.cells).happened(Event.UDP_RUNT)
    Tally(first.cells).level(Gauge.HOT_ENTRIES, 5)
    first.close()

    successor = Counters.open(path)
    successor.begin(12)

    assert successor.cells[event_cell(Event.UDP_RUNT)] == 1
    assert successor.cells[gauge_cell(Gauge.HOT_ENTRIES)] == 0
    assert (successor.process_id, successor.starts) == (12, 2)
    successor.close()


def test_lane_is_vacant_until_its_worker_has_all_it_needs(counters: Counters) -> None:
    counters.vacate()

    found = []

    counters.begin(11)  # its levels are all zero, and say nothing of the node
    found.append(counters.is_vacant)
    counters.occupy()
    found.append(counters.is_vacant)
    counters.begin(12)  # the other was killed
    found.append(counters.is_vacant)

    assert found == [True, False, False]


def test_a_file_of_another_version_starts_at_zero(path: Path) -> None:
    path.write_bytes(b"\xff" * 100)

    counters = Counters.open(path)

    assert set(counters.cells) == {0}
    counters.close()


def test_zero_forgets_everything(counters: Counters) -> None:
    counters.begin(11)
    counters.cells[0] = 9

    counters.zero()

    assert (counters.cells[0], counters.starts) == (0, 0)


def test_a_cell_holds_64_bits(counters: Counters) -> None:
    counters.cells[0] = 2**64 - 1

    assert counters.cells[0] == 2**64 - 1
