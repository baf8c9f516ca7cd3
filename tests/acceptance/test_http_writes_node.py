"""Writing to a whole node over HTTP: what only a database can promise, and what must never be seen again."""

import json
import tempfile
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from resolver.wire import MAX_HANDLE_BYTES, MAX_VALUES
from tests.support.nodes import NodeProcess, node_in

pytestmark = pytest.mark.slow

PREFIX = "88.118.8"
OLD = "2020-01-02T03:04:05Z"
ROOT = "/api/handles/"
SECRET = "never to be seen"


def value(index: int, kind: str, data: object, **more: object) -> dict[str, object]:
    return {"index": index, "type": kind, "data": data, **more}


def admin(name: str, permissions: str = "111111111111") -> dict[str, object]:
    data = {"handle": f"{PREFIX}/{name}", "index": 300, "permissions": permissions}
    return value(100, "HS_ADMIN", {"format": "admin", "value": data})


def key(secret: str) -> dict[str, object]:
    return value(300, "HS_SECKEY", secret, permissions="1100")


RECORDS = {
    f"0.NA/{PREFIX}": [admin("ADMIN")],
    f"{PREFIX}/ADMIN": [value(1, "DESC", "x"), key(SECRET)],
    f"{PREFIX}/SECOND": [value(1, "DESC", "x"), key("second")],
    f"{PREFIX}/old": [
        value(1, "URL", "https://example.org/1", timestamp=OLD),
        value(2, "EMAIL", "a@example.org", timestamp=OLD),
        admin("ADMIN") | {"timestamp": OLD},
    ],
}


@pytest.fixture(scope="module")
def node() -> Iterator[NodeProcess]:
    with tempfile.TemporaryDirectory(prefix="idnode-", dir="/tmp") as made:
        Path(made).chmod(0o755)
        admins = f"300:{PREFIX}/SECOND"
        with node_in(Path(made) / "data", IDNODE_SERVER_ADMINS=admins) as process:
            process.start()
            lines = [json.dumps({"handle": name, "values": RECORDS[name]}) for name in RECORDS]
            (Path(made) / "records.ndjson").write_text("\n".join(lines) + "\n", "utf-8")
            loaded = process.run("load", str(Path(made) / "records.ndjson"))
            assert loaded.returncode == 0, loaded.stderr
            yield process


def client_of(node: NodeProcess, name: str = "ADMIN", password: str = SECRET) -> httpx.Client:
    host, port = node.settings().http_listen[0]
    user = b64encode(f"300%3A{PREFIX}/{name}:{password}".encode()).decode()
    headers = {"Authorization": f"Basic {user}"} if name else {}
    return httpx.Client(base_url=f"http://{host}:{port}", headers=headers, trust_env=False)


@pytest.fixture
def client(node: NodeProcess) -> Iterator[httpx.Client]:
    with client_of(node) as found:
        yield found


@pytest.fixture
def stranger(node: NodeProcess) -> Iterator[httpx.Client]:
    with client_of(node, "") as found:
        yield found


def put(
    client: httpx.Client, name: str, values: object, query: str = "", **headers: str
) -> httpx.Response:
    named = {header.replace("_", "-"): text for header, text in headers.items()}
    return client.put(f"{ROOT}{PREFIX}/{name}{query}", json=values, headers=named)


def told(reply: httpx.Response) -> tuple[int, int]:
    return reply.status_code, reply.json()["responseCode"]


def shown(client: httpx.Client, name: str) -> dict[int, dict[str, object]]:
    reply = client.get(f"{ROOT}{PREFIX}/{name}")
    return {each["index"]: each for each in reply.json().get("values", [])}


URL = value(1, "URL", "https://example.org/1")


def test_value_that_is_as_it_was_keeps_its_timestamp(client: httpx.Client) -> None:
    before = client.get(f"{ROOT}{PREFIX}/old").headers["etag"]
    same = [URL, value(2, "EMAIL", "a@example.org"), admin("ADMIN")]

    nothing = put(client, "old", same)
    assert (told(nothing), nothing.headers["etag"]) == ((200, 1), before), "nothing has changed"
    changed = put(client, "old", [URL, value(2, "EMAIL", "b@example.org"), admin("ADMIN")])

    assert changed.headers["etag"] != before
    values = shown(client, "old")
    assert (values[1]["timestamp"], values[100]["timestamp"]) == (OLD, OLD)
    assert values[2]["timestamp"] != OLD


def test_written_record_is_read_at_once_with_its_version(
    client: httpx.Client, stranger: httpx.Client
) -> None:
    for count in range(1, 6):
        data = f"https://example.org/{count}"
        written = put(client, "seen", [value(1, "URL", data), admin("ADMIN")])
        for reader in (stranger, stranger, client):
            reply = reader.get(f"{ROOT}{PREFIX}/seen")
            assert reply.json()["values"][0]["data"]["value"] == data
            assert reply.headers["etag"] == written.headers["etag"] == f'"{count}"'


