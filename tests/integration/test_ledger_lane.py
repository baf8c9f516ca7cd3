"""The lane on a real disk: epochs, recovery, a disk that is full or fails, classes by minute; what it never holds."""

import asyncio
import os
import resource
import stat
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path

import pytest

from loadtest.kill_lane import kill
from node.ledger.classes import Campaign, Policy, Robots, networks
from node.ledger.counting import Counter
from node.ledger.flusher import Exposure
from node.ledger.headers import Headers
from node.ledger.lane import Lane, NotCounted
from node.ledger.lanefile import (
    HEADER_BYTES,
    Cause,
    Durability,
    Header,
    LaneError,
    LaneReader,
    Line,
    encode_header,
    lane_files,
    lane_path,
)
from node.ledger.laneterms import LaneTerms
from node.ledger.monthkeys import MonthKeys
from node.ledger.openfile import OpenFile
from node.ledger.parties import Counted, Requester, outcome
from node.ledger.record import PENDING_PREFIX, RECORD_BYTES, Class, Proto, RecordFlag
from node.ledger.recovery import settle
from node.ledger.tags import DAY_NS, DayKeys, DayTags, day_of, nonce_of
from resolver.observe import Event
from tests.support.lanes import ADDRESS, FOUND, KEY, MONTH_KEY, START_NS, Ledger, Time, records_in

SMALL = LaneTerms(capacity=8)


@pytest.fixture
def lanes(tmp_path: Path) -> Path:
    return tmp_path / "lanes"


