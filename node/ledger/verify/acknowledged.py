"""R4: what the top-level node has acknowledged of closed days and of load tests is what the log says, exactly.

An `ack` leaf has the note of the top-level node: of a day, what 表3 says there; of a load test, what was observed.
Which witness of the policy that is, the auditor says; no other one can acknowledge, and while nobody is named, nothing
is acknowledged.  The key is the auditor's, the head a cosigned one, and the figures are recomputed: from the leaf of
the day and its file, from the closing leaf of the load test, and from the last block before either.  A closing leaf is
the operator's word, so it may not say more than the log has records of the load test.
"""

from typing import NamedTuple

from node.ledger.acknowledging import Acknowledged
from node.ledger.day import DayDetail
from node.ledger.dayacknowledging import DayAcknowledged, Held
from node.ledger.keys import NoteError
from node.ledger.leaf import Acknowledgement, Block, Campaign, Day, Leaf
from node.ledger.note import Note, verify
from node.ledger.record import Class
from node.ledger.verify.checks import Check
from node.ledger.verify.files import MAX_DOCUMENT_BYTES, EvidenceFiles, Unreadable
from node.ledger.verify.findings import Findings, Status, grouped
from node.ledger.verify.heads import Heads
from node.ledger.verify.tested import Tested
from node.ledger.verify.trust import Trust

NO_COUNTERPART = "no counterpart yet"
NOT_NAMED = "the policy has no witness toplevel, and --toplevel names none"


class Said(NamedTuple):
    """What the log says of a day or a load test: its leaf, and the running total before that leaf."""

    at: int
    figures: dict[str, int]
    totals: tuple[int, ...]


class AcknowledgedRules:
    """Takes every leaf once, in order, and compares."""

    def __init__(
        self, files: EvidenceFiles, heads: Heads, trust: Trust, findings: Findings
    ) -> None:
        self._files = files
        self._heads = heads
        self._keys = [witness.key for witness in trust.toplevel]
        self._findings = findings
        self._totals: tuple[int, ...] = ()
        self._days: dict[str, Said] = {}
        self._campaigns: dict[int, Said] = {}
        self._agreed: set[str | int] = set()
        self._resolutions = 0
        self._unjudged = 0
        self.tested = Tested()

    def leaf(self, index: int, leaf: Leaf) -> None:
        """Take a leaf."""
        match leaf:
            case Block():
                self._totals = leaf.total
                self.tested.block(leaf)
            case Day():
                self._days.setdefault(leaf.day, Said(index, self._of_day(leaf), self._totals))
            case Campaign() if leaf.state == "close" and leaf.observed is not None:
                self._closed(index, leaf, leaf.observed)
            case Campaign():
                self.tested.open(leaf.number)
            case Acknowledgement():
                self._acknowledged(index, leaf)

    def finish(self) -> None:
        """Say what was found."""
        if self._unjudged:
            text = f"{self._unjudged} acknowledgements not judged: {NOT_NAMED}"
            self._findings.tell("R4", text, Status.SKIP)
            return
        if not self._agreed:
            self._findings.tell("R4", NO_COUNTERPART, Status.NONE)
            return
        days = sum(isinstance(each, str) for each in self._agreed)
        missing = len(self._days) - days
        text = (
            f"{days} days and {len(self._agreed) - days} load tests acknowledged,"
            f" {grouped(self._resolutions)} successes of these days at the top-level node"
        )
        still = f", {missing} days not acknowledged" if missing else ""
        self._findings.tell("R4", text + still)

    def _closed(self, index: int, leaf: Campaign, observed: int) -> None:
        figures = {"observed": observed, **(leaf.protocols or {})}
        self._campaigns.setdefault(leaf.number, Said(index, figures, self._totals))
        excess = self.tested.excess(leaf)
        if excess:
            text = f"load test {leaf.number} was closed with {excess}"
            self._findings.fail(Check.R4_TESTED, text, leaf=index)

    def _acknowledged(self, index: int, leaf: Acknowledgement) -> None:
        if not self._keys:
            self._unjudged += 1
            return
        try:
            note = Note.parse(leaf.note.encode())
            verify(note, self._keys)
            told = _told(note.text)
        except NoteError as error:
            text = f"leaf {index} acknowledges nothing: {error}"
            self._findings.fail(Check.R4_SIGNATURE, text, leaf=index)
            return
        if (told.size, told.root) != (leaf.size, leaf.root) or not self._is_ours(told):
            text = f"leaf {index} acknowledges another tree of {told.size} leaves"
            self._findings.fail(Check.R4_HEAD, text, leaf=index)
            return
        self._compare(index, leaf, told)

    def _is_ours(self, told: "DayAcknowledged | Acknowledged") -> bool:
        head = self._heads.find(told.size, told.root)
        return head is not None and told.leaf < told.size

    def _compare(
        self, index: int, leaf: Acknowledgement, told: "DayAcknowledged | Acknowledged"
    ) -> None:
        subject: str | int
        if isinstance(told, DayAcknowledged):
            subject, said = told.day, self._days.get(told.day)
            figures = told.held._asdict()
        else:
            subject, said = told.campaign, self._campaigns.get(told.campaign)
            figures = {"observed": told.observed, **told.protocols}
        name = f"day {subject}" if isinstance(subject, str) else f"load test {subject}"
        if said is None or (said.at, said.figures) != (told.leaf, figures):
            ours = said.figures if said else "nothing"
            text = f"{name}: the top-level node says {figures}, the log {ours}"
            self._findings.fail(Check.R4_TOTAL, text, leaf=index)
        elif not told.totals == leaf.totals == said.totals:
            text = f"{name}: the top-level node says totals {told.totals}, the log {said.totals}"
            self._findings.fail(Check.R4_TOTAL, text, leaf=index)
        elif subject not in self._agreed:
            self._agreed.add(subject)
            self._resolutions += figures.get("successes", 0)

    def _of_day(self, leaf: Day) -> dict[str, int]:
        """The figures that 表3 has of a day; requests in production are those of its file (V8 judges the file)."""
        requests = leaf.requests
        try:
            data = self._files.find(f"days/{leaf.day}.json", MAX_DOCUMENT_BYTES)
            if data is not None:
                cells = DayDetail.parse(data).counted.cells
                requests = sum(
                    tally.requests
                    for cell, tally in cells.items()
                    if cell.class_ == Class.PRODUCTION
                )
        except (Unreadable, ValueError):
            pass  # which is told where the file is judged
        return Held(requests, leaf.raw)._asdict()


def _told(text: str) -> "DayAcknowledged | Acknowledged":
    """Raises NoteError."""
    try:
        return DayAcknowledged.parse(text)
    except NoteError:
        return Acknowledged.parse(text)
