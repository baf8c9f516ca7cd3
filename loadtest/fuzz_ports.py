"""Fuzz the ports: random and mutated messages through a running node's UDP, TCP and HTTP.

    python -m loadtest.fuzz_ports --messages 1000000 --seed 1
    python -m loadtest.fuzz_ports --udp HOST:PORT --tcp HOST:PORT --http HOST:PORT --admin HOST:PORT --log FILE

Without addresses it starts a node of its own, with two workers, the records of the recorded exchanges (with other
secrets), an administrator, and NOBODY, whose login is right and who may do nothing: every opcode and every request is
tried as a stranger and as NOBODY, with proofs, sessions and tokens that are right, spoilt or false.  With addresses the
node must run on this machine (its processes are watched) and hold the record `--handle`; nobody logs in there.

What must hold, during and afterwards: every known question is answered right, and every connection ends; the processes
are the same; their memory does not grow without bound; the log holds no error; the admin listener is ready; no status
5xx but 501 and 503; and the database is what it was.  The same seed and number make the same messages, but for what
sessions make of them (how they interleave is up to the machine).  Status 1 when something did not hold.
"""

import argparse
import asyncio
import json
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from random import Random
from time import perf_counter

import uvloop

from loadtest import cpu
from loadtest.admin_mutations import AdminMutator
from loadtest.administrators import NOBODY, SETTINGS, make_token, settle
from loadtest.exchange import http_request, native_request
from loadtest.fuzz_codec import VECTORS, Mutator, read_corpus
from loadtest.handshake_traffic import Handshakes
from loadtest.http_mutations import HttpMutator, read_http_corpus
from loadtest.learn import ask_native
from loadtest.native_session import NativeConnection, NativeSession
from loadtest.port_traffic import (
    BATCH,
    Counts,
    Known,
    PortFault,
    sources,
    talk_http,
    talk_tcp,
    talk_udp,
)
from loadtest.stand import get, open_stand
from loadtest.streams import Address
from loadtest.unchanged import differences, take_digests
from loadtest.verdict import conclude
from loadtest.write_mutations import WriteRequests

