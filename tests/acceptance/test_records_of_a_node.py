"""Records of a whole node, written by its own command line and by the client, over the listeners it really has."""

import json
import re
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from node.config import Settings
from resolver.client import (
    Basic,
    Certificate,
    Client,
    ConditionFailed,
    Conflict,
    Forbidden,
    LoginFailed,
    LoginNeeded,
    NotFound,
    NotOffered,
    Terms,
    Token,
)
from resolver.registrar import MUST_EXIST
from resolver.wire import HandleValue
from tests.support.nodes import NodeProcess, eventually, node_in

NAME, SECRET = "300:21.T1/ADMIN", "geheim"
URL, NOTE = HandleValue(1, b"URL", b"https://e.org/1"), HandleValue(2, b"NOTE", b"two")
HIDDEN = HandleValue(3, b"NOTE", b"three", permissions=12)
SEEN_SECONDS = 2.0


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[NodeProcess, Settings]]:
    directory = tmp_path_factory.mktemp("records")
    with node_in(
        directory / "data", IDNODE_WORKERS="2", IDNODE_TLS_CERTIFICATE="self-signed"
    ) as process:
        settings = process.start()
        key = process.run("key", "make", "rsa", "--file", "admin.pem", "--value-file", "value.json")
        assert key.returncode == 0, key.stderr
        public_key = json.loads((directory / "value.json").read_text())
        load(process, directory / "mine.ndjson", public_key)
        yield process, settings
        assert process.stop() == 0


def load(process: NodeProcess, file: Path, public_key: dict[str, object]) -> None:
    """Home a prefix, and give its administrator a secret and a public key."""
    admin = {"handle": "21.T1/ADMIN", "index": 0, "permissions": "111111111111"}
    owner = {"index": 100, "type": "HS_ADMIN", "data": {"format": "admin", "value": admin}}
    secret = {"index": 300, "type": "HS_SECKEY", "data": SECRET, "permissions": "1100"}
    keys = [secret, {**public_key, "index": 301}]
    records = [
        {"handle": "0.NA/21.T1", "values": [owner]},
        {"handle": "21.T1/ADMIN", "values": [owner, *keys]},
        {"handle": "21.T1/OTHERS", "values": [secret]},
    ]
    file.write_text("\n".join(json.dumps(each) for each in records))
    loaded = process.run("load", str(file))
    assert loaded.returncode == 0, loaded.stdout + loaded.stderr


def url_of(settings: Settings, listener: str) -> str:
    if listener == "admin":
        return f"http://{settings.admin_listen[0]}"
    return f"https://{settings.http_listen[0]}"


@pytest_asyncio.fixture(params=["public", "admin"])
async def client(
    running: tuple[NodeProcess, Settings], request: pytest.FixtureRequest
) -> AsyncIterator[Client]:
    """The administrator of the prefix, at either listener."""
    process, settings = running
    async with Client(
        url_of(settings, request.param), Basic(NAME, SECRET), ca_file=authority(process)
    ) as made:
        yield made


def authority(process: NodeProcess) -> Path:
    return process.data_dir / "self-signed.pem"


async def test_words_mean_the_same_at_both_listeners(
    client: Client, request: pytest.FixtureRequest
) -> None:
    name = f"21.T1/{request.node.name}"
    owner = (await client.get("21.T1/ADMIN")).values[0]

    created = await client.put(name, (URL, HIDDEN, owner), overwrite=False)
    with pytest.raises(Conflict):
        await client.put(name, (URL,), overwrite=False)
    added = await client.add(name, (NOTE,), Terms(if_version=created.version))
    with pytest.raises(Conflict):
        await client.add(name, (NOTE,))
    with pytest.raises(ConditionFailed) as stale:
        await client.delete(name, Terms(if_version=created.version))
    modified = await client.modify(name, (HandleValue(2, b"NOTE", b"2"),), Terms(MUST_EXIST))
    with pytest.raises(NotFound):
        await client.modify(name, (HandleValue(9, b"NOTE", b"9"),))
    shown = await client.get(name)
    removed = await client.remove(name, (2, 3))
    with pytest.raises(NotFound):
        await client.remove(name, (2,))
    names = (await client.list("21.T1")).names
    deleted = await client.delete(name, Terms(reason="sold"))
    with pytest.raises(NotFound):
        await client.get(name)

    assert [created.version, added.version, modified.version, removed.version] == [1, 2, 3, 4]
    assert (created.created, modified.created, stale.value.version) == (True, False, 2)
    assert (shown.handle, shown.version) == (name, 3)
    assert [(value.index, value.data) for value in shown.values[:3]] == [
        (1, b"https://e.org/1"),
        (2, b"2"),
        (3, b"three"),
    ]
    assert name in names
    assert deleted.version in (0, 5)
    assert (await client.put("21.T1", (URL,), mint=True)).handle.startswith("21.T1/")


