"""The Handle protocol over UDP (RFC 3652 §2.3): datagrams of 512 bytes, longer messages in pieces.

What has come is read, answered, recorded, counted and sent as one batch.  Laws: a datagram that cannot be understood
gets no answer (it may carry a forged address); no answer is longer than `max_datagrams`, and none goes to a source that
has had its share; every drop is counted.
"""

import socket
from collections.abc import Awaitable, Callable, Coroutine
from time import perf_counter_ns
from typing import Any, NamedTuple

from resolver.answer import Answer
from resolver.finder import Found, Sought
from resolver.frontends.datagrams import Address, Datagrams, Name, open_datagrams
from resolver.guard import Guard, network_of
from resolver.hot.wire import HotWire, no_reply
from resolver.observe import Event, Protocol, Tally
from resolver.quickly import quickly
from resolver.recorder import MOST_AT_ONCE, Answered, Party, Recorder
from resolver.responder import Origin, Reply, Responder
from resolver.wire import (
    DATAGRAM_BYTES,
    ENVELOPE_BYTES,
    HEADER_BYTES,
    PIECE_BYTES,
    DatagramJoiner,
    WireError,
    split_datagrams,
)

_MAX_UNDER_WAY = 20_000  # answers being made; more questions are dropped, and clients ask again
_MAX_SOURCES = 65_536  # that are remembered, about 300 bytes each
_SMALLEST_MESSAGE = ENVELOPE_BYTES + HEADER_BYTES
_FAMILIES = {4: socket.AF_INET, 16: socket.AF_INET6}

_Source = tuple[str, Party]
"""Who is behind an address: the network that its answers are charged to, and what the recorder knows it by."""


class _Back(NamedTuple):
    """The way back to whoever asked, and when that was."""

    name: Name
    port: bytes
    payer: str
    party: Party
    started_ns: int