def test_retried_write_is_told_what_the_first_was_told(client: httpx.Client) -> None:
    first = put(client, "once", [URL, admin("ADMIN")], Idempotency_Key="once-1")
    again = put(client, "once", [URL, admin("ADMIN")], Idempotency_Key="once-1")
    changed = put(client, "once", [admin("ADMIN")])
    late = put(client, "once", [URL, admin("ADMIN")], Idempotency_Key="once-1")

    assert [told(each) for each in (first, again, changed, late)] == [(201, 1)] * 2 + [
        (200, 1),
        (201, 1),
    ]
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == late.headers["idempotent-replayed"] == "true"
    assert again.headers["etag"] == late.headers["etag"] == first.headers["etag"]
    assert list(shown(client, "once")) == [100]


def test_key_that_was_used_for_another_write_is_refused(
    node: NodeProcess, client: httpx.Client
) -> None:
    assert told(put(client, "key-a", [URL], Idempotency_Key="shared")) == (201, 1)

    reply = put(client, "key-b", [URL], Idempotency_Key="shared")
    with client_of(node, "SECOND", "second") as other:
        elsewhere = put(other, "key-b", [URL], Idempotency_Key="shared")

    assert told(reply) == (400, 4)
    assert "Idempotency-Key" in reply.json()["message"]
    assert told(elsewhere) == (201, 1), "another caller has keys of his own"


def test_same_write_sent_many_times_at_once_is_done_once(node: NodeProcess) -> None:
    def write(_: int) -> httpx.Response:
        with client_of(node) as client:
            return put(client, "storm-", [URL], "?mintNewSuffix=true", Idempotency_Key="storm")

    with ThreadPoolExecutor(12) as pool:
        replies = list(pool.map(write, range(24)))

    assert {told(reply) for reply in replies} == {(201, 1)}
    assert len({reply.json()["handle"] for reply in replies}) == 1
    assert sum("idempotent-replayed" not in reply.headers for reply in replies) == 1


def test_minted_handles_differ(client: httpx.Client) -> None:
    made = {
        put(client, "", [URL], "?mintNewSuffix=true").json()["handle"].partition("/")[2]
        for _ in range(5)
    }

    assert len(made) == 5
    assert all(str(UUID(suffix)) == suffix.lower() for suffix in made)


def test_of_many_who_change_one_version_one_wins(node: NodeProcess, client: httpx.Client) -> None:
    tag = put(client, "race", [URL, admin("ADMIN")]).headers["etag"]

    def write(number: int) -> tuple[int, httpx.Response]:
        values = [value(1, "URL", f"by {number}"), value(2, "NOTE", f"by {number}"), admin("ADMIN")]
        with client_of(node) as one:
            return number, put(one, "race", values, If_Match=tag)

    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(write, range(24)))

    winners = [(number, reply) for number, reply in replies if reply.status_code == 200]
    assert len(winners) == 1
    assert {reply.status_code for _, reply in replies} == {200, 412}
    number, reply = winners[0]
    found = client.get(f"{ROOT}{PREFIX}/race")
    assert [each["data"]["value"] for each in found.json()["values"][:2]] == [f"by {number}"] * 2
    assert found.headers["etag"] == reply.headers["etag"]


def test_of_many_who_replace_a_record_unconditionally_the_last_one_stays_whole(
    node: NodeProcess, client: httpx.Client
) -> None:
    put(client, "last", [URL, admin("ADMIN")])

    def write(number: int) -> int:
        values = [value(index, "NOTE", f"by {number}") for index in range(1, 9)]
        with client_of(node) as one:
            return put(one, "last", [*values, admin("ADMIN")]).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(write, range(24))) == {200}

    reply = client.get(f"{ROOT}{PREFIX}/last")
    assert len({each["data"]["value"] for each in reply.json()["values"][:8]}) == 1
    assert reply.headers["etag"] == '"25"', "each one was a version of its own"


def test_values_added_at_once_are_all_there(node: NodeProcess, client: httpx.Client) -> None:
    put(client, "union", [admin("ADMIN")])

    def write(index: int) -> int:
        with client_of(node) as one:
            return put(one, "union", [value(index, "NOTE", "x")], f"?index={index}").status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(write, range(1, 25))) == {201}

    assert list(shown(client, "union")) == [*range(1, 25), 100]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a%2Fb%3Fc", "a/b?c"),
        ("a+b%2Bc", "a+b+c"),
        ("%E4%BA%A7%E5%93%81-001", "产品-001"),
        ("%F0%9F%94%A7", "🔧"),
        ("//", "//"),
        ("100%25%20", "100% "),
        ("n" * (MAX_HANDLE_BYTES - 9), "n" * (MAX_HANDLE_BYTES - 9)),
        ("%E4%BA%A7" * 679, "产" * 679),
    ],
)
def test_handle_of_any_spelling_is_kept_as_it_is(
    client: httpx.Client, stranger: httpx.Client, path: str, name: str
) -> None:
    handle = f"{PREFIX}/{name}"

    assert told(put(client, path, {"handle": handle, "values": [URL]})) == (201, 1)
    for reader in (stranger, stranger, client):
        assert reader.get(f"{ROOT}{PREFIX}/{path}").json()["handle"] == handle
    listed = client.get("/api/handles", params={"prefix": PREFIX}).json()["handles"]
    assert handle in listed
    assert told(client.delete(f"{ROOT}{PREFIX}/{path}")) == (403, 400), "it has no administrator"


