"""V10, and the report's part of V8: which reports the log has, and whether the one here is the newest and right.

The verifier judges `report.json`, never a PDF.  Its digest names the leaf, and the leaf the month.
"""

from collections import defaultdict
from collections.abc import Mapping
from hashlib import sha256
from typing import NamedTuple

from node.ledger.block import sm3
from node.ledger.canonical import CanonicalError, Json, parse_canonical
from node.ledger.keys import NoteError
from node.ledger.leaf import Report
from node.ledger.note import MAX_NOTE_BYTES, Note, verify
from node.ledger.statement import Statement
from node.ledger.verify.checks import Check
from node.ledger.verify.days import Counted
from node.ledger.verify.files import MAX_DOCUMENT_BYTES, EvidenceFiles, Unreadable
from node.ledger.verify.findings import Findings, Status, grouped
from node.ledger.verify.period import is_month
from node.ledger.verify.trust import Trust

REPORT, NOTE = "report.json", "report.note"
_FIGURES = {"own": "self"}  # figures that the report calls otherwise


class ReportFile(NamedTuple):
    """A report as it lies in the evidence."""

    data: bytes
    document: Mapping[str, Json]

    @property
    def month(self) -> str:
        """The month that it says it is about; empty when it says none."""
        period = self.document.get("period")
        month = period.get("month") if isinstance(period, Mapping) else None
        return month if isinstance(month, str) and is_month(month) else ""


def read_report(files: EvidenceFiles, findings: Findings) -> ReportFile | None:
    """Return the report of the evidence, None when there is none that can be read."""
    try:
        data = files.find(REPORT, MAX_DOCUMENT_BYTES)
        if data is None:
            return None
        document = parse_canonical(data.removesuffix(b"\n"))
    except (Unreadable, CanonicalError) as error:
        findings.fail(Check.V10_MISSING, f"{REPORT}: {error}", file=REPORT)
        return None
    if not isinstance(document, Mapping):
        findings.fail(Check.V10_MISSING, f"{REPORT} is no object", file=REPORT)
        return None
    return ReportFile(data, document)


class ReportRules:
    """Judges the reports that the log has, and the one that is here."""

    def __init__(
        self, files: EvidenceFiles, trust: Trust, report: ReportFile | None, findings: Findings
    ) -> None:
        self._files = files
        self._trust = trust
        self._report = report
        self._findings = findings
        self._known: defaultdict[str, list[tuple[int, Report]]] = defaultdict(list)

    def logged(self, index: int, leaf: Report) -> None:
        """Take a report that the log has."""
        before = self._known[leaf.period]
        number = before[-1][1].version if before else 0
        replaced = before[-1][1].sha256 if before else None
        if leaf.version != number + 1 or leaf.supersedes != replaced:
            self._findings.fail(
                Check.V10_VERSION,
                f"the report of {leaf.period} in leaf {index} does not follow version {number}",
                leaf=index,
            )
        before.append((index, leaf))

    def finish(self, counted: Counted, *, is_complete: bool) -> None:
        """Judge the report; `is_complete` says that `counted` is what its month comes to."""
        count = sum(map(len, self._known.values()))
        if self._report is None:
            text = f"{count} reports in the log, none here"
            self._findings.tell("V10", text, Status.PASS if count else Status.SKIP)
            return
        digest = sha256(self._report.data).hexdigest()
        found = self._find(digest)
        if found is None:
            return
        index, leaf = found
        text = f"report of {leaf.period}, version {leaf.version}, leaf {grouped(index)}"
        self._findings.tell("V10", text)
        self._check_note(leaf)
        self._check_previous(leaf)
        if is_complete:
            self._check_totals(counted)

    def _find(self, digest: str) -> tuple[int, Report] | None:
        report = self._report
        for month, reports in self._known.items():
            for index, leaf in reports:
                if leaf.sha256 != digest:
                    continue
                if leaf is not reports[-1][1] or (report and leaf.sm3 != sm3(report.data)):
                    text = f"{REPORT} is not the newest report of {month}"
                    self._findings.fail(Check.V10_LOGGED, text, leaf=index, file=REPORT)
                return index, leaf
        self._findings.fail(Check.V10_LOGGED, f"{REPORT} is in no leaf of the log", file=REPORT)
        return None

    def _check_note(self, leaf: Report) -> None:
        try:
            data = self._files.find(NOTE, MAX_NOTE_BYTES)
            if data is None:
                raise NoteError("it is not here")
            note = Note.parse(data)
            verify(note, self._trust.keys)
            statement = Statement.parse(note.text)
        except (Unreadable, NoteError) as error:
            self._findings.fail(Check.V10_SIGNATURE, f"{NOTE}: {error}", file=NOTE)
            return
        document = self._report.data if self._report else b""
        stated = (statement.origin, statement.period, statement.version)
        if stated != (self._trust.origin, leaf.period, leaf.version) or not statement.is_of(
            document
        ):
            text = f"{NOTE} states another report than {REPORT}"
            self._findings.fail(Check.V10_SIGNATURE, text, file=NOTE)

    def _check_previous(self, leaf: Report) -> None:
        earlier = max((month for month in self._known if month < leaf.period), default=None)
        expected = self._known[earlier][-1][1].sha256 if earlier else None
        log = self._report.document.get("log") if self._report else None
        said = log.get("prev_report_digest") if isinstance(log, Mapping) else None
        reports = [each.sha256 for _, each in self._known[earlier]] if earlier else []
        if (said or None) != expected and said not in reports:
            text = f"{REPORT} does not name the report of {earlier or 'no month'} before it"
            self._findings.fail(Check.V10_PREVIOUS, text, file=REPORT)

    def _check_totals(self, counted: Counted) -> None:
        totals = self._report.document.get("totals") if self._report else None
        for name, number in counted.closed.items():
            if name in ("identifiers", "clients"):  # distinct in a day, so days do not add up
                continue
            said = totals.get(_FIGURES.get(name, name)) if isinstance(totals, Mapping) else None
            if said != number:
                self._findings.fail(
                    Check.V8_REPORT,
                    f"{REPORT}: {name} is {grouped(number)}, the report says {said}",
                    file=REPORT,
                )
