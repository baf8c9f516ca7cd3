"""Evidence: what an auditor is handed, counted offline, and judged by `idnode audit verify` as a process of its own."""

import json
import subprocess
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from loadtest.prove.campaign import Mark
from loadtest.prove.sampling import Sample
from loadtest.prove.scene import Scene, interpreter
from loadtest.stand import clean_environment
from node.ledger.block import body_path
from node.ledger.campaigns import Counted, add_body
from node.ledger.day import day_at
from node.ledger.evidence import LEAVES, SHA256SUMS, Edition, export_evidence
from node.ledger.leaf import Block, parse
from node.ledger.logfiles import BODIES
from node.ledger.tags import day_name

EVIDENCE, SCRAPES, TRUST = "evidence", "prometheus.json", "trust"
LOG_KEY, POLICY = f"{TRUST}/log.vkey", f"{TRUST}/policy.tlog-policy"
PASSED = (0, 1)  # exit codes: pass, and pass with gaps that the log discloses
VERIFY_SECONDS = 600.0


class Verdict(NamedTuple):
    """What the verifier said, and how long it took."""

    code: int
    lines: tuple[str, ...]
    seconds: float

    @property
    def faults(self) -> list[str]:
        """What does not hold."""
        if self.code in PASSED:
            return []
        failed = [line for line in self.lines if " FAIL" in line] or list(self.lines[-1:])
        return [f"idnode audit verify ends with {self.code}: {line}" for line in failed]


def export(scene: Scene, directory: Path) -> None:
    """Write evidence with all records of this month, and beside it whom to believe.  Raises as `export_evidence`."""
    month = day_name(day_at(time.time_ns() // 1_000))[:7]
    export_evidence(scene.files, directory / EVIDENCE, Edition(month, with_bodies=True))
    (directory / TRUST).mkdir()
    (directory / LOG_KEY).write_bytes(scene.log_key.read_bytes())
    (directory / POLICY).write_bytes(scene.policy_text)


def write_scrapes(directory: Path, before: Mark, after: Mark, samples: list[Sample]) -> None:
    """Write what the metrics said, as the answer of a Prometheus to a range query; R3 takes it."""
    times = [(each.at, sum(each.answers.values())) for each in samples]
    values = [[f"{at:.6f}", str(total)] for at, total in times]
    document = {
        "status": "success",
        "data": {"resultType": "matrix", "result": [{"values": values}]},
    }
    marks = {"before": dict(before.metrics), "after": dict(after.metrics)}
    (directory / SCRAPES).write_text(json.dumps({**document, "marks": marks}) + "\n")


def count_evidence(evidence: Path, number: int, start: int) -> Counted:
    """Count a campaign's records, and all others, in the blocks from leaf `start` on.  Raises OSError, LeafError."""
    counted = Counted.nothing()
    for leaf in _blocks(evidence, start):
        add_body(counted, number, (evidence / BODIES / body_path(leaf)).read_bytes())
    return counted


def _blocks(evidence: Path, start: int) -> Iterator[Block]:
    for line in (evidence / LEAVES).read_bytes().splitlines()[start:]:
        leaf = parse(line)
        if isinstance(leaf, Block) and any(leaf.records):
            yield leaf


class Believed(NamedTuple):
    """Whom a reader believes: the copies in `trust/` where nothing is given; `toplevel` is a name in the policy."""

    log_key: Path | None = None
    policy: Path | None = None
    toplevel: str = ""


def verify_command(directory: Path, believed: Believed) -> list[str]:
    """Return what an auditor types, behind `idnode`."""
    return [
        *("audit", "verify", str(directory / EVIDENCE)),
        *("--log-key", str(believed.log_key or directory / LOG_KEY)),
        *("--policy", str(believed.policy or directory / POLICY)),
        *("--prom", str(directory / SCRAPES), "--bodies", "all"),
        *(("--toplevel", believed.toplevel) if believed.toplevel else ()),
    ]


def verify(directory: Path, believed: Believed) -> Verdict:
    """Judge the evidence in a process that sees nothing else."""
    began = time.perf_counter()
    ended = subprocess.run(
        [*interpreter(), *verify_command(directory, believed)],
        capture_output=True,
        text=True,
        check=False,
        timeout=VERIFY_SECONDS,
        env=clean_environment({}),
    )
    lines = (*ended.stdout.splitlines(), *ended.stderr.splitlines())
    return Verdict(ended.returncode, lines, time.perf_counter() - began)


def sums_digest(directory: Path) -> str:
    """Return the SHA-256 of the evidence's own list of digests, which fixes every file of it."""
    return file_digest(directory / EVIDENCE / SHA256SUMS)


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return sha256(path.read_bytes()).hexdigest()
