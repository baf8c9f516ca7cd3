"""A steady load by all ways at once, each question with a request id of its own, and a journal of what became of it.

Clients have addresses of their own (127.0.K.1), hold their connections, and connect again when these break.  A question
is sent once: what is not answered is given up, as nobody can tell whether it was counted.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from random import Random

from loadtest.accounts import Asked, Canary, Journal
from loadtest.replies import Inbox
from loadtest.stand import Node
from loadtest.streams import Address
from loadtest.ways import STREAMS, Question, Way, is_answer, pack_native
from node.ledger.record import Proto
from node.ledger.tags import native_nonce, nonce_of
from resolver.schemes import parse_handle

CLIENTS = 2  # of each way
UDP_CLIENTS = 4
PAUSE_SECONDS = 0.01  # between two questions of a client
ANSWER_SECONDS = 4.0
DATAGRAM_SECONDS = 0.5
LINK_QUESTIONS = 300  # of one connection or port; the next may go to another worker
AWAY_SECONDS = 0.1  # before a broken connection is made again
CANARY_SHARE = 0.05  # of the questions, as long as there are names left
_NONCE_BYTES = 4

UDP = Way(Proto.UDP, True, 1, pack_native, STREAMS[4].read)


class SteadyLoad:
    """Clients that ask without end; `names` are asked again and again, each of `canaries` once."""

    def __init__(
        self, node: Node, names: Sequence[str], canaries: Iterable[str], seed: int
    ) -> None:
        self.journal = Journal()
        self._native, self._http = node.native, node.http
        self._names = names
        self._canaries = set(canaries)
        self._left = list(canaries)
        self._dice = Random(seed)
        self._keys = {name: parse_handle(name.encode()).key for name in (*names, *self._left)}

    async def run(self, stop: asyncio.Event) -> None:
        """Ask until told to stop."""
        ways = [*STREAMS * CLIENTS, *[UDP] * UDP_CLIENTS]
        async with asyncio.TaskGroup() as tasks:
            for number, way in enumerate(ways, 1):
                ask = self._ask_datagrams if way is UDP else self._ask_stream
                tasks.create_task(ask(way, f"127.0.{number}.1", stop))

    async def _ask_stream(self, way: Way, source: str, stop: asyncio.Event) -> None:
        address = self._native if way.is_native else self._http
        while not stop.is_set():
            with suppress(OSError, EOFError, TimeoutError, ValueError):
                await self._hold(way, address, source, stop)
            await asyncio.sleep(AWAY_SECONDS)

    async def _hold(self, way: Way, address: Address, source: str, stop: asyncio.Event) -> None:
        async with asyncio.timeout(ANSWER_SECONDS):
            reader, writer = await asyncio.open_connection(*address, local_addr=(source, 0))
        port: int = writer.get_extra_info("sockname")[1]
        try:
            for _ in range(LINK_QUESTIONS):
                if stop.is_set():
                    return
                questions, asked = self._draw(way, port, source)
                began = time.time()
                writer.write(way.pack(questions))
                async with asyncio.timeout(ANSWER_SECONDS):
                    async for each in way.read(reader, questions):
                        self._answered(asked[each], each, began)
                await asyncio.sleep(PAUSE_SECONDS)
        finally:
            writer.close()

    async def _ask_datagrams(self, way: Way, source: str, stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        while not stop.is_set():
            inbox: asyncio.Queue[bytes] = asyncio.Queue()
            transport, _ = await loop.create_datagram_endpoint(
                partial(Inbox, inbox), local_addr=(source, 0), remote_addr=self._native
            )
            port: int = transport.get_extra_info("sockname")[1]
            for _ in range(LINK_QUESTIONS):
                if stop.is_set():
                    break
                await self._ask_datagram(way, transport, inbox, (source, port))
                await asyncio.sleep(PAUSE_SECONDS)
            transport.close()

    async def _ask_datagram(
        self,
        way: Way,
        transport: asyncio.DatagramTransport,
        inbox: "asyncio.Queue[bytes]",
        place: Address,
    ) -> None:
        questions, asked = self._draw(way, place[1], place[0])
        began, question = time.time(), questions[0]
        transport.sendto(way.pack(questions))
        with suppress(TimeoutError):
            async with asyncio.timeout(DATAGRAM_SECONDS):
                while not is_answer(question, await inbox.get()):
                    pass
            self._answered(asked[question], question, began)

    def _draw(
        self, way: Way, port: int, source: str
    ) -> tuple[list[Question], dict[Question, Asked]]:
        """Draw what is asked next; the items of a batch differ, and share its request id."""
        dice, is_batch = self._dice, way.proto is Proto.BATCH
        number = dice.randbytes(_NONCE_BYTES)
        names = dict.fromkeys(self._name() for _ in range(way.at_once))
        questions = [
            Question(name, number if is_batch else dice.randbytes(_NONCE_BYTES)) for name in names
        ]
        asked = {each: self._asked(way, each, port, source) for each in questions}
        self.journal.sent.update(asked.values())
        return questions, asked

    def _name(self) -> str:
        if self._left and self._dice.random() < CANARY_SHARE:
            return self._left.pop()
        return self._dice.choice(self._names)

    def _asked(self, way: Way, question: Question, port: int, source: str) -> Asked:
        """A native message is called by its sender's port and its id, an HTTP request by its header."""
        number = question.number
        digest = native_nonce(port, number) if way.is_native else nonce_of(number.hex().encode())
        return Asked(way.proto, digest[:_NONCE_BYTES], self._keys[question.name], source)

    def _answered(self, asked: Asked, question: Question, began: float) -> None:
        self.journal.answered[asked] += 1
        if question.name in self._canaries:
            self.journal.canaries.append(Canary(began, asked))
