"""The evidence of a month: also a block that ended in the next, and nothing that came while it was written."""

from pathlib import Path

import pytest

from node.ledger.block import body_path
from node.ledger.checkpoint import Checkpoint
from node.ledger.day import day_at
from node.ledger.evidence import Edition, export_evidence
from node.ledger.leaf import Block, parse
from node.ledger.logfiles import LogFiles
from node.ledger.note import Ed25519Signer, Note
from node.ledger.tags import day_name
from node.ledger.tree import Tree
from tests.support import evidence as support
from tests.support.evidence import make_evidence


def test_block_that_reaches_back_into_the_month_is_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(support, "FIRST_DAY", 20_787)  # 2026-11-30
    made = make_evidence(tmp_path)
    (made.directory / "log/heads").rename(made.directory / "heads")
    leaves = [parse(line) for line in made.read("leaves.jsonl").splitlines()]
    over = [
        leaf
        for leaf in leaves
        if isinstance(leaf, Block)
        and [day_name(day_at(time)) for time in leaf.span] == ["2026-11-30", "2026-12-01"]
    ]

    target = tmp_path / "exported"
    export_evidence(LogFiles(made.directory), target, Edition("2026-11", with_bodies=True))

    assert over
    assert all((target / "bodies" / body_path(leaf)).exists() for leaf in over)


class GrowingLog(LogFiles):
    """A log whose node goes on while it is exported: another checkpoint comes when its heads are listed."""

    def head_sizes(self) -> list[int]:
        note = self.published()
        assert note is not None
        before = Checkpoint.parse(note.text)
        line = self.line(before.size - 1, before.size)
        head = Tree.load(self, (before.size, before.root)).grow([line])
        text = Checkpoint(before.origin, *head).text
        self.publish(Note(text).signed(Ed25519Signer(before.origin, bytes(32)).sign(text)))
        return super().head_sizes()


def test_log_that_grows_meanwhile_is_exported_as_it_was(tmp_path: Path) -> None:
    made = make_evidence(tmp_path)
    (made.directory / "log/heads").rename(made.directory / "heads")
    lines = made.read("leaves.jsonl").splitlines()

    target = tmp_path / "exported"
    export_evidence(GrowingLog(made.directory), target, Edition("2026-11"))

    assert (target / "leaves.jsonl").read_bytes().splitlines() == lines
    checkpoint = LogFiles(target).published()
    assert checkpoint is not None
    assert Checkpoint.parse(checkpoint.text).size == len(lines)
