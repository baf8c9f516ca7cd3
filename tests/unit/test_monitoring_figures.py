"""The figures of a day, and which troubles are events: from counters and signs to rows."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from node.counters import Counters, slot_path
from node.signs import signs_of
from node.store.monitoring import StateEvent, Stop
from node.upstream.figures import Extreme, Figures, Latencies, milliseconds, performance_row
from node.upstream.notebook import Notebook, Notes
from node.upstream.sampling import Sampler
from node.upstream.troubles import Sign, Watch, event_row
from node.web.health import Check
from resolver.answer import Status, Tier
from resolver.identifier import Scheme
from resolver.observe import Protocol, Tally, bucket_bounds, cell, latency_row
from sync.channels.tables import TABLES

DAY, AT = date(2026, 11, 23), 1_795_363_200
UDP = cell(Protocol.UDP, Scheme.HANDLE, Status.FOUND, Tier.MEMORY)
HTTP = cell(Protocol.HTTP_JSON, Scheme.HANDLE, Status.FOUND, Tier.MEMORY)


@pytest.fixture
def slots(tmp_path: Path) -> Iterator[tuple[Counters, Counters]]:
    opened = Counters.open(slot_path(tmp_path, 0)), Counters.open(slot_path(tmp_path, 1))
    yield opened
    for each in opened:
        each.close()


def test_one_answer_of_a_second_is_exact_and_more_are_told_by_the_ends_of_their_buckets(
    slots: tuple[Counters, Counters],
) -> None:
    sampler, (one, other) = Sampler(slots), map(Tally, (slots[0].cells, slots[1].cells))
    one.answered(UDP, 300_000)
    found = sampler.gain(AT).resolution
    assert found == Latencies(1, 300_000, Extreme(300_000, AT), Extreme(300_000, AT))

    one.answered(UDP, 5_000)
    one.answered(UDP, 6_000)
    other.answered(HTTP, 2_000_000)
    found = sampler.gain(AT + 1).resolution
    assert (found.count, found.total) == (3, 2_011_000)
    assert (found.least, found.most) == (Extreme(4_096, AT + 1), Extreme(2_000_000, AT + 1))
    assert sampler.gain(AT + 2) == Figures()


@pytest.mark.parametrize("elapsed", [0, 1, 4_095, 4_096, 5_000, 1_000_000, 10**10])
def test_bounds_of_a_bucket_lie_around_what_falls_into_it(elapsed: int) -> None:
    cells = [0] * 10_000
    Tally(cells).answered(UDP, elapsed)
    buckets, _ = latency_row(Protocol.UDP)
    (bucket,) = [place for place, at in enumerate(buckets) if cells[at]]
    least, most = bucket_bounds(bucket)
    assert least <= elapsed < most


def test_a_counter_that_falls_back_is_no_negative(slots: tuple[Counters, Counters]) -> None:
    tally = Tally(slots[0].cells)
    for _ in range(9):
        tally.answered(UDP, 1_000)
        tally.registered(7_000_000)
    sampler = Sampler(slots)
    slots[0].zero()
    tally.answered(UDP, 9_000)
    found = sampler.gain(AT)
    assert (found.resolution.count, found.resolution.total) == (1, 9_000)
    assert found.registration == Latencies()


def test_registrations_are_timed_apart_from_resolutions(slots: tuple[Counters, Counters]) -> None:
    sampler = Sampler(slots)
    Tally(slots[1].cells).registered(12_345_678)
    found = sampler.gain(AT)
    assert found.registration.most == Extreme(12_345_678, AT)
    assert (found.resolution, found.peak) == (Latencies(), None)


def test_the_peak_is_of_a_second_however_long_or_short_it_was_looked_at(
    slots: tuple[Counters, Counters],
) -> None:
    sampler, tally = Sampler(slots), Tally(slots[0].cells)
    peaks = []
    for seconds in (1.0, 4.0, 0.1):
        for _ in range(8):
            tally.answered(UDP, 1_000)
        peaks.append(sampler.gain(AT, seconds).peak)
    assert peaks == [Extreme(8, AT), Extreme(2, AT), Extreme(8, AT)]


def test_parts_of_a_day_merge_in_any_order_and_survive_being_stored() -> None:
    early = Figures(Latencies(1, 10, Extreme(10, 1), Extreme(10, 1)), Latencies(), Extreme(5, 1))
    late = Figures(Latencies(2, 14, Extreme(4, 2), Extreme(10, 2)), Latencies(), Extreme(5, 2))
    both = early.merge(late)
    assert both == late.merge(early) == Figures().merge(both)
    assert both.resolution == Latencies(3, 24, Extreme(4, 2), Extreme(10, 1))
    assert both.peak == Extreme(5, 1)
    assert Figures.decode(both.encode()) == both
    assert Figures.decode("null") == Figures()


def test_the_row_of_a_day_says_all_figures_and_leaves_out_what_there_was_not() -> None:
    slow = Latencies(2, 5_000_000, Extreme(1_500_000, AT), Extreme(4_194_304, AT + 60))
    figures = Figures(slow, Latencies(), Extreme(800, AT + 1))
    row = performance_row("88.118", DAY, figures)
    assert (row.table, row.key) == ("M1", "88.118|2026-11-23")
    assert TABLES["M1"].decode(row.body or b"") == {
        "prefix": "88.118",
        "day": "2026-11-23",
        "resolution_mean": "2.5",
        "resolution_max": "4.194",
        "resolution_max_at": "2026-11-22T16:01:00Z",
        "resolution_min": "1.5",
        "resolution_min_at": "2026-11-22T16:00:00Z",
        "resolution_peak": 800,
        "resolution_peak_at": "2026-11-22T16:00:01Z",
    }
    quiet = performance_row("88.118", DAY, Figures())
    assert TABLES["M1"].decode(quiet.body or b"") == {"prefix": "88.118", "day": "2026-11-23"}


@pytest.mark.parametrize(
    ("nanoseconds", "said"),
    [(0, "0"), (499, "0"), (4_096, "0.004"), (1_000_000, "1"), (12_340_000, "12.34")],
)
def test_milliseconds_have_no_needless_zeros(nanoseconds: int, said: str) -> None:
    assert milliseconds(nanoseconds) == said


def watch() -> Watch:
    numbers = iter(range(100))
    return Watch({}, lambda: f"{next(numbers):016x}")


def test_trouble_of_five_seconds_is_an_event_and_its_end_names_it() -> None:
    found, watched = [], watch()
    for second in range(30):
        ok = not 10 <= second < 20
        found += watched.look(AT + second, [Sign("postgres", ok, "away" if not ok else "there")])
    abnormal, recovered = found
    assert (abnormal.at, abnormal.cause, abnormal.answers) == (AT + 10, "away", "")
    assert (recovered.at, recovered.cause) == (AT + 20, "there")
    assert recovered.answers == abnormal.event != recovered.event
    rows = [TABLES["E"].decode(event_row("88.118", each).body or b"") for each in found]
    assert [row["type"] for row in rows] == ["abnormal", "recovered"]
    assert rows[1]["answers"] == rows[0]["event"]


def test_a_moment_of_trouble_is_none_and_what_cannot_be_told_changes_nothing() -> None:
    watched = watch()
    for second in range(40):
        assert watched.look(AT + second, [Sign("a", second % 5 == 0, "")]) == []
    assert watched.look(AT + 40, [Sign("a", True, "")]) == []
    for second in range(41, 60):
        assert watched.look(AT + second, [Sign("a", None, "")]) == []


def test_what_only_workers_know_is_not_told_without_them() -> None:
    away = [
        Check("postgres", False, "not reached"),
        Check("change feed", False, "not read yet"),
        Check("redis", True, "not in use"),
        Check("ledger", True, "published"),
    ]
    without = {sign.name: sign.ok for sign in signs_of(0, away)}
    assert without == {"workers": False, "postgres": None, "change feed": None, "ledger": True}
    signs = {sign.name: sign for sign in signs_of(2, away)}
    assert (signs["workers"].ok, signs["postgres"].ok, signs["change feed"].ok) == (
        True,
        False,
        None,
    )
    assert signs["postgres"].sentence == "postgres: not reached"


def test_the_notebook_keeps_what_stands_in_it(tmp_path: Path) -> None:
    notebook = Notebook(tmp_path / "monitoring.json")
    assert notebook.read() == (Notes(), 0)
    event = StateEvent("1", "", AT, "断电", 2)
    notes = Notes({"postgres": event}, [event], [Stop(1, 2)], is_stopped=True)
    notebook.write(notes.encode(), AT)
    assert notebook.read() == (notes, AT)
    (tmp_path / "monitoring.json").write_bytes(b'{"open": []}')
    with pytest.raises(ValueError, match="no notebook"):
        notebook.read()
