import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.counters import Counters, slot_path
from node.metrics import GAUGES, IndexLevels, exposition
from resolver.answer import Status, Tier
from resolver.identifier import Scheme
from resolver.observe import Event, Gauge, Protocol, Tally, cell

ROOT = Path(__file__).resolve().parents[2]

Series = dict[str, float]


@pytest.fixture
def slots(tmp_path: Path) -> Iterator[tuple[Counters, Counters]]:
    opened = Counters.open(slot_path(tmp_path, 0)), Counters.open(slot_path(tmp_path, 1))
    yield opened
    for each in opened:
        each.close()


def series(slots: tuple[Counters, Counters]) -> Series:
    lines = exposition(slots).decode().splitlines()
    pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in pairs}


def answered(slot: Counters, nanoseconds: int) -> None:
    counted = cell(Protocol.UDP, Scheme.HANDLE, Status.FOUND, Tier.MEMORY)
    Tally(slot.cells).answered(counted, nanoseconds)


def test_resolutions_are_summed_over_workers(slots: tuple[Counters, Counters]) -> None:
    answered(slots[0], 1)
    answered(slots[0], 1)
    answered(slots[1], 1)

    shown = series(slots)

    name = 'idnode_resolutions_total{outcome="found",protocol="udp",scheme="handle",tier="memory"}'
    assert shown[name] == 3


def test_combinations_that_never_happened_are_left_out(slots: tuple[Counters, Counters]) -> None:
    assert not [name for name in series(slots) if name.startswith("idnode_resolutions_total")]


def test_latency_is_a_cumulative_histogram_in_seconds(slots: tuple[Counters, Counters]) -> None:
    answered(slots[0], 5_000)
    answered(slots[1], 20_000)
    answered(slots[1], 3_000_000_000)

    shown = series(slots)

    def bucket(bound: str) -> float:
        return shown[f'idnode_resolution_seconds_bucket{{le="{bound}",protocol="udp"}}']

    bounds = ("4.096e-06", "8.192e-06", "1.6384e-05", "3.2768e-05", "1.073741824")
    assert [bucket(bound) for bound in bounds] == [0, 1, 1, 2, 2]
    assert bucket("+Inf") == shown['idnode_resolution_seconds_count{protocol="udp"}'] == 3
    total = shown['idnode_resolution_seconds_sum{protocol="udp"}']
    assert total == pytest.approx(3.000_025)


def test_events_are_shown_from_zero_so_that_rates_can_be_taken(
    slots: tuple[Counters, Counters],
) -> None:
    Tally(slots[0].cells).happened(Event.UDP_RUNT, 2)
    Tally(slots[1].cells).happened(Event.UDP_RUNT, 5)

    shown = series(slots)

    assert shown['idnode_events_total{event="udp_runt"}'] == 7
    assert {f'idnode_events_total{{event="{event.value}"}}' for event in Event} <= set(shown)


def test_levels_are_shown_by_worker(slots: tuple[Counters, Counters]) -> None:
    Tally(slots[0].cells).level(Gauge.HOT_ENTRIES, 7)
    Tally(slots[1].cells).level(Gauge.HOT_ENTRIES, 9)

    shown = series(slots)

    assert shown['idnode_hot_entries{worker="0"}'] == 7
    assert shown['idnode_hot_entries{worker="1"}'] == 9


def test_every_level_has_a_series() -> None:
    assert set(GAUGES) == set(Gauge)


def test_starts_and_processes_are_shown(slots: tuple[Counters, Counters]) -> None:
    slots[0].begin(1)
    slots[0].begin(os.getpid())

    shown = series(slots)

    assert shown['idnode_worker_starts_total{worker="0"}'] == 2
    assert shown['idnode_process_cpu_seconds_total{process="worker-0"}'] > 0
    assert shown['idnode_process_resident_bytes{process="keeper"}'] > 1_000_000
    assert 'idnode_process_cpu_seconds_total{process="worker-1"}' not in shown  # never started


def test_the_build_is_named(slots: tuple[Counters, Counters]) -> None:
    assert [
        value for name, value in series(slots).items() if name.startswith("idnode_build_info{")
    ] == [1.0]


def test_alerts_name_only_series_and_events_that_exist(slots: tuple[Counters, Counters]) -> None:
    answered(slots[0], 1)
    slots[0].begin(os.getpid())
    shown = {name.partition("{")[0] for name in series(slots)}
    rules = (ROOT / "deploy" / "prometheus" / "alerts.yml").read_text("utf-8")

    assert set(re.findall(r"\bidnode_\w+", rules)) <= shown
    assert set(re.findall(r'event="(\w+)"', rules)) <= {event.value for event in Event}


def test_every_alert_has_a_first_look_in_the_runbook() -> None:
    deploy = ROOT / "deploy"
    rules = (deploy / "prometheus" / "alerts.yml").read_text("utf-8")
    runbook = (deploy / "README.md").read_text("utf-8")

    named = re.findall(r"^ +- alert: (\w+)$", rules, re.MULTILINE)

    assert named
    assert [name for name in named if f"| {name} |" not in runbook] == []


def test_lag_of_reverse_look_up_is_that_of_the_keeper(slots: tuple[Counters, Counters]) -> None:
    shown = exposition(slots, IndexLevels(7, is_incomplete=True)).decode()
    assert "idnode_reverse_behind 7.0" in shown
    assert "idnode_reverse_incomplete 1.0" in shown
