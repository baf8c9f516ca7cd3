"""Clients that write one record at once, through real HTTP on several workers: one wins, and never a mixture."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence

import pytest
import uvloop

from loadtest.administrators import ADMIN, HOME, SETTINGS, settle
from loadtest.completeness import ask, check_record, check_serials, read_stored
from loadtest.http_writes import Said, delete, put, read
from loadtest.journal import Entry, Kind, Outcome, State
from loadtest.stale import campaign, limit_seconds
from loadtest.stand import Node, open_stand
from loadtest.watch import Link, end, meet_all_workers
from node.store.database import Database
from resolver.observe import Protocol

pytestmark = pytest.mark.slow

WORKERS = 3
ROUNDS = 25
INDEXES = (1, 2, 3)
MANY = 60
SECONDS = 4.0
WRITERS = 2
HTTP_WRITERS = 4
LEAST_CHANGES_SEEN = 500  # over all readers: fewer would prove nothing


@pytest.fixture(scope="module")
def running() -> Iterator[Node]:
    """A node with an administrator, which the tests of this module share."""
    with open_stand() as stand:
        started = stand.start_node("races", {"WORKERS": str(WORKERS), **SETTINGS})
        settle(stand, started)
        yield started


@pytest.fixture
async def links(running: Node) -> AsyncIterator[Sequence[Link]]:
    """A kept-open HTTP connection to each worker."""
    met = await meet_all_workers(running, 1)
    yield [link for link in met if link.protocol is Protocol.HTTP_JSON]
    await end(met)


async def send(link: Link, request: bytes) -> Said:
    return read((await link.ask([request]))[0])


async def stored(running: Node, handle: str) -> State:
    async with (
        Database(running.settings.database_url, max_connections=1) as database,
        database.connection() as connection,
    ):
        return (await read_stored(connection, [handle]))[handle].state


async def check(running: Node, handle: str, journal: dict[str, list[Entry]]) -> None:
    """Hold the record's versions, numbers and changes to what its writers were told."""
    async with (
        Database(running.settings.database_url, max_connections=1) as database,
        database.connection() as connection,
    ):
        found = (await read_stored(connection, [handle]))[handle]
        assert list(check_record(handle, found, journal)) == []
        assert await check_serials(connection) == []


async def test_of_two_clients_with_if_match_one_wins_and_the_other_gets_412(
    running: Node, links: Sequence[Link]
) -> None:
    handle = f"{HOME}/conditional"
    first = await send(links[0], put(handle, [(1, "first")], ADMIN.header))
    assert (first.status, first.version) == (201, 1)

    for version in range(1, ROUNDS):
        pair = (links[version % WORKERS], links[(version + 1) % WORKERS])
        condition = f'If-Match: "{version}"'
        said = await asyncio.gather(
            *(
                send(
                    link,
                    put(
                        handle,
                        [(n, f"{version} by {who}") for n in INDEXES],
                        ADMIN.header,
                        condition,
                    ),
                )
                for who, link in enumerate(pair)
            )
        )

        won, lost = sorted(said, key=lambda each: each.status)
        assert (won.status, lost.status) == (200, 412)
        assert (won.version, lost.version) == (version + 1, version + 1)
        winner = said.index(won)
        assert await stored(running, handle) == dict.fromkeys(INDEXES, f"{version} by {winner}")


async def test_of_two_clients_without_condition_the_last_one_stays_whole(
    running: Node, links: Sequence[Link]
) -> None:
    handle = f"{HOME}/unconditional"
    journal: dict[str, list[Entry]] = {"0": [], "1": []}

    async def replace(who: int, link: Link, number: int) -> None:
        entry = Entry(Kind.REPLACE, tuple((n, f"{number} by {who}") for n in INDEXES))
        journal[str(who)].append(entry)
        said = await send(link, put(handle, entry.pairs, ADMIN.header))
        assert said.status in (200, 201)
        entry.outcome, entry.version = Outcome.ACKNOWLEDGED, said.version

    for number in range(ROUNDS):
        pair = (links[number % WORKERS], links[(number + 1) % WORKERS])
        await asyncio.gather(*(replace(who, link, number) for who, link in enumerate(pair)))
        last = max((entries[-1] for entries in journal.values()), key=lambda each: each.version)
        assert await stored(running, handle) == dict(last.pairs)
        for link in links:  # all have it by then, whoever was asked to write
            async with asyncio.timeout(limit_seconds()):
                while await ask(link, handle) != dict(last.pairs):  # noqa: ASYNC110  it asks, each time
                    await asyncio.sleep(0.01)

    await check(running, handle, journal)


