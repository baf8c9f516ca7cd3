"""R7: canaries, questions that the auditor asked himself, are each counted once.

His list is CSV with a first line of names: `time` (seconds since 1970, or ISO 8601 with a zone), `nonce` (eight
hexadecimal digits: the first four bytes of the SHA-256 of the request id), and where they are known `identifier` (as
the node writes it, for which the month's key is needed) and `receipt`.
"""

import csv
import io
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from node.ledger.canonical import MAX_NUMBER
from node.ledger.leaf import Block, MonthKey
from node.ledger.tags import day_of
from node.ledger.verify.bodies import Records
from node.ledger.verify.checks import Check
from node.ledger.verify.findings import Findings, Status, grouped
from node.ledger.verify.networks import MonthTags
from node.ledger.verify.trust import WrongUse

MAX_CANARIES = 1_000_000
AROUND_US = 120_000_000  # how far the auditor's clock and the node's may be apart


@dataclass(slots=True)
class Canary:
    """One question, and how often it was found."""

    line: int
    time: int
    nonce: int
    identifier: bytes
    place: tuple[int, int, int] | None  # lane, epoch, number: what its receipt says
    found: int = 0


def parse_canaries(data: bytes) -> list[Canary]:
    """Read the list.  Raises WrongUse."""
    try:
        rows = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"))))
        canaries = [_canary(line, row) for line, row in enumerate(rows, 2)]
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, csv.Error) as error:
        raise WrongUse(f"--canaries cannot be read: {error!r}") from error
    if len(canaries) > MAX_CANARIES:
        raise WrongUse(f"--canaries has more than {MAX_CANARIES} rows")
    return canaries


class CanaryRules:
    """Looks for canaries among the records."""

    def __init__(
        self, canaries: list[Canary] | None, keys: Iterable[bytes], findings: Findings
    ) -> None:
        """`keys` are the month keys of the auditor."""
        self._canaries = canaries
        self._given = {sha256(key).hexdigest(): key for key in keys}
        self._months: dict[str, bytes] = {}
        self._findings = findings
        self._by_nonce: defaultdict[int, list[Canary]] = defaultdict(list)
        for canary in canaries or ():
            self._by_nonce[canary.nonce].append(canary)
        self._wanted = self._by_nonce.keys()

    def month_key(self, leaf: MonthKey) -> None:
        """Take the digest of a month's key: it says of which month a given one is."""
        if leaf.sha256 in self._given:
            self._months[leaf.month] = self._given[leaf.sha256]

    def look(self, index: int, leaf: Block, records: Records) -> None:
        """Take the records of a block."""
        if not self._wanted or self._wanted.isdisjoint(records.nonces):
            return
        rows = zip(records.nonces, records.times, records.identifiers, strict=True)
        for place, (nonce, time, tag) in enumerate(rows):
            for canary in self._by_nonce.get(nonce, ()):
                where = (leaf.lane, leaf.epoch, leaf.sequence[0] + place)
                canary.found += self._is(canary, time, tag, where)

    def finish(self, judged_until: int, *, has_bodies: bool) -> None:
        """Say which were missed, and which came twice; later than that time, µs, none is expected (0: all are)."""
        if self._canaries is None or not has_bodies:
            text = "no --canaries" if self._canaries is None else "records were not looked at"
            self._findings.tell("R7", f"{text}: not looked for", Status.SKIP)
            return
        until = judged_until - AROUND_US if judged_until else MAX_NUMBER
        for canary in self._canaries:
            if not canary.found and canary.time <= until:
                text = f"the canary in line {canary.line} is not in the ledger"
                self._findings.fail(Check.R7_MISSING, text)
            elif canary.found > 1:
                text = f"the canary in line {canary.line} is in the ledger {canary.found} times"
                self._findings.fail(Check.R7_TWICE, text)
        once = sum(canary.found == 1 for canary in self._canaries)
        late = sum(not canary.found and canary.time > until for canary in self._canaries)
        text = f"sent {grouped(len(self._canaries))}, found exactly once {grouped(once)}"
        text += f", {grouped(late)} asked too late to be in the log yet" if late else ""
        self._findings.tell("R7", text)

    def _is(self, canary: Canary, time: int, tag: int, where: tuple[int, int, int]) -> bool:
        if abs(time - canary.time) > AROUND_US:
            return False
        if canary.place is not None and canary.place != where:
            return False
        tags = MonthTags(self._months).of(day_of(time * 1_000)) if canary.identifier else None
        if tags is None:
            return True
        return int.from_bytes(tags.id_tag(canary.identifier), "little") == tag


def _canary(line: int, row: dict[str, str]) -> Canary:
    receipt = row.get("receipt") or ""
    place = None
    if receipt:
        lane, epoch, number = receipt.split(";")[-1 if ";" not in receipt else 1].split(".")[:3]
        place = int(lane), int(epoch), int(number)
    identifier = (row.get("identifier") or "").encode()
    return Canary(line, _time(row["time"]), _nonce(row["nonce"]), identifier, place)


def _nonce(text: str) -> int:
    data = bytes.fromhex(text)
    if len(data) != 4:
        raise ValueError(f"a nonce has eight hexadecimal digits, not {text!r}")
    return int.from_bytes(data, "little")


def _time(text: str) -> int:
    try:
        return round(float(text) * 1_000_000)
    except ValueError:
        moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return round(moment.timestamp() * 1_000_000)
