"""Top-level nodes for tests: `idnode toplevel` as a process or in this one, and the node's side of the talk."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from secrets import token_urlsafe
from time import time
from typing import Any

import httpx

from node.address import Endpoint
from node.toplevel.app import Plan, Running, running
from resolver.keys.signing import SigningKey, load_verifying_keys
from sync.change import Place, Row, digest_rows
from sync.channels.epp import (
    Answer,
    Command,
    CreateEnterprise,
    CreatePrefix,
    Request,
    decode_answer,
    encode_command,
)
from sync.channels.tables import TABLES
from sync.sender import Sender
from sync.testing import MemoryOutbox
from sync.transport import HttpsTransport
from tests.support.epp import ENTERPRISE
from tests.support.serverprocess import ServerProcess
from tests.support.tablerows import table_rows

ANY = Endpoint("127.0.0.1", 0)
QUICK = 0.02  # seconds
LIMIT_SECONDS = 60
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

    def sender(self, greeting_seconds: float = QUICK * 5) -> Sender:
        """Return a sender that is in a hurry."""
        return Sender(
            self.outbox,
            self.transport,
            random=lambda: 0.5,
            new_session=lambda: f"session-{token_urlsafe(6)}",
            poll_seconds=QUICK,
            greeting_seconds=greeting_seconds,
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


class Both:
    """A node that sends, and the page of the top-level node that it talks to."""

    def __init__(self, found: Running, node: Node, page: httpx.AsyncClient, sender: Sender) -> None:
        self.found, self.node, self.page, self.sender = found, node, page, sender

    async def post(self, path: str, **body: object) -> Any:
        """Return what the page answers, which has to be good."""
        answer = await self.page.post(path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def get(self, path: str) -> Any:
        """Return what the page tells."""
        return (await self.page.get(path)).raise_for_status().json()

    async def are_equal(self) -> bool:
        """True when both sides stand at the same serial, with the same digest of each table."""
        digests = await self.get("/digests")
        told = {
            number: (each["rows"], each["digest"]) for number, each in digests["tables"].items()
        }
        outbox = self.node.outbox
        stands = (digests["session"], digests["serial"]) == (outbox.session, outbox.serial)
        is_heard = outbox.complete and outbox.acknowledged == outbox.serial
        return stands and is_heard and told == digests_of(outbox)

    async def meet(self) -> None:
        """Return when both are equal.  Raises TimeoutError."""
        self.sender.hint()
        await until(self.are_equal)


def digests_of(outbox: MemoryOutbox) -> dict[str, tuple[int, str]]:
    """Return the rows and digest of each table."""
    rows = [Row(*place, outbox.rows[place]) for place in sorted(outbox.rows)]
    return {each.table: (each.rows, each.digest) for each in digest_rows(rows)}


async def until(holds: Callable[[], Any]) -> None:
    """Return as soon as it holds.  Raises TimeoutError."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while True:
            found = holds()
            if await found if asyncio.iscoroutine(found) else found:
                return
            await asyncio.sleep(QUICK)


@asynccontextmanager
async def both(directory: Path, **options: Any) -> AsyncIterator[Both]:
    """A top-level node in this process, and a node that sends."""
    async with top_level(directory, **options) as found, page_of(found) as page:
        node = node_of(found)
        sender = node.sender()
        running = asyncio.create_task(sender.run())
        try:
            yield Both(found, node, page, sender)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await node.transport.close()


def write_rows(node: Node, first: int, count: int = 40) -> None:
    """Write so many rows of 表9."""
    for number in range(first, first + count):
        node.write("9", identifier=f"88.118.8/{number:05}")


class TopLevelProcess(ServerProcess):
    """`idnode toplevel` as a process; it can be killed, and started again on the same files and addresses."""

    def __init__(self, directory: Path, *words: str) -> None:
        super().__init__(directory.with_name(f"{directory.name}.out"))
        self.directory = directory
        self._words = words
        self._addresses = {"--listen": "127.0.0.1:0", "--page": "127.0.0.1:0"}

    def start(self) -> None:
        """Start it, and wait until it answers."""
        addresses = [word for pair in self._addresses.items() for word in pair]
        words = ("--data-dir", str(self.directory), "--native", "127.0.0.1:0", *self._words)
        self.run("toplevel", *words, *addresses)
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

    def _found(self, name: str, group: int) -> str:
        found = _URLS[name].search(self.said())
        assert found is not None
        return found[group]


async def lively(talk: Both) -> None:
    """Have it show something of everything."""
    await talk.node.command(CreateEnterprise("88.118", ENTERPRISE))
    await talk.node.command(CreatePrefix("88.118", "ENT-1", "88.118.8"))
    await talk.node.transport.heartbeat({"version": "0.1.0"})
    talk.node.write("6", upstream_id="ENT-1")
    talk.node.write("7")  # of a prefix that waits: rejected
    talk.node.write("9", name="<script>alert(1)</script>")
    await talk.meet()
