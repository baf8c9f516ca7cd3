"""Recording: what is announced while a worker starts, or twice in one tick of the file system's clock, is heard."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.ledger.agents import AgentNotes
from node.ledger.announced import FILE, AnnouncedNumbers, read_announced, write_announced
from node.ledger.counting import Counter
from node.ledger.lane import Lane
from node.ledger.laneterms import LaneTerms
from node.ledger.leaf import Campaign
from node.ledger.logfiles import LANES
from node.ledger.rules import policy_leaf
from node.ledger.sources import SourceNotes
from node.ledger.tags import DayKeys
from node.recording import Notes, Recording, robots
from tests.support.ledgers import START_US

POLICY = policy_leaf(1, START_US, (), robots(), count_loopback=False)


def announce(directory: Path, campaigns: int) -> None:
    """Put a policy and so many load tests where workers look for them."""
    opened = [
        Campaign(
            number=number,
            state="open",
            time=START_US,
            token="",
            listener="",
            networks=("127.9.9.0/24",),
            until=START_US + 60_000_000,
            planned=9,
        )
        for number in range(1, campaigns + 1)
    ]
    write_announced(directory, [POLICY.line(), *(leaf.line() for leaf in opened)])


@pytest.fixture
def starting(tmp_path: Path) -> Iterator[Recording]:
    """A worker's, that has read what is announced when the first load test is announced."""
    announce(tmp_path, 0)
    announced = read_announced(tmp_path, robots())
    announce(tmp_path, 1)
    lane = Lane.open(tmp_path / LANES, 0, lambda _: None, terms=LaneTerms(capacity=8))
    notes = Notes(SourceNotes(tmp_path, 0), AgentNotes(tmp_path, 0))
    numbers = AnnouncedNumbers(announced, lambda _: True, notes.agents.met)
    counter = Counter(lane, DayKeys(lambda _: bytes(32)), announced.policies, numbers=numbers)
    made = Recording(tmp_path, counter, numbers, notes)
    yield made
    made.close()


def test_a_load_test_that_is_announced_while_a_worker_starts_is_gone_by(
    starting: Recording,
) -> None:
    assert starting.campaign == 0
    starting.tick()
    assert starting.campaign == 1


def test_one_that_is_announced_in_the_same_tick_of_the_clock_as_another_is_gone_by(
    starting: Recording, tmp_path: Path
) -> None:
    starting.tick()
    before = (tmp_path / FILE).stat().st_mtime_ns
    announce(tmp_path, 2)
    os.utime(tmp_path / FILE, ns=(before, before))
    starting.tick()
    assert starting.campaign == 2
