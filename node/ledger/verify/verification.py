"""Verification: the rules, in the order in which they look at the evidence, and what they come to.

Heads first, for they say how far and when; then every leaf once, in its order, and with each block its body; then what
can only be said at the end.  Memory holds the heads, a day or two of blocks, and the snapshots of the workers.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple

from node.ledger.classes import Robots
from node.ledger.day import day_at
from node.ledger.leaf import (
    Block,
    Campaign,
    CountPolicy,
    Day,
    Dictionary,
    Epoch,
    Gap,
    Genesis,
    Leaf,
    LeafError,
    Meters,
    MonthKey,
    Pruning,
    Report,
)
from node.ledger.verify.acknowledged import NO_COUNTERPART, AcknowledgedRules
from node.ledger.verify.bodies import ALL, EVERY_BODY, Bodies, BodyRules
from node.ledger.verify.canaries import Canary, CanaryRules
from node.ledger.verify.checks import Check
from node.ledger.verify.days import Counted, DayRules
from node.ledger.verify.figures import FigureRules
from node.ledger.verify.files import EvidenceFiles
from node.ledger.verify.findings import Findings, Status
from node.ledger.verify.heads import Head, Heads, read_heads
from node.ledger.verify.lanes import LaneRules
from node.ledger.verify.lines import read_leaf
from node.ledger.verify.merkle import Line, MerkleRules
from node.ledger.verify.meters import MeterRules
from node.ledger.verify.period import Period
from node.ledger.verify.policies import PolicyRules
from node.ledger.verify.pruning import PruningRules
from node.ledger.verify.reports import ReportRules, read_report
from node.ledger.verify.robots import RobotLists
from node.ledger.verify.scrape import ScrapeRules, Series
from node.ledger.verify.sums import SumsRules
from node.ledger.verify.times import TimeRules
from node.ledger.verify.trust import Trust


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is to be verified, with all that the auditor brings himself."""

    trust: Trust
    bodies: Bodies = EVERY_BODY
    period: str = ""  # a month; empty: that of the report, or everything
    threshold: int = 1_000_000
    metric: str = "filtered"
    remembered: tuple[int, bytes] | None = None
    month_keys: tuple[bytes, ...] = ()
    robots: dict[str, Robots] = field(default_factory=dict)
    canaries: list[Canary] | None = None
    scrape: list[Series] | None = None
    off: Collection[Check] = ()


class Outcome(NamedTuple):
    """What was found, and the head that was judged (None: there was none)."""

    findings: Findings
    counted: Counted
    question: Question
    head: Head | None


def verify_evidence(files: EvidenceFiles, question: Question) -> Outcome:
    """Judge the evidence by all rules."""
    findings = Findings(question.off)
    for rule in ("R5", "R6"):
        findings.tell(rule, NO_COUNTERPART, Status.NONE)
    sums = SumsRules(files, findings, has_bodies=question.bodies.mode == ALL).judge()
    heads = read_heads(files, question.trust, findings)
    if not heads.all:
        for rule in (
            "V2",
            "V3",
            "V4",
            "V5",
            "V6",
            "V7",
            "V8",
            "V9",
            "V10",
            "R1",
            "R2",
            "R3",
            "R4",
            "R7",
        ):
            findings.tell(rule, "not looked at: no head to judge by", Status.SKIP)
        return Outcome(findings, Counted(), question, None)
    run = _Run(files, heads, question, findings)
    run.read()
    findings.add("V2", sums)
    return Outcome(findings, run.days.counted, question, heads.newest)


