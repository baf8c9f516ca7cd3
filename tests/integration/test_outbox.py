"""The outbox in Postgres keeps the laws of `sync.outbox`."""

from collections.abc import AsyncIterator

import orjson
import pytest

from node.registry.registrar import RecordRegistrar
from node.store.changes import ChangeKind, prune_changes, read_changes
from node.store.synced import RowChange
from resolver.keys.seal import Seal, SealError
from resolver.registrar import Operation
from sync.change import (
    END,
    MAX_BATCH_BYTES,
    START,
    Change,
    ChangeError,
    Place,
    Rejection,
    Row,
    Span,
    TableDigest,
)
from sync.step import Batch, Evidence
from tests.support.outboxes import Office, office_on, said, sender_pool
from tests.support.registry import do, home, registrar_on, url
from tests.support.rows import put_record

pytestmark = pytest.mark.db

NAME = "张三丰"
BODY = '{"name":"张三丰"}'.encode()


@pytest.fixture
async def office(database_url: str) -> AsyncIterator[Office]:
    async with sender_pool(database_url) as database:
        await home(database, "88.1")
        yield office_on(database)


@pytest.fixture
async def registrar(office: Office) -> AsyncIterator[RecordRegistrar]:
    async with registrar_on(office.database) as made:
        yield made


async def serial_of(office: Office) -> int:
    return (await office.outbox.standing()).serial


class TestRows:
    async def test_a_row_and_its_change_are_written_together(self, office: Office) -> None:
        before = await serial_of(office)

        assert await office.put("6", "e1", BODY) == before + 1
        assert await office.truth() == {Place("6", "e1"): BODY}
        assert said(await office.all_changes()) == [("6", "e1", BODY)]

    async def test_what_is_stored_just_so_is_passed_over(self, office: Office) -> None:
        serial = await office.put("6", "e1", BODY)

        assert await office.put("6", "e1", BODY) == serial
        assert await office.put("6", "e2", None) == serial
        assert await office.write(RowChange("6", "e1", BODY), RowChange("6", "e2", BODY)) == (
            serial + 1
        )
        assert said(await office.all_changes())[1:] == [("6", "e2", BODY)]

    async def test_a_row_that_is_gone_leaves_a_deletion(self, office: Office) -> None:
        await office.put("6", "e1", BODY)
        await office.put("6", "e1", None)

        assert await office.truth() == {}
        assert said(await office.all_changes()) == [("6", "e1", BODY), ("6", "e1", None)]

    async def test_of_several_bodies_of_a_row_the_last_counts(self, office: Office) -> None:
        rows = [RowChange("6", "e1", body) for body in (b"1", None, b"2")]
        serial = await serial_of(office)

        assert await office.write(*rows) == serial + 1
        assert said(await office.all_changes()) == [("6", "e1", b"2")]

    async def test_other_changes_are_numbered_behind_the_rows(self, office: Office) -> None:
        also = ((b"88.2", ChangeKind.PREFIX), (b"88.1/A", ChangeKind.RECORD))
        newest = await office.write(RowChange("1", "a", b"1"), RowChange("6", "b", b"2"), also=also)

        changes = (await read_changes(office.database, newest - 4)).changes
        assert [(each.serial, each.key, each.kind) for each in changes] == [
            (newest - 3, b"a", ChangeKind.ROW),
            (newest - 2, b"b", ChangeKind.ROW),
            (newest - 1, b"88.2", ChangeKind.PREFIX),
            (newest, b"88.1/A", ChangeKind.RECORD),
        ]

    async def test_a_transaction_that_fails_leaves_nothing(self, office: Office) -> None:
        before = await serial_of(office)

        async def write_and_fail() -> None:
            async with office.database.transaction() as connection:
                await office.rows.write(connection, [RowChange("6", "e1", BODY)])
                raise KeyError

        with pytest.raises(KeyError):
            await write_and_fail()
        assert await serial_of(office) == before
        assert await office.truth() == {}

    @pytest.mark.parametrize(
        "row",
        [
            RowChange("9", "88.1/A", b"{}"),
            RowChange("six", "a", b"{}"),
            RowChange("6", "", b"{}"),
            RowChange("6", "a\nb", b"{}"),
            RowChange("6", "a", b"\xff"),
            RowChange("6", "a", bytes(1_000_001)),
        ],
        ids=["masters", "table", "no key", "control", "no UTF-8", "too long"],
    )
    async def test_what_could_not_be_sent_is_not_stored(
        self, office: Office, row: RowChange
    ) -> None:
        with pytest.raises(ChangeError):
            await office.write(row)

    async def test_nothing_that_a_row_says_can_be_read_in_the_database(
        self, office: Office
    ) -> None:
        await office.put("6", "e1", BODY)
        await office.put("6", "e1", BODY * 2)
        session = (await office.outbox.standing()).session
        batch = Batch(session, 0, 1, ())
        await office.outbox.acknowledge(batch, (Rejection(1, "6", "e1", "2306", f"{NAME}?"),))

        for table in ("sync_row", "change", "sync_rejection", "sync_peer", "sync_evidence"):
            dump = str(await office.run(f"select row_to_json(t)::text from {table} t"))  # noqa: S608
            assert NAME not in dump
            assert NAME.encode().hex() not in dump
            assert "u5f20" not in dump.lower()
        assert b"e1" in str(await office.run("select key from change where kind = 2")).encode()

    async def test_another_key_opens_nothing(self, office: Office) -> None:
        await office.put("6", "e1", BODY)
        other = office_on(office.database, seal=Seal(bytes(32)))

        with pytest.raises(SealError):
            await other.outbox.pending(0, None)
        with pytest.raises(SealError):
            await other.outbox.page(START)


