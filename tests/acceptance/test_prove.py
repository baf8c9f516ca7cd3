"""A proof from the command line, small: all its files are read again, and none can be changed by a byte."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from rich.console import Console

from loadtest.prove.checking import check_proof
from loadtest.prove.command import end
from loadtest.prove.editions import editions
from loadtest.prove.evidence import count_evidence
from loadtest.prove.issuing import STYLE
from loadtest.prove.proof import SHORT_RECORDS, Proof, Wish, prove_on
from loadtest.prove.reconciliation import SUM
from loadtest.prove.scene import own_scene
from loadtest.prove.statement import sign, statement
from loadtest.prove.told import telling
from loadtest.prove.traffic import PROTOCOLS, now_us
from loadtest.stand import clean_environment, free_port
from node.ledger.acknowledging import Acknowledged
from node.ledger.canonical import canonical
from node.ledger.checkpoint import Cosigner
from node.ledger.leaf import Block, Campaign, parse
from node.ledger.note import Ed25519Signer, Note
from node.ledger.record import Class
from node.ledger.report.html import page_of
from tests.support.nodes import ROOT

pytestmark = pytest.mark.slow

RESOLUTIONS = 6_000
COLUMNS = ("client", "ledger", "prometheus", "toplevel")
LIMIT_SECONDS = 240
OPENSSL = re.compile(r"```bash\n(sed '/\^\$/,\$d' report\.note.*?)```", re.DOTALL)


def loadtest(*words: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "loadtest", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_SECONDS,
        cwd=cwd,
        env={**clean_environment({}), "PYTHONPATH": str(ROOT)},
    )


@pytest.fixture(scope="module")
def proof() -> Iterator[Path]:
    """The directory of a proof."""
    with TemporaryDirectory(prefix="idnode-proof-") as name:
        words = ("--resolutions", str(RESOLUTIONS), "--latency", "0.5", "--workers", "2")
        ended = loadtest("prove", *words, "--out", "proof", cwd=Path(name))
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert "PROVEN" in ended.stdout
        assert "not part of the production count" in ended.stdout
        yield Path(name) / "proof"


@pytest.fixture(scope="module")
def said(proof: Path) -> Any:
    return json.loads((proof / "report.json").read_bytes())


def test_the_four_counts_are_one_by_protocol_and_in_sum(said: Any) -> None:
    rows = {row["protocol"]: [row[name] for name in COLUMNS] for row in said["counts"]["rows"]}
    assert rows.keys() == {*PROTOCOLS, SUM}
    assert all(len(set(counts)) == 1 for counts in rows.values())
    assert rows[SUM][0] == sum(rows[name][0] for name in PROTOCOLS)
    closed = sum(asked["closed_loop"]["answers"] for asked in said["asked"])
    assert closed == RESOLUTIONS < rows[SUM][0]
    assert said["faults"] == []


def test_the_evidence_has_the_campaign_as_a_test_and_no_production(proof: Path, said: Any) -> None:
    leaves = [parse(line) for line in (proof / "evidence/leaves.jsonl").read_bytes().splitlines()]
    opened, closed = (leaves[said["campaign"][name]] for name in ("opened_leaf", "closed_leaf"))
    assert isinstance(opened, Campaign)
    assert isinstance(closed, Campaign)
    total = said["counts"]["rows"][-1]["client"]
    assert (opened.state, closed.state, closed.observed) == ("open", "close", total)
    blocks = [leaf for leaf in leaves if isinstance(leaf, Block)]
    classes = [sum(block.records[each] for block in blocks) for each in Class]
    assert (classes[Class.TEST], classes[Class.PRODUCTION]) == (total, 0)
    counted = count_evidence(proof / "evidence", closed.number, said["counts"]["from_leaf"])
    assert counted.protocols == closed.protocols
    told = Acknowledged.parse(Note.parse(said["acknowledgement"]["note"].encode()).text)
    assert (told.observed, told.protocols) == (total, closed.protocols)


def test_report_and_pages_are_there(proof: Path, said: Any) -> None:
    page = (proof / "report.html").read_text("utf-8")
    assert f"{said['counts']['rows'][-1]['client']:,}" in page
    assert "不计入生产解析总量" in page
    assert "NOT part of the production count" in page
    assert (proof / "report.pdf").read_bytes().startswith(b"%PDF")
    assert all(each["answers"].keys() == set(PROTOCOLS) for each in said["samples"])
    assert len(said["samples"]) >= 1


def test_it_is_checked_from_its_files_alone(proof: Path) -> None:
    ended = loadtest("check", str(proof), cwd=proof.parent)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.startswith("PASS")


def test_the_line_of_the_reference_checks_the_signature_with_openssl(
    proof: Path, tmp_path: Path
) -> None:
    found = OPENSSL.search((ROOT / "docs/reference/prove.md").read_text("utf-8"))
    assert found is not None
    for name in ("report.note", "report.json"):
        shutil.copy(proof / name, tmp_path)
    shutil.copytree(proof / "trust", tmp_path / "trust")
    command = ["bash", "-euo", "pipefail", "-c", found[1]]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Signature Verified Successfully" in ended.stdout
    flip(tmp_path / "report.json")
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode != 0


def flip(path: Path, at: int = -20) -> None:
    """Change one byte of a file."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def body(directory: Path) -> Path:
    return max((directory / "evidence/bodies").rglob("*.rec"), key=lambda path: path.stat().st_size)