class _Run:
    """One pass over the evidence."""

    def __init__(
        self, files: EvidenceFiles, heads: Heads, question: Question, findings: Findings
    ) -> None:
        report = read_report(files, findings)
        self._period = Period(question.period or (report.month if report else ""))
        self._trust = question.trust
        self._findings = findings
        self._has_all = question.bodies.mode == ALL
        self._judged_until = heads.newest.met
        keys = question.month_keys
        self._merkle = MerkleRules(files, heads, question.remembered, findings)
        self._lanes = LaneRules(findings)
        self._times = TimeRules(heads, findings)
        self._policies = PolicyRules(
            heads, keys, RobotLists(files, question.robots, findings), findings
        )
        threshold = (question.threshold, question.metric)
        self._pruning = PruningRules(files, heads.newest.size, findings)
        self.days = DayRules(
            files,
            self._period,
            threshold,
            findings,
            self._pruning.is_told,
            has_bodies=self._has_all,
        )
        self._figures = FigureRules(findings)
        self._reports = ReportRules(files, question.trust, report, findings)
        self._meters = MeterRules(findings)
        self._scrape = ScrapeRules(question.scrape, findings)
        self._acknowledged = AcknowledgedRules(files, heads, question.trust, findings)
        self._canaries = CanaryRules(question.canaries, keys, findings)
        looks = [
            self._times.look,
            self._policies.look,
            self.days.look,
            self._figures.look,
            self._scrape.look,
            self._acknowledged.tested.look,
            self._canaries.look,
        ]
        self._bodies = BodyRules(files, question.bodies, self._pruning, looks, findings)

    def read(self) -> None:
        """Read everything, and let every rule say what it found."""
        is_first = True
        for line in self._merkle.lines():
            try:
                leaf = read_leaf(line.data)
            except LeafError as error:
                text = f"leaf {line.number} cannot be read: {error}"
                self._findings.fail(Check.V2_LEAF, text, leaf=line.number)
                continue
            if is_first != isinstance(leaf, Genesis) or (is_first and not self._is_ours(leaf)):
                text = f"leaf {line.number} is not the one beginning of {self._trust.origin}"
                self._findings.fail(Check.V1_GENESIS, text, leaf=line.number)
            is_first = False
            self._take(line, leaf)
        self._finish()

    def _is_ours(self, leaf: Leaf) -> bool:
        if not isinstance(leaf, Genesis) or leaf.origin != self._trust.origin:
            return False
        return any(str(key) in leaf.keys for key in self._trust.keys)

    def _take(self, line: Line, leaf: Leaf) -> None:
        index = line.number
        self._times.leaf(index, leaf)
        self._acknowledged.leaf(index, leaf)
        match leaf:
            case Block():
                self._block(index, leaf, line.hash)
            case Meters():
                self._meters.meters(index, leaf)
            case Epoch():
                self._lanes.epoch(index, leaf)
            case Gap():
                self._lanes.gap(index, leaf)
            case Day():
                self._pruning.day(leaf)
                self.days.day(index, leaf)
            case Pruning():
                self._pruning.pruning(index, leaf)
            case Report():
                self._reports.logged(index, leaf)
            case _:
                self._announced(index, leaf)

    def _announced(self, index: int, leaf: Leaf) -> None:
        match leaf:
            case CountPolicy():
                self._pruning.policy(leaf)
                self._policies.policy(index, leaf)
            case Campaign():
                self._policies.campaign(index, leaf)
            case MonthKey():
                self._policies.month_key(index, leaf)
                self._canaries.month_key(leaf)
            case Dictionary():
                self._policies.dictionary(leaf)
                self.days.dictionary(leaf)

    def _block(self, index: int, leaf: Block, hashed: bytes) -> None:
        epoch = self._lanes.block(index, leaf, hashed)
        self._meters.block(index, leaf)
        self.days.block(index, leaf)
        if self._period.has_span(day_at(leaf.span[0]), day_at(leaf.span[1])):
            self._bodies.offer(index, leaf, epoch)

    def _finish(self) -> None:
        self._merkle.finish()
        self._lanes.finish()
        self._bodies.finish()
        self._times.finish()
        self._policies.finish()
        self.days.finish()
        self._figures.finish(self.days.counted.figures)
        self._reports.finish(self.days.counted, is_complete=bool(self._period.month))
        self._meters.finish(self._lanes.epochs)
        has_bodies = self._has_all and not self._bodies.pruned
        self._scrape.finish(self._lanes.uncounted, has_bodies=has_bodies)
        self._acknowledged.finish()
        self._canaries.finish(self._judged_until, has_bodies=has_bodies)
