"""Bulk work on a whole node: over HTTP and from the command line, and through a keeper that is killed in the middle."""

import csv
import hashlib
import io
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from node.address import loopback_if_any
from node.config import Settings
from tests.support.nodes import NodeProcess, eventually, node_in

pytestmark = [pytest.mark.db, pytest.mark.slow]

RECORDS = 30_000
PREFIXES = [{"handle": f"0.NA/88.118.{each}", "values": []} for each in (8, 9)]
Json = dict[str, Any]


class Bulk:
    """A node that runs, and the operator at its admin listener."""

    def __init__(self, node: NodeProcess, settings: Settings, directory: Path) -> None:
        self.node = node
        self.settings = settings
        self.directory = directory
        admin = settings.admin_listen[0]
        token = (settings.data_dir / "operator-token").read_text().strip()
        self.client = httpx.Client(
            base_url=f"http://{loopback_if_any(admin.host)}:{admin.port}",
            headers={"Authorization": f"Bearer {token}"},
            timeout=30,
        )

    def submit(self, content: bytes, **parameters: str) -> Json:
        reply = self.client.post("/v1/jobs", params=parameters, content=content)
        assert reply.status_code == 202, reply.text
        assert reply.headers["location"] == f"/v1/jobs/{reply.json()['id']}"
        job: Json = reply.json()
        return job

    def job(self, number: int) -> Json:
        """The job as it stands; {} while the keeper is away."""
        try:
            reply = self.client.get(f"/v1/jobs/{number}")
        except httpx.TransportError:
            return {}
        job: Json = reply.json() if reply.status_code == 200 else {}
        return job

    def finished(self, job: Json) -> Json:
        eventually(lambda: self.job(job["id"]).get("ended"), 120)
        return self.job(job["id"])

    def results(self, job: Json) -> list[Json]:
        reply = self.client.get(f"/v1/jobs/{job['id']}/results")
        assert reply.status_code == 200, reply.text
        return [json.loads(line) for line in reply.text.splitlines()]

    def comes_further(self, job: Json) -> bool:
        """Wait until the job has done more rows; False when it is over."""
        before = self.job(job["id"]).get("rows", 0)

        def is_further() -> bool:
            now = self.job(job["id"])
            return bool(now.get("rows", 0) > before or now.get("ended"))

        eventually(is_further, 60)
        return not self.job(job["id"]).get("ended")

    def kill_keeper(self) -> None:
        """Kill it, and wait for the next one."""
        killed = self.keeper()
        os.kill(killed, signal.SIGKILL)
        eventually(lambda: self.keeper() not in (0, killed))

    def keeper(self) -> int:
        found = [pid for pid, words in self.node.processes().items() if "process.keeper" in words]
        return found[0] if found else 0


@pytest.fixture(scope="module")
def bulk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bulk]:
    directory = tmp_path_factory.mktemp("bulk")
    directory.chmod(0o755)
    with node_in(directory / "data") as node:
        lent = Bulk(node, node.start(), directory)
        lent.finished(lent.submit(ndjson(*PREFIXES), format="ndjson"))
        yield lent
        lent.client.close()


def row(operation: str, name: str, **more: object) -> Json:
    return {"operation": operation, "handle": f"88.118.8/{name}", **more}


def ndjson(*items: Json) -> bytes:
    return b"\n".join(map(orjson.dumps, items))


URL = {"index": 1, "type": "URL", "data": "https://a.example/"}


def test_a_job_is_handed_in_watched_and_its_results_fetched(bulk: Bulk) -> None:
    content = ndjson(row("create", "first", values=[URL]), row("delete", "none"))
    planned = bulk.finished(
        bulk.submit(content, format="ndjson", kind="operations", dry_run="true", reason="why")
    )
    assert (planned["state"], planned["outcomes"]) == ("done", {"created": 1, "refused": 1})
    done = bulk.finished(bulk.submit(content, format="ndjson", kind="operations", name="x.ndjson"))
    assert (done["rows"], done["errors"], done["name"]) == (2, 1, "x.ndjson")
    assert done["bytes"] == done["size"] == len(content)
    assert [each["outcome"] for each in bulk.results(done)] == ["created", "refused"]
    assert bulk.results(planned) == bulk.results(done)
    listed = bulk.client.get("/v1/jobs", params={"limit": "1"}).json()
    assert listed == {"jobs": [bulk.job(done["id"])], "before": done["id"]}
    http = bulk.settings.http_listen[0]
    shown = httpx.get(f"http://{http}/v1/resolve/88.118.8/first")
    assert shown.status_code == 200