@contextmanager
def no_room() -> Iterator[None]:
    """Let this process make no file longer than a page: what a full disk does to a new epoch."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (HEADER_BYTES, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_every_answer_is_one_record_numbered_without_a_hole(lanes: Path) -> None:
    ledger = Ledger(lanes)
    numbers = [ledger.count(nonce) for nonce in (7, 8, 9)]
    found = ledger.records()
    ledger.lane.close()

    assert numbers == [record.seq for record in found] == [1, 2, 3]
    assert [record.nonce for record in found] == [7, 8, 9]
    assert {record.t_us for record in found} == {START_NS // 1_000}


def test_answers_that_belong_together_are_counted_as_one_by_one(tmp_path: Path) -> None:
    found, asked = [], [b"\x9c\x40" + bytes([0, 0, 0, number]) for number in range(10)]
    for together in (True, False):
        ledger = Ledger(tmp_path / str(together), terms=LaneTerms(capacity=5))
        if together:
            assert ledger.count_all(ledger.answers(*asked[:1])) == 1
            assert ledger.count_all(ledger.answers(*asked[1:])) == 9
        else:
            for each in asked:
                ledger.count(int.from_bytes(nonce_of(each)[:4], "little"))
        assert ledger.lane.seq == 5
        found.append(ledger.records())
        ledger.lane.close()

    assert found[0] == found[1]
    assert len(found[0]) == len(asked)


def test_of_answers_over_http_each_has_the_nonce_of_its_request_or_one_that_is_drawn(
    lanes: Path,
) -> None:
    """Also those that are counted one by one, since their epoch is full."""
    ledger = Ledger(lanes, terms=LaneTerms(capacity=3))
    asker, subject = ledger.counter.asker(ADDRESS), ledger.counter.subject(KEY)
    named, drawn = (
        outcome(Proto.HTTP_JSON, 1, RecordFlag.NONCE_SENT),
        outcome(Proto.HTTP_JSON, 1, 0),
    )
    parties: list[Requester] = [(asker, b"abcdefgh", (named,)), (asker, None, (drawn,))]
    answers: list[Counted] = [(party, b"", subject, 0) for party in parties * 3]
    assert ledger.count_all(answers) == 6
    found = ledger.records()
    ledger.lane.close()

    sent = [record for record in found if record.flags & RecordFlag.NONCE_SENT]
    assert [record.nonce for record in sent] == [int.from_bytes(b"abcd", "little")] * 3
    assert len({record.nonce for record in found}) == 1 + 3


def test_of_answers_that_belong_together_those_without_room_are_not_given(lanes: Path) -> None:
    ledger = Ledger(lanes, terms=LaneTerms(capacity=3, fails_closed=True))
    with no_room():
        given = ledger.count_all(ledger.answers(b"1", b"2", b"3", b"4", b"5"))
    assert (given, len(ledger.records())) == (3, 3)
    ledger.lane.close()


def test_answers_that_belong_together_follow_the_minute_and_the_day(lanes: Path) -> None:
    ledger, day = Ledger(lanes, Policy(no=1, suspect_from=2)), day_of(START_NS)
    answers = ledger.answers(b"1", b"2", b"3")
    ledger.count_all(answers)
    ledger.time.pass_by(86_400)
    ledger.tick()
    ledger.count_all(answers)
    found = ledger.records()
    ledger.lane.close()

    tags = [int.from_bytes(DayTags(MONTH_KEY, day + n).id_tag(KEY), "little") for n in (0, 1)]
    assert [record.id_tag for record in found] == [tags[0]] * 3 + [tags[1]] * 3
    counted = [Class.PRODUCTION, Class.PRODUCTION, Class.SUSPECT]
    assert [record.class_ for record in found] == counted * 2


def test_record_says_who_asked_for_what_and_how_it_was_answered(lanes: Path) -> None:
    ledger, tags = Ledger(lanes, Policy(no=3)), DayTags(MONTH_KEY, day_of(START_NS))
    ledger.time.pass_by(2.5)
    who = ledger.counter.http_asker(ADDRESS, Headers(b"gateway/2.1", "", b"order-1"))
    failed = outcome(Proto.HTTP_JSON, 100, RecordFlag.NONCE_SENT)
    subject = ledger.counter.subject(b"0.NA/88.118")
    ledger.counter.append(who.asker, subject, failed, who.nonce or b"", ledger.time.monotonic_ns)
    (record,) = ledger.records()
    ledger.lane.close()

    address = bytes([198, 51, 100, 7])
    assert (record.class_, record.proto, record.result) == (Class.PRODUCTION, Proto.HTTP_JSON, 100)
    assert record.flags == RecordFlag.NONCE_SENT | RecordFlag.PREFIX
    assert record.id_tag == int.from_bytes(tags.id_tag(b"0.NA/88.118"), "little")
    assert record.client_tag == int.from_bytes(tags.client_tag(address, b"gateway/2.1"), "little")
    assert record.net_tag == int.from_bytes(tags.net_tag(address), "little")
    assert (record.policy, record.campaign, record.prefix_no, record.ua) == (3, 0, 0, 65_535)
    assert record.nonce == int.from_bytes(sha256(b"order-1").digest()[:4], "little")
    assert record.mono_ms == 2_500


def test_reader_follows_a_lane_that_is_being_written(lanes: Path) -> None:
    ledger = Ledger(lanes)
    with LaneReader.open(lane_files(lanes)[0].path) as reader:
        assert reader.read(0).records == 0
        ledger.count()
        assert reader.read(0).records == 1
        ledger.count()
        assert reader.read(1).records == 1
        while_open = reader.closing
        reader.mark_sealed(2, 99)
        ledger.lane.close()
        assert while_open is None
        assert reader.closing == (2, START_NS // 1_000, 0, 0, Cause.CLOSED)
        assert reader.sealed == (2, 99)


def test_closed_epoch_says_its_last_record_and_loses_nothing(lanes: Path) -> None:
    ledger = Ledger(lanes)
    ledger.count()
    ledger.lane.close()

    with LaneReader.open(lane_files(lanes)[0].path) as reader:
        assert reader.closing is not None
        assert reader.closing == (1, START_NS // 1_000, 0, 0, Cause.CLOSED)
        assert reader.durable.seq == 1


def test_full_epoch_is_followed_by_the_next_and_no_answer_is_lost(lanes: Path) -> None:
    ledger = Ledger(lanes, terms=SMALL)
    for nonce in range(30):
        assert ledger.count(nonce)
    ledger.lane.close()

    found = records_in(lanes)
    assert [record.nonce for record in found] == list(range(30))
    assert [record.seq for record in found] == [*range(1, 9)] * 3 + [*range(1, 7)]
    names = lane_files(lanes)
    assert [name.epoch for name in names] == [1, 2, 3, 4]
    for name in names:
        with LaneReader.open(name.path) as reader:
            assert reader.closing is not None
            assert reader.closing.cause is Cause.CLOSED


def test_next_epoch_is_made_before_it_is_needed(lanes: Path) -> None:
    ledger = Ledger(lanes, terms=LaneTerms(capacity=10))
    for _ in range(9):
        ledger.count()

    wait(lambda: len(lane_files(lanes)) == 2)
    ledger.lane.close()

    assert [name.epoch for name in lane_files(lanes)] == [1]  # it was not needed


def _has_durable(reader: LaneReader, seq: int) -> bool:
    return reader.durable.seq == seq


@pytest.mark.parametrize(("at_once", "epochs"), [(200, [1, 2]), (5, [1])])
def test_next_epoch_is_made_the_earlier_the_faster_records_come(
    lanes: Path, at_once: int, epochs: list[int]
) -> None:
    """At 2,000 a second a thousand are full in half a second, at 50 in twenty."""
    ledger = Ledger(lanes, terms=LaneTerms(capacity=1_000))
    with LaneReader.open(lane_path(lanes, 0, 1)) as reader:
        for due in (at_once, 2 * at_once):
            for _ in range(at_once):
                ledger.count()
            ledger.time.pass_by(0.1)
            wait(partial(_has_durable, reader, due))
    found = [name.epoch for name in lane_files(lanes)]
    ledger.lane.close()

    assert found == epochs


def test_expected_records_find_their_memory_mapped(lanes: Path) -> None:
    """Where the kernel can do so beforehand (Linux 5.14)."""
    lanes.mkdir()
    header = Header(0, 1, 4_096, 0, bytes(16), Durability.GROUP, "")
    file = OpenFile.make(lanes, header, 0)
    assert file.expect(4_000, 1_000) == (can_expect := file.expect(0, 3_000))  # room for 96 alone
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
    for at in range(HEADER_BYTES, HEADER_BYTES + 3_000 * RECORD_BYTES, RECORD_BYTES):
        file.mapping[at] = 1
    faults = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before
    file.close()

    assert faults < 10 or not can_expect


def test_epoch_numbers_are_never_used_again(lanes: Path) -> None:
    for _ in range(3):
        Ledger(lanes).lane.close()
    for name in lane_files(lanes):
        name.path.unlink()
    Ledger(lanes).lane.close()

    assert [name.epoch for name in lane_files(lanes)] == [4]


def test_lost_counter_goes_on_behind_the_files_that_are_there(lanes: Path) -> None:
    for _ in range(2):
        Ledger(lanes).lane.close()
    (lanes / "0.epoch").unlink()
    Ledger(lanes).lane.close()

    assert [name.epoch for name in lane_files(lanes)] == [1, 2, 3]


def test_damaged_counter_stops_the_lane_and_says_what_to_do(lanes: Path) -> None:
    Ledger(lanes).lane.close()
    (lanes / "0.epoch").write_text("seven\n")

    with pytest.raises(LaneError, match="ten digits"):
        Ledger(lanes)


def test_lane_belongs_to_one_process(lanes: Path) -> None:
    ledger = Ledger(lanes)
    with pytest.raises(LaneError, match="another process has lane 0"):
        Ledger(lanes)
    assert not settle(lanes, 0, 0)
    Ledger(lanes, lane=1).lane.close()
    ledger.lane.close()
    assert settle(lanes, 0, 0)


def test_files_are_readable_by_the_node_alone(lanes: Path) -> None:
    ledger = Ledger(lanes)
    ledger.lane.close()

    assert stat.S_IMODE(lanes.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in lanes.iterdir()} == {0o600}


def test_file_that_was_renamed_or_cut_is_refused(lanes: Path) -> None:
    Ledger(lanes).lane.close()
    path = lane_files(lanes)[0].path
    other = lane_path(lanes, 0, 9)
    other.write_bytes(path.read_bytes())
    path.write_bytes(path.read_bytes()[:100])

    for each in (path, other):
        with pytest.raises(LaneError, match=each.name):
            LaneReader.open(each)


def left_open(lanes: Path, count: int) -> Path:
    """Return an epoch as a killed writer leaves it."""
    ledger = Ledger(lanes)
    for nonce in range(count):
        ledger.count(nonce)
    path = lane_files(lanes)[0].path
    data = path.read_bytes()
    ledger.lane.close()
    path.write_bytes(data)
    return path


def settled(path: Path) -> tuple[int, int, int, Cause]:
    """Close what was left open; return last record, torn bytes, bound, cause."""
    assert settle(path.parent, 0, 0)
    with LaneReader.open(path) as reader:
        assert reader.closing is not None
        last, _, torn, bound, cause = reader.closing
        return last, torn, bound, cause


def write_at(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def test_killed_writer_has_lost_nothing(lanes: Path) -> None:
    assert settled(left_open(lanes, 5)) == (5, 0, 0, Cause.KILLED)


def test_next_writer_closes_what_was_left_open_before_it_opens_its_own(lanes: Path) -> None:
    path = left_open(lanes, 5)
    ledger = Ledger(lanes)
    with LaneReader.open(path) as reader:
        assert reader.closing is not None
        assert (reader.closing.last, reader.closing.cause) == (5, Cause.KILLED)
    ledger.lane.close()
    assert [name.epoch for name in lane_files(lanes)] == [1, 2]


def test_closing_twice_changes_nothing(lanes: Path) -> None:
    path = left_open(lanes, 5)
    first = settled(path)
    write_at(path, HEADER_BYTES + 5 * RECORD_BYTES, b"x")

    assert settled(path) == first


def test_machine_that_stopped_may_have_lost_what_the_disk_lacked(lanes: Path) -> None:
    path = left_open(lanes, 5)
    with LaneReader.open(path) as reader:
        reader.write_line(Line.DURABLE, 3, 0, 17)
        header = reader.header
    write_at(path, 0, encode_header(header._replace(boot_id=bytes(16))))

    assert settled(path) == (5, 0, 17, Cause.POWER)


def test_records_that_the_disk_had_and_has_no_more_are_told(lanes: Path) -> None:
    path = left_open(lanes, 5)
    with LaneReader.open(path) as reader:
        reader.write_line(Line.DURABLE, 5, 0, 2)
    write_at(path, HEADER_BYTES + 3 * RECORD_BYTES, bytes(RECORD_BYTES))

    assert settled(path) == (3, 2 * RECORD_BYTES, 2 + 2, Cause.DISK)


@pytest.mark.parametrize("cut", range(0, 3 * RECORD_BYTES + 1, 7))
def test_torn_tail_is_left_out_wherever_it_is_torn(lanes: Path, cut: int) -> None:
    path = left_open(lanes, 3)
    write_at(path, HEADER_BYTES + cut, bytes(3 * RECORD_BYTES - cut))
    whole = cut // RECORD_BYTES

    last, torn, _, _ = settled(path)

    assert last == whole
    assert torn <= cut - whole * RECORD_BYTES
    assert len(records_in(lanes)) == whole


def test_bytes_of_an_earlier_epoch_never_count(lanes: Path) -> None:
    first = left_open(lanes, 5)
    stale = first.read_bytes()[HEADER_BYTES : HEADER_BYTES + 5 * RECORD_BYTES]
    ledger = Ledger(lanes)
    ledger.count()
    second = lane_files(lanes)[1].path
    data = second.read_bytes()
    ledger.lane.close()
    second.write_bytes(data)
    write_at(second, HEADER_BYTES + RECORD_BYTES, stale[RECORD_BYTES:])

    assert settled(second)[:2] == (1, 4 * RECORD_BYTES)


def test_damaged_line_of_the_header_leaves_the_one_before(lanes: Path) -> None:
    path = left_open(lanes, 1)
    with LaneReader.open(path) as reader:
        reader.mark_sealed(1, 10)
        reader.mark_sealed(2, 20)
        write_at(path, Line.SEALED, b"torn")
        assert reader.sealed == (1, 10)
        reader.mark_sealed(3, 30)
        assert reader.sealed == (3, 30)


def test_a_draft_that_a_killed_process_left_under_its_true_name_is_not_written_into(
    lanes: Path,
) -> None:
    first = Ledger(lanes)
    first.count(7)
    first.lane.close()
    os.link(lane_files(lanes)[0].path, lanes / "0.new")  # killed between the two names
    second = Ledger(lanes)
    second.count(8)
    second.lane.close()

    found = [record.nonce for record in second.records()]
    assert (found, [name.epoch for name in lane_files(lanes)]) == ([7, 8], [1, 2])
    assert not (lanes / "0.new").exists()


def test_writers_killed_at_random_lose_no_announced_record(tmp_path: Path) -> None:
    verdict = kill(tmp_path, kills=6, seed=4, capacity=2_000)

    assert verdict.faults == []
    assert verdict.announced > 0


def test_full_disk_lets_answers_through_and_counts_them_as_uncounted(lanes: Path) -> None:
    ledger = Ledger(lanes, terms=SMALL)
    with no_room():
        numbers = [ledger.count(nonce) for nonce in range(11)]
    assert numbers == [*range(1, 9), 0, 0, 0]
    assert ledger.events.count(Event.LEDGER_UNCOUNTED) == 3
    with LaneReader.open(lane_files(lanes)[0].path) as reader:
        assert reader.uncounted == (3, START_NS // 1_000, START_NS // 1_000)

    ledger.time.pass_by(2)
    wait(lambda: ledger.count() == 1)
    ledger.tick()
    assert Event.LEDGER_OPEN_FAILED in ledger.events
    ledger.lane.close()


def test_disk_that_is_full_from_the_beginning_is_told_by_the_first_epoch(lanes: Path) -> None:
    with no_room():
        ledger = Ledger(lanes, terms=SMALL)
        assert [ledger.count(), ledger.count()] == [0, 0]
    ledger.time.pass_by(2)
    wait(lambda: has_reached(ledger, 1))
    assert ledger.count() == 1
    with LaneReader.open(lane_files(lanes)[0].path) as reader:
        assert reader.uncounted.answers == 2
    ledger.lane.close()


def test_lane_that_fails_closed_lets_no_uncounted_answer_through(lanes: Path) -> None:
    ledger = Ledger(lanes, terms=LaneTerms(capacity=2, fails_closed=True))
    with no_room():
        ledger.count()
        ledger.count()
        with pytest.raises(NotCounted):
            ledger.count()
    assert Event.LEDGER_UNCOUNTED not in ledger.events
    ledger.lane.close()


def test_disk_that_takes_nothing_more_ends_the_epoch_and_says_what_may_be_lost(lanes: Path) -> None:
    ledger = Ledger(lanes)
    ledger.count()
    read, write = os.pipe()  # fdatasync refuses a pipe, as it does a disk that is gone
    for descriptor in open_descriptors(lane_files(lanes)[0].path):
        os.dup2(write, descriptor)
    ledger.count()
    ledger.time.pass_by(1)
    wait(lambda: has_reached(ledger, 2))
    assert ledger.count() == 1
    ledger.lane.close()
    os.close(read)
    os.close(write)

    assert Event.LEDGER_SYNC_FAILED in ledger.events
    with LaneReader.open(lane_files(lanes)[0].path) as reader:
        closing, durable = reader.closing, reader.durable
    assert closing is not None
    assert (closing.last, closing.bound, closing.cause) == (2, 2 - durable.seq, Cause.DISK)


def open_descriptors(path: Path) -> list[int]:
    entries = [entry for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
    return [int(entry.name) for entry in entries if entry.readlink() == path]


async def test_strict_lane_makes_the_answer_wait_for_the_disk(lanes: Path) -> None:
    ledger = Ledger(lanes, terms=LaneTerms(Durability.STRICT, capacity=100))
    with LaneReader.open(lane_files(lanes)[0].path) as reader:
        for _ in range(3):
            numbers = [ledger.count(), ledger.count()]
            await asyncio.gather(*map(ledger.counter.committed, numbers))
            assert reader.durable.seq >= numbers[-1]
    ledger.lane.close()


async def test_answers_of_the_epoch_before_are_not_forgotten(lanes: Path) -> None:
    ledger = Ledger(lanes, terms=LaneTerms(Durability.STRICT, capacity=2))
    waiting = []
    for _ in range(5):
        waiting.append(asyncio.ensure_future(ledger.counter.committed(ledger.count())))
        await asyncio.sleep(0)
    await asyncio.wait_for(asyncio.gather(*waiting), 10)
    ledger.lane.close()


async def test_other_lanes_make_no_answer_wait(lanes: Path) -> None:
    ledger = Ledger(lanes)
    await ledger.counter.committed(ledger.count())
    ledger.lane.close()


def test_clock_that_was_set_is_flagged_and_told(lanes: Path) -> None:
    ledger = Ledger(lanes)
    ledger.count()
    ledger.time.wall_ns += 3_600 * 10**9
    ledger.tick()
    ledger.count()
    ledger.time.wall_ns -= 3_600 * 10**9
    ledger.tick()
    ledger.count()
    first, ahead, back = ledger.records()
    ledger.lane.close()

    flags = [bool(each.flags & RecordFlag.CLOCK_STEPPED) for each in (first, ahead, back)]
    assert flags == [False, True, False]
    assert ahead.t_us - first.t_us == 3_600_000_000
    assert ahead.mono_ms == first.mono_ms
    assert ledger.events == [Event.LEDGER_CLOCK_STEPPED] * 2


def test_clock_that_was_set_after_the_file_was_made_is_flagged_in_it(lanes: Path) -> None:
    """mono_ms counts from when the file was made, so what was set before it was entered is told too."""
    ledger = Ledger(lanes, terms=LaneTerms(capacity=10))
    for _ in range(9):
        ledger.count()
    wait(lambda: len(lane_files(lanes)) == 2)
    ledger.time.wall_ns += 3_600 * 10**9
    ledger.tick()
    for _ in range(2):
        ledger.count()
    entered = records_in(lanes)[-1]
    ledger.lane.close()

    assert entered.seq == 1
    assert entered.flags & RecordFlag.CLOCK_STEPPED


def test_tags_change_at_midnight_in_shanghai_even_for_kept_askers(lanes: Path) -> None:
    midnight_ns = (day_of(START_NS) + 1) * DAY_NS - 8 * 3_600 * 10**9
    ledger = Ledger(lanes, time=Time(wall_ns=midnight_ns - 1_000))
    ledger.count()
    ledger.time.pass_by(1e-6)
    ledger.count()
    before, after = ledger.records()
    ledger.lane.close()

    today, tomorrow = (DayTags(MONTH_KEY, day_of(START_NS) + n).id_tag(KEY) for n in (0, 1))
    assert before.id_tag == int.from_bytes(today, "little")
    assert after.id_tag == int.from_bytes(tomorrow, "little")
    assert before.client_tag != after.client_tag


def test_clock_set_back_over_midnight_brings_the_tags_of_the_day_before(lanes: Path) -> None:
    ledger = Ledger(lanes)
    ledger.count()
    ledger.time.wall_ns -= DAY_NS
    ledger.tick()
    ledger.count()
    _, yesterday = ledger.records()
    ledger.lane.close()

    tag = DayTags(MONTH_KEY, day_of(START_NS) - 1).id_tag(KEY)
    assert yesterday.id_tag == int.from_bytes(tag, "little")


def test_more_than_the_rate_rule_allows_is_suspect_until_the_minute_ends(lanes: Path) -> None:
    ledger = Ledger(lanes, Policy(no=1, suspect_from=3))
    for address in ("198.51.100.7", "198.51.100.8", "203.0.113.1"):
        ledger.count(address=address)
    for _ in range(3):
        ledger.count()
    ledger.time.pass_by(60)
    ledger.count()
    classes = [record.class_ for record in ledger.records()]
    ledger.lane.close()

    own, suspect = Class.PRODUCTION, Class.SUSPECT
    assert classes == [own, own, own, own, suspect, suspect, own]


def test_rate_rule_touches_production_alone(lanes: Path) -> None:
    ledger = Ledger(lanes, Policy(no=1, suspect_from=1))
    for _ in range(3):
        ledger.count(address="127.0.0.1")
    classes = {record.class_ for record in ledger.records()}
    ledger.lane.close()

    assert classes == {Class.SELF}


def test_new_policy_and_campaign_hold_from_the_next_minute_for_kept_askers(lanes: Path) -> None:
    ledger = Ledger(lanes)
    ledger.count()
    campaign = Campaign(
        no=4,
        from_us=START_NS // 1_000 + 60_000_000,
        until_us=START_NS // 1_000 + 120_000_000,
        networks=networks(["198.51.100.0/24"]),
    )
    ledger.counter.adopt(
        [Policy(no=1), Policy(no=2, from_us=campaign.from_us, campaigns=(campaign,))]
    )
    for seconds in (59, 1, 59, 1):
        ledger.time.pass_by(seconds)
        ledger.count()
    found = [(record.policy, record.class_, record.campaign) for record in ledger.records()]
    ledger.lane.close()

    before, during, after = (1, Class.PRODUCTION, 0), (2, Class.TEST, 4), (2, Class.PRODUCTION, 0)
    assert found == [before, before, during, during, after]


def campaign_from_now() -> Campaign:
    """A load test of the minute that has begun."""
    begin_us = START_NS // 1_000
    among = networks(["198.51.100.0/24"])
    return Campaign(no=4, from_us=begin_us, until_us=begin_us + 60_000_000, networks=among)


def test_what_is_announced_in_a_minute_that_a_question_has_begun_holds_at_once(lanes: Path) -> None:
    ledger = Ledger(lanes)
    ledger.count(address="127.0.0.1")  # a probe
    ledger.count()
    ledger.counter.adopt([Policy(no=1, campaigns=(campaign_from_now(),))])
    ledger.count()
    ledger.count(address="127.0.0.1")
    found = [(record.class_, record.campaign) for record in ledger.records()]
    ledger.lane.close()

    assert found[2:] == [(Class.TEST, 4), (Class.SELF, 0)]
    assert found[:2] == [(Class.SELF, 0), (Class.PRODUCTION, 0)]


def test_what_is_announced_gives_nobody_more_of_the_rate_rule(lanes: Path) -> None:
    ledger, policy = Ledger(lanes, Policy(no=1, suspect_from=2)), Policy(no=1, suspect_from=2)
    for _ in range(4):
        ledger.count()
        ledger.counter.adopt([policy])
    classes = [record.class_ for record in ledger.records()]
    ledger.lane.close()

    assert classes == [Class.PRODUCTION, Class.PRODUCTION, Class.SUSPECT, Class.SUSPECT]


def test_caches_are_bounded(lanes: Path) -> None:
    ledger = Ledger(lanes)
    ledger.counter = Counter(
        ledger.lane, DayKeys(lambda _: MONTH_KEY), [Policy(no=1)], max_subjects=10
    )
    for number in range(35):
        ledger.count(key=b"88.118/%d" % number)
    ledger.lane.close()

    assert ledger.counter.remembered <= 10


def test_user_agents_as_long_as_a_head_are_not_kept_and_count_all_the_same(lanes: Path) -> None:
    ledger = Ledger(lanes)
    counter, subject, now = ledger.counter, ledger.counter.subject(KEY), ledger.time.monotonic_ns
    tracemalloc.start()
    for number in range(200):
        agent = b"%d" % number + b"x" * 60_000
        asker, _ = counter.http_asker(ADDRESS, Headers(agent=agent))
        counter.append(asker, subject, FOUND, b"none", now)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    ledger.lane.close()

    assert held < 60_000 * 100
    assert len({record.client_tag for record in ledger.records()}) == 200


def test_nothing_in_clear_is_written_and_the_key_is_the_nodes_alone(tmp_path: Path) -> None:
    keys = MonthKeys(tmp_path / "keys")
    lane = Lane.open(tmp_path / "lanes", 0, lambda _: None, terms=SMALL)
    robots = Robots(1, (b"spider",), "")
    counter = Counter(lane, DayKeys(keys.key), [Policy(no=1, robots=robots)])
    agent, identifier, request = (
        b"Baiduspider-of-Zhang-San/2",
        b"88.118.8/PUMP-OF-ZHANG",
        b"order-88118-1",
    )
    told = Headers(agent, "", request, b"a-secret-token")
    for address in ("198.51.100.77", "2001:db8:77::77"):
        who = counter.http_asker(address, told, "127.0.0.1:9001")
        counter.append(
            who.asker, counter.subject(identifier), FOUND, who.nonce or b"", time.perf_counter_ns()
        )
    lane.close()

    written = b"".join(path.read_bytes() for path in (tmp_path / "lanes").iterdir())
    clear = [
        agent,
        agent.lower(),
        identifier,
        request,
        b"a-secret-token",
        b"198.51.100.77",
        b"2001:db8:77",
    ]
    packed = [bytes([198, 51, 100, 77]), bytes.fromhex("20010db80077"), sha256(agent).digest()[:8]]
    unkeyed = [sha256(each).digest()[:8] for each in (identifier, request, b"198.51.100.77")]
    assert [each for each in (*clear, *packed, *unkeyed) if each in written] == []
    assert len(records_in(tmp_path / "lanes")) == 2
    (key,) = (tmp_path / "keys").iterdir()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_month_key_is_made_once_and_its_loss_is_no_new_key(tmp_path: Path) -> None:
    first, second = MonthKeys(tmp_path).key("2026-11"), MonthKeys(tmp_path).key("2026-11")
    assert first == second
    assert len(first) == 32
    assert MonthKeys(tmp_path).key("2026-12") != first

    MonthKeys(tmp_path).path("2026-11").write_text("")
    with pytest.raises(LaneError, match="put back"):
        MonthKeys(tmp_path).key("2026-11")
    with pytest.raises(ValueError, match="no month"):
        MonthKeys(tmp_path).key("../2026-11")


def test_answer_without_a_key_for_its_day_is_not_counted_in_clear(lanes: Path) -> None:
    ledger = Ledger(lanes)

    def no_key(_: str) -> bytes:
        raise OSError("no room")

    ledger.counter = Counter(ledger.lane, DayKeys(no_key), [Policy(no=1)])
    assert ledger.count() == 0
    assert ledger.events == [Event.LEDGER_UNCOUNTED]
    ledger.lane.close()


def has_reached(ledger: Ledger, epoch: int) -> bool:
    ledger.tick()
    return ledger.lane.epoch == epoch


def wait(is_true: Callable[[], bool]) -> None:
    """Wait for the flusher's thread."""
    deadline = time.monotonic() + 10
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_epoch_ends_before_its_milliseconds_run_out(lanes: Path) -> None:
    ledger = Ledger(lanes)
    ledger.count()
    ledger.time.pass_by(41 * 86_400)
    wait(lambda: has_reached(ledger, 2))
    ledger.count()
    _, young = ledger.records()
    ledger.lane.close()

    assert (young.seq, young.mono_ms) == (1, 0)


