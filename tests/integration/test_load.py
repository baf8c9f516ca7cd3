"""Loading a file: what becomes of its rows, and that doing it again does nothing."""

import asyncio
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from loadtest import corpus
from node.errors import Kind, RegistryError
from node.registry import chunks, loading, records
from node.registry.chunks import RowError
from node.registry.loadfile import LoadFormat
from node.registry.records import LoadProgress, LoadReport, load_file
from node.store.changes import ChangeKind, read_changes
from node.store.database import Connection, Database
from node.store.load import PackedRow, Seen, read_seen
from node.store.prefixes import PrefixState, read_prefixes
from node.store.records import RecordVault
from resolver.keys.seal import Seal
from resolver.wire import HandleValue, decode_values

pytestmark = pytest.mark.db

FIXTURE = Path(__file__).parents[1] / "conformance" / "handle-fixture.ndjson"
Json = dict[str, object]
STAMP = "2023-11-14T22:13:20Z"
PREFIX: Json = {"handle": "0.NA/88.118.8", "values": []}


def url(data: str = "https://a.example/", **more: object) -> Json:
    return {"index": 1, "type": "URL", "data": data, **more}


def line(handle: str, *values: Json) -> Json:
    return {"handle": handle, "values": list(values)}


class Loader:
    """Loads lines into the test's database, and looks at what came of it."""

    def __init__(self, database: Database, directory: Path) -> None:
        self.database = database
        self.results = directory / "results.ndjson"
        self.path = directory / "records.ndjson"
        self.sealing_key = directory / "sealing-key"

    async def load(self, *lines: Json, delegated: bool = False) -> LoadReport:
        return await self.load_bytes(b"\n".join(map(orjson.dumps, lines)), delegated=delegated)

    async def load_bytes(
        self, content: bytes, *, form: LoadFormat | None = None, delegated: bool = False
    ) -> LoadReport:
        self.path.write_bytes(content)
        return await load_file(
            self.database.dsn,
            str(self.path),
            sealing_key=self.sealing_key,
            form=form,
            delegated=delegated,
            result_path=self.results,
        )

    async def values(self, key: bytes) -> tuple[HandleValue, ...] | None:
        return (await RecordVault(self.database).values(key)).values

    async def row(self, key: bytes, columns: str) -> list[Any]:
        async with self.database.connection() as connection:
            row = await connection.fetchrow("select * from record where key = $1", key)
        assert row is not None
        return [row[name] for name in columns.split(", ")]

    async def changes(self) -> list[tuple[bytes, int]]:
        page = await read_changes(self.database, 0, 10**6)
        return [(change.key, change.kind) for change in page.changes]

    async def versions(self, key: bytes) -> list[dict[str, Any]]:
        """All versions of a record, the oldest first."""
        async with self.database.connection() as connection:
            rows = await connection.fetch(
                "select * from version where key = $1 order by version", key
            )
        return [dict(row) for row in rows]

    async def prefixes(self) -> dict[bytes, PrefixState]:
        return {row.prefix: row.state for row in await read_prefixes(self.database)}


@pytest.fixture
def loader(database: Database, tmp_path: Path) -> Loader:
    return Loader(database, tmp_path)


async def test_a_line_becomes_a_row_that_reads_move_as_bytes(loader: Loader) -> None:
    report = await loader.load(PREFIX, line("88.118.8/JXdy1", url(timestamp=STAMP, ttl=300)))
    assert (report.read, report.written, report.errors) == (2, 2, 0)
    handle, prefix, ttl, wire, json, whole = await loader.row(
        b"88.118.8/JXDY1", "handle, prefix, ttl, wire, json, whole"
    )
    assert (handle, prefix, ttl, whole) == (b"88.118.8/JXdy1", b"88.118.8", 300, None)
    assert decode_values(wire) == (
        HandleValue(1, b"URL", b"https://a.example/", ttl=300, timestamp=1_700_000_000),
    )
    assert orjson.loads(json)[0]["timestamp"] == STAMP


