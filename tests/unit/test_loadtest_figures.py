"""What the bench computes from its runs, and what it reads from /proc."""

import os
import subprocess
import sys
import time

import pytest

from loadtest import cpu
from loadtest.figures import Measured, Scenario, Target, speed_targets
from loadtest.ledger_paths import Path
from loadtest.run import Run


def _measured(answers: int, worker_seconds: float, *, seconds: float = 1.0) -> Measured:
    return Measured(
        Run(answers=answers, seconds=seconds, generator_seconds=0.5),
        worker_seconds=worker_seconds,
        tree_seconds=2 * worker_seconds,
        core_seconds=worker_seconds + 0.25,
    )


def _scenario(name: str, *measured: Measured) -> Scenario:
    return Scenario(name, name, lambda: measured[0], list(measured))


def test_processor_time_an_answer_is_that_of_the_worker_over_all_its_answers() -> None:
    measured = _measured(100_000, 0.8)

    assert measured.worker_us == pytest.approx(8.0)
    assert measured.tree_us == pytest.approx(16.0)
    assert measured.worker_share == pytest.approx(0.8)
    assert measured.stolen_share == pytest.approx(0.25)


def test_scenario_gives_the_middle_run_and_the_range() -> None:
    scenario = _scenario("x", *(_measured(100_000, cost) for cost in (0.7, 1.9, 0.8)))

    assert scenario.per_cpu_second == pytest.approx(125_000)
    assert scenario.extent(lambda one: one.worker_us) == pytest.approx((7.0, 19.0))


def test_targets_compare_with_the_baselines_of_the_same_run() -> None:
    scenarios = [
        _scenario("udp-warm", _measured(100_000, 0.6)),
        _scenario("echo-udp", _measured(100_000, 0.36)),
        _scenario("plain-redis", _measured(5_000, 1.0)),
    ]

    met = {target.text: target.is_met for target in speed_targets(scenarios)}

    assert met["UDP warm, answers per worker CPU second"] is True
    assert met["UDP warm ÷ bare uvloop UDP echo"] is True
    assert met["UDP warm ÷ plain FastAPI route"] is True
    assert met["HTTP warm, answers per worker CPU second"] is None


def test_target_with_an_upper_bound_is_missed_above_it() -> None:
    assert Target("bytes", 1_501, 1_500, at_least=False).is_met is False
    assert Target("bytes", 1_500, 1_500, at_least=False).is_met is True


def test_quantile_is_a_latency_that_was_seen() -> None:
    run = Run(latencies=[number / 1e6 for number in range(1, 101)])

    assert run.quantile_us(0.5) == pytest.approx(51)
    assert run.quantile_us(0.99) == pytest.approx(100)
    assert run.quantile_us(1.0) == pytest.approx(100)


def test_processor_time_of_a_process_grows_as_it_computes() -> None:
    before = cpu.cpu_seconds(os.getpid())
    until = time.process_time() + 0.05
    while time.process_time() < until:
        pass

    assert 0.045 <= cpu.cpu_seconds(os.getpid()) - before < 1.0
    assert cpu.rss_bytes(os.getpid()) > 1_000_000
    assert cpu.cpu_seconds(2**22 + 1) == 0.0


def test_tree_holds_the_children_and_pinning_reaches_them() -> None:
    core = min(os.sched_getaffinity(0))
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        found = cpu.tree([os.getpid()])
        cpu.pin([child.pid, 2**22 + 1], core)

        assert child.pid in found
        assert os.sched_getaffinity(child.pid) == {core}
        assert "input()" in cpu.command(child.pid)
        child.communicate(b"\n", timeout=10)


def test_put_first_is_in_real_time_where_we_may_and_passes_over_who_is_gone() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        cpu.put_first(child.pid)
        cpu.put_first(2**22 + 1)

        try:
            os.sched_setscheduler(child.pid, os.SCHED_RR, os.sched_param(1))
            allowed = os.SCHED_RR
        except PermissionError:
            allowed = os.SCHED_OTHER
        assert os.sched_getscheduler(child.pid) == allowed
        child.communicate(b"\n", timeout=10)


def test_a_generator_that_was_late_itself_tells_nothing_of_the_server() -> None:
    run = Run(asked=1_000, behind=5, latencies=[0.002])
    assert (run.tells, run.told_us(0.99)) == (True, "2,000")

    run.behind = 6
    assert (run.tells, run.told_us(0.99)) == (False, "2,000?")


def test_a_generators_cost_is_without_its_busy_waiting_whether_or_not_it_slept() -> None:
    busy = Run(answers=1_000, seconds=10, generator_seconds=10.0, waited=6.0)
    slept = Run(answers=1_000, seconds=10, generator_seconds=5.0, waited=6.0, slept=5.0)

    cost = [Measured(run, 1.0, 1.0, 1.0).generator_us for run in (busy, slept)]
    assert cost == pytest.approx([4_000, 4_000])


def test_awake_ends_its_spinner() -> None:
    with cpu.awake(min(os.sched_getaffinity(0))) as spinner:
        assert cpu.command(spinner)

    assert cpu.command(spinner) == ""


def test_ledger_adds_what_the_runs_of_a_round_differ_by_however_slow_the_round() -> None:
    seconds = (0.70, 1.40, 0.70, 0.90, 1.40)  # for 100,000 answers without the ledger
    off = _scenario("off", *(_measured(100_000, each) for each in seconds))
    on = _scenario("on", *(_measured(100_000, each + 0.10) for each in seconds[:4]))

    calm = [_scenario(each) for each in ("calm on", "calm off", "echo")]
    path = Path("tcp", "TCP", on, off, *calm)

    assert path.cost.figure == pytest.approx(1.0)  # the fifth round is not over
    assert path.best_us == pytest.approx(1.0)
