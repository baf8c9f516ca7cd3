"""`idnode witness` as a process: what it answers over HTTP, what it keeps, and that a crash makes it forget nothing."""

import json
import os
import random
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from node.errors import Kind, RegistryError
from node.ledger.checkpoint import Checkpoint
from node.ledger.memory import MAX_EVIDENCE, Memory, make_key
from node.ledger.note import Note, cosigned_at, verify
from node.ledger.submission import (
    ADD_PATH,
    MAX_SUBMISSION_BYTES,
    origin_hash,
    parse_cosignatures,
    parse_known_size,
)
from node.ledger.witnessing import Cosigned, Evidence, Refusal
from tests.support.logs import ORIGIN, WrittenLog, make_leaves, seed
from tests.support.witnesses import WitnessProcess, signed, submission, submit

LEAVES = make_leaves(10_000)
LOG_KEY = WrittenLog().signer.key
KILLS = 12


def grown(size: int, first: bytes = b"") -> WrittenLog:
    log = WrittenLog()
    log.append([first, *LEAVES[1:size]][:size])
    return log


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[WitnessProcess]:
    made = WitnessProcess(tmp_path, "auditor", LOG_KEY)
    try:
        made.start()
        yield made
    finally:
        made.end()


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False) as opened:
        yield opened


def test_it_cosigns_growth_and_refuses_everything_else(
    witness: WitnessProcess, client: httpx.Client
) -> None:
    first = submit(client, witness.url, grown(7), 0)
    assert first.status_code == 200
    grown_later = submit(client, witness.url, grown(40), 7)
    (line,) = parse_cosignatures(grown_later.content)
    assert verify(Note(grown(40).checkpoint().text, (line,)), [witness.key])
    assert abs(cosigned_at(line.data) - time.time()) < 60
    stale = submit(client, witness.url, grown(41), 7)
    assert (stale.status_code, stale.text) == (409, "40\n")
    assert stale.headers["content-type"] == "text/x.tlog.size"
    assert submit(client, witness.url, grown(41, b"forged"), 40).status_code == 422
    assert submit(client, witness.url, grown(40, b"forged"), 40).status_code == 422
    assert client.post(witness.url + ADD_PATH, content=b"old 0\n").status_code == 400
    assert submit(client, witness.url, grown(41), 40).status_code == 200


def test_it_publishes_its_key_and_what_it_cosigned(
    witness: WitnessProcess, client: httpx.Client
) -> None:
    published = f"{witness.url}/{origin_hash(ORIGIN)}/checkpoint"
    assert client.get(witness.url).text == f"{witness.key}\n"
    assert client.get(published).status_code == 404
    submit(client, witness.url, grown(7), 0)
    note = Note.parse(client.get(published).content)
    assert Checkpoint.parse(note.text) == grown(7).checkpoint()
    assert [each.key for each in verify(note, [LOG_KEY, witness.key])] == [LOG_KEY, witness.key]
    assert client.get(f"{witness.url}/{origin_hash('other')}/checkpoint").status_code == 404
    assert client.get(f"{witness.url}/healthz").text == "ok\n"
    assert client.get(f"{witness.url}/openapi.json").status_code == 404


def test_it_keeps_forks_that_the_log_signed(witness: WitnessProcess, client: httpx.Client) -> None:
    submit(client, witness.url, grown(40), 0)
    for _ in range(2):
        submit(client, witness.url, grown(40, b"forged"), 40)
    submit(client, witness.url, grown(41, b"forged"), 40)
    kept = {
        told["kind"]: told
        for told in map(
            json.loads, (path.read_bytes() for path in (witness.state / "evidence").iterdir())
        )
    }
    assert len(list((witness.state / "evidence").iterdir())) == 2
    assert set(kept) == {"fork", "doubt"}
    forged = Note.parse(kept["fork"]["submitted"].encode().partition(b"\n\n")[2])
    assert verify(forged, [LOG_KEY])
    assert Checkpoint.parse(forged.text).root == grown(40, b"forged").checkpoint().root
    assert verify(Note.parse(kept["fork"]["cosigned"].encode()), [LOG_KEY])