@pytest.mark.parametrize(
    ("where", "named"),
    [
        (lambda proof: proof / "report.json", r"report\.note is not of this report"),
        (lambda proof: proof / "report.note", "report.note: "),
        (body, r"verify ends with 1[1-6]"),
        (lambda proof: proof / "evidence/leaves.jsonl", "leaves.jsonl|cannot be read"),
        (lambda proof: proof / "evidence/SHA256SUMS", "SHA256SUMS is not the one"),
        (lambda proof: proof / "prometheus.json", "prometheus.json is not the one|cannot be read"),
        (lambda proof: proof / "trust/log.vkey", "log.vkey|report.note|cannot be read"),
        (lambda proof: proof / "trust/policy.tlog-policy", "policy.tlog-policy is not|cannot be"),
        (lambda proof: proof / "evidence/SM3SUMS", "SM3SUMS|cannot be read"),
        (lambda proof: proof / "report.html", r"report\.note is not of this report"),
        (lambda proof: proof / "report.pdf", r"report\.note is not of this report"),
    ],
    ids=[
        *("report", "note", "body", "leaves", "sums", "scrapes", "key", "policy", "sm3", "page"),
        "pdf",
    ],
)
def test_one_changed_byte_is_seen(
    proof: Path, tmp_path: Path, where: Callable[[Path], Path], named: str
) -> None:
    copy = tmp_path / "proof"
    shutil.copytree(proof, copy)
    flip(where(copy))
    assert re.search(named, "\n".join(check_proof(copy)))


def told_of(proof: Path, tmp_path: Path, change: Callable[[Any], None], page: bytes = b"") -> str:
    """What is said of a report that was changed and then signed, by a log that the reader believes."""
    copy = tmp_path / "proof"
    shutil.copytree(proof, copy)
    said = json.loads((copy / "report.json").read_bytes())
    change(said)
    document = canonical(said)
    (copy / "report.json").write_bytes(document)
    (copy / "report.html").write_bytes(page or page_of(editions(document), STYLE).encode())
    files = (copy / "report.html").read_bytes(), (copy / "report.pdf").read_bytes()
    signer = Ed25519Signer(said["origin"], bytes(range(32)))
    text = statement(said["origin"], said["campaign"]["number"], document, *files)
    (copy / "report.note").write_bytes(sign(text, [signer]).encode())
    key = tmp_path / "log.vkey"
    key.write_text(f"{signer.key}\n")
    return "\n".join(check_proof(copy, key))


def _another_campaign(said: Any) -> None:
    said["campaign"]["number"] += 1


def _other_answers(said: Any) -> None:
    said["asked"][0]["answers"] += 1


def _others(said: Any) -> None:
    said["counts"]["others"] = {"udp": 1}


def _two_rows(said: Any) -> None:
    said["counts"]["rows"].insert(0, said["counts"]["rows"][0])


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_another_campaign, "is acknowledged, not this"),
        (_other_answers, "now this, now that"),
        (_others, "not of the campaign"),
        (_two_rows, "other rows"),
    ],
)
def test_what_is_signed_is_not_believed_for_that(
    proof: Path, tmp_path: Path, change: Callable[[Any], None], named: str
) -> None:
    assert named in told_of(proof, tmp_path, change)


