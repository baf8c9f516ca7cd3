"""Sender: drives the sending session over a transport, for as long as it runs.

A hint says that there may be changes; the timer asks anyway.  While the peer is lost hints shorten nothing, or a busy
node would hammer a peer that is down.  What the outbox raises ends `run`: then we no longer know our state, and whoever
started it starts another, which goes on from what is stored.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from sync.message import Message, PeerUnavailable, Reply
from sync.outbox import Outbox
from sync.session import SendingSession
from sync.step import (
    Acknowledge,
    Demand,
    Exchange,
    Finish,
    Given,
    Listen,
    ReadChanges,
    ReadPage,
    ReadStanding,
    Rest,
    Restart,
    Resume,
    Settle,
)

POLL_SECONDS = 1.0
GREETING_SECONDS = 30.0  # of rest, after which the peer is asked where it stands
EXCHANGE_SECONDS = 30.0
BACKOFF_SECONDS = 1.0  # doubling
BACKOFF_LIMIT_SECONDS = 60.0

log = logging.getLogger(__name__)


class Transport(Protocol):
    """The way to the peer and back."""

    async def exchange(self, message: Message) -> Reply:
        """Send a message and return the reply to it.  Raises PeerUnavailable, also for garbage."""


class Sender:
    """`run` until cancelled.  `failures` counts the tries that failed since one helped; `trouble` says why.

    `new_session` names a session as no other ever was; `random` gives numbers from 0 up to 1.
    """

    def __init__(
        self,
        outbox: Outbox,
        transport: Transport,
        *,
        random: Callable[[], float],
        new_session: Callable[[], str],
        poll_seconds: float = POLL_SECONDS,
        greeting_seconds: float = GREETING_SECONDS,
        exchange_seconds: float = EXCHANGE_SECONDS,
        backoff_seconds: float = BACKOFF_SECONDS,
    ) -> None:
        self._outbox = outbox
        self._transport = transport
        self._random = random
        self._new_session = new_session
        self._poll_seconds = poll_seconds
        self._rests_to_greeting = max(1, round(greeting_seconds / poll_seconds))
        self._exchange_seconds = exchange_seconds
        self._backoff_seconds = backoff_seconds
        self._session = SendingSession(int(random() * 2**52))
        self._hint = asyncio.Event()
        self._rests = 0
        self.failures = 0
        self.trouble = ""

    def hint(self) -> None:
        """There may be changes."""
        self._hint.set()

    def verify(self) -> None:
        """Compare all rows with the peer's, and repair them there."""
        self._session.verify()
        self._hint.set()

    async def run(self) -> None:
        conversation = self._session.converse()
        demand = next(conversation)
        while True:
            try:
                given = await self._do(demand)
            except PeerUnavailable as error:
                self.trouble = str(error)
                demand = conversation.throw(error)
            else:
                demand = conversation.send(given)

    async def _do(self, demand: Demand) -> Given:
        match demand:
            case Exchange():
                return await self._exchange(demand.message)
            case Listen():
                raise PeerUnavailable("the peer answered another message")
            case Rest():
                await self._rest(lost=demand.lost)
                return None
            case ReadStanding():
                return await self._outbox.standing()
            case ReadChanges():
                return await self._outbox.pending(demand.after, demand.until)
            case ReadPage():
                return await self._outbox.page(demand.after)
            case Restart():
                return await self._outbox.restart(self._new_session() if demand.renewed else None)
        await self._store(demand)
        return None

    async def _store(self, demand: Resume | Acknowledge | Settle | Finish) -> None:
        match demand:
            case Resume():
                await self._outbox.resume(demand.session, demand.serial)
                return
            case Acknowledge():
                await self._outbox.acknowledge(demand.batch, demand.rejected)
            case Settle():
                await self._outbox.settle(demand.session, demand.span, demand.rejected)
            case Finish():
                await self._outbox.finish(demand.evidence)
        self._recover()

    async def _exchange(self, message: Message) -> Reply:
        try:
            async with asyncio.timeout(self._exchange_seconds):
                return await self._transport.exchange(message)
        except TimeoutError as error:
            raise PeerUnavailable(f"no answer within {self._exchange_seconds} seconds") from error

    async def _rest(self, *, lost: bool) -> None:
        if lost:
            await self._back_off()
            return
        self._recover()
        try:
            async with asyncio.timeout(self._poll_seconds):
                await self._hint.wait()
        except TimeoutError:
            self._rests += 1
        self._hint.clear()
        if self._rests >= self._rests_to_greeting:
            self._rests = 0
            self._session.greet()

    async def _back_off(self) -> None:
        if not self.failures:
            log.warning("the peer is lost: %s", self.trouble or "it never stands where it says")
        self.failures += 1
        await asyncio.sleep(backoff(self.failures, self._random(), self._backoff_seconds))

    def _recover(self) -> None:
        if self.failures:
            log.info("the peer is back after %d failures", self.failures)
        self.failures, self.trouble = 0, ""


def backoff(failures: int, random: float, first: float = BACKOFF_SECONDS) -> float:
    """Return how many seconds to wait after so many failures in a row, one or more: doubling, and up to half less."""
    whole = min(BACKOFF_LIMIT_SECONDS, first * 2.0 ** min(failures - 1, 30))
    return whole * (1 - random / 2)
