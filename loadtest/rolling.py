"""Replace the workers of a node under load, again and again: no question fails, and three counts stay one number.

    python -m loadtest.rolling --restarts 5 --workers 1 --workers 2

Clients ask without end over UDP, over TCP connections that they keep open for ever, and over HTTP connections that they
keep open until an answer says that it was the last; each question is asked once, and each answer compared.  Meanwhile
`idnode restart` replaces all workers, so many times.  Held to: every question is answered, rightly and at once enough;
no TCP connection ends; all processes are others in the end; and what the clients were answered, the records of the
ledger and Prometheus' count are one number for each protocol, as `idnode audit verify` finds offline.
"""

import argparse
import asyncio
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import uvloop

from loadtest.exchange import HEAD_BYTES, Exchange
from loadtest.fuzz_ports import log_faults
from loadtest.learn import draw, fits_datagram, is_plain_path, learn_http, learn_native
from loadtest.replies import Inbox, read_frame, read_http
from loadtest.sizes import load_corpus, make_corpus
from loadtest.stand import Node, clean_environment, open_stand
from loadtest.three_counts import ThreeCounts, differences, in_ledger, scrape, table
from loadtest.verdict import conclude
from loadtest.witnessed import Auditor
from resolver.observe import Protocol

RECORDS, KEYS = 1_000, 500
CLIENTS = 4  # of each protocol
ANSWER_SECONDS = 5.0  # a question that waited so long has failed
PAUSE_SECONDS = 0.001  # between two questions of a client
PORT_QUESTIONS = 50  # from one UDP port; another may be another worker's
REST_SECONDS = 0.5  # before each restart, and behind the last
FAULTS_SHOWN = 5
_ID = slice(8, 12)
_BODY_AT = 40

Read = Callable[[asyncio.StreamReader], Awaitable[bytes]]


