"""A database is filled up with copies of its records, which a sample then names."""

from pathlib import Path

import orjson
import pytest

from loadtest.copies import fill, spread
from loadtest.corpus import records
from loadtest.learn import draw
from node.registry.records import load_file
from node.store.database import Database
from resolver.schemes import parse_handle

pytestmark = pytest.mark.db

LOADED, WANTED = 400, 1_500


async def test_there_are_so_many_records_and_a_sample_names_them(
    database: Database, tmp_path: Path
) -> None:
    path = tmp_path / "corpus.ndjson"
    path.write_bytes(b"\n".join(map(orjson.dumps, records(LOADED))))
    await load_file(database.dsn, str(path), sealing_key=tmp_path / "key")

    times = await fill(database.dsn, WANTED)

    sample = spread(draw(path, LOADED), times)
    keys = {parse_handle(handle).key: handle for handle in sample.handles}
    async with database.connection() as connection:
        assert await connection.fetchval("select count(*) from record") == WANTED
        rows = await connection.fetch(
            "select copy.handle, copy.wire = original.wire and copy.json = original.json"
            " from record original, generate_series(1, $2::int) number"
            " join record copy on copy.key = any($1) where original.loaded is not null"
            " and copy.key = original.key || convert_to('-' || number, 'UTF8')",
            list(keys),
            times,
        )
        found = await connection.fetchval(
            "select count(*) from record where key = any($1)", list(keys)
        )
    assert found == len(keys) == len(sample.records)
    assert len(rows) > len(keys) / 2
    assert all(row[1] and row[0] in keys.values() for row in rows)