async def test_many_writers_of_one_record_all_get_through_with_a_version_each(
    running: Node, links: Sequence[Link]
) -> None:
    handle = f"{HOME}/crowded"
    assert (await send(links[0], put(handle, [(1_000, "x")], ADMIN.header))).version == 1
    journal = {"first": [Entry(Kind.CREATE, ((1_000, "x"),), outcome=Outcome.ACKNOWLEDGED)]}
    met = [await meet_all_workers(running, 1) for _ in range(4)]
    ways = [each for group in met for each in group if each.protocol is Protocol.HTTP_JSON]

    async def add(who: int, link: Link) -> list[int]:
        versions = []
        for number in range(who, MANY, len(ways)):
            entry = Entry(Kind.ADD, ((number + 1, f"{number}"),))
            journal.setdefault(str(who), []).append(entry)
            query = "?index=various&overwrite=false"
            said = await send(link, put(handle, entry.pairs, ADMIN.header, query=query))
            assert said.status == 201, said
            entry.outcome, entry.version = Outcome.ACKNOWLEDGED, said.version
            versions.append(said.version)
        return versions

    told = await asyncio.gather(*(add(who, link) for who, link in enumerate(ways)))
    await asyncio.gather(*map(end, met))

    assert sorted(version for versions in told for version in versions) == [*range(2, MANY + 2)]
    await check(running, handle, journal)


async def test_a_key_sent_to_two_workers_at_once_writes_once(
    running: Node, links: Sequence[Link]
) -> None:
    """A client that lost patience asks again elsewhere, while the first one is still at work."""
    for number in range(ROUNDS):
        handle, key = f"{HOME}/impatient-{number}", f"Idempotency-Key: impatient-{number}"
        request = put(handle, [(1, "x")], ADMIN.header, key, query="?overwrite=false")

        said = await asyncio.gather(*(send(link, request) for link in links))

        assert [each.status for each in said] == [201] * WORKERS, said
        assert sorted(each.is_replayed for each in said) == [False] + [True] * (WORKERS - 1)
        assert {each.version for each in said} == {1}


async def test_a_minted_handle_asked_for_at_two_workers_at_once_is_minted_once(
    running: Node, links: Sequence[Link]
) -> None:
    for number in range(ROUNDS):
        key = f"Idempotency-Key: minted-{number}"
        start = f"{HOME}/minted-{number}-"
        request = put(start, [(1, "x")], ADMIN.header, key, query="?mintNewSuffix=true")

        said = await asyncio.gather(*(send(link, request) for link in links))

        handles = {json.loads(each.whole.partition(b"\r\n\r\n")[2])["handle"] for each in said}
        assert [each.status for each in said] == [201] * WORKERS, said
        assert len(handles) == 1
        async with (
            Database(running.settings.database_url, max_connections=1) as database,
            database.connection() as connection,
        ):
            made = await connection.fetchval(
                "select count(*) from record where key like $1",
                start.upper().encode() + b"%",
            )
        assert made == 1


async def test_of_two_clients_that_create_one_is_told_that_it_is_there(
    links: Sequence[Link],
) -> None:
    for number in range(ROUNDS):
        request = put(f"{HOME}/new-{number}", [(1, "x")], ADMIN.header, query="?overwrite=false")

        said = await asyncio.gather(*(send(link, request) for link in links))

        assert sorted(each.status for each in said) == [201] + [409] * (WORKERS - 1)


async def test_of_two_clients_that_delete_one_finds_nothing(links: Sequence[Link]) -> None:
    handle = f"{HOME}/deleted"
    for number in range(ROUNDS):
        assert (await send(links[0], put(handle, [(1, f"{number}")], ADMIN.header))).status == 201

        said = await asyncio.gather(*(send(link, delete(handle, ADMIN.header)) for link in links))

        assert sorted(each.status for each in said) == [200] + [404] * (WORKERS - 1)
        assert json.loads(said[0].whole.partition(b"\r\n\r\n")[2])["responseCode"] in (1, 100)


def test_no_connection_gives_an_older_answer_after_a_newer_one(running: Node) -> None:
    """Records are written over HTTP and in Postgres, created and deleted, while all transports are asked."""
    limit = limit_seconds()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        findings = runner.run(
            campaign(
                running,
                seconds=SECONDS,
                writers=WRITERS,
                http_writers=HTTP_WRITERS,
                seed=30,
                limit=limit,
            )
        )

    print(findings.summary())  # noqa: T201  figures to look at, with -s
    assert findings.faults[:10] == []
    assert len(findings.delays) > LEAST_CHANGES_SEEN
    assert findings.oldest_seconds <= limit
