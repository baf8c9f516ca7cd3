"""A whole node that speaks TLS: who may log in, by which ways, at which worker, and until when."""

import json
import socket
import ssl
import stat
import tempfile
from base64 import b64decode, b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from resolver.keys.certificates import Authority, ensure_server_certificate
from resolver.keys.macs import Derivation, compute
from resolver.keys.private import KeyKind, PrivateKey, make_private, public_half, to_pem
from resolver.wire import encode_public_key
from tests.support.nodes import NodeProcess, node_in

pytestmark = pytest.mark.slow

PREFIX = "88.118.8"
BASIC = httpx.BasicAuth(f"300%3A{PREFIX}/ADMIN", "geheim")
RSA = make_private(KeyKind.RSA)
WORKERS = 2


def value(index: int, kind: str, data: object, **more: object) -> dict[str, object]:
    return {"index": index, "type": kind, "data": data, **more}


def admin(index: int) -> dict[str, object]:
    data = {"handle": f"{PREFIX}/ADMIN", "index": index, "permissions": "111111111111"}
    return value(100 + index, "HS_ADMIN", {"format": "admin", "value": data})


def spell(data: bytes) -> str:
    return b64encode(data).decode()


RECORDS: dict[str, list[dict[str, object]]] = {
    f"0.NA/{PREFIX}": [admin(300), admin(301)],
    f"{PREFIX}/ADMIN": [
        value(1, "DESC", "who may"),
        value(300, "HS_SECKEY", "geheim", permissions="1100"),
        value(
            301,
            "HS_PUBKEY",
            {"format": "base64", "value": spell(encode_public_key(public_half(RSA)))},
        ),
    ],
    f"{PREFIX}/pump": [value(1, "URL", "https://example.org/pump"), admin(300), admin(301)],
}


@pytest.fixture(scope="module")
def node() -> Iterator[NodeProcess]:
    with tempfile.TemporaryDirectory(prefix="idnode-", dir="/tmp") as made:
        Path(made).chmod(0o755)
        settings = {"IDNODE_TLS_CERTIFICATE": "self-signed", "IDNODE_WORKERS": str(WORKERS)}
        with node_in(Path(made) / "data", **settings) as process:
            process.start()
            lines = [json.dumps({"handle": name, "values": RECORDS[name]}) for name in RECORDS]
            (Path(made) / "records.ndjson").write_text("\n".join(lines) + "\n", "utf-8")
            loaded = process.run("load", str(Path(made) / "records.ndjson"))
            assert loaded.returncode == 0, loaded.stderr
            yield process


@pytest.fixture(scope="module")
def address(node: NodeProcess) -> tuple[str, int]:
    endpoint = node.settings().http_listen[0]
    return endpoint.host, endpoint.port


def trusting(node: NodeProcess) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=node.data_dir / "self-signed.pem")


def client(node: NodeProcess, context: ssl.SSLContext | None = None) -> httpx.Client:
    endpoint = node.settings().http_listen[0]
    return httpx.Client(verify=context or trusting(node), base_url=f"https://{endpoint}")


def certified(
    node: NodeProcess, directory: Path, private: PrivateKey = RSA, authority: Path | None = None
) -> ssl.SSLContext:
    """A context that shows a certificate of this key."""
    now = datetime.now(UTC)
    issuer = Authority.load_or_make(authority or node.data_dir, now)
    path = directory / "client.pem"
    identity = f"301:{PREFIX}/ADMIN"
    path.write_bytes(to_pem(private) + issuer.issue(identity, private, now, 1))
    context = trusting(node)
    context.load_cert_chain(path)
    return context


def put(web: httpx.Client, name: str, **options: Any) -> httpx.Response:
    body = [value(1, "URL", "https://example.org/new"), admin(300), admin(301)]
    return web.put(f"/api/handles/{PREFIX}/{name}", json=body, **options)


def test_what_is_printed_says_https_and_how_to_believe_it(node: NodeProcess) -> None:
    said = node.said()

    assert "HTTPS     https://127.0.0.1:" in said
    assert f"curl --cacert {node.data_dir}/self-signed.pem https://127.0.0.1:" in said


def test_plain_reads_over_tls_take_the_fast_way(
    node: NodeProcess, address: tuple[str, int]
) -> None:
    path = f"/api/handles/{PREFIX}/pump"
    with client(node) as web:
        replies = [web.get(path) for _ in range(20)]

    assert {reply.status_code for reply in replies} == {200}
    assert len({reply.content for reply in replies}) == 1
    served = httpx.get(f"http://{node.settings().admin_listen[0]}/metrics").text
    assert 'outcome="found",protocol="http_json",scheme="handle",tier="memory"' in served


