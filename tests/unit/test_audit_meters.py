"""R2 where nodes start again and workers are killed: what a counter that began with a later epoch must have gained."""

import pytest

from node.ledger.leaf import Meters
from node.ledger.verify.checks import Check
from node.ledger.verify.epochstate import EpochState
from node.ledger.verify.findings import Findings
from node.ledger.verify.meters import AT_ONCE, MeterRules
from resolver.recorder import MOST_AT_ONCE

LANE, MINUTE_US = 1, 60_000_000
RECORDS = {1: 2_750, 2: 400, 3: 70}
"""What each epoch of the lane has in the end."""


def judged(*snapshots: tuple[int, int, int, int]) -> Findings:
    """Judge snapshots of one worker: epoch, Prometheus, number of the newest record, in flight."""
    findings = Findings(())
    rules = MeterRules(findings)
    for index, (epoch, prometheus, ledger, flying) in enumerate(snapshots):
        row = (LANE, LANE, epoch, prometheus, ledger, flying)
        rules.meters(index, Meters(time=index * MINUTE_US, workers=(row,)))
    epochs = {
        (LANE, number): EpochState(number, number, last=last, is_over=True)
        for number, last in RECORDS.items()
    }
    rules.finish(epochs)
    return findings


@pytest.mark.parametrize(
    ("story", "snapshots"),
    [
        ("killed before its first snapshot", [(2, 2_750 + 30, 30, 0)]),
        ("started again before its first snapshot", [(2, 30, 30, 0)]),
        ("started again, and has counted more by now", [(1, 5, 5, 0), (2, 30, 30, 0)]),
        ("started again, then killed", [(1, 200, 200, 0), (3, 400 + 5, 5, 0)]),
        (
            "each kill between record and count",
            [(1, 5, 5, 0), (3, 2_750 + 400 + 5 - (1 + 2 * AT_ONCE), 5, 0)],
        ),
        (
            "started again, and not yet at work",
            [(1, 200, 200, 0), (1, 0, 2_750, 0), (1, 1, 2_750, 0)],
        ),
        ("at work since", [(1, 0, 2_750, 0), (2, 30, 30, 0), (3, 470, 70, 0)]),
        ("in flight", [(1, 203, 200, 2), (1, 210, 213, 2)]),
    ],
)
def test_counts_agree_whatever_epoch_the_counter_began_with(
    story: str, snapshots: list[tuple[int, int, int, int]]
) -> None:
    assert judged(*snapshots).counts == {}, story


@pytest.mark.parametrize(
    "snapshots",
    [
        [(1, 202, 200, 0)],
        [(1, 198, 200, 0)],
        [(2, 2_750 + 32, 30, 0)],
        [(1, 5, 5, 0), (3, 2_750 + 400 + 5 - (2 + 2 * AT_ONCE), 5, 0)],
        [(1, 0, 2_749, 0)],  # there was one more record: somebody was at work
        [(1, 2, 2_750, 0)],
        [(1, 200, 200, 0), (3, 2_750 + 5, 5, 0)],  # the records of an epoch between are gone
    ],
)
def test_what_no_beginning_explains_is_a_difference(
    snapshots: list[tuple[int, int, int, int]],
) -> None:
    assert judged(*snapshots).counts == {Check.R2_DIFFERENCE: 1}


def test_so_many_are_recorded_together_as_front_ends_do() -> None:
    assert AT_ONCE == MOST_AT_ONCE


@pytest.mark.parametrize(("written_for", "is_missing"), [(9, False), (10, True)])
def test_snapshot_is_due_when_an_epoch_was_written_for_ten_minutes(
    written_for: int, *, is_missing: bool
) -> None:
    """However long its file had waited: that is made in advance."""
    findings = Findings(())
    begun = 60 * MINUTE_US
    state = EpochState(0, begun + written_for * MINUTE_US, last=5, begun=begun)

    MeterRules(findings).finish({(LANE, 1): state})

    assert (Check.R2_MISSING in findings.counts) == is_missing
