"""What an auditor can ask besides `verify`: a receipt, a recount, two heads; what `verify` remembers and writes."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from node.ledger.block import record_path
from node.ledger.canonical import canonical
from node.ledger.checkpoint import Checkpoint
from node.ledger.keys import to_base64
from node.ledger.leaf import Block, parse
from node.ledger.note import Note
from node.ledger.proof import LogProof
from node.ledger.tlog import inclusion_proof, leaf_hash, root_from
from node.ledger.verify.checks import Check
from node.ledger.verify.command import main
from tests.support.evidence import ORIGIN, Evidence, make_evidence
from tests.support.tampers import entries, flip, log_signer
from tests.support.verifying import verify

Shown = pytest.CaptureFixture[str]


@pytest.fixture
def evidence(tmp_path: Path) -> Evidence:
    return make_evidence(tmp_path)


def trust(evidence: Evidence) -> list[str]:
    given = evidence.given
    return ["--log-key", str(given / "log.vkey"), "--policy", str(given / "policy")]


def receipt(evidence: Evidence, index: int, place: int) -> LogProof:
    """A receipt, made from the evidence by itself."""
    lines = entries(evidence)
    hashes = [leaf_hash(line) for line in lines]
    leaf = parse(lines[index])
    assert isinstance(leaf, Block)
    body = next((evidence.directory / "bodies").rglob(f"{leaf.sha256}.rec")).read_bytes()
    extra = {
        "leaf": lines[index].decode(),
        "record": to_base64(body[place * 64 : (place + 1) * 64]),
        "path": [to_base64(each) for each in record_path(body, place)],
    }
    path = inclusion_proof(
        index,
        len(lines),
        lambda level, at: root_from(hashes[at << level : (at + 1) << level]),
    )
    note = Note.parse(evidence.heads()[-1].read_bytes())
    return LogProof(index, tuple(path), note, canonical(extra))


def first_block(evidence: Evidence) -> int:
    return next(
        index for index, line in enumerate(entries(evidence)) if isinstance(parse(line), Block)
    )


def test_receipt_proves_its_record(evidence: Evidence, tmp_path: Path, capsys: Shown) -> None:
    file = tmp_path / "r.tlog-proof"
    file.write_bytes(receipt(evidence, first_block(evidence), 3).encode())
    assert main(["prove", str(file), *trust(evidence)]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("PASS  leaf ")
    assert "RECORD  4 time " in shown


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (lambda text: text.replace("c2sp.org/tlog-proof@v1", "something"), 3),
        (lambda text: text.replace("\nindex ", "\nindex 9"), 11),
        (lambda text: text[: text.rindex("— auditor")], 10),
        (lambda text: "", 3),
    ],
    ids=["no proof", "another index", "no quorum", "empty"],
)
def test_receipt_that_proves_nothing_is_refused(
    damage: Callable[[str], str], code: int, evidence: Evidence, tmp_path: Path, capsys: Shown
) -> None:
    file = tmp_path / "r.tlog-proof"
    file.write_text(damage(receipt(evidence, first_block(evidence), 3).encode().decode()))
    assert main(["prove", str(file), *trust(evidence)]) == code
    assert "Traceback" not in capsys.readouterr().err


def recounted(evidence: Evidence, rules: str, tmp_path: Path, capsys: Shown) -> str:
    file = tmp_path / "rules.json"
    file.write_text(rules)
    assert (
        main(["recount", str(evidence.directory), *trust(evidence), "--policy-file", str(file)])
        == 0
    )
    return capsys.readouterr().out.splitlines()[-1]


def test_recount_under_the_same_rules_finds_the_same(
    evidence: Evidence, tmp_path: Path, capsys: Shown
) -> None:
    figures = verify(evidence).counted.figures
    expected = f"RAW {figures['raw']}   FILTERED {figures['filtered']}"
    assert recounted(evidence, "{}", tmp_path, capsys) == expected


def test_recount_without_windows_counts_every_success(
    evidence: Evidence, tmp_path: Path, capsys: Shown
) -> None:
    blocks = [leaf for leaf in map(parse, entries(evidence)) if isinstance(leaf, Block)]
    successes = sum(block.successes[0] for block in blocks)
    rules = '{"window_s":0,"nonce_s":0,"prefixes":true}'
    expected = f"RAW {successes}   FILTERED {successes}"
    assert recounted(evidence, rules, tmp_path, capsys) == expected


def test_recount_of_robots_finds_robots(evidence: Evidence, tmp_path: Path, capsys: Shown) -> None:
    assert recounted(evidence, '{"classes":[3]}', tmp_path, capsys).startswith("RAW 68 ")


@pytest.mark.parametrize(
    "rules", ["[]", "{", '{"window_s":-1}', '{"classes":3}', '{"other":1}', '{"prefixes":1}']
)
def test_rules_that_are_none_are_refused(
    rules: str, evidence: Evidence, tmp_path: Path, capsys: Shown
) -> None:
    file = tmp_path / "rules.json"
    file.write_text(rules)
    words = ["recount", str(evidence.directory), *trust(evidence), "--policy-file", str(file)]
    assert main(words) == 2
    assert "idnode audit: " in capsys.readouterr().err


def head_file(evidence: Evidence, name: str, checkpoint: Checkpoint) -> str:
    path = evidence.given / name
    note = Note(checkpoint.text).signed(log_signer().sign(checkpoint.text))
    path.write_bytes(note.encode())
    return str(path)


def newest(evidence: Evidence) -> Checkpoint:
    return Checkpoint.parse(Note.parse(evidence.heads()[-1].read_bytes()).text)


def diff(evidence: Evidence, first: str, second: str, *words: str) -> int:
    return main(["diff", first, second, *trust(evidence)[:2], *words])


def test_two_roots_of_one_size_are_a_fork(evidence: Evidence, capsys: Shown) -> None:
    head = newest(evidence)
    other = head_file(evidence, "other", Checkpoint(ORIGIN, head.size, flip(head.root)))
    assert diff(evidence, str(evidence.heads()[-1]), other) == 12
    assert capsys.readouterr().out.startswith("FORK at 246 leaves")


def test_same_head_is_no_fork(evidence: Evidence, capsys: Shown) -> None:
    path = str(evidence.heads()[-1])
    assert diff(evidence, path, path) == 0
    assert "the same head" in capsys.readouterr().out


def test_heads_of_two_sizes_are_compared_by_the_tiles(evidence: Evidence, capsys: Shown) -> None:
    old, new = str(evidence.heads()[4]), str(evidence.heads()[-1])
    where = ("--evidence", str(evidence.directory))
    assert diff(evidence, old, new) == 3
    assert diff(evidence, old, new, *where) == 0
    head = Checkpoint.parse(Note.parse(evidence.heads()[4].read_bytes()).text)
    forked = head_file(evidence, "forked", Checkpoint(ORIGIN, head.size, flip(head.root)))
    assert diff(evidence, forked, new, *where) == 12
    assert "FORK between" in capsys.readouterr().out


def test_head_by_somebody_else_is_no_evidence(evidence: Evidence, capsys: Shown) -> None:
    path = evidence.given / "strange"
    path.write_bytes(evidence.heads()[0].read_bytes().replace(b"log.example", b"lag.example"))
    assert diff(evidence, str(path), str(evidence.heads()[-1])) == 10
    assert capsys.readouterr().out


def test_head_that_passed_is_remembered_and_one_that_failed_is_not(
    evidence: Evidence, capsys: Shown
) -> None:
    state = evidence.given / "state"
    assert main(evidence.words) == 1
    assert state.read_bytes() == evidence.heads()[-1].read_bytes()
    head_file(evidence, "state", Checkpoint(ORIGIN, 250, newest(evidence).root))
    before = state.read_bytes()
    assert main(evidence.words) == 12
    assert state.read_bytes() == before
    assert "[v3.remembered]" in capsys.readouterr().out


def test_json_says_the_same_with_pointers(
    evidence: Evidence, tmp_path: Path, capsys: Shown
) -> None:
    path = evidence.directory / "log/tile/0/000.p/246"
    path.write_bytes(flip(path.read_bytes()))
    out = tmp_path / "out.json"
    assert main([*evidence.words, "--json", str(out)]) == 11
    said = json.loads(out.read_bytes())
    assert (said["verdict"], said["code"]) == ("FAIL", 11)
    rule = next(each for each in said["rules"] if each["rule"] == "V2")
    assert rule["failed"] == {"v2.tile": 1}
    assert rule["findings"][0]["where"] == {"file": "log/tile/0/000.p/246"}
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines[:17]] == [each["status"] for each in said["rules"]]


@pytest.mark.parametrize("bodies", ["none", "sample:5", "sample:5000"])
def test_bodies_may_be_left_out_or_drawn(bodies: str, evidence: Evidence) -> None:
    outcome = verify(evidence, "--bodies", bodies)
    assert outcome.findings.code == 1, outcome.findings.lines()
    assert outcome.findings.status("V8") == "SKIP"
    assert outcome.findings.status("R7") == "SKIP"


def test_body_that_is_drawn_is_judged(evidence: Evidence) -> None:
    for path in (evidence.directory / "bodies").rglob("*.rec"):
        path.write_bytes(flip(path.read_bytes()))
    outcome = verify(evidence, "--bodies", "sample:3")
    assert outcome.findings.counts[Check.V5_SHA256] == 3


@pytest.mark.parametrize(
    "words",
    [
        ["--bodies", "some"],
        ["--bodies", "sample:0"],
        ["--period", "2026-13"],
        ["--threshold", "many"],
        ["--threshold", "5:unique"],
        ["--json", "/nowhere/out.json"],
    ],
)
def test_wrong_use_is_told(words: list[str], evidence: Evidence, capsys: Shown) -> None:
    assert main([*evidence.words, *words]) == 2
    assert "idnode audit: " in capsys.readouterr().err


def test_another_period_needs_no_bodies_and_counts_nothing(evidence: Evidence) -> None:
    (evidence.directory / "report.json").unlink()
    for path in (evidence.directory / "bodies").rglob("*.rec"):
        path.unlink()
    outcome = verify(evidence, "--period", "2026-12")
    assert Check.V5_MISSING not in outcome.findings.counts
    assert outcome.counted.figures["raw"] == 0


def test_log_without_a_quorum_is_told_to_be_nobody_else_s_word(evidence: Evidence) -> None:
    policy = evidence.given / "policy"
    lines = [line for line in policy.read_text().splitlines() if not line.startswith("quorum")]
    policy.write_text("\n".join([*lines, "quorum none", ""]))
    outcome = verify(evidence)
    assert outcome.findings.code == 1
    assert "no more than the word" in outcome.findings.line("V1")


def test_policy_of_other_logs_is_wrong_use(evidence: Evidence, capsys: Shown) -> None:
    other = (evidence.given / "policy").read_text().replace("log log.example", "log lug.example")
    (evidence.given / "policy").write_text(other)
    assert main(evidence.words) == 2
    assert capsys.readouterr().err


def test_directory_of_the_node_itself_can_be_verified(evidence: Evidence) -> None:
    """There the heads lie beside the log, not in it."""
    (evidence.directory / "log/heads").rename(evidence.directory / "heads")
    assert verify(evidence).findings.code == 1
