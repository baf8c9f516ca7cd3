"""Accounts: what clients asked and were answered, held against what the ledger has counted, question by question.

A question is known by how it came, the nonce of its request id, its identifier and its sender.  The ledger has keyed
hashes of these; with the month's key each record is told whose it is.  Laws held to: a question that was answered is
counted; none is counted more often than it was sent; and there is no record of a question that nobody asked.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from node.ledger.logfiles import BODIES
from node.ledger.record import Class, Proto, Record, decode_all
from node.ledger.tags import DayKeys, day_of, packed_address

FAULTS_SHOWN = 5
_NONCE_BYTES = 4


class Asked(NamedTuple):
    """A question: `nonce` the first bytes of the hash of its request id, `key` the canonical key, `source` who asks."""

    proto: Proto
    nonce: bytes
    key: bytes
    source: str


class Canary(NamedTuple):
    """A question of the auditor's own that was answered, and when it was asked (POSIX seconds)."""

    time: float
    asked: Asked


@dataclass(slots=True)
class Journal:
    """What clients sent, and what they got whole answers to; the canaries among these."""

    sent: Counter[Asked] = field(default_factory=Counter)
    answered: Counter[Asked] = field(default_factory=Counter)
    canaries: list[Canary] = field(default_factory=list)

    def write_canaries(self, path: Path) -> None:
        """Write the list that `idnode audit verify --canaries` takes."""
        rows = [
            f"{each.time:.6f},{each.asked.nonce.hex()},{each.asked.key.decode()}"
            for each in self.canaries
        ]
        path.write_text("\n".join(["time,nonce,identifier", *rows, ""]))


@dataclass(slots=True)
class Counted:
    """What the ledger has: records by question, by class, and those of questions that nobody in the journal asked."""

    questions: Counter[Asked] = field(default_factory=Counter)
    classes: Counter[int] = field(default_factory=Counter)
    strange: list[Record] = field(default_factory=list)
    others: int = 0  # of senders that are known and keep no journal


def records_of(directory: Path) -> Iterator[Record]:
    """Return all records that a ledger, or evidence of it, has."""
    for body in bodies_of(directory):
        yield from decode_all(body)


def bodies_of(directory: Path) -> Iterator[bytes]:
    """Return the bodies of all blocks that a ledger, or evidence of it, has."""
    return (path.read_bytes() for path in sorted((directory / BODIES).rglob("*.rec")))


def recognise(
    records: Iterable[Record], journal: Journal, keys: DayKeys, others: Collection[str] = ()
) -> Counted:
    """Tell whose each record is; `others` are senders that asked as well, and keep no journal."""
    found, names = Counted(), _Names(journal, keys, others)
    for record in records:
        found.classes[record.class_] += 1
        key, source = names.of(record)
        if source in others:
            found.others += 1
        elif key is None or source is None:
            found.strange.append(record)
        else:
            nonce = record.nonce.to_bytes(_NONCE_BYTES, "little")
            found.questions[Asked(Proto(record.proto), nonce, key, source)] += 1
    return found


class _Names:
    """What tags stand for, day by day."""

    def __init__(self, journal: Journal, keys: DayKeys, others: Collection[str]) -> None:
        self._keys = keys
        self._identifiers = {each.key for each in journal.sent}
        self._sources = {each.source for each in journal.sent} | set(others)
        self._days: dict[int, tuple[dict[int, bytes], dict[int, str]]] = {}

    def of(self, record: Record) -> tuple[bytes | None, str | None]:
        """Return identifier and sender of a record, None for what nobody knows."""
        day = day_of(record.t_us * 1_000)
        if day not in self._days:
            self._days[day] = self._learn(day)
        identifiers, sources = self._days[day]
        return identifiers.get(record.id_tag), sources.get(record.client_tag)

    def _learn(self, day: int) -> tuple[dict[int, bytes], dict[int, str]]:
        tags = self._keys.of(day)
        identifiers = {_number(tags.id_tag(key)): key for key in self._identifiers}
        sources = {
            _number(tags.client_tag(packed_address(source), b"")): source
            for source in self._sources
        }
        return identifiers, sources


def compare(journal: Journal, counted: Counted) -> list[str]:
    """Return what does not hold."""
    questions = counted.questions
    lost = journal.answered - questions
    more = questions - journal.sent
    faults = _told("answered, and not in the ledger", lost)
    faults += _told("in the ledger more often than it was sent", more)
    faults += [
        f"a record that belongs to no question: {each}" for each in counted.strange[:FAULTS_SHOWN]
    ]
    missed = [each for each in journal.canaries if questions[each.asked] != 1]
    faults += [
        f"canary {each.asked.key.decode()} is {questions[each.asked]} times in the ledger"
        for each in missed[:FAULTS_SHOWN]
    ]
    for proto in Proto:
        sent, found = _of(proto, journal.sent), _of(proto, questions)
        if found > sent:
            faults.append(f"{proto.name}: {found} counted, {sent} sent")
    return faults


def table(journal: Journal, counted: Counted) -> Iterator[str]:
    """Return the figures, a line for each protocol that was used, and one for the classes."""
    yield f"{'':12} {'sent':>9} {'answered':>9} {'counted':>9} {'canaries':>9} {'found once':>10}"
    for proto in Proto:
        sent = _of(proto, journal.sent)
        if sent:
            canaries = [each.asked for each in journal.canaries if each.asked.proto is proto]
            once = sum(counted.questions[asked] == 1 for asked in canaries)
            yield (
                f"{proto.name.lower():12} {sent:9,} {_of(proto, journal.answered):9,} "
                f"{_of(proto, counted.questions):9,} {len(canaries):9,} {once:10,}"
            )
    sums = [f"{Class(number).name.lower()} {n:,}" for number, n in sorted(counted.classes.items())]
    yield f"records: {', '.join(sums)}; {counted.others:,} asked by the stand itself"


def _of(proto: Proto, counts: Counter[Asked]) -> int:
    return sum(times for asked, times in counts.items() if asked.proto is proto)


def _told(fault: str, questions: Counter[Asked]) -> list[str]:
    some = [_shown(each) for each in list(questions)[:FAULTS_SHOWN]]
    return [f"{questions.total()} {fault}, such as {'; '.join(some)}"] if some else []


def _shown(asked: Asked) -> str:
    return f"{asked.proto.name} {asked.key.decode()} {asked.nonce.hex()} from {asked.source}"


def _number(tag: bytes) -> int:
    return int.from_bytes(tag, "little")
