"""Every answer is counted, once, in the right place: over all workers, and after one of them was killed."""

import os
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from socket import AF_INET, SOCK_DGRAM, create_connection, socket
from typing import Any

import pytest

from loadtest.exchange import frame_length
from loadtest.stand import Node, get, open_stand
from node.counters import Counters, slot_path
from node.ledger.inbox import ask as ask_to_seal
from node.ledger.record import Class, Record, decode_all
from node.process.running import run_directory
from node.recording import PROTOS
from resolver.answer import Status
from resolver.frontends.tunnel import MESSAGE_TYPE
from resolver.observe import RESOLUTIONS
from resolver.render import CODES
from resolver.wire import (
    Envelope,
    Flag,
    Header,
    Message,
    Opcode,
    ResolutionRequest,
    ResponseCode,
)
from tests.support.nodes import NodeProcess, eventually

pytestmark = pytest.mark.slow

ROUNDS = 12  # each question so often, on another connection each time, so that every worker has its share
SETTLES_SECONDS = 30.0
RECORDS = """
{"handle":"0.NA/88.1000.1","values":[]}
{"handle":"0.NA/88.1000.2","delegated":true,"values":[]}
{"handle":"0.NA/oid:1.2.156.1000","values":[]}
{"handle":"oid:1.2.156.1000.7","values":[{"index":1,"type":"URL","data":"http://idnode.test/b"}]}
{"handle":"88.1000.1/here","values":[{"index":1,"type":"URL","data":"http://idnode.test/a"}]}
"""
CHANGES = 8  # that the feed tells of these: five records, three prefixes
QUESTIONS: dict[tuple[str, str], str] = {
    ("handle", "found"): "88.1000.1/here",
    ("oid", "found"): "oid:1.2.156.1000.7",
    ("handle", "no_such_handle"): "88.1000.1/nobody",
    ("handle", "no_such_value"): "88.1000.1/here?type=EMAIL",
    ("handle", "service_referral"): "88.1000.2/there",
    ("handle", "not_responsible"): "99.9/elsewhere",
    ("handle", "invalid_handle"): "",
    ("doi", "not_responsible"): "10.1000/182",
    ("oid", "not_responsible"): "oid:1.2.3",
}
"""(scheme, outcome) -> the question that must be counted so."""

Counts = Counter[tuple[str, str, str]]
Ask = Callable[[Node, str], None]


@pytest.fixture(scope="module")
def running() -> Iterator[Node]:
    with open_stand() as stand:
        started = stand.start_node("counts", {"WORKERS": "2"})
        records = Path(stand.directory) / "records.ndjson"
        records.write_text(RECORDS.strip() + "\n", "utf-8")
        load(started, records)
        yield started


def load(started: Node, records: Path) -> None:
    """Load the file, and wait until every worker has heard of it."""
    lent = NodeProcess(started.settings.data_dir)
    loaded = lent.run("load", str(records))
    assert loaded.returncode == 0, loaded.stdout + loaded.stderr
    eventually(
        lambda: min(series(started, "idnode_feed_serial").values()) >= CHANGES, SETTLES_SECONDS
    )


def series(running: Node, name: str) -> dict[str, float]:
    """Return the samples of one name by their labels, as text."""
    text = get(running.admin, "/metrics")[1].decode()
    found = re.findall(rf"^{name}(?:{{(.*)}})? (\S+)$", text, re.MULTILINE)
    return {labels: float(value) for labels, value in found}


def resolutions(running: Node) -> Counts:
    """Return what was counted by protocol, scheme and outcome, over all tiers."""
    counts: Counts = Counter()
    for labels, value in series(running, "idnode_resolutions_total").items():
        said = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        counts[said["protocol"], said["scheme"], said["outcome"]] += int(value)
    return counts


def in_histogram(running: Node) -> Counter[str]:
    """Return how many answers were timed, by protocol."""
    found = series(running, "idnode_resolution_seconds_count")
    return Counter({labels.split('"')[1]: int(value) for labels, value in found.items()})


def request_of(question: str) -> bytes:
    handle, _, wanted = question.partition("?type=")
    body = ResolutionRequest(handle.encode(), (), (wanted.encode(),) if wanted else ()).encode()
    header = Header(Opcode.RESOLUTION, flags=int(Flag.PUBLIC_ONLY))
    return Message(Envelope(2, 11, 2, 11, request_id=7), header, body).encode()


def ask_udp(running: Node, question: str) -> None:
    """Ask once, and never again: a repeated question would be counted twice, and rightly."""
    with socket(AF_INET, SOCK_DGRAM) as asking:
        asking.settimeout(SETTLES_SECONDS)
        asking.sendto(request_of(question), running.native)
        assert asking.recv(512)[8:12] == (7).to_bytes(4, "big")


def ask_tcp(running: Node, question: str) -> None:
    """Ask twice on one connection: the second answer may be a ready one."""
    with (
        create_connection(running.native, SETTLES_SECONDS) as asking,
        asking.makefile("rb") as back,
    ):
        for _ in range(2):
            asking.sendall(request_of(question))
            envelope = back.read(20)
            back.read(frame_length(envelope) - 20)


def ask_http(running: Node, question: str) -> None:
    """Ask twice on one connection."""
    exchange(running, 2, "GET", f"/api/handles/{question}")


def ask_page(running: Node, question: str) -> None:
    """Ask the proxy."""
    exchange(running, 1, "GET", f"/{question}")


def ask_tunnel(running: Node, question: str) -> None:
    """Ask the native way, by HTTP."""
    exchange(running, 1, "POST", "/", request_of(question), {"Content-Type": MESSAGE_TYPE})


