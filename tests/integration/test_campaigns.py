"""Campaigns in a log that is written: announced under the next number, and closed with the count of their records."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from node.ledger.announced import read_announced
from node.ledger.announcer import Terms
from node.ledger.campaigns import (
    ADOPTED_US,
    CampaignError,
    Wish,
    announce,
    campaigns,
    close,
    next_minute,
)
from node.ledger.checkpoint import Checkpoint
from node.ledger.classes import Robots
from node.ledger.heads import HeadFiles
from node.ledger.inbox import ask
from node.ledger.logfiles import LogFiles
from node.ledger.role import Conduct, LedgerRole
from node.store.database import Database
from resolver.observe import CELL_COUNT, Tally
from tests.support.ledgers import ORIGIN, START_US, LaneFile
from tests.support.waiting import until
from tests.support.witnesses import ScriptedWitness, serving

pytestmark = pytest.mark.db

WISH = Wish(since=START_US, until=START_US + 60_000_000, planned=9, networks=("127.9.9.0/24",))


@asynccontextmanager
async def writing(
    database: Database, directory: Path, round_seconds: float = 0.01
) -> AsyncIterator[None]:
    """A ledger's writer, whose witness is asked once a minute, and when somebody is in a hurry."""
    witness = ScriptedWitness("top")
    async with serving(witness):
        policy = f"witness w {witness.cosigner.key} {witness.url}\nquorum w\n"
        terms = Terms("test node", policy, (), False, Robots(1, (b"bot",), "ab" * 32))
        conduct = Conduct(directory, ORIGIN, terms)
        role = LedgerRole(
            database, conduct, (), Tally([0] * CELL_COUNT), round_seconds=round_seconds
        )
        task = asyncio.create_task(role.run())
        await until(lambda: role.standing().size > 0, 20)
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_campaigns_are_numbered_and_closed_once_with_their_count(
    database: Database, tmp_path: Path
) -> None:
    async with writing(database, tmp_path):
        numbers = [(await asyncio.to_thread(announce, tmp_path, WISH))[0].number for _ in range(2)]
        LaneFile(tmp_path / "lanes").append(10)  # of no campaign
        closed, at = await asyncio.to_thread(close, tmp_path, 1, lambda: START_US + 1)
        with pytest.raises(CampaignError, match="closed already"):
            await asyncio.to_thread(close, tmp_path, 1, lambda: START_US + 2)
        with pytest.raises(CampaignError, match="never announced"):
            await asyncio.to_thread(close, tmp_path, 7, lambda: START_US + 2)
        found = campaigns(tmp_path)
    assert numbers == [1, 2]
    assert (closed.observed, closed.protocols) == (0, {})
    assert [(each.number, each.state) for each in found] == [(1, "open"), (2, "open"), (1, "close")]
    assert at > 0


async def test_who_asks_to_seal_has_the_head_cosigned_without_waiting_for_the_minute(
    database: Database, tmp_path: Path
) -> None:
    async with writing(database, tmp_path):
        for _ in range(3):
            size = (await asyncio.to_thread(announce, tmp_path, WISH))[1] + 1
            size = max(size, (await asyncio.to_thread(ask, tmp_path)).size)

            def is_cosigned(wanted: int = size) -> bool:
                beacon = HeadFiles(tmp_path).beacon()
                return beacon is not None and beacon.size >= wanted

            await until(is_cosigned, 20)


async def test_who_asks_is_not_kept_waiting_for_the_next_round(
    database: Database, tmp_path: Path
) -> None:
    async with writing(database, tmp_path, round_seconds=3_600.0):
        size = (await asyncio.to_thread(ask, tmp_path)).size
        _, at = await asyncio.to_thread(announce, tmp_path, WISH)
        assert (await asyncio.to_thread(ask, tmp_path)).size > at >= size


@pytest.mark.parametrize(
    "wish", [WISH._replace(until=WISH.since), WISH._replace(networks=()), WISH._replace(until=0)]
)
def test_a_campaign_without_a_time_or_a_sender_is_refused(wish: Wish, tmp_path: Path) -> None:
    with pytest.raises(CampaignError):
        announce(tmp_path, wish)


def test_a_campaign_begins_with_a_minute_of_which_every_worker_hears_before() -> None:
    assert next_minute(49_999_999) == next_minute(0) == 60_000_000
    assert next_minute(50_000_000) == next_minute(60_000_000) == 120_000_000
    assert next_minute(59_999_999) - 59_999_999 > ADOPTED_US


async def test_a_campaign_that_is_closed_after_its_end_is_not_opened_again(
    database: Database, tmp_path: Path
) -> None:
    async with writing(database, tmp_path):
        await asyncio.to_thread(announce, tmp_path, WISH)
        closed, _ = await asyncio.to_thread(close, tmp_path, 1, lambda: WISH.until + 45_000_000)
        announced = read_announced(tmp_path, Robots(1, (b"bot",), "ab" * 32))
    assert closed.time > WISH.until
    assert [each.until_us for each in announced.policies[0].campaigns] == [WISH.until]


async def test_the_time_of_a_closing_is_taken_when_all_is_sealed_and_counted(
    database: Database, tmp_path: Path
) -> None:
    """What is asked meanwhile is a test: a time from before could be over in the minute that workers go by."""
    sizes: list[int] = []

    def clock() -> int:
        published = LogFiles(tmp_path).published()
        assert published is not None
        sizes.append(Checkpoint.parse(published.text).size)
        return START_US

    async with writing(database, tmp_path, round_seconds=3_600.0):
        _, at = await asyncio.to_thread(announce, tmp_path, WISH)
        LaneFile(tmp_path / "lanes").append(10)
        closed, closed_at = await asyncio.to_thread(close, tmp_path, 1, clock)
    assert at + 1 < sizes[0] <= closed_at
    assert closed.time == START_US + ADOPTED_US
