"""An operator's load test, by the command line: announced, closed, acknowledged; and sealed at once, over HTTP too."""

import json
import re
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest

from loadtest.prove.campaign import Announced, is_heard, wait_until_open
from loadtest.prove.scene import Scene
from loadtest.prove.traffic import now_us
from node.ledger.campaigns import MINUTE_US, Wish, announce, count
from node.ledger.inbox import ask
from node.ledger.leaf import Acknowledgement, parse
from node.ledger.logfiles import LogFiles
from node.ledger.role import DIRECTORY
from tests.support.nodes import NodeProcess, node_in

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def node() -> Iterator[NodeProcess]:
    """A node with the simulated top-level node beside it."""
    with TemporaryDirectory(prefix="idnode-announced-") as name:
        Path(name).chmod(0o711)
        with node_in(Path(name) / "data") as lent:
            lent.command = (sys.executable, "-m", "node", "serve", "--toplevel")
            lent.start()
            yield lent


def said(node: NodeProcess, *words: str, code: int = 0) -> str:
    ended = node.run("audit", *words)
    assert ended.returncode == code, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def test_a_load_test_is_announced_closed_and_acknowledged(node: NodeProcess) -> None:
    with httpx.Client(base_url=f"http://{node.settings().http_listen[0]}", trust_env=False) as http:
        assert http.get("/v1/resolve/88.1.1/nothing", timeout=60).status_code == 404  # a block
    network = ("--network", "127.9.9.0/24", "--minutes", "2", "--planned", "5")
    announced = said(node, "announce", *network)
    assert re.match(r"campaign 1 is announced in leaf \d+: from .*:00 to .*:00 UTC", announced)
    assert "closed in leaf" in said(node, "conclude", "1")
    assert "closed already" in said(node, "conclude", "1", code=4)
    confirmed = said(node, "acknowledge", "1")
    found = re.search(r"campaign 1: 0 resolutions are acknowledged, in leaf (\d+)", confirmed)
    assert found is not None
    assert said(node, "acknowledge", "1") == confirmed
    files = LogFiles(node.data_dir / DIRECTORY)
    leaf = parse(files.line(int(found[1]), ask(node.data_dir / DIRECTORY).size))
    assert isinstance(leaf, Acknowledgement)
    assert leaf.note.startswith("idnode acknowledgement\n")
    states = [row["state"] for row in json.loads(said(node, "campaigns", "--output", "json"))]
    assert states == ["open", "close"]


def ask_from(node: NodeProcess, source: str) -> None:
    address = node.settings().http_listen[0]
    connection = HTTPConnection(address.host, address.port, timeout=60, source_address=(source, 0))
    connection.request("GET", "/v1/resolve/88.1.1/nothing")
    connection.getresponse().read()
    connection.close()


def test_a_proof_asks_when_every_worker_goes_by_its_campaign_whoever_asked_before(
    node: NodeProcess,
) -> None:
    settings = node.settings()
    scene = Scene(settings, 0, node.data_dir, node.data_dir)
    source, network = "127.84.255.1", "127.84.255.0/24"
    ask_from(node, source)  # decides of this caller in this minute
    now = now_us()
    leaf, at = announce(scene.ledger, Wish(now, now + 10 * MINUTE_US, 1, (network,)))
    wait_until_open(scene, Announced(leaf, at, (source,)), lambda _: None)
    ask_from(node, source)
    counted = count(scene.files, leaf.number, 0, ask(scene.ledger).size)
    assert counted.protocols == {"http_json": 1}
    assert counted.others["http_json"] >= 1
    assert not is_heard(scene, leaf.number + 1)


def test_who_is_no_network_is_refused(node: NodeProcess) -> None:
    assert "a network is such as" in said(node, "announce", "--network", "127.9.9", code=2)


def test_operators_have_all_sealed_at_once_and_not_too_often(node: NodeProcess) -> None:
    settings = node.settings()
    token = (node.data_dir / "operator-token").read_text("ascii").strip()
    with httpx.Client(base_url=f"http://{settings.admin_listen[0]}", trust_env=False) as http:
        assert http.post("/v1/log/seal").status_code == 401
        headers = {"Authorization": f"Bearer {token}"}
        sealed = http.post("/v1/log/seal", headers=headers, timeout=60)
        again = http.post("/v1/log/seal", headers=headers)
    assert sealed.status_code == 200
    assert sealed.json()["size"] > 0
    assert again.status_code == 429
    assert 1 <= int(again.headers["retry-after"]) <= 5
    assert "leaves are sealed and published" in said(node, "seal")
