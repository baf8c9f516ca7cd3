"""The reference of the verifier has every check, with its code and its law, and every exit code."""

import re
from pathlib import Path

from node.ledger.verify import checks
from node.ledger.verify.checks import Check
from node.ledger.verify.command import INTERNAL

DOCS = Path(__file__).resolve().parents[2] / "docs"
REFERENCE = (DOCS / "reference" / "audit.md").read_text("utf-8")


def test_every_check_is_documented_as_it_is() -> None:
    rows = re.findall(
        r"^\| `([vr][0-9.a-z0-9]+)`(?: \*)? \| (\d+) \| (.+) \|$", REFERENCE, re.MULTILINE
    )
    assert rows == [(check.id, str(check.code), check.law) for check in Check]


def test_every_exit_code_is_documented() -> None:
    table = REFERENCE.partition("| exit code |")[2].partition("\n\n")[0]
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}
    fixed = {checks.PASS, checks.PASS_WITH_GAPS, checks.WRONG_USE, checks.INCOMPLETE, INTERNAL}
    assert documented == fixed | {check.code for check in Check}


def test_both_guides_have_the_same_commands() -> None:
    blocks = [
        re.findall(r"```(?:bash)?\n(.+?)```", (DOCS / name).read_text("utf-8"), re.DOTALL)
        for name in ("audit-guide.md", "audit-guide.zh-CN.md")
    ]
    assert blocks[0] == blocks[1]
