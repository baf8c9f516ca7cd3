"""Parts of closing a day: the leaf of the rules, clients by tag, the crossing of a line, the first leaf of a log."""

from functools import partial
from pathlib import Path

import pytest

from node.ledger.classes import SUSPECT_FROM, Robots, networks
from node.ledger.closing import genesis_of
from node.ledger.count import CountError, Event, Piece, count_clients, count_day, crossing
from node.ledger.day import day_at, of_one_day, start_of
from node.ledger.leaf import CountPolicy, Genesis, MonthKey, parse
from node.ledger.logfiles import LogDamaged, LogFiles
from node.ledger.record import Record, encode
from node.ledger.rules import RESULTS, TEXT, policy_leaf
from resolver.wire.constants import ResponseCode
from tests.support.logs import WrittenLog

START = 1_793_606_400_000_000
SECOND = 1_000_000
GENESIS = Genesis(origin="log.example/ledger", node="n", keys=(), policy="", time=START)
KEY = MonthKey(month="2026-11", sha256="ab" * 32)


def record(seq: int, seconds: int, client: int, **changes: int) -> Record:
    plain = Record(seq, START + seconds * SECOND, 0, 0, 1, 1, 7, client, 0, 3, 1, 0, 1, 0, seq)
    return plain._replace(**changes)


def piece(
    *records: Record, leaf: int = 0, span: tuple[int, int] = (START, START + 100 * SECOND)
) -> Piece:
    return Piece(0, 1, 1, span, partial(bytes, b"".join(encode(each, 0) for each in records)), leaf)


def test_the_leaf_of_a_policy_says_everything_in_its_4096_bytes() -> None:
    many = networks(f"10.{number}.0.0/16" for number in range(100))
    leaf = policy_leaf(3, START, many, Robots(2, (b"bot",), "cd" * 32), count_loopback=True)
    assert parse(leaf.line()) == leaf
    assert isinstance(leaf, CountPolicy)
    assert leaf.rules["suspect_from_per_minute"] == SUSPECT_FROM
    assert (leaf.rules["window_s"], leaf.rules["zone_s"]) == (30, 28_800)
    assert leaf.robots == {"sha256": "cd" * 32, "version": "2"}
    assert leaf.text == TEXT


def test_every_response_code_has_its_name_in_the_policy() -> None:
    assert {int(code) for code in RESULTS} == {code.value for code in ResponseCode if code}


def test_clients_are_counted_with_all_that_they_asked_in_production() -> None:
    records = [
        record(1, 0, 5),
        record(2, 1, 5),
        record(3, 2, 5, flags=0),
        record(4, 3, 6, class_=3),
    ]
    assert count_clients([piece(*records)], START) == {(5, 3): (3, 2)}


def test_the_line_is_crossed_by_the_first_that_is_enough() -> None:
    """The second is within 30 s of the first, the fourth more than 30 s after the second."""
    early = piece(record(1, 0, 5), record(2, 10, 5), leaf=4)
    late = piece(
        record(3, 20, 6), record(4, 41, 5), leaf=9, span=(START + 20 * SECOND, START + 100 * SECOND)
    )
    assert crossing([late, early], START, 2, is_filtered=False) == Event(
        START + 10 * SECOND, 4, False
    )
    assert crossing([late, early], START, 2, is_filtered=True) == Event(
        START + 20 * SECOND, 9, True
    )
    assert crossing([late, early], START, 3, is_filtered=True).leaf == 9
    with pytest.raises(CountError, match="fewer"):
        crossing([late, early], START, 4, is_filtered=True)


def test_records_outside_the_time_of_their_block_are_not_counted() -> None:
    with pytest.raises(CountError, match=r"0\.1\.1 is not of its time"):
        count_day([piece(record(1, 50, 5), span=(START, START + SECOND))], START)


def test_half_a_record_is_not_counted() -> None:
    with pytest.raises(CountError, match="whole"):
        count_day([Piece(0, 1, 1, (START, START + SECOND), lambda: bytes(65))], START)


def test_one_that_asks_very_often_with_ever_new_nonces_is_counted_as_fast_as_others() -> None:
    """Each nonce is looked up and forgotten in the same time: 50,000 in one window are no 50,000 times 50,000."""
    often = [record(seq, 0, 5, t_us=START + seq) for seq in range(1, 50_001)]
    found = count_day([piece(*often)], START).resolutions()
    assert found == (50_000, 50_000, 1)


def written(directory: Path, *lines: bytes) -> LogFiles:
    log = WrittenLog()
    log.append(list(lines))
    log.write(directory / "log", log.note())
    return LogFiles(directory)


@pytest.mark.parametrize("others", [0, 2, 300])
def test_the_first_leaf_is_found_in_a_log_of_any_size(tmp_path: Path, others: int) -> None:
    """No tile was ever written for one leaf when the first head had three."""
    files = written(tmp_path, GENESIS.line(), *[KEY.line()] * others)
    assert genesis_of(files) == GENESIS


def test_a_log_without_a_beginning_is_damaged_and_one_without_anything_is_not(
    tmp_path: Path,
) -> None:
    assert genesis_of(LogFiles(tmp_path)) is None
    with pytest.raises(LogDamaged, match="genesis"):
        genesis_of(written(tmp_path, KEY.line()))


@pytest.mark.parametrize(
    ("seconds", "kept"),
    [([], 0), ([5], 1), ([-9, -1], 2), ([-9, -1, 0, 7], 2), ([0, 7], 2), ([-1, 0, -1, 9], 1)],
)
def test_a_block_ends_at_midnight(seconds: list[int], kept: int) -> None:
    midnight = start_of(day_at(START))
    body = b"".join(encode(record(1, 0, 5, t_us=midnight + each * SECOND), 0) for each in seconds)
    assert of_one_day(body) == body[: 64 * kept]
