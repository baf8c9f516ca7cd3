"""What was asked just before the judged head may not be in it yet, and is not missed."""

from pathlib import Path

from node.ledger.verify.checks import Check
from tests.support.evidence import make_evidence
from tests.support.verifying import verify


def test_canary_that_was_asked_too_late_is_not_missed(tmp_path: Path) -> None:
    evidence = make_evidence(tmp_path)
    canaries = evidence.given / "canaries.csv"
    first = float(canaries.read_text().splitlines()[1].split(",")[0])
    days = 2 * 86_400
    canaries.write_text(f"time,nonce\n{first + days},00000000\n{first},00000001\n")

    findings = verify(evidence).findings

    assert findings.counts == {Check.R7_MISSING: 1}
    assert "in line 3" in findings.line("R7")
