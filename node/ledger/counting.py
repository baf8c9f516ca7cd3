"""Counter: what front ends are given to count answers with; NoLedger is the same for a node that keeps no ledger.

A front end finds who asks and what is asked, most often in two dicts, and calls `append` when the answer is final:

    asker = counter.askers.get(source) or counter.asker(source)
    subject = counter.subjects.get(key) or counter.subject(key)
    counter.append(asker, subject, outcome, counter.native_nonce(port, request_id), now_ns)

An Asker may be kept with a connection.  The dicts are bounded: at so many entries one begins anew.
"""

import random
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
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
from node.ledger.lane import Lane, Outcome
from node.ledger.lanefile import LaneError
from node.ledger.parties import UNLIMITED, Asker, Budget, Subject
from node.ledger.record import OTHER_AGENT, PENDING_PREFIX, UNKNOWN_PREFIX, Class, RecordFlag
from node.ledger.tags import (
    MINUTE_NS,
    SECOND_NS,
    DayKeys,
    day_of,
    native_nonce,
    network_of,
    nonce_of,
    packed_address,
)
from resolver.identifier import PREFIX_HANDLE

MAX_ASKERS = 65_536  # about 600 bytes each
MAX_SUBJECTS = 131_072  # about 250 bytes each
_TOMORROW_NS = 3_600 * SECOND_NS  # how early the next day's key is made

Append = Callable[[Asker, Subject, Outcome, bytes, int], int]
Met = Callable[[int, bytes, str], None]
"""met(day, client tag, address): an answer is about to be recorded under a tag for the first time; often again."""


class Numbers(Protocol):
    """The dictionary of the log, as far as this worker knows it."""

    def prefix_no(self, key: bytes) -> int:
        """Return the row of the registered prefix of a canonical key; UNKNOWN_PREFIX, or PENDING_PREFIX for now."""
        ...

    def agent_no(self, agent: bytes) -> int:
        """Return the row of a user agent, OTHER_AGENT when it has none."""
        ...


class NoNumbers:
    """A dictionary without rows."""

    def prefix_no(self, key: bytes) -> int:
        """See `Numbers`."""
        return UNKNOWN_PREFIX

    def agent_no(self, agent: bytes) -> int:
        """See `Numbers`."""
        return OTHER_AGENT


class HttpAsker(NamedTuple):
    """Who asks in an HTTP request; `nonce` is that of its request id, None when it has none: draw one."""

    asker: Asker
    nonce: bytes | None


