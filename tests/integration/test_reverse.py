"""Reverse look-up against a real Postgres: the index follows the changes, and what it finds is true."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import chain

import asyncpg
import pytest

from node.registry.patterns import Pattern, PatternError, SearchedTypes
from node.registry.prefixes import PrefixTable
from node.registry.reverse import ReverseIndex
from node.registry.searching import Found, IndexIncomplete, ReverseLookup, Wanted
from node.store.changes import ChangeKind, append_changes, prune_changes
from node.store.database import Database, OwnConnection
from node.store.prefixes import PrefixRow, PrefixState, write_prefixes
from node.store.reverse import SearchTooBroad, indexing_connection, read_index_state, settle
from resolver.wire import HandleValue, encode_values
from tests.support.rows import put_changes, put_record
from tests.support.waiting import until

pytestmark = pytest.mark.db

ALL = SearchedTypes.of(["*"])
Put = Callable[..., Awaitable[int]]


@pytest.fixture
async def prefixes(database: Database) -> PrefixTable:
    """88.1 and 88.2 are homed here."""
    async with database.transaction() as connection:
        homed = [PrefixRow(each, each.decode(), PrefixState.HOMED) for each in (b"88.1", b"88.2")]
        await write_prefixes(connection, homed)
        await append_changes(connection, [b"88.1", b"88.2"], [ChangeKind.PREFIX] * 2)
    table = PrefixTable(database)
    await table.load()
    return table


@pytest.fixture
def index(database: Database) -> ReverseIndex:
    return ReverseIndex(database, ALL, range_records=3)


@pytest.fixture
def lookup(database: Database, prefixes: PrefixTable) -> ReverseLookup:
    return ReverseLookup(database, ALL, prefixes)


async def put(database: Database, key: bytes, **values: str) -> int:
    """Write a record with one public value of each type."""
    made = [
        HandleValue(index, kind.encode(), text.encode())
        for index, (kind, text) in enumerate(values.items(), 1)
    ]
    return await put_record(database, key, wire=encode_values(made))


async def delete(database: Database, key: bytes) -> None:
    async with database.transaction() as connection:
        await connection.execute("delete from record where key = $1", key)
        await append_changes(connection, [key], [ChangeKind.RECORD])


async def catch_up(database: Database, index: ReverseIndex) -> int:
    """Do all the work there is; return how many steps that took."""
    async with asyncio.timeout(10):
        while True:
            async with indexing_connection(database.dsn) as connection:
                if connection is not None:  # Postgres has heard that the one before is gone
                    return await _steps(index, connection)


async def _steps(index: ReverseIndex, connection: OwnConnection) -> int:
    steps = 0
    while await index.step(connection):
        steps += 1
    return steps


async def find(
    lookup: ReverseLookup, *patterns: str, **more: int | bytes | tuple[bytes, ...]
) -> Found:
    read = [Pattern.read(*each.encode().split(b"=", 1)) for each in patterns]
    options: dict[str, object] = {"limit": 1_000, **more}
    return await lookup.find(Wanted(read, **options))  # type: ignore[arg-type]


async def test_records_that_were_there_first_are_found(
    database: Database, index: ReverseIndex, lookup: ReverseLookup
) -> None:
    for number in range(7):
        await put(database, b"88.1/%d" % number, URL=f"http://dkrz.de/{number}")
    await catch_up(database, index)

    found = await find(lookup, "URL=*DKRZ*")

    assert found.handles == tuple(b"88.1/%d" % number for number in range(7))
    assert found.last is None
    assert index.levels == (0, False)


async def test_spelling_is_the_one_that_was_registered(
    database: Database, index: ReverseIndex, lookup: ReverseLookup
) -> None:
    await put(database, b"88.1/ABC", URL="http://dkrz.de")  # put_record spells it in lower case
    await catch_up(database, index)
    assert (await find(lookup, "url=http://dkrz.de")).handles == (b"88.1/abc",)


async def test_all_patterns_must_match(
    database: Database, index: ReverseIndex, lookup: ReverseLookup
) -> None:
    await put(database, b"88.1/A", URL="http://dkrz.de", CHECKSUM="x111y")
    await put(database, b"88.1/B", URL="http://dkrz.de", CHECKSUM="222")
    await put(database, b"88.1/C", CHECKSUM="http://dkrz.de", URL="x111y")
    await catch_up(database, index)
    found = await find(lookup, "URL=*dkrz*", "CHECKSUM=*111*")
    assert found.handles == (b"88.1/a",)


async def test_grams_alone_do_not_make_a_hit(
    database: Database, index: ReverseIndex, lookup: ReverseLookup
) -> None:
    await put(database, b"88.1/A", URL="abcd bcde")
    await catch_up(database, index)
    assert (await find(lookup, "URL=*abcde*")).handles == ()


async def test_changes_are_taken_in_without_making_all_anew(
    database: Database, index: ReverseIndex, lookup: ReverseLookup
) -> None:
    await put(database, b"88.1/A", URL="http://one.cn")
    await put(database, b"88.1/B", URL="http://one.cn")
    await catch_up(database, index)
    await put(database, b"88.1/A", URL="http://two.cn")
    await delete(database, b"88.1/B")
    await put(database, b"88.1/C", URL="http://three.cn")

    assert await catch_up(database, index) == 1

    assert (await find(lookup, "URL=*//one*")).handles == ()
    assert (await find(lookup, "URL=*//two*")).handles == (b"88.1/a",)
    assert (await find(lookup, "URL=*.cn")).handles == (b"88.1/a", b"88.1/c")
    assert await rows_of(database) == [b"88.1/A", b"88.1/C"]


async def rows_of(database: Database) -> list[bytes]:
    async with database.connection() as connection:
        rows = await connection.fetch("select key from reverse order by key")
    return [row["key"] for row in rows]


async def test_what_was_hidden_or_deleted_is_not_told_though_the_index_is_behind(
    database: Database, index: ReverseIndex, lookup: ReverseLookup
) -> None:
    await put(database, b"88.1/A", URL="http://one.cn")
    await put(database, b"88.1/B", URL="http://one.cn")
    await catch_up(database, index)
    await put(database, b"88.1/A", EMAIL="a@one.cn")
    async with database.connection() as connection:
        await connection.execute("update record set gone = '{}' where key = '88.1/B'")
    assert (await find(lookup, "URL=*one.cn*")).handles == ()


async def test_record_that_cannot_be_read_does_not_stop_the_others(
    database: Database, index: ReverseIndex, lookup: ReverseLookup
) -> None:
    await put_record(database, b"88.1/A", wire=b"\xff\xff")
    await put(database, b"88.1/B", URL="http://one.cn")
    await catch_up(database, index)
    assert (await find(lookup, "URL=*one.cn")).handles == (b"88.1/b",)


async def test_tombstone_is_dropped(
    database: Database, index: ReverseIndex, lookup: ReverseLookup
) -> None:
    await put(database, b"88.1/A", URL="http://one.cn")
    await catch_up(database, index)
    async with database.connection() as connection:
        await connection.execute("update record set gone = '{}'")
    await put_changes(database, [b"88.1/A"])
    await catch_up(database, index)
    assert await rows_of(database) == []


async def test_prefixes_that_are_not_served_here_are_left_out(
    database: Database, index: ReverseIndex, lookup: ReverseLookup
) -> None:
    for key in (b"0.NA/88.1", b"0.NA/99.9", b"88.1/A", b"88.2/A", b"99.9/A", b"OID:1.2.3"):
        await put(database, key, URL="http://one.cn")
    await catch_up(database, index)
    served = (b"0.na/88.1", b"88.1/a", b"88.2/a", b"oid:1.2.3")
    assert (await find(lookup, "URL=*one.cn*")).handles == served
    within = await find(lookup, "URL=*one.cn*", within=(b"88.1",))
    assert within.handles == (b"0.na/88.1", b"88.1/a")


async def test_pages_by_key_and_by_number_hold_each_handle_once(
    database: Database, index: ReverseIndex, lookup: ReverseLookup
) -> None:
    for number in range(10):
        await put(database, b"88.1/%d" % number, URL="http://one.cn")
    await catch_up(database, index)
    everything = (await find(lookup, "URL=*one.cn*")).handles

    seen: list[tuple[bytes, ...]] = []
    last: bytes | None = b""
    while last is not None:
        page = await find(lookup, "URL=*one.cn*", limit=4, after=last)
        seen.append(page.handles)
        last = page.last

    assert [len(page) for page in seen] == [4, 4, 2]
    assert tuple(chain.from_iterable(seen)) == everything
    numbered = [await find(lookup, "URL=*one.cn*", limit=4, skip=4 * page) for page in range(4)]
    assert [page.handles for page in numbered] == [*seen, ()]


@pytest.mark.parametrize(
    "damage",
    [
        "update change_counter set epoch = gen_random_uuid()",
        "update change_counter set serial = 1",
        "delete from change; update change_counter set serial = serial + 5",
        "update reverse_state set rules = 'others'",
        "truncate reverse_state; insert into reverse_state default values",
    ],
)
async def test_what_cannot_be_continued_is_made_anew(
    database: Database, index: ReverseIndex, lookup: ReverseLookup, damage: str
) -> None:
    for number in range(8):
        await put(database, b"88.1/%d" % number, URL="http://one.cn")
    await catch_up(database, index)
    async with database.connection() as connection:
        await connection.execute("delete from record where key = '88.1/3'")
        await connection.execute(
            "update record set wire = $1 where key = '88.1/7'",
            encode_values([HandleValue(1, b"URL", b"http://two.cn")]),
        )
        await connection.execute(damage)

    await catch_up(database, index)

    assert (await find(lookup, "URL=*two.cn")).handles == (b"88.1/7",)
    assert await rows_of(database) == [b"88.1/%d" % each for each in (0, 1, 2, 4, 5, 6, 7)]


async def test_changes_pruned_unread_are_a_reason_to_make_it_anew(
    database: Database, index: ReverseIndex, lookup: ReverseLookup
) -> None:
    await catch_up(database, index)
    for number in range(8):
        await put(database, b"88.1/%d" % number, URL="http://one.cn")
    await prune_changes(database, keep_rows=2, keep_seconds=0)
    await catch_up(database, index)
    assert len((await find(lookup, "URL=*one.cn")).handles) == 8


async def test_making_goes_on_where_the_last_transaction_ended(
    database: Database, index: ReverseIndex, lookup: ReverseLookup
) -> None:
    for number in range(9):
        await put(database, b"88.1/%d" % number, URL="http://one.cn")
    async with indexing_connection(database.dsn) as connection:
        assert connection is not None
        for _ in range(3):  # begins anew, then makes two ranges of three
            await index.step(connection)
    with pytest.raises(IndexIncomplete):
        await find(lookup, "URL=*one.cn")
    await put(database, b"88.1/0", URL="http://changed.cn")  # behind what is made already

    successor = ReverseIndex(database, ALL, range_records=3)
    assert await catch_up(database, successor) == 2

    assert (await find(lookup, "URL=*changed.cn")).handles == (b"88.1/0",)
    assert len((await find(lookup, "URL=*one.cn")).handles) == 8


async def test_one_process_has_the_role_and_another_takes_it_over(database: Database) -> None:
    async with indexing_connection(database.dsn) as first:
        assert first is not None
        async with indexing_connection(database.dsn) as second:
            assert second is None
    async with asyncio.timeout(10):  # Postgres hears a moment later that a connection was cut
        while not await _has_role(database):  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(0.01)


async def _has_role(database: Database) -> bool:
    async with indexing_connection(database.dsn) as third:
        return third is not None


@asynccontextmanager
async def running(index: ReverseIndex) -> AsyncIterator[None]:
    task = asyncio.create_task(index.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_role_survives_the_loss_of_its_connection(
    database: Database, lookup: ReverseLookup
) -> None:
    index = ReverseIndex(database, ALL, poll_seconds=0.01)
    async with running(index):
        await put(database, b"88.1/A", URL="http://one.cn")
        await until(lambda: index.levels == (0, False))
        async with database.connection() as connection:
            await connection.execute(
                "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory'"
                " and database = (select oid from pg_database where datname = current_database())"
            )
        await put(database, b"88.1/B", URL="http://one.cn")
        async with asyncio.timeout(10):
            while await rows_of(database) != [b"88.1/A", b"88.1/B"]:  # noqa: ASYNC110  seen from outside
                await asyncio.sleep(0.01)


async def test_lag_is_told_by_who_has_the_role_and_by_who_has_not(database: Database) -> None:
    await put(database, b"88.1/A", URL="http://one.cn")
    index = ReverseIndex(database, ALL, poll_seconds=0.01)
    async with indexing_connection(database.dsn) as connection:
        assert connection is not None
        async with running(index):
            await until(lambda: index.levels == (1, True))


async def test_nothing_runs_when_no_types_are_searched(
    database: Database, prefixes: PrefixTable
) -> None:
    none = SearchedTypes.of([])
    await asyncio.wait_for(ReverseIndex(database, none).run(), 5)
    assert not ReverseLookup(database, none, prefixes).is_offered


async def test_type_that_is_not_searched_is_refused_by_name(
    database: Database, index: ReverseIndex, lookup: ReverseLookup
) -> None:
    await catch_up(database, index)
    with pytest.raises(PatternError, match="HS_ADMIN"):
        await find(lookup, "HS_ADMIN=*88.1*")
    with pytest.raises(PatternError, match="name a type"):
        await find(lookup)
    with pytest.raises(PatternError, match="at most"):
        await find(lookup, *["URL=*abc*"] * 17)


async def test_lookup_that_takes_too_long_is_given_up_and_the_database_stops(
    database: Database, index: ReverseIndex, lookup: ReverseLookup
) -> None:
    await put(database, b"88.1/A", URL="http://one.cn")
    await catch_up(database, index)
    async with database.transaction() as holder:
        await holder.execute("lock table reverse in access exclusive mode")  # as slow as can be
        with pytest.raises(SearchTooBroad):
            await find(lookup, "URL=*one.cn")
        waiting = await holder.fetchval("select count(*) from pg_locks where not granted")
    assert waiting == 0
    assert (await find(lookup, "URL=*one.cn")).handles == (b"88.1/a",)


async def test_writers_are_not_held_up_while_the_index_is_made(
    database: Database, index: ReverseIndex
) -> None:
    """A transaction of the role holds no lock that a writer needs."""
    await put(database, b"88.1/A", URL="http://one.cn")
    async with indexing_connection(database.dsn) as connection:
        assert connection is not None
        await index.step(connection)
        async with connection.transaction():
            await connection.execute("update reverse_state set made_upto = 'x'")
            await connection.execute("insert into reverse (key, grams) values ('k', '{1}')")
            async with asyncio.timeout(5), database.transaction() as writer:
                await writer.execute("set local lock_timeout = '1s'")
                await writer.execute("update record set ttl = 1")
                await append_changes(writer, [b"88.1/A"], [ChangeKind.RECORD])


async def test_index_is_used_and_not_the_whole_table(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute(
            "insert into reverse (key, grams) select n::text::bytea, array[n, n + 1]"
            " from generate_series(1, 20000) n"
        )
    async with database.connection() as connection:
        await settle(connection)
        rows = await connection.fetch(
            "explain select key from reverse where grams operator(pg_catalog.@>) array[77, 78]"
            " order by key limit 10"
        )
    assert any("reverse_grams" in row[0] for row in rows), rows


async def test_owner_without_rights_on_the_server_needs_no_extension(
    empty_database_url: str,
) -> None:
    connection = await asyncpg.connect(empty_database_url)
    try:
        found = await connection.fetch(
            "select extname from pg_extension where extname <> 'plpgsql'"
        )
    finally:
        await connection.close()
    assert found == []


async def test_state_begins_as_one_that_must_be_made(database: Database) -> None:
    async with database.connection() as connection:
        state = await read_index_state(connection)
    assert not state.is_usable(ALL.rules)
    assert not state.is_usable("")
