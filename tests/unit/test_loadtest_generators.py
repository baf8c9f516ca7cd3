"""The load generators against the echo baselines, and against servers that answer wrongly."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from loadtest.baselines.echo import BODY
from loadtest.exchange import (
    Exchange,
    echo_exchange,
    http_exchange,
    http_request,
    native_exchange,
    native_request,
)
from loadtest.generator_http import prepare_http
from loadtest.generator_tcp import prepare_tcp
from loadtest.generator_udp import prepare_udp
from loadtest.run import run_apart
from tests.support.echo import running_echo

HOST = "127.0.0.1"
SHORT_SECONDS = 0.1


@pytest.fixture(scope="module")
def ports() -> Iterator[dict[str, int]]:
    """The three ports of a running echo baseline."""
    with running_echo(HOST) as found:
        yield found


def _echoed(count: int) -> list[Exchange]:
    return [echo_exchange(native_request(b"88.118/item-%05d" % number)) for number in range(count)]


def _fixed(count: int, port: int, body: bytes = BODY) -> list[Exchange]:
    requests = (
        http_request(f"88.118/item-{number}".encode(), f"{HOST}:{port}") for number in range(count)
    )
    return [http_exchange(request, body) for request in requests]


def test_udp_asks_each_once_and_finds_every_echo_right(ports: dict[str, int]) -> None:
    run = prepare_udp((HOST, ports["udp"]), _echoed(1_000), once=True, sockets=3)()

    assert (run.answers, run.wrong, run.strays) == (1_000, 0, 0)


def test_udp_goes_round_for_the_time_it_is_given(ports: dict[str, int]) -> None:
    run = prepare_udp((HOST, ports["udp"]), _echoed(200), seconds=SHORT_SECONDS)()

    assert run.answers > 200
    assert run.wrong == 0
    assert 0 < run.quantile_us(0.5) <= run.quantile_us(0.99)
    assert SHORT_SECONDS <= run.seconds < SHORT_SECONDS + 1


@pytest.mark.parametrize("depth", [1, 32])
def test_tcp_asks_each_once_and_finds_every_echo_right(ports: dict[str, int], depth: int) -> None:
    run = prepare_tcp((HOST, ports["tcp"]), _echoed(960), once=True, depth=depth)()

    assert (run.answers, run.wrong, run.reconnects) == (960, 0, 0)


@pytest.mark.parametrize("depth", [1, 32])
def test_tcp_goes_round_for_the_time_it_is_given(ports: dict[str, int], depth: int) -> None:
    run = prepare_tcp((HOST, ports["tcp"]), _echoed(960), seconds=SHORT_SECONDS, depth=depth)()

    assert run.answers > 960
    assert run.wrong == 0


def test_http_asks_each_once_and_finds_every_body_right(ports: dict[str, int]) -> None:
    run = prepare_http((HOST, ports["http"]), _fixed(500, ports["http"]), once=True)()

    assert (run.answers, run.wrong) == (500, 0)


def test_http_counts_another_body_as_wrong(ports: dict[str, int]) -> None:
    exchanges = _fixed(20, ports["http"], body=BODY[:-1] + b"y")

    run = prepare_http((HOST, ports["http"]), exchanges, once=True, connections=2)()

    assert (run.answers, run.wrong) == (0, 20)
    assert b"x".decode() in run.faults[0]


@pytest.mark.parametrize("depth", [1, 4])
def test_tcp_counts_another_tail_as_wrong(ports: dict[str, int], depth: int) -> None:
    exchanges = [one._replace(tail=one.tail[:-1] + b"\x01") for one in _echoed(20)]

    run = prepare_tcp((HOST, ports["tcp"]), exchanges, once=True, connections=2, depth=depth)()

    assert (run.answers, run.wrong) == (0, 20 // depth)


def test_udp_counts_another_tail_as_wrong(ports: dict[str, int]) -> None:
    exchanges = [one._replace(tail=one.tail[:-1] + b"\x01") for one in _echoed(20)]

    run = prepare_udp((HOST, ports["udp"]), exchanges, once=True)()

    assert (run.answers, run.wrong) == (0, 20)


def test_udp_asks_again_what_was_lost() -> None:
    """A server that drops the first copy of every tenth datagram."""
    seen: set[bytes] = set()

    def answer(data: bytes) -> list[bytes]:
        first = data not in seen
        seen.add(data)
        return [] if first and data[8] % 10 == 0 else [data]

    with _udp_server(answer) as port:
        run = prepare_udp((HOST, port), _echoed(100), once=True)()

    assert (run.answers, run.lost, run.wrong) == (100, 10, 0)


def test_udp_tells_an_answer_that_came_twice_from_a_wrong_one() -> None:
    with _udp_server(lambda data: [data, data]) as port:
        run = prepare_udp((HOST, port), _echoed(50), once=True, window=1)()

    assert (run.answers, run.wrong) == (50, 0)
    assert run.strays > 0


def test_udp_counts_a_runt_as_wrong() -> None:
    with _udp_server(lambda data: [data[:11], data]) as port:
        run = prepare_udp((HOST, port), _echoed(5), once=True, window=1)()

    assert run.wrong > 0


def test_generator_in_a_child_starts_when_the_caller_has_read_its_clocks(
    ports: dict[str, int],
) -> None:
    told: list[int] = []
    exchanges = _echoed(100)

    run = run_apart(
        lambda: prepare_udp((HOST, ports["udp"]), exchanges, once=True),
        core=None,
        started=told.append,
    )

    assert len(told) == 1
    assert run.answers == 100
    assert run.generator_seconds > 0


def test_native_request_is_the_recorded_one() -> None:
    """Bytes of the vector `udp_resolve_found` of the recorded exchanges."""
    recorded = bytes.fromhex(
        "020b020b0000000001020301000000000000003c000000010000000001000000ffff00007fffffff"
        "000000200000001432302e3530302e31323334352f68303030303031000000000000000000000000"
    )

    made = native_request(b"20.500.12345/h000001", 0x01020301, 0x01000000)

    assert made == recorded


@pytest.mark.parametrize(
    "answer", [b"", native_request(b"88.1/x"), native_request(b"88.1/x")[:-1], bytes(48)]
)
def test_only_a_whole_resolution_that_succeeded_can_be_expected(answer: bytes) -> None:
    with pytest.raises(ValueError, match="not a"):
        native_exchange(native_request(b"88.1/x"), answer)


@contextmanager
def _udp_server(answer: Callable[[bytes], list[bytes]]) -> Iterator[int]:
    """A server that sends back what `answer` makes of each datagram."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((HOST, 0))
        server.settimeout(5)

        def serve() -> None:
            while (received := server.recvfrom(2048))[0]:
                for reply in answer(received[0]):
                    server.sendto(reply, received[1])

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.sendto(b"", server.getsockname())
            thread.join()