class Counting(Protocol):
    """What front ends need to count; `append` is that of `Lane`, the nonces those of `node.ledger.tags`."""

    askers: dict[str, Asker]
    subjects: dict[bytes, Subject]
    append: Append
    random_nonce: Callable[[], bytes]
    native_nonce: Callable[[int, bytes], bytes]

    async def committed(self, seq: int) -> None:
        """See `Lane.committed`."""

    def asker(self, address: str, listener: str = "") -> Asker:
        """Return a native caller."""
        ...

    def http_asker(self, peer: str, headers: Headers, listener: str = "") -> HttpAsker:
        """Return the sender of an HTTP request."""
        ...

    def subject(self, key: bytes) -> Subject:
        """Return an identifier; what was asked for and is none, as it was written."""
        ...


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
        """There must be at least one policy; in each minute the one counts that was in force at its beginning."""
        self.lane = lane
        self.askers: dict[str, Asker] = {}
        self.subjects: dict[bytes, Subject] = {}
        self.append: Append = lane.append
        self.random_nonce: Callable[[], bytes] = _nonces()
        self.native_nonce: Callable[[int, bytes], bytes] = native_nonce
        self._http_askers: dict[Identity, Asker] = {}
        self._keys = keys
        self._policies = tuple(policies)
        self._policy = self._policies[0]
        self._trusted = trusted_proxies
        self._numbers = numbers or NoNumbers()
        self._max_subjects = max_subjects
        self._met = met
        self._budgets: dict[bytes, Budget] = {}
        self._minute_ns = self._minute_end_ns = -1

    def asker(self, address: str, listener: str = "") -> Asker:
        """Return a native caller; `askers` has it from now on, if it came to no listener of its own."""
        if listener:
            return self._of(Identity(address, b"", listener))
        if len(self.askers) >= MAX_ASKERS:
            self.askers.clear()
        found = self.askers[address] = Asker(Identity(address), self._renew_asker)
        return found

    def http_asker(self, peer: str, headers: Headers, listener: str = "") -> HttpAsker:
        """Return the sender of an HTTP request, and the nonce that its request id makes."""
        address = client_address(peer, headers.forwarded, self._trusted)
        asker = self._of(Identity(address, headers.agent, listener, headers.token))
        return HttpAsker(asker, nonce_of(headers.request_id) if headers.request_id else None)

    def subject(self, key: bytes) -> Subject:
        """Return an identifier; `subjects` has it from now on."""
        if len(self.subjects) >= self._max_subjects:
            self.subjects.clear()
        found = self.subjects[key] = Subject(key, self._renew_subject)
        return found

    async def committed(self, seq: int) -> None:
        """Wait for the disk, if the lane is strict.  Raises NotCounted."""
        await self.lane.committed(seq)

    def adopt(self, policies: Iterable[Policy]) -> None:
        """Go by these policies from the next minute on."""
        self._policies = tuple(policies)

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
            found = self._http_askers[who] = Asker(who, self._renew_asker)
        return found

    def _renew_asker(self, asker: Asker, now_ns: int) -> None:
        """Raises OSError and LaneError when there is no key for the day."""
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
        asker.tail = self._numbers.agent_no(who.agent) << 16
        asker.until_ns = self._minute_end_ns

    def _renew_subject(self, subject: Subject, now_ns: int) -> None:
        """Raises OSError and LaneError when there is no key for the day."""
        self._see_minute(now_ns)
        day, key = day_of(now_ns), subject.key
        if subject.day != day:
            subject.id_tag = int.from_bytes(self._keys.of(day).id_tag(key), "little")
            subject.day = day
        subject.flags = int(RecordFlag.PREFIX) if key.startswith(PREFIX_HANDLE) else 0
        subject.prefix_no = self._numbers.prefix_no(key)
        soon_ns = now_ns + SECOND_NS if subject.prefix_no == PENDING_PREFIX else self._minute_end_ns
        subject.until_ns = min(soon_ns, self._minute_end_ns)

    def _see_minute(self, now_ns: int) -> None:
        minute_ns = now_ns - now_ns % MINUTE_NS
        if minute_ns != self._minute_ns:
            self._minute_ns, self._minute_end_ns = minute_ns, minute_ns + MINUTE_NS
            self._policy = policy_at(self._policies, minute_ns)
            self._budgets.clear()

    def _budget(self, network: bytes) -> Budget:
        found = self._budgets.get(network)
        if found is None:
            if len(self._budgets) >= MAX_NETWORKS:
                return Budget(UNLIMITED)
            found = self._budgets[network] = Budget(self._policy.suspect_from)
        return found

    def _forget(self) -> None:
        """The clock was set back: what was decided holds until a time that is too far away."""
        for asker in (*self.askers.values(), *self._http_askers.values()):
            asker.until_ns = 0
        for subject in self.subjects.values():
            subject.until_ns = 0


class NoLedger:
    """Counts nothing."""

    def __init__(self) -> None:
        self.askers: dict[str, Asker] = {}
        self.subjects: dict[bytes, Subject] = {}
        self.append: Append = _count_nothing
        self.random_nonce: Callable[[], bytes] = _no_nonce
        self.native_nonce: Callable[[int, bytes], bytes] = _no_nonce
        self._asker = Asker(Identity(""), _decide_nothing)
        self._subject = Subject(b"", _decide_nothing)

    def asker(self, address: str, listener: str = "") -> Asker:
        """See `Counting`."""
        return self._asker

    def http_asker(self, peer: str, headers: Headers, listener: str = "") -> HttpAsker:
        """See `Counting`."""
        return HttpAsker(self._asker, b"")

    def subject(self, key: bytes) -> Subject:
        """See `Counting`."""
        return self._subject

    async def committed(self, seq: int) -> None:
        """See `Counting`."""

    def tick(self, now_ns: int) -> None:
        """See `Counter`."""

    def close(self) -> None:
        """See `Counter`."""


def _count_nothing(
    asker: Asker, subject: Subject, outcome: Outcome, nonce: bytes, now_ns: int
) -> int:
    return 0


def _no_nonce(port: int = 0, request_id: bytes = b"") -> bytes:
    return b""


def _decide_nothing(party: Asker | Subject, now_ns: int) -> None:
    return None


def _nonces() -> Callable[[], bytes]:
    """Return a source of nonces: they need to differ, and may be guessed."""
    return partial(random.Random().randbytes, 4)  # noqa: S311
