"""The change feed: every change, once and in order, or a plain "forget everything"."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Sequence

import pytest

from node.feed import ChangeFeed
from node.registry.prefixes import PrefixTable
from node.store.changes import (
    Change,
    ChangeKind,
    Position,
    append_changes,
    prune_changes,
    read_changes,
    read_position,
)
from node.store.database import Database, StoreUnavailable, migrate
from node.store.prefixes import PrefixRow, PrefixState, read_prefixes, write_prefixes
from node.store.synced import RowChange, SyncedRows
from tests.support.registry import SEAL
from tests.support.rows import put_changes
from tests.support.servers import PostgresServer
from tests.support.waiting import until

pytestmark = pytest.mark.db


class Listener:
    """Keeps what it was told, and checks that nothing is missing in between."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.resets: list[int] = []
        self.serial = 0
        self.fail_next = False

    async def on_changes(self, serial_from: int, serial_to: int, changes: Sequence[Change]) -> None:
        if self.fail_next:
            self.fail_next = False
            raise StoreUnavailable("not now")
        assert serial_from == self.serial
        assert [change.serial for change in changes] == list(range(serial_from + 1, serial_to + 1))
        self.serial = serial_to
        self.changes.extend(changes)

    async def on_reset(self, position: Position) -> None:
        self.resets.append(position.serial)
        self.serial = position.serial


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def feed(database: Database, listener: Listener) -> ChangeFeed:
    return ChangeFeed(database, listener.on_changes, listener.on_reset, page_rows=3)


async def test_first_contact_is_a_reset_at_the_newest_serial(
    database: Database, feed: ChangeFeed, listener: Listener
) -> None:
    await put_changes(database, [b"A", b"B"])
    await feed.drain()
    assert (listener.resets, listener.changes) == ([2], [])
    assert (feed.serial, feed.known_from) == (2, 2)
    assert time.time() - feed.last_read < 5


async def test_changes_come_once_in_order_and_in_pages(
    database: Database, feed: ChangeFeed, listener: Listener
) -> None:
    await feed.drain()
    keys = [b"K%d" % number for number in range(10)]
    await put_changes(database, keys)
    await feed.drain()
    await feed.drain()
    assert [change.key for change in listener.changes] == keys
    assert {change.kind for change in listener.changes} == {ChangeKind.RECORD}
    assert listener.resets == [0]


async def test_changes_of_synced_rows_have_their_place_among_the_others(
    database: Database, feed: ChangeFeed, listener: Listener
) -> None:
    await feed.drain()
    await put_changes(database, [b"A"])
    async with database.transaction() as connection:
        await SyncedRows(SEAL).write(connection, [RowChange("6", "e1", b"{}")])
    await put_changes(database, [b"B"])
    await feed.drain()
    kinds = [ChangeKind.RECORD, ChangeKind.ROW, ChangeKind.RECORD]
    assert [change.kind for change in listener.changes] == kinds
    assert listener.resets == [0]


async def test_many_writers_and_no_change_is_missed(
    database: Database, feed: ChangeFeed, listener: Listener
) -> None:
    await feed.drain()

    async def write(name: int) -> None:
        for number in range(20):
            await put_changes(database, [b"%d-%d" % (name, number)] * (1 + number % 3))

    async with asyncio.TaskGroup() as tasks:
        for name in range(3):
            tasks.create_task(write(name))
        while listener.serial < 3 * 39:
            await feed.drain()
    assert len(listener.changes) == 3 * 39
    assert listener.resets == [0]


async def test_a_rolled_back_transaction_leaves_no_gap(database: Database) -> None:
    await put_changes(database, [b"A"])
    with pytest.raises(ZeroDivisionError):
        await _append_and_fail(database)
    assert await put_changes(database, [b"C"]) == 2


async def _append_and_fail(database: Database) -> None:
    async with database.transaction() as connection:
        await append_changes(connection, [b"B"], [ChangeKind.RECORD])
        raise ZeroDivisionError


async def test_a_failing_listener_is_told_again(
    database: Database, feed: ChangeFeed, listener: Listener
) -> None:
    await feed.drain()
    await put_changes(database, [b"A"])
    listener.fail_next = True
    with pytest.raises(StoreUnavailable):
        await feed.drain()
    await feed.drain()
    assert [change.key for change in listener.changes] == [b"A"]


@pytest.mark.parametrize(
    "damage",
    [
        "update change_counter set epoch = gen_random_uuid()",
        "update change_counter set serial = 1",
        "update change_counter set serial = 1, epoch = gen_random_uuid()",
    ],
)
async def test_another_numbering_is_a_reset(
    database: Database, feed: ChangeFeed, listener: Listener, damage: str
) -> None:
    await put_changes(database, [b"A", b"B"])
    await feed.drain()
    async with database.connection() as connection:
        await connection.execute(damage)
    await feed.drain()
    position = await read_position(database)
    assert listener.resets == [2, position.serial]
    assert feed.known_from == position.serial


