"""Locust, as a program: its users against a real node, and against a server that answers wrongly."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from loadtest.corpus import records
from loadtest.locust_ceiling import rows_of
from loadtest.stand import free_port
from node.config import Settings
from tests.support.nodes import ROOT, NodeProcess, eventually, node_in
from tests.support.unruly import echo, running_unruly

LINES = 300
LIMIT_SECONDS = 120


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[NodeProcess, Settings]]:
    """A node with the beginning of the corpus."""
    directory = tmp_path_factory.mktemp("locust")
    corpus = directory / "corpus.ndjson"
    corpus.write_text("".join(json.dumps(line) + "\n" for line in records(LINES)), "utf-8")
    with node_in(directory / "data") as process:
        settings = process.start()
        loaded = process.run("load", str(corpus))
        assert loaded.returncode == 0, loaded.stdout + loaded.stderr
        yield process, settings
        assert process.stop() == 0


def _locust(
    files: str, *options: str, token: str = "", seconds: str = "2s"
) -> subprocess.CompletedProcess[str]:
    """Run locust without its pages."""
    paths = ",".join(str(Path("loadtest/users") / name) for name in files.split())
    return subprocess.run(
        (
            *(sys.executable, "-m", "locust", "-f", paths, "--headless", "--only-summary"),
            *("--json", "--users", "12", "--spawn-rate", "12", "--run-time", seconds),
            *options,
        ),
        cwd=ROOT,
        env={**os.environ, "LOCUST_API_TOKEN": token},
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )


def _where(settings: Settings) -> tuple[str, ...]:
    http, native = settings.http_listen[0], settings.native_listen[0]
    return (
        *("--host", f"http://{http.host}:{http.port}", "--records", str(LINES)),
        *("--native", f"{native.host}:{native.port}"),
    )


def _failures(rows: list[dict[str, Any]]) -> int:
    return sum(row["num_failures"] for row in rows)


@pytest.mark.slow
def test_a_factory_day_of_two_processes_finds_every_answer_right(
    running: tuple[NodeProcess, Settings],
) -> None:
    files = "factory_day.py shapes.py"

    options = ("--shape", "soak", "--processes", "2")

    done = _locust(files, *_where(running[1]), *options, seconds="3s")

    rows = rows_of(done.stdout)
    assert (done.returncode, _failures(rows)) == (0, 0), done.stderr
    assert {row["method"] for row in rows} == {"UDP", "TCP", "HTTP", "GET"}
    names = {row["name"] for row in rows}
    assert {"handle known", "handle unknown", "doi known"} <= names


@pytest.mark.slow
def test_registrars_write_and_read_back_what_they_wrote(
    running: tuple[NodeProcess, Settings],
) -> None:
    process, settings = running
    token = (process.data_dir / "operator-token").read_text("ascii").strip()

    done = _locust("registration.py", *_where(settings), token=token, seconds="8s")

    rows = rows_of(done.stdout)
    assert (done.returncode, _failures(rows)) == (0, 0), done.stderr
    assert {"create", "change", "read back", "delete"} == {row["name"] for row in rows}


@pytest.mark.slow
def test_wrong_answers_are_failures(running: tuple[NodeProcess, Settings]) -> None:
    """A server that answers everything alike; then the node, asked for records that it does not have."""
    with running_unruly("http", echo) as (host, port):
        fooled = _locust("web.py", "--host", f"http://{host}:{port}")
    missed = _locust("native.py", *_where(running[1]), "--records", str(1000 * LINES))

    for done in (fooled, missed):
        rows = rows_of(done.stdout)
        assert done.returncode == 1
        known = [row for row in rows if row["name"].endswith(" known")]
        asked = sum(row["num_requests"] for row in known)
        assert _failures(known) > asked / 2 > 0  # the node has the most popular ones all the same
    assert "no answer of the Handle JSON API" in fooled.stderr
    assert "response code 100 instead of 1" in missed.stderr


def test_registrars_without_a_token_do_not_begin() -> None:
    done = _locust("registration.py", "--host", "http://127.0.0.1:9")

    assert done.returncode != 0
    assert "LOCUST_API_TOKEN" in done.stderr


def test_the_page_opens_with_our_options_and_without_tokens() -> None:
    port = free_port()
    files = ",".join(f"loadtest/users/{name}.py" for name in ("factory_day", "shapes"))
    command = [sys.executable, "-m", "locust", "-f", files, "--host", "http://127.0.0.1:9"]
    listen = ["--web-host", "127.0.0.1", "--web-port", str(port)]
    token = {"LOCUST_API_TOKEN": "idnt_must-not-be-seen", "LOCUST_CAMPAIGN_TOKEN": "nor-this-one"}
    with subprocess.Popen(
        [*command, *listen], cwd=ROOT, env={**os.environ, **token}, stderr=subprocess.DEVNULL
    ) as process:
        try:
            eventually(lambda: _page(port))
            page = _page(port)
        finally:
            process.terminate()

    assert '"shape"' in page
    assert '"records"' in page
    assert "idnt_must-not-be-seen" not in page
    assert "nor-this-one" not in page


def _page(port: int) -> str:
    """Return locust's page, "" while there is none."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/").raise_for_status().text
    except httpx.HTTPError:
        return ""
