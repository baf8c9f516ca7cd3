"""What one source may take of a worker: connections, silence, and UDP answers."""

from dataclasses import dataclass

import pytest

from resolver.guard import Guard
from resolver.observe import CELL_COUNT, Event, Gauge, Tally, event_cell, gauge_cell

SECOND = 1_000_000_000
START = 1_000 * SECOND


@dataclass(eq=False)
class Client:
    """A connection as the guard sees it."""

    last_used_ns: int = START
    request_began_ns: int = 0
    unread_since_ns: int = 0
    answering: bool = False
    held: bool = False
    is_closed: bool = False

    def is_answering(self) -> bool:
        return self.answering

    def is_held(self) -> bool:
        return self.held

    def close_idle(self) -> None:
        self.is_closed = True


class Gate:
    """A guard with its counters."""

    def __init__(self, *, rate: int = 10, burst: int = 20) -> None:
        self.tally = Tally([0] * CELL_COUNT)
        self.guard = Guard(
            self.tally,
            connections_max=5,
            connections_per_source=3,
            request_seconds=10,
            idle_seconds=60,
            udp_answers_per_second=rate,
            udp_answers_burst=burst,
        )

    def happened(self, event: Event) -> int:
        return self.tally.cells[event_cell(event)]

    @property
    def level(self) -> int:
        return self.tally.cells[gauge_cell(Gauge.CONNECTIONS)]

    def swept(self, client: Client, seconds: float) -> bool:
        """Admit a connection, sweep so many seconds after the start, and say whether it was closed."""
        assert self.guard.admit(client, "a")
        self.guard.sweep(START + round(seconds * SECOND))
        return client.is_closed


class TestConnections:
    def test_one_source_may_have_so_many(self) -> None:
        gate = Gate()

        admitted = [gate.guard.admit(Client(), "a") for _ in range(4)]

        assert admitted == [True, True, True, False]
        assert gate.guard.admit(Client(), "b")
        assert (gate.happened(Event.CONNECTION_REFUSED), gate.level) == (1, 4)

    def test_all_addresses_of_one_customer_are_one_source(self) -> None:
        gate = Gate()
        addresses = ["2001:db8::1", "2001:db8::2", "2001:db8:0:0:ffff::3", "2001:db8::4"]
        clients = [Client() for _ in addresses]

        admitted = [gate.guard.admit(*each) for each in zip(clients, addresses, strict=True)]

        assert admitted == [True, True, True, False]
        assert gate.guard.admit(Client(), "2001:db8:0:1::1")
        gate.guard.release(clients[0])
        assert gate.guard.admit(Client(), "2001:db8::5")

    def test_all_together_may_have_so_many(self) -> None:
        gate = Gate()

        admitted = [gate.guard.admit(Client(), source) for source in "abcdefg"]

        assert admitted == [True] * 5 + [False] * 2
        assert (gate.happened(Event.CONNECTION_REFUSED), gate.level) == (2, 5)

    def test_one_that_is_gone_makes_room(self) -> None:
        gate = Gate()
        clients = [Client() for _ in range(3)]
        for client in clients:
            gate.guard.admit(client, "a")

        gate.guard.release(clients[1])

        assert gate.guard.admit(Client(), "a")
        assert not gate.guard.admit(Client(), "a")

    def test_those_left_at_the_end_are_closed_though_nothing_is_wrong_with_them(self) -> None:
        gate = Gate()
        clients = [Client(), Client(answering=True), Client(held=True)]
        for client in clients:
            gate.guard.admit(client, "a")

        gate.guard.end()

        assert [client.is_closed for client in clients] == [True] * 3

    def test_one_that_was_refused_gives_nothing_back(self) -> None:
        gate = Gate()
        for _ in range(3):
            gate.guard.admit(Client(), "a")
        refused = Client()
        gate.guard.admit(refused, "a")

        gate.guard.release(refused)
        gate.guard.release(refused)

        assert not gate.guard.admit(Client(), "a")
        assert gate.level == 3

    def test_it_is_busy_while_any_connection_is_answering(self) -> None:
        gate = Gate()
        first, second = Client(), Client()
        gate.guard.admit(first, "a")
        gate.guard.admit(second, "a")
        assert not gate.guard.is_busy()

        second.answering = True
        assert gate.guard.is_busy()

        gate.guard.release(second)
        assert not gate.guard.is_busy()


