"""Let a witness that nobody here wrote judge our log and our client, and the same author's tools our witness.

aics-witness cosigns a log of our modules that our client submits, and refuses a stale size and two forks; aics-tlog
believes what our own witness cosigned, and the client that comes with aics-witness is served by it.  A judge that is
missing is a failure.
"""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import time

import httpx

from node.ledger.cosigning import Cosigning
from node.ledger.keys import VerifierKey, to_base64
from node.ledger.logfiles import LogFiles
from node.ledger.note import Note
from node.ledger.quorum import Policy
from node.ledger.submission import origin_hash, parse_known_size
from node.ledger.tlog import consistency_proof
from node.ledger.witness import Cause, WitnessClient, WitnessRefused
from node.store.ledger import Cosignature
from resolver.observe import CELL_COUNT, Tally
from tests.support.logs import WrittenLog, make_leaves
from tests.support.nodes import ROOT, STOP_SECONDS, eventually
from tests.support.waiting import until
from tests.support.witnesses import WitnessProcess, signed, submit

JUDGES = ROOT / ".judges" / "bin"
AICS_WITNESS, AICS_TLOG, PYTHON = JUDGES / "aics-witness", JUDGES / "aics-tlog", JUDGES / "python"
OLD_SIZE, NEW_SIZE = 600, 1_000
LEAVES = make_leaves(NEW_SIZE)
FOR_EVER = 3_600.0
TIMEOUT_SECONDS = 60.0

# Their client: it submits the notes of two sizes to our witness, with the proofs that it is given for the sizes it
# asks for, and checks each answer by itself.
_THEIR_CLIENT = """
import base64, json, sys
from aics_witness.feeder import WitnessClient
told = json.load(sys.stdin)
client = WitnessClient(told["url"], told["key"])
for note in told["notes"]:
    line = client.submit(note["text"].encode(), lambda old, new: [base64.b64decode(x) for x in note["proof"]])
print("cosigned" if line else "nothing")
"""

Said = Iterator[tuple[str, bool]]


