"""Evidence that somebody made to harm the auditor's machine, or his nerves, ends in a sentence and a code."""

import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from node.ledger.verify.command import main
from tests.support.evidence import Evidence, make_evidence

CODES = {0, 1, 3, *range(10, 18)}


def run(evidence: Evidence, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = main(evidence.words)
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err
    return code, shown.out + shown.err


def newest_entries(evidence: Evidence) -> Path:
    return next((evidence.directory / "log/tile/entries").rglob("246"))


def as_link(path: Path) -> None:
    target = path.with_name("elsewhere")
    path.rename(target)
    path.symlink_to(target)


def as_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def as_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def as_giant(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(2**40)  # a hole: it takes no room


def as_noise(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(5_000))  # noqa: S311  the same each time


def as_nothing(path: Path) -> None:
    path.write_bytes(b"")


FORMS = (as_link, as_pipe, as_directory, as_giant, as_noise, as_nothing)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
@pytest.mark.parametrize(
    "which", ["entries", "tile", "head", "checkpoint", "body", "day", "report", "note", "leaves"]
)
def test_file_that_is_none_is_told(
    which: str,
    form: Callable[[Path], None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    evidence = make_evidence(tmp_path)
    directory = evidence.directory
    path = {
        "entries": newest_entries(evidence),
        "tile": next((directory / "log/tile/0").rglob("246")),
        "head": evidence.heads()[3],
        "checkpoint": directory / "log/checkpoint",
        "body": min((directory / "bodies").rglob("*.rec")),
        "day": min((directory / "days").iterdir()),
        "report": directory / "report.json",
        "note": directory / "report.note",
        "leaves": directory / "leaves.jsonl",
    }[which]
    form(path)

    code, shown = run(evidence, capsys)

    assert code in CODES - {0, 1}, shown


def test_directory_that_is_a_link_is_not_followed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evidence = make_evidence(tmp_path)
    bodies = evidence.directory / "bodies"
    bodies.rename(tmp_path / "elsewhere")
    bodies.symlink_to(tmp_path / "elsewhere")

    code, shown = run(evidence, capsys)

    assert code == 3
    assert "evidence has no links" in shown


def test_archive_that_was_not_unpacked_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evidence = make_evidence(tmp_path)
    words = [evidence.words[0], str(evidence.given / "policy"), *evidence.words[2:]]
    assert main(words) == 3
    assert "unpack the archive" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 100_000 + b"]" * 100_000,
        b'{"period":{"month":"2026-13"}}',
        b'{"period":{"month":7},"totals":[],"log":""}',
        b'{"period":' + b"9" * 5_000 + b"}",
        b'["report"]',
        b"\xff\xfe",
    ],
    ids=["deep", "no month", "wrong types", "long number", "list", "no text"],
)
def test_report_that_is_none_is_told(
    text: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evidence = make_evidence(tmp_path)
    evidence.write("report.json", text)
    code, shown = run(evidence, capsys)
    assert code in {3, 12}, shown


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("canaries.csv", b"time,nonce\n1,zz\n"),
        ("canaries.csv", b"nothing\n1\n"),
        ("canaries.csv", b"time,nonce,receipt\n1,00000000,a.b\n"),
        ("canaries.csv", b"time,nonce\n1e999,00000000\n"),
        ("canaries.csv", b"time,nonce\n2026-11-03T00:00:00,00000000\n"),
        ("prom.json", b"{}"),
        ("prom.json", b'{"data":{"result":[{"values":[[1,"1"],[1,"2"]]}]}}'),
        ("prom.json", b'{"data":{"result":[{"values":[[1,"NaN"],[2,"2"]]}]}}'),
        ("prom.json", b"[" * 100_000),
        ("month.key", b"zz"),
        ("month.key", b"00"),
        ("robots.json", b"[]"),
        ("log.vkey", b"nobody"),
        ("log.vkey", b""),
        ("policy", b"quorum nobody\n"),
        ("state", b"nothing"),
    ],
)
def test_what_the_auditor_gave_wrong_is_told(
    name: str, text: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evidence = make_evidence(tmp_path)
    (evidence.given / name).write_bytes(text)
    code, shown = run(evidence, capsys)
    assert code == 2, shown
    assert "idnode audit: " in shown


def test_nothing_in_the_evidence_can_steer_a_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evidence = make_evidence(tmp_path)
    evidence.write("report.json", json.dumps({"a": 1}).encode() + b" \x1b[2J")
    head = evidence.heads()[2]
    head.write_bytes(head.read_bytes().replace(b"log.example", "log.ex\u202eample".encode(), 1))

    _, shown = run(evidence, capsys)

    assert "\x1b" not in shown
    assert "\u202e" not in shown


@pytest.mark.parametrize("turn", range(30))
def test_any_damage_ends_in_a_code(
    turn: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evidence = make_evidence(tmp_path)
    chance = random.Random(turn)  # noqa: S311  the same each time
    paths = sorted(path for path in evidence.directory.rglob("*") if path.is_file())
    for path in chance.sample(paths, 4):
        data = bytearray(path.read_bytes())
        for _ in range(chance.randrange(1, 6)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        path.write_bytes(data[: chance.randrange(len(data))] if chance.random() < 0.3 else data)

    code, shown = run(evidence, capsys)

    assert code in CODES, shown