async def test_who_may_not_is_told_why_at_both_listeners(
    running: tuple[NodeProcess, Settings],
) -> None:
    process, settings = running
    for listener in ("public", "admin"):
        for credentials, kind in (
            (None, LoginNeeded),
            (Basic(NAME, "wrong"), LoginFailed),
            (Token("idnt_wrong"), LoginFailed),
        ):
            async with Client(
                url_of(settings, listener), credentials, ca_file=authority(process)
            ) as client:
                with pytest.raises(kind):
                    await client.delete("21.T1/ADMIN")
        async with Client(
            url_of(settings, listener), Basic(NAME, SECRET), ca_file=authority(process)
        ) as admin:
            with pytest.raises(Forbidden):
                await admin.delete("21.T1/OTHERS")
            with pytest.raises(NotFound):
                await admin.put("99.9/x", ())


async def test_certificate_of_the_nodes_authority_is_a_login(
    running: tuple[NodeProcess, Settings],
) -> None:
    process, settings = running
    made = process.run(
        "key", "certificate", "301:21.T1/ADMIN", "--key", "admin.pem", "--file", "admin.crt"
    )
    assert made.returncode == 0, made.stderr
    folder = process.data_dir.parent
    certificate = Certificate(folder / "admin.crt", folder / "admin.pem")

    async with Client(
        url_of(settings, "public"), certificate, ca_file=authority(process)
    ) as client:
        written = await client.put("21.T1/by-certificate", (URL,))

    assert written.created
    assert "301:21.T1/ADMIN" in process.run("record", "history", "21.T1/by-certificate").stdout


async def test_history_is_on_the_admin_listener(running: tuple[NodeProcess, Settings]) -> None:
    process, settings = running
    async with Client(
        url_of(settings, "public"), Basic(NAME, SECRET), ca_file=authority(process)
    ) as client:
        with pytest.raises(NotOffered):
            await client.history("21.T1/ADMIN")
        with pytest.raises(NotOffered):
            await client.revert("21.T1/ADMIN", 1)


def test_command_on_the_nodes_machine_needs_no_login(
    running: tuple[NodeProcess, Settings],
) -> None:
    process, settings = running
    public, name = url_of(settings, "public"), "21.T1/own"

    trusted = ssl.create_default_context(cafile=authority(process))

    def ask(path: str) -> httpx.Response:
        return httpx.get(f"{public}{path}", trust_env=False, verify=trusted)

    assert process.run("record", "put", name, "--value", "1:NOTE=x").stdout.startswith("created")
    assert ask(f"/api/handles/{name}").json()["values"][0]["data"]["value"] == "x"
    deleted = process.run("record", "delete", name, "--reason", "sold")
    assert deleted.returncode == 0, deleted.stderr
    eventually(lambda: ask(f"/v1/resolve/{name}").status_code == 410, SEEN_SECONDS)
    eventually(lambda: ask(f"/{name}").status_code == 410, SEEN_SECONDS)
    assert "sold" in ask(f"/{name}").text
    assert ask(f"/api/handles/{name}").json() == {"responseCode": 100, "handle": name}
    gone = process.run("record", "get", name)
    assert (gone.returncode, "because: sold" in gone.stderr) == (3, True)
    assert "version 3" in process.run("record", "revert", name, "1").stdout
    eventually(lambda: ask(f"/api/handles/{name}").status_code == 200, SEEN_SECONDS)


def test_command_logs_in_at_a_server_elsewhere(running: tuple[NodeProcess, Settings]) -> None:
    process, settings = running
    secret = process.data_dir.with_name("secret.txt")
    secret.write_text(SECRET)
    secret.chmod(0o600)
    way = ["--server", url_of(settings, "public"), "--as", NAME, "--secret-file", str(secret)]

    untrusted = process.run("record", "put", "21.T1/far", "--value", "1:NOTE=x", *way)
    way += ["--ca-file", str(authority(process))]
    put = process.run("record", "put", "21.T1/far", "--value", "1:NOTE=x", *way)
    history = process.run("record", "history", "21.T1/far", *way)

    assert (untrusted.returncode, "CERTIFICATE" in untrusted.stderr) == (7, True)
    assert "--idempotency-key" not in untrusted.stderr
    assert (put.returncode, put.stderr) == (0, "")
    assert (history.returncode, "admin listener" in history.stderr) == (2, True)
    assert not re.search(SECRET, put.stdout + untrusted.stderr + history.stderr + process.said())


def test_program_in_the_documents_runs(running: tuple[NodeProcess, Settings]) -> None:
    process, settings = running
    page = Path(__file__).resolve().parents[2] / "docs" / "reference" / "client.md"
    program = page.read_text("utf-8").partition("```python\n")[2].partition("```")[0]
    way = f"'{url_of(settings, 'public')}', who, ca_file='{authority(process)}'"
    for told, true in (
        ('"https://id.example.cn", who', way),
        ("88.118.8", "21.T1"),
        ("the secret key", SECRET),
    ):
        assert told in program
        program = program.replace(told, true)

    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert (ended.returncode, ended.stderr) == (0, "")
    assert "sold" in process.run("record", "history", "21.T1/pump-1").stdout