class TestSweep:
    def test_silence_ends_a_connection(self) -> None:
        gate = Gate()

        assert not gate.swept(Client(), 60)
        assert gate.swept(Client(), 60.1)
        assert gate.happened(Event.IDLE_CLOSED) == 2  # both, at the second sweep

    def test_a_request_has_less_time_to_arrive(self) -> None:
        gate = Gate()

        assert not gate.swept(Client(request_began_ns=START), 10)
        assert gate.swept(Client(request_began_ns=START), 10.1)
        assert gate.happened(Event.IDLE_CLOSED) == 0
        assert gate.happened(Event.REQUEST_TIMEOUT_CLOSED) == 2

    def test_bytes_that_trickle_do_not_help(self) -> None:
        client = Client(request_began_ns=START, last_used_ns=START + 11 * SECOND)

        assert Gate().swept(client, 11)

    def test_an_answer_may_take_its_time(self) -> None:
        assert not Gate().swept(Client(answering=True), 3_600)

    def test_a_request_that_we_do_not_read_is_not_late(self) -> None:
        client = Client(request_began_ns=START, held=True, answering=True)

        assert not Gate().swept(client, 11)

    def test_who_does_not_read_is_cut_off_though_an_answer_waits(self) -> None:
        gate = Gate()
        client = Client(unread_since_ns=START, answering=True, held=True)

        assert not gate.swept(client, 60)
        gate.guard.sweep(START + 61 * SECOND)

        assert client.is_closed
        assert gate.happened(Event.IDLE_CLOSED) == 1

    def test_one_that_is_gone_is_left_alone(self) -> None:
        gate, client = Gate(), Client()
        gate.guard.admit(client, "a")
        gate.guard.release(client)

        gate.guard.sweep(START + 3_600 * SECOND)

        assert not client.is_closed


class TestDatagrams:
    def test_a_source_may_have_its_burst_and_then_its_rate(self) -> None:
        gate = Gate()
        assert [gate.guard.allow_datagrams("a", 1) for _ in range(21)] == [True] * 20 + [False]
        assert gate.happened(Event.UDP_RATE_LIMITED) == 1

        gate.guard.tick()

        assert [gate.guard.allow_datagrams("a", 1) for _ in range(11)] == [True] * 10 + [False]

    def test_long_answers_cost_as_many_as_they_are_datagrams(self) -> None:
        gate = Gate()

        allowed = [gate.guard.allow_datagrams("a", 4) for _ in range(6)]

        assert allowed == [True] * 5 + [False]

    def test_sources_do_not_pay_for_one_another(self) -> None:
        gate = Gate()
        for _ in range(30):
            gate.guard.allow_datagrams("a", 1)

        assert gate.guard.allow_datagrams("b", 1)

    def test_what_was_spent_is_forgotten_in_time(self) -> None:
        gate = Gate()
        for source in ("a", "b"):
            gate.guard.allow_datagrams(source, 15)
        gate.guard.tick()
        assert gate.guard.udp_spent == {"a": 5, "b": 5}

        gate.guard.tick()

        assert gate.guard.udp_spent == {}

    def test_a_rate_above_the_burst_raises_the_burst(self) -> None:
        gate = Gate(rate=50, burst=1)

        assert [gate.guard.allow_datagrams("a", 1) for _ in range(51)] == [True] * 50 + [False]

    def test_a_rate_of_nothing_lifts_the_limit(self) -> None:
        gate = Gate(rate=0, burst=1)

        assert all(gate.guard.allow_datagrams("a", 4) for _ in range(1_000))
        gate.guard.tick()
        assert gate.guard.udp_spent == {}

    @pytest.mark.parametrize("spent", [0, 19, 20])
    def test_front_ends_may_look_for_themselves(self, spent: int) -> None:
        """The fast way does, and counts there."""
        gate = Gate()
        gate.guard.udp_spent["a"] = spent

        assert gate.guard.allow_datagrams("a", 1) == (spent < gate.guard.udp_burst)
