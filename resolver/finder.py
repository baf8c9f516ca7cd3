"""Finder: plain native questions whose replies are not ready, looked up together, as many as a turn of the loop brings.

A task, three futures and a record in the ledger for each question cost more than finding its answer.  So what comes
while two look-ups are under way gathers, and the more there is to do, the less each one costs.  Laws: a question that
waits for a slow store holds up none whose answer is there; whatever needs a second look goes the ordinary way.
"""

import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from time import perf_counter_ns
from typing import Any, NamedTuple

from resolver.answer import Answer, Status, Stored, Tier
from resolver.hot.wire import HotWire, PlainRequest
from resolver.identifier import Identifier
from resolver.observe import Protocol, cell
from resolver.recorder import Subject
from resolver.service import BUSY, Resolver, is_found, plain_answer
from resolver.source import SourceUnavailable

MAX_KEYS = 256  # in one look-up
_AT_ONCE = 2  # look-ups under way
_NS = 1_000_000_000

log = logging.getLogger(__name__)


class Sought(NamedTuple):
    """A question: the message, what it asks, and the way back to whoever asks."""

    message: bytes
    plain: PlainRequest
    identifier: Identifier
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
        self._under_way = 0
        self.sought = 0  # questions that wait for their answers

    def add(self, message: bytes, back: Any) -> bool:
        """Take a whole message, to be looked up when `start` is called; False: it is not for us."""
        plain = self._hot.asked(message)
        identifier = None if plain is None else self._service.plain(plain.handle)
        if plain is None or identifier is None:
            return False
        self._waiting.append(Sought(message, plain, identifier, back))
        self.sought += 1
        return True

    def start(self) -> None:
        """Look up what waits, as far as there may be more look-ups."""
        while self._waiting and self._under_way < _AT_ONCE:
            batch, self._waiting = self._waiting[:MAX_KEYS], self._waiting[MAX_KEYS:]
            self._under_way += 1
            self._spawn(self._find(batch))

    async def _find(self, batch: Sequence[Sought]) -> None:
        sought: dict[bytes, list[Sought]] = {}
        for each in batch:
            sought.setdefault(each.identifier.key, []).append(each)
        era = self._hot.era
        busy: Answer | None = None
        try:
            await self._service.gather(list(sought), lambda found: self._take(found, sought, era))
        except SourceUnavailable:
            busy = Answer(Status.UNAVAILABLE, message=BUSY)
        except Exception:  # a broken record must not take the others of its look-up along
            log.exception("not looked up together")
        finally:
            self._under_way -= 1
            self.sought -= sum(map(len, sought.values()))
        for several in sought.values():
            for each in several:
                self._leave(each, busy)
        self.start()

    def _take(
        self, found: Mapping[bytes, Stored], sought: dict[bytes, list[Sought]], era: int
    ) -> None:
        """Answer the questions whose records are there."""
        ready: list[Found] = []
        others: list[tuple[Sought, Answer | None]] = []
        for key, stored in found.items():
            for each in sought.pop(key):
                if is_found(each.plain.handle, stored) and may_have(each, stored):
                    ready.append(reply_with(each, stored, self._protocol, self._hot, era))
                else:
                    none = None if stored.handle else plain_answer(each.plain.handle, stored)
                    others.append((each, none))
        self.sought -= len(ready) + len(others)
        if ready:
            self._send(ready)
        for each, none in others:
            self._leave(each, none)


def may_have(sought: Sought, stored: Stored) -> bool:
    """Whether the public values are all of the answer."""
    return sought.plain.public_only or not stored.restricted


def reply_with(sought: Sought, stored: Stored, protocol: Protocol, hot: HotWire, era: int) -> Found:
    """Make the reply with a record's public values, and keep it ready; `era` is that of before it was looked up."""
    message, plain, identifier, _ = sought
    reply = hot.found(plain, stored.wire)
    subject = hot.remember(
        message,
        reply,
        public_only=plain.public_only,
        restricted=stored.restricted,
        expires_ns=perf_counter_ns() + stored.ttl_seconds * _NS,
        cell=cell(Protocol.UDP, identifier.scheme, Status.FOUND, Tier.MEMORY),
        key=identifier.key,
        serial=stored.serial,
        era=era,
        prefixes=identifier.prefixes,
    )
    counted = cell(protocol, identifier.scheme, Status.FOUND, stored.tier)
    return Found(reply, counted, subject, sought)
