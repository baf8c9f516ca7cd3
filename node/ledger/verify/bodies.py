"""V5, and the records part of V4 and V6: each body against its leaf; and what its records are, column by column.

A record is 64 bytes, so an array of 32-bit words has one field at each sixteenth place: columns cost next to nothing,
and almost every block is judged without looking at one record alone.
"""

import random
from array import array
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat
from operator import mul, sub
from typing import NamedTuple

from node.ledger.day import day_at
from node.ledger.leaf import CLASSES, Block
from node.ledger.record import RECORD_BYTES, RecordFlag, numbers
from node.ledger.verify.checks import Check
from node.ledger.verify.digests import Digester, Digests, Task, helpers_here
from node.ledger.verify.epochstate import EpochState
from node.ledger.verify.files import EvidenceFiles, Unreadable
from node.ledger.verify.findings import Findings, Status, grouped
from node.ledger.verify.pruning import PruningRules

MAX_DRIFT_MS = 2_000
NONE, ALL = "none", "all"
_STEPPED = int(RecordFlag.CLOCK_STEPPED)
_SUCCESS = int(RecordFlag.SUCCESS)


class Bodies(NamedTuple):
    """Which bodies are looked at: none, all, or so many at random."""

    mode: str = ALL
    sample: int = 0

    @classmethod
    def parse(cls, text: str) -> "Bodies":
        """Read `none`, `all` or `sample:N`.  Raises ValueError."""
        word, _, number = text.partition(":")
        if word == "sample" and number.isdecimal() and len(number) < 10 and int(number):
            return cls(word, int(number))
        if text not in (NONE, ALL):
            raise ValueError(f"bodies are none, all, or sample:N, not {text!r}")
        return cls(text)


EVERY_BODY = Bodies()


class Kind(NamedTuple):
    """What many records of a block have in common."""

    class_: int
    policy: int
    campaign: int
    flags: int
    agent: int


@dataclass(frozen=True)
class Records:
    """The records of a block, by columns."""

    body: bytes

    @cached_property
    def _words(self) -> "array[int]":
        return numbers("I", self.body)

    @cached_property
    def _quads(self) -> "array[int]":
        return numbers("Q", self.body)

    @cached_property
    def times(self) -> "array[int]":
        """When each was answered, µs."""
        return self._quads[1::8]

    @property
    def identifiers(self) -> "array[int]":
        """The tag of what each asked for."""
        return self._quads[3::8]

    @property
    def clients(self) -> "array[int]":
        """The tag of who asked."""
        return self._quads[4::8]

    @property
    def networks(self) -> "array[int]":
        """The tag of the network of who asked."""
        return self._words[10::16]

    @cached_property
    def by_network(self) -> Counter[int]:
        """How many there are of each network."""
        return Counter(self.networks)

    @cached_property
    def by_prefix(self) -> Counter[int]:
        """How many there are of each prefix."""
        return Counter(self.prefixes)

    @cached_property
    def by_client(self) -> Counter[int]:
        """How many there are of each client."""
        return Counter(self.clients)

    @property
    def prefixes(self) -> "array[int]":
        """The number of the prefix of what each asked for."""
        return self._words[11::16]

    @property
    def nonces(self) -> "array[int]":
        """The nonce of each."""
        return self._words[14::16]

    @property
    def classes(self) -> list[int]:
        """The class of each."""
        return [word & 0xFF for word in self._words[5::16]]

    @property
    def policies(self) -> list[int]:
        """The policy of each."""
        return [word & 0xFFFF for word in self._words[12::16]]

    @property
    def campaigns(self) -> list[int]:
        """The campaign of each."""
        return [word >> 16 for word in self._words[12::16]]

    @property
    def agents(self) -> list[int]:
        """The user agent of each."""
        return [word >> 16 for word in self._words[13::16]]

    @property
    def flags(self) -> list[int]:
        """The flags of each."""
        return [word & 0xFFFF for word in self._words[13::16]]

    @cached_property
    def kinds(self) -> dict[Kind, int]:
        """How many records there are of each kind."""
        words = self._words
        found: Counter[Kind] = Counter()
        joined = Counter(zip(words[5::16], words[12::16], words[13::16], strict=True))
        for (head, rule, tail), count in joined.items():
            kind = Kind(head & 0xFF, rule & 0xFFFF, rule >> 16, tail & 0xFFFF, tail >> 16)
            found[kind] += count
        return found

    @cached_property
    def span(self) -> tuple[int, int]:
        """The earliest and the latest time; there must be a record."""
        return min(self.times), max(self.times)

    def beginnings(self) -> list[int]:
        """Return when, by both clocks of each, its epoch was opened, µs."""
        return list(map(sub, self.times, map(mul, self._words[4::16], repeat(1_000))))


Look = Callable[[int, Block, Records], None]
"""look(index, leaf, records): what another rule does with the records of a block."""