async def test_loading_again_changes_nothing_and_announces_nothing(loader: Loader) -> None:
    lines: list[Json] = [
        PREFIX,
        line("88.118.8/A", url()),
        line("88.118.8/B", url(timestamp=STAMP)),
    ]
    await loader.load(*lines)
    before = await loader.changes()
    again = await loader.load(*lines)
    assert (again.written, again.unchanged, again.prefixes) == (0, 3, 0)
    assert await loader.changes() == before


async def test_a_changed_line_keeps_the_timestamps_of_values_that_did_not_change(
    loader: Loader,
) -> None:
    title = {"index": 2, "type": "TITLE", "data": "泵"}
    await loader.load(line("88.118.8/A", url(), title))
    async with loader.database.connection() as connection:
        wire = await connection.fetchval("select wire from record")
        aged = wire.replace(wire[8:12], (1_600_000_000).to_bytes(4, "big"))
        await connection.execute("update record set wire = $1", aged)

    report = await loader.load(line("88.118.8/A", url("https://b.example/"), title))

    assert report.written == 1
    values = await loader.values(b"88.118.8/A")
    assert values is not None
    assert values[0].data == b"https://b.example/"
    assert values[0].timestamp > 1_700_000_000
    assert values[1].timestamp == 1_600_000_000


async def test_another_spelling_of_the_same_line_is_no_change(loader: Loader) -> None:
    await loader.load(line("88.118.8/A", url()))
    report = await loader.load({"values": [url()], "handle": "88.118.8/A", "note": "same"})
    assert (report.written, report.unchanged) == (0, 1)
    assert await loader.changes() == [(b"88.118.8/A", ChangeKind.RECORD)]


async def test_another_spelling_of_the_handle_is_stored(loader: Loader) -> None:
    await loader.load(line("88.118.8/Pump", url()))
    report = await loader.load(line("88.118.8/PUMP", url()))
    assert report.written == 1
    assert await loader.row(b"88.118.8/PUMP", "handle") == [b"88.118.8/PUMP"]


async def test_of_a_handle_that_comes_twice_the_later_line_wins(loader: Loader) -> None:
    await loader.load(line("88.118.8/a", url("https://old/")), line("88.118.8/A", url()))
    values = await loader.values(b"88.118.8/A")
    assert values is not None
    assert values[0].data == b"https://a.example/"


async def test_a_prefix_line_homes_or_delegates_and_tells_the_feed(loader: Loader) -> None:
    report = await loader.load(
        PREFIX, {"handle": "0.na/88.118.77", "values": [], "delegated": True}
    )
    assert report.prefixes == 2
    assert await loader.prefixes() == {
        b"88.118.8": PrefixState.HOMED,
        b"88.118.77": PrefixState.DELEGATED,
    }
    assert (b"88.118.77", ChangeKind.PREFIX) in await loader.changes()
    assert (b"0.NA/88.118.77", ChangeKind.RECORD) in await loader.changes()


async def test_the_option_delegates_lines_that_do_not_say(loader: Loader) -> None:
    await loader.load(
        PREFIX, {"handle": "0.NA/88.118.9", "values": [], "delegated": False}, delegated=True
    )
    assert await loader.prefixes() == {
        b"88.118.8": PrefixState.DELEGATED,
        b"88.118.9": PrefixState.HOMED,
    }


async def test_restricted_values_are_in_whole_only(loader: Loader) -> None:
    secret = {"index": 2, "type": "EMAIL", "data": "a@a.example", "permissions": "1100"}
    await loader.load(line("88.118.8/A", url(), secret))
    wire, json, whole = await loader.row(b"88.118.8/A", "wire, json, whole")
    assert b"a@a.example" not in wire + json
    assert b"a@a.example" in whole


@pytest.mark.parametrize("kind", ["HS_SECKEY", "hs_seckey", "HS_SECKEY.old"])
async def test_a_secret_key_is_never_public_and_never_leaves(loader: Loader, kind: str) -> None:
    key = {"index": 300, "type": kind, "data": "hunter2", "permissions": "1110"}
    await loader.load(line("88.118.8/A", url(), key))
    wire, json, whole = await loader.row(b"88.118.8/A", "wire, json, whole")
    assert b"hunter2" not in wire + json
    assert [value.permissions for value in decode_values(whole)] == [14, 12]
    assert await loader.values(b"88.118.8/A") == decode_values(wire)


