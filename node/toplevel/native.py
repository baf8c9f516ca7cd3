"""Native: the top-level node's answers over the Handle protocol, UDP and TCP: prefixes and referrals, no more.

Law: any bytes are answered or dropped; a datagram that cannot be read gets no answer, as its address may be forged.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from node.toplevel.resolution import Routes, is_prefix
from resolver.wire import (
    NEWEST_VERSION,
    DatagramJoiner,
    Envelope,
    ErrorAnswer,
    Flag,
    FrameBuffer,
    HandleValue,
    Header,
    Message,
    Opcode,
    ReferralAnswer,
    ResolutionAnswer,
    ResolutionRequest,
    ResponseCode,
    WireError,
    answer_version,
    decode_request,
    digest_request,
    response_code_in,
    split_datagrams,
)

ANSWER_LIFE_SECONDS = 43_200
IDLE_SECONDS = 60.0
MAX_CONNECTIONS = 200
MAX_REQUEST_BYTES = 65_536
_FLAGS = int(Flag.AUTHORITATIVE | Flag.RECURSIVE)

Clock = Callable[[], float]


class Answers:
    """Messages in, messages out; `routes` gives those of the moment."""

    def __init__(self, routes: Callable[[], Routes], clock: Clock) -> None:
        self._routes = routes
        self._clock = clock
        self.count = 0

    def answer(self, data: bytes) -> bytes:
        """Return the answer to a message.  Raises WireError for what is none."""
        message = Message.decode(data)
        code, body = self._body(message)
        self.count += 1
        version, flags = answer_version(message.envelope), _FLAGS
        if message.header.flags & int(Flag.REQUEST_DIGEST):
            flags |= int(Flag.REQUEST_DIGEST)
            body = digest_request(version, message.header_and_body).encode() + body
        envelope = Envelope(
            *version,
            *NEWEST_VERSION,
            message.envelope.session_id,
            message.envelope.request_id,
        )
        header = Header(
            message.header.opcode,
            response_code_in(version, code),
            flags,
            1,
            0,
            int(self._clock()) + ANSWER_LIFE_SECONDS,
            len(body),
        )
        return Message(envelope, header, body).encode()

    def _body(self, message: Message) -> tuple[ResponseCode, bytes]:
        if message.header.opcode != Opcode.RESOLUTION:
            text = b"the top-level node answers resolutions only"
            return ResponseCode.OPERATION_NOT_SUPPORTED, ErrorAnswer(text).encode()
        request = decode_request(message)
        if not isinstance(request, ResolutionRequest):
            return ResponseCode.PROTOCOL_ERROR, ErrorAnswer(b"").encode()
        name = request.handle.decode("utf-8", "replace")
        route = self._routes().find(name)
        if route is None:
            return ResponseCode.HANDLE_NOT_FOUND, ErrorAnswer(b"").encode()
        if not is_prefix(name):
            return ResponseCode.PREFIX_REFERRAL, ReferralAnswer(b"", route.values()).encode()
        values = _wanted(route.values(), request)
        if not values:
            return ResponseCode.VALUES_NOT_FOUND, ErrorAnswer(b"").encode()
        return ResponseCode.SUCCESS, ResolutionAnswer(request.handle, values).encode()


def _wanted(values: tuple[HandleValue, ...], request: ResolutionRequest) -> tuple[HandleValue, ...]:
    """The values that are asked for; `HS_SITE` asks for `HS_SITE.6` too."""
    if not request.indexes and not request.types:
        return values
    return tuple(
        value
        for value in values
        if value.index in request.indexes
        or any(value.type == kind or value.type.startswith(kind + b".") for kind in request.types)
    )


class UdpAnswers(asyncio.DatagramProtocol):
    """Answers datagrams."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._joiner = DatagramJoiner()
        self._transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        """Called by the event loop."""
        self._transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        """Called by the event loop."""
        with suppress(WireError):
            message = self._joiner.add(address, data, asyncio.get_running_loop().time())
            if message is not None:
                for piece in split_datagrams(self._answers.answer(message)):
                    self._transport.sendto(piece, address)


class TcpAnswers:
    """Answers connections, each request in its turn."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._open = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Called for each connection."""
        if self._open >= MAX_CONNECTIONS:
            writer.close()
            return
        self._open += 1
        try:
            await self._talk(reader, writer)
        except (OSError, TimeoutError, WireError):
            pass  # the client has gone, or speaks something else
        finally:
            self._open -= 1
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames = FrameBuffer(MAX_REQUEST_BYTES)
        while True:
            async with asyncio.timeout(IDLE_SECONDS):
                chunk = await reader.read(65_536)
                if not chunk:
                    return
                frames.feed(chunk)
                while (message := frames.next_message()) is not None:
                    writer.write(self._answers.answer(message))
                await writer.drain()
