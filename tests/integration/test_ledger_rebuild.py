"""The database's part of a log is made again from its files alone, and the log is gone on with."""

from pathlib import Path

import pytest

from node.ledger.checkpoint import Checkpoint, Cosigner
from node.ledger.follower import Moment, Wish
from node.ledger.leaf import Block, Meters, parse
from node.ledger.log import Log, Step
from node.ledger.logfiles import LogDamaged, LogFiles
from node.ledger.quorum import Policy
from node.ledger.rebuild import LogInUse, Rebuilt, rebuild
from node.ledger.sealer import Around, Sealer
from node.ledger.tlog import EMPTY_ROOT
from node.store.database import connect
from node.store.ledger import (
    clear_ledger,
    greatest_cosigned,
    try_ledger_lock,
)
from tests.support.ledgers import ORIGIN, SIGNER, START_US, LaneFile, opened_log, stored_lines

pytestmark = pytest.mark.db

WITNESS = Cosigner("witness.example", bytes(32))
POLICY = Policy.parse(f"log {SIGNER.key}\nwitness w {WITNESS.key}\nquorum w\n".encode())
LEAVES = """
select idx, kind, lane, epoch, block, first_seq, last_seq, t1, line, leaf_hash
from ledger_leaf order by idx
"""
HEAD = "select origin, size, root, note from ledger_head"


async def seal(log: Log, seconds: float) -> None:
    now = Moment(START_US + int((1_000 + seconds) * 1e6), seconds)
    sealer = await Sealer.open(log, now)
    await sealer.round(now, Around((0, EMPTY_ROOT), 1), Wish(hurry=True))
    sealer.close()


async def rows(url: str) -> list[tuple[object, ...]]:
    connection = await connect(url)
    found = [tuple(row) for query in (LEAVES, HEAD) for row in await connection.fetch(query)]
    await connection.close()
    return found


async def rebuilt(url: str, directory: Path, policy: Policy | None = POLICY) -> Rebuilt:
    connection = await connect(url)
    try:
        return await rebuild(connection, LogFiles(directory), [SIGNER.key], policy)
    finally:
        await connection.close()


async def test_rows_are_what_they_were(database_url: str, tmp_path: Path) -> None:
    with LaneFile(tmp_path / "lanes") as lane:
        lane.append(9_000)
        async with opened_log(database_url, tmp_path) as log:
            await seal(log, 0)
            await log.append([Meters(time=number, workers=()) for number in range(300)])
            checkpoint = await log.publish()
    assert checkpoint is not None
    note = LogFiles(tmp_path).published()
    assert note is not None
    cosigned = note.signed(WITNESS.cosign(Checkpoint.parse(note.text), 1_790_000_000))
    (tmp_path / "heads" / f"{checkpoint.size}.note").write_bytes(cosigned.encode())
    before = await rows(database_url)
    for clear in (False, True):
        if clear:
            connection = await connect(database_url)
            await clear_ledger(connection, ORIGIN)
            await connection.close()
        assert await rebuilt(database_url, tmp_path) == Rebuilt(ORIGIN, checkpoint.size, 1)
        assert await rows(database_url) == before
    connection = await connect(database_url)
    assert await greatest_cosigned(connection, ORIGIN) == checkpoint.size
    await connection.close()


async def test_leaves_that_only_the_database_had_are_sealed_again(
    database_url: str, tmp_path: Path
) -> None:
    """The worst case: tiles of leaves that were never signed lie on the disk, and their rows are lost."""

    def crash(reached: Step) -> None:
        if reached is Step.TILES:
            raise InterruptedError

    with LaneFile(tmp_path / "lanes") as lane:
        lane.append(100)
        async with opened_log(database_url, tmp_path) as log:
            await seal(log, 0)
            await log.publish()
        lane.append(50)
        async with opened_log(database_url, tmp_path, reached=crash) as log:
            await log.append([Meters(time=1, workers=())] * 300)
            await seal(log, 1)
            with pytest.raises(InterruptedError):
                await log.publish()
        connection = await connect(database_url)
        await clear_ledger(connection, ORIGIN)
        await connection.close()
        await rebuilt(database_url, tmp_path)
        lane.append(7)
        async with opened_log(database_url, tmp_path) as log:
            await seal(log, 2)
            await log.publish()
    blocks = [
        leaf for line in await stored_lines(database_url) if isinstance(leaf := parse(line), Block)
    ]
    assert [block.sequence for block in blocks] == [(1, 100), (101, 157)]


async def test_log_that_is_written_is_left_alone(database_url: str, tmp_path: Path) -> None:
    async with opened_log(database_url, tmp_path) as log:
        await log.append([Meters(time=1, workers=())])
        await log.publish()
        assert await try_ledger_lock(log.place.connection, ORIGIN)
        with pytest.raises(LogInUse, match="stop the node"):
            await rebuilt(database_url, tmp_path)


async def test_files_that_are_damaged_change_nothing(database_url: str, tmp_path: Path) -> None:
    async with opened_log(database_url, tmp_path) as log:
        await log.append([Meters(time=1, workers=())])
        await log.publish()
    before = await rows(database_url)
    path = tmp_path / "log/tile/entries/000.p/1"
    path.write_bytes(path.read_bytes().replace(b'"t":1', b'"t":2'))
    with pytest.raises(LogDamaged):
        await rebuilt(database_url, tmp_path)
    (tmp_path / "log/checkpoint").unlink()
    with pytest.raises(LogDamaged, match="missing"):
        await rebuilt(database_url, tmp_path)
    assert await rows(database_url) == before
