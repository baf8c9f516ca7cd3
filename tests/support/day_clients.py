"""Clients of a node over UDP, TCP and HTTP, each from an address of its own, and what they were answered day by day."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from http.client import HTTPConnection
from itertools import count, cycle, product
from socket import AF_INET, SOCK_DGRAM, create_connection, socket
from time import sleep

from loadtest.exchange import frame_length, native_request
from loadtest.streams import Address
from tests.support.shifted_clock import DAY_SECONDS, ShiftedClock, day_of, end_of

SOURCES = ("127.0.0.11", "127.0.0.12", "127.0.0.13")
AWAY_SECONDS = 1.0  # from midnight, in which nobody asks: the day of an answer is its record's, not the client's
ANSWER_SECONDS = 10.0
PAUSE_SECONDS = 0.01  # between two: they are of one network, which is suspect from 500 a second on
SUCCESS = 1


@dataclass(slots=True)
class Counted:
    """Answers: all, those that gave what was asked for, and by address."""

    requests: int = 0
    successes: int = 0
    sources: Counter[str] = field(default_factory=Counter)


class DayClients:
    """Ask one question after the other, in turns by each way; `given` has what came, by day and prefix."""

    def __init__(self, native: Address, http: Address, clock: ShiftedClock) -> None:
        self._native, self._http, self._clock = native, http, clock
        self._numbers = count(1)
        self.given: dict[date, dict[str, Counted]] = defaultdict(lambda: defaultdict(Counted))

    def ask(self, handles: list[str], until: float) -> int:
        """Ask for these until that moment of the clock, far from midnight; return how many were answered."""
        before = self._total()
        turns = cycle(product((self._udp, self._tcp, self._over_http), SOURCES, handles))
        for way, source, handle in turns:
            now = self._clock.now()
            if now >= until:
                break
            if _is_near_midnight(now):
                sleep(PAUSE_SECONDS)
                continue
            sleep(PAUSE_SECONDS)
            is_success = way(source, handle)
            self._note(day_of(now), handle.partition("/")[0], source, is_success=is_success)
        return self._total() - before

    def _note(self, day: date, prefix: str, source: str, *, is_success: bool) -> None:
        counted = self.given[day][prefix]
        counted.requests += 1
        counted.successes += is_success
        counted.sources[source] += 1

    def _total(self) -> int:
        return sum(each.requests for each in self._all())

    def _all(self) -> Iterator[Counted]:
        for prefixes in self.given.values():
            yield from prefixes.values()

    def _udp(self, source: str, handle: str) -> bool:
        with socket(AF_INET, SOCK_DGRAM) as asking:
            asking.bind((source, 0))
            asking.settimeout(ANSWER_SECONDS)
            asking.sendto(self._request(handle), self._native)
            return _is_success(asking.recv(512))

    def _tcp(self, source: str, handle: str) -> bool:
        with (
            create_connection(self._native, ANSWER_SECONDS, (source, 0)) as asking,
            asking.makefile("rb") as answers,
        ):
            asking.sendall(self._request(handle))
            envelope = answers.read(20)
            return _is_success(envelope + answers.read(frame_length(envelope) - 20))

    def _over_http(self, source: str, handle: str) -> bool:
        connection = HTTPConnection(*self._http, timeout=ANSWER_SECONDS, source_address=(source, 0))
        try:
            connection.request("GET", f"/api/handles/{handle}")
            answer = connection.getresponse()
            answer.read()
            return answer.status == 200
        finally:
            connection.close()

    def _request(self, handle: str) -> bytes:
        """A question with a number of its own: one that is asked again under its number is a retry."""
        return native_request(handle.encode(), next(self._numbers))


def _is_near_midnight(now: float) -> bool:
    left = end_of(day_of(now)) - now
    return not AWAY_SECONDS < left < DAY_SECONDS - AWAY_SECONDS


def _is_success(answer: bytes) -> bool:
    return int.from_bytes(answer[24:28], "big") == SUCCESS
