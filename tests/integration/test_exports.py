"""Exports: loaded again they change nothing; they hold no secret and no formula."""

import asyncio
import csv
import hashlib
import io
from argparse import Namespace
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from loadtest import corpus
from node.cli.bulkexport import run_export, run_verify
from node.config import Settings
from node.errors import RegistryError
from node.registry.exports import Exporter, Wanted
from node.registry.loadfile import LoadFormat
from node.registry.records import LoadReport, load_file
from node.store.database import Database, StoreUnavailable
from node.store.exports import snapshot
from tests.support.exports import export

pytestmark = pytest.mark.db

FIXTURE = Path(__file__).parents[1] / "conformance" / "handle-fixture.ndjson"
Json = dict[str, Any]
SECRET = {"index": 300, "type": "HS_SECKEY", "data": "hunter2", "permissions": "1100"}
FORMULAS = ["=1+1", "+1", "-1", "@x", "\tx", "'x", "''x", "'=x", '{"format":"string"}', "x\ny", ""]
RECORDS: list[Json] = [
    {"handle": "0.NA/88.118.8", "values": []},
    {"handle": "0.NA/88.118.80", "values": [], "delegated": True},
    {"handle": "0.NA/88.118.9", "values": [SECRET], "homed": False},
    {
        "handle": "88.118.8/odd",
        "values": [
            {"index": 9, "type": "LAST", "data": "first", "ttl": 5, "permissions": "1100"},
            SECRET,
            {"index": 1, "type": "=TYPE", "data": {"format": "hex", "value": "00ff"}},
            {
                "index": 2,
                "type": "HS_ADMIN",
                "data": {
                    "format": "admin",
                    "value": {"handle": "0.NA/88.118.8", "index": 300, "permissions": "*"},
                },
                "ttl": "2033-05-18T03:33:20Z",
                "references": [{"handle": "88.1/a", "index": 1}],
            },
            {"index": 3, "type": "HS_ADMIN", "data": {"format": "hex", "value": "0fff"}},
        ],
    },
    {
        "handle": "88.118.8/=formulas",
        "values": [
            {"index": number, "type": "T", "data": text}
            for number, text in enumerate(FORMULAS, start=1)
        ],
    },
    {"handle": "88.118.80/other", "values": [{"index": 1, "type": "URL", "data": "https://b/"}]},
]


class Station:
    """Loads into one database and compares what is in it."""

    def __init__(self, database: Database, directory: Path) -> None:
        self.database = database
        self.directory = directory

    async def load(self, content: bytes, form: LoadFormat = LoadFormat.NDJSON) -> LoadReport:
        path = self.directory / "in"
        path.write_bytes(content)
        return await load_file(
            self.database.dsn, str(path), sealing_key=self.directory / "key", form=form
        )

    async def contents(self) -> list[Any]:
        async with self.database.connection() as connection:
            records = await connection.fetch(
                "select key, handle, ttl, expires, wire, json, whole, version from record order by key"
            )
            prefixes = await connection.fetch(
                "select prefix, spelling, state from prefix order by 1"
            )
        return [*map(tuple, records), *map(tuple, prefixes)]


@pytest.fixture
async def station(database: Database, tmp_path: Path) -> Station:
    station = Station(database, tmp_path)
    report = await station.load(b"\n".join(map(orjson.dumps, RECORDS)))
    assert report.errors == 0
    async with database.connection() as connection:
        await connection.execute("insert into prefix values ('88.118.7', '88.118.7', 1)")
    return station


@pytest.mark.parametrize("form", list(LoadFormat))
async def test_an_export_that_is_loaded_again_changes_nothing(
    station: Station, form: LoadFormat
) -> None:
    if form is LoadFormat.CSV:  # it gives each prefix a record
        await station.load(b'{"handle": "0.NA/88.118.7", "values": []}')
    before = await station.contents()
    content, exporter = await export(station.database, Wanted(format=form))
    report = await station.load(content, form)
    assert (report.errors, report.written, report.prefixes) == (0, 0, 0)
    assert await station.contents() == before
    assert exporter.tallies.withheld == 2
    assert exporter.tallies.digest.hexdigest() == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("form", list(LoadFormat))
