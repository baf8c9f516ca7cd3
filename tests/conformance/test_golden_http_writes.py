"""Every recorded exchange over TLS is played again with a running node: creating, changing, deleting, listing.

Recorded from the Handle.Net reference server 9.2.0 (`handle-golden.json`), in this order; the node has the records of
`handle-fixture.ndjson` and speaks TLS with a certificate of its own making.  What differs is listed by name.
"""

import json
import re
import socket
import ssl
import tempfile
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.nodes import NodeProcess, node_in
from tests.support.raw_http import RawReply

pytestmark = pytest.mark.slow

FILES = Path(__file__).parent
VECTORS: dict[str, dict[str, str]] = {
    vector["name"]: vector
    for vector in json.loads((FILES / "handle-golden.json").read_text("utf-8"))["vectors"]
    if vector["transport"] == "https"
}
AUTHORIZATION = "Basic MzAxJTNBMC5OQS8yMC41MDAuMTIzNDU6c2VjcmV0LTMwMQ=="  # of the recording
WRITER = "301:0.NA/20.500.12345"  # whose that is; it could list another prefix, so it was the server's administrator
RECORD = "20.500.12345/golden-j"
CHANGED_IN_BETWEEN = [
    {"index": 1, "type": "URL", "data": "https://example.org/k"},
    {"index": 3, "type": "DESC", "data": {"format": "base64", "value": "AAEC"}},
]  # by exchanges of the native protocol
MOMENT = re.compile(r'"timestamp":"[^"]*"')
OTHER_BODY = {
    "http_json_get_after": "the moments are those of our own writes",
    "http_json_basic_wrong_password": "the reference's is empty; ours says what is wrong, as elsewhere in this API",
    "http_json_list": "names as they were registered; the reference folds them",
    "http_json_list_page": "the reference had 100,000 records more",
    "http_sessions_new": "compared by its shape: session id and nonce are random",
}
OTHER_HEADERS = {
    "http_options": "any origin is told `*`, also OPTIONS is allowed, and so are the headers of conditional writes",
}
OF_THE_CONNECTION = {"connection", "date", "content-length", "www-authenticate"}
Played = dict[str, tuple[RawReply, RawReply]]


@pytest.fixture(scope="module")
def node() -> Iterator[NodeProcess]:
    with tempfile.TemporaryDirectory(prefix="idnode-", dir="/tmp") as made:
        Path(made).chmod(0o755)
        settings = {"IDNODE_TLS_CERTIFICATE": "self-signed", "IDNODE_SERVER_ADMINS": WRITER}
        with node_in(Path(made) / "data", **settings) as process:
            process.start()
            loaded = process.run("load", str(FILES / "handle-fixture.ndjson"))
            assert loaded.returncode == 0, loaded.stderr
            yield process


@pytest.fixture(scope="module")
def played(node: NodeProcess) -> Played:
    """Play all exchanges in their order; return our replies beside the recorded ones."""
    found: Played = {}
    for name, vector in VECTORS.items():
        if name == "http_json_get_after":
            changed = RawReply(ask(node, change_in_between()))
            assert changed.status == "200 OK", changed.body
        ours = RawReply(ask(node, vector["request_text"].encode("latin-1")))
        found[name] = (ours, RawReply(vector["response_text"].encode()))
    return found


def change_in_between() -> bytes:
    body = json.dumps(CHANGED_IN_BETWEEN).encode()
    head = (
        f"PUT /api/handles/{RECORD}?index=various HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Authorization: {AUTHORIZATION}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def ask(node: NodeProcess, request: bytes) -> bytes:
    endpoint = node.settings().http_listen[0]
    context = ssl.create_default_context(cafile=node.data_dir / "self-signed.pem")
    with (
        socket.create_connection((endpoint.host, endpoint.port), 10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secured,
    ):
        secured.sendall(request)
        received = b""
        while chunk := secured.recv(65_536):
            received += chunk
    return received


@pytest.mark.parametrize("name", VECTORS)
def test_status_and_headers_are_as_recorded(played: Played, name: str) -> None:
    ours, recorded = played[name]

    assert ours.status == recorded.status
    if name not in OTHER_HEADERS:
        for header in recorded.headers.keys() - OF_THE_CONNECTION:
            assert ours.header(header) == recorded.header(header)


@pytest.mark.parametrize("name", sorted(VECTORS.keys() - OTHER_BODY.keys()))
def test_body_is_as_recorded_to_the_byte(played: Played, name: str) -> None:
    ours, recorded = played[name]

    assert ours.body.decode() == recorded.body.decode()


@pytest.mark.parametrize("name", VECTORS)
def test_login_is_asked_for_as_recorded(played: Played, name: str) -> None:
    """Basic first, then a session that may be joined and a nonce of 16 bytes to sign."""
    ours, recorded = (reply.headers.get("www-authenticate", []) for reply in played[name])

    assert len(ours) == len(recorded)
    if recorded:
        assert ours[0] == recorded[0] == 'Basic realm="handle"'
        for challenge in (ours[1], recorded[1]):
            found = re.fullmatch(
                r'Handle sessionId="[\w-]+", nonce="([^"]+)"(, error="Identity not verified")?',
                challenge,
            )
            assert found
            assert len(b64decode(found[1])) == 16
        assert ours[1].count("error=") == recorded[1].count("error=")


def test_changed_record_is_as_recorded_but_for_its_moments(played: Played) -> None:
    ours, recorded = played["http_json_get_after"]

    assert MOMENT.sub("", ours.body.decode()) == MOMENT.sub("", recorded.body.decode())
    assert len(MOMENT.findall(ours.body.decode())) == 4


def test_wrong_password_is_told_in_json(played: Played) -> None:
    ours, recorded = played["http_json_basic_wrong_password"]

    assert recorded.body == b""
    assert json.loads(ours.body) == {
        "responseCode": 403,
        "message": "Identity not verified",
        "handle": RECORD,
    }


def test_list_is_as_recorded_but_for_case(played: Played) -> None:
    ours, recorded = played["http_json_list"]

    assert ours.body.decode().upper() == recorded.body.decode().upper()


def test_page_of_a_list_has_the_recorded_shape(played: Played) -> None:
    ours, recorded = (json.loads(reply.body) for reply in played["http_json_list_page"])

    assert list(ours) == list(recorded)
    for member in ("responseCode", "prefix", "page", "pageSize"):
        assert ours[member] == recorded[member]
    assert len(ours["handles"]) == len(recorded["handles"]) == 3
    assert isinstance(ours["totalCount"], str)


def test_session_is_begun_with_the_recorded_shape(played: Played) -> None:
    ours, recorded = (json.loads(reply.body) for reply in played["http_sessions_new"])

    assert list(ours) == list(recorded) == ["sessionId", "nonce"]
    assert len(b64decode(ours["nonce"])) == len(b64decode(recorded["nonce"])) == 16


def test_head_says_the_length_of_the_recorded_body(played: Played) -> None:
    ours, recorded = played["http_head"]

    assert ours.header("content-length") == recorded.header("content-length")


def test_preflight_allows_all_that_the_recorded_one_does(played: Played) -> None:
    ours, recorded = played["http_options"]

    for header in ("access-control-allow-methods", "access-control-allow-headers"):
        wider, narrower = (
            set(re.split(r", ?", reply.header(header) or "")) for reply in (ours, recorded)
        )
        assert narrower < wider
    assert ours.header("access-control-allow-origin") == "*"
    assert ours.header("access-control-max-age") == recorded.header("access-control-max-age")