class TestChanges:
    async def test_a_change_says_the_row_as_it_was_then(self, office: Office) -> None:
        bodies = [b"%d" % number for number in range(5)]
        for body in bodies:
            await office.put("6", "e1", body)

        assert [body for _, _, body in said(await office.all_changes())] == bodies

    async def test_a_change_says_what_was_done_to_the_record_then(
        self, office: Office, registrar: RecordRegistrar
    ) -> None:
        await do(registrar, Operation.CREATE, "88.1/a", url())
        await do(registrar, Operation.MODIFY, "88.1/a", url(data=b"https://example.org/2"))
        await do(registrar, Operation.DELETE, "88.1/a")
        await do(registrar, Operation.CREATE, "88.1/a", url())

        changes = said(await office.all_changes())
        assert {(table, key) for table, key, _ in changes} == {("9", "88.1/A")}
        assert [orjson.loads(body or b"")["operation"] for *_, body in changes] == [1, 3, 2, 3]
        assert changes[-1][2] == (await office.truth())[Place("9", "88.1/A")]

    async def test_a_batch_ends_where_it_is_told_and_begins_behind(self, office: Office) -> None:
        first = await serial_of(office)
        for number in range(6):
            await office.put("6", f"e{number}", b"1")

        batch = await office.outbox.pending(first + 1, first + 4)
        assert (batch.after, batch.until) == (first + 1, first + 4)
        assert [each.serial - first for each in batch.changes] == [2, 3, 4]

    async def test_a_batch_is_as_long_as_a_message_takes(self, office: Office) -> None:
        few = office_on(office.database, most=4).outbox
        first = await serial_of(office)
        for number in range(6):
            await office.put("6", f"e{number}", b"1")

        batch = await few.pending(first, None)
        assert (batch.until - first, len(batch.changes)) == (4, 4)
        batch = await few.pending(first + 4, None)
        assert (batch.until - first, len(batch.changes)) == (6, 2)

    async def test_a_batch_of_long_rows_ends_early_and_nothing_is_left_out(
        self, office: Office
    ) -> None:
        long = b"x" * (MAX_BATCH_BYTES * 2 // 5)
        first = await serial_of(office)
        for number in range(6):
            await office.put("3", f"d{number}", long if number != 1 else b"short")
            await office.put("6", f"e{number}", None if number % 2 else b"1")

        after = first
        read: list[Change] = []
        while (batch := await office.outbox.pending(after, None)).until > after:
            assert sum(len(each.body) for each in batch.changes) <= MAX_BATCH_BYTES
            read += batch.changes
            after = batch.until
        assert [each.key for each in read if each.table == "3"] == [f"d{n}" for n in range(6)]
        assert [each.key for each in read if each.table == "6"] == ["e0", "e2", "e4"]

    async def test_what_is_not_synced_is_passed_by(
        self, office: Office, registrar: RecordRegistrar
    ) -> None:
        few = office_on(office.database, most=2).outbox
        first = await serial_of(office)
        await home(office.database, "88.2", "88.3", "88.4")
        await put_record(office.database, b"0.NA/88.2")
        await do(registrar, Operation.CREATE, "88.1/" + "a" * 251, url())

        steps = []
        after = first
        while (batch := await few.pending(after, None)).until > after:
            steps.append((batch.until - first, len(batch.changes)))
            after = batch.until
        assert steps == [(2, 0), (4, 0), (5, 0)]

    async def test_changes_that_were_removed_are_seen_to_be_missing(self, office: Office) -> None:
        first = await serial_of(office)
        for number in range(4):
            await office.put("6", f"e{number}", b"1")
        await office.run("delete from change where serial <= $1", first + 2)

        assert (await office.outbox.standing()).kept_from == first + 2
        batch = await office.outbox.pending(first, None)
        assert (batch.after, batch.until, len(batch.changes)) == (first + 2, first + 4, 2)
        await office.run("delete from change")
        assert (await office.outbox.standing()).kept_from == first + 4
        assert await office.outbox.pending(first, None) == Batch(
            batch.session, first + 4, first + 4, ()
        )


class TestPages:
    async def test_rows_come_in_the_order_of_their_places_page_by_page(
        self, office: Office, registrar: RecordRegistrar
    ) -> None:
        few = office_on(office.database, most=3).outbox
        for name in ("88.1/a|1", "88.1/a%1", "88.1/标", "88.1/b", "88.1/~", "88.1/a-1"):
            await do(registrar, Operation.CREATE, name, url())
        for table in ("1", "10", "11", "2", "8", "E", "M1"):
            for key in ("b", "a", "é", "Z"):
                await office.put(table, key, key.encode())
        await home(office.database, "88.2")
        await put_record(office.database, b"0.NA/88.2")
        truth = await office.truth()

        after = START
        read: list[Row] = []
        while after != END:
            page = await few.page(after)
            assert page.span.after == after < page.span.until
            assert page.serial == await serial_of(office)
            assert len(page.rows) == 3 or page.span.until == END
            read += page.rows
            after = page.span.until
        assert [row.place for row in read] == sorted(truth)
        assert {row.place: row.body for row in read} == truth

    async def test_the_last_page_ends_the_line_when_it_is_just_full(self, office: Office) -> None:
        for number in range(3):
            await office.put("6", f"e{number}", b"1")

        page = await office_on(office.database, most=3).outbox.page(START)
        assert (len(page.rows), page.span) == (3, Span(START, END))

    async def test_a_page_of_long_rows_ends_early(self, office: Office) -> None:
        long = b"x" * (MAX_BATCH_BYTES * 2 // 5)
        for number in range(5):
            await office.put("8", f"d{number}", long)

        page = await office.outbox.page(START)
        assert [row.key for row in page.rows] == ["d0", "d1"]
        assert page.span.until == Place("8", "d1")
        assert [row.key for row in (await office.outbox.page(Place("8", "d3"))).rows] == ["d4"]

    async def test_records_without_a_row_fill_no_page(
        self, office: Office, registrar: RecordRegistrar
    ) -> None:
        few = office_on(office.database, most=1).outbox
        for number in range(4):
            await do(registrar, Operation.CREATE, f"88.1/a{number}" + "x" * 250, url())
        await do(registrar, Operation.CREATE, "88.1/b", url())

        page = await few.page(START)
        assert [row.key for row in page.rows] == ["88.1/B"]
        assert page.span.until == END

    async def test_a_record_older_than_the_histories_has_their_day(self, office: Office) -> None:
        await put_record(office.database, b"88.1/OLD")
        await office.run("update migration set applied_at = '2025-12-31T20:00Z' where number = 2")

        (row,) = (await office.outbox.page(START)).rows
        assert row.body == b'{"created":"2026-01-01","identifier":"88.1/OLD","operation":1}'

    async def test_no_rows_are_a_page_too(self, office: Office) -> None:
        page = await office.outbox.page(START)

        assert (page.rows, page.span) == ((), Span(START, END))


def rejection(key: str, table: str = "6", reason: str = "invented") -> Rejection:
    return Rejection(1, table, key, "2306", reason)


async def set_aside(office: Office) -> set[tuple[str, str]]:
    found = await office.run("select number, key from sync_rejection")
    return {(str(number), str(key)) for number, key in found}


class TestStanding:
    async def test_a_database_has_one_session_until_it_is_another_one(self, office: Office) -> None:
        first = await office.outbox.standing()
        assert first.session
        assert not first.complete
        assert (await office.outbox.standing()) == first

        await office.run("update change_counter set epoch = gen_random_uuid()")
        assert (await office.outbox.pending(0, None)).session == ""
        assert (await office.outbox.page(START)).session == ""
        second = await office.outbox.standing()
        assert second.session not in ("", first.session)

    async def test_what_was_heard_is_kept(self, office: Office) -> None:
        serial = await office.put("6", "e1", b"1")
        session = (await office.outbox.standing()).session

        await office.outbox.acknowledge(Batch(session, 0, serial, ()), ())
        evidence = Evidence(session, serial, serial, (TableDigest("6", 1, "00"),), 1, 0)
        await office.outbox.finish(evidence)
        standing = await office.outbox.standing()
        assert (standing.acknowledged, standing.complete) == (serial, True)

        await office.outbox.resume(session, serial - 1)
        assert (await office.outbox.standing()).acknowledged == serial - 1
        assert not (await office.outbox.restart(None)).complete
        assert (await office.outbox.restart("renewed")).session == "renewed"

    async def test_what_is_stored_of_another_session_is_passed_over(self, office: Office) -> None:
        await office.put("6", "e1", b"1")
        standing = await office.outbox.standing()
        await office.outbox.acknowledge(Batch(standing.session, 0, 0, ()), (rejection("e1"),))
        await office.run("update change_counter set epoch = gen_random_uuid()")

        for session in (standing.session, "other"):
            await office.outbox.acknowledge(Batch(session, 0, 1, ()), (rejection("e2"),))
            await office.outbox.settle(session, Span(START, END), ())
            await office.outbox.resume(session, 1)
            await office.outbox.finish(Evidence(session, 1, 1, (), 1, 0))
        assert await set_aside(office) == {("6", "e1")}
        assert (await office.run("select count(*) from sync_evidence")) == [(0,)]
        now = await office.outbox.standing()
        assert (now.acknowledged, now.complete) == (standing.acknowledged, False)

    async def test_a_rejected_key_is_set_aside_until_its_next_change(self, office: Office) -> None:
        for key in ("e1", "e2"):
            await office.put("6", key, b"bad")
        session = (await office.outbox.standing()).session
        batch = await office.outbox.pending(0, None)
        await office.outbox.acknowledge(batch, (rejection("e1"), rejection("e2")))
        assert await set_aside(office) == {("6", "e1"), ("6", "e2")}

        await office.put("6", "e1", b"good")
        batch = await office.outbox.pending(batch.until, None)
        assert batch.session == session
        await office.outbox.acknowledge(batch, ())
        assert await set_aside(office) == {("6", "e2")}

    async def test_a_page_settles_what_is_set_aside_within_it(self, office: Office) -> None:
        session = (await office.outbox.standing()).session
        keys = [("1", "a"), ("6", "a"), ("6", "b"), ("9", "c"), ("9", "~")]
        all_of_them = tuple(rejection(key, table) for table, key in keys)
        await office.outbox.acknowledge(Batch(session, 0, 0, ()), all_of_them)

        span = Span(Place("6", "a"), Place("9", "c"))
        await office.outbox.settle(session, span, (rejection("new", "8"),))
        assert await set_aside(office) == {("1", "a"), ("6", "a"), ("8", "new"), ("9", "~")}

    async def test_any_text_of_a_peer_can_be_kept(self, office: Office) -> None:
        session = (await office.outbox.standing()).session
        odd = Rejection(1, "6", "e1", "\0code", "\0'\\ \x1f")
        await office.outbox.settle(session, Span(START, END), (odd, odd))

        assert await office.run("select code from sync_rejection") == [("code",)]


class TestPruning:
    async def test_nothing_that_is_not_acknowledged_is_pruned_while_in_step(
        self, office: Office
    ) -> None:
        first = await serial_of(office)
        for number in range(6):
            await office.put("6", f"e{number}", b"1")
        session = (await office.outbox.standing()).session
        await office.outbox.acknowledge(Batch(session, 0, first + 2, ()), ())

        for _ in range(2):
            await prune_changes(office.database, keep_rows=0, keep_seconds=0, is_syncing=True)
            assert (await office.outbox.standing()).kept_from == first + 2
        await prune_changes(office.database, keep_rows=3, keep_seconds=0)
        assert (await office.outbox.standing()).kept_from == first + 3

    async def test_what_never_met_a_peer_is_kept_while_in_step(self, office: Office) -> None:
        await office.put("6", "e1", b"1")

        assert not await prune_changes(
            office.database, keep_rows=0, keep_seconds=0, is_syncing=True
        )

    async def test_what_the_others_keep_is_kept_too(self, office: Office) -> None:
        await office.put("6", "e1", b"1")
        standing = await office.outbox.standing()
        await office.outbox.acknowledge(Batch(standing.session, 0, standing.serial, ()), ())

        for limits in ({"keep_rows": 10, "keep_seconds": 0.0}, {"keep_rows": 0}):
            assert not await prune_changes(office.database, is_syncing=True, **limits)
