"""The bench of writes: every row runs, every write in it is done, and so is a bulk job beside single writes."""

import pytest

from loadtest.bulk_beside import run_bulk
from loadtest.sizes import make_corpus
from loadtest.stand import open_stand
from loadtest.write_rows import Writes, durability

pytestmark = pytest.mark.slow

SECONDS = 0.2
ROWS = 500


def test_all_rows_run_and_all_writes_are_done() -> None:
    with open_stand() as stand:
        writes = Writes.start(stand, SECONDS)
        rows = writes.rows()
        for row in rows:
            row.runs.append(row.measure(0))
        beside = run_bulk(writes.node, make_corpus(stand.directory, ROWS), ROWS)
        promised = durability(writes.node)[0]

    assert {row.name: row.wrong for row in rows} == dict.fromkeys([row.name for row in rows], 0)
    assert min(row.rate for row in rows) > 0
    assert (beside.rows, beside.faults) == (ROWS, [])
    assert "synchronous_commit on, fsync on" in promised
