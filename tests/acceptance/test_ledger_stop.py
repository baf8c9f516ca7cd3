"""A node that is stopped in order leaves a ledger with nothing open: all that was answered is sealed and signed."""

import os
import signal
from http.client import HTTPConnection
from pathlib import Path

import pytest

from node.ledger.checkpoint import Checkpoint
from node.ledger.leaf import Block, Epoch, Meters, parse
from node.ledger.logfiles import LogFiles
from node.ledger.verify.files import EvidenceFiles
from node.ledger.verify.trust import read_trust
from node.ledger.verify.verification import Question, verify_evidence
from tests.support.nodes import NodeProcess, eventually, node_in

pytestmark = pytest.mark.slow

ASKED = 25  # of each worker's connections, more or less


def ask(running: NodeProcess, times: int) -> None:
    address = running.settings().http_listen[0]
    for _ in range(times):
        connection = HTTPConnection(address.host, address.port, timeout=10)
        connection.request("GET", "/v1/resolve/88.999.1/pump")
        connection.getresponse().read()
        connection.close()


def workers(running: NodeProcess) -> list[int]:
    return [pid for pid, line in running.processes().items() if "node.process.worker" in line]


def check_all_is_there(ledger: Path, answers: int) -> None:
    """Every answer is in a block under the checkpoint, a kept head; each epoch is closed, and no lane file is left."""
    files = LogFiles(ledger)
    note = files.published()
    assert note is not None
    size = Checkpoint.parse(note.text).size
    leaves = [parse(line) for line in files.lines(0, size)]
    assert sum(sum(leaf.records) for leaf in leaves if isinstance(leaf, Block)) == answers
    states = [leaf.state for leaf in leaves if isinstance(leaf, Epoch)]
    assert states.count("open") == states.count("close") > 0
    assert list((ledger / "lanes").glob("*.lane")) == []
    assert files.head_sizes()[-1] == size
    last = [leaf for leaf in leaves if isinstance(leaf, Meters)][-1]
    assert sum(row[3] for row in last.workers) == sum(row[4] for row in last.workers)


def code_of(ledger: Path, policy: Path) -> int:
    policy.write_text("quorum none\n")
    question = Question(trust=read_trust(ledger / "keys" / "log.vkey", policy))
    return verify_evidence(EvidenceFiles(ledger), question).findings.code


def test_stop_leaves_nothing_to_be_sealed(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    with node_in(tmp_path / "data", IDNODE_WORKERS="2") as running:
        running.start()
        ask(running, ASKED)
        assert running.stop(signal.SIGTERM) == 0
        ledger = running.data_dir / "ledger"
        check_all_is_there(ledger, ASKED)
        assert (
            code_of(ledger, tmp_path / "policy") == 1
        )  # nobody else cosigned: a pass that says so
        running.start()
        ask(running, ASKED)
        assert running.stop(signal.SIGINT) == 0
        check_all_is_there(ledger, 2 * ASKED)


def test_what_a_killed_worker_recorded_is_sealed_at_the_stop_too(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    with node_in(tmp_path / "data") as running:
        running.start()
        ask(running, ASKED)
        killed = workers(running)
        os.kill(killed[0], signal.SIGKILL)
        eventually(lambda: killed != workers(running))
        assert running.stop() == 0
        files = LogFiles(running.data_dir / "ledger")
        assert list((files.directory / "lanes").glob("*.lane")) == []
        note = files.published()
        assert note is not None
        leaves = [parse(line) for line in files.lines(0, Checkpoint.parse(note.text).size)]
        assert sum(sum(leaf.records) for leaf in leaves if isinstance(leaf, Block)) == ASKED
