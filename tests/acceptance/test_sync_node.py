"""A whole node in step with a top-level node: what its operator does and sees, from a write to the command line."""

import asyncio
import json
import signal
import urllib.request
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import pytest

from node.store.daycounts import SHANGHAI
from resolver.keys.signing import SigningKey, SigningKind
from sync.change import Place
from sync.testing import MemoryInbox
from tests.support.https_peer import HttpsPeer
from tests.support.nodes import NodeProcess, node_in
from tests.support.papers import Issuer
from tests.support.waiting import until

pytestmark = pytest.mark.slow

MASTER = Place("9", "88.118.8/PUMP-1")
LIMIT = 30.0


def rejects_changes(_place: Place, body: bytes | None) -> str:
    return "not before it is reviewed" if b'"operation":3' in (body or b"") else ""


class Operated:
    """A node and its peer, and the words of `idnode`."""

    def __init__(self, process: NodeProcess, peer: HttpsPeer) -> None:
        self.process = process
        self.peer = peer

    async def say(self, *words: str, code: int = 0) -> str:
        """Run `idnode …` and return what it prints."""
        told = await asyncio.to_thread(self.process.run, *words)
        assert told.returncode == code, told.stderr
        return told.stdout

    async def until_said(self, wanted: str, *words: str) -> None:
        """Return once `idnode …` prints this."""
        async with asyncio.timeout(LIMIT):
            while wanted not in await self.say(*words):  # noqa: ASYNC110  it is asked each time
                await asyncio.sleep(0.1)

    async def status(self) -> dict[str, object]:
        """What `idnode sync status` says."""
        found: dict[str, object] = json.loads(await self.say("sync", "status", "--output", "json"))
        return found

    async def metrics(self) -> str:
        """All series."""
        address = self.process.settings().admin_listen[0]
        url = f"http://{address}/metrics"

        def read() -> str:
            with urllib.request.urlopen(url, timeout=10) as answer:
                text: bytes = answer.read()
            return text.decode()

        return await asyncio.to_thread(read)

    async def until_status(self, **wanted: object) -> dict[str, object]:
        """Return the status once it says this."""
        async with asyncio.timeout(LIMIT):
            while True:
                found = await self.status()
                if all(found[name] == value for name, value in wanted.items()):
                    return found
                await asyncio.sleep(0.2)


@pytest.fixture
def open_path(tmp_path: Path) -> Path:
    """A directory through which the embedded servers' account may go."""
    tmp_path.chmod(0o711)
    return tmp_path


@pytest.fixture
async def operated(open_path: Path) -> AsyncIterator[Operated]:
    issuer, data = Issuer.make(open_path), open_path / "data"
    key = SigningKey.make(SigningKind.ED25519)
    (open_path / "sync.pem").write_bytes(key.pem)
    peer = HttpsPeer({key.key_id: key.public}, inbox=MemoryInbox(rejects_changes))
    async with peer.serving(issuer.issue_server("peer"), issuer.path):
        settings = {
            "IDNODE_SYNC_URL": peer.url,
            "IDNODE_SYNC_CERTIFICATE": str(issuer.issue_client("node")),
            "IDNODE_SYNC_AUTHORITY": str(issuer.path),
            "IDNODE_SYNC_SIGNING_KEY": str(open_path / "sync.pem"),
        }
        with node_in(data, **settings) as process:
            await asyncio.to_thread(process.start)
            yield Operated(process, peer)


async def test_record_is_in_step_and_a_rejected_one_is_seen_and_sent_again(
    operated: Operated,
) -> None:
    peer, data = operated.peer, operated.process.data_dir
    record = data.parent / "records.ndjson"
    record.write_text(
        '{"handle": "0.NA/88.118.8", "values": []}\n'
        '{"handle": "88.118.8/pump-1", "values": [{"index": 1, "type": "URL", "data": "https://a.example/"}]}\n'
    )
    await operated.say("load", str(record))
    await until(lambda: MASTER in peer.inbox.held, LIMIT)

    await operated.say("record", "add", "88.118.8/pump-1", "--value", "2:DESC=new")
    await until(lambda: MASTER in peer.inbox.rejections(), LIMIT)
    await operated.until_said("not before it is reviewed", "sync", "rejected")
    assert 'idnode_sync_rejected{table="9"} 1.0' in await until_metrics(operated, "rejected")

    peer.inbox.judge = lambda _place, _body: ""
    assert "1 rows are sent" in await operated.say("sync", "retry", "--table", "9")
    await until(lambda: MASTER not in peer.inbox.rejections(), LIMIT)
    status = await operated.until_status(state="sending", complete=True)
    assert status["node_prefix"] == "88.118"
    assert status["peer"] == peer.url
    await operated.say("sync", "verify")
    session = (await operated.say("sync", "snapshot")).split()[1]
    await until(lambda: peer.inbox.stands.session == session, LIMIT)
    assert await asyncio.to_thread(operated.process.stop) == 0


async def test_a_killed_node_tells_of_it_when_it_runs_again(operated: Operated) -> None:
    process, peer = operated.process, operated.peer
    notebook = process.data_dir / "monitoring.json"
    await until(notebook.exists, LIMIT)
    assert process.process is not None
    process.process.kill()  # the supervisor; all others then end by themselves
    await until(lambda: not process.processes(), LIMIT)
    assert process.process.wait() == -signal.SIGKILL
    await asyncio.to_thread(process.start)

    def told() -> list[dict[str, str]]:
        """The event and its end; a busy machine may have others."""
        held = peer.inbox.held.items()
        events = [json.loads(each.body or b"") for place, each in held if place.table == "E"]
        begun = [each for each in events if "had not been stopped in order" in each["cause"]]
        return begun + [
            each for each in events if begun and each.get("answers") == begun[0]["event"]
        ]

    await until(lambda: len(told()) == 2, LIMIT)
    abnormal, recovered = told()
    assert (abnormal["type"], recovered["type"]) == ("abnormal", "recovered")
    assert "idnode_registration_seconds_count" in await operated.metrics()
    there = datetime.fromisoformat(recovered["at"]).astimezone(SHANGHAI)
    words = ("sync", "report", "--month", f"{there:%Y-%m}")
    report = json.loads(await operated.say(*words, "--output", "json"))
    cures = {each["event"]: each["cure"] for each in report["emergencies"]}
    assert cures[abnormal["event"]] == recovered["cause"]
    assert abnormal["cause"][:20] in await operated.say(*words)
    await operated.say("sync", "report", "--month", "2026-13", code=2)

    assert await asyncio.to_thread(process.stop) == 0
    assert json.loads(notebook.read_bytes())["stopped"]


async def until_metrics(operated: Operated, name: str) -> str:
    """Return the series of the sync once this one of 表9 is not zero."""
    async with asyncio.timeout(LIMIT):
        while True:
            text = await operated.metrics()
            if f'idnode_sync_{name}{{table="9"}} 0.0' not in text:
                return text
            await asyncio.sleep(0.1)