def test_it_remembers_over_a_stop_and_a_kill(witness: WitnessProcess, client: httpx.Client) -> None:
    submit(client, witness.url, grown(7), 0)
    assert witness.stop(signal.SIGTERM) == 0
    witness.start()
    assert submit(client, witness.url, grown(40), 7).status_code == 200
    witness.stop()
    witness.start()
    assert submit(client, witness.url, grown(41), 7).text == "40\n"
    assert f"{ORIGIN}: 40 leaves cosigned" in witness.said()


@pytest.mark.slow
def test_inputs_have_limits(witness: WitnessProcess, client: httpx.Client) -> None:
    too_long = client.post(witness.url + ADD_PATH, content=b"x" * (MAX_SUBMISSION_BYTES + 1))
    assert too_long.status_code == 413
    host, port = witness.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 30) as slow:
        slow.sendall(b"POST /add-checkpoint HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nold")
        assert slow.recv(100).startswith(b"HTTP/1.1 408") or slow.recv(1) == b""
    assert client.get(f"{witness.url}/healthz").status_code == 200


def test_only_one_runs_on_a_directory(witness: WitnessProcess, tmp_path: Path) -> None:
    with pytest.raises(RegistryError) as caught:
        Memory.open(witness.state, [LOG_KEY])
    assert caught.value.kind is Kind.IN_USE


def test_damaged_memory_stops_it_and_is_not_forgotten(tmp_path: Path) -> None:
    make_key(tmp_path / "w", "w.example", seed("w"))
    memory = Memory.open(tmp_path / "w", [LOG_KEY])
    keep(memory, grown(7), 0)
    memory.close()
    (path,) = (tmp_path / "w" / "heads").iterdir()
    whole = path.read_bytes()
    for data in (b"", whole[:-5], whole.replace(b"\n7\n", b"\n6\n")):
        path.write_bytes(data)
        with pytest.raises(RegistryError, match="would forget") as caught:
            Memory.open(tmp_path / "w", [LOG_KEY])
        assert caught.value.kind is Kind.INVALID
    path.write_bytes(whole)
    other = path.rename(path.with_name("0" * 64))  # the head of another log
    with pytest.raises(RegistryError, match="another log"):
        Memory.open(tmp_path / "w", [LOG_KEY])
    other.rename(path)
    path.with_name(f"{path.name}.new").write_bytes(b"cut o")  # a draft of a crash
    Memory.open(tmp_path / "w", [LOG_KEY]).close()


