"""The load of a soak: which transport is asked when, and how fast."""

from collections.abc import Callable, Iterator
from functools import partial
from time import monotonic
from typing import NamedTuple

from loadtest.ceiling import highest_rate
from loadtest.exchange import Exchange
from loadtest.figures import Measured
from loadtest.generator_http import prepare_http
from loadtest.generator_tcp import prepare_tcp
from loadtest.generator_udp import prepare_udp
from loadtest.openloop import prepare_open
from loadtest.run import Prepared, Run, run_unpinned
from loadtest.scenarios import Questions
from loadtest.slope import LEAST_POINTS
from loadtest.stand import Node, StandError
from loadtest.streams import Address

TRANSPORTS = ("udp", "tcp", "http")
CLOSED: dict[str, Callable[..., Prepared]] = {
    "udp": prepare_udp,
    "tcp": prepare_tcp,
    "http": prepare_http,
}
TURN_SECONDS = 20.0  # at most, and so short that there are samples enough
WARM_SECONDS = 0.2
PATIENCE_SECONDS = 2.0  # a late answer is late and counted; one that is given up, and comes, is in the ledger alone
LEAST_TURNS = 2 * LEAST_POINTS
FIND_SECONDS = 3.0  # of the first steps of the search
PRECISION = 0.05  # of the highest rate


class Load(NamedTuple):
    """For how long, at which share of the highest rate or at which rate, with how many writes a second and workers."""

    seconds: float
    share: float
    rate: float | None
    writes: float
    workers: int

    @property
    def turn_seconds(self) -> float:
        """The length of one turn: at least LEAST_TURNS fit in."""
        return min(TURN_SECONDS, max(0.5, self.seconds / LEAST_TURNS))


class Turns:
    """Asks one node over one transport after the other."""

    def __init__(self, node: Node, asked: Questions, load: Load) -> None:
        self._load = load
        self._targets: dict[str, tuple[Address, list[Exchange]]] = {
            "udp": (node.native, asked.udp),
            "tcp": (node.native, asked.native),
            "http": (node.http, asked.http),
        }

    def rates(self) -> dict[str, float]:
        """Return how many are asked a second over each transport."""
        if self._load.rate:
            return dict.fromkeys(TRANSPORTS, self._load.rate)
        return {transport: self._load.share * self._highest(transport) for transport in TRANSPORTS}

    def ask(self, rates: dict[str, float]) -> Iterator[tuple[str, Run]]:
        """Ask for as long as the load says; gives each turn."""
        end, number = monotonic() + self._load.seconds, 0
        while monotonic() < end:
            transport = TRANSPORTS[number % len(TRANSPORTS)]
            yield transport, self._turn(transport, rates[transport], self._load.turn_seconds)
            number += 1

    def _turn(self, transport: str, rate: float, seconds: float) -> Run:
        address, exchanges = self._targets[transport]
        prepare = partial(
            prepare_open,
            address,
            exchanges,
            transport=transport,
            rate=rate,
            seconds=seconds,
            warm_seconds=WARM_SECONDS,
            patience=PATIENCE_SECONDS,
        )
        return run_unpinned(prepare)

    def _highest(self, transport: str) -> float:
        """Search by short steps from what a closed loop had, then by whole turns, in which sealing must keep up.

        Raises StandError when not even a few questions are answered in time.
        """
        address, exchanges = self._targets[transport]
        ask = partial(CLOSED[transport], address, exchanges, seconds=FIND_SECONDS)
        guess = run_unpinned(ask).rate

        for seconds in (FIND_SECONDS, self._load.turn_seconds):
            attempt = partial(self._attempt, transport, seconds)
            guess = highest_rate(attempt, start=guess, precision=PRECISION).rate
            if not guess:
                raise StandError(f"over {transport} no rate holds: what else does the machine do?")
        return guess

    def _attempt(self, transport: str, seconds: float, rate: float) -> Measured:
        run = self._turn(transport, rate, seconds)
        return Measured(run, worker_seconds=0.0, tree_seconds=0.0, core_seconds=0.0)