def test_what_a_job_wrote_is_answered_by_every_process_once_it_is_done(bulk: Bulk) -> None:
    http = bulk.settings.http_listen[0]
    for number in range(100, 105):
        name = f"88.118.{number}/new"
        before = httpx.get(f"http://{http}/v1/resolve/{name}").status_code
        home = {"handle": f"0.NA/88.118.{number}", "values": []}
        bulk.finished(bulk.submit(ndjson(home, {"handle": name, "values": [URL]}), format="ndjson"))

        shown = httpx.get(f"http://{http}/v1/resolve/{name}")
        looked_up = bulk.client.get(f"/v1/records/{name}")

        assert (before, shown.status_code, looked_up.status_code) == (404, 200, 200), shown.text


@pytest.mark.parametrize(
    ("parameters", "status"),
    [
        ({}, 400),
        ({"format": "xml"}, 400),
        ({"format": "csv", "kind": "operations"}, 400),
        ({"format": "batch", "kind": "load"}, 400),
        ({"format": "ndjson", "reason": "two\nlines"}, 400),
    ],
)
def test_orders_that_make_no_sense_are_refused(
    bulk: Bulk, parameters: dict[str, str], status: int
) -> None:
    reply = bulk.client.post("/v1/jobs", params=parameters, content=b"{}")
    assert (reply.status_code, reply.headers["content-type"]) == (
        status,
        "application/problem+json",
    )
    assert not list((bulk.settings.data_dir / "jobs").glob("*.draft"))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/jobs"),
        ("POST", "/v1/jobs?format=ndjson"),
        ("GET", "/v1/jobs/1"),
        ("DELETE", "/v1/jobs/1"),
        ("GET", "/v1/jobs/1/results"),
        ("GET", "/v1/export"),
        ("GET", "/v1/export/manifests/x"),
    ],
)
def test_all_of_it_is_for_operators(bulk: Bulk, method: str, path: str) -> None:
    url = f"{bulk.client.base_url}".rstrip("/") + path
    assert httpx.request(method, url).status_code == 401
    wrong = {"Authorization": "Bearer idnt_wrong"}
    assert httpx.request(method, url, headers=wrong).status_code in (401, 429)


def test_what_is_not_there_is_told(bulk: Bulk) -> None:
    for path in ("/v1/jobs/999999", "/v1/jobs/x", "/v1/jobs/9/results/", "/v1/jobs/999999/results"):
        assert bulk.client.get(path).status_code == 404
    assert bulk.client.get("/v1/export/manifests/none").status_code == 404
    assert bulk.client.get("/v1/export", params={"format": "xml"}).status_code == 400
    assert bulk.client.get("/v1/export", params={"prefix": "/"}).status_code == 400


