"""The Handle protocol over UDP (RFC 3652 §2.3): datagrams of 512 bytes, longer messages in pieces.

Laws: a datagram that cannot be understood gets no answer (it may carry a forged address); no answer is longer than
`max_datagrams`, and none goes to a source that has had its share; every drop is counted.
"""

import asyncio
from collections.abc import Callable, Coroutine
from time import perf_counter_ns
from typing import Any

from resolver.guard import Guard, network_of
from resolver.hot import HotWire
from resolver.observe import Event, Protocol, Tally
from resolver.recorder import Recorder
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
_SMALLEST_MESSAGE = ENVELOPE_BYTES + HEADER_BYTES

Address = tuple[Any, ...]


class UdpFrontEnd(asyncio.DatagramProtocol):
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
        self._under_way = 0
        self._transport: asyncio.DatagramTransport
        # Bound once: looking these up costs more than a hundredth of a ready answer.
        self._ready_reply = _no_reply if recorder.is_strict else hot.reply
        self._record = recorder.native
        self._answered = tally.answered
        self._sendto: Callable[[bytes, Address], None]

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        """Called by the event loop."""
        self._transport = transport
        self._sendto = transport.sendto

    def error_received(self, exc: Exception) -> None:
        """Called by the event loop when the network refuses what was sent; nothing is to be done about it."""

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """Answer from ready bytes, or start an answer."""
        started = perf_counter_ns()
        guard = self._guard
        source: str = addr[0]
        payer = source if ":" not in source else network_of(source)
        spent = guard.udp_spent.get(payer, 0)
        if spent >= guard.udp_burst:
            self._tally.happened(Event.UDP_RATE_LIMITED)
            return
        ready = self._ready_reply(data, started)
        if ready is None:
            self._receive(data, addr, started)
            return
        cell, reply, key = ready
        is_long = len(reply) > DATAGRAM_BYTES
        if is_long and not self._may_send(reply, addr):
            return
        if self._record(source, addr[1], data[8:12], key, cell, started) < 0:
            self._tally.happened(Event.OVERLOADED)
            return
        if is_long:
            self._send_pieces(reply, addr)
        else:
            guard.udp_spent[payer] = spent + 1
            self._sendto(reply, addr)
        self._answered(cell, perf_counter_ns() - started)

    def is_busy(self) -> bool:
        """True while answers are being made."""
        return self._under_way > 0

    def _receive(self, data: bytes, addr: Address, started: int) -> None:
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
        elif self._under_way >= _MAX_UNDER_WAY:
            self._tally.happened(Event.OVERLOADED)
        else:
            self._under_way += 1
            self._spawn(self._answer(message, addr, started))

    async def _answer(self, message: bytes, addr: Address, started: int) -> None:
        try:
            reply = await self._responder.respond(message, Origin(Protocol.UDP, addr[0]))
            if not reply.message or not self._may_send(reply.message, addr):
                return
            if reply.cell is None or await self._is_recorded(reply, message, addr):
                self._send_pieces(reply.message, addr)
                if reply.cell is not None:
                    self._answered(reply.cell, perf_counter_ns() - started)
        finally:
            self._under_way -= 1

    async def _is_recorded(self, reply: Reply, message: bytes, addr: Address) -> bool:
        """Record an answer that is about to be sent; False: it must not be."""
        request_id, cell = message[8:12], reply.cell or 0
        now_ns = perf_counter_ns()
        number = self._record(addr[0], addr[1], request_id, reply.key, cell, now_ns)
        if number >= 0 and await self._recorder.committed(number):
            return True
        self._tally.happened(Event.OVERLOADED)
        return False

    def _may_send(self, reply: bytes, addr: Address) -> bool:
        """Whether the answer is short enough, and its receiver has not had his share; it has it now."""
        if len(reply) > self._max_bytes:
            self._tally.happened(Event.UDP_TOO_LONG)
            return False
        pieces = -(-(len(reply) - ENVELOPE_BYTES) // PIECE_BYTES)
        return not self._transport.is_closing() and self._guard.allow_datagrams(addr[0], pieces)

    def _send_pieces(self, reply: bytes, addr: Address) -> None:
        for piece in split_datagrams(reply):
            self._sendto(piece, addr)


def _no_reply(_message: bytes, _now_ns: int) -> None:
    """Nothing is ready where every answer waits for its record to be durable."""
