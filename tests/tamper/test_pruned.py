"""Evidence whose bodies are gone: no fault where the log has said so in time, and one where it has not."""

import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from node.ledger.leaf import KEEP_DAYS_RULE, CountPolicy, Leaf, Pruning
from node.ledger.tags import day_name
from node.ledger.verify.checks import Check
from node.ledger.verify.findings import Findings, Status
from tests.support.evidence import FIRST_DAY, Evidence, Maker, Story, make_evidence
from tests.support.verifying import verify


class Pruned(Story):
    """A node whose policy has records kept for so many days, and which says that those until a day go."""

    def __init__(self, keep_days: int, until: int, policy: int = 2) -> None:
        self._keep_days = keep_days
        self._until = until
        self._policy = policy

    def leaves(self, node: Maker, leaf: Leaf) -> Iterable[Leaf]:
        if isinstance(leaf, CountPolicy):
            return [replace(leaf, rules={**leaf.rules, KEEP_DAYS_RULE: self._keep_days})]
        return [leaf]

    def step(self, node: Maker, number: int) -> None:
        if number == 30:
            leaf = Pruning(until=day_name(self._until), policy=self._policy, time=node.now)
            node.append(leaf)


def take_bodies(evidence: Evidence, day: int) -> None:
    shutil.rmtree(evidence.directory / "bodies" / day_name(day).replace("-", "/"))


def judged(tmp_path: Path, story: Story, day: int | None) -> Findings:
    evidence = make_evidence(tmp_path, story)
    if day is not None:
        take_bodies(evidence, day)
    return verify(evidence).findings


def test_what_the_log_says_is_gone_is_not_missed(tmp_path: Path) -> None:
    findings = judged(tmp_path, Pruned(0, FIRST_DAY), FIRST_DAY)
    assert findings.counts == {}, findings.lines()
    assert findings.code == 1  # for the gaps that the evidence has without it
    assert f"not checkable, pruned on {day_name(FIRST_DAY + 2)} under policy 2" in findings.line(
        "V5"
    )
    assert f"bodies until {day_name(FIRST_DAY)}" in findings.line("V5")
    assert "1 days counted again, 1 not closed yet, 1 not checkable: pruned" in findings.line("V8")
    assert findings.status("R1") is Status.PASS
    assert findings.status("R7") is Status.SKIP


def test_bodies_that_are_still_here_are_looked_at(tmp_path: Path) -> None:
    findings = judged(tmp_path, Pruned(0, FIRST_DAY), None)
    assert findings.counts == {}, findings.lines()
    assert "not checkable" not in findings.line("V5") + findings.line("V8")
    assert findings.status("R7") is Status.PASS


def test_later_day_than_the_log_says_is_missed(tmp_path: Path) -> None:
    findings = judged(tmp_path, Pruned(0, FIRST_DAY), FIRST_DAY + 1)
    assert Check.V5_MISSING in findings.counts


@pytest.mark.parametrize(
    ("keep_days", "until", "policy"),
    [
        (2, FIRST_DAY, 2),  # sooner than the policy allows
        (0, FIRST_DAY + 2, 2),  # a day that is not closed, nor over
        (0, FIRST_DAY, 9),  # a policy that is none
        (0, FIRST_DAY, 1),  # a policy that another has followed
    ],
)
def test_pruning_against_the_rules_is_found(
    keep_days: int, until: int, policy: int, tmp_path: Path
) -> None:
    findings = judged(tmp_path, Pruned(keep_days, until, policy), FIRST_DAY)
    assert Check.V5_PRUNED in findings.counts
    assert findings.code == Check.V5_PRUNED.code
