"""The evidence of a month has every body that its days are counted from, also of a block that ended in the next."""

from pathlib import Path

import pytest

from node.ledger.block import body_path
from node.ledger.day import day_at
from node.ledger.evidence import Edition, export_evidence
from node.ledger.leaf import Block, parse
from node.ledger.logfiles import LogFiles
from node.ledger.tags import day_name
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