@pytest.mark.parametrize("kind", ["load", "operations"])
def test_a_killed_keeper_goes_on_exactly_where_it_was(bulk: Bulk, kind: str) -> None:
    """Rows are neither lost nor done twice: each has one result, and each record one version."""
    items = [
        row("create", f"{kind}-{number}", values=[URL])
        for number in range(RECORDS if kind == "load" else RECORDS // 3)
    ]
    if kind == "load":
        for item in items:
            del item["operation"]
    job = bulk.submit(ndjson(*items), format="ndjson", kind=kind)
    bulk.kill_keeper()  # it has hardly begun
    if bulk.comes_further(job):
        bulk.kill_keeper()
    done = bulk.finished(job)
    assert (done["state"], done["outcomes"]) == ("done", {"created": len(items)})
    results = bulk.results(job)
    assert [each["row"] for each in results] == list(range(1, len(items) + 1))
    last = bulk.client.get(f"/v1/history/88.118.8/{kind}-{len(items) - 1}").json()
    assert [each["version"] for each in last["revisions"]] == [1]
    again = bulk.finished(bulk.submit(ndjson(*items), format="ndjson", kind=kind))
    assert set(again["outcomes"]) == ({"unchanged"} if kind == "load" else {"refused"})


def test_an_export_is_checked_and_loaded_again_without_a_change(bulk: Bulk) -> None:
    secret = {"index": 300, "type": "HS_SECKEY", "data": "hunter2"}
    formula = {"index": 2, "type": "NOTE", "data": "=1+1"}
    bulk.finished(
        bulk.submit(ndjson({"handle": "88.118.9/s", "values": [secret, formula]}), format="ndjson")
    )
    for form in ("ndjson", "csv"):
        reply = bulk.client.get("/v1/export", params={"format": form, "prefix": "88.118.9"})
        assert reply.status_code == 200
        assert b"hunter2" not in reply.content
        link = reply.headers["link"].partition(">")[0].removeprefix("<")
        manifest = bulk.client.get(link).text
        assert hashlib.sha256(reply.content).hexdigest() in manifest
        assert "# withheld: 1\n" in manifest
        again = bulk.finished(bulk.submit(reply.content, format=form))
        assert (again["errors"], set(again["outcomes"])) == (0, {"unchanged"})
        if form == "csv":
            rows = csv.reader(io.StringIO(reply.text))
            assert not [field for each in rows for field in each if field[:1] in tuple("=+-@\t\r")]


def test_the_command_line_runs_jobs_and_checks_exports(bulk: Bulk) -> None:
    file, out = bulk.directory / "in.csv", bulk.directory / "out.ndjson"
    file.write_text("handle,index,type,data\n88.118.8/cli,1,URL,https://a/\n88.118.8/bad,x,URL,y\n")
    ran = bulk.node.run("bulk", "run", str(file), "--reason", "try")
    assert ran.returncode == 1, ran.stderr
    assert "1 created, 1 refused" in " ".join(ran.stdout.split())
    number = ran.stderr.split()[1]
    refused = bulk.node.run("bulk", "results", number, "--refused")
    assert [json.loads(line)["row"] for line in refused.stdout.splitlines()] == [3]
    shown = json.loads(bulk.node.run("bulk", "show", number, "--output", "json").stdout)
    assert (shown["state"], shown["reason"], shown["means"]) == ("done", "try", "operator")
    assert bulk.node.run("bulk", "show", "999999").returncode == 3
    assert f"Job {number} is done" in bulk.node.run("bulk", "cancel", number).stdout
    assert number in bulk.node.run("bulk", "list").stdout

    exported = bulk.node.run("bulk", "export", str(out), "--prefix", "88.118.9")
    assert exported.returncode == 0, exported.stderr
    assert bulk.node.run("bulk", "verify", str(out)).returncode == 0
    summed = subprocess.run(
        ("sha256sum", "-c", f"{out.name}.sha256"), cwd=out.parent, capture_output=True, check=False
    )
    assert summed.returncode == 0, summed.stderr
    assert out.stat().st_mode & 0o777 == 0o600
    assert bulk.node.run("bulk", "export", str(out)).returncode == 4
    with out.open("ab") as file_:
        file_.write(b"\n")
    changed = bulk.node.run("bulk", "verify", str(out))
    assert (changed.returncode, "not what was exported" in changed.stdout) == (1, True)


def test_a_job_on_its_way_is_cancelled(bulk: Bulk) -> None:
    items = [{"handle": f"88.118.8/c{n}", "values": [URL]} for n in range(RECORDS)]
    job = bulk.submit(ndjson(*items), format="ndjson")
    reply = bulk.client.delete(f"/v1/jobs/{job['id']}")
    assert reply.status_code == 202
    over = bulk.finished(job)
    assert over["state"] == "cancelled"
    assert over["rows"] < len(items)
