"""`idnode record` from outside, against the admin application over a real database: words, forms, exit codes."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from node.cli import main
from node.store.database import Database
from tests.support.cutting import cut, cutting, saying
from tests.support.office import (
    ADMIN_NAME,
    ADMIN_SECRET,
    OPERATOR,
    OTHER_NAME,
    OTHER_SECRET,
    open_office,
)
from tests.support.web import serving

pytestmark = pytest.mark.db

NAME = "88.1/pump-1"


class Line:
    """A command line against one server, as the operator unless it says otherwise."""

    def __init__(self, url: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.url = url
        self.folder = folder
        self._capsys = capsys
        self.operator = ("--token-file", self.file("token", OPERATOR))

    def file(self, name: str, text: str, mode: int = 0o600) -> str:
        """Write a file, and return its path."""
        path = self.folder / name
        path.write_text(text, "utf-8")
        path.chmod(mode)
        return str(path)

    async def type(self, *words: str, login: tuple[str, ...] | None = None) -> tuple[int, str, str]:
        """Return exit code, output and complaints."""
        way = ("--server", self.url, *(self.operator if login is None else login))
        code = await asyncio.to_thread(main, ["record", *words, *way])
        said = self._capsys.readouterr()
        return code, said.out, said.err

    async def done(self, *words: str, login: tuple[str, ...] | None = None) -> str:
        """Return the output of a command that must succeed without a complaint."""
        code, out, err = await self.type(*words, login=login)
        assert (code, err) == (0, "")
        return out


@pytest.fixture
async def line(
    database: Database, database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> AsyncIterator[Line]:
    async with open_office(database, database_url) as office, serving(office.app) as (host, port):
        yield Line(f"http://{host}:{port}", tmp_path, capsys)


async def test_life_of_a_record(line: Line) -> None:
    put = await line.done("put", NAME, "--value", "1:URL=https://e.org/1", "--value", "2:NOTE=a=b")
    again = await line.done("put", NAME, "--value", "1:URL=https://e.org/2", "--reason", "moved")
    added = await line.done("add", NAME, "--value", "2:NOTE=two")
    changed = await line.done("modify", NAME, "--value", "2:NOTE=2", "--if-version", "3")
    removed = await line.done("remove", NAME, "--index", "2")
    deleted = await line.done("delete", NAME, "--reason", "sold")
    back = await line.done("revert", NAME, "1", "--reason", "bought back")

    assert [put, again, added, changed, removed, deleted, back] == [
        f"created {NAME}, version 1\n",
        f"replaced {NAME}, version 2\n",
        f"values added to {NAME}, version 3\n",
        f"values changed in {NAME}, version 4\n",
        f"values removed from {NAME}, version 5\n",
        f"deleted {NAME}, version 6\n",
        f"reverted to version 1: {NAME}, version 7\n",
    ]
    shown = await line.done("get", NAME)
    assert f"{NAME}, version 7" in shown
    assert "https://e.org/1" in shown
    assert "a=b" in shown
    history = await line.done("history", NAME)
    for word in ("revert", "bought back", "delete", "sold", "moved", "0:0.NA/ROOT", "operator"):
        assert word in history


async def test_json_is_for_programs(line: Line) -> None:
    written = json.loads(await line.done("put", NAME, "--value", "1:URL=u", "--output", "json"))
    shown = json.loads(await line.done("get", NAME, "--output", "json"))
    history = json.loads(await line.done("history", NAME, "--output", "json"))
    names = json.loads(await line.done("list", "88.1", "--output", "json"))

    assert written == {"handle": NAME, "version": 1, "created": True, "replayed": False}
    assert (shown["handle"], shown["version"]) == (NAME, 1)
    assert shown["values"][0]["data"] == {"format": "string", "value": "u"}
    assert [each["operation"] for each in history["revisions"]] == ["create"]
    assert history["revisions"][0]["values"] == shown["values"]
    assert names == {"handles": [NAME], "after": ""}


async def test_csv_holds_no_formula_and_can_be_loaded_again(line: Line) -> None:
    formula = "=cmd|'/c calc'!A1"
    await line.done("put", NAME, "--value", f"1:NOTE={formula}", "--reason", "+1")

    shown = await line.done("get", NAME, "--output", "csv")
    history = await line.done("history", NAME, "--output", "csv")

    head, row = csv.reader(io.StringIO(shown))
    assert head == ["handle", "index", "type", "data", "ttl", "permissions"]
    assert row == [NAME, "1", "NOTE", f"'{formula}", "86400", ""]
    assert "'+1" in next(iter(list(csv.reader(io.StringIO(history)))[1:]))


async def test_what_a_record_holds_cannot_steer_a_terminal(line: Line) -> None:
    await line.done("put", NAME, "--value", "1:NOTE=\x1b[2Jx\u202e", "--reason", "[bold]x[/bold]")

    shown = await line.done("get", NAME) + await line.done("history", NAME)

    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "[bold]" in shown


async def test_values_come_from_a_file(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    values = [{"index": 3, "type": "URL", "data": "u", "ttl": 60}]
    for name, content in (
        ("list", values),
        ("record", {"handle": NAME, "values": values}),
        ("value", values[0]),
    ):
        file = line.file(f"{name}.json", json.dumps(content))
        await line.done("put", NAME, "--file", file)
        shown = json.loads(await line.done("get", NAME, "--output", "json"))
        assert [(value["index"], value["ttl"]) for value in shown["values"]] == [(3, 60)]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(json.dumps(values).encode())))
    await line.done("put", f"{NAME}-2", "--file", "-")


async def test_other_schemes_and_minted_names(line: Line) -> None:
    value = ("--value", "1:URL=u")
    assert "oid:1.2.156.1000.7" in await line.done("put", "oid:1.2.156.1000.7", *value)
    assert "(01)09506000134352" in await line.done("put", "(01)09506000134352", *value)
    await line.done("get", "1.2.156.1000.7", "--scheme", "oid")
    for start in ("88.1", "88.1/", "88.1/pump-"):
        made = await line.done("put", start, "--mint", *value)
        assert made.startswith("created 88.1/")
        assert len(made) > 40


async def test_list_goes_on_where_it_ended(line: Line) -> None:
    for name in "abc":
        await line.done("put", f"88.1/{name}", "--value", "1:URL=u")

    code, out, err = await line.type("list", "88.1", "--limit", "2")
    after = err.rpartition("--after ")[2].strip()
    rest = await line.done("list", "88.1", "--after", after)

    assert (code, out, rest) == (0, "88.1/a\n88.1/b\n", "88.1/c\n")


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["get", "88.1/none"], 3, "there is no such record"),
        (["get", "99.9/x"], 3, "not served there"),
        (["get", "nonsense"], 2, "no identifier scheme"),
        (["delete", "88.1/none"], 3, "there is no such record"),
        (["remove", NAME, "--index", "9"], 3, "no value with such an index"),
        (["remove", NAME, "--index", "-1"], 2, "--index"),
        (["modify", NAME, "--value", "9:URL=u"], 3, "no value with such an index"),
        (["add", NAME, "--value", "1:URL=u"], 4, "a value with such an index already"),
        (["put", NAME, "--value", "1:URL=u", "--create-only"], 4, "such a record already"),
        (["delete", NAME, "--if-version", "9"], 4, "is at version 1"),
        (["revert", NAME, "9"], 3, "version 9"),
        (["put", NAME, "--value", "URL=u"], 2, "INDEX:TYPE=DATA"),
        (["put", NAME, "--value", "300:HS_SECKEY=x"], 2, "can be seen by others"),
        (["put", NAME, "--value", "100:HS_ADMIN=x"], 2, "--file"),
        (["put", NAME, "--file", "/nowhere"], 2, "/nowhere"),
        (["put", NAME, "--value", "1:URL=\udcff"], 2, "surrogate"),
        (["get", "88.1/\udcff"], 2, "UTF-8"),
        (["list", "88.1\udcff"], 2, "UTF-8"),
        (["delete", NAME, "--reason", "\udcff"], 2, "cannot be sent"),
        (["delete", NAME, "--idempotency-key", "a b"], 2, "Idempotency-Key"),
        (["list", "9/9"], 2, "prefix"),
        (["put", NAME, "--value", "1:URL=u", "--reason", "x" * 2_000], 2, "reason"),
    ],
)
async def test_refusal_has_its_code_and_a_sentence(
    line: Line, words: list[str], code: int, sentence: str
) -> None:
    await line.done("put", NAME, "--value", "1:URL=u")

    ended, out, err = await line.type(*words)

    assert (ended, out) == (code, "")
    assert sentence in err
    assert "Traceback" not in err


async def test_who_asks_is_said_by_options(line: Line) -> None:
    secret = line.file("secret", f"{ADMIN_SECRET}\n")
    admin = ("--as", ADMIN_NAME, "--secret-file", secret)
    other = ("--as", OTHER_NAME, "--secret-file", line.file("other", OTHER_SECRET))
    wrong = ("--as", ADMIN_NAME, "--secret-file", line.file("wrong", "x"))
    put = ("put", NAME, "--value", "1:URL=u")

    assert "created" in await line.done(*put, login=admin)
    for login, sentence in (((), "log in: --as"), (other, "no administrator"), (wrong, "login")):
        code, _, err = await line.type("delete", NAME, login=login)
        assert code == 5
        assert sentence in err
    assert (await line.type("get", NAME, login=()))[0] == 0


async def test_who_creates_a_record_can_keep_it(line: Line) -> None:
    admin = ("--as", ADMIN_NAME, "--secret-file", line.file("secret", ADMIN_SECRET))
    put = ("put", NAME, "--value", "100:NOTE=taken", "--admin")

    await line.done(*put, ADMIN_NAME, login=admin)
    shown = json.loads(await line.done("get", NAME, "--output", "json"))
    bad = await line.type(*put, "nobody", login=admin)

    assert shown["values"][1]["data"]["value"] == {
        "handle": "88.1/ADMIN",
        "index": 300,
        "permissions": "1" * 12,
    }
    assert (shown["values"][1]["index"], bad[0], "--admin" in bad[2]) == (101, 2, True)
    assert "deleted" in await line.done("delete", NAME, login=admin)


async def test_secret_that_others_can_read_is_pointed_out(line: Line) -> None:
    shared = line.file("shared", ADMIN_SECRET, 0o644)

    code, _, err = await line.type(
        *("put", NAME, "--value", "1:URL=u"), login=("--as", ADMIN_NAME, "--secret-file", shared)
    )

    assert code == 0
    assert f"other accounts can read {shared}" in err


@pytest.mark.parametrize(
    ("login", "code", "sentence"),
    [
        (["--as", "300:88.1/A"], 2, "belong together"),
        (["--as", "x", "--secret-file", "FILE"], 2, "index:handle"),
        (["--token-file", "FILE", "--certificate", "FILE"], 2, "exclude each other"),
        (["--certificate-key", "FILE"], 2, "--certificate"),
        (["--token-file", "/nowhere"], 2, "/nowhere"),
        (["--token-file", "EMPTY"], 2, "empty"),
        (["--token-file", "LINES"], 2, "one word"),
        (["--server", "http://192.0.2.7", "--token-file", "FILE"], 5, "--allow-cleartext"),
        (["--server", "ftp://x"], 2, "https://"),
        (["--server", "https://127.0.0.1", "--ca-file", "FILE"], 2, "PEM"),
    ],
)
async def test_options_that_cannot_be_meant_are_refused(
    login: list[str],
    code: int,
    sentence: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = {name: tmp_path / name for name in ("FILE", "EMPTY", "LINES")}
    files["LINES"].write_text("geheim\r\nX-Forged: 1\n")
    files["FILE"].write_text("x")
    files["EMPTY"].write_text("\n")
    words = [str(files.get(word, word)) for word in login]
    server = [] if "--server" in words else ["--server", "http://127.0.0.1:1"]

    assert await asyncio.to_thread(main, ["record", "get", NAME, *server, *words]) == code
    said = capsys.readouterr().err
    assert sentence in said
    assert "geheim" not in said


async def test_lost_answer_says_how_to_find_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = saying(201, '{"responseCode":1,"handle":"88.1/x"}', Idempotent_Replayed="true")
    async with cutting(cut, cut, cut, cut, cut, done) as server:
        words = ["record", "put", "88.1/x", "--value", "1:URL=u", "--server", server.url]
        code = await asyncio.to_thread(main, words)
        err = capsys.readouterr().err
        key = err.partition("--idempotency-key ")[2].split(" ")[0]
        again = await asyncio.to_thread(main, [*words, "--idempotency-key", key])

    assert (code, again) == (7, 0)
    assert {each.key for each in server.arrived} == {key}
    assert "as was said before" in capsys.readouterr().out


async def test_without_a_node_here_a_server_must_be_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDNODE_DATA_DIR", str(tmp_path / "none"))

    assert await asyncio.to_thread(main, ["record", "get", NAME]) == 7
    assert "--server" in capsys.readouterr().err