def test_a_policy_without_the_top_level_node_is_told_plainly_and_the_rest_judged(
    proof: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "proof"
    shutil.copytree(proof, copy)
    flip(copy / "evidence/SM3SUMS", 0)
    policy = copy / "trust/policy.tlog-policy"
    found = check_proof(copy, copy / "trust/log.vkey", policy, "misspelt")
    assert found[0].startswith("the policy names no top-level node 'misspelt'")
    assert any("SM3SUMS" in line for line in found[1:]), found


def test_an_acknowledgement_that_another_signed_is_a_fault_of_its_own(
    proof: Path, tmp_path: Path
) -> None:
    stranger = Cosigner("toplevel.example", bytes(32))
    policy = tmp_path / "mine.tlog-policy"
    policy.write_text(f"witness toplevel {stranger.key}\nquorum toplevel\n")
    found = check_proof(proof, proof / "trust/log.vkey", policy)
    assert found[0].startswith("the acknowledgement is not of the top-level node 'toplevel'")
    assert any("idnode audit verify ends with" in line for line in found[1:]), found


def test_a_page_that_says_something_else_than_the_report_is_told(
    proof: Path, tmp_path: Path
) -> None:
    assert "report.html is not what" in told_of(proof, tmp_path, lambda _: None, b"<p>2,000,000")


def test_the_evidence_is_judged_by_the_key_that_the_reader_gives(
    proof: Path, tmp_path: Path
) -> None:
    """Not by the one that lies beside it: that is the operator's."""
    found = told_of(proof, tmp_path, lambda _: None).splitlines()
    assert found
    assert all("idnode audit verify ends with 1" in line for line in found), found


@pytest.fixture(scope="module")
def unacknowledged() -> Iterator[tuple[Path, Proof]]:
    """A proof of a node whose top-level node cosigns and then cannot be asked; its directory, and what was found."""
    with (
        TemporaryDirectory(prefix="idnode-proof-") as name,
        own_scene(1, SHORT_RECORDS) as scene,
        telling(300, Console(file=StringIO())) as told,
    ):
        policy = scene.settings.ledger_witnesses
        assert policy is not None
        nobody = f"http://127.0.0.1:{free_port()}"
        policy.write_text(re.sub(r"http://\S+", nobody, policy.read_text()))
        wish = Wish(300, 1, Path(name), latency_seconds=0.1)
        yield Path(name), prove_on(scene, wish, told, now_us())


def test_without_an_acknowledgement_the_report_is_written_and_says_so(
    unacknowledged: tuple[Path, Proof],
) -> None:
    directory, proof = unacknowledged
    (fault,) = proof.faults
    assert fault.startswith("the top-level node has not acknowledged the count: http://127.0.0.1:")
    assert check_proof(directory) == [fault]  # it is signed, and all else holds
    assert fault.partition(": ")[2] in (directory / "report.html").read_text("utf-8")


def test_a_proof_with_faults_ends_with_a_code_of_its_own(
    unacknowledged: tuple[Path, Proof], capsys: pytest.CaptureFixture[str]
) -> None:
    assert end(unacknowledged[1], unacknowledged[0]) == 1
    printed = capsys.readouterr().out
    assert "✗ the top-level node has not acknowledged the count" in printed
    assert "FAILED" in printed


def test_an_acknowledgement_that_is_left_out_is_missed(proof: Path, tmp_path: Path) -> None:
    def leave_out(said: Any) -> None:
        said["acknowledgement"] = {"note": "", "missing": ""}
        for row in said["counts"]["rows"]:
            del row["toplevel"]

    found = told_of(proof, tmp_path, leave_out)
    assert "has not acknowledged the count: no reason is given" in found


def test_a_directory_that_is_there_is_not_written_over(proof: Path) -> None:
    ended = loadtest("prove", "--out", str(proof), cwd=proof.parent)
    assert (ended.returncode, "is there already" in ended.stderr) == (2, True)


def test_a_node_that_does_not_run_is_told_of_plainly(tmp_path: Path) -> None:
    ended = loadtest("prove", "--node", str(tmp_path), "--out", "p", cwd=tmp_path)
    assert ended.returncode == 1
    assert "no node runs on" in ended.stderr