class Load:
    """Clients that ask without end, and what became of their questions."""

    def __init__(
        self, node: Node, native: Sequence[Exchange], http: Sequence[Exchange], seed: int
    ) -> None:
        self._node, self._native, self._http = node, native, http
        self._dice = random.Random(seed)
        self.answered: Counter[Protocol] = Counter()
        self.faults: list[str] = []
        self.longest_seconds = 0.0
        self.connections: Counter[Protocol] = Counter()

    async def run(self, stop: asyncio.Event) -> None:
        """Ask until told to stop, and every question has its answer."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(CLIENTS):
                tasks.create_task(self._ask_udp(stop))
                tasks.create_task(self._ask_tcp(stop))
                tasks.create_task(self._ask_http(stop))

    async def _ask_udp(self, stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        while not stop.is_set():
            inbox: asyncio.Queue[bytes] = asyncio.Queue()
            transport, _ = await loop.create_datagram_endpoint(
                partial(Inbox, inbox), remote_addr=self._node.native
            )
            for _ in range(PORT_QUESTIONS):
                exchange = self._question()
                transport.sendto(exchange.request)
                await self._await(Protocol.UDP, exchange, inbox.get())
            transport.close()

    async def _ask_tcp(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await self._hold(Protocol.TCP, self._node.native, self._question, read_frame, stop)

    async def _ask_http(self, stop: asyncio.Event) -> None:
        dice = self._dice
        while not stop.is_set():
            question = partial(dice.choice, self._http)
            await self._hold(Protocol.HTTP_JSON, self._node.http, question, read_http, stop)

    async def _hold(
        self,
        protocol: Protocol,
        address: tuple[str, int],
        draw_question: Callable[[], Exchange],
        read: Read,
        stop: asyncio.Event,
    ) -> None:
        """Ask on one connection until it fails, or its last answer says that it was the last."""
        reader, writer = await asyncio.open_connection(*address)
        self.connections[protocol] += 1
        try:
            while not stop.is_set():
                exchange = draw_question()
                writer.write(exchange.request)
                answer = await self._await(protocol, exchange, read(reader))
                if answer is None or (protocol is Protocol.HTTP_JSON and _is_last(answer)):
                    return
        finally:
            writer.close()

    async def _await(
        self, protocol: Protocol, exchange: Exchange, answering: Awaitable[bytes]
    ) -> bytes | None:
        began, answer = time.perf_counter(), None
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await answering
        except (OSError, EOFError) as error:
            self.faults.append(f"{protocol}: no answer: {error!r}")
        else:
            self._judge(protocol, exchange, answer)
        self.longest_seconds = max(self.longest_seconds, time.perf_counter() - began)
        await asyncio.sleep(PAUSE_SECONDS)
        return answer

    def _question(self) -> Exchange:
        exchange, number = self._dice.choice(self._native), self._dice.randbytes(4)
        request = exchange.request[:8] + number + exchange.request[12:]
        return Exchange(request, exchange.head[:8] + number + exchange.head[12:], exchange.tail)

    def _judge(self, protocol: Protocol, exchange: Exchange, answer: bytes) -> None:
        self.answered[protocol] += 1
        if protocol is Protocol.HTTP_JSON:
            head, _, tail = answer.partition(b"\r\n\r\n")
            is_right = head.startswith(b"HTTP/1.1 200 ") and tail == exchange.tail
        else:
            head, tail = answer[:HEAD_BYTES], answer[_BODY_AT:]
            is_right = (head, tail) == (exchange.head, exchange.tail)
        if not is_right:
            self.faults.append(f"{protocol}: {exchange.request!r} got {answer!r}")


def _is_last(answer: bytes) -> bool:
    return b"connection: close" in answer.partition(b"\r\n\r\n")[0].lower()


async def restart_under_load(node: Node, load: Load, restarts: int) -> list[str]:
    """Replace the workers so often while the clients ask; return what did not hold."""
    stop, faults = asyncio.Event(), list[str]()
    asking = asyncio.create_task(load.run(stop))
    for number in range(1, restarts + 1):
        await asyncio.sleep(REST_SECONDS)
        before, answered, began = node.workers(), load.answered.total(), time.monotonic()
        told = await _restart(node)
        faults += [told] if told else []
        if set(before) & set(node.workers()):
            faults.append(f"restart {number} left a worker as it was")
        seconds, answers = time.monotonic() - began, load.answered.total() - answered
        print(f"restart {number}: {seconds:.1f} s, {answers:,} answers meanwhile")
    await asyncio.sleep(REST_SECONDS)
    stop.set()
    await asking
    if load.connections[Protocol.TCP] != CLIENTS:
        faults.append(f"{CLIENTS} clients had to open {load.connections[Protocol.TCP]} connections")
    return [*faults, *load.faults[:FAULTS_SHOWN], *_summary(load)]


def _summary(load: Load) -> list[str]:
    more = len(load.faults) - FAULTS_SHOWN
    return [f"and {more} more questions failed"] if more > 0 else []


async def _restart(node: Node) -> str:
    """Have the workers replaced, as an operator does; return what went wrong."""
    environment = clean_environment({"DATA_DIR": str(node.settings.data_dir)})
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "node", "restart"),
        env={**environment, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said = (await process.communicate())[0].decode()
    return said.strip() if process.returncode else ""


def run(restarts: int, workers: int, seed: int = 1, *, is_verified: bool = True) -> list[str]:
    """Start a node, load it, restart its workers, count three times, verify; return what does not hold."""
    tally = ThreeCounts()
    with open_stand() as stand, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        auditor = Auditor(stand)
        node = stand.start_node("rolling", {"WORKERS": str(workers), **auditor.settings})
        auditor.watch(node)
        corpus = make_corpus(stand.directory, RECORDS)
        load_corpus(node, corpus, RECORDS)
        sample = draw(corpus, KEYS, seed)
        native = list(filter(fits_datagram, learn_native(node.native, sample)))
        http = list(filter(is_plain_path, learn_http(node.http, sample)))
        load = Load(node, native, http, seed)
        auditor.seal(node)
        before, scraped = in_ledger(auditor.take(node))[0], scrape(node)
        tally.faults += runner.run(restart_under_load(node, load, restarts))
        size = auditor.seal(node)
        if is_verified:
            auditor.wait_for_head(node, size)
        evidence = auditor.take(node)
        tally.client, tally.prometheus = load.answered, scrape(node)
        tally.ledger, tally.classes = in_ledger(evidence)
        tally.ledger.subtract(before)
        tally.prometheus.subtract(scraped)
        tally.faults += log_faults(node.log)
        if is_verified:
            verdict = auditor.verify(evidence, node)
            tally.faults += verdict.faults
            print(verdict.line("R2"), verdict.line("VERDICT"), sep="\n")
    for line in table(tally):
        print(line)
    print(f"{workers} workers, {restarts} restarts: longest wait {load.longest_seconds:.3f} s")
    faults = [*tally.faults, *differences("in the run", tally.ledger, tally.prometheus)]
    return [*faults, *differences("in the run, by the clients", tally.ledger, tally.client)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="rolling", description=__doc__.splitlines()[0])
    parser.add_argument("--restarts", type=int, default=5)
    parser.add_argument("--workers", type=int, action="append", help="1 and 2, in turns")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is stopped
    faults = []
    for workers in chosen.workers or (1, 2):
        faults += run(chosen.restarts, workers, chosen.seed)
    return conclude(faults, "no question failed, and all counts are one")


if __name__ == "__main__":
    sys.exit(main())