FIXTURE = VECTORS.with_name("handle-fixture.ndjson")
HANDLE = "20.500.12345/h000001"
SHARES = {"udp": 0.38, "tcp": 0.38, "http": 0.22, "handshake": 0.02}
TASKS = {"udp": 4, "tcp": 16, "http": 24, "handshake": 4}
SESSIONS = 8  # of NOBODY, over the workers
ADMIN_SHARE = 0.5  # of native messages
SOURCES = 128
A_CONNECTION = {  # messages of one; few, since what follows a message that loses the framing is not read
    "tcp": (1, 4, 8, 16),
    "http": (1, 1, 1, 2, 4),
}
WARM_SHARE = 0.25  # of the messages, after which memory is compared
MAX_GROWTH_BYTES = 48 << 20  # a process, after that: caches of names that do not exist still fill
SAY_SECONDS = 10.0
_NUMBERS = re.compile(r"0x[0-9a-f]+|\d+")


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the node listens, the file of its log (None: not looked at), and what only our own node has."""

    udp: Address
    tcp: Address
    http: Address
    admin: Address
    log: Path | None
    database_url: str = ""
    tokens: tuple[str, ...] = ()  # of NOBODY

    @property
    def is_ours(self) -> bool:
        """True for a node of our own, where NOBODY can log in."""
        return bool(self.database_url)


class Watch:
    """The processes that serve: who they are, and how much memory they had when it was warm and at the end."""

    def __init__(self, pids: Sequence[int]) -> None:
        self.pids = tuple(pids)
        self.warm: dict[int, int] = {}

    def mark_warm(self) -> None:
        """Remember memory now."""
        self.warm = self.resident()

    def resident(self) -> dict[int, int]:
        """Return resident bytes by process."""
        return {pid: cpu.rss_bytes(pid) for pid in self.pids if Path(f"/proc/{pid}").exists()}

    def faults(self, pids_now: Sequence[int]) -> Iterator[str]:
        """Say what did not hold."""
        if set(pids_now) != set(self.pids):
            yield f"the processes are others: {sorted(self.pids)} before, {sorted(pids_now)} now"
        for pid, now in self.resident().items():
            grown = now - self.warm.get(pid, now)
            if grown > MAX_GROWTH_BYTES:
                yield f"memory of {cpu.command(pid)[:80]} ({pid}) grew by {grown >> 20} MiB"


class Fuzzer:
    """Sends so many messages, by several tasks a transport."""

    def __init__(self, ports: Ports, known: Known, messages: int, seed: int) -> None:
        self._ports, self._known, self._seed = ports, known, seed
        self.messages = {name: int(messages * share) for name, share in SHARES.items()}
        self.counts = Counts()
        self._native, self._http = read_corpus(), read_http_corpus(VECTORS)
        self._sessions: list[NativeSession] = []

    async def run(self, watch: Watch) -> None:
        """Send all.  Raises PortFault (in a group) at the first thing that must not be."""
        connections = [
            await NativeConnection.open(self._ports.tcp, NOBODY)
            for _ in range(SESSIONS if self._ports.is_ours else 0)
        ]
        self._sessions = [connection.session for connection in connections]
        try:
            await self._send_all(watch)
        finally:
            for connection in connections:
                connection.close()
            await asyncio.sleep(0)  # transports close in the next turn of the loop

    async def _send_all(self, watch: Watch) -> None:
        async with asyncio.TaskGroup() as tasks:
            side = tasks.create_task(self._report(watch))
            async with asyncio.TaskGroup() as talks:
                for number in range(TASKS["udp"]):
                    talks.create_task(self._udp(number))
                for name, talk in (("tcp", talk_tcp), ("http", talk_http)):
                    for number in range(TASKS[name]):
                        talks.create_task(self._connections(name, number, talk))
                for number in range(TASKS["handshake"] if self._ports.is_ours else 0):
                    talks.create_task(self._handshakes(number))
            side.cancel()

    async def _handshakes(self, number: int) -> None:
        seed = self._seed_of("handshake", number)
        handshakes = Handshakes(self._ports.tcp, seed, self.counts)
        while self.counts.messages["handshake"] < self.messages["handshake"]:
            await handshakes.talk()

    async def _udp(self, number: int) -> None:
        make, _ = self._maker("udp", number)
        owners = list(sources(self._ports.udp, SOURCES // TASKS["udp"]))
        turns, left = cycle(owners), -(-self.messages["udp"] // TASKS["udp"])
        question = number << 24
        try:
            while left > 0:
                question += 1
                batch = [make() for _ in range(min(BATCH, left))]
                left -= len(batch)
                await talk_udp(next(turns), batch, self._known, question, self.counts)
        finally:
            for owner in owners:
                owner.close()

    async def _connections(self, name: str, number: int, talk: Callable[..., object]) -> None:
        make, cut = self._maker(name, number)
        random = Random(self._seed_of(name, number) + 1)
        address = self._ports.tcp if name == "tcp" else self._ports.http
        left = -(-self.messages[name] // TASKS[name])
        while left > 0:
            made = [make() for _ in range(min(random.choice(A_CONNECTION[name]), left))]
            left -= len(made)
            data = b"".join(made)
            pieces = list(cut(data)) if random.random() < 0.2 else [data]
            done = talk(address, pieces, len(made), self._known, self.counts)
            assert asyncio.iscoroutine(done)  # noqa: S101
            await done

    def _maker(
        self, name: str, number: int
    ) -> tuple[Callable[[], bytes], Callable[[bytes], Iterator[bytes]]]:
        seed = self._seed_of(name, number)
        mutator = Mutator(self._native, seed)
        administration = AdminMutator(self._sessions, seed)
        dice = Random(f"share {seed}")

        def make() -> bytes:
            source = administration if dice.random() < ADMIN_SHARE else mutator
            return source.make()

        if name != "http":
            return make, mutator.pieces
        writes = WriteRequests(seed, self._ports.tokens)
        http = HttpMutator(self._http, seed, make, writes.make)
        return http.make, mutator.pieces

    def _seed_of(self, name: str, number: int) -> int:
        return self._seed * 1_000 + 100 * list(SHARES).index(name) + 2 * number

    async def _report(self, watch: Watch) -> None:
        """Say now and then how far we are, and mark memory when it is warm."""
        wanted, said = sum(self.messages.values()), perf_counter()
        while True:
            await asyncio.sleep(0.2)
            sent = self.counts.messages.total()
            if not watch.warm and sent >= WARM_SHARE * wanted:
                watch.mark_warm()
            if perf_counter() - said > SAY_SECONDS:
                said = perf_counter()
                resident = ", ".join(f"{size >> 20}" for size in watch.resident().values())
                print(f"{sent:,} of {wanted:,} messages; resident MiB: {resident}", flush=True)


def learn_known(ports: Ports, handle: str) -> Known:
    """Ask the known question once each way.  Raises PortFault when the node does not have the handle."""
    question = native_request(handle.encode())
    answer = ask_native(ports.tcp, [question])[0]
    if answer[27] != 1:
        raise PortFault(f"the node does not answer {handle}: {answer.hex()}")
    status, body = get(ports.http, f"/api/handles/{handle}")
    if status != 200:
        raise PortFault(f"the node does not answer {handle} over HTTP: {status} {body!r}")
    http_question = http_request(handle.encode(), f"{ports.http[0]}:{ports.http[1]}")
    return Known(question, answer[40:], http_question, body)


def listening_processes(address: Address) -> list[int]:
    """Return the processes on this machine that hold a listening TCP socket of this port."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(FileNotFoundError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == address[1]:
                    inodes.add(f"socket:[{fields[9]}]")
    return [pid for pid in _all_processes() if inodes & _open_files(pid)]


def _all_processes() -> Iterator[int]:
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal())


