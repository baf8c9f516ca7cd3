"""DayStage: Postgres, the simulated top-level node and a whole node on one shifted clock; stopped and started again.

The top-level node is the only witness of the node's log.  An enterprise has a prefix that is hosted here, and there
is one that is no enterprise's.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx

from loadtest.stand import Node, Stand, StandError, clean_environment
from loadtest.toplevels import PREFIX, TopLevel, operator_token, start_in_step
from loadtest.victims import Running
from node.ledger.durable import read_if_there
from node.ledger.heads import BEACON
from node.ledger.logfiles import KEYS
from node.ledger.role import DIRECTORY
from node.ledger.signing import PUBLIC
from node.model.certificate import credit_code_check
from node.web.examples import example_text
from tests.support.servers import PostgresServer
from tests.support.shifted_clock import ShiftedClock

ENTERPRISE = f"{PREFIX}.1"
OWN = f"{PREFIX}.900"  # which is answered here, and no enterprise's
PHOTO = b"\x89PNG\r\n\x1a\n" + bytes(64)
PHOTOS = ("e1-licence", "e1-card")
WAIT_SECONDS = 60.0
ASKED = [
    f"{ENTERPRISE}/n-1",
    f"{ENTERPRISE}/n-2",
    f"{ENTERPRISE}/nobody",
    f"{OWN}/n-1",
    f"{OWN}/nobody",
]
"""What is asked for: three of these are there."""


class DayStage:
    """Everything that runs; `postgres` is stopped and started with it."""

    def __init__(self, stand: Stand, postgres: PostgresServer, clock: ShiftedClock) -> None:
        """Start all that there is for the first time, and settle it.  Raises StandError."""
        self._stand, self._postgres, self._clock = stand, postgres, clock
        self.policy = stand.directory / "policy"
        with clock.environment():
            self.top = TopLevel(stand)
            self.key = self._told_key()
            page = "http://{}:{}".format(*self.top.page)
            self.policy.write_text(f"witness toplevel {self.key} {page}\nquorum toplevel\n")
            self._running: Running = start_in_step(stand, self.top, self._settings())
            self._have_witnessed()
        Office(self.node).settle()

    @property
    def node(self) -> Node:
        """The node that runs now."""
        return self._running.node

    @property
    def ledger(self) -> Path:
        """The directory of its ledger."""
        return self.node.settings.data_dir / DIRECTORY

    def stop(self) -> None:
        """Stop all, as an operator does."""
        self._stand.stop(self.node)
        self.top.process.terminate()
        self.top.process.wait()
        self._postgres.stop()
        self._clock.date(self.ledger / BEACON)  # the next start asks since when nobody has cosigned

    def start(self) -> None:
        """Start all again, by the clock as it is now."""
        with self._clock.environment():
            self._postgres.start()
            self.top.start()
            self._running.node = self._running.start()

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run `idnode …` by the same clock."""
        with self._clock.environment():
            return subprocess.run(
                (sys.executable, "-m", "node", *words),
                env=clean_environment({"DATA_DIR": str(self.node.settings.data_dir)}),
                capture_output=True, text=True, check=False,
            )  # fmt: skip

    def witnessed(self) -> int:
        """Return the leaves of the newest tree that the top-level node has cosigned."""
        [log] = self.top.get("/state")["witness"]["logs"]
        return int(log["size"])

    def _told_key(self) -> str:
        return str(self.top.get("/state")["witness"]["key"])

    def _settings(self) -> dict[str, str]:
        return {
            "DATABASE_URL": self._postgres.url("postgres"),
            "WORKERS": "2",
            "COUNT_LOOPBACK": "true",
            "LEDGER_WITNESSES": str(self.policy),
        }

    def _have_witnessed(self) -> None:
        """Have the top-level node watch the log, whose key there is only since the node has started."""
        public = self.ledger / KEYS / PUBLIC
        until(lambda: read_if_there(public), f"{public} was not made")
        self.top.logs = tuple(public.read_text().split())
        self.top.kill()
        self.top.start()


class Office:
    """Has an enterprise admitted and its prefix hosted, and registers identifiers, as an operator does over HTTP."""

    def __init__(self, node: Node) -> None:
        self._node = node
        headers = {"Authorization": f"Bearer {operator_token(node)}"}
        base = "http://{}:{}".format(*node.admin)
        self._http = httpx.Client(base_url=base, headers=headers, trust_env=False, timeout=30)

    def settle(self) -> None:
        """Do all of it.  Raises StandError, httpx.HTTPError."""
        with self._http:
            self._admit()
            self._host()
            for name in ("n-1", "n-2"):
                self._register(f"{ENTERPRISE}/{name}")
        self._load_own()

    def _admit(self) -> None:
        for photo in PHOTOS:
            self._must("POST", f"/v1/files?id={photo}", content=PHOTO)
        self._must("PUT", "/v1/operator", json=_form("operator"))
        form, number = _form("enterprise"), "91370700MA0000001"
        form["organisation"]["certificate_number"] = number + credit_code_check(number)
        self._must("POST", "/v1/enterprises?id=e1", json=form)
        self._must("PUT", "/v1/enterprises/e1/verification", json=_form("verification"))
        self._steps("/v1/enterprises/e1", "begin_review", "approve")

    def _host(self) -> None:
        path = f"/v1/prefixes/{ENTERPRISE}"
        self._must("POST", "/v1/prefixes", json={"prefix": ENTERPRISE, "enterprise": "e1"})
        self._steps(path, "begin_review", "approve")
        until(lambda: self._must("GET", path)["state"] == "granted", f"{path} is not granted")
        self._must("POST", f"{path}/hosting", json={"action": "apply"})
        self._must("POST", f"{path}/hosting", json={"action": "approve", "server": "main"})
        self._steps(path, "activate")

    def _register(self, handle: str) -> None:
        values = [{"index": 1, "type": "URL", "data": "https://example.cn/n"}]
        self._must("PUT", f"/v1/records/{handle}", json={"values": values})

    def _load_own(self) -> None:
        """Load a prefix and an identifier that are no enterprise's."""
        values = [{"index": 1, "type": "URL", "data": "https://example.cn/own"}]
        lines = [
            {"handle": f"0.NA/{OWN}", "values": []},
            {"handle": f"{OWN}/n-1", "values": values},
        ]
        path = self._node.settings.data_dir.with_name("own.ndjson")
        path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        done = subprocess.run(
            (sys.executable, "-m", "node", "load", str(path)),
            env=clean_environment({"DATA_DIR": str(self._node.settings.data_dir)}),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise StandError(f"nothing was loaded: {done.stdout}{done.stderr}")

    def _steps(self, path: str, *actions: str) -> None:
        for action in actions:
            self._must("POST", f"{path}/steps", json={"action": action})

    def _must(self, method: str, path: str, **given: Any) -> dict[str, Any]:
        answer = self._http.request(method, path, **given)
        if not answer.is_success:
            raise StandError(f"{method} {path}: {answer.status_code} {answer.text}")
        told: dict[str, Any] = answer.json() if answer.content else {}
        return told


def until(holds: Callable[[], object], sentence: str, seconds: float = WAIT_SECONDS) -> None:
    """Wait until it holds.  Raises StandError."""
    deadline = monotonic() + seconds
    while not holds():
        if monotonic() > deadline:
            raise StandError(f"{sentence} in {seconds:.0f} s")
        sleep(0.1)


def _form(name: str) -> dict[str, Any]:
    form: dict[str, Any] = json.loads(example_text(name))
    return form
