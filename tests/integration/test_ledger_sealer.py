"""The sealer on real lane files, a real database and a real disk: every record in one block, whatever happens."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from node.ledger.block import FIRST_PREVIOUS, check
from node.ledger.epochs import FILE_DAMAGED, FILE_MISSING
from node.ledger.follower import Moment, Wish
from node.ledger.lanefile import Cause, Line
from node.ledger.leaf import Block, Epoch, Gap, Leaf, parse
from node.ledger.log import Log, Reached, Step, go_on
from node.ledger.logfiles import LogFiles
from node.ledger.record import RECORD_BYTES, Class
from node.ledger.sealer import Around, Sealer
from node.ledger.tlog import EMPTY_ROOT, leaf_hash
from tests.support.ledgers import START_US, LaneFile, opened_log, root_of, stored_lines

pytestmark = pytest.mark.db

AROUND = Around((0, EMPTY_ROOT), 1)
HURRY, BEAT = Wish(hurry=True), Wish(beat=True)


class Crash(Exception):
    """The process would be gone."""


def moment(seconds: float) -> Moment:
    return Moment(START_US + 600_000_000 + int(seconds * 1e6), seconds)


@asynccontextmanager
async def opened_sealer(
    url: str, directory: Path, *, reached: Reached = go_on, at: float = 0
) -> AsyncIterator[tuple[Log, Sealer]]:
    async with opened_log(url, directory, reached=reached) as log:
        sealer = await Sealer.open(log, moment(at), reached=reached)
        try:
            yield log, sealer
        finally:
            sealer.close()


async def kinds(url: str) -> list[str]:
    return [leaf.kind for leaf in await stored(url)]


async def stored(url: str) -> list[Leaf]:
    return [parse(line) for line in await stored_lines(url)]


def blocks_of(leaves: Sequence[Leaf], lane: int = 0) -> list[Block]:
    return [leaf for leaf in leaves if isinstance(leaf, Block) and leaf.lane == lane]


async def check_ledger(url: str, directory: Path, written: dict[tuple[int, int], int]) -> None:
    """Every record written is in one block, in order, and all that leaves say of one another is true."""
    leaves, files = await stored(url), LogFiles(directory)
    total = [0] * 6
    found: dict[tuple[int, int], int] = {}
    numbers: dict[tuple[int, int], int] = {}
    previous: dict[int, bytes] = {}
    ended: dict[tuple[int, int], int] = {}
    for leaf in leaves:
        if isinstance(leaf, Epoch) and leaf.state == "open":
            ended[leaf.lane, leaf.epoch] = leaf.time
        if not isinstance(leaf, Block):
            continue
        key = (leaf.lane, leaf.epoch)
        body = files.read_body(leaf)
        assert body is not None
        check(leaf, body)
        assert leaf.sequence[0] == found.get(key, 0) + 1
        assert leaf.block == numbers.get(key, 0) + 1
        assert leaf.previous == previous.get(leaf.lane, FIRST_PREVIOUS)
        assert leaf.span[0] <= ended[key]
        total = [sum(pair) for pair in zip(total, leaf.successes, strict=True)]
        assert list(leaf.total) == total
        found[key], numbers[key] = leaf.sequence[1], leaf.block
        previous[leaf.lane], ended[key] = leaf_hash(leaf.line()), leaf.span[1]
    assert found == written


async def test_full_blocks_are_sealed_at_once_and_the_rest_when_it_is_old(
    database_url: str, tmp_path: Path
) -> None:
    lane = LaneFile(tmp_path / "lanes")
    lane.append(10_000)
    lane.hold()
    async with opened_sealer(database_url, tmp_path) as (_, sealer):
        await sealer.round(moment(0), AROUND)
        assert [block.sequence for block in blocks_of(await stored(database_url))] == [
            (1, 4_096),
            (4_097, 8_192),
        ]
        await sealer.round(moment(29), AROUND)
        assert len(blocks_of(await stored(database_url))) == 2
        await sealer.round(moment(30), AROUND)
        lane.let_go()
    await check_ledger(database_url, tmp_path, {(0, 1): 10_000})


async def test_who_is_in_a_hurry_need_not_wait(database_url: str, tmp_path: Path) -> None:
    with LaneFile(tmp_path / "lanes") as lane:
        lane.append(3)
        async with opened_sealer(database_url, tmp_path) as (_, sealer):
            await sealer.round(moment(0), AROUND, HURRY)
            await sealer.round(moment(1), AROUND, HURRY)
    await check_ledger(database_url, tmp_path, {(0, 1): 3})
    assert await kinds(database_url) == ["ep", "blk"]


async def test_silence_is_said_each_minute(database_url: str, tmp_path: Path) -> None:
    with LaneFile(tmp_path / "lanes") as lane:
        async with opened_sealer(database_url, tmp_path) as (_, sealer):
            for minute in range(3):
                await sealer.round(moment(60 * minute), AROUND, BEAT)
            lane.append(5)
            await sealer.round(moment(170), AROUND)
            await sealer.round(moment(180), AROUND, BEAT)
    blocks = blocks_of(await stored(database_url))
    assert [sum(block.records) for block in blocks] == [0, 0, 0, 5]
    assert blocks[1].span == (blocks[0].span[1], moment(59).wall_us)
    await check_ledger(database_url, tmp_path, {(0, 1): 5})


async def test_epoch_that_was_closed_ends_with_its_leaf_and_its_file_goes(
    database_url: str, tmp_path: Path
) -> None:
    with LaneFile(tmp_path / "lanes") as lane:
        lane.append(10)
        lane.say_closed()
        later = LaneFile(tmp_path / "lanes", epoch=2)
        later.append(7)
        async with opened_sealer(database_url, tmp_path) as (log, sealer):
            await sealer.round(moment(0), AROUND, HURRY)
            assert lane.path.exists()
            await log.publish()
            sealer.sweep()
            assert not lane.path.exists()
            assert later.path.exists()
            assert sealer.newest() == {0: (2, 7)}
    assert await kinds(database_url) == ["ep", "blk", "ep", "ep", "blk"]
    await check_ledger(database_url, tmp_path, {(0, 1): 10, (0, 2): 7})


async def test_killed_writer_has_lost_nothing(database_url: str, tmp_path: Path) -> None:
    lane = LaneFile(tmp_path / "lanes", boot=True)
    lane.append(10)
    async with opened_sealer(database_url, tmp_path) as (_, sealer):
        await sealer.round(moment(0), AROUND)
    assert await kinds(database_url) == ["ep", "blk", "ep"]
    await check_ledger(database_url, tmp_path, {(0, 1): 10})


async def test_power_cut_is_told_as_a_gap_with_its_bound(database_url: str, tmp_path: Path) -> None:
    lane = LaneFile(tmp_path / "lanes")
    lane.append(10)
    lane.write_line(Line.DURABLE, 8, START_US + 8_000, 40)
    lane.write_at(11, b"\1" * RECORD_BYTES)
    async with opened_sealer(database_url, tmp_path) as (_, sealer):
        await sealer.round(moment(0), AROUND)
    (gap,) = [leaf for leaf in await stored(database_url) if isinstance(leaf, Gap)]
    assert (gap.last, gap.torn, gap.bound, gap.cause) == (10, 2 * RECORD_BYTES, 40, "power loss")
    assert gap.span[0] == START_US + 8_000
    await check_ledger(database_url, tmp_path, {(0, 1): 10})


async def test_nothing_behind_a_hole_is_counted(database_url: str, tmp_path: Path) -> None:
    lane = LaneFile(tmp_path / "lanes")
    lane.append(10)
    lane.write_at(4, bytes(RECORD_BYTES))
    lane.write_line(Line.CLOSING, 10, START_US, 0, 0, Cause.CLOSED)
    async with opened_sealer(database_url, tmp_path) as (_, sealer):
        await sealer.round(moment(0), AROUND)
    leaves = await stored(database_url)
    (gap,) = [leaf for leaf in leaves if isinstance(leaf, Gap)]
    assert (gap.last, gap.bound, gap.cause) == (4, 6, "records damaged")
    await check_ledger(database_url, tmp_path, {(0, 1): 4})


async def test_answers_that_were_not_recorded_are_told_once(
    database_url: str, tmp_path: Path
) -> None:
    with LaneFile(tmp_path / "lanes") as lane:
        async with opened_sealer(database_url, tmp_path) as (_, sealer):
            for minute, answers in enumerate((5, 5, 12)):
                lane.write_line(Line.UNCOUNTED, answers, START_US, START_US + answers)
                await sealer.round(moment(60 * minute), AROUND, BEAT)
        async with opened_sealer(database_url, tmp_path) as (_, sealer):
            await sealer.round(moment(240), AROUND, BEAT)
    gaps = [leaf for leaf in await stored(database_url) if isinstance(leaf, Gap)]
    assert [gap.bound for gap in gaps] == [5, 7]


async def test_lane_file_that_somebody_took_away_is_told(database_url: str, tmp_path: Path) -> None:
    with LaneFile(tmp_path / "lanes") as lane:
        lane.append(10)
        async with opened_sealer(database_url, tmp_path) as (_, sealer):
            await sealer.round(moment(0), AROUND, HURRY)
        lane.path.unlink()
        for at in (10, 20):
            async with opened_sealer(database_url, tmp_path, at=at) as (_, sealer):
                await sealer.round(moment(at), AROUND, HURRY)
    leaves = await stored(database_url)
    assert [leaf.kind for leaf in leaves] == ["ep", "blk", "gap", "ep"]
    assert isinstance(leaves[2], Gap)
    assert (leaves[2].cause, leaves[2].last) == (FILE_MISSING, 10)


async def test_lane_file_that_is_removed_under_way_is_read_to_its_end(
    database_url: str, tmp_path: Path
) -> None:
    lane = LaneFile(tmp_path / "lanes")
    lane.hold()
    async with opened_sealer(database_url, tmp_path) as (_, sealer):
        lane.append(10)
        await sealer.round(moment(0), AROUND, HURRY)
        lane.append(5)
        lane.path.unlink()
        await sealer.round(moment(1), AROUND, HURRY)
        lane.let_go()
        await sealer.round(moment(2), AROUND)
    assert await kinds(database_url) == ["ep", "blk", "blk", "ep"]


async def test_damaged_lane_file_is_told_once_and_put_aside(
    database_url: str, tmp_path: Path
) -> None:
    lane = LaneFile(tmp_path / "lanes")
    lane.append(10)
    with lane.path.open("r+b") as file:
        file.write(b"rubbish")
    for at in (0, 10):
        async with opened_sealer(database_url, tmp_path, at=at) as (log, sealer):
            await sealer.round(moment(at), AROUND)
            await log.publish()
            if at:
                sealer.sweep()
    leaves = await stored(database_url)
    assert [leaf.cause for leaf in leaves if isinstance(leaf, Gap)] == [FILE_DAMAGED]
    assert not lane.path.exists()
    assert lane.path.with_suffix(".damaged").exists()


async def test_lane_file_that_comes_back_is_not_counted_again(
    database_url: str, tmp_path: Path
) -> None:
    lane = LaneFile(tmp_path / "lanes")
    lane.append(10)
    copy = lane.path.read_bytes()
    async with opened_sealer(database_url, tmp_path) as (log, sealer):
        await sealer.round(moment(0), AROUND)
        await log.publish()
        sealer.sweep()
        lane.path.write_bytes(copy)
        await sealer.round(moment(1), AROUND)
    await check_ledger(database_url, tmp_path, {(0, 1): 10})


async def test_classes_are_counted_apart(database_url: str, tmp_path: Path) -> None:
    lane = LaneFile(tmp_path / "lanes")
    lane.append(3)
    lane.append(2, class_=Class.TEST)
    lane.append(4, is_success=False)
    async with opened_sealer(database_url, tmp_path) as (log, sealer):
        await sealer.round(moment(0), AROUND)
        assert log.total == (3, 2, 0, 0, 0, 0)
    (block,) = blocks_of(await stored(database_url))
    assert block.records == (7, 2, 0, 0, 0, 0)
    assert block.successes == (3, 2, 0, 0, 0, 0)


async def work(url: str, directory: Path, lanes: list[LaneFile], reached: Reached) -> None:
    async with opened_sealer(url, directory, reached=reached) as (log, sealer):
        for at in range(5):
            for lane in lanes:
                lane.append(5_000)
            await sealer.round(moment(at), AROUND)
            await log.publish()
            sealer.sweep()


@pytest.mark.parametrize("step", list(Step))
@pytest.mark.parametrize("which", [1, 2, 3])
async def test_crash_behind_any_step_loses_and_doubles_nothing(
    database_url: str, tmp_path: Path, step: Step, which: int
) -> None:
    """The sealer dies at the first, second or third time that a step is reached, and another takes up the work."""
    seen = 0

    def crash(reached: Step) -> None:
        nonlocal seen
        seen += reached is step
        if seen == which:
            raise Crash

    lanes = [LaneFile(tmp_path / "lanes", lane) for lane in (0, 1)]
    for lane in lanes:
        lane.hold()
    with pytest.raises(Crash):
        await work(database_url, tmp_path, lanes, crash)
    for lane in lanes:
        lane.append(100)
        lane.say_closed()
        lane.let_go()
    async with opened_sealer(database_url, tmp_path, at=10) as (log, sealer):
        while await sealer.round(moment(10), AROUND):
            pass
        await log.publish()
        sealer.sweep()
    await check_ledger(database_url, tmp_path, {(lane.lane, 1): lane.last for lane in lanes})
    lines = await stored_lines(database_url)
    assert list(LogFiles(tmp_path).lines(0, len(lines))) == lines
    note = LogFiles(tmp_path).published()
    assert note is not None
    assert note.text.split("\n")[1] == str(len(lines))
    assert root_of(lines)
    assert not list((tmp_path / "lanes").glob("*.lane"))
