"""The log's writer on real files and a real database: its order, what it does after a crash, and when it refuses."""

from pathlib import Path

import pytest

from node.ledger.agreement import Disagreement
from node.ledger.checkpoint import read_checkpoint
from node.ledger.leaf import Leaf, Meters
from node.ledger.log import Log, Step
from node.ledger.logfiles import LogDamaged, LogFiles
from node.ledger.note import Ed25519Signer
from node.ledger.tiles import ENTRIES, Tile
from node.ledger.tlog import inclusion_proof, leaf_hash, verify_inclusion
from node.store.database import Database, connect
from node.store.ledger import (
    Cosignature,
    LeafRow,
    add_cosignatures,
    add_leaves,
    clear_ledger,
    move_head,
    read_head,
)
from tests.support.ledgers import ORIGIN, SIGNER, opened_log, root_of, stored_lines

pytestmark = pytest.mark.db


class Crash(Exception):
    """The process would be gone."""


def leaves(start: int, count: int) -> list[Leaf]:
    return [
        Meters(time=number, workers=((0, 0, 1, number, number, 0),))
        for number in range(start, start + count)
    ]


async def grow(log: Log, start: int, count: int) -> None:
    await log.append(leaves(start, count))
    await log.publish()


def published(directory: Path) -> tuple[int, bytes]:
    note = LogFiles(directory).published()
    assert note is not None
    checkpoint = read_checkpoint(note, [SIGNER.key])
    return checkpoint.size, checkpoint.root


async def test_checkpoint_has_the_root_over_all_lines(database_url: str, tmp_path: Path) -> None:
    async with opened_log(database_url, tmp_path) as log:
        for start, count in ((0, 3), (3, 250), (253, 3), (256, 1), (257, 700)):
            await grow(log, start, count)
            lines = await stored_lines(database_url)
            assert published(tmp_path) == (len(lines), root_of(lines))
    files = LogFiles(tmp_path)
    assert list(files.lines(0, 957)) == lines
    assert files.line(300, 957) == lines[300]
    proof = inclusion_proof(300, 957, files.hashes(957))
    verify_inclusion(300, 957, leaf_hash(lines[300]), proof, root_of(lines))


async def test_tiles_of_every_signed_size_can_be_had(database_url: str, tmp_path: Path) -> None:
    sizes = [1, 2, 100, 255, 256, 300, 511, 513]
    async with opened_log(database_url, tmp_path) as log:
        for before, size in zip([0, *sizes], sizes, strict=False):
            await grow(log, before, size - before)
    files, lines = LogFiles(tmp_path), await stored_lines(database_url)
    for size in sizes:
        assert list(files.lines(0, size)) == lines[:size]
        proof = inclusion_proof(0, size, files.hashes(size))
        verify_inclusion(0, size, leaf_hash(lines[0]), proof, root_of(lines[:size]))
    assert not (tmp_path / "log/tile/0/000.p").exists()
    assert not (tmp_path / "log/tile/entries/001.p").exists()
    assert (tmp_path / "log/tile/0/002.p/1").exists()


async def test_first_leaf_can_be_read_whatever_sizes_were_signed(
    database_url: str, tmp_path: Path
) -> None:
    async with opened_log(database_url, tmp_path) as log:
        files = LogFiles(tmp_path)
        for start, count in ((0, 5), (5, 250), (255, 45)):
            await grow(log, start, count)
            lines = await stored_lines(database_url)
            assert files.line(0, 1) == files.line(0, len(lines)) == lines[0]
            assert files.line(3, 4) == lines[3]


async def test_log_goes_on_where_it_was_left(database_url: str, tmp_path: Path) -> None:
    for start in range(0, 600, 200):
        async with opened_log(database_url, tmp_path) as log:
            assert log.end == start
            await grow(log, start, 200)
    lines = await stored_lines(database_url)
    assert lines == [leaf.line() for leaf in leaves(0, 600)]
    assert published(tmp_path) == (600, root_of(lines))


async def test_nothing_new_makes_no_checkpoint(database_url: str, tmp_path: Path) -> None:
    async with opened_log(database_url, tmp_path) as log:
        await grow(log, 0, 1)
        assert await log.publish() is None


@pytest.mark.parametrize("step", [step for step in Step if step is not Step.BODY])
async def test_crash_behind_any_step_is_gone_on_from(
    database_url: str, tmp_path: Path, step: Step
) -> None:
    def crash(reached: Step) -> None:
        if reached is step:
            raise Crash

    async with opened_log(database_url, tmp_path) as log:
        await grow(log, 0, 250)
    async with opened_log(database_url, tmp_path, reached=crash) as log:
        with pytest.raises(Crash):
            await grow(log, 250, 20)
    async with opened_log(database_url, tmp_path) as log:
        assert log.end == 270
        await grow(log, 270, 300)
    lines = await stored_lines(database_url)
    assert lines == [leaf.line() for leaf in leaves(0, 570)]
    assert published(tmp_path) == (570, root_of(lines))
    assert list(LogFiles(tmp_path).lines(0, 250)) == lines[:250]


