"""The table of capacity and the soak run on a whole node, small: every answer is right and counted, nothing is lost."""

import asyncio

import pytest
from rich.console import Console

from loadtest.administrators import SETTINGS, settle
from loadtest.capacity import QUICK, as_json, measure
from loadtest.registrations import Registrations
from loadtest.slope import LEAST_POINTS
from loadtest.soak import run
from loadtest.soak_load import Load
from loadtest.stand import open_stand
from loadtest.write_rows import ask
from node.ledger.record import RECORD_BYTES

pytestmark = pytest.mark.slow

SECONDS, RATE, WRITES = 4.0, 200.0, 10.0


def test_row_is_measured_with_every_answer_right_and_on_the_disk() -> None:
    rows = measure(Console(quiet=True), ["memory/udp"], QUICK)

    (row,) = rows
    assert (row.wrong, row.scenario.title) == (0, "UDP, memory")
    assert row.sealed == row.scenario.runs[0].run.answers > 0
    assert row.worker_bytes is not None
    assert 50e6 < row.worker_bytes < 500e6
    assert (row.disk_bytes_a_million or 0) >= RECORD_BYTES * 1_000_000
    assert "reference_not_measured_here" in as_json(rows)


def test_soak_counts_all_and_both_nodes_agree() -> None:
    account = run(Load(SECONDS, 0.7, RATE, WRITES, 1))

    assert account.all_faults(is_timed=False) == []
    assert account.written > 0
    assert min(account.counts.client.values()) > 0
    assert account.verdict.startswith("VERDICT PASS")
    assert len(account.memory.series["postgres"]) < LEAST_POINTS or account.memory.slopes()


def test_writers_of_a_soak_keep_to_few_names() -> None:
    async def write(writers: Registrations) -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(SECONDS, stop.set)
        await writers.run(20 * WRITES, stop)

    with open_stand() as stand:
        node = stand.start_node("named", SETTINGS)
        settle(stand, node)
        (before,) = ask(node, "select count(*) from change")
        writers = Registrations(lambda: node.native, "few", sessions=2, again=0.3, names=3)
        asyncio.run(write(writers))
        (after,) = ask(node, "select count(*) from change")

    assert len(writers.done) == 6
    assert writers.broken == 0
    assert int(after) - int(before) == writers.writes > 60
