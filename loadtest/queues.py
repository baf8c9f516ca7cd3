"""Queues: how long questions wait for a server that takes a known time for each, in closed form and simulated.

Closed forms are for questions that come independently of each other (Poisson) to one server: the mean wait by Pollaczek
and Khinchine (1930) for any times of service, M/G/1, and for one that is the same for all, M/D/1; the distribution of
the latter by Crommelin (1932).  The simulation takes several servers, too; our tests hold it against the closed forms.
"""

from collections.abc import Callable, Iterator
from heapq import heapify, heapreplace
from math import exp, factorial, floor
from random import Random
from typing import NamedTuple

WARM_SHARE = 0.1  # of the questions, asked before the queue has found its length
MOST_SERVICES = (
    25.0  # waits longer than so many times of service: the alternating sum loses its digits
)

Service = Callable[[Random], float]
"""Draws how long one question takes, in seconds."""


class Sojourn(NamedTuple):
    """How long one question waited, and how long its service took, in seconds."""

    wait: float
    service: float

    @property
    def total(self) -> float:
        """From its coming to its answer."""
        return self.wait + self.service


def mg1_mean_wait(rate: float, mean: float, mean_square: float) -> float:
    """Return the mean wait in seconds at `rate` a second, from the mean of the service and the mean of its square.

    Raises ValueError when more comes than can be served.
    """
    share = rate * mean
    if not 0 <= share < 1:
        raise ValueError(f"a server that is busy {share:.2f} of its time has no mean wait")
    return rate * mean_square / (2 * (1 - share))


def md1_mean_wait(rate: float, service: float) -> float:
    """Return the same for a service that takes the same for all."""
    return mg1_mean_wait(rate, service, service**2)


def md1_not_longer(wait: float, rate: float, service: float) -> float:
    """Return the share of questions that wait at most so many seconds.  Raises ValueError as `md1_mean_wait`, and for
    waits of more than MOST_SERVICES times the service."""
    md1_mean_wait(rate, service)
    if wait > MOST_SERVICES * service:
        raise ValueError("the sum is not exact for so long a wait")
    terms = (
        (rate * (number * service - wait)) ** number
        / factorial(number)
        * exp(rate * (wait - number * service))
        for number in range(floor(wait / service) + 1)
    )
    return (1 - rate * service) * sum(terms)


def simulate_queue(
    rate: float, service: Service, *, questions: int, seed: int, servers: int = 1
) -> Iterator[Sojourn]:
    """Return how it went for questions that come Poisson to servers that take the first who waits.

    The first WARM_SHARE are left out.  Deterministic for a seed.
    """
    dice, now = Random(seed), 0.0
    free = [0.0] * servers
    heapify(free)
    for number in range(questions):
        now += dice.expovariate(rate)
        took = service(dice)
        begun = max(now, free[0])
        heapreplace(free, begun + took)
        if number >= WARM_SHARE * questions:
            yield Sojourn(begun - now, took)


def fixed(seconds: float) -> Service:
    """Return a service that takes the same for all."""
    return lambda _dice: seconds
