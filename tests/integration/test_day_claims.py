"""A day that the top-level node refuses keeps no other day from being claimed."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from node.ledger.claiming import Refused
from node.ledger.closing import DAYS
from node.ledger.heads import HeadFiles
from node.ledger.leaf import Day, parse
from node.ledger.logfiles import LOG
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


def test_a_refused_day_keeps_no_other_from_being_claimed(tmp_path: Path) -> None:
    log = WrittenLog()
    log.append([BLOCK.line(), *(replace(DAY, day=day).line() for day in DAYS_CLOSED)])
    log.write(tmp_path / LOG, log.note())
    HeadFiles(tmp_path).archive(log.note(), is_newest=True)
    (tmp_path / DAYS).mkdir(parents=True)
    for day in DAYS_CLOSED:
        (tmp_path / DAYS / f"{day}.json").touch()
    with refusing() as (url, asked):
        key = log.witnesses[0].key
        (tmp_path / "policy").write_text(f"witness top {key} {url}\nquorum top\n")
        with pytest.raises(Refused, match="422"):
            DayClaims(tmp_path, tmp_path / "policy").round()
    assert asked == [*DAYS_CLOSED]
