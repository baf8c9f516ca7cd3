"""Findings: what a run of the verifier has to say of each rule, and what that comes to.

Laws.  Texts come from evidence, so none of them can steer a terminal or span lines.  A rule that found a fault fails,
whatever else was said of it; the exit code is the smallest of the faults.
"""

from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from node.ledger.verify.checks import PASS, PASS_WITH_GAPS, RULES, Check

KEPT_FINDINGS = 20  # of each check; the others are only counted
MAX_TEXT = 400

Where: TypeAlias = "dict[str, int | str]"
"""Where to look: `leaf` (its index), `record` (its number in its epoch), `file`."""


class Status(StrEnum):
    """What is said of a rule."""

    PASS = "PASS"  # noqa: S105  no password
    WARN = "WARN"  # what the ledger itself discloses
    FAIL = "FAIL"
    INFO = "INFO"  # figures, which nothing judges
    SKIP = "SKIP"  # not asked for, or nothing here to look at
    NONE = "NONE"  # nobody keeps the other count yet


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault, or what the ledger discloses itself (`check` is None then)."""

    check: Check | None
    text: str
    where: Where


@dataclass(slots=True)
class Said:
    """All that was said of one rule."""

    faults: list[Finding] = field(default_factory=list)
    disclosed: list[Finding] = field(default_factory=list)
    text: str = ""
    status: Status = Status.PASS


class Findings:
    """Collects what the rules say."""

    def __init__(self, off: Collection[Check] = ()) -> None:
        """`off` are checks whose findings are dropped: what the verifier would be without them."""
        self._off = frozenset(off)
        self._said: defaultdict[str, Said] = defaultdict(Said)
        self.counts: Counter[Check] = Counter()
        self.seen: set[Check] = set()  # also those that are off
        self._disclosed: Counter[str] = Counter()

    def fail(self, check: Check, text: str, **where: int | str) -> None:
        """A check does not hold."""
        self.seen.add(check)
        if check in self._off:
            return
        self.counts[check] += 1
        if self.counts[check] <= KEPT_FINDINGS:
            self._said[check.rule].faults.append(Finding(check, plain(text), where))

    def disclose(self, rule: str, text: str, **where: int | str) -> None:
        """The ledger says itself that something is missing."""
        self._disclosed[rule] += 1
        if self._disclosed[rule] <= KEPT_FINDINGS:
            self._said[rule].disclosed.append(Finding(None, plain(text), where))

    def tell(self, rule: str, text: str, status: Status = Status.PASS) -> None:
        """What the rule's line says when it does not fail."""
        self._said[rule].text = plain(text)
        self._said[rule].status = status

    def add(self, rule: str, text: str) -> None:
        """What the rule's line says besides."""
        self._said[rule].text += plain(f", {text}")

    def disclosed(self, rule: str) -> int:
        """Return how much the ledger discloses under a rule."""
        return self._disclosed[rule]

    def said(self, rule: str) -> Said:
        """Return all that was said of a rule."""
        return self._said[rule]

    def status(self, rule: str) -> Status:
        """Return what it comes to."""
        said = self._said[rule]
        if said.faults:
            return Status.FAIL
        if said.disclosed and said.status is Status.PASS:
            return Status.WARN
        return said.status

    def line(self, rule: str) -> str:
        """Return the line that is printed for a rule."""
        said, status = self._said[rule], self.status(rule)
        if status is Status.FAIL:
            more = sum(n for check, n in self.counts.items() if check.rule == rule) - 1
            text = f"[{_id(said.faults[0])}] {said.faults[0].text}" + (
                f" (and {grouped(more)} more)" if more else ""
            )
        else:
            text = said.text or "; ".join(finding.text for finding in said.disclosed[:3])
        return f"{rule} {status}  {text}".rstrip()

    @property
    def code(self) -> int:
        """The exit code: the smallest of all faults."""
        if self.counts:
            return min(check.code for check in self.counts)
        return PASS_WITH_GAPS if self._disclosed else PASS

    @property
    def verdict(self) -> str:
        """The exit code in a word."""
        return {PASS: "PASS", PASS_WITH_GAPS: "PASS-WITH-GAPS"}.get(self.code, "FAIL")

    def lines(self) -> list[str]:
        """Return the lines of all rules, in their order."""
        return [self.line(rule) for rule in RULES]


def plain(text: str) -> str:
    """Return one line that cannot steer a terminal, and is not too long."""
    shown = text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]} …"
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in shown
    )


def grouped(number: int) -> str:
    """Return `1 043 377`."""
    return f"{number:,}".replace(",", " ")


def _id(finding: Finding) -> str:
    return finding.check.id if finding.check else ""
