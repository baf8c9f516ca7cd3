"""Pace: the loop of an open loop, the same for every transport: take what came, send what is due, and again.

With nothing to do it dozes: some ten µs while an answer or the next question is near, longer when both are far off.
"""

import select
from abc import ABC, abstractmethod
from time import perf_counter

from loadtest.doze import doze, sharpen
from loadtest.plan import IDLE_SECONDS, Plan, Tally
from loadtest.run import Run


class Pace(ABC):
    """Runs a plan once; `sent` counts the questions that were asked, `epoll` knows every socket."""

    def __init__(self, plan: Plan, tally: Tally) -> None:
        self.plan, self.tally = plan, tally
        self.epoll = select.epoll()
        self.sent = 0

    @abstractmethod
    def send(self, now: float) -> int:
        """Send of what is due as much as goes in one piece, and count it in `sent`; return how many."""

    @abstractmethod
    def receive(self) -> int:
        """Take and judge what came; return 0 when there was nothing."""

    @abstractmethod
    def is_owed(self) -> bool:
        """True while answers are under way."""

    @abstractmethod
    def close(self) -> None:
        """Close the sockets, and count what is still under way as lost."""

    def run(self) -> Run:
        """Ask all, then wait for what is under way."""
        tally, total = self.tally, self.plan.total
        sharpen()
        now = tally.start()
        while self.sent < total and now < tally.end:
            before = now
            worked = self.receive() + self.send(perf_counter())
            now = perf_counter()
            if not worked:
                tally.run.waited += now - before
                now = self._rest(now)
        self._await_rest()
        self.epoll.close()
        self.close()
        return tally.finish(self.sent)

    def _rest(self, before: float) -> float:
        """Sleep; return the moment after it."""
        ahead = self.tally.begin + self.sent / self.plan.rate - before
        if ahead > IDLE_SECONDS and not self.is_owed():
            self.epoll.poll(ahead - IDLE_SECONDS / 2)
        else:
            doze()
        now = perf_counter()
        self.tally.run.waited += now - before
        self.tally.run.slept += now - before
        return now

    def _await_rest(self) -> None:
        end = perf_counter() + self.plan.patience
        while self.is_owed() and (now := perf_counter()) < end:
            self.epoll.poll(end - now)
            self.receive()