def test_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    make_key(tmp_path / "w", "w.example", seed("w"))
    assert (tmp_path / "w" / "key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(RegistryError) as caught:
        make_key(tmp_path / "w", "w.example", seed("another"))
    assert caught.value.kind is Kind.CONFLICT
    with pytest.raises(RegistryError, match="idnode witness key"):
        Memory.open(tmp_path / "none", [LOG_KEY])


def keep(memory: Memory, log: WrittenLog, old: int) -> Cosigned:
    decided = memory.rules.judge(submission(log, old), memory.seen, int(time.time()))
    assert isinstance(decided, Cosigned)
    memory.keep(decided.seen)
    return decided


def test_evidence_does_not_fill_the_disk(tmp_path: Path) -> None:
    make_key(tmp_path / "w", "w.example", seed("w"))
    memory = Memory.open(tmp_path / "w", [LOG_KEY])
    keep(memory, grown(7), 0)
    for no in range(MAX_EVIDENCE + 5):
        body = submission(grown(7, b"forged %d" % no), 7)
        refusal = memory.rules.judge(body, memory.seen, int(time.time()))
        assert isinstance(refusal, Refusal)
        assert (memory.keep_evidence(body, refusal, 1) is None) is (no >= MAX_EVIDENCE)
    doubted = submission(grown(8, b"forged"), 7)
    refusal = memory.rules.judge(doubted, memory.seen, int(time.time()))
    assert isinstance(refusal, Refusal)
    assert memory.keep_evidence(doubted, refusal, 1) is not None  # the other sort has its own room
    assert memory.keep_evidence(doubted, refusal, 1) is None
    assert memory.count_evidence(Evidence.FORK) == MAX_EVIDENCE
    memory.close()


class Cut(BaseException):
    """The machine stops here."""


class CuttingDisk:
    """Counts what is asked of the disk, and stops the machine before the call of a number."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        self.cut_before = -1
        for name in ("open", "fsync", "replace", "rename"):
            patch.setattr(os, name, self._counting(name, getattr(os, name)))

    def _counting(self, name: str, call: object) -> object:
        def counted(*words: object, **options: object) -> object:
            if len(self.calls) == self.cut_before:
                raise Cut
            self.calls.append(name)
            assert callable(call)
            return call(*words, **options)

        return counted


def test_head_is_durable_before_it_is_answered_and_a_cut_leaves_the_old_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_key(tmp_path / "w", "w.example", seed("w"))
    memory = Memory.open(tmp_path / "w", [LOG_KEY])
    keep(memory, grown(7), 0)
    with monkeypatch.context() as patch:
        disk = CuttingDisk(patch)
        keep(memory, grown(8), 7)
        steps = disk.calls[:]
    memory.close()
    assert [step for step in steps if step != "open"] in (
        ["fsync", "replace", "fsync"],
        ["fsync", "rename", "fsync"],
    )
    size = 8
    for at in range(len(steps)):
        memory = Memory.open(tmp_path / "w", [LOG_KEY])
        with monkeypatch.context() as patch:
            CuttingDisk(patch).cut_before = at
            with pytest.raises(Cut):
                keep(memory, grown(size + 1), size)
        memory.close()
        memory = Memory.open(tmp_path / "w", [LOG_KEY])
        found = memory.seen[ORIGIN].checkpoint
        assert found in (grown(size).checkpoint(), grown(size + 1).checkpoint())
        size = found.size
        memory.close()


def test_what_the_disk_did_not_take_is_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_key(tmp_path / "w", "w.example", seed("w"))
    memory = Memory.open(tmp_path / "w", [LOG_KEY])
    keep(memory, grown(7), 0)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            keep(memory, grown(8), 7)
    assert memory.seen[ORIGIN].checkpoint.size == 7
    refused = memory.rules.judge(submission(grown(9), 8), memory.seen, int(time.time()))
    assert isinstance(refused, Refusal)
    keep(memory, grown(9), 7)
    memory.close()


class Submitter(threading.Thread):
    """Grows one of two histories that a stolen key signs, as long as it is let; remembers what was cosigned."""

    def __init__(self, url: str, first: bytes, stop: threading.Event) -> None:
        super().__init__()
        self.cosigned: list[Checkpoint] = []
        self._url, self._stop_event = url, stop
        self._log = grown(1, first)

    def run(self) -> None:
        old = 0
        with httpx.Client(trust_env=False, timeout=5) as client:
            while not self._stop_event.is_set():
                try:
                    old = self._submit(client, old)
                except httpx.HTTPError:
                    time.sleep(0.02)  # it is being started again

    def _submit(self, client: httpx.Client, old: int) -> int:
        answer = submit(client, self._url, self._log, min(old, self._log.size))
        if answer.status_code == 409:
            return parse_known_size(answer.content)
        if answer.status_code == 200:
            assert parse_cosignatures(answer.content)
            self.cosigned.append(Checkpoint.parse(signed(self._log).text))
            self._log.append([LEAVES[self._log.size]])
            return self.cosigned[-1].size
        return old


@pytest.mark.slow
def test_killed_at_any_moment_it_never_cosigns_two_trees_that_disagree(
    witness: WitnessProcess, client: httpx.Client
) -> None:
    moments, stop = random.Random(7), threading.Event()  # noqa: S311
    largest = grown(len(LEAVES))
    submitters = [Submitter(witness.url, first, stop) for first in (b"one", b"another")]
    for each in submitters:
        each.start()
    try:
        for _ in range(KILLS):
            time.sleep(moments.random() * 0.3)
            witness.stop()
            acknowledged = max(
                (each.cosigned[-1].size for each in submitters if each.cosigned), default=0
            )
            witness.start()
            known = submit(client, witness.url, largest, largest.size)
            assert known.status_code == 409
            assert parse_known_size(known.content) >= acknowledged
    finally:
        stop.set()
        for each in submitters:
            each.join()
    one, another = (each.cosigned for each in submitters)
    assert bool(one) != bool(another)  # whoever came first; never both
    assert len(one or another) > KILLS
