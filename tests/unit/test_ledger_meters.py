"""The two counts of a worker: when they have come apart, and when an answer is only in flight."""

from collections.abc import Iterator
from itertools import chain, repeat
from pathlib import Path

import pytest

from node.counters import Counters, slot_path
from node.ledger.meters import TRIES, Drift, Position, read_meters
from node.metrics import LogLevels, exposition
from resolver.recorder import MOST_AT_ONCE


@pytest.fixture
def slot(tmp_path: Path) -> Iterator[Counters]:
    counters = Counters.open(slot_path(tmp_path, 0))
    yield counters
    counters.close()


def test_what_is_in_flight_is_what_came_while_the_counters_were_read(slot: Counters) -> None:
    slot.cells[0] = 700
    positions = iter([{0: (5, 100 * n)} for n in range(TRIES + 1)])

    assert read_meters([slot], lambda: next(positions)) == (
        (0, 0, 5, 700, 100 * TRIES, 100 + MOST_AT_ONCE),
    )


def test_moment_in_which_a_worker_does_nothing_is_taken_at_once(slot: Counters) -> None:
    positions = iter([{0: (5, 90)}, {0: (5, 100)}, {0: (5, 100)}])

    assert read_meters([slot], lambda: next(positions)) == ((0, 0, 5, 0, 100, MOST_AT_ONCE),)


def test_workers_are_not_compared_across_an_epoch(slot: Counters) -> None:
    """Of the epoch before it is not known how far it came after the counters were read."""
    filling: list[dict[int, Position]] = [{0: (5, 100 * n)} for n in range(TRIES)]
    going_on: list[dict[int, Position]] = [{0: (6, 40)}, {0: (6, 70)}]
    positions = chain(filling, going_on)

    assert read_meters([slot], lambda: next(positions)) == ((0, 0, 6, 0, 70, 30 + MOST_AT_ONCE),)


def test_lane_that_goes_on_and_on_is_read_all_the_same(slot: Counters) -> None:
    positions = chain(({0: (n, 10)} for n in range(1_000)), repeat({0: (1_000, 10)}))

    [row] = read_meters([slot], lambda: next(positions))

    assert row[2] < 1_000


def test_counts_that_grow_alike_do_not_differ() -> None:
    drift = Drift()
    for counted, recorded in ((1_000, 10), (1_500, 510), (9_990, 9_000)):
        drift.note([(0, 0, 7, counted, recorded, 0)])
        assert drift.apart == {0: 0}


def test_what_one_of_them_lacks_is_told_with_its_sign() -> None:
    drift = Drift()
    drift.note([(0, 0, 7, 1_000, 10, 0), (1, 1, 4, 50, 50, 0)])
    drift.note([(0, 0, 7, 1_103, 110, 0), (1, 1, 4, 60, 62, 0)])
    assert drift.apart == {0: 3, 1: -2}


def test_answers_in_flight_at_either_end_are_no_difference() -> None:
    drift = Drift()
    drift.note([(0, 0, 7, 1_000, 10, 2)])
    for counted, apart in ((1_105, 0), (1_106, 6), (1_095, 0), (1_094, -6)):
        drift.note([(0, 0, 7, counted, 110, 3)])
        assert drift.apart == {0: apart}


def test_each_epoch_is_reckoned_by_itself() -> None:
    drift = Drift()
    drift.note([(0, 0, 7, 1_000, 900, 0)])
    drift.note([(0, 0, 8, 1_009, 4, 0)])
    drift.note([(0, 0, 8, 1_029, 24, 0)])
    assert drift.apart == {0: 0}


def test_the_difference_is_shown_by_worker(tmp_path: Path) -> None:
    slots = [Counters.open(slot_path(tmp_path, slot)) for slot in range(3)]
    text = exposition(slots, ledger=LogLevels(apart={1: -2, 0: 3})).decode()
    for each in slots:
        each.close()
    assert 'idnode_ledger_difference{worker="0"} 3.0' in text
    assert 'idnode_ledger_difference{worker="1"} -2.0' in text
    assert 'idnode_ledger_difference{worker="2"} 0.0' in text