async def test_head_that_was_not_signed_is_published_at_the_next_start(
    database_url: str, tmp_path: Path
) -> None:
    def crash(reached: Step) -> None:
        if reached is Step.HEAD:
            raise Crash

    async with opened_log(database_url, tmp_path, reached=crash) as log:
        with pytest.raises(Crash):
            await grow(log, 0, 5)
    assert LogFiles(tmp_path).published() is None
    async with opened_log(database_url, tmp_path):
        assert published(tmp_path)[0] == 5


async def test_second_writer_cannot_move_the_head(database_url: str, tmp_path: Path) -> None:
    async with opened_log(database_url, tmp_path) as log:
        await grow(log, 0, 5)
        await log.append(leaves(5, 1))
        other = await connect(database_url)
        assert await move_head(other, ORIGIN, log.head, (5, bytes(32)))
        await other.close()
        with pytest.raises(Disagreement, match="somebody else"):
            await log.publish()
    assert published(tmp_path)[0] == 5


async def test_other_leaf_in_our_place_stops_the_log(database_url: str, tmp_path: Path) -> None:
    async with opened_log(database_url, tmp_path) as log:
        await grow(log, 0, 5)
        other = await connect(database_url)
        row = LeafRow(5, "met", None, None, None, None, None, None, b"{}", leaf_hash(b"{}"))
        assert await add_leaves(other, ORIGIN, [row]) == 1
        await other.close()
        with pytest.raises(Disagreement, match="other leaves"):
            await log.append(leaves(5, 2))


async def test_database_of_yesterday_is_refused(database_url: str, tmp_path: Path) -> None:
    async with opened_log(database_url, tmp_path) as log:
        await grow(log, 0, 5)
    connection = await connect(database_url)
    await connection.execute("delete from ledger_leaf where idx > 2")
    await connection.close()
    with pytest.raises(Disagreement, match="rebuild-db"):
        async with opened_log(database_url, tmp_path):
            pass


async def test_empty_database_beside_a_log_is_refused(database_url: str, tmp_path: Path) -> None:
    async with opened_log(database_url, tmp_path) as log:
        await grow(log, 0, 5)
        await clear_ledger(log.place.connection, ORIGIN)
    with pytest.raises(Disagreement, match="rebuild-db"):
        async with opened_log(database_url, tmp_path):
            pass


async def test_files_that_are_gone_are_refused(database_url: str, tmp_path: Path) -> None:
    async with opened_log(database_url, tmp_path / "one") as log:
        await grow(log, 0, 5)
    with pytest.raises(Disagreement, match="its files are not here"):
        async with opened_log(database_url, tmp_path / "other"):
            pass


async def test_log_that_a_witness_has_seen_longer_is_refused(
    database_url: str, tmp_path: Path, database: Database
) -> None:
    async with opened_log(database_url, tmp_path) as log:
        await grow(log, 0, 5)
        await add_cosignatures(log.place.connection, ORIGIN, [Cosignature(6, "w", 1, "line")])
    with pytest.raises(Disagreement, match="a witness has seen 6"):
        async with opened_log(database_url, tmp_path):
            pass


async def test_cosigned_head_that_is_kept_counts_as_seen(database_url: str, tmp_path: Path) -> None:
    async with opened_log(database_url, tmp_path) as log:
        await grow(log, 0, 5)
    (tmp_path / "heads" / "9.note").write_text("what a witness has cosigned")
    with pytest.raises(Disagreement, match="a witness has seen 9"):
        async with opened_log(database_url, tmp_path):
            pass


@pytest.mark.parametrize("tile", [Tile(0, 0, 5), Tile(ENTRIES, 0, 5)])
async def test_damaged_tile_stops_the_log(database_url: str, tmp_path: Path, tile: Tile) -> None:
    async with opened_log(database_url, tmp_path) as log:
        await grow(log, 0, 5)
    path = tmp_path / "log" / tile.path
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(LogDamaged, match="restore"):
        async with opened_log(database_url, tmp_path):
            pass


async def test_full_tile_is_never_written_over(database_url: str, tmp_path: Path) -> None:
    async with opened_log(database_url, tmp_path) as log:
        await grow(log, 0, 200)
        path = tmp_path / "log" / Tile(0, 0).path
        path.write_bytes(bytes(8_192))
        with pytest.raises(LogDamaged, match="nothing was signed"):
            await grow(log, 200, 100)
        head = await read_head(log.place.connection, ORIGIN)
    assert head is not None
    assert head.size == published(tmp_path)[0] == 200


async def test_checkpoint_of_another_key_is_refused(database_url: str, tmp_path: Path) -> None:
    async with opened_log(database_url, tmp_path) as log:
        await grow(log, 0, 5)
    other = Ed25519Signer(ORIGIN, bytes(32))
    with pytest.raises(ValueError, match="no known key"):
        async with opened_log(database_url, tmp_path, signers=(other,)):
            pass
