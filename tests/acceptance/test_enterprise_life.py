"""The life of an enterprise and its prefix on a whole node, from the command line, until it resolves and is stopped.

The top-level node's part is played by the test, in the node's own database; the way there is tried elsewhere.
"""

import asyncio
import csv
import io
import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from node.cli import main
from node.config import Settings
from node.model.entity import Entity
from node.model.form import read
from node.model.operator import Operator
from node.model.personal import personal_texts
from node.model.role import Role
from node.model.stage import PrefixAction
from node.registry.objects import Actor, Objects
from node.sealing import load_seal
from node.store.database import Database
from node.store.synced import SyncedRows
from node.store.writing import SESSION
from node.web.examples import example
from tests.support.nodes import NodeProcess, eventually, node_in
from tests.support.objects import credit_code

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
UPSTREAM = Actor(frozenset({Role.TOP_LEVEL, Role.SYSTEM}), "88", "epp", "test")
SEEN_SECONDS = 5.0
PERSONAL = {
    *personal_texts(read(Entity, example("enterprise"))),
    *personal_texts(read(Operator, example("operator"))),
}


class Line:
    """The command line against one node, as its operator; all that it prints is kept."""

    def __init__(self, process: NodeProcess, settings: Settings) -> None:
        self.process, self.settings = process, settings
        self.url = f"http://{settings.admin_listen[0]}"
        self.token_file = settings.data_dir / "operator-token"
        self.said: list[str] = []

    def type(self, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
        """Return exit code, output and complaints."""
        way = ("--server", self.url, "--token-file", str(self.token_file))
        code = main([*words, *way])
        out, err = capsys.readouterr()
        if "--personal" not in words:
            self.said.append(out + err)
        return code, out, err

    def done(self, capsys: pytest.CaptureFixture[str], *words: str) -> str:
        """Return the output of a command that must succeed."""
        code, out, err = self.type(capsys, *words)
        assert (code, err) == (0, ""), words
        return out

    def grant(self, prefix: str) -> None:
        """Have the top-level node grant a prefix."""
        asyncio.run(_grant(self.settings, prefix))


async def _grant(settings: Settings, prefix: str) -> None:
    seal = load_seal(settings)

    async def nobody(_changes: Iterable[tuple[bytes, int]]) -> None:
        """The workers read the feed."""

    async with Database(settings.database_url, settings=SESSION) as database:
        objects = Objects(
            database,
            seal,
            SyncedRows(seal),
            secondary=settings.node_prefix,
            here=(),
            clock=time.time,
            unique=uuid4,
            on_written=nobody,
        )
        await objects.step_prefix(prefix, PrefixAction.GRANT, UPSTREAM)


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    directory = tmp_path_factory.mktemp("enterprises")
    with node_in(directory / "data") as process:
        yield Line(process, process.start())
        assert process.stop() == 0


@pytest.fixture(scope="module")
def admitted(line: Line) -> Line:
    """The same, with an approved enterprise `e2`."""
    form = json.loads(json.dumps(example("enterprise")))
    form["organisation"]["certificate_number"] = credit_code(2)
    headers = {"Authorization": f"Bearer {line.token_file.read_text('ascii').strip()}"}
    with httpx.Client(base_url=line.url, headers=headers, trust_env=False) as client:
        replies = [
            client.post("/v1/enterprises?id=e2", json=form),
            client.put("/v1/enterprises/e2/verification", json=example("verification")),
            client.post("/v1/enterprises/e2/steps", json={"action": "begin_review"}),
            client.post("/v1/enterprises/e2/steps", json={"action": "approve"}),
        ]
    assert [each.status_code for each in replies] == [201, 200, 200, 200]
    return line


def file(name: str) -> str:
    return str(EXAMPLES / f"{name}.json")


def test_an_enterprise_applies_is_refused_corrected_and_approved(
    line: Line, capsys: pytest.CaptureFixture[str]
) -> None:
    applied = line.done(capsys, "enterprise", "apply", file("enterprise"), "--id", "e1")
    early = line.type(capsys, "enterprise", "approve", "e1")
    line.done(capsys, "enterprise", "begin-review", "e1")
    silent = line.type(capsys, "enterprise", "reject", "e1")
    line.done(capsys, "enterprise", "reject", "e1", "--reason", "营业执照不清晰")
    line.done(capsys, "enterprise", "correct", "e1", file("enterprise"))
    line.done(capsys, "enterprise", "verify", "e1", file("verification"))
    late = line.type(capsys, "enterprise", "begin-review", "e1", "--if-version", "1")
    line.done(capsys, "enterprise", "begin-review", "e1")
    approved = line.done(capsys, "enterprise", "approve", "e1")
    listed = line.done(capsys, "enterprise", "list", "--state", "approved", "--output", "csv")
    history = line.done(capsys, "enterprise", "history", "e1")

    assert (
        applied == "enterprise e1 is submitted, version 1; next: correct, begin-review, disable\n"
    )
    assert (early[0], silent[0], late[0]) == (4, 2, 4)
    assert "(enterprise.approve)" in early[2]
    assert "reason: give a reason" in silent[2]
    assert "(needs_reason)" in silent[2]
    assert "approved" in approved
    assert [row[:5] for row in csv.reader(io.StringIO(listed))][1] == [
        *("e1", "approved", "潍坊示例轴承有限公司", "91370705MA0000016P", "李*")
    ]
    assert "营业执照不清晰" in history


def test_its_prefix_resolves_from_activation_to_stop(
    admitted: Line, capsys: pytest.CaptureFixture[str]
) -> None:
    line = admitted
    native = str(line.settings.native_listen[0])
    name = "88.118.8/pump-1"

    def resolve() -> int:
        code = main(["resolve", name, "--over", "udp", "--server", native, "--auth"])
        capsys.readouterr()
        return code

    line.done(capsys, "prefix", "apply", "88.118.8", "e2")
    line.done(capsys, "prefix", "begin-review", "88.118.8")
    line.done(capsys, "prefix", "approve", "88.118.8")
    early = line.type(capsys, "prefix", "activate", "88.118.8")
    line.grant("88.118.8")
    line.done(capsys, "prefix", "hosting", "88.118.8", "apply")
    line.done(capsys, "prefix", "hosting", "88.118.8", "approve", "--host", "main")
    unheard = line.type(capsys, "record", "put", name, "--value", "1:URL=https://e.org/1")
    line.done(capsys, "prefix", "activate", "88.118.8")
    put = ("record", "put", name, "--value", "1:URL=https://e.org/1")
    eventually(lambda: line.type(capsys, *put)[0] == 0, SEEN_SECONDS)
    eventually(lambda: resolve() == 0, SEEN_SECONDS)
    line.done(capsys, "prefix", "stop", "88.118.8", "--reason", "企业申请暂停")
    eventually(lambda: resolve() == 3, SEEN_SECONDS)
    line.done(capsys, "prefix", "activate", "88.118.8")
    eventually(lambda: resolve() == 0, SEEN_SECONDS)
    line.done(capsys, "enterprise", "disable", "e2", "--reason", "注销")
    eventually(lambda: resolve() == 3, SEEN_SECONDS)
    shown = line.done(capsys, "prefix", "show", "88.118.8", "--output", "json")

    assert early[0] == 4
    assert "(prefix.activate)" in early[2]
    assert unheard[0] == 3
    assert (json.loads(shown)["state"], json.loads(shown)["hosting"]) == ("active", 4)


def test_templates_applications_and_the_operator_are_kept(
    admitted: Line, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    line = admitted
    template = ("88.118.8/META_BEARING", "1.0")
    line.done(capsys, "template", "create", file("template"), "--enterprise", "e2")
    line.done(capsys, "template", "publish", *template)
    same = line.done(capsys, "template", "change", *template, file("template"))
    shown = line.done(capsys, "template", "show", *template)
    line.done(capsys, "application", "register", file("application"), "--enterprise", "e2")
    line.done(capsys, "application", "retire", "轴承追溯", "--enterprise", "e2")
    retired = line.done(capsys, "application", "list", "--state", "retired")
    line.done(capsys, "operator", "put", file("operator"))
    operator = line.done(capsys, "operator", "show")
    routes = line.done(capsys, "operator", "put-routes", file("routes"))
    missing = line.type(capsys, "template", "show", "88.118.8/META_OTHER", "1.0")
    wrong = line.type(capsys, "operator", "put", file("enterprise"))
    nothing = line.type(capsys, "operator", "put", str(tmp_path / "none.json"))

    assert "published, version 2" in same  # nothing is changed, so that it is no step
    assert "内径" in shown
    assert "轴承追溯" in retired
    assert "潍坊示例标识科技有限公司" in operator
    assert "88.118" in routes
    assert (missing[0], wrong[0], nothing[0]) == (3, 2, 2)
    assert "rules are broken:" in wrong[2]
    assert "entity: this is required (required)" in wrong[2]
    assert "none.json cannot be read" in nothing[2]


def test_personal_data_is_in_no_log_and_no_series(
    admitted: Line, capsys: pytest.CaptureFixture[str]
) -> None:
    line = admitted
    line.type(capsys, "enterprise", "apply", file("sites"))
    code, whole, _ = line.type(capsys, "enterprise", "show", "e2", "--personal")
    metrics = httpx.get(f"{line.url}/metrics", trust_env=False).text
    logs = [path for path in (line.settings.data_dir / "log").rglob("*") if path.is_file()]
    kept = [line.process.said(), metrics, *line.said]
    kept += [path.read_text("utf-8", "replace") for path in logs]

    assert code == 0
    assert "李小红" in whole
    assert '"event": "personal data is read"' in line.process.said()
    assert [text for text in PERSONAL if any(text in each for each in kept)] == []
