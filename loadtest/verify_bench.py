"""How long the verifier takes: `python -m loadtest.verify_bench [--records N] [--blocks full|month] [--directory DIR]`.

A ledger is made with the generator of the sample month, closed day by day as a node does, and verified by a process of
its own with everything that an auditor may bring: keys, quorum, the month's key.  Processor seconds are those of
that process and its helpers together, so they hardly depend on what else the machine does; wall seconds do.

`full` asks 25 times a second, which fills the blocks of both lanes; `month` spreads as much over thirty days, so that
there are many small blocks and many heads.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

from node.ledger.block import MAX_RECORDS
from node.ledger.logfiles import BODIES, HEADS, KEYS
from node.ledger.record import RECORD_BYTES
from node.ledger.sample import Sample
from node.ledger.signing import PUBLIC

FIRST = date(2026, 11, 1)
RECORDS = 1_000_000
TARGET_SECONDS = 10.0  # of wall clock, for a million records in full blocks
_FULL_SLOT = 7_400  # resolutions in five minutes, which are 4,096 records for each of two lanes
_RESOLUTIONS = {
    "full": 0.905,
    "month": 0.8,
}  # of all records; the others are echoes, robots, probes, tests


class Verified(NamedTuple):
    """What a verification cost."""

    code: int
    wall: float
    cpu: float


def main() -> int:
    """Make a ledger, verify it, and print what that took; 1 when it does not pass."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--records", type=int, default=RECORDS, help="about so many")
    parser.add_argument("--blocks", choices=sorted(_RESOLUTIONS), default="full")
    parser.add_argument("--directory", type=Path, help="where the ledger is made; default: /tmp")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.directory) as directory:
        ledger = Path(directory) / "ledger"
        _make(ledger, given.records, given.blocks)
        bodies = [path.stat().st_size for path in (ledger / BODIES).rglob("*.rec")]
        heads = sum(1 for _ in (ledger / HEADS).iterdir())
        records = sum(bodies) // RECORD_BYTES
        filled = records / max(len(bodies), 1) / MAX_RECORDS
        print(f"{records:,} records in {len(bodies):,} bodies, {filled:.0%} full; {heads:,} heads")
        found = _verify(ledger)
    print(
        f"exit code {found.code}   wall {found.wall:.1f} s   processor {found.cpu:.1f} s   "
        f"{1e6 * found.cpu / max(records, 1):.1f} µs a record   {os.cpu_count()} cores"
    )
    if given.blocks == "full":
        target = TARGET_SECONDS * records / RECORDS
        print(f"{'met' if found.wall < target else 'MISSED'}: under {target:.1f} s of wall clock")
    return int(found.code > 1)


def _make(ledger: Path, records: int, blocks: str) -> None:
    resolutions = round(records * _RESOLUTIONS[blocks])
    if blocks == "month":
        sample = Sample(ledger, FIRST, resolutions=resolutions)
    else:
        days = -(-resolutions // (_FULL_SLOT * 288))
        sample = Sample(ledger, FIRST, days=days, resolutions=resolutions, per_slot=_FULL_SLOT)
    for _ in sample.live():
        pass
    (ledger / "auditor.policy").write_text(sample.keys.policy)


def _verify(ledger: Path) -> Verified:
    words = [sys.executable, "-m", "node", "audit", "verify", str(ledger)]
    words += ["--log-key", str(ledger / KEYS / PUBLIC), "--policy", str(ledger / "auditor.policy")]
    words += ["--month-key", str(ledger / KEYS / f"month-{FIRST:%Y-%m}.key")]
    before, started = os.times(), perf_counter()
    done = subprocess.run(words, check=False)
    wall, after = perf_counter() - started, os.times()
    used = after.children_user + after.children_system
    return Verified(done.returncode, wall, used - before.children_user - before.children_system)


if __name__ == "__main__":
    sys.exit(main())