class BodyRules:
    """Looks at the bodies that are to be looked at, and shows their records to other rules."""

    def __init__(
        self,
        files: EvidenceFiles,
        wanted: Bodies,
        pruning: PruningRules,
        looks: Sequence[Look],
        findings: Findings,
    ) -> None:
        self.pruned = 0  # bodies that are gone, as the log says
        self._files = files
        self._wanted = wanted
        self._pruning = pruning
        self._looks = looks
        self._findings = findings
        self._sampled: list[tuple[int, Block, int]] = []
        self._offered = 0
        self._seen = self._records = 0
        self._stepped = 0
        self._random = random.SystemRandom()
        self._digester = Digester(helpers_here())
        self._asked: deque[tuple[int, Block]] = deque()  # whose digests are not there yet

    def offer(self, index: int, leaf: Block, epoch: EpochState) -> None:
        """Take a block whose body should be here; `epoch` is as it was before."""
        if self._wanted.mode == ALL:
            self._examine(index, leaf, epoch.opened)
        elif self._wanted.mode != NONE and leaf.sequence[1] >= leaf.sequence[0]:
            self._maybe(index, leaf, epoch.opened)

    def finish(self) -> None:
        """Look at the sample, and say what was found."""
        for index, leaf, opened in sorted(self._sampled, key=lambda each: each[0]):
            self._examine(index, leaf, opened)
        for (index, leaf), made in zip(self._asked, self._digester.finish(), strict=True):
            self._check_digests(index, leaf, made)
        if self._stepped:
            text = f"{grouped(self._stepped)} records say that a clock was set in their epoch"
            self._findings.disclose("V6", text)
        text = f"{grouped(self._seen)} bodies of {grouped(self._records)} records"
        if self.pruned:
            text += f"; {grouped(self.pruned)} {self._pruning.text}"
        if self._wanted.mode == NONE:
            self._findings.tell("V5", "not asked for: --bodies none", Status.SKIP)
        elif self._wanted.mode == ALL:
            self._findings.tell("V5", text)
        else:
            self._findings.tell("V5", f"{text}, drawn from {grouped(self._offered)}")

    def _maybe(self, index: int, leaf: Block, opened: int) -> None:
        """Each block has the same chance to be looked at, however many there will be."""
        self._offered += 1
        if len(self._sampled) < self._wanted.sample:
            self._sampled.append((index, leaf, opened))
        elif (place := self._random.randrange(self._offered)) < self._wanted.sample:
            self._sampled[place] = index, leaf, opened

    def _examine(self, index: int, leaf: Block, opened: int) -> None:
        body = self._read(index, leaf)
        if body is None:
            return
        self._seen += bool(body)
        self._records += len(body) // RECORD_BYTES
        first, last = leaf.sequence
        name = f"block {leaf.lane}.{leaf.epoch}.{leaf.block}"
        self._asked.append((index, leaf))
        self._digester.take(Task(body, leaf.lane, leaf.epoch, first))
        for made in self._digester.ready():
            self._check_digests(*self._asked.popleft(), made)
        if len(body) % RECORD_BYTES or len(body) // RECORD_BYTES != last - first + 1:
            self._findings.fail(
                Check.V4_RECORD,
                f"{name} has {len(body)} bytes for the records {first} to {last}",
                leaf=index,
            )
            return
        records = Records(body)
        self._check_sums(index, leaf, records, name)
        if body:
            self._check_times(index, leaf, records, opened, name)
            for look in self._looks:
                look(index, leaf, records)

    def _read(self, index: int, leaf: Block) -> bytes | None:
        if leaf.sequence[1] < leaf.sequence[0]:
            return b""
        try:
            body = self._files.body(leaf)
        except Unreadable as error:
            self._findings.fail(Check.V5_MISSING, str(error), leaf=index)
            return None
        if body is None and self._pruning.is_told(day_at(leaf.span[1])):
            self.pruned += 1
        elif body is None:
            text = f"the body of block {leaf.lane}.{leaf.epoch}.{leaf.block} is not here"
            self._findings.fail(Check.V5_MISSING, text, leaf=index)
        return body

    def _check_digests(self, index: int, leaf: Block, made: Digests) -> None:
        name = f"block {leaf.lane}.{leaf.epoch}.{leaf.block}"
        if made.bad is not None:
            text = f"record {made.bad} of {name} is not whole"
            self._findings.fail(Check.V4_RECORD, text, leaf=index, record=made.bad)
        for check, found, said in (
            (Check.V5_SHA256, made.sha256, leaf.sha256),
            (Check.V5_SM3, made.sm3, leaf.sm3),
            (Check.V5_ROOT, made.root, leaf.record_root.hex()),
        ):
            if found != said:
                self._findings.fail(
                    check,
                    f"the body of {name} has {found[:16]}…, its leaf {said[:16]}…",
                    leaf=index,
                )

    def _check_sums(self, index: int, leaf: Block, records: Records, name: str) -> None:
        counts, successes = [0] * CLASSES, [0] * CLASSES
        for kind, count in records.kinds.items():
            place = min(kind.class_, CLASSES - 1)
            counts[place] += count
            successes[place] += count * (kind.flags & _SUCCESS)
        if tuple(counts) != leaf.records or tuple(successes) != leaf.successes:
            self._findings.fail(
                Check.V5_SUMS,
                f"the records of {name} come to {counts} and {successes} successes, not to its sums",
                leaf=index,
            )

    def _check_times(
        self, index: int, leaf: Block, records: Records, opened: int, name: str
    ) -> None:
        first, last = records.span
        if first < leaf.span[0] or last > leaf.span[1]:
            self._findings.fail(
                Check.V6_RECORD, f"a record of {name} is not of its time", leaf=index
            )
        self._stepped += sum(
            count for kind, count in records.kinds.items() if kind.flags & _STEPPED
        )
        if not opened:
            return
        begun, limit = records.beginnings(), MAX_DRIFT_MS * 1_000
        if opened - limit <= min(begun) and max(begun) <= opened + limit:
            return
        for place, (time, flags) in enumerate(zip(begun, records.flags, strict=True)):
            drift = time - opened
            if abs(drift) > limit and not flags & _STEPPED:
                number = leaf.sequence[0] + place
                self._findings.fail(
                    Check.V6_DRIFT,
                    f"record {number} of {name}: the clocks are {drift // 1_000} ms apart, and it does not say so",
                    leaf=index,
                    record=number,
                )
                return
