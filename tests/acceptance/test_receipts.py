"""Who asks for a receipt is told what his record is called, by every way of HTTP; nobody else is told anything."""

import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from hashlib import sha256
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

from node.config import Settings
from node.ledger.inbox import ask
from node.ledger.logfiles import LogFiles
from node.ledger.note import Ed25519Signer
from node.ledger.receipt import Receipt
from node.ledger.record import decode
from node.ledger.signing import PUBLIC
from node.ledger.tlog import root_from
from resolver.frontends.tunnel import MESSAGE_TYPE
from resolver.wire import Envelope, Flag, Header, Message, Opcode, ResolutionRequest
from tests.support.nodes import NodeProcess, node_in

pytestmark = pytest.mark.slow

HEADER = "X-Idnode-Receipt"
NAME = "88.999.1/pump"
SHAPE = re.compile(
    r"(?P<origin>[^;]+);(?P<name>0\.\d+\.\d+\.[0-9a-f]{8});(?P<size>\d+)\.(?P<root>[0-9a-f]{16})"
)
WAYS = {
    "handle": ("GET", f"/api/handles/{NAME}"),
    "resolve": ("GET", f"/v1/resolve/{NAME}"),
    "page": ("GET", f"/{NAME}"),
    "tunnel": ("POST", "/"),
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    directory = tmp_path_factory.mktemp("receipts")
    directory.chmod(0o711)
    (directory / "records.ndjson").write_text(
        '{"handle": "0.NA/88.999.1", "values": []}\n'
        f'{{"handle": "{NAME}", "values": [{{"index": 1, "type": "URL", "data": "https://example.cn/"}}]}}\n'
    )
    with node_in(directory / "data") as lent:
        lent.start()
        lent.run("load", str(directory / "records.ndjson"))
        yield lent


def asked(settings: Settings, way: str, **headers: str) -> HTTPResponse:
    method, path = WAYS[way]
    address = settings.http_listen[0]
    connection = HTTPConnection(address.host, address.port, timeout=10)
    body = message() if way == "tunnel" else None
    more = {"Content-Type": MESSAGE_TYPE} if way == "tunnel" else {}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, {**more, **named})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer


def message() -> bytes:
    body = ResolutionRequest(NAME.encode(), (), ()).encode()
    header = Header(Opcode.RESOLUTION, flags=int(Flag.PUBLIC_ONLY))
    return Message(Envelope(2, 11, 2, 11, request_id=7), header, body).encode()


@pytest.mark.parametrize("way", WAYS)
def test_receipt_names_the_record_that_counts_the_answer(running: NodeProcess, way: str) -> None:
    settings = running.settings()
    for _ in range(3):  # so that there are ready answers
        assert asked(settings, way).getheader(HEADER) is None
    answer = asked(settings, way, X_Idnode_Receipt="1", X_Request_Id="mine", Origin="https://a.cn")
    told = SHAPE.fullmatch(answer.getheader(HEADER) or "")
    assert told is not None, answer.getheaders()
    assert "x-idnode-receipt" in (answer.getheader("Access-Control-Expose-Headers") or "").lower()

    ledger = running.data_dir / "ledger"
    ask(ledger)
    url = f"http://{settings.http_listen[0]}/v1/log/receipt/{told['name']}"
    with urllib.request.urlopen(url, timeout=10) as proof:
        receipt = Receipt.parse(proof.read())
    record = decode(receipt.record)
    assert record.nonce == int.from_bytes(sha256(b"mine").digest()[:4], "little")
    assert told["origin"] == (ledger / "origin").read_text().strip()
    size, read = int(told["size"]), LogFiles(ledger).hashes
    assert root_from([read(size)(0, at) for at in range(size)]).hex().startswith(told["root"])


def test_receipt_of_a_node_is_proven_offline_and_a_changed_one_is_not(
    running: NodeProcess, tmp_path: Path
) -> None:
    settings, ledger = running.settings(), running.data_dir / "ledger"
    header = asked(settings, "resolve", X_Idnode_Receipt="1", X_Request_Id="proven").getheader(
        HEADER
    )
    told = SHAPE.fullmatch(header or "")
    assert told is not None, header
    ask(ledger)
    url = f"http://{settings.http_listen[0]}/v1/log/receipt/{told['name']}"
    with urllib.request.urlopen(url, timeout=10) as proof:
        data = proof.read()
    receipt, policy = tmp_path / "mine.tlog-proof", tmp_path / "mine.tlog-policy"
    policy.write_text("quorum none\n")
    words = ["--log-key", str(ledger / "keys" / PUBLIC), "--policy", str(policy)]

    receipt.write_bytes(data)
    code, printed = proven(receipt, *words)
    assert code == 0, printed
    nonce = sha256(b"proven").digest()[:4][::-1].hex()
    assert f"nonce {nonce}" in printed
    assert "success" in printed

    lines = data.decode().splitlines(keepends=True)
    at = next(place for place, line in enumerate(lines) if line.startswith("index "))
    lines[at] = f"index {int(lines[at].split()[1]) - 1}\n"
    receipt.write_text("".join(lines))
    assert proven(receipt, *words)[0] == 11
    receipt.write_bytes(data)
    stranger = Ed25519Signer(told["origin"], bytes(32)).key
    (tmp_path / "other.vkey").write_text(f"{stranger}\n")
    words[1] = str(tmp_path / "other.vkey")
    assert proven(receipt, *words)[0] == 10


def proven(receipt: Path, *words: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "node", "audit", "prove", str(receipt), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("value", ["0", "", "yes", "11"])
def test_only_one_asks(running: NodeProcess, value: str) -> None:
    assert asked(running.settings(), "handle", X_Idnode_Receipt=value).getheader(HEADER) is None


def test_answer_of_who_asked_is_not_kept_with_its_receipt(running: NodeProcess) -> None:
    settings = running.settings()
    first = asked(settings, "handle", X_Idnode_Receipt="1").getheader(HEADER)
    second = asked(settings, "handle", X_Idnode_Receipt="1").getheader(HEADER)
    assert first != second
    assert asked(settings, "handle").getheader(HEADER) is None
