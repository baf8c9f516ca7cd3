"""Top-level nodes for tests: `idnode toplevel` as a process or in this one, and the node's side of the talk."""

import os
import re
import signal
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from secrets import token_urlsafe
from time import time
from typing import Any

import httpx

from node.address import Endpoint
from node.toplevel.app import Plan, Running, running
from resolver.keys.signing import SigningKey, load_verifying_keys
from sync.change import Place
from sync.channels.epp import Answer, Command, Request, decode_answer, encode_command
from sync.channels.tables import TABLES
from sync.sender import Sender
from sync.testing import MemoryOutbox
from sync.transport import HttpsTransport
from tests.support.nodes import ROOT, STOP_SECONDS, eventually
from tests.support.tablerows import table_rows

ANY = Endpoint("127.0.0.1", 0)
QUICK = 0.02  # seconds
_URLS = {"page": re.compile(r"http://\S+"), "channel": re.compile(r"URL=(https://\S+)")}


class Node:
    """What a secondary node has to talk with: the papers it was handed, an outbox in memory, and a sender."""

    def __init__(
        self, url: str, issue: Path, *, signing: Path | None = None, exchange_seconds: float = 5.0
    ) -> None:
        context = ssl.create_default_context(cafile=str(issue / "authority.crt"))
        context.load_cert_chain(issue / "node.pem")
        self.transport = HttpsTransport(
            url,
            context,
            SigningKey.load(signing or issue / "signing.pem"),
            clock=time,
            nonce=lambda: token_urlsafe(16),
            peer_keys=load_verifying_keys(issue / "toplevel.pub"),
            exchange_seconds=exchange_seconds,
        )
        self.outbox = MemoryOutbox()
        self._number = 0

    def sender(self) -> Sender:
        """Return a sender that is in a hurry."""
        return Sender(
            self.outbox,
            self.transport,
            random=lambda: 0.5,
            new_session=lambda: f"session-{token_urlsafe(6)}",
            poll_seconds=QUICK,
            greeting_seconds=QUICK * 5,
            backoff_seconds=QUICK,
        )

    async def command(self, command: Command) -> Answer:
        """Send an EPP command, and return what it was answered."""
        self._number += 1
        client_id = f"CL-{self._number:05}"
        frame = encode_command(Request(command, client_id))
        return decode_answer(await self.transport.epp(frame), client_id)

    def write(self, number: str, **changes: Any) -> Place:
        """Write an honest row of a table, with some of its fields changed."""
        row = table_rows()[number] | changes
        place = Place(number, TABLES[number].key_of(row))
        self.outbox.write(place, TABLES[number].encode(row))
        return place


@asynccontextmanager
async def top_level(directory: Path, **options: Any) -> AsyncIterator[Running]:
    """A top-level node in this process."""
    plan = Plan(directory, ANY, ANY, ANY, "88.118", **{"probe_seconds": 60.0, **options})
    async with running(plan) as found:
        yield found


def page_of(found: Running) -> httpx.AsyncClient:
    """Return a client of its page."""
    return httpx.AsyncClient(base_url=f"http://{found.page}", trust_env=False, timeout=30)


def node_of(found: Running, **options: Any) -> Node:
    """Return a node that has its papers."""
    return Node(f"https://{found.channel}", found.papers.issue, **options)


class TopLevelProcess:
    """`idnode toplevel` as a process; it can be killed, and started again on the same files and addresses."""

    def __init__(self, directory: Path, *words: str) -> None:
        self.directory = directory
        self._words = words
        self._addresses = {"--listen": "127.0.0.1:0", "--page": "127.0.0.1:0"}
        self._output = directory.with_name(f"{directory.name}.out")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        addresses = [word for pair in self._addresses.items() for word in pair]
        words = ("--data-dir", str(self.directory), "--native", "127.0.0.1:0", *self._words)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("IDNODE_")}
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                (sys.executable, "-m", "node", "toplevel", *words, *addresses),
                stdout=output, stderr=output, cwd=ROOT, env=environment,
            )  # fmt: skip
        eventually(lambda: "Ctrl-C" in self.said() or self.has_ended())
        assert not self.has_ended(), self.said()
        self._addresses["--listen"] = self.url.removeprefix("https://")
        self._addresses["--page"] = self.page.removeprefix("http://").rstrip("/")

    @property
    def url(self) -> str:
        """Where the node reaches it."""
        return self._found("channel", 1)

    @property
    def page(self) -> str:
        """Where its page is."""
        return self._found("page", 0)

    def said(self) -> str:
        """Return what it has printed and logged since it was started."""
        return self._output.read_text("utf-8")

    def stop(self, how: signal.Signals = signal.SIGKILL) -> int:
        """End it, and return its exit code."""
        assert self._process is not None
        self._process.send_signal(how)
        code = self._process.wait(STOP_SECONDS)
        self._process = None
        return code

    def end(self) -> None:
        """Leave nothing behind."""
        if self._process is not None:
            self.stop()

    def has_ended(self) -> bool:
        """True when it does not run."""
        return self._process is None or self._process.poll() is not None

    def _found(self, name: str, group: int) -> str:
        found = _URLS[name].search(self.said())
        assert found is not None
        return found[group]