async def test_an_export_makes_the_same_records_in_an_empty_database(
    station: Station, form: LoadFormat
) -> None:
    plain = b"\n".join(map(orjson.dumps, [*corpus.records(300), *RECORDS[4:]]))
    async with station.database.connection() as connection:
        await connection.execute("truncate record, prefix, version")
    await station.load(plain + b"\n" + FIXTURE.read_bytes())
    async with station.database.connection() as connection:
        await connection.execute("delete from record where whole is not null")  # some hold secrets
        await connection.execute(
            "delete from record where wire = '\\x00000000' and prefix <> '0.NA'"
        )
        await connection.execute(
            "delete from prefix where '0.NA/' || spelling not in (select convert_from(handle, 'UTF8') from record)"
        )
    content, exporter = await export(station.database, Wanted(format=form))
    assert exporter.tallies.left_out == 0
    before = await station.contents()
    async with station.database.connection() as connection:
        await connection.execute("truncate record, prefix, version")
    report = await station.load(content, form)
    assert report.errors == 0
    assert await station.contents() == before


@pytest.mark.parametrize("form", list(LoadFormat))
async def test_no_secret_is_exported_in_any_form(station: Station, form: LoadFormat) -> None:
    async with station.database.connection() as connection:
        whole = await connection.fetchval("select whole from record where key = '88.118.8/ODD'")
    sealed = whole[whole.index(b"\x00sealed\x01") :][:24]
    content, _ = await export(station.database, Wanted(format=form))
    assert b"hunter2" not in content
    assert b"sealed" not in content
    assert sealed.hex().encode() not in content
    assert content.count(b"withheld") == 2


async def test_no_field_of_a_csv_export_is_a_formula(station: Station) -> None:
    content, _ = await export(station.database, Wanted(format=LoadFormat.CSV))
    fields = [field for row in csv.reader(io.StringIO(content.decode())) for field in row]
    assert not [field for field in fields if field[:1] in tuple("=+-@\t\r\n")]
    assert "'=1+1" in fields


async def test_an_export_of_a_prefix_holds_it_and_what_is_below(station: Station) -> None:
    content, _ = await export(station.database, Wanted(prefix=b"88.118.8"))
    handles = [orjson.loads(line)["handle"] for line in content.splitlines()]
    assert handles == ["0.NA/88.118.8", "88.118.8/=formulas", "88.118.8/odd"]
    content, _ = await export(station.database, Wanted(prefix=b"88.118"))
    handles = [orjson.loads(line)["handle"] for line in content.splitlines()]
    assert {"88.118.80/other", "0.NA/88.118.9", "0.NA/88.118.7"} < set(handles)
    assert len(handles) == 7


async def test_restricted_values_can_be_left_out(station: Station) -> None:
    content, exporter = await export(station.database, Wanted(public_only=True))
    odd = next(orjson.loads(each) for each in content.splitlines() if b"/odd" in each)
    assert [value["index"] for value in odd["values"]] == [1, 2, 3]
    assert exporter.tallies.withheld == 0


def exported(directory: Path) -> list[str]:
    return sorted(each.name for each in directory.glob("all*"))


async def test_two_exports_to_one_name_leave_each_other_alone(
    station: Station, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, path = Settings(database_url=database_url), tmp_path / "all.ndjson"
    arguments = Namespace(file=path, prefix=None, format=None, public_only=False)
    begun, blocks = asyncio.Event(), Exporter.blocks
    go_on = asyncio.Event()

    async def slow_blocks(exporter: Exporter) -> AsyncIterator[bytes]:
        async for block in blocks(exporter):
            begun.set()
            await go_on.wait()
            yield block

    monkeypatch.setattr(Exporter, "blocks", slow_blocks)
    first = asyncio.create_task(run_export(settings, arguments))
    await begun.wait()
    with pytest.raises(RegistryError, match=r"all\.ndjson\.part is there already; an export"):
        await run_export(settings, arguments)
    go_on.set()

    assert await first == 0
    assert exported(tmp_path) == ["all.ndjson", "all.ndjson.sha256"]
    assert run_verify(path) == 0


async def test_an_export_that_fails_leaves_nothing(tmp_path: Path) -> None:
    settings = Settings(database_url="postgresql://127.0.0.1:1/none")
    arguments = Namespace(file=tmp_path / "all", prefix=None, format=None, public_only=False)

    with pytest.raises(StoreUnavailable):
        await run_export(settings, arguments)

    assert exported(tmp_path) == []


async def test_an_export_is_one_state_of_the_database(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.store.exports.PAGE_RECORDS", 1)
    whole, _ = await export(station.database)
    async with snapshot(station.database.dsn) as state:
        blocks: list[bytes] = []
        async for block in Exporter(state, Wanted()).blocks():
            if not blocks:
                await station.load(b'{"handle": "88.118.8/zzz", "values": []}')
            blocks.append(block)
    assert b"".join(blocks) == whole
    assert b"zzz" in (await export(station.database))[0]
