"""Finder: plain native questions whose replies are not ready, looked up together, as many as a turn of the loop brings.

A task, three futures and a record in the ledger for each question cost more than finding its answer.  So what comes
while two look-ups are under way gathers, and the more there is to do, the less each one costs.  Laws: a question that
waits for a slow store holds up none whose answer is there; whatever needs a second look goes the ordinary way.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, NamedTuple

from resolver.answer import Answer, Status, Stored, Tier
from resolver.hot.wire import HotWire, PlainRequest
from resolver.identifier import Scheme
from resolver.observe import Protocol, cell
from resolver.quickly import quickly
from resolver.recorder import Subject
from resolver.service import BUSY, NO_VALUES, Own, Resolver, plain_answer
from resolver.source import SourceUnavailable

MAX_KEYS = 256  # in one look-up
_AT_ONCE = 2  # look-ups under way that are not slow
_SLOW_SECONDS = 0.02

log = logging.getLogger(__name__)


class Sought(NamedTuple):
    """A question: the message, what it asks, and the way back to whoever asks."""

    message: bytes
    plain: PlainRequest
    own: Own
    back: Any


class Found(NamedTuple):
    """A reply, where it is counted, what the recorder is to know of what was asked for, and what it answers."""

    reply: bytes
    cell: int
    subject: Subject
    sought: Sought


class Finder:
    """Looks up for one front end of a worker; `send` gets the replies, `leave` what must go another way."""

    def __init__(
        self,
        service: Resolver,
        hot: HotWire,
        protocol: Protocol,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        send: Callable[[list[Found]], None],
        leave: Callable[[Sought, Answer | None], None],
    ) -> None:
        """`leave` gets the answer, too, when that is known: there is none, or none now."""
        self._service = service
        self._hot = hot
        self._protocol = protocol
        self._spawn = spawn
        self._send = send
        self._leave = leave
        self._waiting: list[Sought] = []
        self._quick: set[object] = set()  # marks of the look-ups under way that are not slow
        self.sought = 0  # questions that wait for their answers

    def add(self, message: bytes, back: Any) -> bool:
        """Take a whole message, to be looked up when `start` is called; False: it is not for us."""
        plain = self._hot.asked(message)
        own = None if plain is None else self._service.own(plain.handle)
        if plain is None or own is None:
            return False
        self._waiting.append(quickly(Sought, (message, plain, own, back)))
        self.sought += 1
        return True

    def start(self) -> None:
        """Look up what waits, as far as there may be more look-ups."""
        while self._waiting and len(self._quick) < _AT_ONCE:
            batch, self._waiting = self._waiting[:MAX_KEYS], self._waiting[MAX_KEYS:]
            mark = object()
            self._quick.add(mark)
            self._spawn(self._look_up(batch, mark))

    async def _look_up(self, batch: Sequence[Sought], mark: object) -> None:
        """Find answers; when that takes long, others do not wait for it."""
        slow = asyncio.get_running_loop().call_later(_SLOW_SECONDS, self._go_on, mark)
        try:
            await self._find(batch)
        finally:
            slow.cancel()
            self._quick.discard(mark)
        self.start()

    def _go_on(self, mark: object) -> None:
        self._quick.discard(mark)
        self.start()

    async def _find(self, batch: Sequence[Sought]) -> None:
        sought: dict[bytes, list[Sought]] = {}
        for each in batch:
            sought.setdefault(each.own.key, []).append(each)
        era = self._hot.era
        busy: Answer | None = None
        try:
            await self._service.gather(list(sought), lambda found: self._take(found, sought, era))
        except SourceUnavailable:
            busy = Answer(Status.UNAVAILABLE, message=BUSY)
        except Exception:  # a broken record must not take the others of its look-up along
            log.exception("not looked up together")
        finally:
            self.sought -= sum(map(len, sought.values()))
        for several in sought.values():
            for each in several:
                self._leave(each, busy)

    def _take(
        self, found: Mapping[bytes, Stored], sought: dict[bytes, list[Sought]], era: int
    ) -> None:
        """Answer the questions whose records are there."""
        ready: list[Found] = []
        others: list[tuple[Sought, Answer | None]] = []
        for key, stored in found.items():
            asked = sought.pop(key)
            self.sought -= len(asked)
            for each in asked:
                if is_whole_answer(each.plain, stored):
                    ready.append(reply_with(each, stored, self._protocol, self._hot, era))
                else:
                    none = None if stored.handle else plain_answer(each.plain.handle, stored)
                    others.append((each, none))
        if ready:
            self._send(ready)
        for each, none in others:
            self._leave(each, none)


def is_whole_answer(plain: PlainRequest, stored: Stored) -> bool:
    """Whether a record's public values are there, are all of the answer, and its spelling is the one asked for."""
    if stored.handle != plain.handle or stored.wire[:4] == NO_VALUES:
        return False
    return plain.public_only or not stored.restricted


def reply_with(sought: Sought, stored: Stored, protocol: Protocol, hot: HotWire, era: int) -> Found:
    """Make the reply with a record's public values, and keep it ready; `era` is that of before it was looked up."""
    message, plain, (key, scheme, prefixes), _ = sought
    counted, ready_cell = _CELLS[protocol, scheme, stored.tier]
    reply, subject = hot.answer(message, plain, stored, ready_cell, key, prefixes, era)
    return quickly(Found, (reply, counted, subject, sought))


_CELLS = {
    (protocol, scheme, tier): (
        cell(protocol, scheme, Status.FOUND, tier),
        cell(Protocol.UDP, scheme, Status.FOUND, Tier.MEMORY),
    )
    for protocol in Protocol
    for scheme in Scheme
    for tier in Tier
}
"""Where an answer that was found is counted, and where it is when it is given again from its ready reply."""