def test_pipelined_and_cut_requests_are_answered_over_tls(
    node: NodeProcess, address: tuple[str, int]
) -> None:
    head = f"GET /api/handles/{PREFIX}/pump HTTP/1.1\r\nHost: x\r\n".encode()
    with (
        socket.create_connection(address, 10) as plain,
        trusting(node).wrap_socket(plain, server_hostname="localhost") as secured,
    ):
        for piece in (head, b"\r\n" + head, b"Connection: close\r\n\r\n"):
            secured.sendall(piece)
        received = b""
        while chunk := secured.recv(65_536):
            received += chunk

    assert received.count(b"HTTP/1.1 200 OK") == 2


def test_plain_http_gets_no_answer(node: NodeProcess, address: tuple[str, int]) -> None:
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"http://{address[0]}:{address[1]}/healthz")


def test_old_tls_is_refused(node: NodeProcess, address: tuple[str, int]) -> None:
    context = trusting(node)
    with pytest.warns(DeprecationWarning, match="TLSv1 is deprecated"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("DEFAULT:@SECLEVEL=0")

    with socket.create_connection(address, 10) as plain, pytest.raises(ssl.SSLError):
        context.wrap_socket(plain, server_hostname="localhost")


def test_site_record_says_https(node: NodeProcess) -> None:
    with client(node) as web:
        site = web.get("/api/site").json()["site"]

    assert [each["protocol"] for each in site["servers"][0]["interfaces"]] == [
        "TCP",
        "UDP",
        "HTTPS",
    ]


def test_command_line_reaches_its_own_node_over_tls(node: NodeProcess) -> None:
    found = node.run("resolve", "--over", "http", f"{PREFIX}/pump")
    checked = node.run("check")

    assert found.returncode == 0, found.stderr
    assert "https://example.org/pump" in found.stdout
    assert "ok    TLS" in checked.stdout


def test_password_writes_at_every_worker_and_a_wrong_one_nowhere(node: NodeProcess) -> None:
    for number in range(8):  # each on a connection of its own: both workers are asked
        with client(node) as web:
            assert put(web, f"by-password-{number}", auth=BASIC).status_code == 201
    with client(node) as web:
        wrong = put(web, "wrong", auth=httpx.BasicAuth(f"300%3A{PREFIX}/ADMIN", "falsch"))
        nobody = put(web, "nobody")

    assert wrong.status_code == 401
    assert wrong.json()["responseCode"] == 403
    assert 'error="Identity not verified"' in wrong.headers["www-authenticate"]
    assert (nobody.status_code, nobody.json()["responseCode"]) == (401, 402)
    assert '"event": "login failed"' in node.said()
    assert "falsch" not in node.said()


def test_certificate_of_our_authority_writes(node: NodeProcess, tmp_path: Path) -> None:
    with client(node, certified(node, tmp_path)) as web:
        plain = put(web, "by-certificate")
        asked = put(web, "by-certificate-2", headers={"Authorization": 'Handle clientCert="true"'})

    assert (plain.status_code, asked.status_code) == (201, 201)


def test_certificate_reads_what_it_may_beside_the_ready_answer_for_strangers(
    node: NodeProcess, tmp_path: Path
) -> None:
    path = f"/api/handles/{PREFIX}/half"
    hidden = value(2, "PIN", "1234", permissions="1100")
    with client(node, certified(node, tmp_path)) as known, client(node) as stranger:
        known.put(path, json=[value(1, "URL", "x"), hidden, admin(301)])
        for _ in range(4):
            assert "1234" not in stranger.get(path).text
            mine = known.get(path)
            assert "1234" in mine.text
            assert mine.headers["cache-control"] == "no-store"


def test_certificate_of_another_key_is_refused(node: NodeProcess, tmp_path: Path) -> None:
    context = certified(node, tmp_path, make_private(KeyKind.RSA))
    with client(node, context) as web:
        reply = put(web, "by-wrong-key")

    assert (reply.status_code, reply.json()["responseCode"]) == (401, 403)


def test_certificate_of_another_authority_ends_the_handshake(
    node: NodeProcess, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    context = certified(node, tmp_path, authority=tmp_path / "other")

    with client(node, context) as web, pytest.raises(httpx.HTTPError):
        put(web, "by-foreign-certificate")


def answer_to(challenge: dict[str, str], session: str) -> dict[str, str]:
    mac = compute(b"geheim", "HMAC-SHA256", b64decode(challenge["nonce"]) + b"cn", Derivation(b""))
    return {
        "sessionId": session,
        "cnonce": spell(b"cn"),
        "id": f"300:{PREFIX}/ADMIN",
        "type": "HS_SECKEY",
        "alg": "HMAC-SHA256",
        "signature": spell(mac),
    }


def test_session_is_honoured_by_every_worker_and_the_keeper_until_it_is_ended(
    node: NodeProcess,
) -> None:
    with client(node) as web:
        challenge = web.post("/api/sessions", json={}).json()
    session = challenge["sessionId"]
    named = {"Authorization": f'Handle sessionId="{session}"'}
    with client(node) as web:
        opened = web.put("/api/sessions/this", json=answer_to(challenge, session))
    statuses = set()
    for number in range(8):
        with client(node) as web:
            statuses.add(put(web, f"by-session-{number}", headers=named).status_code)
    admin_url = f"http://{node.settings().admin_listen[0]}/v1/records/{PREFIX}/pump"
    at_keeper = httpx.get(admin_url, headers=named)
    with client(node) as web:
        ended = web.delete("/api/sessions/this", headers=named)
    after = []
    for _ in range(4):
        with client(node) as web:
            after.append(put(web, "too-late", headers=named).status_code)

    assert opened.json()["authenticated"] is True
    assert statuses == {201}
    assert at_keeper.status_code == 200
    assert ended.status_code == 204
    assert set(after) == {401}


def test_token_counts_at_once_and_no_longer_when_it_is_revoked(node: NodeProcess) -> None:
    order = ("token", "make", "--name", "line-3", "--owner", f"300:{PREFIX}/ADMIN")
    made = node.run(*order, "--scope", "write", "--prefix", PREFIX)
    bearer = {"Authorization": f"Bearer {made.stdout.strip()}"}

    def statuses(name: str) -> set[int]:
        found = set()
        for number in range(6):
            with client(node) as web:
                found.add(put(web, f"{name}-{number}", headers=bearer).status_code)
        return found

    before = statuses("by-token")
    listed = node.run("token", "list", "--output", "json")
    revoked = node.run("token", "revoke", "line-3")
    after = statuses("by-revoked-token")

    assert made.returncode == 0, made.stderr
    assert before == {201}
    assert "line-3" in listed.stdout
    assert made.stdout.strip() not in listed.stdout
    assert revoked.returncode == 0
    assert after == {401}
    assert node.run("token", "revoke", "line-3").returncode == 3


def test_operator_token_of_the_data_directory_may_do_everything(node: NodeProcess) -> None:
    path = node.data_dir / "operator-token"
    bearer = {"Authorization": f"Bearer {path.read_text('ascii').strip()}"}
    tokens = f"http://{node.settings().admin_listen[0]}/v1/tokens"

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert httpx.get(tokens, headers=bearer).status_code == 200
    assert httpx.get(tokens).status_code == 401
    with client(node) as web:
        assert put(web, "by-operator", headers=bearer).status_code == 201


def test_changed_secret_ends_passwords_and_sessions_at_every_worker(node: NodeProcess) -> None:
    path = f"/api/handles/{PREFIX}/ADMIN"
    key = [value(302, "HS_SECKEY", "zweites", permissions="1100")]
    second = httpx.BasicAuth(f"302%3A{PREFIX}/ADMIN", "zweites")
    operator = (node.data_dir / "operator-token").read_text("ascii").strip()
    bearer = {"Authorization": f"Bearer {operator}"}
    with client(node) as web:
        assert web.put(f"{path}?index=302", json=key, headers=bearer).status_code == 201
        session = web.post("/api/sessions", auth=second).json()["sessionId"]
        assert web.delete(f"{path}?index=302", headers=bearer).status_code == 200
    named = {"Authorization": f'Handle sessionId="{session}"'}

    for _ in range(6):
        with client(node) as web:
            assert web.get("/api/prefixes", auth=second).status_code == 401
            assert web.get("/api/prefixes", headers=named).status_code == 401


def test_start_with_a_file_that_cannot_be_used_fails_in_words(tmp_path: Path) -> None:
    with node_in(tmp_path / "data", IDNODE_TLS_CERTIFICATE=str(tmp_path / "none.pem")) as process:
        process.data_dir.mkdir()
        checked = process.run("check")
        served = process.run("serve")

    assert "FAIL  TLS" in checked.stdout
    assert "none.pem cannot be read" in checked.stdout
    assert served.returncode == 2
    assert "none.pem cannot be read" in served.stderr


def test_check_tells_a_certificate_that_is_over(tmp_path: Path) -> None:
    old = tmp_path / "old.pem"
    ensure_server_certificate(old, (), datetime.now(UTC) - timedelta(days=400))
    with node_in(tmp_path / "data", IDNODE_TLS_CERTIFICATE=str(old)) as process:
        checked = process.run("check")

    assert "is over; renew it" in checked.stdout
    assert checked.returncode == 1
