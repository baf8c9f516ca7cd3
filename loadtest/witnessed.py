"""An auditor for the stand: a witness that cosigns a node's log, and what is judged in the end: evidence, offline.

The witness is `idnode witness run`, a process with a key of its own; the verifier is `idnode audit verify`, another
process that sees nothing but the evidence, the keys, and what the auditor has noted himself.
"""

import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

from loadtest.stand import (
    HOST,
    POLL_SECONDS,
    Node,
    Stand,
    StandError,
    clean_environment,
    free_port,
    wait_for_port,
)
from node.ledger.day import day_at
from node.ledger.durable import read_if_there
from node.ledger.evidence import Edition, export_evidence
from node.ledger.heads import HeadFiles
from node.ledger.inbox import NotTaken, ask
from node.ledger.logfiles import KEYS, LogFiles
from node.ledger.memory import make_key
from node.ledger.monthkeys import MonthKeys
from node.ledger.role import DIRECTORY
from node.ledger.signing import PUBLIC
from node.ledger.tags import DayKeys, day_name

WITNESS = "witness.example/w"
SEALED_SECONDS = (
    120.0  # for all that waits to be sealed; a log that was cut short is taken up again first
)
COSIGNED_SECONDS = 90.0  # a round of the witnesses is a minute
PASSED = (0, 1)  # exit codes: pass, and pass with gaps that the log discloses


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the verifier said: its exit code, its lines; how long it took, and its processor time, start included."""

    code: int
    lines: tuple[str, ...]
    seconds: float
    cpu_seconds: float

    @property
    def faults(self) -> list[str]:
        """What does not hold."""
        if self.code in PASSED:
            return []
        failed = [line for line in self.lines if " FAIL " in line] or list(self.lines[-3:])
        return [f"the verifier ends with {self.code}: {line}" for line in failed]

    def line(self, rule: str) -> str:
        """Return what it said by one rule."""
        return next((line for line in self.lines if line.startswith(f"{rule} ")), "")


class Auditor:
    """One witness, and the keys, evidence and verdicts of one node's ledger; `settings` are for that node."""

    def __init__(self, stand: Stand) -> None:
        self._stand = stand
        self._home = stand.directory / "auditor"
        self._home.mkdir()
        self._witness = self._home / "witness"
        self._at = (HOST, free_port())
        key = make_key(self._witness, WITNESS, secrets.token_bytes(32)).key
        url = f"http://{HOST}:{self._at[1]}"
        self.policy = self._home / "policy.tlog-policy"
        self.policy.write_text(f"witness top {key} {url}\nquorum top\n")
        self.log_key = self._home / "log.vkey"
        self.settings = {"LEDGER_WITNESSES": str(self.policy)}

    def watch(self, node: Node) -> None:
        """Learn the node's log key, and let the witness answer."""
        public = ledger_of(node) / KEYS / PUBLIC
        _until(lambda: read_if_there(public), SEALED_SECONDS, f"{public} was not made")
        self.log_key.write_bytes(public.read_bytes())
        keys = [word for key in public.read_text().split() for word in ("--log", key)]
        listen = f"{HOST}:{self._at[1]}"
        command = ["witness", "run", "--state", str(self._witness), "--listen", listen, *keys]
        process, log = self._stand.start_program(
            "witness", [sys.executable, "-m", "node", *command]
        )
        wait_for_port(self._at, process, log)

    def seal(self, node: Node) -> int:
        """Have everything sealed and published; return the size of the tree.  Raises StandError."""
        deadline = time.monotonic() + SEALED_SECONDS
        while True:
            try:
                return ask(ledger_of(node)).size
            except NotTaken as error:
                if time.monotonic() > deadline:
                    raise StandError(f"the ledger is not sealed: {error}") from error

    def wait_for_head(self, node: Node, size: int) -> None:
        """Wait until the witness has cosigned a tree of that size.  Raises StandError."""
        heads = HeadFiles(ledger_of(node))

        def is_cosigned() -> bool:
            beacon = heads.beacon()
            return beacon is not None and beacon.size >= size

        _until(is_cosigned, COSIGNED_SECONDS, f"no head of {size} leaves was cosigned")

    def take(self, node: Node) -> Path:
        """Take the evidence of this month, with all records."""
        target = self._home / f"evidence-{secrets.token_hex(4)}"
        month = day_name(day_at(time.time_ns() // 1_000))[:7]
        export_evidence(LogFiles(ledger_of(node)), target, Edition(month, with_bodies=True))
        return target

    def verify(self, evidence: Path, node: Node, **given: Path) -> Verdict:
        """Judge evidence by all rules, with what was noted outside (`canaries`, `prom`) and the months' keys."""
        words = ["--log-key", str(self.log_key), "--policy", str(self.policy)]
        words += ["--robots", str(files("node.ledger") / "robots.json")]
        for path in sorted((ledger_of(node) / KEYS).glob("month-*.key")):
            words += ["--month-key", str(path)]
        for name, path in given.items():
            words += [f"--{name}", str(path)]
        command = [sys.executable, "-m", "node", "audit", "verify", str(evidence), *words]
        began, spent = time.perf_counter(), _children_seconds()
        ended = subprocess.run(
            command, capture_output=True, text=True, check=False, env=clean_environment({})
        )
        lines = (*ended.stdout.splitlines(), *ended.stderr.splitlines())
        took, computed = time.perf_counter() - began, _children_seconds() - spent
        return Verdict(ended.returncode, lines, took, computed)


def ledger_of(node: Node) -> Path:
    """Return the directory of a node's ledger."""
    return node.settings.data_dir / DIRECTORY


def keys_of(node: Node) -> DayKeys:
    """Return the keys of a node's days, as the month's key that is opened to an auditor gives them."""
    return DayKeys(MonthKeys(ledger_of(node) / KEYS).key)


def _children_seconds() -> float:
    usage = getrusage(RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _until(holds: Callable[[], object], seconds: float, sentence: str) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise StandError(f"{sentence} in {seconds:.0f} s")
        time.sleep(POLL_SECONDS)