def test_most_that_the_disk_lacked_is_kept_for_half_an_hour_at_least() -> None:
    exposure, minute = Exposure(), 60 * 10**9

    assert exposure.note(5, 0) == 5
    assert exposure.note(2, 31 * minute) == 5
    assert exposure.note(2, 62 * minute) == 2


class Rows:
    """A dictionary that learns its rows while a test goes on."""

    def __init__(self) -> None:
        self.prefix = PENDING_PREFIX

    def prefix_no(self, key: bytes, prefixes: tuple[bytes, ...] = ()) -> int:
        return self.prefix

    def agent_no(self, agent: bytes) -> int:
        return 7


def test_number_that_is_pending_is_asked_for_again_after_a_second(lanes: Path) -> None:
    ledger, rows = Ledger(lanes), Rows()
    ledger.counter = Counter(
        ledger.lane, DayKeys(lambda _: MONTH_KEY), [Policy(no=1)], numbers=rows
    )
    ledger.count()
    rows.prefix = 12
    ledger.count()
    ledger.counter.adopt([Policy(no=1)])
    ledger.count()
    found = [(record.prefix_no, record.ua) for record in ledger.records()]
    ledger.lane.close()

    assert found == [(PENDING_PREFIX, 7), (PENDING_PREFIX, 7), (12, 7)]