class AicsWitness:
    """aics-witness on a directory and a port of its own."""

    def __init__(self, directory: Path, log: VerifierKey) -> None:
        self._config = directory / "witness.json"
        self.key = VerifierKey.parse(self._run("init", "--name", "aics.example/w").strip())
        self._run("add-log", "--origin", log.name, "--vkey", str(log))
        self._output = directory / "out"
        self.url = ""
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with self._output.open("wb") as output:
            words = (
                str(AICS_WITNESS),
                "serve",
                "--config",
                str(self._config),
                "--listen",
                "127.0.0.1:0",
            )
            self._process = subprocess.Popen(words, stdout=output, stderr=output)
        eventually(lambda: re.search(r"127\.0\.0\.1:[1-9]\d*", self._output.read_text()))
        found = re.search(r"127\.0\.0\.1:[1-9]\d*", self._output.read_text())
        assert found is not None
        self.url = f"http://{found[0]}"

    def end(self) -> None:
        """Leave nothing behind."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_SECONDS)

    def evidence(self) -> list[object]:
        """Return what it kept against the log."""
        kept = json.loads(self._run("evidence"))
        assert isinstance(kept, list)
        return kept

    def _run(self, verb: str, *words: str) -> str:
        return subprocess.run(
            (str(AICS_WITNESS), verb, "--config", str(self._config), *words),
            capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=True,
        ).stdout  # fmt: skip


def main() -> int:
    """Return 1 when a judge is not content, or is missing."""
    missing = [each for each in (AICS_WITNESS, AICS_TLOG, PYTHON) if not each.exists()]
    for each in missing:
        sys.stdout.write(f"FAILED {each} is not there: make judges installs it\n")
    if missing:
        return 1
    failed = 0
    for judge in (_judge_client, _judge_witness):
        for what, is_right in judge():
            failed += not is_right
            sys.stdout.write(f"{'ok    ' if is_right else 'FAILED'} {what}\n")
    return 1 if failed else 0


def _judge_client() -> Said:
    """Their witness, our client."""
    with _own_log() as (directory, log):
        witness = AicsWitness(directory, log.signer.key)
        try:
            witness.start()
            note = asyncio.run(_cosigned(directory, log, witness.key, witness.url))
            yield (
                f"aics-witness: cosigns growth 0 to {OLD_SIZE} to {NEW_SIZE} for our client",
                note is not None,
            )
            with httpx.Client(trust_env=False) as client:
                stale = submit(client, witness.url, log, OLD_SIZE)
                is_stale = stale.status_code == 409 and parse_known_size(stale.content) == NEW_SIZE
                yield f"aics-witness: 409 with {NEW_SIZE} to a stale size", is_stale
                for what, forged in (
                    ("a fork of the same size", NEW_SIZE),
                    ("forked growth", NEW_SIZE + 1),
                ):
                    answer = submit(client, witness.url, _forged(forged), NEW_SIZE)
                    yield f"aics-witness: 422 to {what}", answer.status_code == 422
            cause = asyncio.run(_refusal(witness, _forged(NEW_SIZE + 1)))
            yield "aics-witness: our client takes the refusal of a fork as one", cause is Cause.FORK
            yield "aics-witness: keeps the forks as evidence", len(witness.evidence()) >= 2
        finally:
            witness.end()


def _judge_witness() -> Said:
    """Our witness, their tools."""
    with _own_log() as (directory, log):
        witness = WitnessProcess(directory, "ours", log.signer.key)
        other = WitnessProcess(directory, "other", log.signer.key)  # never started
        try:
            witness.start()
            is_served = _their_client(witness)
            yield "aics-witness: its client is served by our witness", is_served
            note = asyncio.run(_cosigned(directory, log, witness.key, witness.url))
            path = directory / "ledger" / "heads" / f"{NEW_SIZE}.note"
            yield "our witness cosigns for our client", note is not None
            yield "aics-tlog: quorum of 1 with our witness", _tlog(path, log, witness.key)
            yield "aics-tlog: none with another witness", not _tlog(path, log, other.key)
            published = directory / "published"
            with httpx.Client(trust_env=False) as client:
                found = client.get(f"{witness.url}/{origin_hash(log.signer.name)}/checkpoint")
            published.write_bytes(found.content)
            yield (
                "aics-tlog: quorum of 1 with what our witness publishes",
                _tlog(published, log, witness.key),
            )
        finally:
            witness.end()


async def _cosigned(directory: Path, log: WrittenLog, key: VerifierKey, url: str) -> Note | None:
    """Have the log cosigned while it grows; return the last head when the quorum was met for both."""
    files = LogFiles(directory / "ledger")
    await asyncio.to_thread(files.make)
    lines = (f"log {log.signer.key}", f"witness w {key} {url}", "quorum w", "")
    policy = Policy.parse("\n".join(lines).encode())
    cosigning = Cosigning(
        files, policy, Tally([0] * CELL_COUNT), _keep_rows, round_seconds=FOR_EVER
    )
    running = asyncio.create_task(cosigning.run())
    try:
        for size in (OLD_SIZE, NEW_SIZE):
            log.append(LEAVES[log.size : size])
            log.write(files.directory / "log", signed(log))
            cosigning.ask_now()
            await until(lambda size=size: cosigning.standing.size == size)  # type: ignore[misc]
    except TimeoutError:
        return None
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await cosigning.close()
    heads = [files.head(size) for size in (OLD_SIZE, NEW_SIZE)]
    return heads[-1] if all(head is not None and policy.is_met(head) for head in heads) else None


async def _refusal(witness: AicsWitness, forged: WrittenLog) -> Cause | None:
    lines = (f"log {forged.signer.key}", f"witness w {witness.key} {witness.url}", "quorum w", "")
    (named,) = Policy.parse("\n".join(lines).encode()).witnesses
    async with httpx.AsyncClient(trust_env=False) as http:
        client = WitnessClient(named, http, time)
        try:
            await client.cosign(
                signed(forged),
                forged.checkpoint(),
                lambda old: consistency_proof(old, forged.size, forged.read(forged.size)),
            )
        except WitnessRefused as error:
            return error.cause
    return None


async def _keep_rows(_rows: Sequence[Cosignature]) -> None:
    """There is no database."""


def _their_client(witness: WitnessProcess) -> bool:
    """Let their client submit two sizes, both smaller than those that ours submits later."""
    log, notes = WrittenLog(), []
    for old, size in ((0, 7), (7, 40)):
        log.append(LEAVES[old:size])
        proof = consistency_proof(old, size, log.read(size))
        notes.append({"text": signed(log).encode().decode(), "proof": list(map(to_base64, proof))})
    told = json.dumps({"url": witness.url, "key": str(witness.key), "notes": notes})
    run = subprocess.run(
        (str(PYTHON), "-c", _THEIR_CLIENT),
        input=told, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False,
    )  # fmt: skip
    sys.stdout.write(run.stderr)
    return run.stdout == "cosigned\n"


def _tlog(note: Path, log: WrittenLog, witness: VerifierKey) -> bool:
    run = subprocess.run(
        (str(AICS_TLOG), "verify-checkpoint", "--note", str(note), "--origin", log.signer.key.name,
         "--log-key", str(log.signer.key), "--witness-key", str(witness), "--quorum", "1", "--max-age", "600"),
        capture_output=True, timeout=TIMEOUT_SECONDS, check=False,
    )  # fmt: skip
    is_content = json.loads(run.stdout)["ok"]
    assert is_content is (run.returncode == 0)
    return run.returncode == 0


def _forged(size: int) -> WrittenLog:
    """Another history under the same key."""
    log = WrittenLog()
    log.append([b"another leaf", *make_leaves(size)[1:]])
    return log


@contextmanager
def _own_log() -> Iterator[tuple[Path, WrittenLog]]:
    with TemporaryDirectory(prefix="idnode-witness-") as name:
        yield Path(name), WrittenLog()


if __name__ == "__main__":
    sys.exit(main())
