"""SHA256SUMS: what the evidence lists of itself is held, byte by byte, and what others put beside it is left alone."""

import json
import os
from pathlib import Path

import pytest

from node.ledger.verify import sums
from node.ledger.verify.checks import Check
from node.ledger.verify.findings import Findings
from node.ledger.verify.sums import SUMS
from tests.support.evidence import Evidence, make_evidence
from tests.support.verifying import verify


@pytest.fixture
def evidence(tmp_path: Path) -> Evidence:
    """Good evidence, listed as an export lists it."""
    made = make_evidence(tmp_path)
    made.write("report.pdf", b"%PDF")
    made.write("index/proxy/x.zip", b"PK")
    made.write_sums()
    made.write("SM3SUMS", b"")
    return made


def found(evidence: Evidence, *words: str) -> Findings:
    return verify(evidence, *words).findings


def test_what_is_listed_is_held_and_the_line_says_how_much(evidence: Evidence) -> None:
    findings = found(evidence)
    files = len(evidence.read(SUMS).splitlines())
    assert findings.code == 1
    assert findings.line("V2").endswith(f", {files} files of SHA256SUMS")


def test_without_a_list_the_line_says_so(evidence: Evidence) -> None:
    (evidence.directory / SUMS).unlink()
    findings = found(evidence)
    assert (findings.code, findings.line("V2").endswith(", no SHA256SUMS")) == (1, True)


@pytest.mark.parametrize("bodies", ["all", "none", "sample:1"])
def test_one_byte_of_any_listed_file_is_seen(evidence: Evidence, bodies: str) -> None:
    """Whether another rule reads the file or not; of records, where they are looked at."""
    names = [line.split(b"  ")[1].decode() for line in evidence.read(SUMS).splitlines()]
    kinds = {f"{name.split('/')[0]}{Path(name).suffix}": name for name in names}
    assert len(kinds) > 6
    for name in kinds.values():
        data = evidence.read(name)
        evidence.write(name, bytes([data[0] ^ 1]) + data[1:])
        is_asked = bodies == "all" or not name.startswith("bodies/")
        assert (Check.V2_SUMS in found(evidence, "--bodies", bodies).counts) == is_asked, name
        evidence.write(name, data)
    assert found(evidence, "--bodies", bodies).code == 1


def test_records_that_are_not_asked_for_may_be_missing(evidence: Evidence) -> None:
    for path in (evidence.directory / "bodies").rglob("*.rec"):
        path.unlink()
    assert Check.V2_LISTED in found(evidence).counts
    assert Check.V2_LISTED not in found(evidence, "--bodies", "none").counts


def test_what_an_auditor_puts_beside_it_is_told_and_no_fault(evidence: Evidence) -> None:
    evidence.write("canaries.csv", b"time,nonce")
    evidence.write("mine/notes.txt", b"seen")
    evidence.write("leaves.jsonl.gz", b"\x1f\x8b")
    evidence.write("report.json.asc", b"-----BEGIN")
    evidence.write("days/.DS_Store", b"Bud1")
    findings = found(evidence)
    assert (findings.code, findings.line("V2").endswith("SHA256SUMS, 5 beside them")) == (1, True)


def test_a_name_that_is_no_text_is_told_of_in_plain_signs(evidence: Evidence) -> None:
    """Also to a program: JSON is UTF-8, and such a name is none."""
    name = os.fsdecode(b"log/\xff.note")
    evidence.write(name, b"x")
    findings = found(evidence)
    (fault,) = findings.said("V2").faults
    assert (findings.code, fault.where) == (11, {"file": "log/\\udcff.note"})
    json.dumps(fault.where, ensure_ascii=False).encode()


def test_a_name_that_is_listed_twice_is_refused(evidence: Evidence) -> None:
    """The last line is not to be believed over the first: sha256sum judges both."""
    evidence.write(SUMS, b"0" * 64 + b"  report.pdf\n" + evidence.read(SUMS))
    findings = found(evidence)
    assert findings.code == Check.V2_LISTED.code
    assert "lists report.pdf a second time" in findings.line("V2")


def test_a_list_has_no_more_lines_than_evidence_has_files(
    evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sums, "MAX_NAMES", len(evidence.read(SUMS).splitlines()) - 1)
    assert "has more than" in found(evidence).line("V2")


@pytest.mark.parametrize(
    "line",
    [
        b"00  ../given/policy",
        b"%(hex)s  ../given/policy",
        b"%(hex)s  /etc/hostname",
        b"%(hex)s  log/./checkpoint",
        b"%(hex)s  log//checkpoint",
        b"%(hex)s  a\\nb",
        b"%(hex)s  ",
        b"%(hex)s *report.pdf",
        b"",
    ],
)
def test_a_list_that_leads_elsewhere_is_not_followed(evidence: Evidence, line: bytes) -> None:
    evidence.write(SUMS, evidence.read(SUMS) + line.replace(b"%(hex)s", b"0" * 64) + b"\n")
    findings = found(evidence)
    assert findings.code == Check.V2_LISTED.code
    assert "is none of sha256sum" in findings.line("V2")


def test_links_pipes_and_giants_are_as_good_as_missing(evidence: Evidence) -> None:
    path = evidence.directory / "report.pdf"
    path.rename(evidence.given / "report.pdf")
    path.symlink_to(evidence.given / "report.pdf")
    assert found(evidence).code == Check.V2_LISTED.code
    path.unlink()
    os.mkfifo(path)
    assert found(evidence).code == Check.V2_LISTED.code
    path.unlink()
    path.write_bytes(b"")
    os.truncate(path, 2**40)
    assert found(evidence).code == Check.V2_LISTED.code


def test_a_directory_that_is_a_link_is_not_gone_into(evidence: Evidence) -> None:
    (evidence.directory / "acks").symlink_to(evidence.given)
    findings = found(evidence)
    assert (findings.code, findings.line("V2").endswith("SHA256SUMS, 1 beside them")) == (1, True)