async def test_the_least_life_of_the_public_values_is_kept(loader: Loader) -> None:
    await loader.load(
        line(
            "88.118.8/A",
            url(ttl="2033-05-18T03:33:20Z"),
            {"index": 2, "type": "A", "data": "", "ttl": 600},
            {"index": 3, "type": "B", "data": "", "ttl": 5, "permissions": "1100"},
        ),
        line("88.118.8/B", url(ttl=9_999_999)),
    )
    assert await loader.row(b"88.118.8/A", "ttl, expires") == [600, 2_000_000_000]
    assert await loader.row(b"88.118.8/B", "ttl, expires") == [172_800, None]


async def test_rows_that_cannot_be_read_are_listed_and_do_not_stop_the_others(
    loader: Loader,
) -> None:
    bad = [
        b"{not json",
        b"[1]",
        b'{"values": []}',
        b'{"handle": "/x", "values": []}',
        b'{"handle": "noprefix", "values": []}',
        b'{"handle": "88.118.8/x"}',
        b'{"handle": "88.118.8/x", "values": [{"index": 0, "type": "A", "data": ""}]}',
        b'{"handle": "88.118.8/x", "values": [], "delegated": true}',
        b'{"handle": "0.NA/88.118.8", "values": [], "delegated": 1}',
        b'{"handle": "88.118/two-levels", "values": []}',
        b'{"handle": "88.118.8/' + b"x" * 300 + b'", "values": []}',
        orjson.dumps(line("88.118.8/big", url("x" * 250_000), url("x" * 250_000, index=2))),
        b"x" * (5 << 20),
    ]
    good = orjson.dumps(line("88.118.8/good", url()))
    report = await loader.load_bytes(b"\r\n".join([good, b"", *bad, good.replace(b"good", b"2")]))
    assert (report.read, report.written, report.errors) == (len(bad) + 2, 2, len(bad))
    listed = [orjson.loads(each) for each in loader.results.read_bytes().splitlines()]
    assert [each["row"] for each in listed] == list(range(3, 3 + len(bad)))
    assert listed[3] == {"row": 6, "handle": "/x", "reason": listed[3]["reason"]}
    assert all(each["reason"] for each in listed)
    assert report.first_errors[3] == RowError(6, "/x", listed[3]["reason"])


async def test_a_clean_load_leaves_no_result_file(loader: Loader) -> None:
    await loader.load_bytes(b"broken")
    assert loader.results.exists()
    await loader.load(PREFIX)
    assert not loader.results.exists()


async def test_records_under_prefixes_not_served_are_loaded_and_named(loader: Loader) -> None:
    report = await loader.load(
        line("88.1.1/A", url()),
        line("88.118.8/A", url()),
        line("88.1.2/A", url()),
        line("88.1.2/B", url()),
        line("88.118.8.3/A", url()),
        PREFIX,
    )
    assert report.errors == 0
    assert report.unknown_prefixes == (("88.1.2", 2), ("88.1.1", 1))
    again = await loader.load(line("88.118.8/B", url()))
    assert again.unknown_prefixes == ()


async def test_records_of_every_scheme_of_the_corpus_load(loader: Loader) -> None:
    report = await loader.load(*corpus.records(2_000))
    assert (report.written, report.errors, report.unknown_prefixes) == (2_000, 0, ())
    assert len(await loader.prefixes()) == len(corpus.ENTERPRISES) + 1
    assert await loader.values(corpus.SHOWCASE.encode())