def test_client_behind_a_trusted_proxy_is_told_apart_from_it(lanes: Path) -> None:
    ledger = Ledger(lanes)
    counter = Counter(
        ledger.lane,
        DayKeys(lambda _: MONTH_KEY),
        [Policy(no=1)],
        trusted_proxies=networks(["127.0.0.1/32"]),
    )
    for forwarded in ("", ADDRESS):
        who = counter.http_asker("127.0.0.1", Headers(b"gateway/2.1", forwarded))
        now_ns = ledger.time.monotonic_ns
        ledger.counter.append(who.asker, counter.subject(KEY), FOUND, next(counter.nonces), now_ns)
    probe, client = ledger.records()
    ledger.lane.close()

    assert (probe.class_, client.class_) == (Class.SELF, Class.PRODUCTION)
    tags = DayTags(MONTH_KEY, day_of(START_NS))
    assert client.client_tag == int.from_bytes(
        tags.client_tag(bytes([198, 51, 100, 7]), b"gateway/2.1"), "little"
    )
    assert probe.nonce != client.nonce


def test_number_that_fits_no_record_is_refused_before_anything_is_counted() -> None:
    theirs = (RecordFlag.CLOCK_STEPPED, RecordFlag.PREFIX)  # which lane and subject add
    for proto, result, flags in (
        (256, 1, 0),
        (1, 65_536, 0),
        (1, 1, -1),
        *((1, 1, flag | RecordFlag.SUCCESS) for flag in theirs),
    ):
        with pytest.raises(ValueError, match="no record holds"):
            outcome(proto, result, flags)


