"""Look-ups in reverse and in bulk on a whole node, and the keeper killed while it keeps the index."""

import json
import os
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.nodes import NodeProcess, eventually, node_in

pytestmark = pytest.mark.slow

ADMIN = ("300%3A88.1000.3/ADMIN", "secret")
SEEN_SECONDS = 20.0
RECORDS = 3_000


def value(index: int, kind: str, data: object, permissions: str = "1110") -> dict[str, object]:
    return {"index": index, "type": kind, "data": data, "permissions": permissions}


def records(host: str) -> Iterable[dict[str, object]]:
    yield {"handle": "0.NA/88.1000.3", "values": []}
    yield {"handle": "88.1000.3/ADMIN", "values": [value(300, "HS_SECKEY", "secret", "1100")]}
    for number in range(RECORDS):
        url = value(1, "URL", f"https://{host}/水泵/{number}")
        hidden = value(2, "EMAIL", f"hidden@{host}", "1100")
        yield {"handle": f"88.1000.3/Pump {number}", "values": [url, hidden]}


class Stand:
    """A node, its URLs, and a file to load."""

    def __init__(self, lent: NodeProcess) -> None:
        settings = lent.start()
        self.lent = lent
        self.url = f"http://{settings.http_listen[0]}"
        self.admin = f"http://{settings.admin_listen[0]}"
        self.file = lent.data_dir.with_name("records.ndjson")

    def load(self, host: str) -> None:
        self.file.write_text("".join(json.dumps(each) + "\n" for each in records(host)), "utf-8")
        ended = self.lent.run("load", str(self.file))
        assert ended.returncode == 0, ended.stdout + ended.stderr

    def find(self, query: str) -> httpx.Response:
        return httpx.get(f"{self.url}/hrls/handles?{query}", auth=ADMIN)

    def finds(self, query: str, count: int) -> bool:
        reply = self.find(query)
        return reply.status_code == 200 and len(reply.json()) == count

    def keepers(self) -> set[int]:
        lines = self.lent.processes().items()
        return {process_id for process_id, line in lines if "node.process.keeper" in line}


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    directory = Path(tmp_path_factory.mktemp("reverse"))
    with node_in(directory / "data") as lent:
        started = Stand(lent)
        started.load("first.example.cn")
        eventually(lambda: started.finds("URL=*/水泵/17", 1), SEEN_SECONDS)
        yield started
        lent.stop()


def test_what_was_loaded_is_found_by_itself(stand: Stand) -> None:
    eventually(lambda: "idnode_reverse_behind 0.0" in metrics(stand), SEEN_SECONDS)
    assert stand.find("URL=https://first.example.cn/水泵/42").json() == ["88.1000.3/Pump 42"]
    assert len(stand.find("URL=*FIRST.example.cn*").json()) == 1_000
    assert len(stand.find("URL=*FIRST.example.cn*&limit=10000").json()) == RECORDS
    assert stand.find("EMAIL=*hidden@*").json() == []
    assert "idnode_reverse_incomplete 0.0" in metrics(stand)


def metrics(stand: Stand) -> str:
    return httpx.get(f"{stand.admin}/metrics").text


@pytest.mark.parametrize("path", ["/hrls/handles", "/hrls/handles/"])
def test_both_spellings_of_the_path_ask_for_a_login_and_for_a_pattern(
    stand: Stand, path: str
) -> None:
    assert httpx.get(f"{stand.url}{path}?URL=*first*").status_code == 401
    assert httpx.get(f"{stand.url}{path}?URL=*", auth=ADMIN).status_code == 400
    assert httpx.get(f"{stand.url}{path}?URL=*/17", auth=ADMIN).status_code == 200


def test_wrong_path_of_a_look_up_is_no_success(stand: Stand) -> None:
    for path in ("/nowhere/hrls/handles", "/api/handles", "/api/handles/", "/hrls"):
        reply = httpx.get(f"{stand.url}{path}?URL=*", auth=ADMIN)
        assert reply.status_code >= 400


def test_killed_keeper_is_replaced_and_its_index_goes_on(stand: Stand) -> None:
    killed: list[int] = []
    for host in ("second.example.cn", "third.example.cn"):
        stand.load(host)
        killed.extend(stand.keepers())
        os.kill(killed[-1], signal.SIGKILL)
        eventually(lambda: stand.keepers() - set(killed), SEEN_SECONDS)
    eventually(lambda: stand.finds("URL=*third*&limit=10000", RECORDS), SEEN_SECONDS)
    assert stand.find("URL=*second*").json() == []


def test_many_are_resolved_in_one_request(stand: Stand) -> None:
    asked = [f"88.1000.3/pump {number}" for number in range(1_000)]
    reply = httpx.post(f"{stand.url}/v1/resolve", content="\n".join(map(json.dumps, asked)))
    answers = [json.loads(line) for line in reply.text.splitlines()]
    assert [each["identifier"] for each in answers] == asked
    assert {each["status"] for each in answers} == {"found"}
    counted = 'idnode_resolution_seconds_count{protocol="batch"} 1000.0'
    eventually(lambda: counted in metrics(stand), SEEN_SECONDS)
