"""Proofs for tests: the document of one, made of figures that no machine has shown."""

from dataclasses import replace

from loadtest.prove.confirmation import Confirmation
from loadtest.prove.document import Findings, Log
from loadtest.prove.evidence import Verdict
from loadtest.prove.reconciliation import FourCounts
from loadtest.prove.sampling import Sample
from loadtest.prove.traffic import PROTOCOLS, Asked
from node.ledger.leaf import Campaign

START_US = 1_790_000_000_000_000
CAMPAIGN = Campaign(
    number=1,
    state="open",
    time=START_US,
    token="",
    listener="",
    networks=("127.84.7.0/24",),
    until=START_US + 3_600_000_000,
    planned=3_000,
)
LINES = (
    "V1 PASS  4 heads, quorum toplevel",
    "R4 PASS  1 load tests acknowledged",
    "R7 SKIP  no --canaries: not looked for",
    "RAW 0   FILTERED 0   TEST 3 000   SELF 1   ROBOT 0   SUSPECT 0",
    "VERDICT PASS   threshold 1 000 000 (filtered) not reached",
)


def samples(count: int) -> list[Sample]:
    """Rows of so many seconds, each with more answers than the one before."""
    return [
        Sample(
            at=1e9 + row,
            answers=dict.fromkeys(PROTOCOLS, 1000 * row * row),
            cpu_seconds={"workers": 0.9 * row, "rest": 0.2 * row, "generators": 0.8 * row},
            resident={"workers": 180_000_000, "rest": 300_000_000, "generators": 90_000_000},
        )
        for row in range(count)
    ]


def findings(rows: int = 5, faults: tuple[str, ...] = (), missing: str = "") -> Findings:
    """What a proof would have found, with so many rows of samples; `missing`: why nothing is acknowledged."""
    asked = {name: Asked(answers=1_000, seconds=0.5, closed=1_000) for name in PROTOCOLS}
    for place, each in enumerate(asked.values()):
        each.rate = 1_000.0
        each.histogram.add_all([0.0001 * (place + 1)] * 99 + [0.01])
    counts = dict.fromkeys(PROTOCOLS, 1_000)
    note = "idnode acknowledgement\n"
    confirmed = Confirmation(missing=missing) if missing else Confirmation(counts, 10, note, "top")
    return Findings(
        campaign=replace(CAMPAIGN),
        log=Log("log.example", 3, 4, 9, confirmed, "head\n", 12),
        counts=FourCounts(
            counts, counts, {**counts, "udp": 1_002}, confirmed.protocols, {"udp": 2}
        ),
        asked=asked,
        samples=samples(rows),
        verdict=Verdict(0, LINES, 3.2),
        faults=faults,
        times={
            "started": START_US,
            "asking": START_US + 10_000_000,
            "asked": START_US + 40_000_000,
            "finished": START_US + 60_000_000,
        },
        machine={"processor": "<Some> processor", "cores": "2", "memory": "23.5 GiB"},
        versions={"idnode": "0.1.0", "python": "CPython 3.11.7"},
        workers=2,
        is_own=True,
        command="python -m loadtest prove --resolutions 3000 --workers 2",
        digests={"SHA256SUMS": "ab" * 32},
    )
