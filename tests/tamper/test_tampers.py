"""Whoever cheats is found: every threat that the design calls detected, by the check and with the exit code it says.

And no check is decoration: with any one of them switched off, something false passes.
"""

from pathlib import Path

import pytest

from node.ledger.verify.acknowledged import NOT_NAMED
from node.ledger.verify.checks import Check
from node.ledger.verify.command import main
from tests.support.evidence import Evidence, make_evidence
from tests.support.tampers import Tamper
from tests.support.tampers_counts import TAMPERS as OF_COUNTS
from tests.support.tampers_counts import acknowledged
from tests.support.tampers_lanes import TAMPERS as OF_LANES
from tests.support.tampers_log import TAMPERS as OF_THE_LOG
from tests.support.verifying import verify

TAMPERS = (*OF_THE_LOG, *OF_LANES, *OF_COUNTS)
DETECTED = {
    "T1", "T2", "T4", "T5", "T7", "T8", "T9", "T10", "T11", "T12", "T13", "T15", "T16", "T17", "T18", "T19", "T20",
    "T21", "T22",
}  # fmt: skip  # marked "D" in the threat table; of T14 nothing is lost


def test_good_evidence_passes_with_the_gaps_that_it_discloses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(make_evidence(tmp_path).words) == 1
    printed = capsys.readouterr().out
    assert "V4 WARN  1 gap: lane 1 epoch 1 power loss, ≤ 3 uncounted" in printed
    assert "FAIL" not in printed
    for rule in ("R4", "R5", "R6"):
        assert f"{rule} NONE  no counterpart yet" in printed


def test_a_day_that_the_top_level_node_has_acknowledged_is_reconciled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(make_evidence(tmp_path, acknowledged()()).words) == 1
    printed = capsys.readouterr().out
    assert "R4 PASS  1 days and 0 load tests acknowledged" in printed
    assert "FAIL" not in printed


def rule_4(evidence: Evidence, *words: str) -> tuple[str, int]:
    findings = verify(evidence, *words).findings
    return findings.line("R4"), findings.code


def test_while_nobody_is_named_as_the_top_level_node_nothing_is_acknowledged(
    tmp_path: Path,
) -> None:
    evidence = make_evidence(tmp_path, acknowledged()())
    nobody = rule_4(evidence, "--toplevel", "")
    assert nobody == (f"R4 SKIP  1 acknowledgements not judged: {NOT_NAMED}", 1)
    assert rule_4(evidence, "--toplevel", "top")[0].startswith("R4 PASS  1 days")
    assert rule_4(evidence, "--toplevel", "auditor")[1] == Check.R4_SIGNATURE.code


def test_the_witness_or_group_called_toplevel_needs_no_option(tmp_path: Path) -> None:
    evidence = make_evidence(tmp_path, acknowledged()())
    policy = evidence.given / "policy"
    text = policy.read_text()
    for names in (
        text.replace(" top ", " toplevel "),
        text.replace("group both", "group toplevel any top\ngroup both").replace(
            "all top auditor", "all toplevel auditor"
        ),
    ):
        policy.write_text(names)
        assert rule_4(evidence, "--toplevel", "")[0].startswith("R4 PASS  1 days"), names


def test_a_name_that_the_policy_does_not_have_is_wrong_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*make_evidence(tmp_path).words, "--toplevel", "nobody"]) == 2
    assert "has no witness or group nobody" in capsys.readouterr().err


@pytest.mark.parametrize("tamper", TAMPERS, ids=lambda tamper: tamper.name)
def test_tamper_is_found(tamper: Tamper, tmp_path: Path) -> None:
    findings = verify(tamper.make(tmp_path)).findings

    assert tamper.check in findings.counts, findings.lines()
    assert findings.code == tamper.check.code, findings.lines()
    if not tamper.is_found_by_others:
        assert set(findings.counts) == {tamper.check}, findings.lines()


@pytest.mark.parametrize("check", Check, ids=lambda check: check.id)
def test_without_a_check_something_false_passes(check: Check, tmp_path: Path) -> None:
    tamper = next(each for each in TAMPERS if each.check is check and not each.is_found_by_others)
    assert verify(tamper.make(tmp_path), off={check}).findings.code <= 1


def test_every_detected_threat_has_a_tamper() -> None:
    assert DETECTED - {threat for tamper in TAMPERS for threat in tamper.threats} == set()


def test_tampers_have_names_of_their_own() -> None:
    names = [tamper.name for tamper in TAMPERS]
    assert sorted(names) == sorted(set(names))
