"""The evidence index over most of a year: the tile of the first 256 days fills up, and the partial ones stay."""

from pathlib import Path

import pytest

from node.ledger.index import EvidenceIndex, load_signer

ORIGIN = "log.example/ledger"


@pytest.mark.slow
def test_partial_tiles_and_records_of_every_size_are_kept(tmp_path: Path) -> None:
    signer = load_signer(tmp_path / "keys", ORIGIN, is_new=True)
    index = EvidenceIndex.open(tmp_path / "index", signer, ORIGIN)
    for day in range(258):
        index.add(f"v0.{20260101 + day}.0", {"day": b"%d\n" % day})
    tiles = tmp_path / "index/sumdb/tile/8"
    for kind in ("0", "data"):
        assert len(list((tiles / kind / "000.p").iterdir())) == 255
        assert (tiles / kind / "000").exists()
        assert len(list((tiles / kind / "001.p").iterdir())) == 2