class UdpFrontEnd:
    """One UDP socket of a worker."""

    def __init__(
        self,
        responder: Responder,
        hot: HotWire,
        guard: Guard,
        tally: Tally,
        recorder: Recorder,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        *,
        max_datagrams: int,
    ) -> None:
        """`spawn` starts a task in the worker's task group."""
        self._responder = responder
        self._guard = guard
        self._tally = tally
        self._recorder = recorder
        self._spawn = spawn
        self._max_bytes = ENVELOPE_BYTES + PIECE_BYTES * max_datagrams
        self._joiner = DatagramJoiner()
        self._finder = responder.finder(Protocol.UDP, spawn, self._send_found, self._leave)
        self._under_way = 0
        self._sources: dict[bytes, _Source] = {}
        self._ready_reply = no_reply if recorder.is_strict else hot.reply
        self._datagrams: Datagrams

    def listen(
        self,
        sock: socket.socket,
        way: Callable[[socket.socket, Callable[[], None]], Datagrams] = open_datagrams,
    ) -> None:
        """Answer what comes to a bound socket, which is closed in the end.  Needs a running event loop."""
        self._datagrams = way(sock, self.answer_batch)

    def read_no_more(self) -> None:
        """Answer what has been read, and leave the rest to the process that takes the socket over."""
        self._datagrams.read_no_more()

    def close(self) -> None:
        """Answer nothing more."""
        self._datagrams.close()

    def answer_batch(self) -> None:
        """Called by the event loop: answer what has come from ready bytes, or start an answer."""
        batch = self._datagrams.receive()
        started = perf_counter_ns()
        sources, spent, burst = self._sources, self._guard.udp_spent, self._guard.udp_burst
        ready_reply = self._ready_reply
        slots, replies, answers = [], [], []
        for slot, (request, port, host) in enumerate(batch):
            payer, party = sources.get(host) or self._source(host)
            charged = spent.get(payer, 0)
            ready = ready_reply(request, started) if charged < burst else None
            if ready is None:
                if charged >= burst or not self._seek(request, slot, port, (payer, party), started):
                    self._receive(request, self._datagrams.address(slot), started)
                continue
            cell, reply, subject = ready
            answer = party, port + request[8:12], subject, cell
            if len(reply) > DATAGRAM_BYTES:
                self._answer_long(reply, answer, self._datagrams.address(slot), started)
                continue
            spent[payer] = charged + 1
            slots.append(slot)
            replies.append(reply)
            answers.append(answer)
        if answers:
            self._send_ready(slots, replies, answers, started)
        self._finder.start()

    def is_busy(self) -> bool:
        """True while answers are being made."""
        return self._under_way > 0 or self._finder.sought > 0

    def _seek(self, request: bytes, slot: int, port: bytes, source: _Source, started: int) -> bool:
        """Have a plain question looked up with others; False: it has to go the ordinary way."""
        if self._recorder.is_strict or self._under_way + self._finder.sought >= _MAX_UNDER_WAY:
            return False
        back = quickly(_Back, (self._datagrams.name(slot), port, *source, started))
        return self._finder.add(request, back)

    def _send_found(self, found: list[Found]) -> None:
        """Record, count and send what was looked up together."""
        for start in range(0, len(found), MOST_AT_ONCE):
            self._send_some(found[start : start + MOST_AT_ONCE])

    def _send_some(self, found: list[Found]) -> None:
        spent, burst = self._guard.udp_spent, self._guard.udp_burst
        answers, chosen = [], []
        for each in found:
            reply, cell, subject, (message, _, _, back) = each
            charged = spent.get(back.payer, 0)
            answer = back.party, back.port + message[8:12], subject, cell
            if len(reply) > DATAGRAM_BYTES:
                addr = self._datagrams.address_of(back.name)
                self._answer_long(reply, answer, addr, back.started_ns)
            elif charged >= burst:
                self._tally.happened(Event.UDP_RATE_LIMITED)
            else:
                spent[back.payer] = charged + 1
                answers.append(answer)
                chosen.append(each)
        if answers:
            self._send_answers(chosen, answers)

    def _send_answers(self, found: list[Found], answers: list[Answered]) -> None:
        now = perf_counter_ns()
        count = self._recorder.natives(answers, now)
        if count < len(found):
            self._tally.happened(Event.OVERLOADED, len(found) - count)
        given = found[:count]
        self._tally.counted([each.cell for each in given])
        names = [each.sought.back.name for each in given]
        self._datagrams.answer(names, [each.reply for each in given])
        for each in given:
            self._tally.took(each.cell, now - each.sought.back.started_ns)

    def _leave(self, sought: Sought, answer: Answer | None) -> None:
        """Answer on its own what could not be answered together with others."""
        back, message = sought.back, sought.message
        addr = self._datagrams.address_of(back.name)
        if answer is None:
            self._begin(message, addr, back.started_ns)
            return
        origin = Origin(Protocol.UDP, addr[0])
        reply = self._responder.say(sought, answer, origin)
        self._under_way += 1
        self._spawn(self._answer(reply, message, addr, back.started_ns))

    def _source(self, host: bytes) -> _Source:
        if len(self._sources) >= _MAX_SOURCES:
            self._sources.clear()
        address = socket.inet_ntop(_FAMILIES[len(host)], host)
        found = self._sources[host] = network_of(address), self._recorder.sender(address)
        return found

    def _receive(self, data: bytes, addr: Address, started: int) -> None:
        if not self._guard.allow_datagrams(addr[0], 0):
            return
        if len(data) < ENVELOPE_BYTES:
            self._tally.happened(Event.UDP_RUNT)
            return
        try:
            message = self._joiner.add(addr, data, started / 1e9)
        except WireError:
            self._tally.happened(Event.UDP_UNREADABLE)
            return
        if message is None:
            return
        if len(message) < _SMALLEST_MESSAGE:
            self._tally.happened(Event.UDP_RUNT)
        elif self._under_way + self._finder.sought >= _MAX_UNDER_WAY:
            self._tally.happened(Event.OVERLOADED)
        else:
            self._begin(message, addr, started)

    def _begin(self, message: bytes, addr: Address, started: int) -> None:
        self._under_way += 1
        reply = self._responder.respond(message, Origin(Protocol.UDP, addr[0]))
        self._spawn(self._answer(reply, message, addr, started))

    async def _answer(
        self, making: Awaitable[Reply], message: bytes, addr: Address, started: int
    ) -> None:
        try:
            reply = await making
            if not reply.message or not self._may_send(reply.message, addr[0]):
                return
            if reply.cell is None or await self._is_recorded(reply, message, addr):
                self._send_pieces(reply.message, addr)
                if reply.cell is not None:
                    self._tally.answered(reply.cell, perf_counter_ns() - started)
        finally:
            self._under_way -= 1

    async def _is_recorded(self, reply: Reply, message: bytes, addr: Address) -> bool:
        """Record an answer that is about to be sent; False: it must not be."""
        recorder, asked = self._recorder, addr[1].to_bytes(2, "big") + message[8:12]
        party, subject = recorder.sender(addr[0]), recorder.subject(reply.key)
        number = recorder.native(party, asked, subject, reply.cell or 0, perf_counter_ns())
        if number >= 0 and await recorder.committed(number):
            return True
        self._tally.happened(Event.OVERLOADED)
        return False

    def _may_send(self, reply: bytes, address: str) -> bool:
        """Whether the answer is short enough, and its receiver has not had his share; it has it now."""
        if len(reply) > self._max_bytes:
            self._tally.happened(Event.UDP_TOO_LONG)
            return False
        pieces = -(-(len(reply) - ENVELOPE_BYTES) // PIECE_BYTES)
        return self._guard.allow_datagrams(address, pieces)

    def _send_ready(
        self, slots: list[int], replies: list[bytes], answers: list[Answered], started: int
    ) -> None:
        """Record, count and send the ready replies of a batch."""
        count = self._recorder.natives(answers, started)
        if count < len(answers):
            self._tally.happened(Event.OVERLOADED, len(answers) - count)
        self._tally.counted([cell for _, _, _, cell in answers[:count]])
        self._datagrams.reply(slots[:count], replies[:count])
        self._tally.took(answers[0][-1], perf_counter_ns() - started, count)

    def _answer_long(self, reply: bytes, answer: Answered, addr: Address, started: int) -> None:
        """The same for one that goes in several datagrams."""
        if not self._may_send(reply, addr[0]):
            return
        if not self._recorder.natives([answer], perf_counter_ns()):
            self._tally.happened(Event.OVERLOADED)
            return
        self._tally.counted([answer[-1]])
        self._send_pieces(reply, addr)
        self._tally.took(answer[-1], perf_counter_ns() - started)

    def _send_pieces(self, reply: bytes, addr: Address) -> None:
        for piece in split_datagrams(reply):
            self._datagrams.sendto(piece, addr)
