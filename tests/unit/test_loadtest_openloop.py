"""The open loop against servers that answer, lose, delay, falsify and break off, over real sockets."""

import time
from functools import partial

import pytest

from loadtest.exchange import Exchange, echo_exchange, http_exchange, http_request, native_request
from loadtest.openloop import prepare_open
from loadtest.plan import LATE_SECONDS
from loadtest.run import Run, run_apart
from tests.support.unruly import HTTP_BODY, Treat, echo, running_unruly

KEYS = 40
CONNECTIONS = 16
LONG_SECONDS = 20.0  # no machine pauses for so long
SHORT_SECONDS = 2.0  # is waited for what never comes
LARGE_BYTES = 15_000_000
LARGE_SECONDS = 10.0  # a slot of its ring is a copy, one a second
TRANSPORTS = ("udp", "tcp", "http")


def _exchanges(transport: str) -> list[Exchange]:
    handles = [b"88.118/item-%04d" % number for number in range(KEYS)]
    if transport == "http":
        return [http_exchange(http_request(handle, "x"), HTTP_BODY) for handle in handles]
    return [echo_exchange(native_request(handle)) for handle in handles]


def _run(
    transport: str,
    treat: Treat,
    *,
    rate: float = 400,
    seconds: float = 0.25,
    warm_seconds: float = 0.0,
    patience: float = LONG_SECONDS,
) -> Run:
    """Ask a server that treats answers as `treat` says, from a process of our own."""
    with running_unruly(transport, treat) as address:
        return run_apart(
            lambda: prepare_open(
                address,
                _exchanges(transport),
                transport=transport,
                rate=rate,
                seconds=seconds,
                warm_seconds=warm_seconds,
                connections=CONNECTIONS,
                patience=patience,
            ),
            core=None,
            started=lambda _: None,
        )


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_an_open_loop_sleeps_while_it_has_nothing_to_do(transport: str) -> None:
    run = _run(transport, echo, rate=2_000)

    assert 0 < run.slept <= run.waited
    assert run.slept > run.generator_seconds / 10  # a loop that is always awake: none


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_every_question_of_the_plan_is_answered_once(transport: str) -> None:
    run = _run(transport, echo)

    assert (run.asked, run.answers, len(run.histogram)) == (100, 100, 100)
    assert (run.lost, run.wrong, run.unasked, run.strays) == (0, 0, 0, 0)
    assert sum(run.each_second) == 100
    assert 0 < run.quantile_us(0.5) <= run.quantile_us(1)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_warm_up_is_asked_and_not_counted(transport: str) -> None:
    run = _run(transport, echo, warm_seconds=0.1)

    assert (run.asked, run.answers, run.warm_answers) == (100, 100, 40)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_what_is_not_answered_is_lost_and_nothing_else(transport: str) -> None:
    def lose(number: int, answer: bytes) -> bytes:
        return b"" if number % 10 == 3 else answer

    run = _run(transport, lose, patience=SHORT_SECONDS)

    assert (run.answers, run.lost, run.wrong) == (90, 10, 0)
    assert not run.holds


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_falsified_answer_is_wrong_and_not_lost(transport: str) -> None:
    def falsify(number: int, answer: bytes) -> bytes:
        return answer[:-1] + b"?" if number % 10 == 3 else answer

    run = _run(transport, falsify)

    assert (run.answers, run.wrong, run.lost) == (90, 10, 0)
    assert not run.holds
    assert b"?".decode() in run.faults[0] or b"?".hex() in run.faults[0]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_who_waits_behind_a_pause_has_waited_too(transport: str) -> None:
    """A pause at one question: all that come due in it are late, though each would be answered at once."""
    pause = 2 * LATE_SECONDS

    def halt(number: int, answer: bytes) -> bytes:
        time.sleep(pause if number == 20 else 0)
        return answer

    run = _run(transport, halt, rate=200, seconds=0.5)

    assert (run.answers, run.lost, run.wrong) == (100, 0, 0)
    assert run.late >= 40
    assert run.histogram.longest >= pause
    assert not run.holds


@pytest.mark.parametrize("transport", ["tcp", "http"])
def test_a_connection_that_breaks_costs_what_was_under_way_on_it(transport: str) -> None:
    def break_off(number: int, answer: bytes) -> bytes | None:
        return None if number == 30 else answer

    run = _run(transport, break_off, patience=SHORT_SECONDS)

    assert run.reconnects == 1
    assert 1 <= run.lost < 100
    assert run.answers + run.lost == 100


def test_an_answer_that_comes_twice_counts_once() -> None:
    run = _run("tcp", lambda _, answer: answer + answer)

    assert (run.answers, run.strays, run.wrong) == (100, 100, 0)


def test_a_datagram_with_something_behind_its_answer_is_wrong() -> None:
    run = _run("udp", lambda _, answer: answer + b"?")

    assert (run.answers, run.wrong, run.lost) == (0, 100, 0)


def test_a_plan_that_no_generator_keeps_is_admitted() -> None:
    """Ten million questions a second: what was not asked in time is said to be so."""
    run = _run("http", echo, rate=10_000_000, seconds=0.01, patience=SHORT_SECONDS)

    assert run.answers + run.unasked + run.lost + run.wrong == run.asked == 100_000
    assert run.behind_share > 0.5
    assert not run.holds


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_more_than_a_server_can_take_is_accounted_for_to_the_last_question(transport: str) -> None:
    run = _run(transport, echo, rate=100_000, seconds=0.05, patience=SHORT_SECONDS)

    assert run.answers + run.lost + run.unasked == run.asked == 5_000
    assert run.wrong == 0


def test_a_question_that_the_kernel_takes_in_parts_is_sent_whole_though_none_follows() -> None:
    """One question, larger than what both ends of a connection hold; its answer comes when it is whole."""
    large = echo_exchange(native_request(b"x" * LARGE_BYTES))
    with running_unruly("tcp", echo) as address:
        prepare = partial(prepare_open, address, [large], transport="tcp", rate=1, seconds=1.0)
        run = run_apart(
            lambda: prepare(warm_seconds=0.0, patience=LARGE_SECONDS, connections=1),
            core=None,
            started=lambda _: None,
        )

    assert (run.answers, run.lost, run.wrong) == (1, 0, 0)


@pytest.mark.parametrize("rate", [0, -1.0, 0.5])
def test_a_plan_without_questions_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="no question is due"):
        prepare_open(("127.0.0.1", 9), [], transport="udp", rate=rate, seconds=1.0)
