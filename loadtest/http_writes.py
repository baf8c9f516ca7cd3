"""Writes over the Handle JSON API as bytes, what their answers say, and a connection that carries them."""

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple
from urllib.parse import quote

from loadtest.replies import read_http
from loadtest.streams import Address

ANSWER_SECONDS = 15.0  # longer than any wait of the node
BUSY_STATUS = 503
VERDICT_SECONDS = 90.0  # a write is sent again for so long
PAUSE_SECONDS = 0.05
_TAG = re.compile(rb'\r\netag: "(\d+)"', re.IGNORECASE)
_REPLAYED = re.compile(rb"\r\nidempotent-replayed: true", re.IGNORECASE)
_CODE = re.compile(rb'"responseCode":(\d+)')

Pair = tuple[int, str]
"""Index and text of a URL value."""


class Said(NamedTuple):
    """What an answer says: HTTP status, Handle response code (0: none), version in the ETag (0: none)."""

    status: int
    code: int
    version: int
    is_replayed: bool
    whole: bytes


def put(
    handle: str, pairs: Iterable[Pair], *headers: str, query: str = "", kind: str = "URL"
) -> bytes:
    """Return a PUT of values of one type; with `query` such as `?index=various` of some values."""
    values = [{"index": index, "type": kind, "data": text} for index, text in pairs]
    body = json.dumps(values).encode()
    form = ("Content-Type: application/json", f"Content-Length: {len(body)}")
    return _head("PUT", handle, query, *form, *headers) + body


def delete(handle: str, *headers: str, query: str = "") -> bytes:
    """Return a DELETE, of some values with a query such as `?index=1&index=2`."""
    return _head("DELETE", handle, query, *headers)


def indexes(numbers: Iterable[int]) -> str:
    """Return the query that names these indexes."""
    return "?" + "&".join(f"index={number}" for number in numbers)


def read(answer: bytes) -> Said:
    """Return what an answer says."""
    head, _, body = answer.partition(b"\r\n\r\n")
    code, tag = _CODE.search(body), _TAG.search(head)
    return Said(
        int(head.split(b" ", 2)[1]),
        int(code[1]) if code else 0,
        int(tag[1]) if tag else 0,
        bool(_REPLAYED.search(head)),
        answer,
    )


class HttpConnection:
    """One kept-open connection, opened again after it broke."""

    def __init__(self) -> None:
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, address: Address, request: bytes) -> Said:
        """Send a request and return what comes.  Raises OSError, EOFError, TimeoutError."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                if self._streams is None:
                    self._streams = await asyncio.open_connection(*address)
                reader, writer = self._streams
                writer.write(request)
                return read(await read_http(reader))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the connection."""
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].transport.abort()


async def ask_until_told(
    connection: HttpConnection,
    address: Callable[[], Address],
    request: bytes,
    counts: Counter[str],
) -> Said | None:
    """Send a write, which must have an Idempotency-Key, until there is a verdict; None when there never was one.

    `counts` tells how often it was "busy", and how often it had to be "sent again".
    """
    deadline = time.monotonic() + VERDICT_SECONDS
    while time.monotonic() < deadline:
        try:
            said = await connection.ask(address(), request)
            if said.status != BUSY_STATUS:
                return said
            counts["busy"] += 1
        except (OSError, EOFError, TimeoutError):
            counts["sent again"] += 1
        await asyncio.sleep(PAUSE_SECONDS)
    return None


def _head(method: str, handle: str, query: str, *headers: str) -> bytes:
    path = f"/api/handles/{quote(handle, safe='/')}{query}"
    lines = (f"{method} {path} HTTP/1.1", "Host: idnode.test", *headers)
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
