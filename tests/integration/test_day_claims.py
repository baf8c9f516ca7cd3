"""A day that the top-level node refuses keeps no other day from being claimed."""

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from threading import enumerate as enumerate_threads

import pytest

from node.ledger.claiming import Refused
from node.ledger.closing import DAYS
from node.ledger.heads import HeadFiles
from node.ledger.leaf import Day, parse
from node.ledger.logfiles import LOG
from node.upstream import dayclaims
from node.upstream.dayclaims import DayClaims
from tests.support.leaves import BLOCK, DAY
from tests.support.logs import WrittenLog

DAYS_CLOSED = ("2026-11-21", "2026-11-22")


@contextmanager
def refusing() -> Iterator[tuple[str, list[str]]]:
    """A witness that refuses every day, and what it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            claim = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            leaf = parse(claim["closing"]["leaf"].encode())
            assert isinstance(leaf, Day)
            asked.append(leaf.day)
            self.send_response(422)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def prepare(directory: Path, url: str) -> None:
    """A ledger with two closed days, whose witness is there."""
    log = WrittenLog()
    log.append([BLOCK.line(), *(replace(DAY, day=day).line() for day in DAYS_CLOSED)])
    log.write(directory / LOG, log.note())
    HeadFiles(directory).archive(log.note(), is_newest=True)
    (directory / DAYS).mkdir(parents=True)
    for day in DAYS_CLOSED:
        (directory / DAYS / f"{day}.json").touch()
    key = log.witnesses[0].key
    (directory / "policy").write_text(f"witness top {key} {url}\nquorum top\n")


def test_a_round_that_is_not_answered_does_not_hold_up_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dayclaims, "ROUND_SECONDS", 0.0)
    came = []

    async def run(silent: socket.socket) -> None:
        claiming = asyncio.create_task(DayClaims(tmp_path, tmp_path / "policy").run())
        came.append(await asyncio.to_thread(silent.accept))
        claiming.cancel()
        await asyncio.gather(claiming, return_exceptions=True)

    before = set(enumerate_threads())
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(20)
        prepare(tmp_path, f"http://127.0.0.1:{silent.getsockname()[1]}")
        asyncio.run(run(silent))
        [asking] = set(enumerate_threads()) - before  # it waits for an answer still
        came[0][0].close()
        asking.join(20)
    assert not asking.is_alive()


def test_a_refused_day_keeps_no_other_from_being_claimed(tmp_path: Path) -> None:
    with refusing() as (url, asked):
        prepare(tmp_path, url)
        with pytest.raises(Refused, match="422"):
            DayClaims(tmp_path, tmp_path / "policy").round()
    assert asked == [*DAYS_CLOSED]