async def test_a_csv_file_loads_as_its_records_would(loader: Loader) -> None:
    csv = (
        "\ufeffHandle,index,type,data,ttl,permissions\r\n"
        "0.NA/88.118.8,,,,,\r\n"
        "88.118.8/A,1,URL,https://a.example/,,\r\n"
        '88.118.8/A,2,描述,"第一行\n""二""行",300,1100\r\n'
        '88.118.8/A,100,HS_ADMIN,"{""format"":""admin"",""value"":{""handle"":""0.NA/88.118.8"",'
        '""index"":300,""permissions"":""*""}}",,\r\n'
        "88.118.8/B,1,URL,https://b.example/,,\r\n"
        "88.118.8/B,x,URL,https://b.example/,,\r\n"
        "88.118.8/C,1,URL\r\n"
        "88.118.8/A,1,URL,https://again/,,\r\n"
        '88.118.8/D,1,A,"{""format"" broken",,\r\n'
        "88.118.8/E,1,URL,https://e.example/,,\r\n"
    ).encode()
    report = await loader.load_bytes(csv, form=LoadFormat.CSV)
    assert [error.row for error in report.first_errors] == [7, 9, 10, 11]
    assert await loader.prefixes() == {b"88.118.8": PrefixState.HOMED}
    values = await loader.values(b"88.118.8/A")
    assert values is not None
    assert [(value.index, value.ttl, value.permissions) for value in values] == [
        (1, 86_400, 14),
        (2, 300, 12),
        (100, 86_400, 14),
    ]
    assert values[1].data.decode() == '第一行\n"二"行'
    assert await loader.values(b"88.118.8/B") is None
    assert await loader.values(b"88.118.8/E")


@pytest.mark.parametrize("head", [b"", b"handle,index\n", b"a,b,c,d\n", b'"x', b"\xff\xfe\n"])
async def test_a_csv_file_without_its_head_is_refused_as_a_whole(
    loader: Loader, head: bytes
) -> None:
    with pytest.raises(RegistryError) as refused:
        await loader.load_bytes(head, form=LoadFormat.CSV)
    assert refused.value.kind is Kind.INVALID


async def test_a_large_file_goes_through_processes_and_keeps_its_order(
    loader: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "SMALL_FILE_BYTES", 0)
    monkeypatch.setattr("node.registry.chunks.BLOCK_BYTES", 20_000)
    lines = list(corpus.records(1_500))
    last = line(corpus.SHOWCASE, url("https://last/"))
    seen: list[LoadProgress] = []
    loader.path.write_bytes(b"\n".join(map(orjson.dumps, [*lines, last])))
    report = await load_file(
        loader.database.dsn, str(loader.path), sealing_key=loader.sealing_key, progress=seen.append
    )
    assert (report.read, report.written, report.errors) == (1_501, 1_501, 0)
    values = await loader.values(corpus.SHOWCASE.encode())
    assert values is not None
    assert values[0].data == b"https://last/"
    assert len(seen) > 10
    assert seen[-1] == LoadProgress(1_501, 0, loader.path.stat().st_size, seen[-1].end)
    assert await loader.prefixes()


async def test_a_pipe_is_read_to_its_end(loader: Loader) -> None:
    os.mkfifo(loader.path)
    content = b"\n".join(map(orjson.dumps, corpus.records(200)))
    writer = threading.Thread(target=loader.path.write_bytes, args=(content,))
    writer.start()
    report = await load_file(loader.database.dsn, str(loader.path), sealing_key=loader.sealing_key)
    writer.join()
    assert report.written == 200


async def test_two_loads_at_once_leave_one_of_each_record(loader: Loader) -> None:
    loader.path.write_bytes(b"\n".join(map(orjson.dumps, corpus.records(300))))
    reports = await asyncio.gather(
        *(
            load_file(loader.database.dsn, str(loader.path), sealing_key=loader.sealing_key)
            for _ in range(2)
        )
    )
    assert [report.errors for report in reports] == [0, 0]
    async with loader.database.connection() as connection:
        assert await connection.fetchval("select count(*) from record") == 300