def test_handle_that_nobody_could_ask_for_is_not_registered(client: httpx.Client) -> None:
    for path in ("n" * (MAX_HANDLE_BYTES - 8), "a%00b", "a%0Ab", "a%E2%80%AEb"):
        assert told(put(client, path, [URL])) == (400, 102)


def test_other_case_is_the_same_record_and_its_spelling_stays(client: httpx.Client) -> None:
    put(client, "Case", [URL, admin("ADMIN")])

    reply = put(client, "CASE", [value(1, "URL", "x"), admin("ADMIN")])

    assert told(reply) == (200, 1)
    assert reply.json()["handle"] == f"{PREFIX}/CASE"
    listed = client.get("/api/handles", params={"prefix": PREFIX}).json()["handles"]
    assert f"{PREFIX}/Case" in listed
    assert f"{PREFIX}/CASE" not in listed


def test_deleted_record_is_gone_and_its_versions_go_on(
    client: httpx.Client, stranger: httpx.Client
) -> None:
    put(client, "gone", [URL, admin("ADMIN")])
    assert told(client.delete(f"{ROOT}{PREFIX}/gone?reason=scrapped")) == (200, 1)

    for reader in (client, stranger):
        assert told(reader.get(f"{ROOT}{PREFIX}/gone")) == (404, 100)
    page = stranger.get(f"/{PREFIX}/gone", headers={"Accept": "text/html"})
    assert page.status_code == 410
    assert "scrapped" in page.text
    assert told(put(client, "gone", [URL], If_Match="*")) == (412, 4)
    again = put(client, "gone", [URL, admin("ADMIN")], If_None_Match="*")
    assert (told(again), again.headers["etag"]) == ((201, 1), '"3"')


def test_secret_key_is_shown_to_nobody_whatever_its_permissions(
    client: httpx.Client, stranger: httpx.Client
) -> None:
    hidden = "open sesame"
    secret = value(301, "HS_SECKEY", hidden, permissions="1111")
    assert told(put(client, "keyed", [URL, secret, admin("ADMIN")])) == (201, 1)

    for reader in (client, stranger):
        for query in ("", "?type=HS_SECKEY", "?index=301", "?publicOnly=true", "?auth"):
            reply = reader.get(f"{ROOT}{PREFIX}/keyed{query}")
            assert reply.status_code == 200
            assert hidden not in reply.text
            assert b64encode(hidden.encode()).decode() not in reply.text
            assert "HS_SECKEY" not in reply.text


def test_record_has_its_limits(client: httpx.Client) -> None:
    many = [value(index, "N", "x") for index in range(1, MAX_VALUES + 2)]

    assert told(put(client, "many", many)) == (400, 4)
    many[99] = admin("ADMIN")
    assert told(put(client, "many", many[:-1])) == (201, 1)
    assert told(put(client, "many", [value(9_999, "N", "x")], "?index=9999")) == (400, 202)
    assert told(put(client, "large", [value(1, "N", "x" * 262_144)])) == (413, 4)


def test_server_administrator_may_do_what_the_record_gives_nobody(node: NodeProcess) -> None:
    with client_of(node, "SECOND", "second") as second:
        assert told(put(second, "nobody's", [URL])) == (201, 1)
        assert told(put(second, "nobody's", [value(2, "N", "x")], "?index=2")) == (201, 1)
        assert told(second.delete(f"{ROOT}{PREFIX}/nobody's?index=2")) == (200, 1)
        assert told(second.post("/api/prefixes", data={"prefix": "88.118.9"})) == (201, 1)
        prefixes = second.get("/api/prefixes").json()["prefixes"]
        assert {"88.118.9", PREFIX} <= {name.removeprefix("0.NA/") for name in prefixes}
        new = second.put(f"{ROOT}88.118.9/x", json=[URL])
        assert told(new) == (201, 1)
        assert told(second.delete("/api/prefixes/88.118.9")) == (200, 1)
        assert told(second.put(f"{ROOT}88.118.9/x", json=[URL])) == (400, 301)


def test_wrong_password_is_no_login(node: NodeProcess) -> None:
    with client_of(node, password="wrong") as wrong:
        reply = put(wrong, "wrong", [URL])

    assert told(reply) == (401, 403)
    assert SECRET not in reply.text + node.said()


def test_nothing_went_wrong_unseen(node: NodeProcess) -> None:
    """Last in this file: the log of all the above."""
    assert "Traceback" not in node.said()
    assert SECRET not in node.said()
