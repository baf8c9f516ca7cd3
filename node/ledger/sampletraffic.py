"""Made-up traffic of a sample month: what a node of some size might be asked.  The same seed makes the same.

Enterprises of different sizes, a rhythm of hours and weekdays, identifiers of which few are asked often, gateways that
repeat themselves, retries, robots, probes of the node itself, prefixes that are looked up, and some that ask in vain.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from random import Random
from typing import NamedTuple

from node.ledger.record import Class, Proto, RecordFlag
from node.ledger.tags import DayTags
from resolver.wire.constants import ResponseCode

PREFIXES: Sequence[tuple[str, str, int]] = (  # scheme, prefix, share of the traffic
    ("handle", "88.118.8", 260),
    ("handle", "88.118.21", 190),
    ("handle", "88.118.37", 140),
    ("handle", "86.1000.305", 110),
    ("gs1", "gs1:690123400", 85),
    ("ecode", "ecode:1123403", 60),
    ("oid", "oid:1.2.156.1000.20", 45),
    ("handle", "88.118.52", 40),
    ("doi", "10.59321", 30),
    ("handle", "88.118.64", 25),
    ("did", "did:bid:ef", 10),
    ("handle", "88.118.90", 5),
)
HOURS = (2, 1, 1, 1, 2, 4, 8, 15, 24, 28, 27, 24, 17, 21, 26, 27, 25, 20, 14, 10, 8, 6, 4, 3)
WEEKDAYS = (100, 104, 103, 101, 97, 46, 34)  # from Monday
IDENTIFIERS, CLIENTS, NETWORKS = 6_000, 900, 240

_ZONE = timedelta(hours=8)
_PROTOCOLS = (Proto.HTTP_JSON, Proto.HTTP_PAGE, Proto.UDP, Proto.TCP, Proto.BATCH)
_PROTOCOL_SHARES = tuple(accumulate((44, 17, 21, 11, 7)))
_NUMBERS = range(1, len(PREFIXES) + 1)
_PREFIX_SHARES = tuple(accumulate(share for *_, share in PREFIXES))
_RETRY, _AGAIN, _PREFIX_LOOKUP, _FAILURE, _BUSY = 0.004, 0.045, 0.018, 0.03, 0.0005
_SECOND = 1_000_000


class Asked(NamedTuple):
    """What is asked: everything of a record that does not follow from its place."""

    time: int
    class_: int
    proto: int
    result: int
    id_tag: int
    client_tag: int
    net_tag: int
    prefix_no: int
    campaign: int
    flags: int
    nonce: int


def weight(time_us: int) -> int:
    """Return how busy a moment is, compared with others."""
    local = datetime.fromtimestamp(time_us // _SECOND, UTC) + _ZONE
    return HOURS[local.hour] * WEEKDAYS[local.weekday()] * (90 + local.day)


class Traffic:
    """The traffic of one node."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)  # noqa: S311  nothing here is secret
        self._cache: dict[bytes, int] = {}
        self._day = -1

    def slot(self, start: int, end: int, number: int, tags: DayTags) -> list[Asked]:
        """Return about so many answers in production, and what comes with them, by time."""
        self._begin(tags)
        random = self._random
        found: list[Asked] = []
        for time in sorted(random.randrange(start, end) for _ in range(number)):
            asked = self._asked(time, tags)
            found.append(asked)
            found += self._echoes(asked, end)
        found += self._others(start, end, number, tags)
        return sorted(found)

    def campaign(self, start: int, end: int, number: int, no: int, tags: DayTags) -> list[Asked]:
        """Return the answers of an announced load test, which comes from one machine."""
        self._begin(tags)
        step = (end - start) // max(number, 1)
        return [
            self._of(start + step * each, tags, f"load/{each % 512}", b"\x0a\x00\x00\x09")._replace(
                class_=Class.TEST, campaign=no
            )
            for each in range(number)
        ]

    def _begin(self, tags: DayTags) -> None:
        if tags.day != self._day:
            self._day = tags.day
            self._cache.clear()

    def _asked(self, time: int, tags: DayTags) -> Asked:
        random = self._random
        prefix_no = random.choices(_NUMBERS, cum_weights=_PREFIX_SHARES)[0]
        name = f"{prefix_no}/{int(IDENTIFIERS * random.random() ** 3)}"
        proto = random.choices(_PROTOCOLS, cum_weights=_PROTOCOL_SHARES)[0]
        asked = self._of(time, tags, name, self._client(), prefix_no, proto)
        chance = random.random()
        if chance < _BUSY:
            return asked._replace(result=ResponseCode.SERVER_BUSY, flags=0)
        if chance < _FAILURE:
            return asked._replace(result=ResponseCode.HANDLE_NOT_FOUND, flags=0)
        if chance < _FAILURE + _PREFIX_LOOKUP:
            return asked._replace(flags=RecordFlag.SUCCESS | RecordFlag.PREFIX)
        return asked

    def _echoes(self, asked: Asked, end: int) -> Iterator[Asked]:
        """What one asks again soon: a retry of the same request, or another of a gateway with many behind it."""
        chance, time = self._random.random(), asked.time + self._random.randrange(20 * _SECOND)
        if time >= end:
            return
        if chance < _RETRY:
            yield asked._replace(time=time)
        elif chance < _RETRY + _AGAIN:
            yield asked._replace(time=time, nonce=self._random.getrandbits(32))

    def _others(self, start: int, end: int, number: int, tags: DayTags) -> Iterator[Asked]:
        """Probes of our own, robots, and now and then somebody beyond the rate."""
        random = self._random
        for at in range(start, end, 60 * _SECOND):
            yield self._of(at, tags, "1/0", b"\x7f\x00\x00\x01")._replace(class_=Class.SELF)
        for _ in range(round(number * 0.05)):
            asked = self._asked(random.randrange(start, end), tags)
            robot = random.randrange(6).to_bytes(1, "big")
            yield asked._replace(class_=Class.ROBOT, client_tag=self._tag(tags, b"r" + robot))
        if random.random() < 0.001:
            for _ in range(random.randrange(20)):
                yield self._asked(random.randrange(start, end), tags)._replace(class_=Class.SUSPECT)

    def _client(self) -> bytes:
        client = int(CLIENTS * self._random.random() ** 2)
        network = client % NETWORKS
        return bytes((100, 64 + network // 256, network % 256, client // NETWORKS + 1))

    def _of(
        self,
        time: int,
        tags: DayTags,
        identifier: str,
        address: bytes,
        prefix_no: int = 1,
        proto: int = Proto.HTTP_JSON,
    ) -> Asked:
        return Asked(
            time=time,
            class_=Class.PRODUCTION,
            proto=proto,
            result=ResponseCode.SUCCESS,
            id_tag=self._tag(tags, b"i" + identifier.encode()),
            client_tag=self._tag(tags, b"c" + address),
            net_tag=self._tag(tags, b"n" + address),
            prefix_no=prefix_no,
            campaign=0,
            flags=int(RecordFlag.SUCCESS),
            nonce=self._random.getrandbits(32),
        )

    def _tag(self, tags: DayTags, what: bytes) -> int:
        """The tag of an identifier (i), a client (c, or r for a robot) or its network (n)."""
        found = self._cache.get(what)
        if found is None:
            kind, name = what[:1], what[1:]
            if kind == b"i":
                tag = tags.id_tag(name)
            else:
                tag = tags.net_tag(name) if kind == b"n" else tags.client_tag(name, b"")
            found = self._cache[what] = int.from_bytes(tag, "little")
        return found
