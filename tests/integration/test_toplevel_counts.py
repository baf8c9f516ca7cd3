"""Which load tests the simulated top-level node acknowledges, and that no third party can spoil it."""

from dataclasses import replace
from pathlib import Path

import httpx

from node.ledger.acknowledging import CLAIM_PATH, COUNTS_PATH, Acknowledged, Claim, make_claim
from node.ledger.acknowledging import claim_of as claim_at
from node.ledger.leaf import Block
from node.ledger.note import Note
from node.ledger.submission import ADD_PATH
from tests.support.leaves import BLOCK, OPEN
from tests.support.logs import WrittenLog
from tests.support.toplevels import page_of, top_level
from tests.support.witnesses import submission

CLOSED = replace(OPEN, state="close", time=1_500_000, observed=30, protocols={"udp": 30})


def block(successes: int) -> Block:
    total = (0, successes, 0, 0, 0, 0)
    return replace(
        BLOCK,
        block=successes,
        sequence=(1, successes),
        records=total,
        successes=total,
        total=total,
    )


def log_of() -> WrittenLog:
    log = WrittenLog()
    log.append([leaf.line() for leaf in (OPEN, block(10), block(30), CLOSED)])
    return log


def whole(log: WrittenLog) -> Claim:
    return make_claim(log.checkpoint(), 1, log.leaves, log.read(log.size))


def with_earlier_block(log: WrittenLog) -> Claim:
    """A claim that whoever reads the public log can make: all of it is proven, but its block is not the last."""
    return claim_at(log.checkpoint(), 3, [*log.leaves[:2], OPEN.line(), CLOSED.line()], log.read(4))


async def claimed(page: httpx.AsyncClient, claim: Claim) -> httpx.Response:
    return await page.post(CLAIM_PATH, content=claim.encode())


async def test_who_claims_first_with_an_earlier_block_does_not_spoil_the_acknowledgement(
    tmp_path: Path,
) -> None:
    log = log_of()
    async with top_level(tmp_path, logs=(str(log.signer.key),)) as found, page_of(found) as page:
        (await page.post(ADD_PATH, content=submission(log, 0))).raise_for_status()
        early = (await claimed(page, with_earlier_block(log))).raise_for_status()
        assert Acknowledged.parse(Note.parse(early.content).text).totals == block(10).total
        right = (await claimed(page, whole(log))).raise_for_status()
        assert Acknowledged.parse(Note.parse(right.content).text).totals == block(30).total
        for claim in (with_earlier_block(log), whole(log)):
            assert (await claimed(page, claim)).content == right.content
        told = (await page.get(COUNTS_PATH)).json()["counts"]
    assert [(each["observed"], each["note"]) for each in told] == [(30, right.text)]


async def test_a_claim_of_another_number_or_of_no_log_of_ours_is_refused(tmp_path: Path) -> None:
    log = log_of()
    async with top_level(tmp_path, logs=(str(log.signer.key),)) as found, page_of(found) as page:
        assert (await claimed(page, whole(log))).status_code == 404
        (await page.post(ADD_PATH, content=submission(log, 0))).raise_for_status()
        (await claimed(page, whole(log))).raise_for_status()
        log.append([replace(CLOSED, observed=31, protocols={"udp": 31}).line()])
        (await page.post(ADD_PATH, content=submission(log, 4))).raise_for_status()
        again = await claimed(page, whole(log))
        assert (again.status_code, "30 was acknowledged" in again.text) == (422, True)
        for wrong in (b"", b"[" * 60_000, b"x" * 100_000):
            assert (await page.post(CLAIM_PATH, content=wrong)).status_code in (413, 422)
