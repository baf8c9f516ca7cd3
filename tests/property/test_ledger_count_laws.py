"""Laws of counting, against the rules written down a second time, in the slow and plain way."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from node.ledger.count import DAY_US, HOUR_US, WINDOW_US, Cell, Piece, Tally, count_day, events
from node.ledger.record import Record, encode

START = 1_793_635_200_000_000 - 8 * HOUR_US
SECOND = 1_000_000


@st.composite
def lanes(draw: st.DrawFn) -> list[list[Record]]:
    """Records of up to three lanes, of few clients and identifiers, close together, over midnight, clocks that step."""
    near = st.sampled_from([0, HOUR_US - 3 * SECOND, DAY_US - 40 * SECOND, -20 * SECOND])
    step = st.sampled_from([0, 1, SECOND, 10 * SECOND, WINDOW_US, WINDOW_US + 1, -5 * SECOND])
    found = []
    for _ in range(draw(st.integers(1, 3))):
        time, records = START + draw(near), []
        for seq in range(1, draw(st.integers(0, 30)) + 1):
            time += draw(step)
            flags = draw(st.sampled_from([1, 1, 1, 0, 257]))
            few = st.integers(1, 2)
            class_ = draw(st.sampled_from([0, 0, 0, 1, 3]))
            records.append(
                Record(
                    seq,
                    time,
                    0,
                    class_,
                    draw(few),
                    1,
                    draw(few),
                    draw(few),
                    0,
                    draw(few),
                    1,
                    0,
                    flags,
                    0,
                    draw(few),
                )
            )
        found.append(records)
    return found


def pieces(lanes: Sequence[Sequence[Record]], size: int) -> list[Piece]:
    made = []
    for lane, records in enumerate(lanes):
        for number, at in enumerate(range(0, len(records), size)):
            part = records[at : at + size]
            times = [record.t_us for record in part]
            body = b"".join(encode(record, 0) for record in part)
            span = min(times), max(times)
            made.append(
                Piece(lane, 1, number, span, partial(bytes, body), leaf=100 * lane + number)
            )
    return made


def plainly(lanes: Sequence[Sequence[Record]]) -> list[tuple[Record, str]]:
    """Judge each record by looking at all those before it."""
    found: list[tuple[Record, str]] = []
    all_of_day = [
        (record.t_us, lane, record.seq, record)
        for lane, records in enumerate(lanes)
        for record in records
        if START <= record.t_us < START + DAY_US
    ]
    for time, _, _, record in sorted(all_of_day):
        before = [
            other
            for other, _ in found
            if other[6:8] == record[6:8]
            and other.class_ == record.class_
            and other.flags == record.flags
            and time - other.t_us <= WINDOW_US
        ]
        if any(other.nonce == record.nonce for other in before):
            found.append((record, "repeat"))
        else:
            found.append((record, "within" if before else "new"))
    return found


@given(lanes(), st.integers(1, 10))
def test_a_day_is_counted_as_the_rules_say(records: list[list[Record]], size: int) -> None:
    counted = count_day(pieces(records, size), START)
    expected: dict[Cell, Tally] = {}
    identifiers, clients = {}, set()
    for record, standing in plainly(records):
        kind = (record.flags & 1) + (2 if record.flags & 256 else 0)
        hour = (record.t_us - START) // HOUR_US
        cell = Cell(record.prefix_no, record.proto, record.result, record.class_, kind, hour)
        one = Tally(1, int(standing != "repeat"), int(standing == "new"))
        expected[cell] = expected.get(cell, Tally(0, 0, 0)) + one
        if kind == 1 and not record.class_:
            identifiers[record.id_tag] = record.prefix_no
            clients.add(record.client_tag)
    assert counted.cells == expected
    assert counted.identifiers == Counter(identifiers.values())
    assert counted.clients == len(clients)


@given(lanes(), st.integers(1, 10), st.randoms())
def test_neither_the_order_nor_the_cut_of_blocks_matters(
    records: list[list[Record]], size: int, random: Random
) -> None:
    whole, cut = pieces(records, 1_000), pieces(records, size)
    random.shuffle(cut)
    assert count_day(cut, START) == count_day(whole, START)


@given(lanes(), st.integers(1, 10))
def test_the_events_of_a_day_come_to_its_count(records: list[list[Record]], size: int) -> None:
    parts = pieces(records, size)
    found = list(events(parts, START))
    counted = count_day(parts, START).resolutions()
    assert [event.time for event in found] == sorted(event.time for event in found)
    assert (len(found), sum(event.is_filtered for event in found)) == counted[1:]


@given(lanes(), lanes())
def test_days_are_half_open(one: list[list[Record]], other: list[list[Record]]) -> None:
    """Each record belongs to one day, also those of a block over midnight."""
    parts = pieces(one + other, 7)
    days = [count_day(parts, START + day * DAY_US) for day in (-1, 0, 1)]
    total = sum(day.total(lambda _: True).requests for day in days)
    assert total == sum(map(len, one + other))