def exchange(
    running: Node,
    times: int,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> None:
    connection = HTTPConnection(*running.http, timeout=SETTLES_SECONDS)
    try:
        for _ in range(times):
            connection.request(method, path, body, headers or {})
            connection.getresponse().read()
    finally:
        connection.close()


ASKING: dict[str, tuple[Ask, int]] = {
    "udp": (ask_udp, 1),
    "tcp": (ask_tcp, 2),
    "http_json": (ask_http, 2),
    "http_page": (ask_page, 1),
    "native_http": (ask_tunnel, 1),
}
"""protocol -> how to ask, and how many questions that is."""


def expected(question: tuple[str, str], protocol: str) -> tuple[str, str, str] | None:
    """Return where a question by this protocol must be counted; None when it cannot be asked so."""
    scheme, outcome = question
    if protocol != "http_page":
        return protocol, scheme.replace("doi", "handle"), outcome  # there it is always a handle
    if outcome == "invalid_handle":
        return None  # without a name there is a form, which is no resolution
    return protocol, scheme, outcome


def ask_everything(running: Node) -> Counts:
    """Ask every question by every protocol; return what must be counted for it."""
    asked: Counts = Counter()
    for protocol, (ask, times) in ASKING.items():
        for question, text in QUESTIONS.items():
            place = expected(question, protocol)
            if place is not None:
                for _ in range(ROUNDS):
                    ask(running, text)
                asked[place] += ROUNDS * times
    return asked


def becomes(read: Callable[[], Counter[Any]], wanted: Counter[Any]) -> None:
    """Wait until the counts are as wanted (a worker counts after it has answered); show both if they never are."""
    deadline = time.monotonic() + SETTLES_SECONDS
    while (now := read()) != wanted and time.monotonic() < deadline:
        time.sleep(0.05)
    assert now == wanted


def test_every_answer_is_counted_once_and_nothing_is_lost_with_a_worker(running: Node) -> None:
    before = resolutions(running)
    asked = ask_everything(running)
    becomes(lambda: resolutions(running), before + asked)
    becomes(lambda: in_histogram(running), by_protocol(before + asked))
    assert min(shares(running)) > ROUNDS  # so the one that is killed has something to lose
    workers, levels = running.workers(), series(running, "idnode_worker_start_timestamp_seconds")
    starts = series(running, "idnode_worker_starts_total")

    with create_connection(running.native):  # an open connection, which the killed one may have
        killed = process_of(running, 0)
        os.kill(killed, signal.SIGKILL)
        eventually(
            lambda: series(running, "idnode_worker_starts_total")['worker="0"'] == 2,
            SETTLES_SECONDS,
        )
        eventually(lambda: get(running.admin, "/readyz")[0] == 200, SETTLES_SECONDS)

    assert resolutions(running) == before + asked
    again = ask_everything(running)
    becomes(lambda: resolutions(running), before + asked + again)
    becomes(lambda: in_histogram(running), by_protocol(before + asked + again))
    assert starts == {'worker="0"': 1, 'worker="1"': 1}
    assert len(set(running.workers()) - set(workers)) == 1
    check_levels(running, levels)


def test_ledger_has_each_of_them_once(running: Node) -> None:
    """What was answered, what Prometheus says and what lies sealed in the ledger are one number, kind by kind."""
    asked = ask_everything(running)
    becomes(lambda: in_ledger(running), results(resolutions(running)))
    assert sum(asked.values()) <= sum(in_ledger(running).values())
    assert {record.class_ for record in sealed(running)} == {Class.SELF}  # from this machine


def results(counts: Counts) -> Counter[tuple[str, str]]:
    """Return the counts by protocol and response code."""
    found: Counter[tuple[str, str]] = Counter()
    for (protocol, _, outcome), count in counts.items():
        found[protocol, CODES[Status(outcome)].name] += count
    return found


def in_ledger(running: Node) -> Counter[tuple[str, str]]:
    """Have everything sealed, and return the records by protocol and response code."""
    names = {int(proto): protocol.value for protocol, proto in PROTOS.items()}
    return Counter(
        (names[record.proto], ResponseCode(record.result).name) for record in sealed(running)
    )


def sealed(running: Node) -> list[Record]:
    """Have everything sealed, and return all records."""
    directory = running.settings.data_dir / "ledger"
    ask_to_seal(directory)
    bodies = sorted((directory / "bodies").rglob("*.rec"))
    return [record for body in bodies for record in decode_all(body.read_bytes())]


def by_protocol(counts: Counts) -> Counter[str]:
    """Return the sums by protocol."""
    sums: Counter[str] = Counter()
    for (protocol, _, _), count in counts.items():
        sums[protocol] += count
    return sums


def process_of(running: Node, slot: int) -> int:
    return next(
        pid
        for pid in running.workers()
        if f"--slot {slot} " in Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    )


def shares(running: Node) -> list[int]:
    """Return what each worker has counted."""
    found = []
    for slot in range(running.settings.workers):
        counters = Counters.open(slot_path(run_directory(running.settings.data_dir), slot))
        found.append(sum(counters.cells[: len(RESOLUTIONS)]))
        counters.close()
    return found


def check_levels(running: Node, started_before: dict[str, float]) -> None:
    """Levels belong to the process that stands now: the new one started later, and holds no dead connection."""
    started = series(running, "idnode_worker_start_timestamp_seconds")
    assert started['worker="0"'] > started_before['worker="0"']
    assert started['worker="1"'] == started_before['worker="1"']
    eventually(
        lambda: set(series(running, "idnode_connections").values()) == {0.0}, SETTLES_SECONDS
    )
    age = time.time() - series(running, "idnode_feed_read_timestamp_seconds")['worker="0"']
    assert age < SETTLES_SECONDS
    processes = series(running, "idnode_process_resident_bytes")
    assert {'process="worker-0"', 'process="worker-1"', 'process="keeper"'} <= set(processes)
