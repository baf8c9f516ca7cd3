"""The bench of the ledger: every row runs on both nodes, every answer is right, and what is stored is as designed."""

import pytest

from loadtest.ledger_cost import Comparison
from loadtest.ledger_paths import Cost
from loadtest.ledger_storage import storage_targets, store_both
from loadtest.stand import open_stand

pytestmark = pytest.mark.slow

SECONDS = 0.1
ANSWERS = 20_000


def test_all_rows_run_and_all_answers_are_right() -> None:
    with open_stand() as stand:
        cost = Cost(Comparison(stand, SECONDS).paths())
        for row in cost.scenarios():
            row.runs.append(row.measure())

    assert [row.wrong for row in cost.scenarios()] == [0] * 20
    assert min(row.runs[0].run.answers for row in cost.scenarios()) > 0
    assert len(cost.targets()) == 8


def test_what_is_stored_is_as_designed() -> None:
    """Figures of a directory, not of time."""
    assert [
        target.text for target in storage_targets(*store_both(ANSWERS)) if not target.is_met
    ] == []