def _open_files(pid: int) -> set[str]:
    found = set()
    with suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                found.add(str(entry.readlink()))
    return found


def log_faults(log: Path, *expected: str) -> Iterator[str]:
    """Say what a node's log calls an error, each kind once with the number of times; not what holds a text expected."""
    kinds: dict[str, list[str]] = {}
    lines = log.read_text("utf-8", "replace").splitlines()
    for line in (line for line in lines if not any(text in line for text in expected)):
        try:
            event = json.loads(line)
            bad, kind = (
                event["level"] in ("error", "critical"),
                f"{event['event']} {event.get('error')}",
            )
        except (ValueError, KeyError, TypeError):
            bad, kind = "Traceback" in line, line
        if bad:
            kinds.setdefault(_NUMBERS.sub("…", kind), []).append(line)
    for lines in kinds.values():
        yield f"log, {len(lines)} times: {lines[0][:300]} … {lines[0][300:][-1200:]}"


def fuzz(ports: Ports, messages: int, seed: int, handle: str) -> int:
    """Fuzz a running node; print what was done and what did not hold; return the exit status."""
    watch = Watch(listening_processes(ports.http))
    before = take_digests(ports.database_url) if ports.is_ours else {}
    known = learn_known(ports, handle)
    fuzzer = Fuzzer(ports, known, messages, seed)
    began, faults = perf_counter(), []
    try:
        uvloop.run(fuzzer.run(watch))
        if learn_known(ports, handle) != known:
            faults.append("the known question has another answer now")
    except* PortFault as group:
        faults += [str(fault) for fault in _leaves(group)]
    if not _is_ready(ports.admin):
        faults.append("the admin listener does not say ready")
    faults += [*fuzzer.counts.faults, *watch.faults(listening_processes(ports.http))]
    faults += list(log_faults(ports.log)) if ports.log else []
    faults += differences(before, take_digests(ports.database_url)) if ports.is_ours else []
    _print(fuzzer.counts, watch, perf_counter() - began)
    return conclude(faults)


def _leaves(group: BaseExceptionGroup[PortFault]) -> Iterator[PortFault]:
    for each in group.exceptions:
        if isinstance(each, BaseExceptionGroup):
            yield from _leaves(each)
        else:
            yield each


def _is_ready(admin: Address) -> bool:
    with suppress(OSError, IndexError):
        return get(admin, "/readyz")[0] == 200
    return False


def _print(counts: Counts, watch: Watch, seconds: float) -> None:
    total = counts.messages.total()
    print(
        f"{total:,} messages in {seconds:.0f} s ({total / seconds:,.0f}/s): {dict(counts.messages)}"
    )
    print(f"conversations {dict(counts.conversations)}, cut short by the server {counts.resets}")
    print(f"HTTP statuses {dict(sorted(counts.statuses.items()))}")
    print(f"handshakes ended with the codes {dict(sorted(counts.codes.items()))}")
    for pid, now in watch.resident().items():
        warm = watch.warm.get(pid, now)
        print(f"process {pid}: {warm >> 20} MiB when warm, {now >> 20} MiB at the end")


def own_node(stack: ExitStack, keep_log: Path | None = None) -> Ports:
    """Start a node to be fuzzed, with all who log in; `keep_log`: where its log is kept."""
    stand = stack.enter_context(open_stand())
    node = stand.start_node("fuzzed", {"WORKERS": "2", **SETTINGS})
    if keep_log:
        stack.callback(shutil.copy, node.log, keep_log)
    settle(stand, node, _recorded())
    tokens = (make_token(node, NOBODY),)
    url = node.settings.database_url
    return Ports(node.native, node.native, node.http, node.admin, node.log, url, tokens)


def _recorded() -> list[dict[str, object]]:
    """Return the records of the recorded exchanges, with secrets that no recorded request knows."""
    records = [json.loads(line) for line in FIXTURE.read_text("utf-8").splitlines() if line]
    for record in records:
        for value in record["values"]:
            if value["type"] == "HS_SECKEY":
                value["data"] = "what no recording knows"
    return records


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz; return the exit status."""
    parser = argparse.ArgumentParser(prog="fuzz_ports", description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    for name in ("udp", "tcp", "http", "admin"):
        parser.add_argument(f"--{name}", type=_address, metavar="HOST:PORT")
    parser.add_argument(
        "--log",
        type=Path,
        help="file with the node's stderr; where to keep it, when the node is our own",
    )
    parser.add_argument("--handle", default=HANDLE, help="a record that the node holds")
    chosen = parser.parse_args(arguments)
    given = (chosen.udp, chosen.tcp, chosen.http, chosen.admin)
    if any(given) and not all(given):
        parser.error("give all four addresses, or none")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is stopped
    with ExitStack() as stack:
        ports = Ports(*given, chosen.log) if all(given) else own_node(stack, chosen.log)
        return fuzz(ports, chosen.messages, chosen.seed, chosen.handle)


if __name__ == "__main__":
    sys.exit(main())
