"""The Handle protocol over UDP (RFC 3652 §2.3): datagrams of 512 bytes, longer messages in pieces.

Laws: a datagram that cannot be understood gets no answer (it may carry a forged address); no answer is longer than
`max_datagrams`, and none goes to a source that has had its share; every drop is counted.
"""

import asyncio
from collections.abc import Callable, Coroutine
from time import perf_counter_ns
from typing import Any

from resolver.guard import Guard
from resolver.hot import HotWire
from resolver.observe import Event, Protocol, Tally
from resolver.responder import Origin, Responder
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
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        *,
        max_datagrams: int,
    ) -> None:
        """`spawn` starts a task in the worker's task group."""
        self._responder = responder
        self._guard = guard
        self._tally = tally
        self._spawn = spawn
        self._max_bytes = ENVELOPE_BYTES + PIECE_BYTES * max_datagrams
        self._joiner = DatagramJoiner()
        self._under_way = 0
        self._transport: asyncio.DatagramTransport
        # Bound once: looking these up costs more than a hundredth of a ready answer.
        self._ready_reply = hot.reply
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
        source = addr[0]
        spent = guard.udp_spent.get(source, 0)
        if spent >= guard.udp_burst:
            self._tally.happened(Event.UDP_RATE_LIMITED)
            return
        ready = self._ready_reply(data, started)
        if ready is None:
            self._receive(data, addr, started)
            return
        cell, reply = ready
        if len(reply) > DATAGRAM_BYTES:
            if not self._send_pieces(reply, addr):
                return
        else:
            guard.udp_spent[source] = spent + 1
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
            is_sent = bool(reply.message) and self._send_pieces(reply.message, addr)
            if is_sent and reply.cell is not None:
                self._tally.answered(reply.cell, perf_counter_ns() - started)
        finally:
            self._under_way -= 1

    def _send_pieces(self, reply: bytes, addr: Address) -> bool:
        if len(reply) > self._max_bytes:
            self._tally.happened(Event.UDP_TOO_LONG)
            return False
        pieces = split_datagrams(reply)
        if self._transport.is_closing() or not self._guard.allow_datagrams(addr[0], len(pieces)):
            return False
        for piece in pieces:
            self._transport.sendto(piece, addr)
        return True