def test_lane_that_is_closed_counts_nothing_and_makes_no_file(lanes: Path) -> None:
    ledger = Ledger(lanes)
    ledger.lane.close()

    assert ledger.count() == 0
    assert ledger.events == [Event.LEDGER_UNCOUNTED]
    assert len(lane_files(lanes)) == 1


@pytest.mark.parametrize(
    ("lane", "terms"),
    [
        (-1, SMALL),
        (65_536, SMALL),
        (0, LaneTerms(capacity=0)),
        (0, LaneTerms(capacity=2**25)),
        (0, LaneTerms(origin="节点" * 50)),
    ],
)
def test_terms_that_no_lane_can_keep_are_refused(lanes: Path, lane: int, terms: LaneTerms) -> None:
    with pytest.raises(LaneError):
        Lane.open(lanes, lane, lambda _: None, terms=terms)
    assert not lanes.exists()


def test_header_says_whose_lane_it_is(lanes: Path) -> None:
    terms = LaneTerms(Durability.STRICT, origin="节点.example/ledger", capacity=5)
    Ledger(lanes, terms=terms, lane=65_535).lane.close()

    with LaneReader.open(lane_files(lanes)[0].path) as reader:
        header = reader.header
    assert header[:4] == (65_535, 1, 5, START_NS // 1_000)
    assert (header.durability, header.origin) == (Durability.STRICT, "节点.example/ledger")
