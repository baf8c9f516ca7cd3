"""Which closed days the simulated top-level node acknowledges: those of which its own 表3 says what the log says."""

import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from node.ledger.acknowledging import Claim, leaf_of
from node.ledger.dayacknowledging import (
    DAY_CLAIM_PATH,
    DayAcknowledged,
    Held,
    make_day_claim,
)
from node.ledger.keys import NoteError, VerifierKey
from node.ledger.leaf import Day, parse
from node.ledger.note import Note, verify
from node.ledger.submission import ADD_PATH
from node.toplevel.daycounts import ROWS, held_of
from node.toplevel.rows import SCHEMA
from sync.channels.tables import NODE_COUNT
from tests.support.leaves import BLOCK, DAY
from tests.support.logs import WrittenLog
from tests.support.toplevels import both, page_of, top_level
from tests.support.witnesses import submission

NODE_COUNT_ROW = {"prefix": "88.1|18", "part": 1, "requests": 0, "successes": 0}


def log_of(day: Day = DAY) -> WrittenLog:
    log = WrittenLog()
    log.append([BLOCK.line(), day.line()])
    return log


def claim_of(log: WrittenLog) -> Claim:
    return make_day_claim(log.checkpoint(), DAY.day, log.leaves, log.read(log.size))


async def claimed(page: httpx.AsyncClient, claim: Claim) -> httpx.Response:
    return await page.post(DAY_CLAIM_PATH, content=claim.encode())


async def test_a_day_is_acknowledged_once_its_rows_are_here_and_say_the_same(
    tmp_path: Path,
) -> None:
    log = log_of()
    async with both(tmp_path, logs=(str(log.signer.key),)) as talk:
        assert (await claimed(talk.page, claim_of(log))).status_code == 404
        (await talk.page.post(ADD_PATH, content=submission(log, 0))).raise_for_status()
        assert (await claimed(talk.page, claim_of(log))).status_code == 503
        talk.node.write("3", day=DAY.day, requests=40, successes=29)
        await talk.meet()
        refused = await claimed(talk.page, claim_of(log))
        assert refused.status_code == 422
        assert "the log says 30 successes of 2026-11-22, and 表3 says 29" in refused.text
        talk.node.write("3", day=DAY.day, requests=40, successes=30)
        await talk.meet()
        answer = (await claimed(talk.page, claim_of(log))).raise_for_status()
        note = Note.parse(answer.content)
        verify(note, [VerifierKey.parse(talk.found.witness_key)])
    told = DayAcknowledged.parse(note.text)
    assert (told.day, told.leaf, told.held) == (DAY.day, 1, Held(40, 30))
    assert (told.size, told.root, told.totals) == (2, log.checkpoint().root, BLOCK.total)
    assert parse(leaf_of(note, told).line()) == leaf_of(note, told)


async def test_a_day_that_does_not_follow_from_the_cosigned_tree_is_refused(tmp_path: Path) -> None:
    log = log_of()
    async with top_level(tmp_path, logs=(str(log.signer.key),)) as found, page_of(found) as page:
        (await page.post(ADD_PATH, content=submission(log, 0))).raise_for_status()
        claim = claim_of(log)
        forged = claim.closing._replace(line=replace(DAY, raw=31).line())
        assert (await claimed(page, claim._replace(closing=forged))).status_code == 422
        block = claim._replace(closing=claim.block, block=claim.closing)
        assert (await claimed(page, block)).status_code == 422
        log.append([BLOCK.line()])
        overtaken = await claimed(page, claim_of(log))
        assert (overtaken.status_code, overtaken.text) == (409, "2\n")
        for wrong in (b"", b"{}", b"x" * 100_000):
            assert (await page.post(DAY_CLAIM_PATH, content=wrong)).status_code in (413, 422)


def test_what_acknowledges_no_day_is_not_read_as_one() -> None:
    told = DayAcknowledged("log.example", 2, bytes(32), DAY.day, 1, Held(40, 30), BLOCK.total)
    assert DayAcknowledged.parse(told.text) == told
    for wrong in ("", told.text + "\n", told.text.replace("of a day", "of a week")):
        with pytest.raises(NoteError):
            DayAcknowledged.parse(wrong)


def test_the_rows_of_one_day_are_read_and_no_others() -> None:
    connection = sqlite3.connect(":memory:")
    connection.executescript(SCHEMA)
    for number in range(1, 29):
        row = NODE_COUNT_ROW | {"day": f"2026-11-{number:02}", "requests": number}
        key = NODE_COUNT.key_of(row)
        place = (NODE_COUNT.number, key, json.dumps(row).encode())
        connection.execute("INSERT INTO row VALUES (?, ?, ?, NULL, 1, NULL, NULL, 1, 0)", place)
    assert held_of(connection, "2026-11-09") == Held(9, 0)
    assert held_of(connection, "2026-11-29") is None
    plan = connection.execute(f"EXPLAIN QUERY PLAN {ROWS}", ("2026-11-09",)).fetchall()
    connection.close()
    assert "USING INDEX row_day (<expr>=?)" in str(plan)
