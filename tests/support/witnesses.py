"""Witnesses for tests: `idnode witness` as a process, and one that answers whatever a test wants."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from time import time

import httpx

from node.ledger.checkpoint import Checkpoint, Cosigner
from node.ledger.keys import VerifierKey
from node.ledger.memory import make_key
from node.ledger.note import Note, Signature
from node.ledger.submission import ADD_PATH, Submission
from node.ledger.tlog import consistency_proof
from tests.support.logs import WrittenLog, seed
from tests.support.serverprocess import ServerProcess

_URL = re.compile(r"http://\S+")


class WitnessProcess(ServerProcess):
    """A witness of its own key in a directory; it can be killed and started again under the same address."""

    def __init__(self, directory: Path, name: str, *logs: VerifierKey) -> None:
        super().__init__(directory / f"{name}.out")
        self.state = directory / name
        self.cosigner = make_key(self.state, f"{name}.example/w", seed(name))
        self.url = ""
        self._logs = logs
        self._listen = "127.0.0.1:0"

    @property
    def key(self) -> VerifierKey:
        """What a log's policy names."""
        return self.cosigner.key

    def start(self) -> None:
        """Start it, and wait until it answers."""
        logs = [word for key in self._logs for word in ("--log", str(key))]
        self.run("witness", "run", "--state", str(self.state), "--listen", self._listen, *logs)
        found = _URL.search(self.said())
        assert found is not None
        self.url = found[0]
        self._listen = self.url.removeprefix("http://")


def signed(log: WrittenLog) -> Note:
    """Return a log's checkpoint with its own line only."""
    checkpoint = log.checkpoint()
    return Note(checkpoint.text).signed(log.signer.sign(checkpoint.text))


def submission(log: WrittenLog, old: int) -> bytes:
    """Return what the log sends to a witness that has cosigned this size."""
    proof = consistency_proof(old, log.size, log.read(log.size)) if old <= log.size else []
    return Submission(old, tuple(proof), signed(log)).encode()


def submit(client: httpx.Client, url: str, log: WrittenLog, old: int) -> httpx.Response:
    """Send it."""
    return client.post(url + ADD_PATH, content=submission(log, old))


Answer = Callable[[Submission], tuple[int, bytes]]
"""What a scripted witness answers: a status and a body."""


class ScriptedWitness:
    """A witness that answers what `answer` says, however wrong; what it was sent is in `asked`."""

    def __init__(self, name: str, answer: Answer | None = None) -> None:
        self.cosigner = Cosigner(f"{name}.example/w", seed(name))
        self.asked: list[Submission] = []
        self.answer = answer or self.cosigns
        self.headers = b""
        self.delay_seconds = 0.0
        self.url = ""

    def cosigns(self, submission: Submission) -> tuple[int, bytes]:
        """Cosign everything at the right time, as a lazy witness does."""
        return 200, self.line(submission, int(time())).line.encode()

    def line(self, submission: Submission, seconds: int) -> Signature:
        """Return a right cosignature with any time."""
        return self.cosigner.cosign(Checkpoint.parse(submission.note.text), seconds)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request, and close."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head.lower())
            assert length is not None
            asked = Submission.parse(await reader.readexactly(int(length[1])))
            self.asked.append(asked)
            await asyncio.sleep(self.delay_seconds)
            status, body = self.answer(asked)
            head = b"HTTP/1.1 %d X\r\nconnection: close\r\n%bcontent-length: %d\r\n\r\n"
            writer.write(head % (status, self.headers, len(body)) + body)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client has gone
        finally:
            writer.close()


@asynccontextmanager
async def serving(*witnesses: ScriptedWitness) -> AsyncIterator[Sequence[ScriptedWitness]]:
    """Let scripted witnesses answer."""
    servers = []
    for each in witnesses:
        server = await asyncio.start_server(each.serve, "127.0.0.1", 0)
        each.url = "http://{}:{}".format(*server.sockets[0].getsockname())
        servers.append(server)
    try:
        yield witnesses
    finally:
        for server in servers:
            server.close()
