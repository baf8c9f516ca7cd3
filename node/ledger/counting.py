"""Counter: what answers are counted with: who asks, what is asked, and the lane.

Whoever answers finds who asks and what is asked, and calls `append` when the answer is final:

    asker, subject = counter.asker(source), counter.subject(key)
    counter.append(asker, subject, outcome, native_nonce(port, request_id), now_ns)

An Asker may be kept with a connection, a Subject with a ready reply.  What is remembered is bounded: at so many entries
one begins anew.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import chain, repeat
from os import urandom
from struct import Struct
from typing import NamedTuple, Protocol

from node.ledger.classes import (
    MAX_NETWORKS,
    Identity,
    Network,
    Policy,
    client_address,
    policy_at,
)
from node.ledger.headers import Headers
from node.ledger.lane import Lane, NotCounted
from node.ledger.lanefile import LaneError
from node.ledger.parties import NO_STAMP, UNLIMITED, Asker, Budget, Outcome, Subject
from node.ledger.record import OTHER_AGENT, UNKNOWN_PREFIX, Class, RecordFlag
from node.ledger.tags import (
    MINUTE_NS,
    SECOND_NS,
    DayKeys,
    day_of,
    network_of,
    nonce_of,
    packed_address,
)
from resolver.identifier import PREFIX_HANDLE
from resolver.recorder import REFUSED, Prefixes

MAX_ASKERS = 65_536  # about 600 bytes each
MAX_KEPT_AGENT_BYTES = 1_024  # whoever sends more than any browser is decided afresh each time
MAX_SUBJECTS = 4_096  # about 250 bytes each; ready replies have theirs beside them
_NONCE = Struct("4s")
_DRAWN_BYTES = 16_384  # of randomness at once
_TOMORROW_NS = 3_600 * SECOND_NS  # how early the next day's key is made

Met = Callable[[int, bytes, str], None]
"""met(day, client tag, address): an answer is about to be recorded under a tag for the first time; often again."""


class Numbers(Protocol):
    """The dictionary of the log, as far as this worker knows it."""

    def prefix_no(self, key: bytes, prefixes: Prefixes = ()) -> int:
        """Return the row of the registered prefix of a canonical key; UNKNOWN_PREFIX, or PENDING_PREFIX for now.

        `prefixes` are those of the identifier, if they are known.
        """
        ...

    def agent_no(self, agent: bytes) -> int:
        """Return the row of a user agent, OTHER_AGENT when it has none."""
        ...


class NoNumbers:
    """A dictionary without rows."""

    def prefix_no(self, key: bytes, prefixes: Prefixes = ()) -> int:
        """See `Numbers`."""
        return UNKNOWN_PREFIX

    def agent_no(self, agent: bytes) -> int:
        """See `Numbers`."""
        return OTHER_AGENT


class HttpAsker(NamedTuple):
    """Who asks in an HTTP request; `nonce` is that of its request id, None when it has none: draw one."""

    asker: Asker
    nonce: bytes | None


class Counter:
    """Counts into one lane, by the policies that are announced."""

    def __init__(
        self,
        lane: Lane,
        keys: DayKeys,
        policies: Iterable[Policy],
        *,
        trusted_proxies: tuple[Network, ...] = (),
        numbers: Numbers | None = None,
        max_subjects: int = MAX_SUBJECTS,
        met: Met | None = None,
    ) -> None:
        """There must be at least one policy; in each minute the one counts that was in force at its beginning.

        Which those are, and their campaigns, `adopt` changes at once, also for the minute that has begun.
        """
        self.lane = lane
        self.append_all = lane.append_all
        self.nonces = lane.nonces = _nonces()
        self._askers: dict[str, Asker] = {}
        self._subjects: dict[bytes, Subject] = {}
        lane.renewed = self._renewed
        self._http_askers: dict[Identity, Asker] = {}
        self._keys = keys
        self._policies = tuple(policies)
        self._policy = self._policies[0]
        self._trusted = trusted_proxies
        self._numbers = numbers or NoNumbers()
        self._max_subjects = max_subjects
        self._met = met
        self._budgets: dict[bytes, Budget] = {}
        self._minute_ns = self._minute_end_ns = self._day = -1

    def asker(self, address: str, listener: str = "") -> Asker:
        """Return a native caller."""
        if listener:
            return self._of(Identity(address, b"", listener))
        found = self._askers.get(address)
        if found is None:
            if len(self._askers) >= MAX_ASKERS:
                self._askers.clear()
            found = self._askers[address] = Asker(Identity(address), self._renew_asker)
        return found

    def http_asker(self, peer: str, headers: Headers, listener: str = "") -> HttpAsker:
        """Return the sender of an HTTP request, and the nonce that its request id makes."""
        address = client_address(peer, headers.forwarded, self._trusted)
        asker = self._of(Identity(address, headers.agent, listener, headers.token))
        return HttpAsker(asker, nonce_of(headers.request_id) if headers.request_id else None)

    def subject(self, key: bytes, prefixes: Prefixes = ()) -> Subject:
        """Return an identifier; what was asked for and is none, as it was written.

        `prefixes` are the identifier's, if they are known.  When nothing can be decided about it now, it is tried again
        when an answer is counted.
        """
        try:
            if self._day < 0:
                self._see_minute(self.lane.wall_ns())
            return self._decided(key, prefixes)
        except (OSError, LaneError):
            return NO_STAMP, 0, 0, 0, key

    @property
    def remembered(self) -> int:
        """How many identifiers are remembered."""
        return len(self._subjects)

    def append(
        self, asker: Asker, subject: Subject, outcome: Outcome, nonce: bytes, now_ns: int
    ) -> int:
        """Count one answer of whoever keeps no requester; of `nonce` the first four bytes.  Raises NotCounted."""
        seq = self.lane.append((asker, nonce, (outcome,)), subject, 0, now_ns)
        if seq == REFUSED:
            raise NotCounted("the answer could not be recorded")
        return seq

    async def committed(self, seq: int) -> None:
        """Wait for the disk, if the lane is strict.  Raises NotCounted."""
        await self.lane.committed(seq)

    def adopt(self, policies: Iterable[Policy]) -> None:
        """Go by these policies, their campaigns, and what the dictionary has become, at once.

        Whoever was decided in this minute is decided again, by what holds in it: a question that came before the news
        (a probe) decides for nobody who comes behind them.  What is used up of the rate rule stays used up.  A caller
        that a front end holds and this has forgotten, or never kept (MAX_ASKERS, MAX_KEPT_AGENT_BYTES), stays as it
        was decided until the minute ends.
        """
        self._policies = tuple(policies)
        self._policy = policy_at(self._policies, self._minute_ns)
        self._forget()

    def tick(self, now_ns: int) -> None:
        """Once a second, with nanoseconds since 1970."""
        if self.lane.tick():
            self._forget()
        with suppress(OSError, LaneError):  # it is needed later, and said then
            self._keys.of(day_of(now_ns + _TOMORROW_NS))

    def close(self) -> None:
        """Close the lane."""
        self.lane.close()

    def _of(self, who: Identity) -> Asker:
        found = self._http_askers.get(who)
        if found is None:
            if len(self._http_askers) >= MAX_ASKERS:
                self._http_askers.clear()
            found = Asker(who, self._renew_asker)
            if len(who.agent) <= MAX_KEPT_AGENT_BYTES:
                self._http_askers[who] = found
        return found

    def _renew_asker(self, asker: Asker, now_us: int) -> None:
        """Raises OSError and LaneError when there is no key for the day."""
        now_ns = now_us * 1_000
        self._see_minute(now_ns)
        who, policy = asker.who, self._policy
        address, day = packed_address(who.address), day_of(now_ns)
        if asker.day != day:
            tags = self._keys.of(day)
            client_tag = tags.client_tag(address, who.agent)
            asker.tags = client_tag + tags.net_tag(address)
            asker.day = day
            if self._met is not None:
                self._met(day, client_tag, who.address)
        kind, campaign = policy.classify(who, self._minute_ns)
        is_counted = kind is Class.PRODUCTION
        asker.head, asker.excess = int(kind), int(Class.SUSPECT if is_counted else kind)
        asker.budget = self._budget(network_of(address)) if is_counted else Budget(UNLIMITED)
        asker.rule = policy.no | campaign << 16
        asker.agent_no = self._numbers.agent_no(who.agent)
        asker.until_us = self._minute_end_ns // 1_000

    def _renewed(self, subject: Subject) -> Subject:
        """Called when the asker's minute is the present one.  Raises as `_decided` does."""
        return self._decided(subject[-1])

    def _decided(self, key: bytes, prefixes: Prefixes = ()) -> Subject:
        """Raises OSError and LaneError when there is no key for the day."""
        found = self._subjects.get(key)
        if found is not None and found[0] == self.lane.stamp:
            return found
        id_tag = int.from_bytes(self._keys.of(self._day).id_tag(key), "little")
        flags = int(RecordFlag.PREFIX) if key.startswith(PREFIX_HANDLE) else 0
        prefix_no = self._numbers.prefix_no(key, prefixes)
        if len(self._subjects) >= self._max_subjects:
            self._subjects.clear()
        made = self._subjects[key] = self.lane.stamp, id_tag, prefix_no, flags, key
        return made

    def _see_minute(self, now_ns: int) -> None:
        minute_ns = now_ns - now_ns % MINUTE_NS
        if minute_ns != self._minute_ns:
            self._minute_ns, self._minute_end_ns = minute_ns, minute_ns + MINUTE_NS
            self._policy = policy_at(self._policies, minute_ns)
            self._budgets.clear()
            if day_of(minute_ns) != self._day:
                self._day = day_of(minute_ns)
                self.lane.stamp += 1

    def _budget(self, network: bytes) -> Budget:
        found = self._budgets.get(network)
        if found is None:
            if len(self._budgets) >= MAX_NETWORKS:
                return Budget(UNLIMITED)
            found = self._budgets[network] = Budget(self._policy.suspect_from)
        return found

    def _forget(self) -> None:
        """Decide anew of all: there is news, or the clock was set back and what was decided holds for too long."""
        for asker in (*self._askers.values(), *self._http_askers.values()):
            asker.until_us = 0
        self.lane.stamp += 1


def _nonces() -> Iterator[bytes]:
    """Return a source of nonces: they need to differ, and may be guessed."""
    drawn = (_NONCE.iter_unpack(urandom(_DRAWN_BYTES)) for _ in repeat(None))
    return chain.from_iterable(chain.from_iterable(drawn))
