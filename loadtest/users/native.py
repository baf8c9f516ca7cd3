"""Users of the Handle protocol: `Tcp` on a kept-open connection, `Udp` with datagrams.

locust -f loadtest/users/native.py Udp --native 127.0.0.1:2641
"""

from locust import task

from loadtest.users.asking import NativeAsker
from loadtest.users.connections import NativeDatagrams, NativeStream


class Tcp(NativeAsker):
    """Asks over TCP."""

    kind = "TCP"
    way = NativeStream

    @task
    def resolve(self) -> None:
        """Ask a few questions."""
        self.ask_turn()


class Udp(NativeAsker):
    """Asks over UDP."""

    kind = "UDP"
    way = NativeDatagrams

    @task
    def resolve(self) -> None:
        """Ask a few questions."""
        self.ask_turn()
