"""Replies as asyncio clients read them: datagrams into a queue, whole frames and HTTP responses out of a stream."""

import asyncio

from loadtest.exchange import frame_length


class Inbox(asyncio.DatagramProtocol):
    """A UDP socket whose datagrams wait in a queue."""

    def __init__(self, inbox: "asyncio.Queue[bytes]") -> None:
        self._inbox = inbox

    def datagram_received(self, data: bytes, _addr: object) -> None:
        """Called by the event loop."""
        self._inbox.put_nowait(data)


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    """Return the next native message.  Raises IncompleteReadError when the connection ends."""
    envelope = await reader.readexactly(20)
    return envelope + await reader.readexactly(frame_length(envelope) - 20)


async def read_http(reader: asyncio.StreamReader) -> bytes:
    """Return the next HTTP response, which must state its length.  Raises as `read_frame`."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
    return head + await reader.readexactly(length)
