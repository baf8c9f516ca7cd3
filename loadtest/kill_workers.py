"""Kill workers with SIGKILL at random moments under load over UDP, TCP and HTTP, and look at what it cost.

    python -m loadtest.kill_workers --kills 100

Held to: every answer is right; the other workers go on; a killed one is replaced; and the node's own count lies between
what was answered (less one for each kill: an answer may leave just before it is counted) and what was sent.  Lost
questions are asked again, as real clients do.
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
from contextlib import suppress
from functools import partial

from loadtest.corpus import records, write
from loadtest.exchange import HEAD_BYTES, Exchange
from loadtest.fuzz_ports import log_faults
from loadtest.learn import Sample, draw, fits_datagram, learn_http, learn_native
from loadtest.replies import Inbox, read_frame, read_http
from loadtest.sizes import load_corpus
from loadtest.stand import Node, answers_by_tier, open_stand
from loadtest.verdict import conclude

RECORDS = 2_000
WORKERS = 3
CLIENTS = 6  # of each protocol
ANSWER_SECONDS = 0.5
REPLACED_SECONDS = 20.0
_ID = slice(8, 12)
_BODY_AT = 40

Ask = Callable[[Exchange], Awaitable[bytes]]


class Load:
    """Clients that ask without end, and what became of their questions."""

    def __init__(
        self, node: Node, native: Sequence[Exchange], http: Sequence[Exchange], seed: int
    ) -> None:
        self._node = node
        self._native = native
        self._http = http
        self._random = random.Random(seed)
        self.sent: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.wrong: list[str] = []

    async def run(self, stop: asyncio.Event) -> None:
        """Ask until told to stop."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(CLIENTS):
                tasks.create_task(self._ask_udp(stop))
                tasks.create_task(self._ask_stream(stop, "tcp"))
                tasks.create_task(self._ask_stream(stop, "http_json"))

    async def _ask_udp(self, stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        while not stop.is_set():
            answers: asyncio.Queue[bytes] = asyncio.Queue()
            transport, _ = await loop.create_datagram_endpoint(
                partial(Inbox, answers), remote_addr=self._node.native
            )
            for _ in range(200):  # then another source port, so every worker has its share
                exchange = self._question(self._native)
                self.sent["udp"] += 1
                transport.sendto(exchange.request)
                with suppress(TimeoutError):
                    async with asyncio.timeout(ANSWER_SECONDS):
                        while (answer := await answers.get())[_ID] != exchange.request[_ID]:
                            pass
                    self._judge("udp", exchange, answer)
            transport.close()

    async def _ask_stream(self, stop: asyncio.Event, protocol: str) -> None:
        address = self._node.native if protocol == "tcp" else self._node.http
        read = read_frame if protocol == "tcp" else read_http
        exchanges = self._native if protocol == "tcp" else self._http
        while not stop.is_set():
            with suppress(OSError, EOFError, TimeoutError):  # the worker was killed: connect again
                reader, writer = await asyncio.open_connection(*address)
                try:
                    for _ in range(500):
                        exchange = self._question(exchanges)
                        self.sent[protocol] += 1
                        writer.write(exchange.request)
                        async with asyncio.timeout(ANSWER_SECONDS * 4):
                            self._judge(protocol, exchange, await read(reader))
                finally:
                    writer.close()

    def _question(self, exchanges: Sequence[Exchange]) -> Exchange:
        exchange = self._random.choice(exchanges)
        if exchanges is not self._native:
            return exchange
        number = self._random.randbytes(4)
        request = exchange.request[:8] + number + exchange.request[12:]
        return Exchange(request, exchange.head[:8] + number + exchange.head[12:], exchange.tail)

    def _judge(self, protocol: str, exchange: Exchange, answer: bytes) -> None:
        self.answered[protocol] += 1
        native = protocol != "http_json"
        tail = answer[_BODY_AT:] if native else answer.partition(b"\r\n\r\n")[2]
        head = answer[:HEAD_BYTES] if native else answer[: len(exchange.head)]
        if head != exchange.head or tail != exchange.tail:
            self.wrong.append(f"{protocol}: {exchange.request!r} got {answer!r}")


def _times_ready(node: Node) -> int:
    """Return how often a worker has become ready, by the node's log."""
    lines = node.log.read_text("utf-8", "replace").splitlines()
    return sum('"child ready"' in line and '"worker-' in line for line in lines)


async def kill_under_load(
    node: Node, load: Load, kills: int, seed: int, log: Callable[[str], None] = print
) -> list[str]:
    """Kill workers one after the other; return what did not hold."""
    dice, stop, faults = random.Random(seed), asyncio.Event(), []
    replaced: list[float] = []
    asking = asyncio.create_task(load.run(stop))
    for _ in range(kills):
        await asyncio.sleep(dice.uniform(0.05, 0.5))
        ready, before = _times_ready(node), load.answered.total()
        began = time.monotonic()
        os.kill(dice.choice(node.workers()), signal.SIGKILL)
        await asyncio.sleep(0.25)  # while one is missing
        if load.answered.total() == before:
            faults.append("no other worker went on while one was replaced")
        while _times_ready(node) == ready and time.monotonic() - began < REPLACED_SECONDS:  # noqa: ASYNC110  a log tells nobody
            await asyncio.sleep(0.05)
        replaced.append(time.monotonic() - began)
        if _times_ready(node) == ready:
            faults.append(f"no successor was ready after {REPLACED_SECONDS:.0f} s")
    await asyncio.sleep(2)
    stop.set()
    await asking
    log(f"{kills} kills; a successor was ready after {max(replaced):.2f} s at most")
    return faults


def check(node: Node, load: Load, kills: int, counted_before: int) -> list[str]:
    """Return what does not hold of the answers and of the counts."""
    counted = answers_by_tier(node.admin).total() - counted_before
    answered, sent = load.answered.total(), load.sent.total()
    print(f"sent {dict(load.sent)}, answered {dict(load.answered)}, counted {counted}")
    told = [fault for fault in log_faults(node.log) if '"code": -9' not in fault]
    faults = [*load.wrong[:5], *told]
    if not answered - kills <= counted <= sent:
        faults.append(
            f"counted {counted}: not between {answered} answered - {kills} and {sent} sent"
        )
    return faults


def run(kills: int, seed: int) -> int:
    """Start a node, load it, kill its workers; print what did not hold; return the exit status."""
    with open_stand() as stand:
        node = stand.start_node("kills", {"WORKERS": str(WORKERS)})
        corpus = stand.directory / "corpus.ndjson"
        with corpus.open("wb") as out:
            write(out, records(RECORDS, seed))
        load_corpus(node, corpus, RECORDS)
        sample: Sample = draw(corpus, 500, seed)
        native = [each for each in learn_native(node.native, sample) if fits_datagram(each)]
        http = learn_http(node.http, sample)
        http = [each for each in http if b"?" not in each.request]
        load = Load(node, native, http, seed)
        before = answers_by_tier(node.admin).total()
        faults = asyncio.run(kill_under_load(node, load, kills, seed))
        faults += check(node, load, kills, before)
    return conclude(faults)


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="kill_workers", description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args(arguments)
    return run(chosen.kills, chosen.seed)


if __name__ == "__main__":
    sys.exit(main())
