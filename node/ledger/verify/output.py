"""The output of a verification: lines for people, with a fixed grammar, and the same as JSON with pointers."""

import json
from typing import Any

from node.ledger.keys import to_base64
from node.ledger.verify.checks import RULES
from node.ledger.verify.findings import Finding, grouped
from node.ledger.verify.verification import Outcome

FORMAT = "idnode-audit-1"


def lines_of(outcome: Outcome) -> list[str]:
    """Return the lines: one a rule, the figures, the verdict."""
    figures = outcome.counted.figures
    shown = [
        f"{word} {grouped(figures[name])}"
        for word, name in (
            ("RAW", "raw"),
            ("FILTERED", "filtered"),
            ("TEST", "test"),
            ("SELF", "own"),
            ("ROBOT", "robot"),
            ("SUSPECT", "suspect"),
        )
    ]
    verdict = f"VERDICT {outcome.findings.verdict}   {_threshold(outcome)}"
    return [*outcome.findings.lines(), "   ".join(shown), verdict]


def json_of(outcome: Outcome) -> str:
    """Return the same as JSON."""
    findings, crossed, head = outcome.findings, outcome.counted.crossed, outcome.head
    document = {
        "format": FORMAT,
        "verdict": findings.verdict,
        "code": findings.code,
        "head": head and {"size": head.size, "root": to_base64(head.root), "file": head.file},
        "rules": [_rule(outcome, rule) for rule in RULES],
        "figures": outcome.counted.figures,
        "days": outcome.counted.days,
        "threshold": {
            "number": outcome.question.threshold,
            "metric": outcome.question.metric,
            "reached": crossed is not None,
            "day": crossed and crossed.day,
            "leaf": crossed and crossed.leaf,
        },
    }
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def _threshold(outcome: Outcome) -> str:
    question, crossed = outcome.question, outcome.counted.crossed
    text = f"threshold {grouped(question.threshold)} ({question.metric})"
    if crossed is None:
        return f"{text} not reached"
    if crossed.leaf is None:
        return f"{text} reached on {crossed.day}"
    return f"{text} reached at leaf {grouped(crossed.leaf)}"


def _rule(outcome: Outcome, rule: str) -> dict[str, Any]:
    findings, said = outcome.findings, outcome.findings.said(rule)
    counts = {check.id: n for check, n in findings.counts.items() if check.rule == rule}
    return {
        "rule": rule,
        "status": findings.status(rule),
        "text": findings.line(rule).split("  ", 1)[-1].strip(),
        "failed": counts,
        "findings": [_finding(each) for each in (*said.faults, *said.disclosed)],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    check = finding.check
    return {
        "check": check and check.id,
        "code": check and check.code,
        "text": finding.text,
        "where": finding.where,
    }
