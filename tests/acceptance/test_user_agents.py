"""User agents of a node that runs: they get rows in its log, records name them, an auditor judges robots by them."""

from collections.abc import Iterator
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path

import pytest

from node.ledger.announced import read_announced
from node.ledger.inbox import ask
from node.ledger.record import OTHER_AGENT, Class, Record, decode_all
from node.ledger.verify.checks import Check
from node.ledger.verify.files import EvidenceFiles
from node.ledger.verify.findings import Status
from node.ledger.verify.trust import read_trust
from node.ledger.verify.verification import Question, verify_evidence
from node.recording import robots
from tests.support.nodes import NodeProcess, eventually, node_in

pytestmark = pytest.mark.slow

BROWSER, ROBOT = "Pump-Reader/1.0 (for liwei@example.cn)", "Googlebot/2.1"
ROW = b"Pump-Reader/1.0 (for *"
PATH = "/v1/resolve/88.999.1/pump"
ROW_SECONDS = 20.0


@pytest.fixture
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    directory = tmp_path_factory.mktemp("agents")
    directory.chmod(0o711)
    with node_in(directory / "data", IDNODE_COUNT_LOOPBACK="true") as lent:
        lent.start()
        yield lent


def ask_as(running: NodeProcess, agent: str, source: int) -> None:
    """Ask once, from another address of this machine each time: callers get their row once a minute."""
    address = running.settings().http_listen[0]
    connection = HTTPConnection(
        address.host, address.port, timeout=10, source_address=(f"127.0.0.{source}", 0)
    )
    connection.request("GET", PATH, headers={"User-Agent": agent})
    connection.getresponse().read()
    connection.close()


def sealed(ledger: Path) -> list[Record]:
    ask(ledger)
    bodies = sorted((ledger / "bodies").rglob("*.rec"))
    return [record for body in bodies for record in decode_all(body.read_bytes())]


def rows_of(ledger: Path) -> dict[bytes, int]:
    return read_announced(ledger, robots()).agents


def test_records_of_a_node_are_judged_by_their_user_agents(
    running: NodeProcess, tmp_path: Path
) -> None:
    ledger = running.data_dir / "ledger"
    ask_as(running, BROWSER, 1)
    ask_as(running, ROBOT, 1)
    eventually(lambda: rows_of(ledger).keys() == {ROW, ROBOT.encode()}, ROW_SECONDS)
    rows = rows_of(ledger)
    expected = {(Class.PRODUCTION, rows[ROW]), (Class.ROBOT, rows[ROBOT.encode()])}

    found: set[tuple[int, int]] = set()
    for source in range(2, 60):  # a worker reads once a second what is announced
        ask_as(running, BROWSER, source)
        ask_as(running, ROBOT, source)
        found = {(record.class_, record.ua) for record in sealed(ledger)}
        if expected <= found:
            break
    unnumbered = {(Class.PRODUCTION, OTHER_AGENT), (Class.ROBOT, OTHER_AGENT)}
    assert expected <= found <= expected | unnumbered
    running.stop()  # with a last head
    check_verdicts(ledger, tmp_path / "policy")


def check_verdicts(ledger: Path, policy: Path) -> None:
    """The node's own list finds nothing; one with the reader in it finds what was counted of it."""
    policy.write_text("quorum none\n")
    trust, listed = read_trust(ledger / "keys" / "log.vkey", policy), robots()
    stricter = replace(listed, words=(*listed.words, b"pump-reader"))
    for judging, failures in ((listed, False), (stricter, True)):
        question = Question(trust=trust, robots={listed.digest: judging})
        findings = verify_evidence(EvidenceFiles(ledger), question).findings
        assert (Check.V7_ROBOT in findings.counts) is failures
        assert Check.V7_ROW not in findings.counts
        assert findings.status("V7") is (Status.FAIL if failures else Status.PASS)