async def test_rows_pruned_before_they_were_read_are_a_reset(
    database: Database, feed: ChangeFeed, listener: Listener
) -> None:
    await feed.drain()
    await put_changes(database, [b"%d" % number for number in range(9)])
    await prune_changes(database, keep_rows=2, keep_seconds=0)
    await feed.drain()
    assert listener.resets == [0, 9]
    await put_changes(database, [b"AFTER"])
    await feed.drain()
    assert [change.key for change in listener.changes] == [b"AFTER"]


async def test_all_rows_pruned_before_they_were_read_is_a_reset(
    database: Database, feed: ChangeFeed, listener: Listener
) -> None:
    await feed.drain()
    await put_changes(database, [b"A"])
    await prune_changes(database, keep_rows=0, keep_seconds=0)
    await feed.drain()
    assert listener.resets == [0, 1]


async def test_pruning_keeps_what_is_young_and_what_is_among_the_last(database: Database) -> None:
    await put_changes(database, [b"%d" % number for number in range(6)])
    assert await prune_changes(database, keep_rows=0, keep_seconds=3600) == 0
    assert await prune_changes(database, keep_rows=4, keep_seconds=0) == 2
    async with database.connection() as connection:
        await connection.execute(
            "update change set changed_at = now() - interval '2 hours' where serial in (3, 5)"
        )
    # 5 is old as well, but 4 before it is young: rows go from the lowest serial up.
    assert await prune_changes(database, keep_rows=0, keep_seconds=3600) == 1
    page = await read_changes(database, 0)
    assert [change.serial for change in page.changes] == [4, 5, 6]


async def test_pruning_an_empty_table_is_nothing(database: Database) -> None:
    assert await prune_changes(database) == 0


async def test_a_running_feed_tells_within_the_second_and_survives_an_outage(
    database: Database, listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    errors: list[Exception] = []
    feed = ChangeFeed(database, listener.on_changes, listener.on_reset, on_error=errors.append)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(feed.run())
        await until(lambda: bool(listener.resets))
        started = time.monotonic()
        serial = await put_changes(database, [b"A"])
        await until(lambda: listener.serial == serial)
        assert time.monotonic() - started < 1
        await _rename(database, "change", "gone")
        await until(lambda: len(errors) >= 2)
        await _rename(database, "gone", "change")
        serial = await put_changes(database, [b"B"])
        await until(lambda: listener.serial == serial)
        running.cancel()
    assert [change.key for change in listener.changes] == [b"A", b"B"]
    assert len([record for record in caplog.records if "cannot be read" in record.message]) == 1


@pytest.mark.parametrize(
    "read",
    [
        lambda database: read_changes(database, 0),
        read_position,
        lambda database: read_prefixes(database, [b"88.1"]),
    ],
)
async def test_a_connection_whose_other_end_is_silent_is_soon_replaced(
    own_postgres: PostgresServer, read: Callable[[Database], Awaitable[object]]
) -> None:
    url = own_postgres.url("postgres")
    await migrate(url)
    async with Database(url, max_connections=1) as database:
        async with database.connection() as connection:
            silent: int = await connection.fetchval("select pg_backend_pid()")
        os.kill(silent, signal.SIGSTOP)
        try:
            started = time.monotonic()
            with pytest.raises(StoreUnavailable, match="in time"):
                await read(database)
            assert time.monotonic() - started < 4
            await read(database)
        finally:
            os.kill(silent, signal.SIGCONT)


async def _rename(database: Database, table: str, name: str) -> None:
    async with database.connection() as connection:
        await connection.execute(f"alter table {table} rename to {name}")


async def test_the_prefix_table_knows_what_is_homed_and_follows_changes(database: Database) -> None:
    table = PrefixTable(database)
    await _put_prefixes(database, {b"88.1": PrefixState.HOMED, b"88.2": PrefixState.DELEGATED})
    await table.load()
    assert (table.is_homed(b"88.1"), table.is_delegated(b"88.1")) == (True, False)
    assert (table.is_homed(b"88.2"), table.is_delegated(b"88.2")) == (False, True)
    assert (table.is_homed(b"88.3"), table.is_delegated(b"88.3")) == (False, False)

    await _put_prefixes(database, {b"88.2": PrefixState.HOMED, b"88.3": PrefixState.HOMED})
    async with database.connection() as connection:
        await connection.execute("delete from prefix where prefix = '88.1'")
    await table.refresh([b"88.1", b"88.2"])
    assert [table.is_homed(name) for name in (b"88.1", b"88.2", b"88.3")] == [False, True, False]
    await table.refresh([])
    assert len(table) == 1


async def test_writing_prefixes_returns_those_that_changed(database: Database) -> None:
    assert await _put_prefixes(database, {b"88.1": PrefixState.HOMED}) == [b"88.1"]
    again = await _put_prefixes(database, {b"88.1": PrefixState.HOMED, b"88.2": PrefixState.HOMED})
    assert again == [b"88.2"]


async def _put_prefixes(database: Database, states: dict[bytes, PrefixState]) -> list[bytes]:
    rows = [PrefixRow(name, name.decode(), state) for name, state in states.items()]
    async with database.transaction() as connection:
        return await write_prefixes(connection, rows)
