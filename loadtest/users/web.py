"""HTTP users: `FastWeb` with locust's FastHttpUser, `RawWeb` on sockets of its own.

    locust -f loadtest/users/web.py RawWeb --host http://127.0.0.1:8000

Not called `http.py`: locust imports a locustfile under its bare name, and would put it in the place of Python's `http`.
"""

from locust import task

from loadtest.users.asking import FastAsker, RawAsker


class FastWeb(FastAsker):
    """Asks over HTTP with locust's own fast client."""

    @task
    def resolve(self) -> None:
        """Ask one question."""
        self.ask_and_report()


class RawWeb(RawAsker):
    """Asks over HTTP on a socket of its own."""

    @task
    def resolve(self) -> None:
        """Ask a few questions."""
        self.ask_turn()
