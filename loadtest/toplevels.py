"""The simulated top-level node as a process beside a node: started, killed, started again, asked, and made to err."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import httpx

from loadtest.stand import HOST, Node, Stand, wait_for_port
from loadtest.streams import Address
from loadtest.victims import PORTS, Running, start_on_fixed_ports

PAGE_SECONDS = 60.0  # for an answer of the page: digests of a million rows take a while
PREFIX = "88.118"  # the node's


class TopLevel:
    """`idnode toplevel` on fixed addresses; what it is asked to register by EPP it grants at once."""

    def __init__(self, stand: Stand) -> None:
        self.directory = stand.directory / "toplevel"
        self.issue = self.directory / "issue"
        self.channel, self.page = ((HOST, port) for port in Random().sample(range(*PORTS), 2))
        self.logs: tuple[
            str, ...
        ] = ()  # keys of logs that it is the witness of, from its next start on
        self._stand = stand
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers.  Raises StandError."""
        words = {
            "--data-dir": str(self.directory),
            "--node-prefix": PREFIX,
            "--listen": _text(self.channel),
            "--page": _text(self.page),
            "--native": f"{HOST}:0",
            "--decide": "0",
            "--probe-seconds": "3600",  # whoever answers the routes of the campaign is not there
        }
        command = [sys.executable, "-m", "node", "toplevel", "--with-parent"]
        command += [word for pair in words.items() for word in pair]
        command += [word for key in self.logs for word in ("--log", key)]
        self.process: subprocess.Popen[bytes]
        self.process, self.log = self._stand.start_program("toplevel", command)
        wait_for_port(self.page, self.process, self.log)

    def kill(self) -> None:
        """Kill it; whoever calls this starts it again."""
        self.process.kill()
        self.process.wait()

    @property
    def database(self) -> Path:
        """Its rows."""
        return self.directory / "toplevel.db"

    def get(self, path: str) -> Any:
        """Return what its page tells.  Raises OSError."""
        return self._ask("GET", path)

    def post(self, path: str, **given: object) -> Any:
        """Have its page do something.  Raises OSError."""
        return self._ask("POST", path, given)

    def fault(self, **given: object) -> None:
        """Switch some of its faults on or off.  Raises OSError."""
        self.post("/faults", **given)

    def settings(self, channel: Address | None = None) -> Mapping[str, str]:
        """Return those of a node that is in step with it, directly or by way of something between."""
        return {
            "NODE_PREFIX": PREFIX,
            "SYNC_URL": f"https://{_text(channel or self.channel)}",
            "SYNC_CERTIFICATE": str(self.issue / "node.pem"),
            "SYNC_AUTHORITY": str(self.issue / "authority.crt"),
            "SYNC_SIGNING_KEY": str(self.issue / "signing.pem"),
            "SYNC_PEER_KEYS": str(self.issue / "toplevel.pub"),
        }

    def _ask(self, method: str, path: str, given: object = None) -> Any:
        url = f"http://{_text(self.page)}{path}"
        try:
            with httpx.Client(trust_env=False, timeout=PAGE_SECONDS) as client:
                answer = client.request(method, url, json=given)
        except httpx.HTTPError as error:
            raise OSError(f"{url}: {error}") from error
        if not answer.is_success:
            raise OSError(f"{url}: {answer.status_code} {answer.text}")
        return answer.json()


def start_in_step(
    stand: Stand, top: TopLevel, settings: Mapping[str, str], channel: Address | None = None
) -> Running:
    """Start a whole node that is in step with it.  Raises StandError."""
    return start_on_fixed_ports(stand, "synced", {**settings, **top.settings(channel)})


def operator_token(node: Node) -> str:
    """Return the token of the node's operator."""
    return (node.settings.data_dir / "operator-token").read_text("ascii").strip()


def _text(address: Address) -> str:
    return f"{address[0]}:{address[1]}"