async def test_records_that_another_load_stores_at_the_same_moment_are_put_over_them(
    loader: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    blind = [True]

    async def see_nothing_at_first(
        connection: Connection, rows: Sequence[PackedRow]
    ) -> dict[bytes, Seen]:
        return {} if blind and blind.pop() else await read_seen(connection, rows)

    await loader.load(line("88.118.8/A", url()))
    monkeypatch.setattr(loading, "read_seen", see_nothing_at_first)
    report = await loader.load(PREFIX, line("88.118.8/A", url("https://b/")), line("88.118.8/B"))
    assert (report.written, report.prefixes, report.errors) == (3, 1, 0)
    values = await loader.values(b"88.118.8/A")
    assert values is not None
    assert values[0].data == b"https://b/"
    assert [each["version"] for each in await loader.versions(b"88.118.8/A")] == [1, 2]


async def test_a_missing_file_a_missing_schema_and_a_missing_server_are_told_apart(
    loader: Loader, empty_database_url: str
) -> None:
    with pytest.raises(RegistryError) as missing:
        await load_file(loader.database.dsn, "/no/such/file", sealing_key=loader.sealing_key)
    assert missing.value.kind is Kind.NOT_FOUND

    loader.path.write_bytes(orjson.dumps(PREFIX))
    async with loader.database.connection() as connection:
        await connection.execute("drop table record")
    with pytest.raises(RegistryError, match="idnode migrate"):
        await load_file(empty_database_url, str(loader.path), sealing_key=loader.sealing_key)

    with pytest.raises(RegistryError) as away:
        await load_file(
            "postgresql://postgres@127.0.0.1:1/x", str(loader.path), sealing_key=loader.sealing_key
        )
    assert away.value.kind is Kind.UNAVAILABLE


async def test_the_recorded_fixture_loads_whole(loader: Loader) -> None:
    report = await load_file(loader.database.dsn, str(FIXTURE), sealing_key=loader.sealing_key)
    assert report.errors == 0
    assert report.unknown_prefixes == ()


async def test_each_record_written_has_its_version_and_the_serial_of_its_change(
    loader: Loader,
) -> None:
    await loader.load(PREFIX, line("88.118.8/A", url()))
    await loader.load(line("88.118.8/A", url("https://b.example/")), line("88.118.8/B", url()))
    first, second = await loader.versions(b"88.118.8/A")
    assert (first["version"], first["operation"], first["before"]) == (1, "create", None)
    assert decode_values(second["before"])[0].data == b"https://a.example/"
    assert (second["caller"], second["means"]) == ("operator", "operator")
    assert second["origin"] == f"load {loader.path}"
    async with loader.database.connection() as connection:
        unmatched = await connection.fetchval(
            "select count(*) from version left join change using (serial) where change.key is null"
        )
        homed = await connection.fetch("select operation from version where get_byte(key, 0) = 0")
    assert unmatched == 0
    assert [row[0] for row in homed] == ["home"]
    assert await loader.row(b"88.118.8/A", "version") == [2]


async def test_loading_again_adds_no_versions(loader: Loader) -> None:
    key = {"index": 300, "type": "HS_SECKEY", "data": "hunter2"}
    lines: list[Json] = [PREFIX, line("88.118.8/A", url(), key), line("88.118.8/B", url())]
    await loader.load(*lines)
    again = await loader.load(*lines)
    assert (again.written, again.unchanged) == (0, 3)
    assert len(await loader.versions(b"88.118.8/A")) == 1
    assert await loader.row(b"88.118.8/A", "version") == [1]


async def test_a_secret_is_sealed_and_its_line_leaves_no_digest(loader: Loader) -> None:
    key = {"index": 300, "type": "HS_SECKEY", "data": "hunter2"}
    await loader.load(line("88.118.8/A", url(), key))
    await loader.load(line("88.118.8/A", url("https://b.example/"), key))
    whole, loaded = await loader.row(b"88.118.8/A", "whole, loaded")
    sealed = next(each.data for each in decode_values(whole) if each.index == 300)
    seal = Seal.load_or_make(loader.sealing_key)
    assert seal.open(b"88.118.8/A", 300, sealed) == b"hunter2"
    assert loaded is None
    assert b"hunter2" not in b"".join(
        each["before"] or b"" for each in await loader.versions(b"88.118.8/A")
    )


async def test_secrets_are_not_loaded_without_a_place_for_the_sealing_key(loader: Loader) -> None:
    loader.sealing_key = Path("/no/such/directory/key")
    await loader.load(line("88.118.8/A", url()))
    with pytest.raises(RegistryError, match="/no/such/directory/key"):
        await loader.load(line("88.118.8/B", {"index": 300, "type": "HS_SECKEY", "data": "x"}))


async def test_a_withheld_secret_stays_as_it_is_and_where_it_is(loader: Loader) -> None:
    key = {"index": 300, "type": "HS_SECKEY", "data": "hunter2"}
    withheld = {"index": 300, "type": "HS_SECKEY", "data": {"format": "withheld"}}
    admin = {"index": 301, "type": "TITLE", "data": "泵"}
    await loader.load(line("88.118.8/A", key, admin))
    before = await loader.row(b"88.118.8/A", "whole, version")
    again = await loader.load(line("88.118.8/A", withheld, admin))
    assert (again.written, again.unchanged) == (0, 1)
    assert await loader.row(b"88.118.8/A", "whole, version") == before
    await loader.load(line("88.118.8/B", withheld, admin))
    values = await loader.values(b"88.118.8/B")
    assert values is not None
    assert [each.index for each in values] == [301]


async def test_a_deleted_record_is_revived_by_the_line_it_was_loaded_from(loader: Loader) -> None:
    await loader.load(line("88.118.8/A", url()))
    async with loader.database.connection() as connection:
        await connection.execute(
            "update record set gone = $1, version = 2, wire = $2, json = '[]', whole = null",
            b'{"at": 1, "reason": ""}',
            bytes(4),
        )
    report = await loader.load(line("88.118.8/A", url()))
    assert report.written == 1
    assert await loader.row(b"88.118.8/A", "gone, version") == [None, 3]
    assert (await loader.versions(b"88.118.8/A"))[-1]["before"] is None


async def test_of_two_writers_of_one_record_none_is_lost_from_its_versions(
    loader: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that falls between the reading and the writing of a load is seen by it, and stands in the versions."""
    await loader.load(line("88.118.8/A", url("https://first/")))
    other = Loader(loader.database, loader.path.parent / "other")
    other.path.parent.mkdir()
    between = [True]

    async def read_and_be_overtaken(
        connection: Connection, rows: Sequence[PackedRow]
    ) -> dict[bytes, Seen]:
        found = await read_seen(connection, rows)
        if between:
            between.clear()
            await other.load(line("88.118.8/A", url("https://second/")))
        return found

    monkeypatch.setattr(loading, "read_seen", read_and_be_overtaken)
    await loader.load(line("88.118.8/A", url("https://third/")))
    befores = [each["before"] for each in await loader.versions(b"88.118.8/A")]
    assert [decode_values(each)[0].data for each in befores if each] == [
        b"https://first/",
        b"https://second/",
    ]


async def test_behind_new_batches_nothing_is_read_until_a_record_is_there(
    loader: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was stored before is found all the same, wherever it stands, and loading again changes nothing."""
    monkeypatch.setattr(chunks, "MAX_CHUNK_LINES", 10)
    looked: list[int] = []

    async def count_and_read(
        connection: Connection, rows: Sequence[PackedRow]
    ) -> dict[bytes, Seen]:
        found = await read_seen(connection, rows)
        looked.append(len(found))
        return found

    monkeypatch.setattr(loading, "read_seen", count_and_read)
    await loader.load(line("88.118.8/45", url("https://old/")), line("88.118.8/46", url()))
    looked.clear()
    lines = [line(f"88.118.8/{number}", url()) for number in range(100)]
    report = await loader.load(*lines)
    assert (report.written, report.unchanged, report.errors) == (99, 1, 0)
    assert looked == [0, 2, 0, 0]  # then two new ones are wanted
    assert [each["version"] for each in await loader.versions(b"88.118.8/45")] == [1, 2]
    before = await loader.changes()
    assert len(before) == len({key for key, _ in before}) + 1 == 101
    looked.clear()
    again = await loader.load(*lines)
    assert (again.written, again.unchanged) == (0, 100)
    assert sum(looked) == 100
    assert await loader.changes() == before
