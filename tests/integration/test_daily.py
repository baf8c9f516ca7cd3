"""What the keeper does once a day: addresses taken in, days closed through the log's writer, sources put in a table."""

import logging
from datetime import date
from ipaddress import ip_address
from pathlib import Path

import pytest

from node.daily import Daily
from node.ledger.closing import DAYS
from node.ledger.logfiles import LogFiles
from node.ledger.report.figures import LedgerMonth
from node.ledger.sample import Sample
from node.ledger.sources import MAX_SOURCES, SourceNotes, signed, sources_of, written_notes
from node.ledger.tags import DayTags, day_of
from node.store.database import Database
from node.store.sources import (
    OTHERS,
    SOURCE_DAYS,
    Client,
    Source,
    add_clients,
    prune_sources,
    put_sources,
    read_clients,
    read_sources,
)
from tests.support.writer import keeper

pytestmark = pytest.mark.db

DAY, NEXT = date(2026, 10, 31), 1_793_462_400_000_000  # and when it is over, µs
ONE, OTHER, SIX = map(ip_address, ("203.0.113.7", "198.51.100.1", "2001:db8::1"))


@pytest.fixture
def sample(tmp_path: Path) -> Sample:
    """A day that has been lived, and is not closed."""
    made = Sample(tmp_path / "ledger", DAY, days=1, resolutions=300)
    made.live_without_closing()
    return made


async def test_a_day_is_closed_with_its_sources_and_once(
    sample: Sample, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    directory = sample.files.directory
    daily = Daily(database, directory)
    await daily.round(NEXT)  # a second after midnight: the last block may still come
    assert not (directory / DAYS / "next.json").exists()
    with keeper(directory, sample):
        await daily.round(NEXT + 10**9)
        await daily.round(NEXT + 2 * 10**9)
    month = LedgerMonth(LogFiles(directory), "2026-10")
    assert [leaf.day for _, leaf in month.days] == ["2026-10-31"]
    async with database.connection() as connection:
        found = await read_sources(connection, DAY)
    production = month.details[0].counted.total(lambda cell: not cell.class_)
    assert [(each.address, each.requests) for each in found] == [(OTHERS, production.requests)]
    assert [each.levelno for each in caplog.records if each.levelno > logging.INFO] == []


async def test_a_keeper_that_does_not_write_is_waited_for(
    sample: Sample, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "node.daily"):
        daily = Daily(database, sample.files.directory)
        await daily.round(NEXT + 10**9)
        await daily.round(NEXT + 10**9)
    told = [each.message for each in caplog.records if each.name == "node.daily"]
    assert told == ["the ledger's daily work waits"]


async def test_notes_of_workers_become_addresses(tmp_path: Path, database: Database) -> None:
    tags = DayTags(bytes(32), 20_757)
    notes = SourceNotes(tmp_path, 3)
    tag = tags.client_tag(ONE.packed, b"curl")
    notes.met(20_757, tag, str(ONE))
    assert notes.is_due(60 * 10**9)
    notes.write(60 * 10**9)
    assert not notes.is_due(60 * 10**9 + 1)
    daily = Daily(database, tmp_path)
    await daily.round(NEXT)
    assert list(written_notes(tmp_path)) == []
    async with database.connection() as connection:
        known = await read_clients(
            connection, date.fromordinal(date(1970, 1, 1).toordinal() + 20_757)
        )
    assert known == {signed(int.from_bytes(tag, "little")): ONE}


async def test_the_same_note_may_be_taken_twice(database: Database) -> None:
    async with database.connection() as connection:
        for _ in range(2):
            await add_clients(connection, [Client(DAY, -5, SIX), Client(DAY, 5, ONE)])
        assert await read_clients(connection, DAY) == {-5: SIX, 5: ONE}


async def test_a_day_replaces_its_table_and_forgets_its_tags(database: Database) -> None:
    async with database.transaction() as connection:
        await add_clients(connection, [Client(DAY, 5, ONE)])
        await put_sources(connection, DAY, [Source("88.1", ONE, 9, 8)])
        await put_sources(
            connection,
            DAY,
            [Source("88.1", ONE, 2, 1), Source("", SIX, 7, 0), Source("", ONE, 6, 6)],
        )
        assert await read_clients(connection, DAY) == {}
        assert await read_sources(connection, DAY) == [Source("", ONE, 8, 7), Source("", SIX, 7, 0)]
        assert await read_sources(connection, DAY, "88.1") == [Source("88.1", ONE, 2, 1)]
        assert await read_sources(connection, DAY, most=1) == [Source("", ONE, 8, 7)]


async def test_sources_are_forgotten_after_their_days(database: Database) -> None:
    async with database.transaction() as connection:
        for age in (SOURCE_DAYS - 1, SOURCE_DAYS):
            day = date.fromordinal(DAY.toordinal() - age)
            await put_sources(connection, day, [Source("", ONE, 1, 1)])
        await prune_sources(connection, DAY)
        left = [
            len(await read_sources(connection, date.fromordinal(DAY.toordinal() - age)))
            for age in (SOURCE_DAYS - 1, SOURCE_DAYS)
        ]
    assert left == [1, 0]


def test_tags_and_numbers_become_addresses_and_prefixes() -> None:
    counted = {(2**64 - 1, 1): (5, 4), (7, 1): (3, 3), (8, 1): (2, 0), (7, 9): (1, 1)}
    addresses = {-1: ONE, 7: ONE}
    found = sources_of(counted, addresses, {1: ("handle", "88.1")})
    assert sorted(found) == [
        Source("", ONE, 1, 1),
        Source("88.1", OTHERS, 2, 0),
        Source("88.1", ONE, 8, 7),
    ]


def test_a_day_has_so_many_rows_and_the_rest_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_SOURCES >= 10_000
    monkeypatch.setattr("node.ledger.sources.MAX_SOURCES", 2)
    addresses = {at: ip_address(at + 2**24) for at in range(5)}
    counted = {(at, 1): (at + 1, 1) for at in range(5)}
    found = sources_of(counted, addresses, {})
    assert sorted(each.requests for each in found) == [4, 5, 6]
    assert sum(each.requests for each in found) == 15
    assert {each.address for each in found if each.requests == 6} == {OTHERS}


@pytest.mark.parametrize(
    "line",
    ["", "2026-10-31 zz 1.2.3.4", "2026-10-31 00ff name", "2026-13-31 00 1.2.3.4", "a b c d"],
)
def test_what_is_no_note_is_left_out(tmp_path: Path, line: str) -> None:
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "0-1").write_text(f"{line}\n2026-10-31 {'00' * 8} 203.0.113.7\n")
    assert [clients for _, clients in written_notes(tmp_path)] == [[Client(DAY, 0, ONE)]]


def test_notes_are_bounded_and_a_full_disk_costs_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.ledger.sources.MAX_NOTES", 2)
    (tmp_path / "sources").write_text("not a directory")
    notes = SourceNotes(tmp_path, 0)
    for number in range(5):
        notes.met(day_of(0), bytes([number] * 8), "203.0.113.7")
    notes.write(1)
    assert not notes.is_due(10**12)
