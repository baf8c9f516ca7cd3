"""A day in factories, all at once: who asks how.

    locust -f loadtest/users/factory_day.py --host http://127.0.0.1:8000 --users 100

- `Gate` reads a pallet: a burst of labels over UDP, then nothing until the next one comes.
- `Line` asks for a part at each step, steadily, over a kept-open TCP connection.
- `Office` looks things up over HTTP, a few at a time.
- `Partner` asks over HTTP for what a delivery note says, one after the other.

All draw from the same identifiers of several schemes, by Zipf's law, one in ten of them registered by nobody.
"""

from locust import between, constant_pacing, task

from loadtest.users.asking import FastAsker, NativeAsker, RawAsker
from loadtest.users.connections import NativeDatagrams, NativeStream

PALLET = 40
LOOK_UPS = 5


class Gate(NativeAsker):
    """Reads pallets."""

    kind = "UDP"
    way = NativeDatagrams
    weight = 4
    wait_time = between(0.5, 2.0)

    @task
    def read_pallet(self) -> None:
        """Ask for all labels of a pallet, as fast as they are answered."""
        for _ in range(PALLET):
            self.ask_and_report()


class Line(NativeAsker):
    """Asks once for each part."""

    kind = "TCP"
    way = NativeStream
    weight = 4
    wait_time = constant_pacing(0.2)

    @task
    def scan_part(self) -> None:
        """Ask for one part."""
        self.ask_and_report()


class Office(FastAsker):
    """Looks things up."""

    weight = 1
    wait_time = between(0.5, 3.0)

    @task
    def look_up(self) -> None:
        """Ask for a few identifiers."""
        for _ in range(LOOK_UPS):
            self.ask_and_report()


class Partner(RawAsker):
    """Checks delivery notes."""

    weight = 1
    wait_time = between(0.1, 0.5)

    @task
    def check_note(self) -> None:
        """Ask for a few identifiers, one after the other."""
        for _ in range(LOOK_UPS):
            self.ask_and_report()
