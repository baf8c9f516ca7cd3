"""The sender with the outbox in Postgres, against a peer in memory: equal at the end, whatever happens on the way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from node.registry.registrar import RecordRegistrar
from node.store.changes import prune_changes
from node.store.resending import send_again
from node.store.standing import list_rejections, newest_evidence, read_sync_standing
from resolver.registrar import Operation
from sync.change import START, Rejection, Row, digest_rows
from sync.testing import MemoryInbox, TopLevelNode
from tests.support.outboxes import Office, office_on, sender_pool
from tests.support.registry import SEAL, do, home, registrar_on, url
from tests.support.syncing import QUICK, rejects_bad, rest, sending

pytestmark = pytest.mark.db

FAULTS = ("lose_messages", "lose_replies", "delay_messages", "garble_replies")
TABLES = ("1", "2", "3", "6", "7", "11", "E")
WRITERS = 3
WRITES = 60  # of each of them
WALKS = 8  # while something is written


@pytest.fixture(autouse=True)
def waits_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sync.sender.BACKOFF_LIMIT_SECONDS", QUICK * 5)


@pytest.fixture
async def office(database_url: str) -> AsyncIterator[Office]:
    async with sender_pool(database_url) as database:
        await home(database, "88.1")
        yield office_on(database, most=7)


@pytest.fixture
async def registrar(office: Office) -> AsyncIterator[RecordRegistrar]:
    async with registrar_on(office.database) as made:
        yield made


async def write_records(registrar: RecordRegistrar, random: Random, many: int) -> None:
    """Register, change and delete some of few identifiers."""
    for number in range(many):
        handle = f"88.1/{random.choice('abcdefgh')}{random.randint(0, 9)}"
        operation = random.choice((Operation.CREATE, Operation.CREATE, Operation.DELETE))
        values = [url(data=b"https://example.org/%d" % number)]
        overwrite = operation is Operation.CREATE
        await do(registrar, operation, handle, *values[:overwrite], overwrite=overwrite)


async def write_rows(office: Office, random: Random, many: int) -> None:
    """Write and delete some of few rows."""
    for number in range(many):
        body = random.choice((b"row %d" % number, b"bad %d" % number, b"row %d" % number, None))
        await office.put(random.choice(TABLES), random.choice("abcde"), body)


async def write_at_once(office: Office, registrar: RecordRegistrar, seed: int) -> None:
    async with asyncio.TaskGroup() as tasks:
        for number in range(WRITERS):
            random = Random(seed * 10 + number)  # noqa: S311  a walk, not a secret
            tasks.create_task(write_records(registrar, random, WRITES))
            tasks.create_task(write_rows(office, random, WRITES))


async def make_faults(peer: TopLevelNode, random: Random) -> None:
    """Until cancelled."""
    backups: list[MemoryInbox | None] = [None]
    while True:
        peer.faults.doubles = random.random() < 0.5
        setattr(peer.faults, random.choice(FAULTS), random.randint(1, 3))
        if random.random() < 0.1:
            backups.append(peer.backup())
        if random.random() < 0.1:
            peer.forget(random.choice(backups))
        await asyncio.sleep(QUICK * random.randint(1, 20))


async def assert_equal(office: Office, peer: TopLevelNode) -> None:
    """Both sides hold the same, digest by digest, and agree on what is set aside."""
    truth, held = await office.truth(), peer.inbox.rows()
    assert held == truth
    ours, theirs = (
        digest_rows([Row(*place, rows[place]) for place in sorted(rows)]) for rows in (truth, held)
    )
    assert ours == theirs
    aside = await list_rejections(office.database, SEAL)
    assert {each.rejection.place for each in aside} == peer.inbox.rejections().keys()


@pytest.mark.parametrize("seed", range(3))
async def test_both_sides_are_equal_after_faults_and_writes_at_random(
    office: Office, registrar: RecordRegistrar, seed: int
) -> None:
    peer = TopLevelNode()
    peer.inbox.judge = rejects_bad
    async with sending(office.outbox, peer), asyncio.TaskGroup() as tasks:
        faults = tasks.create_task(make_faults(peer, Random(seed)))  # noqa: S311
        await write_at_once(office, registrar, seed)
        faults.cancel()
        peer.faults.doubles = False
        await rest(office.outbox, peer)
    await assert_equal(office, peer)


async def test_a_walk_under_writes_finds_no_difference_where_there_is_none(
    office: Office, registrar: RecordRegistrar
) -> None:
    """Were a change or a page not exactly what its serial says, some page would differ at the peer."""
    peer = TopLevelNode()
    outbox = office_on(office.database, most=30).outbox
    await write_at_once(office, registrar, 0)
    async with sending(outbox, peer) as sender, asyncio.TaskGroup() as tasks:
        await rest(outbox, peer)
        enough = asyncio.Event()
        writing = tasks.create_task(write_until(enough, office, registrar))
        async with asyncio.timeout(60):
            while len([walk for walk in await walks_of(office) if walk[1] != walk[2]]) < WALKS:
                sender.verify()
                await next_walk(office)
        enough.set()
        await writing
        await rest(outbox, peer)
    assert {repaired for repaired, *_ in (await walks_of(office))[1:]} == {0}
    await assert_equal(office, peer)


async def next_walk(office: Office) -> None:
    """Return when another walk was finished."""
    before = await walks_of(office)
    while await walks_of(office) == before:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(QUICK)


async def write_until(enough: asyncio.Event, office: Office, registrar: RecordRegistrar) -> None:
    random = Random(1)  # noqa: S311  a walk, not a secret
    while not enough.is_set():
        await asyncio.gather(write_records(registrar, random, 3), write_rows(office, random, 3))


async def walks_of(office: Office) -> list[tuple[object, ...]]:
    """How many pages each walk found to differ, and between which serials it went."""
    return await office.run(
        "select repaired, serial_from, serial_to from sync_evidence order by id"
    )


async def test_a_row_that_drifted_at_the_peer_is_repaired_and_told(office: Office) -> None:
    peer = TopLevelNode()
    place = (Row("6", "e1", b"")).place
    await office.put(*place, b"row")
    async with sending(office.outbox, peer) as sender:
        await rest(office.outbox, peer)
        peer.corrupt(place, b"flipped bits")
        sender.verify()
        async with asyncio.timeout(10):
            while peer.inbox.rows() != {place: b"row"}:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(QUICK)
        await rest(office.outbox, peer)
        async with asyncio.timeout(10):
            while (  # noqa: ASYNC110 - nobody tells
                kept := await newest_evidence(office.database)
            ) and not kept.evidence.repaired:
                await asyncio.sleep(QUICK)
    assert kept is not None
    assert kept.evidence.digests == digest_rows([Row(*place, b"row")])


async def test_a_sender_that_is_killed_leaves_nothing_out(
    office: Office, registrar: RecordRegistrar
) -> None:
    peer, random = TopLevelNode(), Random(1)  # noqa: S311
    async with asyncio.TaskGroup() as tasks:
        writing = tasks.create_task(write_at_once(office, registrar, 1))
        while not writing.done():
            async with sending(office.outbox, peer):
                await asyncio.sleep(QUICK * random.randint(0, 8))
    async with sending(office.outbox, peer):
        await rest(office.outbox, peer)
    await assert_equal(office, peer)


async def test_changes_pruned_meanwhile_are_never_those_that_wait(
    office: Office, registrar: RecordRegistrar
) -> None:
    peer = TopLevelNode()
    async with sending(office.outbox, peer), asyncio.TaskGroup() as tasks:
        await rest(office.outbox, peer)
        pruning = tasks.create_task(prune_for_ever(office))
        await write_at_once(office, registrar, 2)
        pruning.cancel()
        await rest(office.outbox, peer)
    assert await office.run("select count(*) from sync_evidence") == [(1,)]  # they never met anew
    assert {session for session, _ in peer.inbox.applied} == {peer.inbox.stands.session}
    await assert_equal(office, peer)


async def prune_for_ever(office: Office) -> None:
    while True:
        await prune_changes(office.database, keep_rows=0, keep_seconds=0, is_syncing=True)
        await asyncio.sleep(QUICK)


async def test_a_node_restored_from_an_older_database_takes_back_what_it_no_longer_knows(
    office: Office, registrar: RecordRegistrar, database_url: str
) -> None:
    peer = TopLevelNode()
    async with sending(office.outbox, peer):
        await write_at_once(office, registrar, 1)
        await rest(office.outbox, peer)
    async with copy_of(office, database_url) as backup:
        async with sending(office.outbox, peer):
            await write_at_once(office, registrar, 2)
            await rest(office.outbox, peer)
        later = peer.inbox.stands
        await backup.run("update change_counter set epoch = gen_random_uuid()")
        async with registrar_on(backup.database) as its_registrar, sending(backup.outbox, peer):
            await write_records(its_registrar, Random(3), 10)  # noqa: S311
            await rest(backup.outbox, peer)
        assert peer.inbox.stands.session != later.session
        await assert_equal(backup, peer)


@asynccontextmanager
async def copy_of(office: Office, url: str) -> AsyncIterator[Office]:
    """A copy of the database as it is now, while the block runs."""
    await office.database.close()  # it is opened anew when it is needed
    name = f"{urlsplit(url).path[1:]}_copy"
    maintenance = await asyncpg.connect(urlunsplit(urlsplit(url)._replace(path="/postgres")))
    try:
        await maintenance.execute(f"create database {name} template {urlsplit(url).path[1:]}")
        async with sender_pool(urlunsplit(urlsplit(url)._replace(path=f"/{name}"))) as database:
            yield office_on(database, most=7)
        await maintenance.execute(f"drop database {name} with (force)")
    finally:
        await maintenance.close()


async def test_rejected_rows_are_told_and_end_with_their_correction(office: Office) -> None:
    peer = TopLevelNode()
    peer.inbox.judge = rejects_bad
    await office.put("1", "a", b"bad")
    await office.put("6", "e1", b"bad, of somebody")
    async with sending(office.outbox, peer):
        await rest(office.outbox, peer)
        found = await list_rejections(office.database, SEAL, limit=1)
        assert [(each.rejection.table, each.rejection.reason) for each in found] == [
            ("1", "invented")
        ]
        assert len(await list_rejections(office.database, SEAL, after=("1", "a"))) == 1
        assert len(await list_rejections(office.database, SEAL, table="6")) == 1
        assert not await list_rejections(office.database, SEAL, table="6", after=("6", "e1"))
        await office.put("6", "e1", b"good")
        await rest(office.outbox, peer)
    (left,) = await list_rejections(office.database, SEAL)
    assert left.rejection.place == ("1", "a")
    assert peer.inbox.rows() == await office.truth()


class TestStanding:
    async def test_what_waits_is_counted_for_each_table(
        self, office: Office, registrar: RecordRegistrar
    ) -> None:
        for number in range(3):
            await do(registrar, Operation.CREATE, f"88.1/{number}", url())
        for number in range(2):
            await office.put("6", "e1", b"%d" % number)
        await office.put("11", "t", b"bad")

        standing = await read_sync_standing(office.database)
        assert [(each.table, each.pending) for each in standing.tables] == [
            ("11", 1),
            ("6", 2),
            ("9", 3),
        ]
        assert all(each.oldest_at is not None for each in standing.tables)

    async def test_a_master_that_is_sent_again_is_counted_with_the_others(
        self, office: Office, registrar: RecordRegistrar
    ) -> None:
        await do(registrar, Operation.CREATE, "88.1/a", url())
        standing = await office.outbox.standing()
        refused = Rejection(standing.serial, "9", "88.1/A", "2306", "no")
        batch = await office.outbox.pending(0, None)
        await office.outbox.acknowledge(batch, (refused,))
        await send_again(office.database, SEAL)
        await do(registrar, Operation.CREATE, "88.1/b", url())

        (found,) = (await read_sync_standing(office.database)).tables
        assert (found.table, found.pending, found.rejected) == ("9", 2, 1)

    async def test_what_was_acknowledged_does_not_wait(self, office: Office) -> None:
        peer = TopLevelNode()
        peer.inbox.judge = rejects_bad
        await office.put("11", "t", b"bad")
        async with sending(office.outbox, peer):
            await rest(office.outbox, peer)
            await home(office.database, "88.2")  # numbered, and not synced
            await rest(office.outbox, peer)

        standing = await read_sync_standing(office.database)
        assert (standing.session, standing.is_complete) == (peer.inbox.stands.session, True)
        assert standing.acknowledged == standing.serial == peer.inbox.stands.serial
        assert standing.acknowledged_at is not None
        assert [tuple(each) for each in standing.tables] == [("11", 0, None, 1)]

    async def test_of_very_many_the_masters_are_what_is_left(
        self, office: Office, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("node.store.standing.COUNTED_CHANGES", 3)
        await office.run("update change_counter set serial = 0")
        await office.run("delete from change")
        await office.run(
            "with taken as (update change_counter set serial = 9)"
            " insert into change (serial, key, kind)"
            " select n, convert_to('88.1/' || n, 'UTF8'), 0 from generate_series(1, 9) n"
        )
        await office.put("6", "e1", b"1")

        standing = await read_sync_standing(office.database)
        assert [(each.table, each.pending) for each in standing.tables] == [("6", 1), ("9", 9)]

    async def test_there_is_no_evidence_before_the_first_walk(self, office: Office) -> None:
        assert await newest_evidence(office.database) is None
        assert (await office.outbox.page(START)).rows == ()
